"""The outline of each UTC minute: open, high, low, close, volume, counts and ids.

Everything finer happens inside it (drawing.py), everything coarser is merged from it.

Ids are counted, not stored: every minute of the UTC day has a fixed number of aggregates and of
raw trades, so an id is (day, minute, place), both ways in O(1). Ids start with 1 at `LISTED_MS`.

* Rate: `DEFAULT_RATE` aggregates a second and symbol, times the symbol's weight, the daily cycle
  (±`RATE_CYCLE`, highest at 14:00 UTC) and a lognormal factor per minute of the day (sd 0.25);
  a rate asked for is held in every minute. `TRADES_PER_AGGREGATE` raw trades an aggregate.
* Open and close: the mid at the minute's ends (paths.py) ± half-spread (`HALF_SPREAD_BPS`, at
  least one tick), as the taker bought or sold: the bid-ask bounce.
* High and low: from the law of a Brownian bridge's maximum between open and close, its sd made of
  `INNER_BPS`·loading, the symbol's walk and a tenth of its swings; all symbols share the draw.
* Volume: mean quantity · trades · √σ · a lognormal factor (sd 0.4): it clusters with volatility.
"""

import numpy as np

from simulator.columns import MINUTE_MS, Outlines
from simulator.hashing import Floats, Ints, make_key, normals, uniforms
from simulator.instruments import Instrument
from simulator.paths import MINUTES, Paths, daily_cycle, minutes_between

LISTED_DAY = 18_262  # 2020-01-01
LISTED_MINUTE = LISTED_DAY * MINUTES
LISTED_MS = LISTED_MINUTE * MINUTE_MS
DEFAULT_RATE = 5.0
RATE_CYCLE = 0.35
TRADES_PER_AGGREGATE = 1.5
LEAST_AGGREGATES = 8
HALF_SPREAD_BPS = 0.5
INNER_BPS = 20.0


class Numbering:
    """Ids of one kind of one symbol.

    Args:
        per_minute: (1440,) how many fall into each minute of the day.
    """

    def __init__(self, per_minute: Ints) -> None:
        self.per_minute = per_minute
        self._before: Ints = np.concatenate([[0], np.cumsum(per_minute)])
        self._per_day = int(self._before[-1])

    def first(self, minute: Ints) -> Ints:
        """Return the first id of each UTC minute."""
        days = minute // MINUTES - LISTED_DAY
        first: Ints = 1 + days * self._per_day + self._before[minute % MINUTES]
        return first

    def minute_of(self, number: int) -> int:
        """Return the UTC minute in which an id falls."""
        day, place = divmod(number - 1, self._per_day)
        of_day = int(np.searchsorted(self._before, place, side="right")) - 1
        return (LISTED_DAY + day) * MINUTES + of_day


class Outline:
    """Outlines of one symbol's minutes. `rate` None is the default with its daily cycle."""

    def __init__(
        self, instrument: Instrument, paths: Paths, *, market: str, rate: float | None
    ) -> None:
        self.instrument, self.seed = instrument, paths.seed
        self._paths = paths
        self._name = (paths.seed, market, instrument.symbol)
        counts = self._per_minute(rate)
        trades = np.ceil(counts * TRADES_PER_AGGREGATE).astype(np.int64)
        self.aggregates, self.trades = Numbering(counts), Numbering(trades)

    def key(self, purpose: str) -> int:
        """Return the key of this symbol's draws for a purpose."""
        return make_key(*self._name, purpose)

    def sides(self, purpose: str, minute: Ints) -> Ints:
        """Return who took first or last in each minute: 1 a buyer, -1 a seller."""
        side: Ints = np.where(uniforms(self.key(purpose), minute) < 0.5, -1, 1)
        return side

    def minutes(self, first: int, last: int) -> Outlines:
        """Return the outlines of UTC minutes first … last."""
        instrument = self.instrument
        log_price, sigma = minutes_between(self._paths, instrument, first, last)
        minute = np.arange(first, last + 1, dtype=np.int64)
        mid = np.exp(log_price) * 10.0**instrument.price_decimals
        half = np.maximum(1, np.rint(mid[:-1] * (HALF_SPREAD_BPS * 1e-4))).astype(np.int64)
        ticks = np.maximum(10, np.rint(mid)).astype(np.int64)
        open_ = ticks[:-1] + half * self.sides("open side", minute)
        close = ticks[1:] + half * self.sides("close side", minute)
        deviation = sigma * self._deviation() * mid[:-1]
        high, low = self._extremes(minute, open_, close, deviation)
        count = self.trades.per_minute[minute % MINUTES]
        return Outlines(
            minute=minute,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=self._volume(minute, sigma, count),
            count=count,
            first_trade=self.trades.first(minute),
            aggregates=self.aggregates.per_minute[minute % MINUTES],
            first_aggregate=self.aggregates.first(minute),
            half_spread=half,
            deviation=deviation,
        )

    def _per_minute(self, rate: float | None) -> Ints:
        if rate is not None:
            edges = np.floor(np.arange(MINUTES + 1) * (rate * 60.0) + 1e-6).astype(np.int64)
            held: Ints = np.maximum(np.diff(edges), LEAST_AGGREGATES)
            return held
        noise = np.exp(0.25 * normals(self.key("counts"), np.arange(MINUTES)))
        counts = DEFAULT_RATE * 60.0 * self.instrument.weight * daily_cycle(RATE_CYCLE) * noise
        rounded: Ints = np.maximum(np.rint(counts).astype(np.int64), LEAST_AGGREGATES)
        return rounded

    def _extremes(
        self, minute: Ints, open_: Ints, close: Ints, deviation: Floats
    ) -> tuple[Ints, Ints]:
        gap = (close - open_).astype(np.float64)
        mean = (open_ + close) / 2.0
        found = []
        for name, sign in (("high", 1.0), ("low", -1.0)):
            u = uniforms(make_key(self.seed, name), minute)
            reach = np.sqrt(gap**2 - 2.0 * deviation**2 * np.log(u)) / 2.0
            found.append(np.rint(mean + sign * reach).astype(np.int64))
        high = np.maximum(found[0], np.maximum(open_, close))
        low = np.minimum(found[1], np.minimum(open_, close))
        return high, np.maximum(low, 1)

    def _volume(self, minute: Ints, sigma: Floats, count: Ints) -> Ints:
        lots = self.instrument.mean_qty * 10.0**self.instrument.qty_decimals
        noise = np.exp(0.4 * normals(self.key("volume"), minute) - 0.08)
        total = np.rint(count * np.maximum(lots * np.sqrt(sigma) * noise, 2.0))
        volume: Ints = total.astype(np.int64)
        return volume

    def _deviation(self) -> float:
        """Sd of the log price over one minute of average volatility."""
        i = self.instrument
        # A swing moves about 0.1 of its height in a minute.
        parts = (INNER_BPS * i.loading, i.walk_bps, 0.1 * i.swing_bps)
        return 1e-4 * float(np.sqrt(np.square(parts).sum()))
