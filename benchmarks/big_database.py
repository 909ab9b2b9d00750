"""A database as it looks after a month: 30 days of 1m and 24 h of 1s bars of ten symbols."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model import Bar, Batch, Quality, Stream, Timeframe
from settings import storage_key
from storage.store import Store

SYMBOLS = tuple(
    f"{coin}USDT"
    for coin in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "LTC", "DOT", "LINK")
)
DEPTH = {Timeframe.M1: 30 * 1440, Timeframe.S1: 86_400}
BLOCK = 5_000


def build(
    folder: Path,
    now_ms: int,
    *,
    share: float = 1.0,
    symbols: Sequence[str] = SYMBOLS,
    depth: Mapping[Timeframe, int] = DEPTH,
) -> str:
    """Write it with the project's own writer and return its URL.

    Args:
        share: of the full depth, for a quick run.
        depth: bars of each timeframe.
    """
    url = f"sqlite:///{folder}/pairs.db"
    venue = storage_key("simulated")
    with Store.open(url, venue=venue, stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        for timeframe, bars in depth.items():
            for number, symbol in enumerate(symbols):
                for block in _blocks(symbol, timeframe, int(bars * share), now_ms, number):
                    store.writer.put(Batch([], klines=block))
                if not store.writer.flush(300):
                    raise RuntimeError("the writer did not get done")
    return url


def _blocks(
    symbol: str, timeframe: Timeframe, count: int, now_ms: int, number: int
) -> Iterator[tuple[Bar, ...]]:
    rng = np.random.default_rng([number, timeframe.ms])
    step = 4e-4 * np.sqrt(timeframe.ms / 60_000)
    close = 100.0 * (number + 1) * np.exp(rng.normal(0, step, count).cumsum())
    wide = 1 + np.abs(rng.normal(0, step, count))
    first = now_ms - now_ms % timeframe.ms - count * timeframe.ms
    for start in range(0, count, BLOCK):
        yield tuple(
            Bar(
                symbol,
                timeframe,
                first + k * timeframe.ms,
                float(close[k]),
                float(close[k] * wide[k]),
                float(close[k] / wide[k]),
                float(close[k]),
                1.0,
                float(close[k]),
                10,
                -1,
                -1,
                Quality.KLINE,
            )
            for k in range(start, min(start + BLOCK, count))
        )
