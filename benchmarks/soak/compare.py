"""What is stored against what happened: by id, to the last digit.

The simulated market is a pure function of seed and time, so it is made again here; a few pages of
the running exchange's REST prove that it is the same one.
"""

import random
from dataclasses import dataclass

import numpy as np

from benchmarks.soak.processes import SEED, SYMBOLS, App, Exchange, get
from model import Stream
from simulator.market import Market
from storage.check import Finding, check
from storage.store import Store

PAGES = 5


@dataclass
class Comparison:
    """`equal` trades of the span are stored and right; the others are listed by kind."""

    equal: int = 0
    missing: int = 0
    wrong: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is missing, wrong or inconsistent."""
        return not (self.missing or self.wrong or self.findings)


def marks_of(app: App, venue: str) -> dict[str, int]:
    """Return per symbol the id after the last one committed."""
    with _open(app, venue) as store:
        return {symbol: mark.next_id for symbol, mark in store.marks().items()}


def compare(
    app: App, exchange: Exchange, first: dict[str, int], stop: dict[str, int]
) -> Comparison:
    """Compare the ids first … stop − 1 of every symbol, then bars with trades, then the file."""
    found = Comparison()
    market = Market(SYMBOLS, market=exchange.market, seed=SEED, rate=exchange.rate)
    with _open(app, f"binance-{exchange.market}") as store:
        for symbol in SYMBOLS:
            _prove(market, exchange, symbol, first[symbol], stop[symbol])
            rules = market.instruments[symbol]
            following = first[symbol]
            for block in store.read_trades(symbol):
                keep = (block.ids >= first[symbol]) & (block.ids < stop[symbol])
                ids = block.ids[keep]
                if not len(ids):
                    continue
                found.missing += int(ids[-1]) + 1 - following - len(ids)
                following = int(ids[-1]) + 1
                want = market.aggregates(symbol, int(ids[0]), int(ids[-1]))
                where = ids - int(ids[0])
                is_equal = (
                    (want.id[where] == ids)
                    & (want.ts[where] == block.ts[keep])
                    & (want.price[where] / 10.0**rules.price_decimals == block.price[keep])
                    & (want.qty[where] / 10.0**rules.qty_decimals == block.qty[keep])
                    & (want.is_buyer_maker[where].astype(np.bool_) == block.buyer_maker[keep])
                )
                found.equal += int(is_equal.sum())
                found.wrong += int((~is_equal).sum())
            found.missing += stop[symbol] - following
        found.findings = tuple(check(store))
    return found


def _prove(market: Market, exchange: Exchange, symbol: str, first: int, stop: int) -> None:
    base = "/api/v3" if exchange.market == "spot" else "/fapi/v1"
    for _ in range(PAGES):
        start = random.randrange(first, max(first + 1, stop - 1000))
        rows = get(exchange.port, f"{base}/aggTrades?symbol={symbol}&fromId={start}&limit=1000")
        want = market.aggregates(symbol, rows[0]["a"], rows[-1]["a"])
        assert [row["a"] for row in rows] == want.id.tolist()
        assert [row["T"] for row in rows] == want.ts.tolist()


def _open(app: App, venue: str) -> Store:
    return Store.open(f"sqlite:///{app.database}", venue=venue, stream=Stream.AGG_TRADE)
