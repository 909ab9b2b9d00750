"""At which price of Y, X unchanged, the newest row's z would stand at a level: exactly.

The newest spread is part of its own mean and deviation, and under a rolling fit of its own α and
β as well; all of that is solved for, so that a row closing at the price has that very z.
"""

import math

import numpy as np

from analytics.series import PairSeries
from model import Floats, TriggerPrices
from params import Params

NEWTON_STEPS = 12


def trigger_prices(series: PairSeries, params: Params, row: int, side: int) -> TriggerPrices:
    """Return the prices of Y at which the signal of `row` would change.

    Args:
        row: the row whose Y price is thought to be another.
        side: of the position or signal whose exit is asked for; 0 = none.
    Returns:
        TriggerPrices in quote currency; NaN where z is unknown or no price gives that z.
    """
    levels = np.array([params.entry, -params.entry, -side * params.exit if side else math.nan])
    prices = price_at(series, params, row, levels)
    return TriggerPrices(*map(float, prices))


def price_at(series: PairSeries, params: Params, row: int, levels: Floats) -> Floats:
    """Return Y's prices at which the z of `row` would be each of `levels`.

    Args:
        levels: (m,) z values below the largest a window can show.
    Returns:
        (m,) prices, NaN where z is unknown.
    """
    rows = row - int(series.start[row]) + 1
    needed = 1 if params.z_method == "innovation" else params.window
    if params.hedge_method in ("ols", "tls"):
        needed = max(needed, params.hedge_rows)
    if rows < needed or not math.isfinite(series.zscore[row]):
        return np.full(len(levels), math.nan)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        spread = _spread_at(series, params, row, levels)
        if params.hedge_method == "tls":
            p = _tls_price(series, params, row, spread)
        else:
            p_now = _scaled(series.price_y[row : row + 1], params)[0]
            p = p_now + (spread - series.spread[row]) / _slope(series, params, row)
        prices = np.exp(p) if params.price_scale == "log" else p
    return np.where(np.isfinite(prices) & (prices > 0), prices, math.nan)


def _scaled(prices: Floats, params: Params) -> Floats:
    result: Floats = np.log(prices) if params.price_scale == "log" else prices
    return result


def _spread_at(series: PairSeries, params: Params, row: int, z: Floats) -> Floats:
    if params.z_method == "innovation":
        result: Floats = series.mean[row] + z * series.sd[row]
        return result
    # With the w − 1 spreads before it fixed (mean m, sum of squares ss) and q = (w − 1)/w, the
    # newest value m + d has z = d·q / √((ss + q·d²)/(w − 1)); solved for d.
    w = params.window
    others = series.spread[row - w + 1 : row]
    m = others.mean()
    ss = np.square(others - m).sum()
    if not ss > 0:  # no deviation but the newest row's own: z can only be ±(w − 1)/√w
        return np.full(len(z), math.nan)
    q = (w - 1) / w
    result = m + np.sign(z) * np.sqrt(z * z * ss / (q * ((w - 1) * q - z * z)))
    return result


def _slope(series: PairSeries, params: Params, row: int) -> float:
    """Return by how much the spread moves when p^Y does: 1, or 1 − leverage under OLS."""
    if params.hedge_method != "ols":
        return 1.0
    x = _window_x(series, params, row)
    centred = x - x.mean()
    return float(1.0 - 1.0 / len(x) - centred[-1] ** 2 / np.square(centred).sum())


def _window_x(series: PairSeries, params: Params, row: int) -> Floats:
    return _scaled(series.price_x[row - params.hedge_rows + 1 : row + 1], params)


def _tls_price(series: PairSeries, params: Params, row: int, spread: Floats) -> Floats:
    x = _window_x(series, params, row)
    y = _scaled(series.price_y[row - params.hedge_rows + 1 : row + 1], params)
    n, x_mean = len(x), x.mean()
    dx = x - x_mean
    others = y[:-1]
    y_mean, sxx = others.mean(), np.square(dx).sum()
    sxy, syy = (dx[:-1] * (others - y_mean)).sum(), np.square(others - y_mean).sum()

    def spread_of(p: Floats) -> Floats:
        d = p - y_mean  # moments of the window with its newest y at p
        xy, yy = sxy + dx[-1] * d, syy + d * d * (n - 1) / n
        slope = np.tan(0.5 * np.arctan2(2 * xy, sxx - yy))
        result: Floats = d * (n - 1) / n - slope * dx[-1]
        return result

    p, step = np.full(len(spread), y[-1]), 1e-7
    for _ in range(NEWTON_STEPS):
        slope = (spread_of(p + step) - spread_of(p - step)) / (2 * step)
        p = p - (spread_of(p) - spread) / slope
    missed: Floats = np.abs(spread_of(p) - spread)
    return np.where(missed < 1e-9, p, math.nan)
