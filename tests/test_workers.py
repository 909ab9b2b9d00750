"""Long work on the cores here and on a real cluster of worker processes: the same numbers."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from analytics.scanner import scan
from analytics.series import analyse
from analytics.sweep import Axes, sweep
from model import Market
from params import Params
from tests.series_builder import pair_bars
from workers import Workers

ROOT = Path(__file__).resolve().parent.parent
RULE = Params(test_window=100, test_every=50)
# The client library's own housekeeping, not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def square(value):
    return value * value, os.getpid()


def slow_square(value):
    time.sleep(0.1)
    return value * value, os.getpid()


def fail(value):
    raise ValueError(f"{value} must be even")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(("count", "holds"), [(3, True), (60, True), (60, False)])
def test_pieces_come_back_in_order(count, holds):
    found = list(Workers(jobs=2).run(square, pieces(count), holds=holds))
    assert [value for value, _ in found] == [i * i for i in range(count)]
    is_elsewhere = os.getpid() not in {pid for _, pid in found}
    assert is_elsewhere == (holds and count == 60)


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ValueError, match="must be even"):
        list(Workers(jobs=2).run(fail, [(1,)]))


def test_a_cluster_that_does_not_answer_is_said_and_the_work_is_done_here():
    workers = Workers(f"tcp://127.0.0.1:{free_port()}", jobs=1)
    assert [value for value, _ in workers.run(square, [(3,)])] == [9]
    assert "is not used, long work runs here: it did not answer" in workers.note
    assert "\n" not in workers.note


def start(*arguments):
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class Cluster:
    """A scheduler and two workers, each a process."""

    def __init__(self, folder):
        self.address = f"tcp://127.0.0.1:{free_port()}"
        port = self.address.rsplit(":", 1)[1]
        self.scheduler = start(
            "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show"
        )
        self.folder = folder
        self.workers = [self.start_worker() for _ in range(2)]

    def start_worker(self):
        return start(
            *("worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard"),
            *("--host", "127.0.0.1", "--local-directory", str(self.folder)),
        )

    def client(self):
        """A `Workers` once both workers are there."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            workers = Workers(self.address, jobs=1)
            if workers.most_pieces == 8:
                return workers
            workers.close()
            time.sleep(0.3)
        raise AssertionError(f"no cluster: {workers.note}")

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed", reason="needs requirements-cluster.txt")
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def pieces(count):
    return [(value,) for value in range(count)]


@pytest.mark.slow
def test_scan_and_sweep_on_a_cluster_give_the_same_numbers(cluster):
    bars_y, bars_x = pair_bars(5, 400)
    legs = {f"S{i}": _shifted(bars_x if i % 2 else bars_y, i) for i in range(8)}
    workers = cluster.client()
    here = scan(legs, RULE, market=Market.SPOT)
    there = scan(legs, RULE, market=Market.SPOT, runner=workers)
    assert workers.note == ""
    assert len(here.pairs) == 28
    for one, other in zip(here.pairs, there.pairs, strict=True):
        for name, value in asdict(one).items():
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)

    series = analyse(bars_y, bars_x, RULE)
    axes = Axes(entries=tuple(np.linspace(1, 3, 20)), exits=(0.0, 0.3))
    options = {"series_of": lambda _: series, "market": Market.SPOT}
    ours, theirs = (
        sweep(RULE, axes, **options),
        sweep(RULE, axes, **options, runner=workers),
    )
    assert ours.rows() == theirs.rows()
    np.testing.assert_array_equal(ours.sharpe_annual, theirs.sharpe_annual)
    workers.close()


def _shifted(bars, seed):
    noise = np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-3, len(bars))))
    columns = {name: getattr(bars, name) for name in type(bars).__slots__}
    for name in ("open", "high", "low", "close"):
        columns[name] = columns[name] * noise
    return type(bars)(**{**columns, "symbol": f"S{seed}"})


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(cluster):
    workers = cluster.client()
    found = []
    for result in workers.run(slow_square, pieces(60)):
        found.append(result)
        if len(found) == 10:
            victim = next(w for w in cluster.workers if w.pid == result[1])
            victim.send_signal(signal.SIGKILL)
    assert [value for value, _ in found] == [i * i for i in range(60)]
    assert workers.note == ""
    assert {pid for _, pid in found[-10:]} == {w.pid for w in cluster.workers} - {victim.pid}
    workers.close()


@pytest.mark.slow
def test_a_scheduler_lost_in_the_middle_leaves_the_rest_to_this_machine(cluster):
    workers = cluster.client()
    found = []
    for result in workers.run(slow_square, pieces(40)):
        found.append(result)
        if len(found) == 5:
            cluster.stop()
    assert [value for value, _ in found] == [i * i for i in range(40)]
    assert found[-1][1] == os.getpid()
    assert "long work runs here" in workers.note
    workers.close()


@pytest.mark.slow
def test_an_error_of_the_work_comes_back_from_the_cluster(cluster):
    workers = cluster.client()
    with pytest.raises(ValueError, match="must be even"):
        list(workers.run(fail, [(1,)]))
    assert workers.note == ""
    workers.close()
