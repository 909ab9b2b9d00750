"""A stateful source for the engine."""

import numpy as np

from analytics.bars import BarBook
from model import Bar, Batch, Market, Quality, SymbolInfo, Timeframe

T0 = 1_700_000_040_000 - 1_700_000_040_000 % 60_000


class Venue:
    """A stateful source: bars put in by the test, a clock moved by the test."""

    market = Market.SPOT

    def __init__(self, *symbols: str, rows: int = 900) -> None:
        self.book = BarBook(symbols, rows=rows)
        self.now_ms = T0
        self.feed = "live"
        self.funding: dict = {}

    def symbol_info(self, symbol: str) -> SymbolInfo:
        return SymbolInfo(symbol, 0.01, 0.001)

    def status(self) -> dict:
        return {"feed": self.feed, "server_ms": self.now_ms}

    def fill(self, n: int, *, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        x = 8 + np.cumsum(rng.normal(0, 1e-3, n))
        u = np.zeros(n)
        for i in range(1, n):
            u[i] = 0.9 * u[i - 1] + rng.normal(0, 1e-3)
        for symbol, logs in (("ETHUSDT", x), ("BTCUSDT", 3 + x + u)):
            prices = np.exp(logs)
            bars = tuple(
                Bar(
                    symbol,
                    Timeframe.M1,
                    T0 + i * 60_000,
                    p,
                    p,
                    p,
                    p,
                    1.0,
                    p,
                    1,
                    -1,
                    -1,
                    Quality.KLINE,
                )
                for i, p in enumerate(prices.tolist())
            )
            self.book.apply(Batch([], klines=bars))
        self.now_ms = T0 + n * 60_000 + 1000
