"""The Live page kept open for long: memory of tab and server, threads and files, each minute."""

import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.browser import Tab, chromium, new_tab
from benchmarks.served import Served, app

REPORT = Path(__file__).parent / "reports" / "page_30min.md"
READY = "window.__live && window.__live.updates > 2 && window.__live.draws > 0"
ROUND = ("research", "scanner", "backtest", "alerts", "data", "methods", "")
ROUTES = ("/api/pair", "/api/pair_series?limit=500", "/api/bars?symbol=BTCUSDT&limit=500")
COLUMNS = (
    *("minute", "heap 1m (MB)", "heap 1s (MB)", "nodes 1m", "listeners 1m", "main thread 1m (%)"),
    *("server RSS (MB)", "server CPU (%)", "threads", "files", "reconnects"),
)
SETTLED_MINUTES = 5
Minute = tuple[float, ...]


def run(minutes: int) -> str:
    """Keep three tabs open for `minutes`, write the report, and return it.

    Two tabs show the Live page at 1m and at 1s; the third opens one of the other pages after the
    other, ten seconds each. Once a second a client asks for a route.
    """
    REPORT.parent.mkdir(exist_ok=True)
    found: list[Minute] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        app(Path(folder)) as server,
        chromium() as browser,
    ):
        slow, fast, walker = (new_tab(browser) for _ in range(3))
        slow.page.goto(f"{server.url}/?timeframe=1m")
        fast.page.goto(f"{server.url}/?timeframe=1s&y=SOLUSDT&x=ETHUSDT")
        for tab in (slow, fast):
            tab.page.wait_for_function(READY, timeout=120_000)
        started = time.monotonic()
        found.append(_look(0.0, slow, fast, server, (0.0, 0.0, 0.0)))
        for minute in range(1, minutes + 1):
            before = (slow.metrics()["TaskDuration"], server.cpu_s(), time.monotonic())
            _live_a_minute(walker, server, started + 60.0 * minute)
            found.append(_look(minute, slow, fast, server, before))
            REPORT.write_text(_text(found), encoding="utf-8")
    return _text(found)


def _live_a_minute(walker: Tab, server: Served, until: float) -> None:
    at = 0
    while time.monotonic() < until:
        if at % 10 == 0:
            name = ROUND[(int(until) // 10 + at // 10) % len(ROUND)]
            walker.page.goto(f"{server.url}/{name}", wait_until="commit")
        httpx.get(server.url + ROUTES[at % len(ROUTES)], timeout=30).raise_for_status()
        walker.page.wait_for_timeout(1000)
        at += 1


def _look(
    minute: float, slow: Tab, fast: Tab, server: Served, before: tuple[float, float, float]
) -> Minute:
    heap, now = slow.heap_mb(), slow.metrics()
    busy, cpu, since = before
    wall = time.monotonic() - since if since else float("nan")
    return (
        minute,
        heap,
        fast.heap_mb(),
        now["Nodes"],
        now["JSEventListeners"],
        100 * (now["TaskDuration"] - busy) / wall,
        server.memory_mb(),
        100 * (server.cpu_s() - cpu) / wall,
        server.threads(),
        server.files(),
        float(slow.page.evaluate("window.__live.reconnects")),
    )


def _text(found: list[Minute]) -> str:
    lines = [
        "# The Live page, kept open",
        "",
        "Written by `python -m benchmarks.page --minutes N`. Three tabs in one headless Chromium: "
        "the Live page at 1m, another pair at 1s, and one that opens the other pages one after the "
        "other, ten seconds each; besides, one API request a second. Heap after a collection. The "
        "main-thread share includes the collections asked for.",
        "",
        *_verdict(found),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(_number(value) for value in one) + " |" for one in found]
    return "\n".join(lines) + "\n"


def _verdict(found: list[Minute]) -> list[str]:
    """Say how the settled part ended against how it began."""
    settled = [one for one in found if one[0] >= SETTLED_MINUTES]
    if len(settled) < 6:
        return ["Not run for long enough to say more."]
    first, last = settled[:3], settled[-3:]
    lines = [
        f"Means of minutes {first[0][0]:.0f}–{first[-1][0]:.0f} and of "
        f"{last[0][0]:.0f}–{last[-1][0]:.0f}:",
        "",
    ]
    for name in ("heap 1m (MB)", "heap 1s (MB)", "nodes 1m", "server RSS (MB)", "threads", "files"):
        k = COLUMNS.index(name)
        a, b = (sum(one[k] for one in part) / 3 for part in (first, last))
        lines.append(f"- {name}: {_number(a)} → {_number(b)}")
    return lines


def _number(value: float) -> str:
    if value != value:
        return "–"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
