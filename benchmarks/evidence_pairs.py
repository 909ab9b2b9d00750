"""Pairs to try the numbers on: made of noise, tied together, simulated, and from candle files."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from model import Bars, Floats, Ints, Timeframe
from simulator.market import Market as SimulatedMarket

START_MS = 1_704_067_200_000
X_STEP_BPS = 40.0
DAY_MS = 86_400_000
SIMULATED_DAYS = 31
SIMULATED_PAIRS = (
    ("BTCUSDT", "ETHUSDT"),
    ("BNBUSDT", "ETHUSDT"),
    ("SOLUSDT", "ETHUSDT"),
)


def independent(rng: np.random.Generator, rows: int, *, step_bps: float = X_STEP_BPS) -> Floats:
    """Return the log prices of two independent random walks, (2, rows): Y and X."""
    walks: Floats = np.log(100) + np.cumsum(rng.normal(0, step_bps / 1e4, (2, rows)), axis=1)
    return walks


def tied(rng: np.random.Generator, rows: int, *, half_life: float, sd_bps: float) -> Floats:
    """Return log prices, (2, rows): X walks, Y is X plus a spread that reverts.

    Args:
        half_life: of the spread (an AR(1)), in rows.
        sd_bps: stationary standard deviation of the spread.
    """
    keep = 0.5 ** (1 / half_life)
    steps = rng.normal(0, spread_step_bps(half_life, sd_bps) / 1e4, rows)
    steps[0] = rng.normal(0, sd_bps / 1e4)
    spread = np.empty(rows)
    level = 0.0
    for row, step in enumerate(steps.tolist()):
        level = keep * level + step
        spread[row] = level
    return _on_x(rng, spread)


def untied(rng: np.random.Generator, rows: int, *, step_bps: float) -> Floats:
    """Return log prices, (2, rows): X walks, Y is X plus a walk of its own: correlated, not tied.

    Args:
        step_bps: standard deviation of a row's change of Y − X.
    """
    return _on_x(rng, np.cumsum(rng.normal(0, step_bps / 1e4, rows)))


def spread_step_bps(half_life: float, sd_bps: float) -> float:
    """Return the standard deviation of the shocks of an AR(1) of that half-life and sd."""
    return float(sd_bps * np.sqrt(1 - 0.25 ** (1 / half_life)))


def _on_x(rng: np.random.Generator, spread: Floats) -> Floats:
    x = np.log(100) + np.cumsum(rng.normal(0, X_STEP_BPS / 1e4, len(spread)))
    return np.stack((x + spread, x))


def as_bars(log_prices: Floats) -> tuple[Bars, Bars]:
    """Return one-minute bars of both legs; each opens at the close before."""
    legs = np.exp(log_prices)
    return _from_closes("YUSDT", legs[0]), _from_closes("XUSDT", legs[1])


def _from_closes(symbol: str, close: Floats) -> Bars:
    opened = np.append(close[:1], close[:-1])
    ts = START_MS + Timeframe.M1.ms * np.arange(len(close))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return make_bars(symbol, ts, np.stack((opened, high, low, close, np.ones(len(close)))))


def make_bars(symbol: str, ts: Ints, columns: Floats, timeframe: Timeframe = Timeframe.M1) -> Bars:
    """Return closed bars.

    Args:
        columns: (5, n) open, high, low, close, volume.
    """
    opened, high, low, close, volume = columns
    quality, counts = np.zeros(len(ts), dtype=np.int8), np.ones(len(ts), dtype=np.int64)
    closed = np.ones(len(ts), dtype=np.bool_)
    prices = (opened, high, low, close)
    return Bars(symbol, timeframe, ts, *prices, volume, close * volume, counts, quality, closed)


def simulated_pairs(days: int) -> Iterator[tuple[str, Bars, Bars]]:
    """Yield (name, Y, X) of the simulated exchange's pairs over so many days of minutes."""
    symbols = sorted({symbol for pair in SIMULATED_PAIRS for symbol in pair})
    market = SimulatedMarket(symbols)
    end_ms = START_MS + days * DAY_MS
    legs = {}
    for symbol in symbols:
        scale = 10.0 ** -market.instruments[symbol].price_decimals
        rows = market.candles(symbol, 60_000, START_MS, end_ms - 60_000, end_ms + DAY_MS)
        prices = [getattr(rows, name) * scale for name in ("open", "high", "low", "close")]
        legs[symbol] = make_bars(symbol, rows.ts, np.stack((*prices, rows.volume.astype(float))))
    for y, x in SIMULATED_PAIRS:
        yield f"{_coin(y)}/{_coin(x)}", legs[y], legs[x]


def candle_pairs(folder: Path) -> Iterator[tuple[str, Bars, Bars]]:
    """Yield (name, Y, X) of every two files `SYMBOL….csv` of one-minute candles in a folder.

    A file has the columns datetime (UTC), open, high, low, close, volume.
    """
    legs = [read_candles(path) for path in sorted(folder.glob("*.csv"))]
    for at, y in enumerate(legs):
        for x in legs[at + 1 :]:
            yield f"{_coin(y.symbol)}/{_coin(x.symbol)}", y, x


def read_candles(path: Path) -> Bars:
    """Return the candles of one file; its name begins with the symbol."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    moments = [datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC) for row in rows]
    ts = np.array([int(moment.timestamp()) * 1000 for moment in moments], dtype=np.int64)
    names = ("open", "high", "low", "close", "volume")
    columns = np.array([[float(row[name]) for row in rows] for name in names])
    return make_bars(path.stem.split("_")[0].upper(), ts, columns)


def coarser(bars: Bars, timeframe: Timeframe) -> Bars:
    """Return the bars of a coarser timeframe, made of one-minute candles."""
    bucket = bars.ts // timeframe.ms
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    last = np.append(first[1:], len(bars)) - 1
    high, low = np.maximum.reduceat(bars.high, first), np.minimum.reduceat(bars.low, first)
    volume = np.add.reduceat(bars.volume, first)
    columns = np.stack((bars.open[first], high, low, bars.close[last], volume))
    return make_bars(bars.symbol, bucket[first] * timeframe.ms, columns, timeframe)


def _coin(symbol: str) -> str:
    return symbol.removesuffix("USDT")
