"""What a client of the push socket keeps."""

import json

import pytest

URL = "ws://localhost:8501/api/ws"


class Page:
    """What the live page keeps: rows by ts, ticks, cards. Applies messages as documented."""

    def __init__(self):
        self.seq, self.rows, self.ticks, self.parts, self.events = 0, {}, {}, {}, []
        self.kinds = []

    def take(self, text):
        message = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
        self.kinds.append(message["type"])
        assert message["seq"] >= self.seq
        self.seq = message["seq"]
        if message["type"] == "full":
            self.rows, self.ticks, self.events = {}, {}, []
        series = message.get("series", {"ts": []})
        for i, ts in enumerate(series["ts"]):
            self.rows[ts] = {name: column[i] for name, column in series.items()}
        self.rows = {ts: row for ts, row in self.rows.items() if ts >= message.get("gone", 0)}
        for symbol, ticks in message.get("ticks", {}).items():
            self.ticks[symbol] = [*self.ticks.get(symbol, []), *ticks][-200:]
        self.events = [*message.get("events", []), *self.events]
        for name in ("snapshot", "marks", "status", "params", "simulated"):
            if name in message:
                self.parts[name] = message[name]
        if "moving" in message:
            self.parts["snapshot"] = {**self.parts["snapshot"], **message["moving"]}
        for name in ("candles", "closed_candles"):
            self.parts[name] = {**self.parts.get(name, {}), **message.get(name, {})}
        return message
