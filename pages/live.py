"""Live: what the pair is doing now. Everything that moves comes over the push socket."""

import streamlit as st

from ui import downloads, frame
from ui.live import live

parts, params = frame.enter()
live(params)
with st.container(horizontal=True, vertical_alignment="center"):
    st.caption("Download", width="content")
    downloads.series_button(parts, params)
    for symbol in (params.y, params.x):
        downloads.bars_button(parts, symbol, params.timeframe)
        downloads.trades_button(parts, symbol)
