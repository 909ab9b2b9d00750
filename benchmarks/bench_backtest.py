"""Backtest and sweep beside vectorbt and backtesting.py, on one problem, in one run.

Usage: python benchmarks/bench_backtest.py [ROWS]. The peers are installed once into
benchmarks/.peers/backtest. Only the ratios travel between machines.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analytics.backtest import backtest  # noqa: E402
from analytics.machine import Event  # noqa: E402
from analytics.series import PairSeries, analyse  # noqa: E402
from analytics.sweep import Axes, sweep  # noqa: E402
from analytics.trades import Trades  # noqa: E402
from model import Bars, Market, Timeframe  # noqa: E402
from params import Params  # noqa: E402

PEERS = ROOT / "benchmarks" / ".peers" / "backtest"
FEE_BPS = 5.0
SWEEP_ROWS = 100_000
# What both sides can express: gates off, no stop, no time-out, one unit of each leg.
PLAIN = Params.parse(
    {
        "hedge_method": "fixed",
        "fixed_beta": 1,
        "gates": "",
        "stop": 0,
        "max_hold": 100_000,
        "fee_bps": FEE_BPS,
        "slippage_bps": 0,
        "test_every": 10_000,
    }
)


def make_bars(rows: int) -> tuple[Bars, Bars]:
    """Return a cointegrated pair of one-minute bars, half-life 46 rows."""
    rng = np.random.default_rng(1)
    x = np.log(2000) + np.cumsum(rng.normal(0, 4e-4, rows))
    spread = np.empty(rows)
    level = 0.0
    for row, step in enumerate(rng.normal(0, 3e-4, rows)):
        level = 0.985 * level + step
        spread[row] = level
    return _bars("BTCUSDT", np.exp(3 + x + spread)), _bars("ETHUSDT", np.exp(x))


def _bars(symbol: str, close: np.ndarray) -> Bars:
    rows = len(close)
    opened = np.append(close[:1], close[:-1])
    ts = 1_700_006_400_000 + Timeframe.M1.ms * np.arange(rows)
    ones, zeros = np.ones(rows), np.zeros(rows, dtype=np.int8)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    counts = np.ones(rows, dtype=np.int64)
    flags = np.ones(rows, dtype=np.bool_)
    return Bars(
        symbol, Timeframe.M1, ts, opened, high, low, close, ones, ones, counts, zeros, flags
    )


def timed(call: Callable[[], Any], repeats: int = 7) -> float:
    """Return the median seconds of a call, after one that does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def ensure_peers() -> Path:
    """Return the peers' Python, installing them the first time."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        venv.create(PEERS, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "vectorbt", "backtesting"], check=True
        )
    return python


def run_peers(series: PairSeries, cells: list[tuple[float, float]], sweep_rows: int) -> Any:
    """Return what the peers took and found on the same columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(
            path,
            open_y=series.open_y,
            close_y=series.price_y,
            open_x=series.open_x,
            close_x=series.price_x,
            zscore=np.nan_to_num(series.zscore),
            log_spread=np.nan_to_num(series.spread),
            entry=PLAIN.entry,
            exit=PLAIN.exit,
            fee=FEE_BPS / 1e4,
            cells=np.array(cells),
            sweep_rows=sweep_rows,
        )
        script = ROOT / "benchmarks" / "peers_backtest.py"
        done = subprocess.run(
            [ensure_peers(), script, path], check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print times, ratios and the agreement of the results."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    bars = make_bars(rows)
    series = analyse(*bars, PLAIN)
    gated = Params(min_edge_ratio=0)
    gated_series = analyse(*bars, gated)
    ours = {
        "series": timed(lambda: analyse(*bars, PLAIN), 3),
        "run": timed(lambda: backtest(series, PLAIN, market=Market.SPOT, draws=0)),
        "run, bootstrap": timed(lambda: backtest(series, PLAIN, market=Market.SPOT)),
        "run, every gate": timed(
            lambda: backtest(gated_series, gated, market=Market.SPOT, draws=0)
        ),
    }
    entries, exits = np.linspace(1.5, 2.5, 10).tolist(), np.linspace(0, 0.9, 10).tolist()
    few = min(rows, SWEEP_ROWS)
    short_y, short_x = (_head(leg, few) for leg in bars)
    short, short_gated = analyse(short_y, short_x, PLAIN), analyse(short_y, short_x, gated)
    sweeps = {
        "100 cells, gates off": _sweep(PLAIN, short, entries, exits, (0.0,)),
        "1,000 cells, stops": _sweep(PLAIN, short, entries, exits, _stops()),
        "1,000 cells, every gate": _sweep(gated, short_gated, entries, exits, _stops()),
    }
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = [(entry, leave) for entry in entries for leave in exits]
    peers = run_peers(series, cells, few)
    _report(rows, few, ours, sweeps, peers, peak_mb)
    result = backtest(series, PLAIN, market=Market.SPOT, draws=0)
    theirs = peers["vectorbt two legs"]
    net = result.metrics.net.pnl + _closing_cost(result.trades)
    print(
        f"\nagreement with vectorbt, two legs: {len(result.trades)} trades here, "
        f"{theirs['trades']} there; net {net:.6f} here, {theirs['pnl']:.6f} there"
    )


def _closing_cost(trades: Trades) -> float:
    """Return what closing an open position at the end cost; vectorbt leaves it open."""
    if not len(trades) or trades.reason[-1] != Event.END:
        return 0.0
    paid = abs(trades.qty_y[-1]) * trades.exit_price_y[-1]
    paid += abs(trades.qty_x[-1]) * trades.exit_price_x[-1]
    return float(paid) * FEE_BPS / 1e4


def _stops() -> tuple[float, ...]:
    return (0.0, *np.linspace(3, 6, 9).tolist())


def _head(bars: Bars, rows: int) -> Bars:
    columns = (getattr(bars, name)[:rows] for name in Bars.__slots__[2:])
    return Bars(bars.symbol, bars.timeframe, *columns)


def _sweep(
    rule: Params,
    series: PairSeries,
    entries: list[float],
    exits: list[float],
    stops: tuple[float, ...],
) -> float:
    """Return ns a cell-bar on two threads, the series and the shared gates aside."""
    axes = Axes(entries=tuple(entries), exits=tuple(exits), stops=stops)
    cells = len(entries) * len(exits) * len(stops)
    seconds = timed(
        lambda: sweep(rule, axes, series_of=lambda _: series, market=Market.SPOT, jobs=2), 3
    )
    return seconds / cells / len(series.ts) * 1e9


def _report(
    rows: int,
    few: int,
    ours: dict[str, float],
    sweeps: dict[str, float],
    peers: Any,
    peak_mb: float,
) -> None:
    print(f"{rows:,} rows; sweeps over {few:,}; peak memory {peak_mb:.0f} MB")
    for name, seconds in ours.items():
        print(f"  ours, {name:<28} {1e3 * seconds:10.1f} ms")
    for name in ("vectorbt two legs", "vectorbt spread", "backtesting.py"):
        seconds = peers[name]["seconds"]
        ratio, whole = seconds / ours["run"], seconds / (ours["run"] + ours["series"])
        print(f"  {name:<34} {1e3 * seconds:10.1f} ms  {ratio:7.0f}×  ({whole:.0f}× our series in)")
    for name, ns in sweeps.items():
        print(f"  ours, sweep of {name:<24} {ns:7.2f} ns a cell-bar, 2 threads")
    ns = peers["vectorbt sweep"]["seconds"] / 100 / few * 1e9
    ratio = ns / sweeps["100 cells, gates off"]
    print(f"  vectorbt spread, 100 cells         {ns:7.1f} ns a cell-bar  {ratio:7.0f}×")


if __name__ == "__main__":
    main()
