"""The push socket: a client that applies its messages holds what the server shows."""

import asyncio
import contextlib
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from api.channel import Channel
from api.errors import ApiError
from api.pieces import SeqSource
from api.push import MOST_KEPT, Hub
from model import ConfigError
from params import Params
from tests.api_fakes import (
    START_MS,
    FakeServices,
    columns_of,
    make_client,
    make_series,
    rebuilt,
)
from tests.push_page import URL, Page

COLUMNS = {
    "ts", "closed", "price_y", "price_x", "alpha", "beta", "beta_se", "spread", "mean", "sd",
    "zscore", "correlation", "beta_ols", "beta_kalman", "beta_kalman_se", "quality",
}  # fmt: skip


def expected_rows(series, limit):
    names = [name for name in COLUMNS if name not in ("beta_se", "quality")]
    rows = {}
    for i in range(max(0, len(series.ts) - limit), len(series.ts)):
        row = {name: getattr(series, name)[i].item() for name in names}
        row["beta_se"] = series.beta_kalman_se[i].item()
        row["quality"] = "live"
        rows[int(series.ts[i])] = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
    return rows


@pytest.fixture
def services():
    return FakeServices()


@pytest.fixture
def channel(services):
    return Channel(lambda: services, SeqSource(), Params(), 50)


def bring_up(channel, page):
    seq, text = channel.message_after(page.seq)
    page.take(text)
    assert page.seq == seq == channel.seq


# -- the channel ------------------------------------------------------------------------------


def test_full_message_holds_everything_the_page_needs(services, channel):
    services.engine.put(Params(), make_series(60))
    channel.step()
    message = json.loads(channel.message_after(0)[1])
    assert message["type"] == "full"
    assert set(message["series"]) == COLUMNS
    assert {len(column) for column in message["series"].values()} == {50}
    assert message["params"]["window"] == 50
    assert message["snapshot"]["decision"]["gates"][0]["name"] == "warm"
    assert message["snapshot"]["decision"]["confidence"] is None
    assert message["status"]["feed"] == "live"
    assert message["status"]["rule_differs"] == []
    assert message["status"]["bar_close_ms"] > message["status"]["server_ms"]
    assert len(message["ticks"]["BTCUSDT"]) == 200
    first, last = message["ticks"]["BTCUSDT"][0], message["ticks"]["BTCUSDT"][-1]
    assert first[0] < last[0]
    assert len(last) == 4
    assert set(message["candles"]["BTCUSDT"]) == {"ts", "open", "high", "low", "close"}
    assert message["closed_candles"]["BTCUSDT"]["ts"] == message["candles"]["BTCUSDT"]["ts"] - 60000


def test_delta_holds_only_the_rows_that_changed(services, channel):
    series = make_series(60)
    services.engine.put(Params(), series)
    channel.step()
    page = Page()
    bring_up(channel, page)
    longer = _moved(series, "append")
    services.engine.put(Params(), longer)
    channel.step()
    message = page.take(channel.message_after(page.seq)[1])
    assert message["type"] == "delta"
    assert message["series"]["ts"] == longer.ts[59:].tolist()
    assert message["gone"] == longer.ts[11]
    assert "ticks" not in message
    assert "params" not in message
    assert page.rows == expected_rows(longer, 50)


@pytest.mark.parametrize(("off", "rows"), [(1e-12, 1), (1e-6, 50)])
def test_rounding_is_no_news_and_a_change_is(services, channel, off, rows):
    """Sums over a sliding window differ in their last digits on every row, every second."""
    series = make_series(60)
    services.engine.put(Params(), series)
    channel.step()
    page = Page()
    bring_up(channel, page)
    columns = columns_of(_moved(series, "tick"))
    columns["correlation"] = columns["correlation"] * (1 + off)
    columns["mean"] = columns["mean"] * (1 - off)
    services.engine.put(Params(), rebuilt(series, columns))
    channel.step()
    message = page.take(channel.message_after(page.seq)[1])
    assert abs(len(message["series"]["ts"]) - rows) <= rows // 10  # warm-up rows have no estimate


def test_nothing_changed_gives_no_new_seq(services, channel):
    services.engine.put(Params(), make_series(60))
    channel.step()
    seq = channel.seq
    channel.step()
    assert channel.seq == seq


def test_status_alone_moves_by_heartbeat_but_news_at_once(services, channel):
    services.engine.put(Params(), make_series(60))
    channel.step()
    seq = channel.seq
    services.engine.status["lag_ms"] = 999.0
    channel.step()
    assert channel.seq == seq
    assert json.loads(channel.heartbeat())["status"]["lag_ms"] == 999.0
    services.engine.status["feed"] = "stalled"
    channel.step()
    assert channel.seq > seq
    message = json.loads(channel.message_after(seq)[1])
    assert message["status"]["feed"] == "stalled"
    assert "snapshot" not in message


def test_heartbeat_before_the_first_evaluation_tells_of_the_feed(services, channel):
    """Compiling may keep the first numbers waiting; the page still knows that the feed lives."""
    message = json.loads(channel.heartbeat())
    assert (message["seq"], message["status"]["feed"]) == (0, "live")


def test_view_that_differs_from_the_rule_is_named(services):
    params = Params(window=30, entry=1.5)
    channel = Channel(lambda: services, SeqSource(), params, 50)
    channel.step()
    status = json.loads(channel.heartbeat())["status"]
    assert status["rule_differs"] == ["window", "entry"]


def test_row_that_vanishes_makes_the_next_message_full(services, channel):
    """A bar found to be partial leaves the grid: a page could not know from rows alone."""
    series = make_series(40)
    services.engine.put(Params(), series)
    channel.step()
    page = Page()
    bring_up(channel, page)
    keep = np.arange(40) != 20
    kept = {name: column[keep] for name, column in columns_of(series).items()}
    services.engine.put(Params(), rebuilt(series, kept))
    channel.step()
    bring_up(channel, page)
    assert page.kinds == ["full", "full"]
    assert series.ts[20] not in page.rows


def test_seq_of_another_channel_or_process_gets_everything(services, channel):
    services.engine.put(Params(), make_series(60))
    channel.step()
    for seq in (1, channel.seq - 1, channel.seq + 1, 2**62):
        assert not channel.knows(seq)
        assert json.loads(channel.message_after(seq)[1])["type"] == "full"
    assert channel.knows(channel.seq)


def test_seqs_are_never_given_twice():
    now = [1000.0]
    seqs = SeqSource(lambda: now[0])
    found = [seqs.next() for _ in range(5)]
    now[0] = 0.0  # the clock was set back
    found.append(seqs.next())
    assert found == sorted(set(found))
    assert SeqSource(lambda: 2000.0).next() > found[-1]


def test_message_is_encoded_once_for_all_clients(services, channel):
    services.engine.put(Params(), make_series(60))
    channel.step()
    assert channel.message_after(0)[1] is channel.message_after(0)[1]


steps = st.lists(
    st.tuples(
        st.sampled_from(["tick", "append", "mend", "slide", "trade", "status", "shrink", "empty"]),
        st.integers(0, 59),
        st.booleans(),
    ),
    max_size=25,
)


@given(steps, st.integers(1, 70))
def test_any_mix_of_changes_and_skipped_messages_leaves_the_page_right(found, limit):
    """Two pages, one that reads every message and one that skips some, end with equal rows."""
    services = FakeServices()
    channel = Channel(lambda: services, SeqSource(), Params(), limit)
    series = make_series(60)
    prompt, lazy = Page(), Page()
    for count, (what, row, lazy_reads) in enumerate(found):
        series = _moved(series, what, row, count)
        if what == "trade":
            services.trade(seconds=3, start_ms=START_MS + 600_000 + 3000 * count)
        if what == "status":
            services.engine.status["message"] = str(count)
        services.engine.put(Params(), series)
        channel.step()
        for page, reads in ((prompt, True), (lazy, lazy_reads)):
            if reads and page.seq != channel.seq:
                bring_up(channel, page)
    channel.step()
    for page in (prompt, lazy):
        if page.seq != channel.seq:
            bring_up(channel, page)
        assert page.rows == expected_rows(series, limit)
        newest = services.feed.ticks["BTCUSDT"]
        assert [tick[0] for tick in page.ticks["BTCUSDT"]] == [tick.ts_ms for tick in newest]
        assert page.parts["status"]["message"] == services.engine.status["message"]


def _moved(series, what, row=0, seed=0):
    columns = columns_of(series)
    n = len(series.ts)
    if what == "tick" and n:
        columns["price_y"][-1] += 1.0
    elif what == "mend" and n:
        columns["price_x"][row % n] += 1.0
        columns["zscore"][row % n] = np.nan
    elif what in ("append", "slide") and n:
        fresh = columns_of(make_series(n + 1, start_ms=int(series.ts[0]), seed=seed + 10))
        columns = {name: np.append(columns[name], fresh[name][-1:]) for name in columns}
        columns["ts"][-1] = columns["ts"][-2] + 60_000
        columns["closed"][-2] = True
        if what == "slide":
            columns = {name: column[1:] for name, column in columns.items()}
    elif what == "shrink" and n > 2:
        keep = np.arange(n) != row % n
        columns = {name: column[keep] for name, column in columns.items()}
    elif what == "empty":
        columns = {name: column[:0] for name, column in columns.items()}
    return rebuilt(series, columns)


# -- the socket -------------------------------------------------------------------------------


def test_socket_sends_full_then_deltas_and_stops_watching_at_the_end(services):
    series = make_series(60)
    services.engine.put(Params(), series)
    page = Page()
    with make_client(services) as client:
        with client.websocket_connect(f"{URL}?limit=40") as socket:
            page.take(socket.receive_text())
            assert page.kinds == ["full"]
            assert services.engine.watched[Params()] == 1
            services.engine.put(Params(), _moved(series, "tick"))
            while page.kinds[-1] != "delta":
                page.take(socket.receive_text())
        deadline = time.monotonic() + 5
        while services.engine.watched[Params()] or services.engine.subscribers:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert page.rows == expected_rows(services.engine.views[Params()].series, 40)


def test_socket_beats_while_nothing_happens(services):
    services.engine.put(Params(), make_series(60))
    with make_client(services) as client, client.websocket_connect(URL) as socket:
        socket.receive_text()
        started = time.monotonic()
        message = json.loads(socket.receive_text())
        assert message["type"] == "status"
        assert message["status"]["feed"] == "live"
        assert time.monotonic() - started < 2.5


def test_socket_resumes_where_it_left_off(services):
    services.engine.put(Params(), make_series(60))
    page = Page()
    with make_client(services) as client:
        with client.websocket_connect(URL) as socket:
            page.take(socket.receive_text())
        services.engine.put(Params(), _moved(make_series(60), "append"))
        with client.websocket_connect(f"{URL}?seq={page.seq}") as socket:
            message = page.take(socket.receive_text())
        assert message["type"] == "delta"
        assert len(message["series"]["ts"]) == 2
        with client.websocket_connect(f"{URL}?seq={page.seq}&window=30") as socket:
            assert json.loads(socket.receive_text())["type"] == "full"


def test_ten_tabs_share_one_evaluation(services):
    services.engine.put(Params(), make_series(60))
    with make_client(services) as client, contextlib.ExitStack() as tabs:
        sockets = [tabs.enter_context(client.websocket_connect(URL)) for _ in range(10)]
        for socket in sockets:
            assert json.loads(socket.receive_text())["type"] == "full"
        assert services.engine.watched[Params()] == 1
        before = services.engine.evaluated[Params()]
        services.engine.put(Params(), _moved(make_series(60), "tick"))
        texts = {socket.receive_text() for socket in sockets}
        assert len(texts) == 1
        assert services.engine.evaluated[Params()] - before <= 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("y=ETHUSDT&x=ETHUSDT", "x"),
        ("window=2", "window"),
        ("windw=20", "windw"),
        ("y=NOPEUSDT", "y"),
        ("seq=x", "seq"),
        ("seq=-1", "seq"),
        ("limit=999999", "limit"),
        ("y='; DROP TABLE bars;--", "y"),
        ("timeframe=../../etc/passwd", "timeframe"),
    ],
)
def test_socket_with_a_bad_query_is_told_and_closed(services, query, field):
    with make_client(services) as client, client.websocket_connect(f"{URL}?{query}") as socket:
        message = json.loads(socket.receive_text())
        assert message["type"] == "error"
        assert message["error"]["field"] == field
        with pytest.raises(WebSocketDisconnect) as closing:
            socket.receive_text()
        assert closing.value.code == 1008


def test_socket_is_told_when_the_rule_can_no_longer_be_evaluated(services):
    services.engine.put(Params(), make_series(60))
    with make_client(services) as client, client.websocket_connect(URL) as socket:
        socket.receive_text()
        services.engine.failure = ConfigError("y must be one of A, was B", field="y")
        services.engine.tick()
        message = json.loads(socket.receive_text())
        while message["type"] != "error":
            message = json.loads(socket.receive_text())
        assert message["error"]["field"] == "y"


def test_socket_survives_a_bug_in_one_evaluation(services, caplog):
    services.engine.put(Params(), make_series(60))
    with make_client(services) as client, client.websocket_connect(URL) as socket:
        socket.receive_text()
        services.engine.failure = ZeroDivisionError("secret inside")
        services.engine.tick()
        message = json.loads(socket.receive_text())
        while message["type"] != "error":
            message = json.loads(socket.receive_text())
        assert "secret" not in json.dumps(message)
        assert "a push channel failed" in caplog.text


def test_so_many_different_views_are_shown_at_once(services, monkeypatch):
    monkeypatch.setattr("api.push.MOST_CHANNELS", 2)

    async def visit():
        hub = Hub(lambda: services)
        keys = [(Params(window=window), 50) for window in (30, 31, 32)]
        async with hub._joined(keys[0]), hub._joined(keys[1]):
            async with hub._joined(keys[0]):
                pass  # a view that is shown already costs nothing more
            with pytest.raises(ApiError, match="at most 2 different views"):
                async with hub._joined(keys[2]):
                    pass
        async with hub._joined(keys[2]):
            pass

    asyncio.run(visit())


def test_channels_nobody_listens_to_any_more_are_few(services):
    """Whoever asks for rule after rule must not leave the rows of each behind."""

    async def visit():
        hub = Hub(lambda: services)
        async with hub._joined((Params(window=29), 50)) as stays:
            for window in range(30, 30 + 2 * MOST_KEPT):
                async with hub._joined((Params(window=window), 50)):
                    assert len(hub._pumps) <= MOST_KEPT + 2
            assert stays in hub._pumps.values()

    asyncio.run(visit())
