"""Funding rates: fetched, handed on, stored, and used by everything that trades a rule."""

import asyncio
import dataclasses
import io
import time
import zipfile
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from analytics.backtest import backtest
from analytics.outcome import outcome_at
from analytics.series import analyse
from analytics.sweep import Axes, sweep
from analytics.walkforward import walk_forward
from desk import Desk
from ingest.funding import Funding
from ingest.rows import funding_from_rest
from ingest.timing import Timing
from model import Batch, DataError, FundingRate, Market, Stream, Timeframe
from params import Params
from settings import Settings
from storage.store import Store
from study import Span, load_funding, load_pair, run_backtest
from tests.exchanges import PAIR, exchange_of
from tests.ingest_fakes import T0, FakeRest, reply, until
from tests.study_pairs import MINUTE, START, candles, put, walk_pair
from tests.waiting import wait_until
from ui import report, runs

HOUR = 3_600_000
QUICK = dataclasses.replace(Timing(), funding_pause_s=0.0, funding_late_s=0.0, blocked_retry_s=0.01)


class Bench:
    """A fetcher of rates with a fake exchange and a receiver."""

    def __init__(self, *, hours: int = 100, since: dict[str, int] | None = None) -> None:
        self.fake = FakeRest(Market.FUTURES)
        for symbol in PAIR:
            self.fake.add(symbol, range(1, 2), start_ms=T0, step_ms=1)
        self.since = {} if since is None else since
        self.hours = hours
        self.got: list[FundingRate] = []

    def run(self, is_done: Callable[["Bench"], bool], symbols: tuple[str, ...] = PAIR) -> Funding:
        """Fetch until `is_done`."""

        async def main() -> Funding:
            rest = self.fake.rest()
            funding = self.funding = Funding(
                rest, since=self.since, hours=self.hours, on_rates=self.got.extend, timing=QUICK
            )
            work = asyncio.create_task(funding.run(lambda: symbols))
            await until(lambda: is_done(self))
            work.cancel()
            await rest.close()
            return funding

        return asyncio.run(main())

    def times(self, symbol: str) -> list[int]:
        """Times handed on, in the order they were."""
        return [one.ts_ms for one in self.got if one.symbol == symbol]


def test_run_fetches_the_hours_wanted_in_pages_of_a_thousand():
    bench = Bench(hours=8 * 2300)
    bench.run(lambda b: len(b.times("BTCUSDT")) >= 2300, ("BTCUSDT",))
    times = bench.times("BTCUSDT")
    assert len(times) == 2300
    assert set(np.diff(times)) == {8 * HOUR}
    assert times[-1] > T0 - 8 * HOUR
    asked = [params for path, params in bench.fake.asked if path == "fundingRate"]
    assert [params["limit"] for params in asked] == ["1000"] * 3
    assert bench.since["BTCUSDT"] == times[-1] + 1


def test_run_asks_only_for_what_is_missing():
    first = T0 // (8 * HOUR) * 8 * HOUR + 3 - 24 * HOUR
    bench = Bench(since={"BTCUSDT": first + 1, "ETHUSDT": first})
    bench.run(lambda b: len(b.times("ETHUSDT")) >= 4)
    assert bench.times("BTCUSDT") == [first + n * 8 * HOUR for n in (1, 2, 3)]
    assert bench.times("ETHUSDT") == [first + n * 8 * HOUR for n in (0, 1, 2, 3)]


def test_run_that_fails_says_so_tries_again_and_leaves_the_other_symbol_alone():
    bench = Bench()
    refusal = reply({"code": -1130, "msg": "No."}, status=400)
    bench.fake.answers = [refusal]
    notes = []

    def is_done(b: Bench) -> bool:
        notes.append(dict(b.funding.notes))
        return len(b.times("BTCUSDT")) > 0

    funding = bench.run(is_done)
    assert any("BTCUSDT: no funding rates" in said.get("BTCUSDT", "") for said in notes)
    assert bench.got[0].symbol == "ETHUSDT"
    assert funding.notes == {}


@pytest.mark.parametrize(
    "row",
    [
        {"fundingTime": "1700000000000", "fundingRate": "0.0001"},
        {"fundingTime": 17, "fundingRate": "0.0001"},
        {"fundingTime": 1_700_000_000_000, "fundingRate": 0.0001},
        {"fundingTime": 1_700_000_000_000, "fundingRate": "nan"},
        {"fundingTime": 1_700_000_000_000, "fundingRate": "5"},
        {"fundingTime": 1_700_000_000_000},
        7,
    ],
)
def test_a_row_that_is_no_rate_is_left_out(row):
    sound = {"fundingTime": 1_700_000_000_003, "fundingRate": "-0.00012345"}
    body = reply([row, sound]).content
    assert funding_from_rest(body, "X") == [FundingRate("X", 1_700_000_000_003, -0.00012345)]


def test_a_body_that_is_no_list_is_refused():
    with pytest.raises(DataError, match="must be a list of funding rates"):
        funding_from_rest(b"{}", "X")


# -- from the exchange to the database, over real sockets ----------------------------------------


def settings_of(tmp_path, exchange, market: str) -> Settings:
    return Settings.from_env(
        {
            "PAIRS_DATABASE_URL": f"sqlite:///{tmp_path}/pairs.db",
            "PAIRS_VENUE": f"binance-{market}",
            "PAIRS_SYMBOLS": ",".join(PAIR),
            "PAIRS_HISTORY_BARS": "1000",
            "PAIRS_WS_URL": exchange.ws_url,
            "PAIRS_REST_URL": exchange.rest_url,
        }
    )


def desk_of(tmp_path, exchange, market: str) -> Desk:
    desk = Desk(settings_of(tmp_path, exchange, market), f"binance-{market}", on_arrival=int)
    desk.open()
    desk.start()
    return desk


def plain(funding) -> dict:
    return {name: (ts.tolist(), rate.tolist()) for name, (ts, rate) in funding.items()}


def test_rates_stored_are_the_exchanges_history_and_a_restart_asks_for_none_of_them(tmp_path):
    with exchange_of("futures", rate=20.0) as exchange:
        desk = desk_of(tmp_path, exchange, "futures")
        now_ms = time.time() * 1000
        first = -(-(now_ms - 1000 * HOUR) // (8 * HOUR))
        try:
            wait_until(lambda: len(desk.store.funding(PAIR)) == 2)
            stored = plain(desk.store.funding(PAIR))
            assert plain(desk.funding) == stored
        finally:
            desk.close()
        for symbol in PAIR:
            rows = exchange.market.funding(symbol, int(first), int(now_ms // (8 * HOUR)), 8 * HOUR)
            assert len(rows) in (124, 125)
            times, rates = stored[symbol]
            assert times == [row[0] for row in rows]
            assert rates == pytest.approx([row[1] / 1e8 for row in rows], abs=1e-15)
        again = Desk(settings_of(tmp_path, exchange, "futures"), "binance-futures", on_arrival=int)
        try:
            again.open()
            assert plain(again.funding) == stored
            assert again._funding_since() == {s: stored[s][0][-1] + 1 for s in PAIR}
        finally:
            again.close()


def test_rates_before_a_hole_are_asked_for_again(tmp_path):
    with exchange_of("futures", rate=20.0) as exchange:
        desk = Desk(settings_of(tmp_path, exchange, "futures"), "binance-futures", on_arrival=int)
        try:
            desk.open()
            newest = int(time.time() * 1000) // (8 * HOUR) * 8 * HOUR
            known = [newest - n * 8 * HOUR for n in range(130, -1, -1) if n != 50]
            desk._take(Batch([], funding=tuple(FundingRate("BTCUSDT", ts, 1e-4) for ts in known)))
            assert desk._funding_since()["BTCUSDT"] == newest - 51 * 8 * HOUR + 1
            oldest = int(time.time() * 1000) - 1000 * HOUR
            assert desk._funding_since()["ETHUSDT"] == pytest.approx(oldest + 1, abs=5000)
        finally:
            desk.close()


def test_spot_asks_for_no_rates(tmp_path):
    with exchange_of("spot", rate=20.0) as exchange:
        desk = desk_of(tmp_path, exchange, "spot")
        try:
            wait_until(lambda: desk.feed.health().state == "live")
            assert desk.funding == {}
            assert desk.feed.health().warnings == ()
        finally:
            desk.close()


# -- what is made of them -------------------------------------------------------------------------

RULE = Params(gates=("warm",), entry=1.5, max_hold=200, exit=0.0, stop=0, funding_bps_8h=7)
RATES = {
    symbol: [(START + n * 2 * HOUR + 3, (-1) ** n * scale * (n + 1)) for n in range(8)]
    for symbol, scale in (("BTCUSDT", 1e-4), ("ETHUSDT", 3e-4))
}


@pytest.fixture
def store(tmp_path):
    """900 minutes of a pair on futures. Rates come every two hours, so that many are paid."""
    y, x = walk_pair()
    with Store.open(
        f"sqlite:///{tmp_path}/pairs.db", venue="binance-futures", stream=Stream.AGG_TRADE
    ) as opened:
        opened.writer.start()
        put(opened, Batch([], klines=candles("BTCUSDT", y) + candles("ETHUSDT", x)))
        yield opened


def put_rates(store: Store, *symbols: str) -> None:
    for symbol in symbols:
        store.put_funding([FundingRate(symbol, *row) for row in RATES[symbol]])
    wait_until(lambda: len(store.funding(symbols)) == len(symbols))


def brute_force(row: dict, store: Store) -> float:
    """Funding received by one trade, rate by rate: at the close of the bar that holds its time."""
    total = 0.0
    for symbol, qty in (("BTCUSDT", row["qty_y"]), ("ETHUSDT", row["qty_x"])):
        bars = store.read_bars(symbol, Timeframe.M1)
        close = dict(zip(bars.ts.tolist(), bars.close.tolist(), strict=True))
        for ts, rate in RATES[symbol]:
            bar = ts - ts % MINUTE
            is_last = row["exit_reason"] == "end" and bar == row["exit_ts"]
            if row["entry_ts"] < bar < row["exit_ts"] or is_last:
                total -= qty * close[bar] * rate
    return total


def test_backtest_pays_the_stored_rates_and_not_the_assumed_one(store):
    put_rates(store, *PAIR)
    result = run_backtest(store, RULE, Span(), market=Market.FUTURES)
    rows = result.trade_rows()
    paid = [row["funding"] for row in rows]
    assert paid == pytest.approx([brute_force(row, store) for row in rows], abs=1e-9)
    assert sum(abs(value) > 1e-3 for value in paid) >= 4
    assert result.metrics.costs.funding == pytest.approx(-sum(paid))


def test_backtest_assumes_the_rate_of_a_leg_without_stored_ones(store):
    """The assumed rate is due at 08:00 only."""
    put_rates(store, "BTCUSDT")
    bars = load_pair(store, RULE, Span())
    stored = load_funding(store, RULE)
    assert set(stored) == {"BTCUSDT"}
    want = backtest(analyse(*bars, RULE), RULE, market=Market.FUTURES, funding=stored)
    got = run_backtest(store, RULE, Span(), market=Market.FUTURES)
    assert got.trade_rows() == want.trade_rows()
    neither = backtest(analyse(*bars, RULE), RULE, market=Market.FUTURES)
    assert got.metrics.costs.funding != neither.metrics.costs.funding


def test_sweep_with_stored_rates_is_the_single_runs(store):
    put_rates(store, *PAIR)
    series = analyse(*load_pair(store, RULE, Span()), RULE)
    found = sweep(
        RULE,
        Axes(entries=(1.0, 1.5, 2.0)),
        series_of=lambda _: series,
        market=Market.FUTURES,
        funding=load_funding(store, RULE),
    )
    singles = [run_backtest(store, rule, Span(), market=Market.FUTURES) for rule in found.rules]
    assert len(singles) == 3
    assert found.net_pnl == pytest.approx([one.metrics.net.pnl for one in singles], abs=1e-9)


def test_the_page_pays_the_same_rates_and_its_bundle_holds_them(store):
    put_rates(store, *PAIR)
    parts = SimpleNamespace(store=store, market=Market.FUTURES, venue_key="funding")
    study, result = runs.run(parts, RULE, Span())
    want = run_backtest(store, RULE, Span(), market=Market.FUTURES)
    assert result.trade_rows() == want.trade_rows()
    with zipfile.ZipFile(io.BytesIO(report.bundle(study, result, is_simulated=False))) as archive:
        lines = archive.read("funding_used.csv").decode().splitlines()
    assert lines[0] == "symbol,ts,rate"
    listed = [line.split(",") for line in lines[1:]]
    assert [(name, int(ts), float(rate)) for name, ts, rate in listed] == [
        (symbol, *row) for symbol in PAIR for row in RATES[symbol]
    ]


def test_the_page_of_a_pair_without_rates_has_none_in_its_bundle(store):
    parts = SimpleNamespace(store=store, market=Market.FUTURES, venue_key="no funding")
    study, result = runs.run(parts, RULE, Span())
    with zipfile.ZipFile(io.BytesIO(report.bundle(study, result, is_simulated=False))) as archive:
        assert "funding_used.csv" not in archive.namelist()


def test_walk_forward_and_the_outcome_of_a_signal_pay_the_stored_rates(store):
    put_rates(store, *PAIR)
    series = analyse(*load_pair(store, RULE, Span()), RULE)
    given = {"market": Market.FUTURES, "funding": load_funding(store, RULE)}
    trade = next(row for row in backtest(series, RULE, **given).trade_rows() if row["funding"])
    signal_ts = trade["entry_ts"] - MINUTE  # filled at the next row's open
    outcome = outcome_at(series, RULE, ts=signal_ts, **given)
    assert outcome["net_bps"] == pytest.approx(trade["return_bps"], abs=1e-9)

    found = walk_forward(RULE, Axes(entries=(1.5,)), series_of=lambda _: series, folds=2, **given)
    nets = [
        backtest(
            series, RULE, start_ms=fold.test_start_ms, end_ms=fold.test_end_ms, **given
        ).metrics.net.pnl
        for fold in found.folds
    ]
    ending = found.out_of_sample.net[-1] - RULE.capital
    assert ending == pytest.approx(sum(nets), abs=1e-9)
