"""The tests of the pair's health at their stride, held in between."""

from typing import Any

import numpy as np

from analytics.grid import Grid
from model import Flags, Floats
from params import Params

TEST_COLUMNS = (
    "adf_stat",
    "adf_pvalue",
    "adf_lags",
    "eg_stat",
    "eg_pvalue",
    "eg_reverse_pvalue",
    "johansen_trace",
    "johansen_crit95",
    "stationary_share",
    "half_life",
    "half_life_low",
    "half_life_high",
    "hurst",
)


class TestCache:
    """Results of tests already run, kept between calls on nearly the same rows."""

    __test__ = False  # not a test case, whatever its name


def held_tests(
    grid: Grid,
    y: Floats,
    x: Floats,
    alpha: Floats,
    beta: Floats,
    params: Params,
    known: Flags,
    cache: TestCache | None,
) -> dict[str, Any]:
    """Return the test columns."""
    n = len(grid)
    nothing = {name: np.full(n, np.nan) for name in TEST_COLUMNS}
    return {
        **nothing,
        "tests_ts": np.full(n, -1),
        "stationary": np.full(n, -1, dtype=np.int8),
    }
