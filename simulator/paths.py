"""Log prices on the minute grid, one UTC day at a time, each day from its number alone.

The log price of a symbol is  ln(level) + loading·F + W + s + L + d, with

* F, the factor all share: a walk of `FACTOR_BPS` a minute plus stationary waves, a damped cycle of
  `WAVE_MIN` minutes with an sd of `WAVE_BPS`: they move every symbol far within an hour, as trends
  do, so that a hedge ratio of 50 minutes can be told from the data;
* W, the symbol's own walk; every walk is tied at midnight to a slow AR(1) over days
  (half-life `DAY_HALF_LIFE` days), so it wanders like a random walk for days and stays near its
  level over years;
* s, stationary: one swing in every slot of `SWING_MIN` minutes, somewhere in its first 7, up and
  down in turn. It rises for 5 minutes, stays for 4 and falls for 5; its height is
  `swing_bps`·√σ_t, give or take 10 %. Beside it AR(1) noise of 3 bps, half-life 10 minutes. An
  AR(1) regression on s finds a half-life of about 20 minutes; its sd is 0.4 of `swing_bps`;
* L (symbols with `breaks`): in 6-hour slots, of which `BREAK_SHARE` are broken, the level walks to
  a new value by a random walk; elsewhere it stays (it forgets 7 % a slot);
* d (symbols with `decouples`): in 2-hour slots, of which `DECOUPLED_SHARE` are decoupled, an extra
  AR(1) of `DECOUPLED_BPS` with a half-life of 7 minutes fades in and out, which takes the
  correlation of returns below 0.7 while it lasts.

Volatility σ_t multiplies the steps of F, W and d and the noise in s, its root the waves: a daily
cycle (±`CYCLE`, highest at 14:00 UTC) times exp(h), h Gaussian with sd `VOL_SD` and a half-life
of 4 hours: it comes in clusters.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from simulator.hashing import Floats, Ints, make_key, normals, uniforms
from simulator.instruments import Instrument

MINUTES = 1440
FACTOR_BPS = 28.0
WAVE_BPS = 190.0
WAVE_MIN = 60
DAY_HALF_LIFE = 10.0
CYCLE = 0.2
VOL_SD = 0.2
BREAK_SHARE = 0.35
BREAK_WALK_BPS = 14.0
DECOUPLED_SHARE = 0.06
DECOUPLED_BPS = 100.0
SWING_MIN = 30

_DAY_TAPS = 64
_NOISE_TAPS = 100
_SWING = np.convolve(np.clip((9.0 - np.arange(9)) / 5.0, 0.0, 1.0), np.full(5, 0.2))
_LAGS = np.arange(400)
_WAVE = np.convolve(0.975**_LAGS * np.cos(2.0 * np.pi * _LAGS / WAVE_MIN), np.full(6, 1.0 / 6.0))
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
        factor = _cached(self._factor, day, lambda: self._make_factor(day))
        path = np.log(instrument.level) + instrument.loading * factor
        if instrument.walk_bps:
            path = path + self._walk(instrument.symbol, day, instrument.walk_bps)
        if instrument.swing_bps:
            path = path + self._swings(instrument.symbol, day, instrument.swing_bps)
            path = path + self._noise(instrument.symbol, day, 3.0, 0.5**0.1)
        if instrument.breaks:
            path = path + self._broken_level(instrument.symbol, day)
        if instrument.decouples:
            path = path + self._decoupling(instrument.symbol, day)
        # Rounded so that the last bit of exp, log or a dot product on another machine is harmless.
        rounded: Floats = np.round(path, 9)
        return rounded

    def _make_factor(self, day: int) -> Floats:
        taps = _WAVE * (WAVE_BPS * 1e-4 / np.sqrt((_WAVE**2).sum()))
        minute, sigma = self._minutes_until(day, len(taps))
        shocks = np.sqrt(sigma) * normals(self._key("wave"), minute)
        factor: Floats = self._walk("factor", day, FACTOR_BPS)
        return factor + np.convolve(shocks, taps, mode="valid")

    def _make_volatility(self, day: int) -> Floats:
        per_day = MINUTES // _KNOT_MIN
        knots = day * per_day + np.arange(-_KNOT_TAPS + 1, per_day + 1)
        taps = 0.5 ** (np.arange(_KNOT_TAPS) / 8.0)
        taps *= VOL_SD / np.sqrt((taps**2).sum())
        h = np.convolve(normals(self._key("volatility"), knots), taps, mode="valid")
        minutes = np.interp(np.arange(MINUTES) / _KNOT_MIN, np.arange(per_day + 1), h)
        sigma: Floats = self._cycle * np.exp(minutes - VOL_SD**2)
        return sigma

    def _walk(self, name: str, day: int, step_bps: float) -> Floats:
        decay = 0.5 ** (1.0 / DAY_HALF_LIFE)
        step = step_bps * 1e-4
        shocks = normals(self._key("days", name), day + np.arange(-_DAY_TAPS + 1, 2))
        shocks *= step * np.sqrt(MINUTES)
        start, end = np.convolve(shocks, decay ** np.arange(_DAY_TAPS), mode="valid")
        sigma = step * self.volatility(day)
        minute = day * MINUTES + np.arange(MINUTES)
        moves = sigma * normals(self._key("minutes", name), minute)
        return _tie(moves, sigma**2, start, end)

    def _swings(self, name: str, day: int, height_bps: float) -> Floats:
        per_day = MINUTES // SWING_MIN
        slot = day * per_day + np.arange(-1, per_day + 1)
        at = (uniforms(self._key("swing at", name), slot) * 7.0).astype(np.int64)
        sign = np.where(slot % 2 == 0, 1.0, -1.0)
        size = np.exp(0.1 * normals(self._key("swing size", name), slot))
        minute = slot * SWING_MIN + at
        sigma = np.concatenate([self.volatility(day + shift) for shift in (-1, 0, 1)])
        sigma = np.sqrt(sigma[minute - (day - 1) * MINUTES])
        height = height_bps * 1e-4 * sign * size * sigma
        shocks = np.zeros(SWING_MIN * len(slot))
        shocks[minute - slot[0] * SWING_MIN] = height
        return np.convolve(shocks, _SWING)[SWING_MIN : SWING_MIN + MINUTES + 1]

    def _noise(self, name: str, day: int, sd_bps: float, decay: float) -> Floats:
        taps = decay ** np.arange(_NOISE_TAPS)
        taps *= sd_bps * 1e-4 / np.sqrt((taps**2).sum())
        minute, sigma = self._minutes_until(day, _NOISE_TAPS)
        noise = sigma * normals(self._key("noise", name), minute)
        return np.convolve(noise, taps, mode="valid")

    def _minutes_until(self, day: int, taps: int) -> tuple[Ints, Floats]:
        """The minutes of a day, its end and what `taps` reach back to; and σ of each."""
        minute = day * MINUTES + np.arange(-taps + 1, MINUTES + 1)
        sigma = np.concatenate(
            [self.volatility(day - 1), self.volatility(day), self.volatility(day + 1)[:1]]
        )
        return minute, sigma[-len(minute) :]

    def _key(self, purpose: str, name: str = "") -> int:
        return make_key(self.seed, purpose, name)

    def _broken_level(self, name: str, day: int) -> Floats:
        slots = MINUTES // _BREAK_MIN
        first = day * slots
        index = first + np.arange(-_BREAK_TAPS + 1, slots + 1)
        is_broken = uniforms(self._key("broken", name), index) < BREAK_SHARE
        size = BREAK_WALK_BPS * 1e-4 * np.sqrt(_BREAK_MIN)
        shifts = size * is_broken * normals(self._key("shift", name), index)
        levels = np.convolve(shifts, 0.93 ** np.arange(_BREAK_TAPS), mode="valid")
        minute = day * MINUTES + np.arange(MINUTES)
        noise = normals(self._key("break walk", name), minute)
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
            uniforms(self._key("decoupled", name), day * slots + np.arange(slots)) < DECOUPLED_SHARE
        )
        if not chosen.any():
            return np.zeros(MINUTES + 1)
        x = np.arange(_DECOUPLED_MIN) / _DECOUPLED_MIN
        envelope = np.append(np.outer(chosen, np.sin(np.pi * x) ** 0.5).ravel(), 0.0)
        return envelope * self._noise(name + " decoupled", day, DECOUPLED_BPS, 0.9)


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
