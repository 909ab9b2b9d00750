"""The libraries agree with us where they answer the same question."""

import numpy as np
import pytest

from analytics.second_opinion import second_opinion
from analytics.series import analyse
from analytics.warm import _made_up
from params import Params

pytestmark = pytest.mark.slow
RULE = Params.parse({"test_window": 300})


def test_statsmodels_gives_the_same_tests():
    found = second_opinion(analyse(_made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2), RULE), RULE)
    tests = [row for row in found if row.by == "statsmodels"]
    assert len(tests) == 5
    for row in tests:
        assert row.ours == pytest.approx(row.theirs, abs=1e-8), row.name


def test_em_with_more_freedom_is_at_least_as_likely():
    found = second_opinion(analyse(_made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2), RULE), RULE)
    noise = next(row for row in found if row.by == "pykalman")
    assert np.isfinite(noise.ours)
    assert noise.theirs >= noise.ours - 1e-6 * abs(noise.ours)


def test_nothing_is_said_before_the_first_test():
    rule = Params.parse({"test_window": 690, "test_every": 1000})
    series = analyse(_made_up("BTCUSDT", 1), _made_up("ETHUSDT", 2), rule)
    assert second_opinion(series, rule) == []
