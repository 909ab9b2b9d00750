"""From a key pressed in the sidebar to the Backtest page's charts drawn anew, over 100,000 bars."""

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.big_database import build
from benchmarks.browser import chromium, new_tab
from benchmarks.served import app
from model import Timeframe

ROWS = 100_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
LIMIT_MS = 300
MOVES = 12
# How long after a key press the first chart's lines were others.
WATCH = """() => {
  const lines = () => [...(document.querySelector('.js-plotly-plot')
    ?.querySelectorAll('path.js-line') ?? [])].map((line) => line.getAttribute('d')).join();
  document.addEventListener('keydown', () => {
    const began = performance.now(), before = lines();
    window.__drawn = null;
    const look = () => {
      if (lines() !== before) window.__drawn = performance.now() - began;
      else if (performance.now() - began < 10000) requestAnimationFrame(look);
    };
    look();
  }, true);
}"""


def rows_of(quick: bool) -> int:
    """Return how many bars the page is asked for."""
    return ROWS // 20 if quick else ROWS


def moves(*, quick: bool = False) -> list[float]:
    """Return ms from moving the entry level to the equity chart drawn anew, move by move."""
    rows = rows_of(quick)
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        # A few more than asked for: the newest are still coming in.
        build(
            Path(folder), int(time.time() * 1000), symbols=SYMBOLS,
            depth={Timeframe.M1: rows + 1_000},
        )  # fmt: skip
        with app(Path(folder)) as server:
            page = new_tab(browser).page
            bars = f"{rows:,}".replace(",", "%2C")
            page.goto(f"{server.url}/backtest?bars={bars}&timeframe=1m&gates=warm")
            page.wait_for_selector(".js-plotly-plot path.js-line", timeout=180_000)
            page.wait_for_timeout(8_000)
            page.evaluate(WATCH)
            field = page.locator('input[aria-label="Entry |z|"]').first
            field.focus()
            for move in range(3 if quick else MOVES):
                field.press("ArrowDown" if move % 2 else "ArrowUp")
                page.wait_for_function("window.__drawn", timeout=20_000)
                found.append(float(page.evaluate("window.__drawn")))
                page.wait_for_timeout(1_500)
    return found


def rows(*, quick: bool = False) -> list[dict[str, Any]]:
    """Return the figures: name, value, unit, note."""
    found = sorted(moves(quick=quick))
    note = f"least {found[0]:.0f}, greatest {found[-1]:.0f} of {len(found)}; limit {LIMIT_MS}"
    where = f"{rows_of(quick):,} bars of 1m, the entry level moved; {note}"
    return [
        {
            "name": "key to charts drawn anew, median",
            "value": round(found[len(found) // 2], 1),
            "unit": "ms",
            "note": where,
        }
    ]
