"""What one push channel shows, with the `seq` at which each piece last changed.

A channel is one rule and one number of rows. `step` takes in the newest view; `message_after(m)`
returns what a client that has everything up to `m` lacks. As every row, tick and card carries the
`seq` of its last change, any past point of the same channel can be resumed without a log of
messages, and messages are encoded once however many clients share them.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import orjson

from analytics.rule import machine_marks
from analytics.snapshot import snapshot_json
from api.pieces import Log, Piece, SeqSource
from api.ports import GetServices, Services, View
from api.responses import encode
from api.rows import SeriesRows
from model import Bars, Snapshot, Trade
from params import Params

MAX_TICKS = 200
MAX_EVENTS = 50
MAX_SEQS = 5000
MOVING = ("forming", "position")  # parts of a snapshot that change with every trade
STATUS_EVERY_MS = 1000
STATUS_NEWS = ("feed", "venue", "simulated", "gaps_open", "message", "rule_differs", "bar_close_ms")


class Channel:
    """The state one rule's clients are brought up to. Safe to use from any thread."""

    def __init__(
        self, get_services: GetServices, seqs: SeqSource, params: Params, limit: int
    ) -> None:
        self.params, self.limit = params, limit
        self.seq = 0
        self._get_services, self._seqs = get_services, seqs
        self._lock = threading.Lock()
        self._own: deque[int] = deque(maxlen=MAX_SEQS)
        self._rows = SeriesRows(limit)
        self._status: dict[str, Any] = {}
        self._status_changed, self._status_ms = 0, 0
        self._snapshot, self._moving, self._marks = Piece(), Piece(), Piece()
        self._settled = Piece()
        self._marks_of = (-1, 0)
        self._candles: dict[str, Piece] = {}
        self._closed_candles: dict[str, Piece] = {}
        self._ticks: dict[str, Log] = {}
        self._events = Log(MAX_EVENTS)
        self._encoded: dict[int, str] = {}

    def open(self, on_tick: Callable[[], None]) -> ExitStack:
        """Keep the rule evaluated, and `on_tick` called after each tick, until closed."""
        engine = self._get_services().engine
        stack = ExitStack()
        stack.enter_context(engine.watch(self.params))
        stack.callback(engine.subscribe(on_tick))
        return stack

    def step(self) -> None:
        """Take in the newest view.

        Raises:
            PairsError: the rule cannot be evaluated.
        """
        services = self._get_services()
        view = services.engine.view(self.params)
        status = self._status_of(services, view.status)
        seq = self._seqs.next()
        with self._lock:
            is_new = self._rows.put(view.series, seq)
            is_new |= self._take_snapshot(view.snapshot, seq)
            is_new |= self._take_marks(services, view, seq)
            is_new |= self._take_market(services, view, seq)
            is_new |= self._take_events(services, seq)
            is_new |= self._take_status(status, seq)
            if is_new:
                self.seq = seq
                self._own.append(seq)
                self._encoded.clear()

    def knows(self, seq: int) -> bool:
        """Whether `seq` was given out by this channel and can still be resumed."""
        with self._lock:
            return seq in self._own and seq >= self._rows.full_since

    def message_after(self, seq: int) -> tuple[int, str]:
        """Return the newest seq and the message that brings a client at `seq` there."""
        with self._lock:
            key = seq if seq in self._own and seq >= self._rows.full_since else 0
            text = self._encoded.get(key)
            if text is None:
                body = self._delta(key) if key else self._full()
                text = self._encoded[key] = encode(body).decode()
            return self.seq, text

    def heartbeat(self) -> str:
        """Return the status message; before the first step it tells of the feed alone."""
        with self._lock:
            seq, status = self.seq, self._status
        if not status:
            services = self._get_services()
            status = self._status_of(services, services.engine.source.status())
        return encode({"type": "status", "seq": seq, "status": status}).decode()

    def _status_of(self, services: Services, status: Mapping[str, Any]) -> dict[str, Any]:
        rule = services.engine.rule
        tf_ms = self.params.timeframe.ms
        server_ms = int(status["server_ms"])
        differs = [
            name
            for name in Params.model_fields
            if getattr(rule, name) != getattr(self.params, name)
        ]
        return {
            **status,
            "bar_close_ms": server_ms - server_ms % tf_ms + tf_ms,
            "rule_differs": differs,
        }

    def _take_status(self, status: dict[str, Any], seq: int) -> bool:
        old, self._status = self._status, status
        is_news = any(old.get(name) != status.get(name) for name in STATUS_NEWS)
        # Ages and rates move all the time: they ride along once a second, or go by heartbeat.
        if is_news or status["server_ms"] - self._status_ms >= STATUS_EVERY_MS:
            self._status_changed, self._status_ms = seq, status["server_ms"]
        return is_news

    def _take_marks(self, services: Services, view: View, seq: int) -> bool:
        closed = view.series.ts[view.series.closed]
        if not services.engine.is_ready:
            return False
        # Entries and exits happen on closed rows: between two of them there is nothing to replay.
        key = (len(closed), int(closed[-1]) if len(closed) else 0)
        if key == self._marks_of:
            return False
        self._marks_of = key
        found = machine_marks(view.series, view.params, market=services.venue.market)
        return self._marks.put(found, seq)

    def _take_market(self, services: Services, view: View, seq: int) -> bool:
        is_new = False
        for bars in view.bars:
            symbol, candles = bars.symbol, _newest_candles(bars)
            for held, candle in zip(
                (self._candles, self._closed_candles), reversed(candles), strict=False
            ):
                is_new |= held.setdefault(symbol, Piece()).put(candle, seq)
            feed = services.feed
            ticks = feed.last_ticks(symbol, MAX_TICKS) if feed is not None else ()
            log = self._ticks.setdefault(symbol, Log(MAX_TICKS))
            is_new |= log.put([(_tick_key(tick), _tick(tick)) for tick in ticks], seq)
        return is_new

    def _take_snapshot(self, snapshot: Snapshot, seq: int) -> bool:
        whole = snapshot_json(snapshot)
        is_new = self._snapshot.put(whole, seq)
        # Most ticks move the forming row and the position's PnL only: those go alone.
        self._moving.put({name: whole.pop(name) for name in MOVING}, seq)
        self._settled.put(whole, seq)
        return is_new

    def _take_events(self, services: Services, seq: int) -> bool:
        events = services.alerts.recent_events()
        return self._events.put([(event["id"], event) for event in reversed(events)], seq)

    def _full(self) -> dict[str, Any]:
        body = {"type": "full", "seq": self.seq, "params": self.params.as_dict()}
        return body | self._parts_after(0) | {"series": self._rows.after(0)}

    def _delta(self, seq: int) -> dict[str, Any]:
        body: dict[str, Any] = {"type": "delta", "seq": self.seq}
        body |= {name: part for name, part in self._parts_after(seq).items() if part}
        series = self._rows.after(seq)
        if series["ts"].size:
            body["series"] = series
        if self._rows.ts.size:
            body["gone"] = int(self._rows.ts[0])
        return body

    def _parts_after(self, seq: int) -> dict[str, Any]:
        parts: dict[str, Any] = {"simulated": self._status.get("simulated", False)}
        if self._status_changed > seq:
            parts["status"] = self._status
        if self._settled.changed > seq:
            parts["snapshot"] = orjson.Fragment(self._snapshot.text)
        elif self._moving.changed > seq:
            parts["moving"] = orjson.Fragment(self._moving.text)
        if self._marks.changed > seq:
            parts["marks"] = orjson.Fragment(self._marks.text)
        for name, held in (
            ("candles", self._candles),
            ("closed_candles", self._closed_candles),
        ):
            parts[name] = {
                symbol: orjson.Fragment(piece.text)
                for symbol, piece in held.items()
                if piece.changed > seq
            }
        ticks = {symbol: log.after(seq) for symbol, log in self._ticks.items()}
        parts["ticks"] = {symbol: found for symbol, found in ticks.items() if found or not seq}
        parts["events"] = self._events.after(seq)[::-1]
        return parts


def _tick_key(tick: Trade) -> tuple[int, int]:
    return tick.id, tick.ts_ms


def _tick(tick: Trade) -> list[Any]:
    return [tick.ts_ms, tick.price, tick.qty, tick.buyer_maker]


def _newest_candles(bars: Bars) -> list[dict[str, Any]]:
    names = ("ts", "open", "high", "low", "close")
    columns = [getattr(bars, name)[-2:].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
