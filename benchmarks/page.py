"""The Live page in Chromium, beside the usual way: delays, the tab's cost, blank frames.

Usage: python -m benchmarks.page [--seconds N] [--minutes M]. With --minutes the page is kept open
that long and memory is written down each minute, to reports/page_30min.md.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks import page_long, page_scripts, page_slider
from benchmarks.browser import Tab, chromium, new_tab
from benchmarks.report import Section
from benchmarks.served import Served, app
from benchmarks.soak.processes import Exchange

SECONDS = 60
SETTLE_S = 8.0
TABS = 10
READY = "window.__live && window.__live.updates > 2 && window.__live.draws > 0"
PLAIN_READY = "document.querySelectorAll('.js-plotly-plot .main-svg path.js-line').length >= 6"
# When the page said a new moment, and when the chart of that moment stood there.
PLAIN_DELAYS = """() => {
  const found = window.__delays = [];
  let last = '';
  const look = () => {
    const text = [...document.querySelectorAll('.gtitle')].map((one) => one.textContent).join(' ');
    const stamp = /z (\\d{13})/.exec(text)?.[1];
    if (stamp && stamp !== last) { found.push(Date.now() - Number(stamp)); last = stamp; }
  };
  new MutationObserver(look).observe(document.body,
    { childList: true, subtree: true, characterData: true });
}"""
Row = dict[str, Any]


def row(name: str, value: float | str, unit: str, note: str = "") -> Row:
    """Return one figure."""
    shown = round(value, 3) if isinstance(value, float) else value
    return {"name": name, "value": shown, "unit": unit, "note": note}


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all lie; NaN of none."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) if ordered else NAN


NAN = float("nan")


def watch(tab: Tab, server: Served, charts: int, seconds: float) -> dict[str, float]:
    """Return what a settled tab and its server used over `seconds`, then what its frames showed.

    Looking at every frame makes the tab draw sixty of them a second, which a user's does not; so
    the costs are measured first, with nothing looking, and the frames for as long again.
    """
    tab.received.clear()
    heap, before, cpu = tab.heap_mb(), tab.metrics(), server.cpu_s()
    started = time.monotonic()
    tab.page.wait_for_timeout(seconds * 1000)
    after, wall = tab.metrics(), time.monotonic() - started
    used = {
        "main": (after["TaskDuration"] - before["TaskDuration"]) / wall,
        "cpu": (server.cpu_s() - cpu) / wall,
        "kb": sum(tab.received.values()) / wall / 1000,
        "push_kb": tab.received.get("push", 0) / wall / 1000,
        "heap": tab.heap_mb() - heap,
    }
    tab.watch(charts)
    tab.page.wait_for_timeout(seconds * 1000)
    return used | {name: float(count) for name, count in tab.seen().items()}


def ours(tab: Tab, server: Served, timeframe: str, seconds: float) -> list[Row]:
    """Return the figures of the Live page at one timeframe."""
    tab.page.goto(f"{server.url}/?timeframe={timeframe}")
    tab.page.wait_for_function(READY, timeout=120_000)
    tab.page.wait_for_timeout(SETTLE_S * 1000)
    tab.page.evaluate("window.__live.latencies.length = 0")
    mounts = tab.page.evaluate("window.__live.mounts")
    used = watch(tab, server, 1, seconds)
    delays = tab.page.evaluate("window.__live.latencies")
    mounts = tab.page.evaluate("window.__live.mounts") - mounts
    at = f"{timeframe} forming"
    return [
        row("trade to DOM, p50", quantile(delays, 0.5), "ms", f"{at}, {len(delays)} trades"),
        row("trade to DOM, p95", quantile(delays, 0.95), "ms", f"{at}; limit 500"),
        *shared(used, at, ours=True),
        row("charts mounted again", float(mounts + used["removed"]), "", f"{at}; limit 0"),
    ]


def shared(used: dict[str, float], at: str, *, ours: bool) -> list[Row]:
    """Return the figures both ways have."""

    def limited(limit: str) -> str:
        return f"{at}; limit {limit}" if ours else at

    pushed = f" ({used['push_kb']:.1f} of it push)" if ours else ""
    return [
        row("main thread, CPU", 100 * used["main"], "%", limited("20")),
        row("received", used["kb"], "kB/s", limited("20") + pushed),
        row("server CPU", 100 * used["cpu"], "%", limited("5")),
        row("blank frames", used["blank"], "", limited("0") + f", of {used['frames']:.0f}"),
        row("dimmed frames", used["dimmed"], "", at),
        row("heap grown, after GC", used["heap"], "MB", at),
    ]


def plain(tab: Tab, server: Served, seconds: float) -> list[Row]:
    """Return the same figures of `plain_plotly.py`."""
    tab.page.goto(server.url)
    tab.page.wait_for_function(PLAIN_READY, timeout=60_000)
    tab.page.wait_for_timeout(SETTLE_S * 1000)
    tab.page.evaluate(PLAIN_DELAYS)
    used = watch(tab, server, 3, seconds)
    delays = tab.page.evaluate("window.__delays")
    at = "st.plotly_chart in a 1 s fragment"
    waited = "; a trade waits up to 1,000 ms for the next run besides"
    return [
        row("run to DOM, p50", quantile(delays, 0.5), "ms", f"{at}, {len(delays)} runs{waited}"),
        row("run to DOM, p95", quantile(delays, 0.95), "ms", at + waited),
        *shared(used, at, ours=False),
        row("charts mounted again", used["removed"], "", at),
    ]


def zoom_kept(tab: Tab, chart: str, settle_s: float = 5.0) -> bool:
    """Zoom by dragging over a chart and return whether its range is the same afterwards."""
    plot = tab.page.locator(chart).first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    if box is None:
        return False
    x, y = box["x"] + box["width"] * 0.4, box["y"] + min(150.0, box["height"] / 2)
    mouse = tab.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 60, y, steps=4)
    mouse.move(x + 140, y, steps=4)
    mouse.up()
    tab.page.wait_for_timeout(300)
    script = f"document.querySelector('{chart}')?._fullLayout?.xaxis?.range?.map(String)"
    zoomed = tab.page.evaluate(script)
    tab.page.wait_for_timeout(settle_s * 1000)
    return bool(zoomed) and tab.page.evaluate(script) == zoomed


def crowd(browser: Browser, server: Served, seconds: float, *, views: int) -> Row:
    """Return what ten tabs of the Live page at 1s cost the server, showing `views` views."""
    tabs = [new_tab(browser) for _ in range(TABS)]
    for k, tab in enumerate(tabs):
        tab.page.goto(f"{server.url}/?timeframe=1s&window={50 + k % views}")
    for tab in tabs:
        tab.page.wait_for_function(READY, timeout=120_000)
    tabs[0].page.wait_for_timeout(SETTLE_S * 1000)
    cpu, started = server.cpu_s(), time.monotonic()
    tabs[0].page.wait_for_timeout(seconds * 1000)
    used = (server.cpu_s() - cpu) / (time.monotonic() - started)
    for tab in tabs:
        tab.page.context.close()
    at = f"{TABS} tabs at 1s, {views} view{'' if views == 1 else 's'}"
    return row("server CPU", 100 * used, "%", f"{at}; limit 25")


def rows(seconds: float = SECONDS) -> list[Row]:
    """Return every figure: name, value, unit, note."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        with Exchange(Path(folder)) as exchange, app(Path(folder), **exchange.settings) as server:
            tab = new_tab(browser)
            for timeframe in ("1s", "1m"):
                found += ours(tab, server, timeframe, seconds)
            kept = "yes" if zoom_kept(tab, ".pl-plot") else "no"
            found.append(row("zoom kept for 5 s", kept, "", "1m forming"))
            tab.page.context.close()
            found += [crowd(browser, server, seconds, views=views) for views in (1, TABS)]
        with Served("benchmarks/plain_plotly.py", Path(folder)) as server:
            tab = new_tab(browser)
            found += plain(tab, server, seconds)
            kept = "yes" if zoom_kept(tab, ".js-plotly-plot") else "no"
            found.append(row("zoom kept for 5 s", kept, "", "st.plotly_chart in a 1 s fragment"))
            tab.page.context.close()
    return found


def run(quick: bool) -> Section:
    """Measure for `python -m benchmarks`."""
    found = rows(10 if quick else SECONDS)
    scripts = [*page_slider.rows(quick=quick), *page_scripts.rows(quick=quick)]
    return Section(
        title="The Live page in a browser",
        sentence="One tab of 1280 px, or as many as are said, in headless Chromium over the "
        "simulated exchange (a process of its own), beside the usual way: three figures drawn "
        "again each second by `st.plotly_chart` in a fragment. Browser, server and exchange "
        "share the machine.",
        columns=("figure", "value", "where"),
        rows=[
            (one["name"], f"{_shown(one['value'])} {one['unit']}".strip(), one["note"])
            for one in [*found, *scripts]
        ],
        notes=(
            "Trade to DOM: from the exchange's time of every trade to the moment the page shows a "
            "state that includes it; the simulated exchange sends every 100 ms or so.",
            "Kept open for half an hour: [reports/page_30min.md](reports/page_30min.md).",
        ),
        figures={"rows": [*found, *scripts]},
    )


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.1f}".removesuffix(".0")


def show(found: Sequence[Row]) -> None:
    """Print figures."""
    for one in found:
        print(f"{one['name']:28} {_shown(one['value']):>10} {one['unit']:5} {one['note']}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--minutes", type=int, help="keep the page open that long instead")
    parser.add_argument("--scripts", action="store_true", help="only the pages' script run times")
    asked = parser.parse_args(arguments)
    if asked.minutes:
        print(page_long.run(asked.minutes))
    elif asked.scripts:
        show(page_scripts.rows())
    else:
        show(rows(asked.seconds))
        show(page_slider.rows())
        show(page_scripts.rows())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
