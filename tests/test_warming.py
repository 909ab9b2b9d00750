"""Kernels are compiled elsewhere and once; until then prices are shown and the reason is said."""

import os
import threading
import time

import numpy as np
import pytest

from analytics.warm import PARTS, warm_part
from engine import COMPILING, Engine
from params import Params
from tests.engine_venue import Venue
from warming import is_cached


def test_before_the_kernels_are_ready_prices_are_shown_and_nothing_is_signalled():
    venue, ready = Venue("BTCUSDT", "ETHUSDT"), threading.Event()
    venue.fill(400)
    engine = Engine(venue, Params(), rows=800, ready=ready, clock=lambda: venue.now_ms / 1000)
    snap = engine.view(Params()).snapshot
    assert (snap.status, snap.decision.signal) == ("warming_up", "HOLD")
    assert snap.decision.reasons == (COMPILING,)
    assert np.isfinite(snap.price_y)
    assert np.isnan(snap.zscore)
    ready.set()
    venue.now_ms += 400
    assert engine.view(Params()).snapshot.status == "ready"


def test_source_newer_than_its_compiled_index_is_not_cached(tmp_path):
    source, cache = tmp_path / "a.py", tmp_path / "__pycache__"
    cache.mkdir()
    source.write_text("@njit\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    assert not is_cached(tmp_path)
    index = cache / "a.f-1.py311.nbi"
    index.write_bytes(b"")
    os.utime(source, (time.time() - 10,) * 2)
    assert is_cached(tmp_path)
    os.utime(source, (time.time() + 10,) * 2)
    assert not is_cached(tmp_path)


def test_a_cache_elsewhere_is_found(tmp_path):
    """As where the folder of the program may not be written: a container, a service."""
    package, cache = tmp_path / "kernels", tmp_path / "cache"
    folder = cache / "kernels_0a1b2c"
    for made in (package, folder):
        made.mkdir(parents=True)
    (package / "a.py").write_text("@njit\n")
    assert not is_cached(package, str(cache))
    (folder / "a.f-1.py311.nbi").write_bytes(b"")
    assert is_cached(package, str(cache))
    assert not is_cached(package)


@pytest.mark.slow
def test_all_parts_leave_every_kernel_compiled():
    for part in PARTS:
        warm_part(part)
    assert is_cached()


def test_unknown_part_is_refused():
    with pytest.raises(ValueError, match="part must be one of numbers, tests, backtests, was x"):
        warm_part("x")
