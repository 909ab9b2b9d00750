"""Kernels are ready before anybody waits, with one signature each."""

import importlib
import pkgutil

from numba.core.registry import CPUDispatcher

import analytics
from analytics.series import analyse
from analytics.warm import warm_kernels
from params import Params
from tests.number_data import METHODS, bar_pair, tied

NUMBERS = (
    "adf", "cointegration", "fits", "half_life", "hurst", "johansen", "kalman", "mackinnon",
    "moments", "noise", "rolling_adf", "spread",
)  # fmt: skip
# Kernels called from Python; those they call leave no signature when loaded from the cache.
ENTRIES = {
    "adf._adf", "cointegration._residuals", "fits._fit", "half_life._half_life", "hurst._hurst",
    "johansen._trace", "kalman._filter", "mackinnon._pvalues", "moments._mean_sd", "noise._search",
    "rolling_adf._rolling", "spread._largest",
}  # fmt: skip


def kernels(modules):
    found = {}
    for name in modules:
        module = importlib.import_module(f"analytics.{name}")
        for key, value in vars(module).items():
            if isinstance(value, CPUDispatcher):
                found[f"{name}.{key}"] = value
    return found


def test_nothing_is_compiled_after_warming():
    """Whatever the method, and even out of read-only columns: every kernel keeps its signature."""
    warm_kernels()
    before = {name: len(kernel.signatures) for name, kernel in kernels(NUMBERS).items()}
    pair = bar_pair(*tied(700))
    for leg in pair:
        for column in (leg.open, leg.close, leg.ts, leg.quality):
            column.flags.writeable = False
    for values in (*METHODS.values(), {"price_scale": "raw"}, {"correlation_of": "prices"}):
        analyse(*pair, Params(**values))
    after = {name: len(kernel.signatures) for name, kernel in kernels(NUMBERS).items()}
    assert after == before
    assert set(after.values()) <= {0, 1}


def test_every_kernel_frees_the_interpreter_and_is_cached():
    """Without nogil a sweep would stop the feed; without a cache a start would take a minute."""
    names = [module.name for module in pkgutil.iter_modules(analytics.__path__)]
    names = [name for name in names if name not in ("kalman_em", "second_opinion")]
    for name, kernel in kernels(names).items():
        assert kernel.targetoptions.get("nogil"), name
        assert not kernel.targetoptions.get("fastmath"), name
        assert type(kernel._cache).__name__ == "FunctionCache", name


def test_every_entry_is_warm():
    """The warm-up pair must be long enough for tests and calibration, or entries stay cold."""
    warm_kernels()
    used = kernels(NUMBERS)
    assert {name for name in ENTRIES if len(used[name].signatures) != 1} == set()
