"""Repeated timing: by turns, so that what disturbs a machine disturbs both sides."""

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.report import Sample


def by_turns(
    calls: Mapping[str, Callable[[], Any]],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
) -> dict[str, Sample]:
    """Return the seconds of every call, each called once per round.

    Args:
        repeats: rounds that count.
        clock: seconds; `time.process_time` where the work is all of this process.
        warm_up: call each once before, for compilers and caches.
    """
    if warm_up:
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            gc.collect()
            started = clock()
            call()
            seconds[name].append(clock() - started)
    return {name: Sample(tuple(values), "s") for name, values in seconds.items()}


def timed(call: Callable[[], Any], repeats: int, *, warm_up: bool = True) -> Sample:
    """Return the seconds of one call, `repeats` times."""
    return by_turns({"": call}, repeats, warm_up=warm_up)[""]


def once(call: Callable[[], Any]) -> tuple[Sample, Any]:
    """Return the seconds of a call that is too long to repeat, and what it gave."""
    started = time.perf_counter()
    found = call()
    return Sample((time.perf_counter() - started,), "s"), found
