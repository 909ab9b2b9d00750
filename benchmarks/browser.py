"""Chromium as a measuring instrument: what a tab costs, and what its user sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # tabs behind the front one are measured too: none may be put to sleep
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--disable-backgrounding-occluded-windows",
)
# Counts frames in which fewer than `least` drawn charts are on the page or one is dimmed, and
# charts taken out of the page.
WATCH = """(least) => {
  const seen = window.__seen = { removed: 0, blank: 0, dimmed: 0, frames: 0 };
  new MutationObserver((list) => list.forEach((one) => one.removedNodes.forEach((node) => {
    if (node.nodeType !== 1) return;
    seen.removed += (node.matches('.main-svg') ? 1 : 0) + node.querySelectorAll('.main-svg').length;
  }))).observe(document.body, { childList: true, subtree: true });
  const look = () => {
    seen.frames += 1;
    const drawn = [...document.querySelectorAll('.js-plotly-plot')]
      .filter((plot) => plot.querySelector('.main-svg path.js-line'));
    if (drawn.length < least) seen.blank += 1;
    if (drawn.some(isDim)) seen.dimmed += 1;
    requestAnimationFrame(look);
  };
  const isDim = (node) => {
    for (let one = node; one && one !== document.body; one = one.parentElement) {
      if (Number(getComputedStyle(one).opacity) < 0.9) return true;
    }
    return false;
  };
  look();
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """One tab with its counters; `received` is bytes of WebSocket payload by path."""

    page: Page
    received: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Attach the protocol session that knows what the page does not."""
        self._cdp = self.page.context.new_cdp_session(self.page)
        self._sockets: dict[str, str] = {}
        self._cdp.on("Network.webSocketCreated", self._created)
        self._cdp.on("Network.webSocketFrameReceived", self._frame)
        self._cdp.send("Network.enable")
        self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _created(self, event: dict[str, Any]) -> None:
        path = "push" if "/api/ws" in event["url"] else "streamlit"
        self._sockets[event["requestId"]] = path

    def _frame(self, event: dict[str, Any]) -> None:
        path = self._sockets.get(event["requestId"], "other")
        response = event["response"]
        size = len(response["payloadData"])
        if response["opcode"] == 2:  # handed over as base64
            size = size * 3 // 4
        self.received[path] = self.received.get(path, 0) + size

    def metrics(self) -> dict[str, float]:
        """Return Chromium's counters: TaskDuration in s of CPU, JSHeapUsedSize in bytes."""
        found = self._cdp.send("Performance.getMetrics")["metrics"]
        return {one["name"]: float(one["value"]) for one in found}

    def heap_mb(self) -> float:
        """Return the JavaScript heap in use after a collection."""
        self._cdp.send("HeapProfiler.collectGarbage")
        return self.metrics()["JSHeapUsedSize"] / 1e6

    def watch(self, charts: int) -> None:
        """Start counting blank frames; `charts` have to be there at all times."""
        self.page.evaluate(WATCH, charts)

    def seen(self) -> dict[str, int]:
        """Return what was counted since `watch`."""
        return dict(self.page.evaluate("({...window.__seen})"))


def new_tab(browser: Browser, *, width: int = 1280, height: int = 900) -> Tab:
    """Return a tab in a context of its own."""
    context = browser.new_context(viewport={"width": width, "height": height})
    return Tab(context.new_page())
