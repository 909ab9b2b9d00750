"""Faults on frames: what becomes of the payloads of one stream while faults act."""

import heapq
import json
from collections import defaultdict

from simulator.faults import Fault, Faults
from simulator.streams import Due
from simulator.wire import HOLE_EVERY

_NON_TRADES = (
    {"X": "NA", "p": "0", "q": "0"},
    {"X": "INSURANCE_FUND"},
    {"X": "NA", "p": "0", "q": "0"},
    {"X": "ADL"},
)


class Mangler:
    """Applies stream faults. It keeps frames that are held back or late."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._late: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
        self._count = 0

    def apply(self, name: str, due: Due | None, now_s: float) -> list[str]:
        """Return what is really sent now on stream `name`, where `due` should be."""
        sent: list[str] = []
        for number, payload in zip(due.numbers, due.payloads, strict=True) if due else ():
            if self._faults.hit("stall", now_s, number, name):
                continue
            if self._faults.hit("lose", now_s, number, name):
                continue
            for text in self._changed(name, number, payload, now_s):
                sent.extend(self._released(name))
                sent.extend(self._timed(name, number, text, now_s))
        late = self._late[name]
        while late and late[0][0] <= now_s:
            sent.append(heapq.heappop(late)[2])
        return sent

    def is_idle(self) -> bool:
        """Whether nothing is held back or late."""
        return not any(self._held.values()) and not any(self._late.values())

    def forget(self, name: str) -> None:
        """Drop what is kept for a stream that has ended."""
        self._held.pop(name, None)
        self._late.pop(name, None)

    def _changed(self, name: str, number: int, payload: str, now_s: float) -> list[str]:
        """The frame with what is put in before and after it."""
        faults, texts = self._faults, [payload]
        if fault := faults.hit("malformed", now_s, number, name):
            broken = _break(payload, int(faults.chance("how", number) * 1e6))
            texts = [broken] if fault.options["replace"] else [broken, payload]
        if faults.hit("unknown", now_s, number, name):
            texts = _unknown(texts, number)
        is_before_hole = name.endswith("@trade") and number % (HOLE_EVERY - 1) == 0
        if is_before_hole and faults.hit("non_trades", now_s, number, name):
            texts.append(_non_trade(payload, number))
        if faults.hit("duplicate", now_s, number, name):
            texts.append(payload)
        return texts

    def _timed(self, name: str, number: int, text: str, now_s: float) -> list[str]:
        """The frame now, or nothing if it is kept for later."""
        if fault := self._faults.hit("out_of_order", now_s, number, name):
            behind = 1 + int(self._faults.chance("depth", number) * fault.options["depth"])
            self._held[name].append((behind, text))
            return []
        if fault := self._faults.hit("delay", now_s, number, name):
            self._count += 1
            heapq.heappush(
                self._late[name], (now_s + self._delay_s(fault, number), self._count, text)
            )
            return []
        return [text]

    def _released(self, name: str) -> list[str]:
        """Held frames for which this is the frame they waited for; they go before it."""
        held, free = self._held[name], []
        self._held[name] = []
        for behind, text in held:
            if behind <= 0:
                free.append(text)
            else:
                self._held[name].append((behind - 1, text))
        return free

    def _delay_s(self, fault: Fault, number: int) -> float:
        jitter = fault.options["jitter_ms"] * self._faults.chance("jitter", number)
        return float(fault.options["ms"] + jitter) / 1_000.0


def _break(payload: str, how: int) -> str:
    """Return a broken version of a payload, one of many."""
    fields = json.loads(payload)
    identity = "a" if "a" in fields else "t"
    broken = (
        payload[: len(payload) // 2],
        "",
        "null",
        "[]",
        "[" * 500 + "]" * 500,
        json.dumps({**fields, "p": "NaN"}),
        json.dumps({**fields, "p": None}),
        json.dumps({**fields, "q": "-1"}),
        json.dumps({**fields, identity: "x"}),
        json.dumps({**fields, identity: 10**30}),
        json.dumps({**fields, "T": "soon"}),
        json.dumps({key: value for key, value in fields.items() if key != "T"}),
        payload.replace('"', "'"),
    )
    return broken[how % len(broken)]


def _unknown(texts: list[str], number: int) -> list[str]:
    """Add an unknown key to the good frame, or put an unknown event before it."""
    if number % 2:
        return [*texts[:-1], texts[-1][:-1] + ',"zz":{"new":[1,"2",null]}}']
    return [f'{{"e":"referencePrice","E":{number},"s":"NEWUSDT","r":"1.0"}}', *texts]


def _non_trade(payload: str, number: int) -> str:
    fields = json.loads(payload)
    change = dict(_NON_TRADES[number // (HOLE_EVERY - 1) % len(_NON_TRADES)])
    if "p" not in change:
        change["p"] = f"{float(fields['p']) * 0.91:.2f}"
    return json.dumps({**fields, "t": fields["t"] + 1, **change}, separators=(",", ":"))
