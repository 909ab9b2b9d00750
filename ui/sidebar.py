"""The sidebar: this tab's rule, bound to the URL, checked as a whole, shared by all pages.

Rule 1: a widget's key is the parameter's name in the contract, and its value in the link is
written as there, so a link is a rule. Choices and gates are shown in words; a bound widget would
write those words into the link, so their part of the link is kept here.
Rule 2: nothing here has a default or a limit of its own; both are those of `Params`.
"""

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model import ConfigError, Timeframe
from params import GATES, Params
from ui import presets, text
from ui.numbers import plain
from ui.parts import Parts

CURRENT = "_params"
UNBOUND = "_unbound"
DEFAULTS = Params()
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Hedge and spread": (
        *("price_scale", "z_method", "hedge_window", "fixed_beta"),
        *("delta", "obs_var", "calibration_start", "calibration_end"),
    ),
    "Entries and exits": ("entry_mode", "max_hold", "cooldown", "max_carry"),
    "Gates and tests": (
        *("gates", "min_correlation", "correlation_of", "max_pvalue", "stationarity_test"),
        *("test_window", "test_every", "min_edge_ratio"),
    ),
    "Size and costs": (
        *("capital", "leverage", "fee_bps", "slippage_bps", "funding_bps_8h", "fill"),
    ),
}
EMPTY_MEANS = {
    "hedge_window": "as the window",
    "max_hold": "3 half-lives",
    "max_carry": "by timeframe",
    "fee_bps": "the venue's",
    "delta": "fitted",
    "obs_var": "fitted",
    "fixed_beta": "none",
    "calibration_start": "first loaded",
    "calibration_end": "first loaded",
}
STEPS = {
    **{"entry": 0.1, "exit": 0.1, "stop": 0.1, "min_correlation": 0.05, "max_pvalue": 0.01},
    **{"min_edge_ratio": 0.1, "capital": 1000.0, "leverage": 0.5, "fee_bps": 0.5},
    **{"slippage_bps": 0.5, "funding_bps_8h": 0.5, "fixed_beta": 0.01, "delta": 1e-5},
    **{"obs_var": 1e-6, "window": 10, "test_window": 50},
}
FORMATS = {"capital": "%.0f", "delta": "%g", "obs_var": "%g", "fixed_beta": "%g"}


def current() -> Params:
    """The rule this tab shows: what the sidebar says, or the last valid one."""
    held: Params = st.session_state.get(CURRENT, DEFAULTS)
    return held


def take_held(parts: Parts) -> bool:
    """Take this tab's rule from what its fields hold, so that the page need not wait for them.

    Returns whether there is such a rule; where not (on the first run, or with a symbol that is no
    longer ingested) the sidebar must be drawn before the page.
    """
    values = _held()
    if values is None or not {values["y"], values["x"]} <= set(parts.symbols()):
        return False
    # What is not valid is said beside its field; the last view that was stays meanwhile.
    with contextlib.suppress(ConfigError):
        st.session_state[CURRENT] = Params.parse(values)
    return True


def _newest(parts: Parts) -> Params:
    take_held(parts)
    return current()


def _held() -> dict[str, Any] | None:
    """What the fields hold before they are drawn; None on the first run."""
    state = st.session_state
    if any(name not in state for name in Params.model_fields):
        return None
    values: dict[str, Any] = {name: state[name] for name in Params.model_fields}
    return values | {"gates": tuple(gate for gate in GATES if gate in values["gates"])}


def render(parts: Parts) -> Params:
    """Draw the sidebar and return this tab's rule."""
    _take_link(parts)
    fault = _fault(_held())
    with st.sidebar:
        top = st.empty()
        values = _main_fields(parts, fault)
        for title, names in SECTIONS.items():
            changed = sum(values_differ(name) for name in names)
            label = f"{title} · {changed} set" if changed else title
            with st.expander(label, key=f"_section_{title}"):
                for name in names:
                    values[name] = _field(name, fault)
        params = _checked(values, top)
        presets.render(parts, params, lambda: _newest(parts))
    return params


def values_differ(name: str) -> bool:
    """Whether the widget of `name` holds something else than the default."""
    if name not in st.session_state:
        return False
    held, usual = st.session_state[name], getattr(DEFAULTS, name)
    if name == "gates":
        return set(held) != set(usual)
    return bool(held != usual)


def _main_fields(parts: Parts, fault: ConfigError | None) -> dict[str, Any]:
    symbols = parts.symbols()
    values: dict[str, Any] = {}
    values["y"] = _select("y", symbols, fault, default=parts.first_pair()[0])
    left, right = st.columns([3, 1.3], gap="xsmall", vertical_alignment="bottom")
    with left:
        values["x"] = _select("x", symbols, fault, default=parts.first_pair()[1])
    right.button(
        "Swap",
        key="_swap",
        help="Turn the pair around: Y becomes X.",
        on_click=_swap,
        width="stretch",
    )
    values["timeframe"] = st.segmented_control(
        text.LABELS["timeframe"],
        [frame.value for frame in Timeframe],
        default=DEFAULTS.timeframe.value,
        key="timeframe",
        required=True,
        help=text.PARAMETERS["timeframe"],
        width="stretch",
        bind="query-params",
    )
    _say(fault, "timeframe")
    for name in ("window", "hedge_method"):
        values[name] = _field(name, fault)
    for column, name in zip(st.columns(3, gap="small"), ("entry", "exit", "stop"), strict=True):
        with column:
            values[name] = _number(name)
    _say(fault, "entry", "exit", "stop")
    return values


def _field(name: str, fault: ConfigError | None) -> Any:
    if name == "gates":
        value: Any = _gates()
    else:
        options = get_args(Params.model_fields[name].annotation)
        is_choice = bool(options) and all(isinstance(option, str) for option in options)
        if is_choice:
            return _choice(name, options, fault)
        value = _number(name)
    _say(fault, name)
    return value


def _select(
    name: str,
    options: tuple[str, ...],
    fault: ConfigError | None,
    *,
    default: str,
) -> Any:
    value = st.selectbox(
        text.LABELS[name],
        options,
        index=options.index(default) if default in options else 0,
        key=name,
        help=text.PARAMETERS[name],
        bind="query-params",
    )
    _say(fault, name)
    return value


def _choice(name: str, options: tuple[str, ...], fault: ConfigError | None) -> Any:
    default = str(getattr(DEFAULTS, name))
    linked = st.query_params.get(name)
    if name not in st.session_state:
        st.session_state[name] = linked if linked in options else default
    value = st.selectbox(
        text.LABELS[name],
        options,
        format_func=text.choice,
        key=name,
        help=text.PARAMETERS[name],
    )
    _link(name, str(value), default)
    _say(fault, name)
    return value


def _link(name: str, value: str, default: str) -> None:
    """Keep one parameter's part of the address; the usual value needs none."""
    if value != default:
        if st.query_params.get_all(name) != [value]:
            st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]


def _number(name: str) -> Any:
    default = getattr(DEFAULTS, name)
    is_int = "int" in str(Params.model_fields[name].annotation)
    step = STEPS.get(name, 1 if is_int else 0.1)
    return st.number_input(
        text.LABELS[name],
        value=default,
        step=int(step) if is_int else float(step),
        format="%d" if is_int else FORMATS.get(name, "%.2f"),
        key=name,
        help=text.PARAMETERS[name],
        placeholder=EMPTY_MEANS.get(name, ""),
        bind=None if name in st.session_state[UNBOUND] else "query-params",
    )


def _gates() -> tuple[str, ...]:
    if "gates" not in st.session_state:
        linked = _linked_gates()
        st.session_state["gates"] = [gate for gate in GATES if linked is None or gate in linked]
    chosen = st.multiselect(
        text.LABELS["gates"],
        GATES,
        format_func=text.choice,
        key="gates",
        help=text.PARAMETERS["gates"],
        placeholder="none: every signal enters",
    )
    gates = tuple(gate for gate in GATES if gate in chosen)
    _link("gates", ",".join(gates), ",".join(GATES))
    return gates


def _linked_gates() -> list[str] | None:
    """The gates of the link: written with commas, or the name repeated; None without any."""
    given = st.query_params.get_all("gates")
    return [part.strip() for part in ",".join(given).split(",")] if given else None


def _take_link(parts: Parts) -> None:
    """On the first run, say which values of the link were refused."""
    if "_linked" in st.session_state:
        return
    st.session_state["_linked"] = True
    gates = _linked_gates()
    given = {name: value for name, value in st.query_params.items() if name in Params.model_fields}
    if gates is not None:
        given["gates"] = ",".join(gates)
    try:
        linked = Params.parse(given)
        parts.check(linked)
    except ConfigError as error:
        st.session_state["_link_error"] = f"The link was not taken whole: {plain(str(error))}"
    # A field of whole numbers that is bound to the link would fail on infinity.
    endless = {name for name, value in given.items() if _is_endless(name, value)}
    st.session_state[UNBOUND] = endless
    for name in endless:
        del st.query_params[name]


def _is_endless(name: str, value: str) -> bool:
    """Whether a number of the link is infinite or none at all."""
    if not {"int", "float"} & set(re.findall(r"\w+", str(Params.model_fields[name].annotation))):
        return False
    try:
        return not math.isfinite(float(value))
    except ValueError:
        return False


def _fault(values: dict[str, Any] | None) -> ConfigError | None:
    """Why the fields' values are no rule, to be said beside the field that is wrong."""
    try:
        if values is not None:
            Params.parse(values)
    except ConfigError as error:
        return error
    return None


def _say(fault: ConfigError | None, *names: str) -> None:
    """Say what is wrong if it is one of these fields; they have just been drawn."""
    if fault is not None and fault.field in names:
        st.error(_message(fault))


def _message(fault: ConfigError) -> str:
    said = plain(str(fault))
    return f":material/error: {said[0].upper()}{said[1:]}"


def _checked(values: dict[str, Any], top: DeltaGenerator) -> Params:
    try:
        params = Params.parse(values)
    except ConfigError as fault:
        top.error(f"{_message(fault)}  \nShown is the last view that was valid.")
        return current()
    notice = st.session_state.pop("_link_error", None)
    if notice:
        top.warning(notice)
    st.session_state[CURRENT] = params
    return params


def _swap() -> None:
    state = st.session_state
    state["y"], state["x"] = state["x"], state["y"]
