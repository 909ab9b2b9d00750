"""How Binance writes things: stream payloads and REST rows of both dialects, from integers.

Rule 1: no float is formatted anywhere: prices are ticks, quantities lots, quotes ticks·lots.
Rule 2: payloads are made one symbol at a time from columns, with one %-format per row.
Rule 3: futures raw ids have holes, as the real ones do: every `HOLE_EVERY`-th id is no trade (the
fault `non_trades` sends a record there). Spot ids and aggregate ids have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.candles import Candles
from simulator.columns import Aggregates, Trades
from simulator.hashing import Ints
from simulator.instruments import Instrument

SPOT_DECIMALS = 8
HOLE_EVERY = 16
_BOOL = ("false", "true")


@dataclass(frozen=True, slots=True)
class Decimal:
    """Writes integers scaled by 10^digits as decimals; `shown` digits, zeros added."""

    digits: int
    shown: int

    def text(self, value: int) -> str:
        """Return `value` as a plain decimal number."""
        whole, part = divmod(value, 10**self.digits)
        if not self.shown:
            return str(whole)
        return f"{whole}.{part:0{self.digits}d}" + "0" * (self.shown - self.digits)

    def texts(self, values: Sequence[int]) -> list[str]:
        """Return each value as a plain decimal number."""
        scale = 10**self.digits
        form = f"%d.%0{self.digits}d" + "0" * (self.shown - self.digits)
        return [form % (value // scale, value % scale) for value in values]


class Dialect:
    """Spot or futures wording for one symbol.

    Args:
        has_holes: whether every `HOLE_EVERY`-th raw id is left out.
    """

    def __init__(self, instrument: Instrument, market: str, *, has_holes: bool) -> None:
        self.instrument, self._has_holes = instrument, has_holes
        self.is_spot = market == "spot"
        p, q = instrument.price_decimals, instrument.qty_decimals
        shown = (SPOT_DECIMALS,) * 3 if self.is_spot else (p, q, p + q)
        self.price = Decimal(p, shown[0])
        self.qty = Decimal(q, shown[1])
        self.quote = Decimal(p + q, shown[2])
        symbol = instrument.symbol
        if self.is_spot:
            self._aggregate = (
                f'{{"e":"aggTrade","E":%d,"s":"{symbol}","a":%d,"p":"%s","q":"%s",'
                '"f":%d,"l":%d,"T":%d,"m":%s,"M":true}'
            )
            self._trade = (
                f'{{"e":"trade","E":%d,"s":"{symbol}","t":%d,"p":"%s","q":"%s",'
                '"T":%d,"m":%s,"M":true}'
            )
        else:
            self._aggregate = (
                f'{{"e":"aggTrade","E":%d,"s":"{symbol}","a":%d,"p":"%s","q":"%s","nq":"%s",'
                '"f":%d,"l":%d,"T":%d,"m":%s,"st":1}'
            )
            self._trade = (
                f'{{"e":"trade","E":%d,"T":%d,"s":"{symbol}","t":%d,"p":"%s","q":"%s",'
                '"X":"MARKET","m":%s,"st":1}'
            )

    def raw_ids(self, numbers: Ints) -> Ints:
        """Return the ids under which raw trades number 1, 2, … are known; -1 stays -1."""
        if not self._has_holes:
            return numbers
        return np.where(numbers < 0, numbers, numbers + (numbers - 1) // (HOLE_EVERY - 1))

    def aggregate_frames(self, rows: Aggregates, events: Sequence[int]) -> list[str]:
        """Return the `aggTrade` payloads of `rows`; `events` are their event times E."""
        price = self.price.texts(rows.price.tolist())
        qty = self.qty.texts(rows.qty.tolist())
        ids, ts = rows.id.tolist(), rows.ts.tolist()
        first, last = self.raw_ids(rows.first).tolist(), self.raw_ids(rows.last).tolist()
        maker = [_BOOL[flag] for flag in rows.is_buyer_maker.tolist()]
        quantities = (qty,) if self.is_spot else (qty, qty)
        form = self._aggregate
        return [
            form % values
            for values in zip(events, ids, price, *quantities, first, last, ts, maker, strict=True)
        ]

    def trade_frames(self, rows: Trades, events: Sequence[int]) -> list[str]:
        """Return the `trade` payloads of `rows`; `events` are their event times E."""
        price = self.price.texts(rows.price.tolist())
        qty = self.qty.texts(rows.qty.tolist())
        ids, ts = self.raw_ids(rows.id).tolist(), rows.ts.tolist()
        maker = [_BOOL[flag] for flag in rows.is_buyer_maker.tolist()]
        order = (
            (events, ids, price, qty, ts, maker)
            if self.is_spot
            else (events, ts, ids, price, qty, maker)
        )
        form = self._trade
        return [form % values for values in zip(*order, strict=True)]

    def kline_frame(self, rows: Candles, interval: str, interval_ms: int, event: int) -> str:
        """Return the `kline` payload of the last candle in `rows`, as of time `event`."""
        start = int(rows.ts[-1])
        is_closed = event >= start + interval_ms
        return (
            f'{{"e":"kline","E":{event},"s":"{self.instrument.symbol}","k":{{"t":{start},'
            f'"T":{start + interval_ms - 1},"s":"{self.instrument.symbol}","i":"{interval}",'
            f'"f":{self.raw_ids(rows.first)[-1]},"L":{self.raw_ids(rows.last)[-1]},'
            f'"o":"{self.price.text(int(rows.open[-1]))}",'
            f'"c":"{self.price.text(int(rows.close[-1]))}",'
            f'"h":"{self.price.text(int(rows.high[-1]))}",'
            f'"l":"{self.price.text(int(rows.low[-1]))}",'
            f'"v":"{self.qty.text(int(rows.volume[-1]))}","n":{rows.count[-1]},'
            f'"x":{_BOOL[is_closed]},"q":"{self.quote.text(int(rows.quote[-1]))}",'
            f'"V":"{self.qty.text(int(rows.taker_volume[-1]))}",'
            f'"Q":"{self.quote.text(int(rows.taker_quote[-1]))}","B":"0"}}}}'
        )

    def aggregate_rows(self, rows: Aggregates) -> str:
        """Return the JSON array of GET aggTrades."""
        price = self.price.texts(rows.price.tolist())
        qty = self.qty.texts(rows.qty.tolist())
        maker = [_BOOL[flag] for flag in rows.is_buyer_maker.tolist()]
        form = '{"a":%d,"p":"%s","q":"%s","f":%d,"l":%d,"T":%d,"m":%s,"M":true}'
        first, last = self.raw_ids(rows.first).tolist(), self.raw_ids(rows.last).tolist()
        columns = [price, qty, first, last, rows.ts.tolist(), maker]
        if not self.is_spot:
            form = '{"a":%d,"p":"%s","q":"%s","nq":"%s","f":%d,"l":%d,"T":%d,"m":%s}'
            columns.insert(1, qty)
        ids = rows.id.tolist()
        return "[" + ",".join([form % v for v in zip(ids, *columns, strict=True)]) + "]"

    def trade_rows(self, rows: Trades) -> str:
        """Return the JSON array of GET trades and historicalTrades."""
        price = self.price.texts(rows.price.tolist())
        qty = self.qty.texts(rows.qty.tolist())
        quote = self.quote.texts((rows.price * rows.qty).tolist())
        maker = [_BOOL[flag] for flag in rows.is_buyer_maker.tolist()]
        last = '"isBestMatch":true' if self.is_spot else '"isRPITrade":false'
        form = (
            '{"id":%d,"price":"%s","qty":"%s","quoteQty":"%s","time":%d,"isBuyerMaker":%s,'
            + last
            + "}"
        )
        columns = (self.raw_ids(rows.id).tolist(), price, qty, quote, rows.ts.tolist(), maker)
        return "[" + ",".join([form % v for v in zip(*columns, strict=True)]) + "]"

    def candle_rows(self, rows: Candles, interval_ms: int) -> str:
        """Return the JSON array of GET klines."""
        columns = (
            rows.ts.tolist(),
            self.price.texts(rows.open.tolist()),
            self.price.texts(rows.high.tolist()),
            self.price.texts(rows.low.tolist()),
            self.price.texts(rows.close.tolist()),
            self.qty.texts(rows.volume.tolist()),
            (rows.ts + (interval_ms - 1)).tolist(),
            self.quote.texts(rows.quote.tolist()),
            rows.count.tolist(),
            self.qty.texts(rows.taker_volume.tolist()),
            self.quote.texts(rows.taker_quote.tolist()),
        )
        form = '[%d,"%s","%s","%s","%s","%s",%d,"%s",%d,"%s","%s","0"]'
        return "[" + ",".join([form % v for v in zip(*columns, strict=True)]) + "]"
