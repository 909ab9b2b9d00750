"""Alert rules on the Alerts page: make, change, pause, delete."""

from typing import Any, get_args

import streamlit as st

from analytics.alerts import CONDITIONS, NAMES, AlertRule
from model import PairsError, Timeframe
from params import Params
from ui.frame import guarded
from ui.numbers import moment, plain
from ui.parts import Parts

STATE_COLORS = {"flat": "gray", "long": "blue", "short": "orange", "paused": "gray"}
DIRECTIONS = {"abs": "|value| at or above", "above": "at or above", "below": "at or below"}
EVALUATION = {"close": "When a bar closes", "update": "At every update"}
FIELDS = AlertRule.model_fields


def describe(rule: dict[str, Any]) -> str:
    """One line about what a rule waits for."""
    metric = NAMES.get(rule["metric"], rule["metric"])
    if rule["metric"] == "broken":
        return "pair broken"
    if rule["metric"] == "stale":
        return f"no trade for {rule['threshold']:g} s"
    sign = {"abs": "≥ ±", "above": "≥ ", "below": "≤ "}[rule["direction"]]
    return f"{metric} {sign}{rule['threshold']:g}"


@guarded
def draw(parts: Parts, params: Params) -> None:
    """Every rule with its state and what can be done with it, and the form for a new one."""
    rules = parts.alerts.rules()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Rules** · {len(rules)}", width="stretch")
        if st.button("New alert", icon=":material/add:", key="_new_alert"):
            _form(parts, None, params)
    if not rules:
        st.caption("No rule yet. “New alert” starts from the pair in the sidebar.")
    for rule in rules:
        _row(parts, rule, params)


def _row(parts: Parts, rule: dict[str, Any], params: Params) -> None:
    number = int(rule["id"])
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        what = st.container()
        color = STATE_COLORS.get(rule["state"], "gray")
        follows = " · follows the running rule" if rule.get("follows_rule") else ""
        last = moment(rule["last_triggered"])
        what.markdown(
            f":{color}-badge[{rule['state']}] **{rule['y']}/{rule['x']}** {rule['timeframe']} · "
            f"{describe(rule)}  \n:small[:gray[last fired {last}{follows}]]"
        )
        if rule.get("problem"):
            what.caption(f":material/error: {plain(rule['problem'])}")
        if st.button("Edit", key=f"_edit_{number}"):
            _form(parts, rule, params)
        enabled = bool(rule["enabled"])
        st.button(
            "Pause" if enabled else "Resume",
            key=f"_pause_{number}",
            on_click=_change,
            args=(parts, number, {"enabled": not enabled}),
        )
        st.button(
            "Delete",
            key=f"_drop_{number}",
            on_click=_delete,
            args=(parts, number),
        )


@st.dialog("Alert")
def _form(parts: Parts, rule: dict[str, Any] | None, params: Params) -> None:
    """The fields of a rule, empty for a new one; checked as a whole by the alert service."""
    held = rule or {"y": params.y, "x": params.x, "timeframe": params.timeframe.value}
    name = f"_rule_{held.get('id', 'new')}"

    def usual(field: str) -> Any:
        default = FIELDS[field].default
        return held.get(field, getattr(default, "value", default))

    with st.form(name, border=False):
        symbols = parts.symbols()
        left, right = st.columns(2)
        values: dict[str, Any] = {
            "y": left.selectbox("Y", symbols, index=_index(symbols, usual("y")), key=f"{name}_y"),
            "x": right.selectbox("X", symbols, index=_index(symbols, usual("x")), key=f"{name}_x"),
        }
        frames = tuple(frame.value for frame in Timeframe)
        metrics = get_args(FIELDS["metric"].annotation)
        values["timeframe"] = left.selectbox(
            "Timeframe", frames, index=_index(frames, usual("timeframe")), key=f"{name}_frame"
        )
        values["metric"] = right.selectbox(
            "Metric",
            metrics,
            index=_index(metrics, usual("metric")),
            format_func=lambda metric: NAMES.get(metric, metric),
            key=f"{name}_metric",
        )
        values["direction"] = left.selectbox(
            "Fires when",
            tuple(DIRECTIONS),
            index=_index(tuple(DIRECTIONS), usual("direction")),
            format_func=DIRECTIONS.__getitem__,
            key=f"{name}_direction",
        )
        for column, field, label, help_text in (
            (right, "threshold", "Threshold", "For stale: seconds without a trade."),
            (left, "exit_threshold", "Clears at", "Empty = a quarter of the threshold for z."),
            (right, "min_correlation", "Least correlation", "Empty = any."),
            (left, "cooldown_s", "Cool-down (s)", "Nothing fires within this time of an event."),
        ):
            values[field] = column.number_input(
                label, value=usual(field), step=0.1, help=help_text, key=f"{name}_{field}"
            )
        values["evaluate_on"] = right.selectbox(
            "Evaluated",
            tuple(EVALUATION),
            index=_index(tuple(EVALUATION), usual("evaluate_on")),
            format_func=EVALUATION.__getitem__,
            key=f"{name}_when",
        )
        if st.form_submit_button("Save", type="primary", width="stretch"):
            _save(parts, rule, values)


def _save(parts: Parts, rule: dict[str, Any] | None, values: dict[str, Any]) -> None:
    if values["metric"] in CONDITIONS:
        values.pop("exit_threshold")
    if values.get("cooldown_s") is None:
        values.pop("cooldown_s", None)
    try:
        if rule is None:
            parts.alerts.add(values)
        else:
            parts.alerts.change(int(rule["id"]), values)
    except PairsError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.toast("Alert saved.", icon=":material/check:")
    st.rerun()


def _change(parts: Parts, number: int, values: dict[str, Any]) -> None:
    try:
        parts.alerts.change(number, values)
    except PairsError as error:
        st.toast(plain(str(error)), icon=":material/error:")


def _delete(parts: Parts, number: int) -> None:
    try:
        parts.alerts.delete(number)
    except PairsError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.toast("Alert deleted; its events stay.", icon=":material/check:")


def _index(options: tuple[str, ...], value: str) -> int:
    return options.index(value) if value in options else 0
