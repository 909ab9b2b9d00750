"""The regime: the first that matches, unknown numbers match nothing."""

import numpy as np
import pytest

from analytics.regime import Regime, regimes

NAN = float("nan")
PLAIN = {
    "is_past_stop": False, "beta_drift": 0.1, "correlation": 0.9, "stationary": 1,
    "half_life": 20.0, "hurst": 0.4,
}  # fmt: skip


def regime(**values):
    columns = {name: np.array([value]) for name, value in {**PLAIN, **values}.items()}
    code = regimes(**columns, min_correlation=0.7, window=50)[0]
    return Regime(int(code)).label


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({}, "mean_reverting"),
        ({"is_past_stop": True}, "broken"),
        ({"beta_drift": 0.31}, "broken"),
        ({"beta_drift": 0.3}, "mean_reverting"),
        ({"correlation": 0.69}, "decoupled"),
        ({"correlation": 0.7}, "mean_reverting"),
        ({"half_life": 50.0}, "mean_reverting"),
        ({"half_life": 50.1}, "unclear"),
        ({"stationary": 0}, "unclear"),
        ({"stationary": -1}, "unclear"),
        ({"stationary": 0, "hurst": 0.61}, "trending"),
        ({"stationary": 0, "hurst": 0.6}, "unclear"),
        ({"hurst": 0.9}, "mean_reverting"),
        ({"correlation": 0.1, "beta_drift": 0.5}, "broken"),
        ({"correlation": 0.1, "hurst": 0.9}, "decoupled"),
        (dict.fromkeys(("beta_drift", "correlation", "half_life", "hurst"), NAN), "unclear"),
    ],
)
def test_first_match(values, want):
    assert regime(**values) == want
