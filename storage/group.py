"""What one transaction writes: the sum of several batches, merged in memory before the database.

Rule 1: no database, no clock, no thread in this file.
Rule 2: `Bar.merged` and the upsert in `statements.py` are the same operation, so it does not
matter how batches are grouped.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from model import Bar, Batch, Gap, Ints, Mark, Quality, Trade
from storage.codec import decimals_of, pack
from storage.schema import LAYER_TRADES, LAYERS

MAX_WHOLE = 2**63 - 1
FULL_ROWS = 20_000  # in a larger transaction nothing is gained: 2 % is per transaction
BarKey = tuple[str, int, int, int]  # symbol, timeframe in seconds, layer, ts


class Decimals:
    """The decimals each symbol's prices and quantities were seen to need: where packing starts."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.price: Ints = np.zeros(0, np.int64)
        self.qty: Ints = np.zeros(0, np.int64)

    def learn(self, codes: Ints, price: Ints, qty: Ints) -> None:
        """Note the decimals with which trades were packed."""
        np.maximum.at(self.price, codes, decimals_of(price))
        np.maximum.at(self.qty, codes, decimals_of(qty))

    def codes_of(self, symbols: Sequence[str]) -> Ints:
        """Return a small integer per symbol, making room for new ones."""
        codes = self.codes
        try:
            return np.fromiter(map(codes.__getitem__, symbols), np.int64, len(symbols))
        except KeyError:
            for symbol in symbols:
                codes.setdefault(symbol, len(codes))
        grown = np.zeros(len(codes) - len(self.price), np.int64)
        self.price = np.concatenate((self.price, grown))
        self.qty = np.concatenate((self.qty, grown))
        return self.codes_of(symbols)


class TradeRows:
    """Trades as the columns that are stored, all (n,) int64; `codes` index `Decimals.codes`.

    `rejected` counts trades that cannot be stored; they are left out.
    """

    __slots__ = ("codes", "ids", "price", "qty", "rejected", "ts")

    def __init__(self, trades: Sequence[Trade], decimals: Decimals) -> None:
        symbols, numbers, prices, sizes, times, makers = _columns(trades)
        ids, ts = np.array(numbers, np.int64), np.array(times, np.int64)
        codes = decimals.codes_of(symbols)
        price = pack(np.fromiter(prices, np.float64, len(ids)), decimals.price[codes])
        qty = pack(np.fromiter(sizes, np.float64, len(ids)), decimals.qty[codes])
        keep = (price > 0) & (qty > 0)
        qty = np.where(np.fromiter(makers, np.bool_, len(ids)), -qty, qty)
        self.codes, self.ids, self.ts, self.price, self.qty = codes, ids, ts, price, qty
        if not keep.all():
            for name in ("codes", "ids", "ts", "price", "qty"):
                setattr(self, name, getattr(self, name)[keep])
        self.rejected = len(trades) - len(self.ids)
        decimals.learn(self.codes, self.price, self.qty)

    def __len__(self) -> int:
        return len(self.ids)


def _columns(trades: Sequence[Trade]) -> Sequence[Sequence[Any]]:
    columns = list(zip(*trades, strict=True)) or [()] * 6
    for whole in (columns[1], columns[4]):
        if trades and not 0 <= min(whole) <= max(whole) <= MAX_WHOLE:
            return _columns(
                [t for t in trades if 0 <= t[1] <= MAX_WHOLE and 0 <= t[4] <= MAX_WHOLE]
            )
    return columns


class Group:
    """Batches added up until they are committed. `size` counts trades, `weight` all rows."""

    def __init__(self, decimals: Decimals) -> None:
        self._decimals = decimals
        self._open: list[Trade] = []
        self.rows: list[TradeRows] = []
        self.bars: dict[BarKey, Bar] = {}
        self.marks: dict[str, Mark] = {}
        self.gaps: dict[str, tuple[Gap, ...]] = {}
        self.size = self.weight = 0
        self.batches = 0
        self.is_tried = False
        self.rejected_bars = 0

    def add(self, batch: Batch, deltas: Iterable[Bar]) -> None:
        """Add a batch and the bars made of its trades alone."""
        self._open.extend(batch.trades)
        self.size += len(batch.trades)
        self.weight += len(batch.trades) + len(batch.klines)
        self.batches += 1
        for bar in deltas:
            self._add_bar(bar)
        for bar in batch.klines:
            self._add_bar(bar)
        self.marks.update(batch.marks)
        self.gaps.update(batch.gaps)

    def _add_bar(self, bar: Bar) -> None:
        layer = LAYERS.get(bar.quality)
        if layer is None:
            self.rejected_bars += 1
            return
        key = (bar.symbol, bar.timeframe.ms // 1000, layer, bar.ts)
        old = self.bars.get(key) if layer == LAYER_TRADES else None
        self.bars[key] = bar if old is None else old.merged(bar)

    def seal(self) -> None:
        """Turn the trades added so far into columns: a fifth of the memory."""
        if self._open:
            self.rows.append(TradeRows(self._open, self._decimals))
            self._open = []

    def symbol_codes(self) -> Iterable[tuple[str, int]]:
        """Return what the codes in `rows` stand for."""
        return self._decimals.codes.items()

    @property
    def is_complete(self) -> bool:
        """Whether nothing more may be added: it was tried, or is as large as one should be."""
        return self.is_tried or self.weight >= FULL_ROWS

    @property
    def rejected_trades(self) -> int:
        """Trades that cannot be stored; known after `seal`."""
        return sum(rows.rejected for rows in self.rows)

    @property
    def is_own(self) -> bool:
        """Whether it holds anything of the trade stream, which only one writer may add."""
        return bool(
            self.size
            or self.marks
            or self.gaps
            or any(bar.quality <= Quality.BACKFILLED for bar in self.bars.values())
        )
