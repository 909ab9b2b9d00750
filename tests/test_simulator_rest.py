"""REST of the simulated exchange, as Binance documents it."""

import itertools
import json

import pytest

from simulator.limits import Limiter
from simulator.market import Market
from simulator.rest import Rest

NOW = 1_780_000_123_456
MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def spot():
    return Rest(Market(("BTCUSDT", "ETHUSDT", "SOLUSDT")))


@pytest.fixture(scope="module")
def futures():
    return Rest(Market(("BTCUSDT", "ETHUSDT"), market="futures"))


def get(rest, path, now=NOW, **query):
    answer = rest.answer(path, {k: str(v) for k, v in query.items()}, now, now)
    return answer.status, json.loads(answer.body)


def ok(rest, path, now=NOW, **query):
    status, body = get(rest, path, now, **query)
    assert status == 200, body
    return body


def spot_aggregates(rest, **query):
    return ok(rest, "/api/v3/aggTrades", symbol="BTCUSDT", **query)


def test_agg_trades_without_times_are_the_newest_500(spot):
    rows = spot_aggregates(spot)
    assert len(rows) == 500
    assert (
        rows[-1]["T"]
        <= NOW
        < spot_aggregates(spot, fromId=rows[-1]["a"] + 1, now=NOW + HOUR)[0]["T"]
    )
    assert list(rows[0]) == ["a", "p", "q", "f", "l", "T", "m", "M"]
    assert len(rows[0]["p"].partition(".")[2]) == len(rows[0]["q"].partition(".")[2]) == 8


def test_agg_trades_from_id_page_without_a_seam(spot):
    start = spot_aggregates(spot)[0]["a"] - 5_000
    rows = []
    while not rows or rows[-1]["a"] < start + 2_500:
        rows += spot_aggregates(spot, fromId=start + len(rows), limit=1000)
    assert [row["a"] for row in rows] == list(range(start, start + 3_000))
    assert all(b["f"] == a["l"] + 1 for a, b in itertools.pairwise(rows))


def test_agg_trades_after_the_newest_are_empty(spot):
    newest = spot_aggregates(spot)[-1]["a"]
    assert spot_aggregates(spot, fromId=newest + 1) == []
    assert spot_aggregates(spot, startTime=NOW + HOUR) == []


def test_agg_trades_by_time_include_both_ends(spot):
    rows = spot_aggregates(spot, startTime=NOW - HOUR, limit=50)
    first, last = rows[0], rows[30]
    again = spot_aggregates(spot, startTime=first["T"], endTime=last["T"], limit=1000)
    ids = [row["a"] for row in again]
    assert first["a"] in ids
    assert last["a"] in ids
    assert all(first["T"] <= row["T"] <= last["T"] for row in again)


def test_agg_trades_until_a_time_are_the_last_before_it(spot):
    rows = spot_aggregates(spot, endTime=NOW - HOUR, limit=10)
    assert len(rows) == 10
    after = spot_aggregates(spot, fromId=rows[-1]["a"] + 1, limit=1)[0]
    assert rows[-1]["T"] <= NOW - HOUR < after["T"]


def test_limit_above_the_most_is_cut_on_spot(spot):
    assert len(spot_aggregates(spot, limit=5000)) == 1000


def test_raw_trades_are_what_the_aggregates_cover(spot):
    aggregate = spot_aggregates(spot, limit=1)[0]
    count = aggregate["l"] - aggregate["f"] + 1
    rows = ok(
        spot, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=aggregate["f"], limit=count
    )
    assert [row["id"] for row in rows] == list(range(aggregate["f"], aggregate["l"] + 1))
    assert {row["price"] for row in rows} == {aggregate["p"]}
    assert sum(round(float(row["qty"]) * 1e5) for row in rows) == round(float(aggregate["q"]) * 1e5)
    assert all(
        float(row["quoteQty"]) == pytest.approx(float(row["price"]) * float(row["qty"]))
        for row in rows
    )
    assert ok(spot, "/api/v3/trades", symbol="BTCUSDT", limit=count)[-1]["id"] == aggregate["l"]


def test_klines_without_times_end_with_the_forming_one(spot):
    rows = ok(spot, "/api/v3/klines", symbol="ETHUSDT", interval="1m")
    assert len(rows) == 500
    assert rows[-1][0] <= NOW <= rows[-1][6]
    assert [b[0] - a[0] for a, b in itertools.pairwise(rows)] == [MINUTE] * 499
    assert all(row[6] == row[0] + MINUTE - 1 for row in rows)
    assert [type(value) for value in rows[0]] == [
        int, str, str, str, str, str, int, str, int, str, str, str,
    ]  # fmt: skip


def test_klines_by_time_hold_the_opens_inside(spot):
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    rows = ok(
        spot,
        "/api/v3/klines",
        symbol="ETHUSDT",
        interval="1m",
        startTime=start + 1,
        endTime=start + 3 * MINUTE,
    )
    assert [row[0] for row in rows] == [start + n * MINUTE for n in (1, 2, 3)]


@pytest.mark.parametrize("interval", ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "4h", "1d"])
def test_klines_of_every_interval_are_served(spot, interval):
    rows = ok(spot, "/api/v3/klines", symbol="SOLUSDT", interval=interval, limit=5)
    assert len(rows) == 5
    for row in rows:
        open_, high, low, close = (float(value) for value in row[1:5])
        assert low <= min(open_, close) <= max(open_, close) <= high


def test_exchange_info_names_grid_and_weights(spot, futures):
    info = ok(spot, "/api/v3/exchangeInfo", symbols='["BTCUSDT","ETHUSDT"]')
    assert [s["symbol"] for s in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    filters = {f["filterType"]: f for f in info["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert info["rateLimits"][0]["limit"] == 6000
    info = ok(futures, "/fapi/v1/exchangeInfo")
    assert info["rateLimits"][0]["limit"] == 2400
    assert info["symbols"][0]["contractType"] == "PERPETUAL"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("klines", {"symbol": "NOPEUSDT", "interval": "1m"}, -1121),
        ("klines", {"symbol": "btcusdt", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "now"}, -1100),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "1", "startTime": "5"}, -1128),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "-4"}, -1100),
        ("aggTrades", {}, -1102),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NOPE"]'}, -1121),
        ("exchangeInfo", {"symbols": "BTCUSDT"}, -1100),
    ],
)
def test_bad_requests_are_refused_by_number(spot, path, query, code):
    status, body = get(spot, f"/api/v3/{path}", **query)
    assert (status, body["code"]) == (400, code)
    assert body["msg"]


def test_unknown_path_is_404(spot):
    assert get(spot, "/api/v3/depth")[0] == 404
    assert get(spot, "/fapi/v1/time")[0] == 404


def test_futures_aggregates_have_nq_and_no_m(futures):
    row = ok(futures, "/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1)[0]
    assert list(row) == ["a", "p", "q", "nq", "f", "l", "T", "m"]


def test_futures_aggregates_older_than_48_hours_are_refused(futures):
    newest = ok(futures, "/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1)[0]["a"]
    for query in ({"fromId": newest - 5_000_000}, {"startTime": NOW - 49 * HOUR}):
        status, body = get(futures, "/fapi/v1/aggTrades", symbol="BTCUSDT", **query)
        assert (status, body["code"]) == (400, -4166)
    assert ok(futures, "/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=NOW - 47 * HOUR)


def test_futures_window_of_an_hour_is_too_long(futures):
    query = {"symbol": "BTCUSDT", "startTime": NOW - 2 * HOUR}
    status, body = get(futures, "/fapi/v1/aggTrades", endTime=NOW - HOUR, **query)
    assert (status, body["code"]) == (400, -1127)
    assert ok(futures, "/fapi/v1/aggTrades", endTime=NOW - HOUR - 1, **query)


def test_futures_have_no_seconds_and_1500_rows(futures):
    query = {"symbol": "BTCUSDT", "interval": "1s"}
    assert get(futures, "/fapi/v1/klines", **query)[1]["code"] == -1120
    query["interval"] = "1m"
    assert len(ok(futures, "/fapi/v1/klines", limit=1500, **query)) == 1500
    assert get(futures, "/fapi/v1/klines", limit=1501, **query)[1]["code"] == -1130


def test_futures_historical_trades_need_a_key(futures):
    assert get(futures, "/fapi/v1/historicalTrades", symbol="BTCUSDT")[0] == 401


def test_futures_raw_ids_have_holes_and_aggregates_know_them(futures):
    rows = ok(futures, "/fapi/v1/trades", symbol="BTCUSDT", limit=1000)
    ids = [row["id"] for row in rows]
    steps = {b - a for a, b in itertools.pairwise(ids)}
    assert steps == {1, 2}
    assert all(number % 16 for number in ids)
    known = set(ids)
    for row in ok(futures, "/fapi/v1/aggTrades", symbol="BTCUSDT", limit=300):
        assert {row["f"], row["l"]} <= known


def test_funding_rates_come_every_eight_hours(futures):
    rows = ok(
        futures, "/fapi/v1/fundingRate", symbol="ETHUSDT", startTime=NOW - 50 * HOUR, endTime=NOW
    )
    times = [row["fundingTime"] for row in rows]
    assert all(ts % (8 * HOUR) == 0 for ts in times)
    assert times == sorted(times)
    assert len(rows) == 6
    assert all(abs(float(row["fundingRate"])) < 1e-3 for row in rows)


@pytest.mark.parametrize(
    ("path", "query", "spot_weight", "futures_weight"),
    [
        ("aggTrades", {}, 4, 20),
        ("trades", {}, 25, 5),
        ("historicalTrades", {}, 25, 200),
        ("klines", {}, 2, 5),
        ("klines", {"limit": "99"}, 2, 1),
        ("klines", {"limit": "499"}, 2, 2),
        ("klines", {"limit": "1000"}, 2, 5),
        ("klines", {"limit": "1500"}, 2, 10),
        ("klines", {"limit": "²"}, 2, 5),
        ("klines", {"limit": "9" * 5000}, 2, 5),
        ("exchangeInfo", {}, 20, 1),
        ("ping", {}, 1, 1),
    ],
)
def test_weights_are_those_of_the_documentation(
    spot, futures, path, query, spot_weight, futures_weight
):
    assert spot.weight(f"/api/v3/{path}", query) == spot_weight
    assert futures.weight(f"/fapi/v1/{path}", query) == futures_weight


def test_limiter_refuses_then_bans_and_forgets():
    limiter = Limiter(100)
    assert limiter.charge(100, 30.0) == (200, 0)
    assert limiter.charge(1, 40.0) == (429, 20)
    assert limiter.charge(1, 60.0) == (200, 0)
    limiter.charge(100, 61.0)
    statuses = [limiter.charge(1, 62.0)[0] for _ in range(12)]
    assert statuses[0] == 429
    assert statuses[-1] == 418
    status, wait_s = limiter.charge(1, 100.0)
    assert status == 418
    assert 60 < wait_s <= 120
    assert limiter.charge(1, 62.0 + 121.0)[0] == 200


def test_limiter_bans_longer_each_time():
    limiter, bans = Limiter(1), []
    for start_s in (0.0, 10_000.0, 20_000.0):
        for _ in range(14):
            status, wait_s = limiter.charge(1, start_s)
            if status == 418:
                bans.append(wait_s)
                break
    assert bans == [120, 240, 480]
