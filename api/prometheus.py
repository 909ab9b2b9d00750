"""The health in Prometheus' text form."""

from collections.abc import Iterator, Mapping
from typing import Any

FEED_STATES = ("connecting", "backfilling", "live", "stalled", "blocked", "stopped")
PER_SYMBOL = {
    "trades": ("counter", "trades accepted since the start"),
    "lag_ms": ("gauge", "age of the newest trade when it arrived"),
    "gaps_open": ("gauge", "gaps being repaired"),
    "gaps_filled": ("counter", "gaps repaired since the start"),
    "duplicates": ("counter", "trades received more than once"),
    "rejected": ("counter", "records that were not usable trades"),
}
PARTS = {
    ("storage", "queue"): ("gauge", "batches waiting to be written"),
    ("storage", "last_commit_age_ms"): ("gauge", "time since the last commit"),
    ("storage", "committed_trades"): ("counter", "trades committed since the start"),
    ("storage", "bytes"): ("gauge", "size of the database"),
    ("engine", "last_update_age_ms"): ("gauge", "time since the last update"),
    ("engine", "update_ms"): ("gauge", "duration of the last update"),
    ("feed", "reconnects"): ("counter", "reconnections since the start"),
}


def exposition(health: Mapping[str, Any]) -> str:
    """Return `health` as text; what is unknown is left out."""
    return "".join(f"{line}\n" for line in _lines(health))


def _lines(health: Mapping[str, Any]) -> Iterator[str]:
    yield from _family("pairs_up", "gauge", "1 unless the status is down")
    yield f"pairs_up {int(health['status'] != 'down')}"
    yield from _family("pairs_simulated", "gauge", "1 if the trades are made up")
    yield f"pairs_simulated {int(health['simulated'])}"
    yield from _family("pairs_uptime_seconds", "gauge", "time since the start")
    yield f"pairs_uptime_seconds {health['uptime_s']}"
    yield from _family("pairs_feed_state", "gauge", "1 for the state the feed is in")
    for state in FEED_STATES:
        yield f'pairs_feed_state{{state="{state}"}} {int(health["feed"]["state"] == state)}'
    for (part, field), (kind, about) in PARTS.items():
        value = health[part].get(field)
        if value is not None:
            name = _name(f"pairs_{part}_{field}", kind)
            yield from _family(name, kind, about)
            yield f"{name} {value}"
    for field, (kind, about) in PER_SYMBOL.items():
        name = _name(f"pairs_symbol_{field}", kind)
        yield from _family(name, kind, about)
        for symbol, row in health["feed"]["symbols"].items():
            if row.get(field) is not None:
                yield f'{name}{{symbol="{symbol}"}} {row[field]}'


def _name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def _family(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
