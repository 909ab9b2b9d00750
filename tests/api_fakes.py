"""Small stand-ins for the running services, which keep state and can be moved on by a test."""

import contextlib
import json
import math
import tempfile
import threading
from collections import Counter
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from alerts import AlertService
from analytics.bars import BarBook
from analytics.pieces import InTurn
from api.app import create_api
from api.push import push_route
from api.security import guards
from model import (
    Batch,
    ConfigError,
    Decision,
    Gate,
    Mark,
    Market,
    Position,
    Record,
    Snapshot,
    Stream,
    Trade,
    TriggerPrices,
)
from notify import Notifier
from params import Params
from settings import Settings, Venue, storage_key
from storage.store import Store
from tests.series_builder import build_series

START_MS = 1_700_000_040_000
NAN = math.nan
HOST = "http://localhost:8501"


def make_decision(**changed):
    decision = Decision(
        signal="HOLD",
        ungated_signal="SELL",
        action="hold",
        side="NEUTRAL",
        market_bias="Neutral",
        confidence=NAN,
        record=Record(0, 0, NAN, NAN),
        expected_edge_bps=NAN,
        distance_bps=3.2,
        round_trip_cost_bps=22.0,
        trigger_prices=TriggerPrices(NAN, NAN, NAN),
        reasons=("|z| is 1.20, below the entry of 2",),
        gates=(Gate("warm", True, 60, 50), Gate("worth_it", False, NAN, 1.0)),
        qty_y=NAN,
        qty_x=NAN,
    )
    return replace(decision, **changed)


def make_snapshot(params, *, ts=START_MS, zscore=1.2, **changed):
    numbers = {"statistic": -3.1, "pvalue": 0.02, "lags": 1.0}
    snapshot = Snapshot(
        y=params.y,
        x=params.x,
        timeframe=params.timeframe.value,
        ts=ts,
        status="ready",
        warmup={"have": 120, "need": 99},
        price_y=40_000.0,
        price_x=2_000.0,
        hedge_method=params.hedge_method,
        alpha=0.1,
        beta=1.3,
        spread=0.004,
        zscore=zscore,
        correlation=0.91,
        adf=numbers,
        cointegration={"statistic": -3.4, "pvalue": 0.03, "reverse_pvalue": NAN},
        johansen={"trace": 20.0, "crit95": 15.5},
        stationary=True,
        stationary_share=0.9,
        half_life_bars=12.0,
        half_life_low=8.0,
        half_life_high=NAN,
        hurst=0.4,
        beta_drift=0.02,
        regime="mean_reverting",
        kalman={"alpha": 0.1, "beta": 1.31, "beta_se": 0.01, "zscore": 1.1},
        ols={"alpha": 0.1, "beta": 1.3, "r2": 0.8},
        position=Position("NEUTRAL", 0, NAN, 0, 0.0, 0.0, 0.0, 0.0),
        decision=make_decision(),
        tests_ts=ts,
    )
    return replace(snapshot, **changed)


def make_series(n, *, start_ms=START_MS, tf_ms=60_000, open_rows=1, seed=1):
    """Synthetic columns of a pair; the first rows have no z, the last `open_rows` are forming."""
    rng = np.random.default_rng(seed)
    noise = {
        name: rng.normal(size=n)
        for name in ("alpha", "beta", "spread", "mean", "sd", "correlation", "beta_kalman")
    }
    zscore = rng.normal(size=n) * 2
    zscore[: min(n, 5)] = NAN
    closed = np.ones(n, dtype=bool)
    if open_rows:
        closed[-open_rows:] = False
    legs = {"price_y": 40_000 + rng.normal(size=n), "price_x": 2_000 + rng.normal(size=n)}
    return build_series(zscore, start_ms=start_ms, tf_ms=tf_ms, closed=closed, **legs, **noise)


def columns_of(series):
    """The columns of a series as writable copies, by name."""
    found = {field.name: getattr(series, field.name) for field in fields(series)}
    return {name: value.copy() for name, value in found.items() if isinstance(value, np.ndarray)}


def rebuilt(series, columns):
    """A series with other columns."""
    return replace(series, **columns)


class FakeEngine:
    """Serves views a test puts in; counts what is watched."""

    def __init__(self, book):
        self.book, self.rule = book, Params()
        self.source = SimpleNamespace(
            book=book, market=Market.SPOT, status=lambda: dict(self.status)
        )
        self.watched, self.subscribers = Counter(), []
        self.views, self.evaluated = {}, Counter()
        self.status = {
            "feed": "live", "venue": "fake", "simulated": True, "server_ms": START_MS,
            "trades_per_s": 3.0, "lag_ms": 20.0, "gaps_open": 0, "symbols": {}, "message": "",
        }  # fmt: skip
        self.failure, self.is_ready = None, True
        self._lock = threading.Lock()

    def put(self, params, series, **snapshot):
        snap = make_snapshot(params, ts=int(series.ts[-1]) if len(series.ts) else 0, **snapshot)
        self.views[params] = SimpleNamespace(
            params=params, series=series, snapshot=snap, status=dict(self.status), marks=()
        )
        self.tick()

    def tick(self):
        for callback in list(self.subscribers):
            callback()

    def view(self, params):
        with self._lock:
            self.evaluated[params] += 1
        if self.failure is not None:
            raise self.failure
        if params not in self.views:
            series = make_series(60, tf_ms=params.timeframe.ms)
            self.views[params] = SimpleNamespace(
                params=params,
                series=series,
                snapshot=make_snapshot(params, ts=int(series.ts[-1])),
                status=dict(self.status),
                marks=(),
            )
        view = self.views[params]
        view.status = dict(self.status)
        legs = (params.y, params.x)
        view.bars = tuple(self.bars(leg, params.timeframe, limit=100) for leg in legs)
        return view

    def newest(self, params):
        return self.view(params)

    @contextlib.contextmanager
    def watch(self, params, *, each_tick=True):
        self.watched[params] += 1
        try:
            yield
        finally:
            self.watched[params] -= 1

    def subscribe(self, callback):
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def bars(self, symbol, timeframe, *, limit, include_open=True):
        return self.book.bars(symbol, timeframe, limit=limit, include_open=include_open)


class FakeFeed:
    def __init__(self):
        self.ticks = {}

    def last_ticks(self, symbol, n=200):
        return self.ticks.get(symbol, [])[-n:]


class FakeServices:
    """What `services()` returns: a real book, made-up views and feed; on request a real store."""

    def __init__(self, *, with_store=False, **environ):
        self.settings = Settings.from_env(environ)
        self.venue = Venue(
            name="fake", market=Market.SPOT, ws_url="", rest_url="", is_simulated=True
        )
        self.book = BarBook(self.settings.symbols, rows=2000)
        self.engine, self.feed = FakeEngine(self.book), FakeFeed()
        self.events, self.store = [], None
        self.alerts = SimpleNamespace(recent_events=lambda: list(self.events))
        if with_store:
            self._open_store()
        self.health_status = "ok"
        self.trade(seconds=600)

    def _open_store(self):
        self._folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{self._folder.name}/pairs.db"
        self.store = Store.open(url, venue=storage_key("simulated"), stream=Stream.AGG_TRADE)
        self.store.writer.start()
        self.notifier = Notifier(self.settings, self.store)
        self.alerts = AlertService(self.store, self.notifier, self.engine)
        self.workers = InTurn()
        self.alerts.seed()

    def close(self):
        self.notifier.stop()
        self.store.close()
        self._folder.cleanup()

    def trade(self, *, seconds, start_ms=START_MS):
        trades = [
            Trade(symbol, start_ms // 1000 + i, 100 + i % 7, 0.5, start_ms + 1000 * i, i % 2 == 0)
            for symbol in ("BTCUSDT", "ETHUSDT")
            for i in range(seconds)
        ]
        end_ms = start_ms + 1000 * seconds - 500
        symbols = ("BTCUSDT", "ETHUSDT")
        marks = {
            name: Mark(name, start_ms // 1000 + seconds, start_ms + 1000 * (seconds - 1), 100.0)
            for name in symbols
        }
        batch = Batch(trades, marks=marks, closed_ms=dict.fromkeys(symbols, end_ms))
        deltas = self.book.apply(batch)
        if self.store is not None:
            self.store.writer.put(batch, deltas)
        for symbol in symbols:
            own = [trade for trade in trades if trade.symbol == symbol]
            self.feed.ticks[symbol] = [*self.feed.ticks.get(symbol, []), *own][-200:]

    def health(self):
        symbol = {
            "trades": 1, "last_id": 5, "last_ts": START_MS, "lag_ms": 4.0, "gaps_open": 0,
            "gaps_filled": 0, "duplicates": 0, "rejected": 0,
        }  # fmt: skip
        return {
            "status": self.health_status,
            "version": "0.1.0",
            "uptime_s": 5.0,
            "venue": "fake",
            "simulated": True,
            "feed": {"state": "live", "reconnects": 0, "symbols": {"BTCUSDT": symbol}},
            "storage": {
                "dialect": "sqlite", "queue": 0, "last_commit_age_ms": 3.0,
                "committed_trades": 10, "bytes": 4096,
            },
            "engine": {"last_update_age_ms": 3.0, "update_ms": 1.0},
        }  # fmt: skip

    def set_rule(self, rule):
        for name in ("y", "x"):
            if getattr(rule, name) not in self.book.symbols:
                raise ConfigError(f"{name} is not ingested", field=name)
        if self.store is not None:
            self.store.config.put("rule", rule.as_dict(), now_ms=1)
        self.engine.rule = rule


def make_app(services):
    """The whole process as app.py puts it together, with one page in place of Streamlit."""

    async def page(_request):
        return PlainTextResponse("page")

    return Starlette(
        routes=[
            push_route(lambda: services),
            Mount("/api", app=create_api(lambda: services)),
            Route("/_stcore/health", page),
            Route("/{rest:path}", page, methods=["GET", "POST"]),
        ],
        middleware=guards(services.settings),
    )


def make_client(services, **options):
    return TestClient(make_app(services), base_url=HOST, **options)


def json_of(response, status=200):
    """Return the JSON of an answer of this status, which may hold no NaN."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return json.loads(response.text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))


def assert_refused(response, status, *, field=None, code=None):
    """The one error shape, with nothing of the inside in it."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "field"}
    assert body["error"]["message"]
    assert "Traceback" not in response.text
    if field is not None:
        assert body["error"]["field"] == field
    if code is not None:
        assert body["error"]["code"] == code
