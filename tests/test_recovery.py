"""Killed without warning, the next start makes everything whole: ids, bars, and the marks.

The exchange is the simulator in a process of its own; what is stored is compared with its REST
history to the last digit.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from analytics.bars import settle
from model import Quality, Stream, Timeframe
from simulator.market import Market
from storage.check import check as check_store
from storage.store import Store
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
SYMBOLS = ("BTCUSDT", "ETHUSDT")
LOAD = 2000
RUN = """
import signal, sys, threading
from services import Services, load_settings
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
services = Services(load_settings())
services.start()
print("started", flush=True)
stop.wait()
services.close()
"""


class Exchange:
    """`python -m simulator` in another process."""

    def __init__(self, market: str, port: int, *, rate: int = 60) -> None:
        self.market, self.port = market, port
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "simulator", "--port", str(port), "--market", market),
                *("--symbols", ",".join(SYMBOLS), "--rate", str(rate)),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                self.rest.get(f"{self._api}/time")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the simulator did not start")

    @property
    def _api(self) -> str:
        return "/api/v3" if self.market == "spot" else "/fapi/v1"

    def trades(self, stream: Stream, symbol: str, first: int, last: int) -> dict[int, tuple]:
        """What the exchange itself says happened, by id."""
        is_aggregate = stream is Stream.AGG_TRADE
        path = "aggTrades" if is_aggregate else "historicalTrades"
        price, qty, number, ts = (
            ("p", "q", "a", "T") if is_aggregate else ("price", "qty", "id", "time")
        )
        found: dict[int, tuple] = {}
        while first <= last:
            rows = self.rest.get(
                f"{self._api}/{path}", params={"symbol": symbol, "fromId": first, "limit": 1000}
            ).json()
            for row in rows:
                found[row[number]] = (float(row[price]), float(row[qty]), row[ts])
            first = rows[-1][number] + 1
        return {number: row for number, row in found.items() if number <= last}

    def klines(self, symbol: str) -> dict[int, list]:
        rows = self.rest.get(
            f"{self._api}/klines", params={"symbol": symbol, "interval": "1m", "limit": 60}
        ).json()
        return {row[0]: row for row in rows[:-1]}

    def close(self) -> None:
        self.rest.close()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def exchange(request, free_port):
    made = Exchange(request.param, free_port())
    yield made
    made.close()


def start(exchange: Exchange, stream: Stream, database: Path) -> subprocess.Popen:
    route = "" if exchange.market == "spot" else "/market"
    environment = {
        **os.environ,
        "PAIRS_VENUE": f"binance-{exchange.market}",
        "PAIRS_SYMBOLS": ",".join(SYMBOLS),
        "PAIRS_STREAM": stream.value,
        "PAIRS_DATABASE_URL": f"sqlite:///{database}",
        "PAIRS_HISTORY_BARS": "200",
        "PAIRS_WS_URL": f"ws://127.0.0.1:{exchange.port}{route}",
        "PAIRS_REST_URL": f"http://127.0.0.1:{exchange.port}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def stored(database: Path, venue: str, stream: Stream) -> Store:
    return Store.open(f"sqlite:///{database}", venue=venue, stream=stream)


def marks_of(database: Path, venue: str, stream: Stream) -> dict[str, int]:
    with stored(database, venue, stream) as store:
        return {symbol: mark.next_id for symbol, mark in store.marks().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exchange", "stream"),
    [("spot", Stream.AGG_TRADE), ("spot", Stream.TRADE), ("futures", Stream.AGG_TRADE)],
    indirect=["exchange"],
)
def test_killed_and_started_again_it_holds_what_the_exchange_holds(exchange, stream, tmp_path):
    database, venue = tmp_path / "pairs.db", f"binance-{exchange.market}"
    first = start(exchange, stream, database)
    time.sleep(5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = marks_of(database, venue, stream)
    assert set(before) == set(SYMBOLS)
    time.sleep(3)  # the hole
    second = start(exchange, stream, database)
    time.sleep(6)
    second.terminate()
    second.communicate(timeout=20)
    with stored(database, venue, stream) as store:
        for symbol in SYMBOLS:
            check(store, exchange, stream, symbol)
            assert store.marks()[symbol].next_id > before[symbol]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(5, marks=pytest.mark.slow),
        pytest.param(int(os.environ.get("SOAK_KILLS", "50")), marks=pytest.mark.soak),
    ],
)
def test_killed_often_under_load_it_holds_a_prefix_and_is_completed(kills, free_port, tmp_path):
    """2,000 trades a second; killed while starting, catching up, streaming or committing."""
    database, stream = tmp_path / "pairs.db", Stream.AGG_TRADE
    market = Market(SYMBOLS, seed=7, rate=LOAD)
    seed = random.randrange(10**6)
    moments, reached = random.Random(seed), dict.fromkeys(SYMBOLS, 0)
    exchange = Exchange("spot", free_port(), rate=LOAD)
    process = start(exchange, stream, database)
    try:
        for number in range(kills):
            time.sleep(moments.uniform(0, 4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            with stored(database, "binance-spot", stream) as store:
                assert check_store(store) == [], f"seed {seed}, kill {number}"
                for symbol, mark in store.marks().items():
                    assert mark.next_id >= reached[symbol], f"seed {seed}, kill {number}"
                    reached[symbol] = mark.next_id
                    assert_true(store, market, symbol)
            process = start(exchange, stream, database)
        newest = {symbol: market.newest_aggregate(symbol, now_ms()) for symbol in SYMBOLS}
        # The starts before have used up the minute's request weight: the last one waits for it.
        wait_until(lambda: is_complete(database, stream, newest), timeout_s=240)
        process.terminate()
        process.communicate(timeout=60)
    finally:
        exchange.close()
        process.kill()
        process.communicate()
    with stored(database, "binance-spot", stream) as store:
        assert check_store(store) == []
        for symbol in SYMBOLS:
            assert_true(store, market, symbol)


def now_ms() -> int:
    return int(time.time() * 1000)


def is_complete(database: Path, stream: Stream, newest: dict[str, int]) -> bool:
    """Whether everything up to these ids is committed and nothing is being fetched."""
    with stored(database, "binance-spot", stream) as store:
        marks, gaps = store.marks(), store.gaps()
    return all(
        symbol in marks
        and marks[symbol].next_id > last
        and not any(gap.state == "open" for gap in gaps[symbol])
        for symbol, last in newest.items()
    )


def assert_true(store: Store, market: Market, symbol: str) -> None:
    """Every trade stored is one of the exchange's, to the last digit."""
    rules = market.instruments[symbol]
    for block in store.read_trades(symbol):
        want = market.aggregates(symbol, int(block.ids[0]), int(block.ids[-1]))
        where = block.ids - int(block.ids[0])
        np.testing.assert_array_equal(want.ts[where], block.ts)
        np.testing.assert_array_equal(want.price[where] / 10.0**rules.price_decimals, block.price)
        np.testing.assert_array_equal(want.qty[where] / 10.0**rules.qty_decimals, block.qty)


def check(store: Store, exchange: Exchange, stream: Stream, symbol: str) -> None:
    ids, rows = [], {}
    for block in store.read_trades(symbol):
        for i, number in enumerate(block.ids.tolist()):
            ids.append(number)
            rows[number] = (float(block.price[i]), float(block.qty[i]), int(block.ts[i]))
    assert ids == list(range(ids[0], ids[-1] + 1)), "every id once"
    assert ids[-1] + 1 == store.marks()[symbol].next_id
    assert rows == exchange.trades(stream, symbol, ids[0], ids[-1])
    gaps = store.gaps(symbol)[symbol]
    assert [gap for gap in gaps if gap.start_ms > 0] == []
    own = store.read_bars(symbol, Timeframe.M1)
    bars = settle(own, gaps, closed_ms=store.marks()[symbol].last_ts_ms)
    klines = exchange.klines(symbol)
    compared = 0
    for i, ts in enumerate(bars.ts.tolist()):
        if ts in klines and bars.closed[i] and bars.quality[i] <= Quality.BACKFILLED:
            want = [float(value) for value in klines[ts][1:6]]
            got = [float(c[i]) for c in (bars.open, bars.high, bars.low, bars.close)]
            assert got == want[:4]
            assert float(bars.volume[i]) == pytest.approx(want[4], rel=1e-9)
            compared += 1
    assert compared > 0
