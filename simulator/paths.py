"""Log prices on the minute grid, one UTC day at a time, each day from its number alone.

The log price of a symbol is  ln(level) + loading·F + W + s + L + d, with

* F, the factor all share: a walk of `FACTOR_BPS` a minute;
* W, the symbol's own walk; every walk is tied at midnight to a slow AR(1) over days
  (half-life `DAY_HALF_LIFE` days), so it wanders like a random walk for days and stays near its
  level over years;
* s, stationary: the moving average Σ_k damping^k·cos(2πk/cycle_min)·σ_{t-k}·ε_{t-k}, a damped
  cycle. Its autocorrelation after k minutes is close to damping^k·cos(2πk/cycle_min), so the
  half-life an AR(1) regression finds is ln 2 / -ln(that at k=1): tens of minutes;
* L (symbols with `breaks`): in 6-hour slots, of which `BREAK_SHARE` are broken, the level walks to
  a new value by a random walk; elsewhere it stays (it forgets 7 % a slot);
* d (symbols with `decouples`): in 2-hour slots, of which `DECOUPLED_SHARE` are decoupled, an extra
  quick stationary part of `DECOUPLED_BPS` fades in and out, which takes the correlation of
  returns below 0.7 while it lasts.

Volatility σ_t multiplies F, W, s and d alike: a daily cycle (±`CYCLE`, highest at 14:00 UTC)
times exp(h), h Gaussian with sd `VOL_SD` and a half-life of 4 hours: clusters.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from simulator.hashing import Floats, make_key, normals, uniforms
from simulator.instruments import Instrument

MINUTES = 1440
FACTOR_BPS = 20.0
DAY_HALF_LIFE = 10.0
CYCLE = 0.3
VOL_SD = 0.3
BREAK_SHARE = 0.35
BREAK_WALK_BPS = 14.0
DECOUPLED_SHARE = 0.06
DECOUPLED_BPS = 70.0

_DAY_TAPS = 64
_SPREAD_TAPS = 480
_KNOT_MIN, _KNOT_TAPS = 30, 32
_BREAK_MIN, _BREAK_TAPS = 360, 40
_DECOUPLED_MIN = 120
_CACHED_DAYS = 64

K = TypeVar("K", bound=Hashable)


def daily_cycle(amplitude: float) -> Floats:
    """Return (1440,) the activity of each minute of the UTC day, mean 1, highest at 14:00."""
    angle = 2.0 * np.pi * (np.arange(MINUTES) / MINUTES - 14.0 / 24.0)
    return 1.0 + amplitude * np.cos(angle)


class Paths:
    """The price paths of one seed; values do not depend on the order in which they are read."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._vol: OrderedDict[int, Floats] = OrderedDict()
        self._factor: OrderedDict[int, Floats] = OrderedDict()
        self._own: OrderedDict[tuple[str, int], Floats] = OrderedDict()
        self._cycle = daily_cycle(CYCLE)

    def volatility(self, day: int) -> Floats:
        """Return (1440,) σ of each minute of `day`, relative to the average."""
        return _cached(self._vol, day, lambda: self._make_volatility(day))

    def log_price(self, instrument: Instrument, day: int) -> Floats:
        """Return (1441,) the log mid price at each minute's start, and at the day's end."""
        key = (instrument.symbol, day)
        return _cached(self._own, key, lambda: self._make_log_price(instrument, day))

    def _make_log_price(self, instrument: Instrument, day: int) -> Floats:
        factor = _cached(self._factor, day, lambda: self._walk("factor", day, FACTOR_BPS))
        path = np.log(instrument.level) + instrument.loading * factor
        if instrument.walk_bps:
            path = path + self._walk(instrument.symbol, day, instrument.walk_bps)
        if instrument.spread_bps:
            path = path + self._stationary(
                instrument.symbol,
                day,
                instrument.spread_bps,
                instrument.damping,
                instrument.cycle_min,
            )
        if instrument.breaks:
            path = path + self._broken_level(instrument.symbol, day)
        if instrument.decouples:
            path = path + self._decoupling(instrument.symbol, day)
        # Rounded so that the last bit of exp, log or a dot product on another machine is harmless.
        return np.round(path, 9)

    def _make_volatility(self, day: int) -> Floats:
        per_day = MINUTES // _KNOT_MIN
        knots = day * per_day + np.arange(-_KNOT_TAPS + 1, per_day + 1)
        taps = 0.5 ** (np.arange(_KNOT_TAPS) / 8.0)
        taps *= VOL_SD / np.sqrt((taps**2).sum())
        h = np.convolve(normals(make_key(self.seed, "volatility"), knots), taps, mode="valid")
        minutes = np.interp(np.arange(MINUTES) / _KNOT_MIN, np.arange(per_day + 1), h)
        return self._cycle * np.exp(minutes - VOL_SD**2)

    def _walk(self, name: str, day: int, step_bps: float) -> Floats:
        decay = 0.5 ** (1.0 / DAY_HALF_LIFE)
        step = step_bps * 1e-4
        shocks = normals(make_key(self.seed, "days", name), day + np.arange(-_DAY_TAPS + 1, 2))
        shocks *= step * np.sqrt(MINUTES)
        start, end = np.convolve(shocks, decay ** np.arange(_DAY_TAPS), mode="valid")
        sigma = step * self.volatility(day)
        minute = day * MINUTES + np.arange(MINUTES)
        moves = sigma * normals(make_key(self.seed, "minutes", name), minute)
        return _tie(moves, sigma**2, start, end)

    def _stationary(
        self, name: str, day: int, sd_bps: float, damping: float, cycle_min: float
    ) -> Floats:
        lags = np.arange(_SPREAD_TAPS)
        taps = damping**lags * np.cos(2.0 * np.pi * lags / cycle_min)
        taps *= sd_bps * 1e-4 / np.sqrt((taps**2).sum())
        minute = day * MINUTES + np.arange(-_SPREAD_TAPS + 1, MINUTES + 1)
        sigma = np.concatenate(
            [self.volatility(day - 1), self.volatility(day), self.volatility(day + 1)[:1]]
        )[-len(minute) :]
        noise = sigma * normals(make_key(self.seed, "stationary", name), minute)
        return np.convolve(noise, taps, mode="valid")

    def _broken_level(self, name: str, day: int) -> Floats:
        slots = MINUTES // _BREAK_MIN
        first = day * slots
        index = first + np.arange(-_BREAK_TAPS + 1, slots + 1)
        is_broken = uniforms(make_key(self.seed, "broken", name), index) < BREAK_SHARE
        size = BREAK_WALK_BPS * 1e-4 * np.sqrt(_BREAK_MIN)
        shifts = size * is_broken * normals(make_key(self.seed, "shift", name), index)
        levels = np.convolve(shifts, 0.93 ** np.arange(_BREAK_TAPS), mode="valid")
        minute = day * MINUTES + np.arange(MINUTES)
        noise = normals(make_key(self.seed, "break walk", name), minute)
        parts = []
        for slot in range(slots):
            span = slice(slot * _BREAK_MIN, (slot + 1) * _BREAK_MIN)
            step = BREAK_WALK_BPS * 1e-4 * is_broken[_BREAK_TAPS + slot]
            even = np.ones(_BREAK_MIN)
            parts.append(_tie(step * noise[span], even, levels[slot], levels[slot + 1])[:-1])
        return np.append(np.concatenate(parts), levels[slots])

    def _decoupling(self, name: str, day: int) -> Floats:
        slots = MINUTES // _DECOUPLED_MIN
        chosen = (
            uniforms(make_key(self.seed, "decoupled", name), day * slots + np.arange(slots))
            < DECOUPLED_SHARE
        )
        if not chosen.any():
            return np.zeros(MINUTES + 1)
        x = np.arange(_DECOUPLED_MIN) / _DECOUPLED_MIN
        envelope = np.append(np.outer(chosen, np.sin(np.pi * x) ** 0.5).ravel(), 0.0)
        return envelope * self._stationary(name + " decoupled", day, DECOUPLED_BPS, 0.9, 1e9)


def _tie(moves: Floats, variance: Floats, start: float, end: float) -> Floats:
    """Return the running sum of `moves` from `start`, bent to reach `end` (a Brownian bridge)."""
    total = np.concatenate([[0.0], np.cumsum(moves)])
    share = np.concatenate([[0.0], np.cumsum(variance)])
    share /= share[-1]
    path: Floats = start + total + share * (end - start - total[-1])
    return path


def _cached(store: OrderedDict[K, Floats], key: K, make: Callable[[], Floats]) -> Floats:
    found = store.get(key)
    if found is None:
        found = store[key] = make()
        found.setflags(write=False)
        while len(store) > _CACHED_DAYS:
            store.popitem(last=False)
    return found


def minutes_between(
    paths: Paths, instrument: Instrument, first: int, last: int
) -> tuple[Floats, Floats]:
    """Return log prices at the starts of UTC minutes first … last+1, and σ of first … last."""
    days = range(first // MINUTES, last // MINUTES + 1)
    offset = first - days[0] * MINUTES
    count = last - first + 1
    prices = [paths.log_price(instrument, day)[:-1] for day in days]
    prices.append(paths.log_price(instrument, days[-1])[-1:])
    sigma = np.concatenate([paths.volatility(day) for day in days])
    joined = np.concatenate(prices)
    return joined[offset : offset + count + 1], sigma[offset : offset + count]
