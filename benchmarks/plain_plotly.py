"""The usual way, measured beside ours: a fragment that draws three figures again every second.

`streamlit run benchmarks/plain_plotly.py`. The same three charts as the Live page's first three:
both legs, the spread with its band, z with its lines; 500 rows, of which the newest moves.
"""

import time

import numpy as np
import plotly.graph_objects as go
import streamlit as st

ROWS = 500
st.set_page_config(layout="wide")


def data(now_ms: int) -> tuple[np.ndarray, ...]:
    """Return ts and a made-up pair's columns, ending now."""
    rng = np.random.default_rng(now_ms // 60_000)
    ts = now_ms - 60_000.0 * np.arange(ROWS)[::-1]
    x = 100 + rng.normal(0, 0.2, ROWS).cumsum()
    spread = np.convolve(rng.normal(0, 0.1, ROWS + 19), np.ones(20), "valid")
    x[-1] += np.sin(now_ms / 5_000)
    sd = np.full(ROWS, spread.std())
    return ts, x, x + spread, spread, sd


def figure(ts: np.ndarray, lines: dict[str, np.ndarray], title: str) -> go.Figure:
    """Return one figure."""
    chart = go.Figure(layout={"height": 260, "title": title, "uirevision": "keep"})
    for name, values in lines.items():
        chart.add_scatter(x=ts, y=values, name=name, mode="lines")
    chart.layout.xaxis.type = "date"
    return chart


@st.fragment(run_every=1.0)
def charts() -> None:
    """Draw everything again."""
    now_ms = int(time.time() * 1000)
    ts, x, y, spread, sd = data(now_ms)
    st.caption(f"stamp {now_ms}")
    st.plotly_chart(figure(ts, {"Y": y, "X": x}, "Legs"), key="legs")
    band = {"spread": spread, "upper": 2 * sd, "lower": -2 * sd}
    st.plotly_chart(figure(ts, band, "Spread"), key="spread")
    lines = {name: np.full(ROWS, level) for name, level in (("+2", 2.0), ("-2", -2.0))}
    st.plotly_chart(figure(ts, {"z": spread / sd, **lines}, f"z {now_ms}"), key="z")


charts()
