"""Would the rule have earned as much on a spread that does not revert? Many times over.

Each draw keeps X as it was and gives Y a spread whose changes are those of the real one,
reshuffled in blocks (stationary bootstrap): as wild, as clustered, but without a mean to come
back to beyond a block's length. What the rule earns there is luck.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.backtest import backtest
from analytics.costs import FundingRates
from analytics.series import PairSeries, analyse
from analytics.sharpe import SEED
from model import Bars, ConfigError, Floats, Ints, Market, Quality
from params import Params

FEWEST_ROWS = 10


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """What the rule earned really and on each draw; amounts in quote currency.

    `p_value` is the share of draws, the real run counted among them, whose net PnL is at least
    the real one's: near 0 the result is hard to get by luck.
    """

    net_pnl: float
    gross_pnl: float
    trades: int
    draw_net_pnl: Floats
    draw_gross_pnl: Floats
    draw_trades: Ints
    p_value: float
    block: float
    seed: int
    is_complete: bool


def monte_carlo(
    bars_y: Bars,
    bars_x: Bars,
    params: Params,
    *,
    market: Market,
    draws: int = 100,
    block: float | None = None,
    seed: int = SEED,
    start_ms: int | None = None,
    end_ms: int | None = None,
    funding: FundingRates | None = None,
    analyse_with: Callable[[Bars, Bars, Params], PairSeries] = analyse,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> MonteCarlo:
    """Trade the rule on the real bars and on `draws` reshuffled ones.

    Args:
        bars_y, bars_x: bars of the legs; the rows both have, closed, are used.
        block: mean block length in rows; None = n^(1/3).
        seed: of the draws; the same seed gives the same draws.
        on_progress: called with (draws done, draws).
        is_cancelled: True ends the run with the draws done.
    Raises:
        ConfigError: fewer than 10 common rows, no draw asked for, or dates without rows.
    """
    if draws < 1:
        raise ConfigError(f"draws must be at least 1, was {draws}", field="draws")
    y, x = _common(bars_y, bars_x)
    if len(y) < FEWEST_ROWS:
        raise ConfigError(f"the draws need at least {FEWEST_ROWS} common rows, was {len(y)}")

    def trade(leg_y: Bars) -> tuple[float, float, int]:
        series = analyse_with(leg_y, x, params)
        metrics = backtest(
            series, params, market=market, start_ms=start_ms, end_ms=end_ms, funding=funding,
            draws=0,
        ).metrics  # fmt: skip
        return metrics.net.pnl, metrics.gross.pnl, metrics.net.trades

    net, gross, trades = trade(y)
    mean_block = max(1.0, len(y) ** (1 / 3)) if block is None else block
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float, int]] = []
    while len(found) < draws and not (is_cancelled is not None and is_cancelled()):
        found.append(trade(without_reversion(y, x, rng, block=mean_block)))
        if on_progress:
            on_progress(len(found), draws)
    nets = np.array([row[0] for row in found])
    return MonteCarlo(
        net,
        gross,
        trades,
        nets,
        np.array([row[1] for row in found]),
        np.array([row[2] for row in found], dtype=np.int64),
        float((1 + np.count_nonzero(nets >= net)) / (1 + len(found))),
        mean_block,
        seed,
        len(found) == draws,
    )


def without_reversion(y: Bars, x: Bars, rng: np.random.Generator, *, block: float) -> Bars:
    """Return Y with the changes of its spread to X in another order.

    Args:
        y, x: bars on the same rows.
        rng: source of the blocks.
        block: mean block length in rows, at least 1.
    Returns:
        Bars on the same rows. Log prices are a + b·ln X + the new spread, (a, b) by least squares
        over all rows; each open keeps its ratio to the close before.
    """
    log_y, log_x = np.log(y.close), np.log(x.close)
    dx = log_x - log_x.mean()
    variance = float(dx @ dx)
    b = float(dx @ (log_y - log_y.mean())) / variance if variance > 0 else 0.0
    spread = log_y - b * log_x
    changes = np.diff(spread)
    shuffled = (changes - changes.mean())[stationary_rows(len(changes), block, rng)]
    new = spread[0] + np.concatenate(([0.0], np.cumsum(shuffled)))
    close = np.exp(b * log_x + new)
    opened = np.concatenate((y.open[:1], close[:-1] * (y.open[1:] / y.close[:-1])))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
    }
    return Bars(
        y.symbol,
        y.timeframe,
        *(columns.get(name, getattr(y, name)) for name in Bars.__slots__[2:]),
    )


def stationary_rows(n: int, block: float, rng: np.random.Generator) -> Ints:
    """Return n row numbers below n in blocks of geometric length, wrapped around the end.

    Source: Politis & Romano (1994).
    """
    starts = rng.random(n) < 1.0 / max(1.0, block)
    starts[0] = True
    begin = np.flatnonzero(starts)
    first = rng.integers(0, n, len(begin))
    lengths = np.diff(np.append(begin, n))
    rows: Ints = (np.arange(n) - np.repeat(begin, lengths) + np.repeat(first, lengths)) % n
    return rows


def _common(bars_y: Bars, bars_x: Bars) -> tuple[Bars, Bars]:
    usable_y, usable_x = (
        bars.ts[bars.closed & (bars.quality != Quality.PARTIAL) & (bars.close > 0)]
        for bars in (bars_y, bars_x)
    )
    common = np.intersect1d(usable_y, usable_x, assume_unique=True)
    return (
        bars_y.only(np.searchsorted(bars_y.ts, common)),
        bars_x.only(np.searchsorted(bars_x.ts, common)),
    )


def luck(result: MonteCarlo) -> str:
    """Return the outcome in a sentence."""
    if not len(result.draw_net_pnl) or math.isnan(result.p_value):
        return "No draw was made."
    at_least = int(np.count_nonzero(result.draw_net_pnl >= result.net_pnl))
    return (
        f"{at_least} of {len(result.draw_net_pnl)} spreads without reversion earned at least "
        f"{result.net_pnl:.2f} after costs; p {result.p_value:.3f}."
    )
