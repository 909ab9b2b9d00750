"""What the exchange knows at a time `now_ms`: trades by id and by time, and candles.

Nothing here keeps state but caches: every answer is a function of the arguments. Candles take
OHLC, volume and count from the minutes' outlines (tape.py), which are the trades' own. Quote
volume and taker sums of the last `history_hours` are added up from the trades; older ones are
estimates (volume times the candle's mean price, half taken by buyers, leaning with the move).
One-second candles always come from the trades.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from simulator.candles import SECOND_MS, Candles, add_up, merge, no_candles
from simulator.columns import MINUTE_MS, Aggregates, Outlines, Trades
from simulator.hashing import Ints, make_key, normals
from simulator.instruments import Instrument, make_instrument
from simulator.outline import LISTED_MS
from simulator.paths import Paths
from simulator.streams import Source, make_source
from simulator.tape import Tape, sum_minutes

logger = logging.getLogger(__name__)

_EXACT_ROWS = 2_000_000  # per symbol: what is added up trade by trade stays quick
_BLOCK_ROWS = 200_000
_CACHED_BLOCKS = 100
_MANY_ROWS = 10_000


class Market:
    """All symbols of one exchange.

    Args:
        rate: aggregate trades a second over all symbols together, None for the default.
        history_hours: how far back candles are exact to the last digit, taker sums included.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        market: str = "spot",
        seed: int = 7,
        rate: float | None = None,
        history_hours: float = 6.0,
    ) -> None:
        names = tuple(dict.fromkeys(name.upper() for name in symbols))
        self.seed, self.market = seed, market
        self.has_holes = market == "futures"
        self.instruments: dict[str, Instrument] = {
            name: make_instrument(name, market, seed) for name in names
        }
        paths = Paths(seed)
        each = None if rate is None else rate / len(names)
        self.tapes = {
            name: Tape(instrument, paths, market=market, rate=each)
            for name, instrument in self.instruments.items()
        }
        self._exact_min = {
            name: int(min(history_hours * 60, _EXACT_ROWS / tape.mean_per_minute))
            for name, tape in self.tapes.items()
        }
        if any(minutes < int(history_hours * 60) for minutes in self._exact_min.values()):
            logger.warning(
                "at this rate the quote volumes of candles are exact for %d minutes only",
                min(self._exact_min.values()),
            )
        self._sums: OrderedDict[tuple[str, int], Ints] = OrderedDict()

    def source(self, name: str, now_ms: int) -> Source | None:
        """Return the stream called `name` from `now_ms` on, None if there is no such stream."""
        return make_source(name, self, now_ms)

    def prefetch(self, ts_ms: int) -> None:
        """Draw what will be sent at `ts_ms`, where that takes long; meant for another thread."""
        for tape in self.tapes.values():
            if tape.mean_per_minute > _MANY_ROWS:
                tape.prefetch(ts_ms)

    def newest_aggregate(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last aggregate at or before `now_ms`."""
        return self.tapes[symbol].aggregate_at(now_ms + 1) - 1

    def newest_trade(self, symbol: str, now_ms: int) -> int:
        """Return the id of the last raw trade at or before `now_ms`."""
        return self.tapes[symbol].trade_at(now_ms + 1) - 1

    def aggregate_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id of the first aggregate at or after `ts_ms`."""
        return self.tapes[symbol].aggregate_at(ts_ms)

    def trade_at(self, symbol: str, ts_ms: int) -> int:
        """Return the id of the first raw trade at or after `ts_ms`."""
        return self.tapes[symbol].trade_at(ts_ms)

    def aggregates(self, symbol: str, first: int, last: int) -> Aggregates:
        """Return the aggregates with ids first … last."""
        return self.tapes[symbol].aggregates(first, last)

    def trades(self, symbol: str, first: int, last: int) -> Trades:
        """Return the raw trades with ids first … last."""
        return self.tapes[symbol].trades(first, last)

    def candles(
        self, symbol: str, interval_ms: int, first_ms: int, last_ms: int, now_ms: int
    ) -> Candles:
        """Return the candles that open in first_ms … last_ms, the forming one as of `now_ms`."""
        first_ms = max(first_ms, LISTED_MS)
        first_ms = -(-first_ms // interval_ms) * interval_ms
        last_ms = min(last_ms, now_ms) // interval_ms * interval_ms
        if last_ms < first_ms:
            return no_candles()
        if interval_ms < MINUTE_MS:
            return self._seconds(symbol, first_ms, last_ms, now_ms)
        end_ms = min(last_ms + interval_ms - 1, now_ms)
        rows = self._minutes(symbol, first_ms // MINUTE_MS, end_ms // MINUTE_MS, now_ms)
        return merge(rows, interval_ms)

    def funding(
        self, symbol: str, first: int, last: int, every_ms: int
    ) -> list[tuple[int, int, int]]:
        """Return (time, rate · 10⁸, mark price in ticks) of funding events number first … last."""
        if last < first:
            return []
        number = np.arange(first, last + 1, dtype=np.int64)
        noise = normals(make_key(self.seed, "funding", symbol), number)
        rates = np.rint(10_000 + 6_000 * noise).astype(np.int64)
        tape = self.tapes[symbol]
        return [
            (n * every_ms, rate, int(tape.outline.minutes(minute, minute).open[0]))
            for n, rate, minute in zip(
                number.tolist(),
                rates.tolist(),
                (number * every_ms // MINUTE_MS).tolist(),
                strict=True,
            )
        ]

    def _minutes(self, symbol: str, first: int, last: int, now_ms: int) -> Candles:
        """One-minute candles; the last one may be forming."""
        minutes = self.tapes[symbol].outline.minutes(first, last)
        exact_from = now_ms // MINUTE_MS - self._exact_min[symbol]
        volume = minutes.volume
        mean = (minutes.open + minutes.high + minutes.low + minutes.close) // 4
        lean = 0.5 + 0.1 * np.tanh((minutes.close - minutes.open) / (minutes.deviation + 1.0))
        taker = (volume * lean).astype(np.int64)
        sums = np.stack([volume * mean, taker, taker * mean])
        if last >= exact_from:
            start = max(first, exact_from)
            sums[:, start - first :] = self._exact_sums(symbol, start, last)
        rows = _from_outlines(minutes, sums)
        if now_ms < (last + 1) * MINUTE_MS - 1:
            _overwrite(rows, len(rows) - 1, self._forming(symbol, last, now_ms))
        return rows

    def _exact_sums(self, symbol: str, first: int, last: int) -> Ints:
        """(3, n) quote volume, taker volume, taker quote volume, from the trades."""
        tape, parts = self.tapes[symbol], []
        width = max(1, min(60, int(_BLOCK_ROWS / tape.mean_per_minute)))
        for block in range(first // width, last // width + 1):
            found = self._sums.get((symbol, block))
            if found is None:
                found = sum_minutes(tape, block * width, block * width + width - 1)
                self._sums[(symbol, block)] = found
                while len(self._sums) > _CACHED_BLOCKS * len(self.tapes):
                    self._sums.popitem(last=False)
            parts.append(found)
        start = first % width
        return np.concatenate(parts, axis=1)[:, start : start + last - first + 1]

    def _forming(self, symbol: str, minute: int, now_ms: int) -> Candles:
        return self._group(symbol, minute * MINUTE_MS, minute * MINUTE_MS, MINUTE_MS, now_ms)

    def _seconds(self, symbol: str, first_ms: int, last_ms: int, now_ms: int) -> Candles:
        return self._group(symbol, first_ms, last_ms, SECOND_MS, now_ms)

    def _group(
        self, symbol: str, first_ms: int, last_ms: int, width_ms: int, now_ms: int
    ) -> Candles:
        """Candles of `width_ms` added up from aggregates; one without trades repeats the close."""
        tape = self.tapes[symbol]
        begin = tape.aggregate_at(first_ms)
        stop = tape.aggregate_at(min(last_ms + width_ms, now_ms + 1))
        # One more before the span: the close that an empty first candle repeats.
        rows = tape.aggregates(begin - 1, stop - 1)
        before, rows_from = (int(rows.price[0]), 1) if begin > 1 else (0, 0)
        ts = np.arange(first_ms, last_ms + 1, width_ms, dtype=np.int64)
        cut = rows_from + np.searchsorted(rows.ts[rows_from:], ts)
        edges = np.append(cut, len(rows.ts))
        return add_up(rows, ts, edges, before)


def _from_outlines(minutes: Outlines, sums: Ints) -> Candles:
    return Candles(
        ts=minutes.minute * MINUTE_MS,
        open=minutes.open,
        high=minutes.high,
        low=minutes.low,
        close=minutes.close,
        volume=minutes.volume,
        quote=sums[0],
        count=minutes.count,
        taker_volume=sums[1],
        taker_quote=sums[2],
        first=minutes.first_trade,
        last=minutes.first_trade + minutes.count - 1,
    )


def _overwrite(rows: Candles, place: int, one: Candles) -> None:
    for field in fields(Candles):
        getattr(rows, field.name)[place] = getattr(one, field.name)[0]
