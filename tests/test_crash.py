"""kill -9 at any moment: the file opens clean, holds a prefix, and the restart completes it."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.check import check
from tests.slow_writer import SYMBOLS
from tests.storage_rows import assert_bars_equal_trades, stored, trade

pytest_plugins = ["tests.storage_fixtures"]

ROOT = Path(__file__).resolve().parent.parent
FAR = 10**9
KILLS = int(os.environ.get("SOAK_KILLS", "50"))


def start(url: str, last_id: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.slow_writer", url, str(last_id)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    process.stdout.close()


def assert_holds_a_prefix(store) -> int:
    """Ids from 1 without a hole up to the mark, bars made of just these; returns the last id."""
    assert check(store) == []
    marks, last = store.marks(), 0
    for symbol in SYMBOLS:
        trades = stored(store, symbol)
        assert [one.id for one in trades] == list(range(1, len(trades) + 1))
        assert trades == [trade(n, symbol=symbol) for n in range(1, len(trades) + 1)]
        assert marks[symbol].next_id == len(trades) + 1 if trades else symbol not in marks
        assert_bars_equal_trades(store, trades, symbol)
        last = max(last, len(trades))
    return last


def kill_often(url, open_store, *, times, soonest_s):
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    last = 0
    for number in range(times):
        process = start(url, FAR)
        time.sleep(moments.uniform(soonest_s, 1.2))
        kill(process)
        store = open_store(url)
        held = assert_holds_a_prefix(store)
        store.close()
        assert held >= last, f"seed {seed}, kill {number}"
        last = held
    assert last > 0
    process = start(url, last + 500)
    assert process.wait(60) == 0
    process.stdout.close()
    assert assert_holds_a_prefix(open_store(url)) == last + 500


def test_kill_9_loses_nothing_committed(sqlite_url, open_store):
    kill_often(sqlite_url, open_store, times=1, soonest_s=0.6)


@pytest.mark.slow
def test_kill_9_at_random_moments(url, open_store):
    kill_often(url, open_store, times=5, soonest_s=0.02)


@pytest.mark.soak
def test_kill_9_often(sqlite_url, open_store):
    """In rounds of ten, as every trade is looked at again after every kill."""
    for round_ in range(0, KILLS, 10):
        url = f"{sqlite_url}.{round_}"
        kill_often(url, open_store, times=min(10, KILLS - round_), soonest_s=0.02)


def test_restart_after_kill_9_is_not_held_up_by_the_dead_writers_lock(sqlite_url, open_store):
    process = start(sqlite_url, FAR)
    store = open_store(sqlite_url)
    with pytest.raises(Exception, match=f"process {process.pid}"):
        store.writer.start()
    kill(process)
    store.writer.start()
    assert store.writer.is_alive
