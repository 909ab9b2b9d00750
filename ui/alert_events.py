"""Events and channels on the Alerts page."""

from typing import Any

import pandas as pd
import streamlit as st

from model import PairsError
from ui.chime import WANTED
from ui.frame import guarded
from ui.numbers import moment, plain
from ui.parts import Parts

SHOWN = 200


@guarded
def draw_events(parts: Parts) -> None:
    """What fired, newest first, with a way to say “seen”."""
    events = parts.alerts.events(limit=SHOWN)
    open_ids = [int(event["id"]) for event in events if not event["acknowledged"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Events** · {len(open_ids)} not acknowledged", width="stretch")
        st.toggle(
            "Sound",
            key=WANTED,
            persist_state="session",
            help="A short tone in this tab when an alert fires.",
        )
        st.button(
            "Acknowledge all",
            key="_ack_all",
            disabled=not open_ids,
            on_click=_acknowledge,
            args=(parts, open_ids),
        )
    if not events:
        st.caption("Nothing has fired yet.")
        return
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(event["ts"], unit="ms"),
            "pair": f"{event['y']}/{event['x']} {event.get('timeframe', '')}",
            "kind": event["kind"],
            "z": event["zscore"],
            "message": event["message"],
            "acknowledged": bool(event["acknowledged"]),
        }
        for event in events
    )
    chosen: Any = st.dataframe(
        frame,
        key="events",
        hide_index=True,
        height=320,
        on_select="rerun",
        selection_mode="multi-row",
        alt="Alert events, newest first",
        column_config={
            "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss.SSS"),
            "z": st.column_config.NumberColumn(format="%+.2f", width="small"),
            "message": st.column_config.TextColumn(width="large"),
        },
    )
    rows = [row for row in chosen.selection.rows if row < len(events)]
    if rows:
        st.button(
            f"Acknowledge {len(rows)} selected",
            key="_ack_some",
            on_click=_acknowledge,
            args=(parts, [int(events[row]["id"]) for row in rows]),
        )


def _acknowledge(parts: Parts, numbers: list[int]) -> None:
    try:
        for number in numbers:
            parts.alerts.acknowledge(number)
    except PairsError as error:
        st.toast(plain(str(error)), icon=":material/error:")


@guarded
def draw_channels(parts: Parts) -> None:
    """Where alerts are sent, with a test, and what was delivered."""
    channels = parts.notifier.channels()
    st.markdown(f"**Channels** · {len(channels)}")
    if not channels:
        st.caption("Alerts are shown here only. Add a target to have them sent as well.")
    for channel in channels:
        with st.container(horizontal=True, vertical_alignment="center"):
            about = f"{plain(channel.name)} :small[:gray[{channel.source}]]"
            if channel.problem:
                about += f"  \n:small[:red[{plain(channel.problem)}]]"
            st.markdown(about, width="stretch")
            st.button(
                "Test",
                key=f"_test_{channel.id}",
                on_click=_test,
                args=(parts, channel.id),
            )
            st.button(
                "Remove",
                key=f"_remove_{channel.id}",
                disabled=channel.source != "stored",
                help="Targets of PAIRS_NOTIFY_URLS are removed there."
                if channel.source != "stored"
                else None,
                on_click=_remove,
                args=(parts, channel.id),
            )
    with st.form("_channel", border=False, clear_on_submit=True):
        url = st.text_input(
            "Add a target",
            type="password",
            placeholder="tgram://… discord://… mailto://… webhook+https://…",
            help="An address in the form of the Apprise library. It is stored, never shown again.",
        )
        if st.form_submit_button("Add") and url:
            _add(parts, url)
    deliveries = parts.notifier.deliveries(limit=50)
    with st.expander(f"Delivery log · {len(deliveries)}"):
        if deliveries:
            st.dataframe(
                pd.DataFrame(
                    {
                        "time": moment(one.ts),
                        "target": one.target,
                        "attempt": one.attempt,
                        "status": one.status,
                        "detail": one.detail,
                    }
                    for one in deliveries
                ),
                hide_index=True,
                alt="Deliveries, newest first",
            )
        else:
            st.caption("Nothing was sent yet.")


def _test(parts: Parts, channel_id: str) -> None:
    try:
        problem = parts.notifier.test(channel_id)
    except PairsError as error:
        problem = str(error)
    if problem:
        st.toast(f"The test was not taken: {plain(problem)}", icon=":material/error:")
    else:
        st.toast("Test sent.", icon=":material/check:")


def _remove(parts: Parts, channel_id: str) -> None:
    try:
        parts.notifier.remove(channel_id)
    except PairsError as error:
        st.toast(plain(str(error)), icon=":material/error:")


def _add(parts: Parts, url: str) -> None:
    try:
        parts.notifier.add(url)
    except PairsError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.rerun()
