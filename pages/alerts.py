"""Alerts: rules, what they fired, and where it is sent."""

import streamlit as st

from ui import alert_events, alert_rules, frame

parts, params = frame.enter()
st.subheader("Alerts", help="Kept in the database: a restart neither forgets nor repeats.")
left, right = st.columns([3, 2], gap="medium")
with left:
    alert_rules.draw(parts, params)
    alert_events.draw_events(parts)
with right:
    alert_events.draw_channels(parts)
