"""Is what is stored consistent? Bars against trades, holes in the ids against recorded gaps.

Reads in blocks, so it may run beside the program; trades stored while it runs are left out.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model import BarRows, Floats, Gap, Ints, Quality, Timeframe
from storage.database import open_file
from storage.store import Store
from storage.trade_reader import TradeBlock

TIMEFRAME = Timeframe.M1
VOLUME_TOLERANCE = 1e-9
FINDINGS_PER_SYMBOL = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `symbol` is "" when it concerns the whole database."""

    symbol: str
    kind: str
    text: str


def check(store: Store, *, has_gapless_ids: bool = True) -> list[Finding]:
    """Return what is wrong with the rows of the store's venue and stream; empty when all is well.

    Args:
        has_gapless_ids: whether the stream's ids step by one, so that every missing id must lie
            in a recorded gap (all streams but the futures raw trades).
    """
    findings = check_file(store)
    marks = store.marks()
    for symbol in sorted(marks):
        stop = marks[symbol].next_id
        found = _Recount(symbol)
        for block in store.read_trades(symbol):
            found.add(block, stop)
        rows = store.read_bars(symbol, TIMEFRAME)
        listed = [*found.compare(rows)]
        if has_gapless_ids:
            listed += _check_holes(symbol, found, store.gaps(symbol)[symbol], stop)
        findings += listed[:FINDINGS_PER_SYMBOL]
        if len(listed) > FINDINGS_PER_SYMBOL:
            text = f"and {len(listed) - FINDINGS_PER_SYMBOL} more"
            findings.append(Finding(symbol, "more", text))
    return findings


def check_file(store: Store) -> list[Finding]:
    """Return what SQLite's own integrity check finds; PostgreSQL has no such check."""
    path = store.access.database.path
    if path is None:
        return []
    connection = open_file(path, "ro")
    try:
        rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
    except sqlite3.DatabaseError as error:
        rows = [(str(error),)]
    finally:
        connection.close()
    return [Finding("", "integrity", text) for (text,) in rows if text != "ok"]


class _Recount:
    """1m bars made anew from the stored trades, and the holes in their ids."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.first_id: int | None = None
        self.last_id = -1
        self.holes: list[tuple[int, int]] = []
        self._parts: list[Floats] = []

    def add(self, block: TradeBlock, stop: int) -> None:
        keep = block.ids < stop
        ids = block.ids[keep]
        if not len(ids):
            return
        if self.first_id is None:
            self.first_id = int(ids[0])
            self.last_id = self.first_id - 1
        steps = np.concatenate(([self.last_id], ids))
        for at in np.flatnonzero(np.diff(steps) > 1):
            self.holes.append((int(steps[at]) + 1, int(steps[at + 1]) - 1))
        self.last_id = int(ids[-1])
        self._parts.append(_bars_of(ids, block.ts[keep], block.price[keep], block.qty[keep]))

    def compare(self, stored: BarRows) -> Iterator[Finding]:
        """Compare with the stored bars made of trades, where all their trades are still there."""
        parts = np.vstack(self._parts) if self._parts else np.empty((0, 10))
        made = {int(row[0]): row for row in _merged(parts)}
        for at in np.flatnonzero(stored.quality <= Quality.BACKFILLED):
            ts = int(stored.ts[at])
            row = made.pop(ts, None)
            if self.first_id is None or stored.low_id[at] < self.first_id:
                continue  # its trades were dropped by retention
            text = "has no trades" if row is None else _difference(stored, int(at), row)
            if text and stored.high_id[at] <= self.last_id:
                yield Finding(self.symbol, "bar", f"{TIMEFRAME} bar {ts} {text}")
        for ts in sorted(made):
            yield Finding(self.symbol, "bar", f"{TIMEFRAME} bar {ts} is missing")


def _bars_of(ids: Ints, ts: Ints, price: Floats, qty: Floats) -> Floats:
    """Return (n, 10) bars: ts, OHLC, volume, quote volume, trades, lowest and highest id."""
    bucket = ts - ts % TIMEFRAME.ms
    order = np.lexsort((ids, bucket))
    bucket, ids, price, qty = bucket[order], ids[order], price[order], qty[order]
    start = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    end = np.append(start[1:], len(ids)) - 1
    return np.column_stack(
        (
            *(bucket[start], price[start]),
            *(np.maximum.reduceat(price, start), np.minimum.reduceat(price, start)),
            *(price[end], np.add.reduceat(qty, start), np.add.reduceat(price * qty, start)),
            *(end - start + 1, ids[start], ids[end]),
        )
    )


def _merged(parts: Floats) -> Iterator[Floats]:
    """Merge the pieces of bars cut by the blocks; they come in order of their ids."""
    parts = parts[np.argsort(parts[:, 0], kind="stable")]
    start = np.flatnonzero(np.concatenate(([True], parts[1:, 0] != parts[:-1, 0])))
    for piece in np.split(parts, start[1:]) if len(parts) else []:
        first = piece[np.argmin(piece[:, 8])]
        last = piece[np.argmax(piece[:, 9])]
        sums = piece[:, 5:8].sum(axis=0)
        extremes = (piece[:, 2].max(), piece[:, 3].min())
        yield np.array([first[0], first[1], *extremes, last[4], *sums, first[8], last[9]])


def _difference(stored: BarRows, at: int, row: Floats) -> str:
    names = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
    for name, value in zip(names, row[1:8].tolist(), strict=True):
        found = float(getattr(stored, name)[at])
        tolerance = VOLUME_TOLERANCE * abs(value) if "volume" in name else 0.0
        if abs(found - value) > tolerance:
            return f"has {name} {found!r}, its trades give {value!r}"
    return ""


def _check_holes(
    symbol: str, found: _Recount, gaps: tuple[Gap, ...], next_id: int
) -> Iterator[Finding]:
    first = next_id if found.first_id is None else found.first_id
    holes = list(found.holes)
    if found.first_id is not None and found.last_id < next_id - 1:
        holes.append((found.last_id + 1, next_id - 1))
    missing = _joined(holes)
    recorded = _joined(
        [(max(gap.first_id, first), gap.last_id) for gap in gaps if gap.last_id >= first]
    )
    for low, high in sorted(set(missing) ^ set(recorded)):
        is_missing = (low, high) in missing
        kind = "are missing and in no gap" if is_missing else "are in a gap but stored"
        yield Finding(symbol, "hole", f"ids {low} to {high} {kind}")


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
