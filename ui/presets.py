"""Presets, reset, and making this tab's rule the running one."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from model import ConfigError, StorageError
from params import GATES, Params
from ui.numbers import plain
from ui.parts import Parts

STORED = "presets"
RUNNING = "Running rule"
MAX_PRESETS = 50

Saved = dict[str, dict[str, Any]]


def render(parts: Parts, params: Params, newest: Callable[[], Params]) -> None:
    """Draw the buttons under the fields.

    Args:
        params: this tab's rule as drawn.
        newest: gives it as the fields hold it when a button is pressed, which may be sooner after
            a change than the page is drawn again.
    """
    differs = parts.rule_differences(params)
    st.button(
        "Use for alerts and paper trading",
        key="_use",
        type="primary" if differs else "secondary",
        disabled=not differs,
        width="stretch",
        on_click=_use,
        args=(parts, newest),
        help="Make this the running rule: kept in the database, in force from the next update on.",
    )
    if differs:
        shown = ", ".join(differs[:4]) + (" …" if len(differs) > 4 else "")
        st.caption(f"Differs from the running rule in {shown}.")
    else:
        st.caption("This is the running rule.")
    with st.popover("Presets", icon=":material/bookmark:", width="stretch"):
        _choose(parts)
        _save(parts, newest)
    st.button(
        "Reset to defaults",
        key="_reset",
        icon=":material/restart_alt:",
        width="stretch",
        on_click=put,
        args=(_defaults(parts),),
    )


def put(values: dict[str, Any]) -> None:
    """Set the sidebar to a rule. Only in callbacks: the widgets must not have been drawn yet."""
    for name, value in values.items():
        st.session_state[name] = list(value) if name == "gates" else value


def _defaults(parts: Parts) -> dict[str, Any]:
    y, x = parts.first_pair()
    return {**Params().as_dict(), "y": y, "x": x, "gates": list(GATES)}


def _stored(parts: Parts) -> Saved:
    try:
        return parts.remembered(STORED)
    except StorageError:
        return {}


def _choose(parts: Parts) -> None:
    saved = _stored(parts)
    name = st.selectbox("Preset", [RUNNING, *sorted(saved)], key="_preset")
    load, drop = st.columns(2)
    load.button("Load", key="_preset_load", width="stretch", on_click=_load, args=(parts,))
    drop.button(
        "Delete",
        key="_preset_delete",
        width="stretch",
        disabled=name == RUNNING,
        on_click=_delete,
        args=(parts,),
    )


def _save(parts: Parts, newest: Callable[[], Params]) -> None:
    name = st.text_input("Save this view as", key="_preset_name", max_chars=40)
    st.button(
        "Save",
        key="_preset_save",
        width="stretch",
        disabled=not name.strip(),
        on_click=_keep,
        args=(parts, newest),
    )


def _load(parts: Parts) -> None:
    name = str(st.session_state["_preset"])
    values = parts.rule.as_dict() if name == RUNNING else _stored(parts).get(name)
    if values is None:
        st.toast(f"“{plain(name)}” is no longer there.", icon=":material/error:")
        return
    try:
        params = Params.parse(values)
        parts.check(params)
    except ConfigError as error:
        st.toast(f"This preset can no longer be used: {plain(str(error))}", icon=":material/error:")
        return
    put(params.as_dict())


def _keep(parts: Parts, newest: Callable[[], Params]) -> None:
    name, params = str(st.session_state["_preset_name"]).strip(), newest()
    if not name:
        return

    def kept(saved: Saved) -> Saved:
        return {**saved, name: params.as_dict()}

    _rewrite(parts, kept, f"Saved as “{plain(name)}”.")


def _delete(parts: Parts) -> None:
    name = str(st.session_state["_preset"])
    if name == RUNNING:  # chosen just before the click
        return

    def rest(saved: Saved) -> Saved:
        return {key: value for key, value in saved.items() if key != name}

    _rewrite(parts, rest, f"Deleted “{plain(name)}”.")


def _rewrite(parts: Parts, change: Callable[[Saved], Saved], done: str) -> None:
    try:
        # Read anew and not as shown: what could not be read for a moment must not be lost.
        saved = change(parts.remembered(STORED))
        if len(saved) > MAX_PRESETS:
            raise ConfigError(f"There can be {MAX_PRESETS} presets at most.")
        if RUNNING in saved:
            raise ConfigError(f"“{RUNNING}” is the name of the rule in force; choose another.")
        parts.remember(STORED, saved)
    except (ConfigError, StorageError) as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.toast(done, icon=":material/check:")


def _use(parts: Parts, newest: Callable[[], Params]) -> None:
    try:
        parts.services.set_rule(newest())
    except (ConfigError, StorageError) as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.toast("Now the running rule.", icon=":material/check:")
