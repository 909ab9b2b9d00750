"""Data: what is stored and how good it is, repairs, imports, exports."""

import streamlit as st

from ui import coverage, frame, history, imports

parts, params = frame.enter()
st.subheader("Data", help="Every trade id is accounted for; every bar says where it comes from.")


@st.fragment(run_every=3.0)
def health() -> None:
    """The counters, renewed every three seconds."""
    coverage.draw_health(parts)


health()
coverage.draw(parts, params.timeframe)
left, right = st.columns(2, gap="small")
with left, st.container(border=True, height="stretch"):
    history.draw_fetch(parts, params.timeframe)
with right, st.container(border=True, height="stretch"):
    history.draw_export(parts, params.timeframe)
with st.container(border=True):
    imports.draw(parts)
left, right = st.columns(2, gap="small")
with left, st.container(border=True, height="stretch"):
    st.markdown("**Stored bars**")
    coverage.draw_table(parts)
with right, st.container(border=True, height="stretch"):
    coverage.draw_gaps(parts)
