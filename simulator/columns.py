"""The columns that everything is made of: minutes' outlines, aggregates, raw trades.

Prices are int ticks, quantities int lots, times int milliseconds UTC.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from simulator.hashing import Floats, Ints

MINUTE_MS = 60_000

T = TypeVar("T", "Aggregates", "Trades")


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outline of consecutive minutes, (n,) each.

    `deviation` is the sd of the mid over the minute, in ticks; `first_*` are ids.
    """

    minute: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    count: Ints
    first_trade: Ints
    aggregates: Ints
    first_aggregate: Ints
    half_spread: Ints
    deviation: Floats


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Aggregate trades by id, (n,) each; `is_buyer_maker` is 0 or 1."""

    id: Ints
    price: Ints
    qty: Ints
    first: Ints
    last: Ints
    ts: Ints
    is_buyer_maker: Ints


@dataclass(frozen=True, slots=True)
class Trades:
    """Raw trades by id, (n,) each; `aggregate` is the id of the aggregate each belongs to."""

    id: Ints
    price: Ints
    qty: Ints
    ts: Ints
    is_buyer_maker: Ints
    aggregate: Ints


def take(rows: T, where: slice) -> T:
    """Return the rows at `where`."""
    return type(rows)(*(getattr(rows, field.name)[where] for field in fields(rows)))


def join(parts: list[T]) -> T:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(parts[0])]
    return type(parts[0])(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
