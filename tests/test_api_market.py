"""Health, symbols, bars, exports and counters over a real database."""

import csv
import io

import pyarrow.parquet as pq
import pytest

from api import schemas
from api.prometheus import exposition
from api.routes_market import summary
from model import Timeframe
from storage.coverage import Coverage
from tests.api_fakes import START_MS, FakeServices, json_of

pytest_plugins = ["tests.api_fixtures"]
# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


# -- market ---------------------------------------------------------------------------------------


def test_health_is_as_promised(client):
    schemas.HealthAnswer.model_validate(json_of(client.get("/api/health")), strict=True)


def test_health_answers_503_when_down(fresh):
    services, client = fresh
    services.health_status = "down"
    body = json_of(client.get("/api/health"), 503)
    assert body["status"] == "down"


def test_symbols_tell_the_span_of_each_timeframe(client):
    body = json_of(client.get("/api/symbols"))
    schemas.SymbolsAnswer.model_validate(body, strict=True)
    by_name = {row["symbol"]: row["timeframes"] for row in body["symbols"]}
    assert set(by_name) == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"}
    frame = by_name["BTCUSDT"]["1s"]
    assert (frame["first_ts"], frame["last_ts"]) == (START_MS, START_MS + 599_000)
    assert frame["bars"] == 600
    assert by_name["SOLUSDT"] == {}


@pytest.mark.parametrize(
    ("spans", "want"),
    [
        ({"trades": (0, 9, 10)}, (10, False)),
        ({"trades": (0, 9, 7)}, (7, False)),  # holes, one source
        ({"kline": (0, 4, 3), "trades": (5, 9, 4)}, (7, False)),  # holes, one after the other
        ({"kline": (0, 9, 10), "trades": (5, 9, 2)}, (10, False)),  # one without holes
        ({"kline": (0, 6, 5), "trades": (4, 9, 4)}, (9, True)),  # 7 to 9: nobody counted
        ({"kline": (0, 6, 7), "trades": (4, 9, 6)}, (10, True)),
    ],
)
def test_number_of_bars_is_exact_or_says_that_it_is_not(spans, want):
    rows = [
        Coverage("BTCUSDT", Timeframe.M1, layer, first * 60_000, last * 60_000, bars)
        for layer, (first, last, bars) in spans.items()
    ]
    for listed in (rows, rows[::-1]):
        found = summary(listed)
        assert (found["bars"], found["estimated"]) == want
        assert (found["first_ts"], found["last_ts"]) == (0, 540_000)
        assert found["sources"] == {layer: bars for layer, (_, _, bars) in spans.items()}


def test_bars_are_oldest_first_and_closed_only(client):
    body = json_of(client.get("/api/bars?symbol=BTCUSDT&timeframe=1s&limit=20"))
    schemas.BarsAnswer.model_validate(body, strict=True)
    bars = body["bars"]
    assert [bar["ts"] for bar in bars] == [START_MS + 1000 * i for i in range(579, 599)]
    assert all(bar["closed"] and bar["quality"] == "live" for bar in bars)
    assert bars[0]["open"] == 100 + 579 % 7
    assert bars[0]["quote_volume"] == bars[0]["open"] * 0.5


def test_bars_with_the_forming_one(client):
    bars = json_of(client.get("/api/bars?symbol=BTCUSDT&timeframe=1s&include_open=true"))["bars"]
    assert [bar["closed"] for bar in bars[-2:]] == [True, False]


def test_bars_from_start_page_forward(client):
    """Paging by the last ts + 1 gives every bar once."""
    seen, start = [], START_MS
    while True:
        url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&limit=250&start={start}"
        bars = json_of(client.get(url))["bars"]
        if not bars:
            break
        seen += [bar["ts"] for bar in bars]
        start = seen[-1] + 1
    assert seen == [START_MS + 1000 * i for i in range(599)]


def test_bars_of_a_span_are_inclusive_at_both_ends(client):
    start, end = START_MS + 10_000, START_MS + 12_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&start={start}&end={end}"
    assert [bar["ts"] for bar in json_of(client.get(url))["bars"]] == [
        start, start + 1000, end,
    ]  # fmt: skip


def test_bars_up_to_an_end_are_the_newest_before_it(client):
    end = START_MS + 100_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&limit=3&end={end}"
    found = [bar["ts"] for bar in json_of(client.get(url))["bars"]]
    assert found == [end - 2000, end - 1000, end]


def test_bars_older_than_memory_come_from_the_database(fresh):
    """The same span, from memory and from the database, is the same."""
    services, client = fresh
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1m&start={START_MS}&limit=4"
    before = json_of(client.get(url))["bars"]
    held = services.book.first_ts
    services.book.first_ts = lambda symbol, timeframe: held(symbol, timeframe) + 300_000
    assert json_of(client.get(url))["bars"] == before
    assert len(before) == 4


def test_bars_have_an_etag(client):
    url = "/api/bars?symbol=BTCUSDT&timeframe=1m"
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    other = client.get(url + "&limit=2", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_bars_since_repeat_the_last_row_seen(client):
    since = START_MS + 590_000
    url = f"/api/bars?symbol=BTCUSDT&timeframe=1s&since={since}"
    assert json_of(client.get(url))["bars"][0]["ts"] == since


# -- export and metrics ---------------------------------------------------------------------------


def test_export_of_trades_is_complete_in_both_forms(client):
    response = client.get("/api/export?symbol=BTCUSDT")
    assert response.headers["content-type"].startswith("text/csv")
    name = 'filename="BTCUSDT_trades.simulated.csv"'
    assert name in response.headers["content-disposition"]
    lines = response.text.split("\n")
    assert lines[0] == "ts,time,symbol,trade_id,price,qty,buyer_maker"
    assert lines[1] == f"{START_MS},2023-11-14T22:14:00.000Z,BTCUSDT,1700000040,100.0,0.5,true"
    assert (len(lines), lines[-1]) == (602, "")
    table = pq.read_table(
        io.BytesIO(client.get("/api/export?symbol=BTCUSDT&format=parquet").content)
    )
    assert table.num_rows == 600
    assert table.column("ts").to_pylist()[0] == START_MS


def test_export_of_bars_matches_the_bars_route(client):
    url = f"timeframe=1s&start={START_MS + 5000}&end={START_MS + 9000}"
    text = client.get(f"/api/export?symbol=BTCUSDT&kind=bars&{url}").text
    bars = json_of(client.get(f"/api/bars?symbol=BTCUSDT&{url}"))["bars"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["ts"]) for row in rows] == [bar["ts"] for bar in bars]
    assert [float(row["close"]) for row in rows] == [bar["close"] for bar in bars]


def test_export_of_an_empty_span_is_a_header(client):
    text = client.get("/api/export?symbol=BTCUSDT&start=1&end=2").text
    assert text == "ts,time,symbol,trade_id,price,qty,buyer_maker\n"


def test_metrics_are_prometheus_text(client, services):
    response = client.get("/api/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert "pairs_up 1" in lines
    assert 'pairs_feed_state{state="live"} 1' in lines
    assert 'pairs_symbol_trades_total{symbol="BTCUSDT"} 1' in lines
    families = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split()[0] for line in lines if line[0] != "#"} == families


def test_metrics_leave_out_what_is_unknown():
    health = FakeServices().health()
    health["storage"]["last_commit_age_ms"] = None
    assert "last_commit_age" not in exposition(health)
