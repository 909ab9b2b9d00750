"""One alert rule as the service holds it: what is stored, what it means now, where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.forms import identity, rule_json
from analytics.alerts import AlertRule, AlertState
from params import Params

# Field of an alert rule → strategy parameter a rule that follows the running rule takes it from.
FOLLOWED = {
    "y": "y",
    "x": "x",
    "timeframe": "timeframe",
    "threshold": "entry",
    "exit_threshold": "exit",
    "min_correlation": "min_correlation",
}


@dataclass(slots=True)
class Entry:
    id: int
    body: dict[str, Any]
    rule: AlertRule
    state: AlertState
    saved: AlertState | None = None
    saved_s: float = 0.0
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        follows = bool(self.body.get("follows"))
        return rule_json(self.id, self.rule, self.state, follows=follows, problem=self.problem)


def resolve(body: Mapping[str, Any], running: Params) -> AlertRule:
    """Return the rule a stored body stands for; a follower has the running rule's pair and levels.

    Raises:
        ConfigError: it is not valid (any more).
    """
    values = {name: value for name, value in body.items() if name != "follows"}
    if body.get("follows"):
        own = running.as_dict()
        values |= {name: own[source] for name, source in FOLLOWED.items()}
    return AlertRule.parse(values)


def restore(
    number: int,
    body: Mapping[str, Any],
    running: Params,
    stored: Mapping[str, Any] | None,
    now_s: float,
) -> Entry:
    """Return a rule with the state stored for it, afresh if that is of another pair or metric.

    Raises:
        ConfigError: it is not valid (any more).
    """
    rule = resolve(body, running)
    if stored is None or stored.get("of") != identity(rule):
        return Entry(number, dict(body), rule, AlertState())
    state = AlertState.parse(stored)
    return Entry(number, dict(body), rule, state, state, now_s)
