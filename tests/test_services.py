"""The whole process without a browser, over real sockets to a simulated exchange."""

import threading

import httpx
import pytest

from desk import Desk
from model import ConfigError, StorageError, Timeframe
from params import Params
from services import Services
from settings import Settings
from simulator.exchange import SimulatedExchange
from tests.waiting import wait_until


def settings_of(tmp_path, **values: str) -> Settings:
    url = f"sqlite:///{tmp_path}/pairs.db"
    given = {f"PAIRS_{name.upper()}": value for name, value in values.items()}
    return Settings.from_env({"PAIRS_DATABASE_URL": url, "PAIRS_HISTORY_BARS": "1000", **given})


@pytest.fixture
def start(tmp_path):
    opened: list[Services] = []

    def make(**values: str) -> Services:
        made = Services(settings_of(tmp_path, **values))
        opened.append(made)
        made.start()
        return made

    yield make
    for services in opened:
        services.close()


@pytest.mark.slow
def test_simulated_exchange_is_warm_on_every_timeframe_within_seconds(start):
    services = start(venue="simulated")
    wait_until(lambda: services.health()["status"] == "ok")
    for timeframe in Timeframe:
        rule = Params(timeframe=timeframe)
        wait_until(lambda rule=rule: services.engine.view(rule).snapshot.status == "ready")
    assert services.health()["simulated"] is True


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["aggTrade", "trade"])
@pytest.mark.parametrize("market", ["spot", "futures"])
def test_real_venue_by_address_streams_and_warms(start, market, stream):
    with_exchange = SimulatedExchange(market=market, symbols=("BTCUSDT", "ETHUSDT"))
    with_exchange.start()
    try:
        services = start(
            venue=f"binance-{market}",
            symbols="BTCUSDT,ETHUSDT",
            stream=stream,
            ws_url=with_exchange.ws_url.replace("/market", "/public")
            if stream == "trade"
            else with_exchange.ws_url,
            rest_url=with_exchange.rest_url,
        )
        wait_until(lambda: services.health()["status"] == "ok")
        assert services.health()["simulated"] is False
        wait_until(lambda: services.engine.view(Params()).snapshot.status == "ready")
        wait_until(lambda: services.health()["storage"]["committed_trades"] > 0)
        services.close()
    finally:
        with_exchange.stop()


@pytest.mark.slow
def test_rule_survives_a_restart(start):
    first = start(venue="simulated")
    first.set_rule(Params(window=77, entry=2.5))
    first.close()
    again = start(venue="simulated")
    assert again.engine.rule == Params(window=77, entry=2.5)


@pytest.mark.slow
def test_trading_rules_are_known_before_the_exchange_says_them_again(start, tmp_path):
    first = start(venue="simulated")
    wait_until(lambda: "BTCUSDT" in first.store.symbols())
    known = first.desk.symbol_info("BTCUSDT")
    first.close()
    desk = Desk(settings_of(tmp_path, venue="simulated"), "simulated", on_arrival=lambda: None)
    desk.open()
    try:
        assert desk.feed is None
        assert desk.symbol_info("BTCUSDT") == known
        assert desk.symbol_info("NEWUSDT").lot_size == 1e-8
    finally:
        desk.close()


@pytest.mark.slow
def test_stored_rule_on_a_symbol_no_longer_ingested_gives_way_to_the_default(start):
    first = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    first.set_rule(Params(window=77))
    first.close()
    again = start(venue="simulated", symbols="SOLUSDT,BNBUSDT")
    assert again.engine.rule == Params(y="SOLUSDT", x="BNBUSDT")


@pytest.mark.slow
def test_rule_on_an_unknown_symbol_is_refused(start):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    with pytest.raises(ConfigError, match="y must be one of BTCUSDT, ETHUSDT, was SOLUSDT"):
        services.set_rule(Params(y="SOLUSDT"))


@pytest.mark.slow
def test_close_ends_every_thread_and_may_be_repeated(start):
    services = start(venue="simulated")
    wait_until(lambda: services.health()["status"] == "ok")
    services.close()
    services.close()
    left = {t.name for t in threading.enumerate()}
    assert not left & {"engine", "feed", "storage-writer", "boot"}
    assert services.health()["status"] == "down"


@pytest.mark.slow
def test_second_app_on_one_database_is_refused_in_a_sentence(start, tmp_path):
    start(venue="simulated")
    with pytest.raises(StorageError, match="process"):
        Services(settings_of(tmp_path, venue="simulated"))


@pytest.mark.slow
def test_trades_the_writer_dropped_are_fetched_again(start):
    services = start(venue="simulated")
    wait_until(lambda: services.health()["status"] == "ok")
    writer, feed = services.store.writer, services.feed
    writer._inbox.needs_resync = True  # as when two million trades wait for a full disk
    wait_until(lambda: not writer.needs_resync and services.feed is not feed)
    wait_until(lambda: services.health()["status"] == "ok")
    marks = services.store.marks()
    wait_until(lambda: services.store.marks()["BTCUSDT"].next_id > marks["BTCUSDT"].next_id)
    ids = [n for block in services.store.read_trades("BTCUSDT") for n in block.ids.tolist()]
    assert ids == list(range(ids[0], ids[-1] + 1))


@pytest.mark.slow
def test_venue_switch_keeps_rows_apart(start, tmp_path):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    wait_until(lambda: services.health()["status"] == "ok")
    exchange = SimulatedExchange(symbols=("BTCUSDT", "ETHUSDT"), seed=99)
    exchange.start()
    try:
        services.settings = services.settings.model_copy(
            update={"ws_url": exchange.ws_url, "rest_url": exchange.rest_url}
        )
        assert services.try_binance() == ""
        wait_until(lambda: services.health()["status"] == "ok")
        assert (services.venue.name, services.health()["simulated"]) == ("binance-spot", False)
        real = services.engine.bars("BTCUSDT", Timeframe.H1, limit=50, include_open=False)
        want = exchange_closes(exchange, "BTCUSDT")
        assert {
            ts: close
            for ts, close in zip(real.ts.tolist(), real.close.tolist(), strict=True)
            if ts in want
        } == {ts: c for ts, c in want.items() if ts in set(real.ts.tolist())}
        services.switch_to("simulated")
        wait_until(lambda: services.health()["status"] == "ok")
        assert services.health()["simulated"] is True
    finally:
        services.close()
        exchange.stop()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["open", "start"])
def test_venue_that_cannot_be_opened_leaves_the_old_one_running(start, monkeypatch, part):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    wait_until(lambda: services.health()["status"] == "ok")
    wait_until(lambda: "BTCUSDT" in services.store.marks())
    before = services.store.marks()["BTCUSDT"].next_id
    work = getattr(Desk, part)

    def refuse(desk: Desk) -> None:
        if desk.venue.name == "binance-spot":
            raise StorageError("the disk is gone")
        work(desk)

    monkeypatch.setattr(Desk, part, refuse)
    with pytest.raises(StorageError, match="the disk is gone"):
        services.switch_to("binance-spot")
    with pytest.raises(ConfigError, match="binance-moon"):
        services.switch_to("binance-moon")
    wait_until(lambda: services.health()["status"] == "ok")
    assert (services.venue.name, services.health()["simulated"]) == ("simulated", True)
    wait_until(lambda: services.store.marks()["BTCUSDT"].next_id > before)
    wait_until(lambda: services.engine.view(Params()).snapshot.status == "ready")


def exchange_closes(exchange: SimulatedExchange, symbol: str) -> dict[int, float]:
    rows = httpx.get(
        f"{exchange.rest_url}/api/v3/klines",
        params={"symbol": symbol, "interval": "1h", "limit": 49},
    ).json()
    return {row[0]: float(row[4]) for row in rows[:-1]}


@pytest.mark.slow
def test_dead_writer_turns_health_red_with_the_reason(start, monkeypatch):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    wait_until(lambda: services.health()["status"] == "ok")

    def fail(group) -> None:
        raise RuntimeError("a bug in the writer")

    monkeypatch.setattr(services.store.access.committer, "commit", fail)
    wait_until(lambda: services.health()["status"] == "down")
    assert "nothing is stored: a bug in the writer" in services.health()["problems"]


@pytest.mark.slow
def test_feed_that_fails_is_told_and_dead_for_good_is_down(start, monkeypatch):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    wait_until(lambda: services.health()["status"] == "ok")
    put = services.store.writer.put

    def fail(batch, bars=()) -> None:
        raise RuntimeError("a bug in the receiver")

    monkeypatch.setattr(services.store.writer, "put", fail)
    wait_until(lambda: services.health()["status"] == "degraded")
    assert any("a bug in the receiver" in text for text in services.health()["problems"])
    monkeypatch.setattr(services.store.writer, "put", put)
    wait_until(lambda: services.health()["status"] == "ok")
    services.feed.stop()
    assert services.health()["status"] == "down"
    assert any("the feed has failed" in text for text in services.health()["problems"])


@pytest.mark.slow
def test_dead_engine_turns_health_red(start):
    services = start(venue="simulated", symbols="BTCUSDT,ETHUSDT")
    wait_until(lambda: services.health()["status"] == "ok")
    services.engine.stop(5)
    assert services.health()["status"] == "down"
    assert "the engine's thread has stopped" in services.health()["problems"]
