"""Rolling statistics of a pair beside statsmodels, pandas and polars."""

import time

import numpy as np
import pandas as pd
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tools import add_constant

from analytics.correlation import rolling_correlation
from analytics.ols import rolling_ols
from analytics.spread import rolling_zscore
from benchmarks import peers
from benchmarks.measure import by_turns
from benchmarks.report import Cell, Sample, Section, digits, ratio

WINDOW = 50


def walks(rows: int, sd: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """Return two independent log prices at the levels of BTC and ETH, (rows,) each."""
    rng = np.random.default_rng(1)
    return 11 + np.cumsum(rng.normal(0, sd, rows)), 8 + np.cumsum(rng.normal(0, sd, rows))


def _pandas_slope(y: pd.Series, x: pd.Series) -> pd.Series:
    return x.rolling(WINDOW).cov(y) / x.rolling(WINDOW).var()


def run(quick: bool) -> Section:
    """Measure every statistic on the same columns."""
    rows, few, repeats = (50_000, 2_000, 2) if quick else (1_000_000, 20_000, 7)
    y, x = walks(rows)
    zeros = np.zeros(rows)
    series_y, series_x = pd.Series(y), pd.Series(x)
    design = add_constant(x[:few])
    here = by_turns(
        {
            "OLS": lambda: rolling_ols(y, x, WINDOW),
            "z": lambda: rolling_zscore(y, zeros, zeros, WINDOW),
            "correlation": lambda: rolling_correlation(y, x, WINDOW),
            "pandas OLS": lambda: _pandas_slope(series_y, series_x),
            "pandas z": lambda: (
                (series_y - series_y.rolling(WINDOW).mean()) / series_y.rolling(WINDOW).std()
            ),
            "pandas correlation": lambda: series_y.rolling(WINDOW).corr(series_x),
        },
        repeats,
        clock=time.process_time,
    )
    slow = by_turns(
        {"": lambda: RollingOLS(y[:few], design, window=WINDOW).fit()}, 2, clock=time.process_time
    )[""]
    columns = {"y": y, "x": x, "window": WINDOW}
    polars = peers.on_columns("polars", "peers_rolling.py", columns, "polars", repeats)
    ns = {name: found.scaled(1e9 / rows, "ns") for name, found in here.items()}
    statsmodels = slow.scaled(1e9 / few, "ns")

    def row(what: str, peer: str, found: Sample, target: float | None = None) -> list[Cell]:
        return [what, ns[what], peer, found, ratio(found, ns[what], target=target)]

    table: list[list[Cell]] = [
        row("OLS", "statsmodels `RollingOLS`", statsmodels, 2500),
        row("OLS", "pandas, slope only", ns["pandas OLS"]),
    ]
    for what in ("z", "correlation"):
        table.append(row(what, "pandas", ns[f"pandas {what}"]))
        found = Sample(tuple(polars[what]["seconds"]), "s").scaled(1e9 / rows, "ns")
        table.append(row(what, "polars", found))
    brute = [_slope(y, x, i) for i in range(rows - 1000, rows, 37)]
    mine = rolling_ols(y, x, WINDOW)[1][rows - 1000 :: 37]
    pandas_error = np.abs(_pandas_slope(series_y, series_x).to_numpy()[rows - 1000 :: 37] - brute)
    return Section(
        title="Rolling statistics",
        sentence=(
            f"{rows:,} bars (RollingOLS: the first {few:,}), window {WINDOW}, log prices at BTC's "
            "and ETH's levels with a standard deviation of 10⁻⁴ a bar; CPU ns a bar, public "
            "functions with their checks and allocations."
        ),
        columns=("statistic", "here", "peer", "peer's time", "ratio"),
        rows=table,
        notes=(
            f"Greatest error of the slope against extended precision: here "
            f"{digits(float(np.max(np.abs(mine - brute))))}, pandas "
            f"{digits(float(np.max(pandas_error)))}.",
        ),
        versions={"polars": peers.version("polars")},
    )


def _slope(y: np.ndarray, x: np.ndarray, i: int) -> float:
    v, u = (leg[i - WINDOW + 1 : i + 1].astype(np.longdouble) for leg in (y, x))
    dv, du = v - v.mean(), u - u.mean()
    return float((du * dv).sum() / (du * du).sum())
