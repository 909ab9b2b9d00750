"""MacKinnon's p-values against statsmodels, and at his own published critical values."""

import numpy as np
import pytest
from statsmodels.tsa.adfvalues import mackinnonp

from analytics.mackinnon import mackinnon_pvalue

# Where one polynomial gives way to the other, and where the p-value becomes 0 or 1.
STAR = (-1.61, -2.62, -3.13, -3.47, -3.78, -3.93)
LEAST = (-18.83, -18.86, -23.48, -28.07, -25.96, -23.27)
MOST = (2.74, 0.92, 0.55, 0.61, 0.79, 1.0)


@pytest.mark.parametrize("series", range(1, 7))
def test_pvalue_equals_statsmodels(series):
    stat = np.concatenate((np.linspace(-30, 5, 1751), STAR, LEAST, MOST, [-np.inf, np.inf]))
    want = [mackinnonp(value, "c", series) for value in stat]
    np.testing.assert_allclose(mackinnon_pvalue(stat, series=series), want, atol=1e-12)


# MacKinnon (2010), Queen's Economics Department Working Paper 1227, table 2: β∞ with a constant.
@pytest.mark.parametrize(
    ("series", "level", "critical"),
    [
        (1, 0.01, -3.43035),
        (1, 0.05, -2.86154),
        (1, 0.10, -2.56677),
        (2, 0.01, -3.89644),
        (2, 0.05, -3.33613),
        (2, 0.10, -3.04445),
    ],
)
def test_pvalue_at_the_published_critical_values(series, level, critical):
    assert mackinnon_pvalue(np.array([critical]), series=series)[0] == pytest.approx(
        level, rel=0.04
    )


def test_pvalue_of_nan_is_nan_and_stays_within_bounds():
    found = mackinnon_pvalue(np.array([np.nan, -1e9, 1e9]))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.0, 1.0]
    assert len(mackinnon_pvalue(np.empty(0))) == 0


def test_input_is_left_as_it_is():
    stat = np.array([-3.0])
    stat.flags.writeable = False
    assert mackinnon_pvalue(stat)[0] == pytest.approx(mackinnonp(-3.0, "c", 1), abs=1e-12)
    assert stat[0] == -3.0


@pytest.mark.parametrize("series", [0, 7])
def test_unknown_number_of_series_is_refused(series):
    with pytest.raises(ValueError, match=f"series must be 1 to 6, was {series}"):
        mackinnon_pvalue(np.zeros(1), series=series)
