"""The REST client: rows in, errors by what must be done, limits obeyed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from ingest.rest import ExchangeError, Rest, is_loopback
from ingest.rows import exchange_info, klines_from_rest, trades_from_rest
from ingest.weights import REPAIR
from model import DataError, FeedError, Market, Stream, SymbolInfo, Timeframe, Trade
from tests.ingest_fakes import AGG, T0, Clock, FakeRest, reply


def use(fake: FakeRest, work: Callable[[Rest], Awaitable[Any]]) -> Any:
    """Run `work` with a client of `fake`, in a loop of its own."""

    async def main() -> Any:
        rest = fake.rest()
        try:
            return await work(rest)
        finally:
            await rest.close()

    return asyncio.run(main())


def page(rest: Rest) -> Awaitable[Any]:
    """Ask for one page of trades."""
    return rest.trades_from("BTCUSDT", AGG, 1, share=REPAIR)


@pytest.fixture
def fake() -> FakeRest:
    """A spot exchange with ten trades."""
    exchange = FakeRest()
    exchange.add("BTCUSDT", range(1, 11), start_ms=T0 - 10_000, step_ms=1000)
    return exchange


@pytest.mark.parametrize("stream", list(Stream))
def test_trades_come_as_they_happened_and_void_rows_count_as_present(fake, stream):
    fake.void = {3, 10}
    found = use(fake, lambda rest: rest.trades_from("BTCUSDT", stream, 2, limit=9, share=REPAIR))
    assert found.trades == [t for t in fake.trades["BTCUSDT"] if t.id >= 2 and t.id not in (3, 10)]
    assert found.void_ids == [3, 10]
    assert (found.rejected, found.rows, found.first_id, found.last_id) == (0, 9, 2, 10)
    path = "aggTrades" if stream is AGG else "historicalTrades"
    assert fake.asked == [(path, {"symbol": "BTCUSDT", "fromId": "2", "limit": "9"})]


def test_one_bad_row_does_not_spoil_the_page():
    rows = (
        b'[{"a":1,"p":"5.0","q":"1","T":1700000000000,"m":true},'
        b'{"a":2,"p":"-5.0","q":"1","T":1700000000000,"m":true},'
        b'{"a":"3","p":"5.0","q":"1","T":1700000000000,"m":true},'
        b'{"a":4,"p":5.0,"q":"1","T":1700000000000,"m":true},7,'
        b'{"a":5,"p":"5.0","q":"1","T":1700000000000,"m":true}]'
    )
    found = trades_from_rest(rows, "BTCUSDT", AGG)
    assert [trade.id for trade in found.trades] == [1, 5]
    assert found.void_ids == [2, 4]
    assert (found.rejected, found.rows) == (4, 6)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"\xff", b"[" * 100_000, b'"x"', b"null"])
def test_bodies_that_are_no_list_are_data_errors(body):
    with pytest.raises(DataError):
        trades_from_rest(body, "BTCUSDT", AGG)
    with pytest.raises(DataError):
        klines_from_rest(body, "BTCUSDT", Timeframe.M1)
    if body != b"{}":
        with pytest.raises(DataError):
            exchange_info(body)


def test_klines_leave_out_what_is_no_candle():
    good = [T0, "10", "12", "9", "11", "5", T0 + 59_999, "55", 9, "1", "11", "0"]
    quiet = [T0 + 60_000, "11", "11", "11", "11", "0", T0 + 119_999, "0", 0, "0", "0", "0"]
    bad = [
        *([T0 + 1, *good[1:]], ["x", *good[1:]], good[:8], [T0, "nan", *good[2:]]),
        *([T0, "10", "9", *good[3:]], [T0, "10", "12", "0", *good[4:]], 5, None),
        *([*good[:5], "-1", *good[6:]], [*good[:8], "9", *good[9:]]),
        *([*good[:8], -1, *good[9:]], [*good[:8], 10**15 * 10, *good[9:]]),
    ]
    body = httpx.Response(200, json=[quiet, good, *bad]).content
    bars = klines_from_rest(body, "BTCUSDT", Timeframe.M1)
    assert [bar.ts for bar in bars] == [T0, T0 + 60_000]
    assert bars[0][3:10] == (10.0, 12.0, 9.0, 11.0, 5.0, 55.0, 9)
    assert bars[1].volume == 0.0


def test_exchange_info_tells_rules_and_the_limit():
    rules = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001"},
    ]
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": -3},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 3},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 2, "limit": 4800},
    ]
    symbols = [
        {"symbol": "BTCUSDT", "status": "HALT", "filters": rules},
        {"symbol": "XUSDT", "filters": [{"filterType": {}}, 5]},
        {
            "symbol": "ODD",
            "status": "x" * 999,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "nan"},
                {"filterType": "LOT_SIZE", "stepSize": "1e-300"},
            ],
        },
        {"symbol": 5},
        "y",
    ]
    body = httpx.Response(200, json={"symbols": symbols, "rateLimits": limits}).content
    info = exchange_info(body)
    assert info.symbols == {
        "BTCUSDT": SymbolInfo("BTCUSDT", 0.01, 0.00001, "HALT"),
        "XUSDT": SymbolInfo("XUSDT", 0.0, 0.0),
        "ODD": SymbolInfo("ODD", 0.0, 0.0, "x" * 40),
    }
    assert info.weight_per_minute == 2400


def test_unknown_symbols_are_found_by_halving(fake):
    for name in ("ETHUSDT", "SOLUSDT", "BNBUSDT"):
        fake.add(name, range(1), start_ms=T0, step_ms=1)
    wanted = ["BTCUSDT", "NOSUCH", "ETHUSDT", "SOLUSDT", "BNBUSDT"]
    info = use(fake, lambda rest: rest.symbols(wanted))
    assert list(info.symbols) == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"]
    assert len(fake.asked) <= 7


def test_futures_symbols_come_from_one_request():
    fake = FakeRest(Market.FUTURES)
    fake.add("BTCUSDT", range(1), start_ms=T0, step_ms=1)
    info = use(fake, lambda rest: rest.symbols(["BTCUSDT", "NOSUCH"]))
    assert list(info.symbols) == ["BTCUSDT"]
    assert fake.asked == [("exchangeInfo", {})]


def test_the_clock_is_measured_and_used(fake):
    fake.clock.now_ms += 0
    server = Clock(T0 + 5000)
    fake._time = lambda _: {"serverTime": server.now_ms}

    async def work(rest: Rest) -> None:
        assert await rest.sync_clock() == 5000
        assert rest.now_ms() == T0 + 5000

    use(fake, work)
    fake._time = lambda _: {"serverTime": "soon"}
    with pytest.raises(ExchangeError, match="must be an integer"):
        use(fake, lambda rest: rest.sync_clock())


@pytest.mark.parametrize(
    "failure",
    [
        reply({"code": -1001}, status=503),
        reply({}, status=500),
        httpx.ConnectError("no route"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
)
def test_what_may_pass_is_tried_again(fake, failure):
    fake.answers = [failure, failure]
    assert len(use(fake, page).trades) == 10
    assert len(fake.asked) == 3


def test_trying_again_ends(fake):
    fake.answers = [httpx.ConnectError("no route")] * 9
    with pytest.raises(ExchangeError, match="no route") as caught:
        use(fake, page)
    assert caught.value.kind == "unreachable"
    assert isinstance(caught.value, FeedError)
    assert len(fake.asked) == 4


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (451, {"code": 0, "msg": "restricted location"}, "blocked"),
        (400, {"code": -1121, "msg": "Invalid symbol."}, "unknown_symbol"),
        (400, {"code": -1100, "msg": "Illegal characters"}, "refused"),
        (404, "not even JSON", "refused"),
    ],
)
def test_what_will_not_pass_is_told_at_once(fake, status, body, kind):
    fake.answers = [reply(body, status=status)]
    with pytest.raises(ExchangeError) as caught:
        use(fake, page)
    assert caught.value.kind == kind
    assert len(fake.asked) == 1
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    ("status", "header", "silent_s"),
    [
        (429, "7", 7.0),
        (429, None, 60.0),
        (418, "300", 300.0),
        (418, "soon", 120.0),
        (403, None, 60),
    ],
)
def test_a_limit_silences_everything_for_as_long_as_it_says(fake, status, header, silent_s):
    headers = {} if header is None else {"Retry_After": header}
    fake.answers = [reply({"code": -1003}, status=status, **headers)]

    async def work(rest: Rest) -> None:
        waiting = asyncio.create_task(rest.trades_from("BTCUSDT", AGG, 1, share=REPAIR))
        while not rest.budget.blocked_s:
            await asyncio.sleep(0)
        assert rest.budget.blocked_s == pytest.approx(silent_s)
        await asyncio.sleep(0.01)
        assert len(fake.asked) == 1
        waiting.cancel()

    use(fake, work)


def test_a_short_limit_is_waited_out_and_the_request_sent_again():
    """Real time: the exchange's clock moves with ours."""
    fake = FakeRest()
    fake.clock = time.time  # type: ignore[assignment]
    fake.trades["BTCUSDT"] = []
    fake.answers = [reply({}, status=429, Retry_After="0.1"), reply([])]
    start = time.monotonic()
    assert use(fake, page).rows == 0
    assert time.monotonic() - start >= 0.1


def test_the_used_weight_of_the_answer_is_kept(fake):
    fake.answers = [reply([], X_MBX_USED_WEIGHT_1M="77")]

    async def work(rest: Rest) -> None:
        await page(rest)
        assert rest.budget.used == 77

    use(fake, work)


def test_newest_and_between(fake):
    found = use(fake, lambda rest: rest.newest_trades("BTCUSDT", AGG, limit=2))
    assert [trade.id for trade in found.trades] == [9, 10]
    found = use(
        fake,
        lambda rest: rest.aggregates_between("BTCUSDT", T0 - 9000, T0 - 8000, share=REPAIR),
    )
    assert [trade.id for trade in found.trades] == [2, 3]
    assert isinstance(found.trades[0], Trade)


def test_loopback_needs_no_proxy():
    assert is_loopback("http://127.0.0.1:9")
    assert is_loopback("ws://localhost/x")
    assert is_loopback("http://[::1]:5")
    assert not is_loopback("https://api.binance.com")
