"""What is stored, as a time line per symbol, and what is missing."""

import time
from collections import deque
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from model import Quality, Timeframe
from ui import charts, text
from ui.frame import guarded
from ui.numbers import moment, number, plain, size
from ui.parts import Parts
from ui.plot import Plot
from ui.runs import Kept
from ui.theme import colors

STRETCHES = 240
MISSING = -1
# From best to worst.
KINDS: dict[int, tuple[str, str]] = {
    Quality.LIVE: ("live", "long"),
    Quality.BACKFILLED: ("backfilled", "y"),
    Quality.KLINE: ("kline", "neutral"),
    Quality.IMPORTED: ("imported", "x"),
    Quality.PARTIAL: ("partial", "warning"),
    MISSING: ("missing", "bad"),
}
_drawn = Kept()
SPANS_H = {"6 h": 6, "1 day": 24, "1 week": 168, "1 month": 720, "1 year": 8760}


@guarded
def draw(parts: Parts, timeframe: Timeframe) -> None:
    """The time line, with its span chosen beside it."""
    with st.container(border=True):
        chosen = st.segmented_control(
            f"Coverage at {timeframe.value}",
            list(SPANS_H),
            default="1 week" if timeframe is not Timeframe.S1 else "6 h",
            required=True,
            key="_coverage",
            help=text.about("quality"),
        )
        # Counted in a moment; the stretches are read again once a bar was stored.
        stored = tuple(row.bars for row in parts.store.coverage() if row.timeframe is timeframe)
        end = int(time.time() * 1000)
        start = end - SPANS_H[str(chosen)] * 3_600_000
        grid, start, end = _drawn.get(
            (parts.venue_key, timeframe, chosen, stored),
            lambda: (stretches(parts, timeframe, start, end), start, end),
        )
        charts.show(
            timeline(grid, parts.symbols(), start, end),
            key="timeline",
            alt="Coverage per symbol over time: live, backfilled, kline, imported, missing",
        )


def stretches(parts: Parts, timeframe: Timeframe, start: int, end: int) -> np.ndarray:
    """Return per symbol and stretch the place in KINDS; NaN where nothing is stored at all.

    A bucket may be stored from several sources, of which the best is shown: a stretch is as good
    as the source with which its buckets are complete. It is missing when less than half of it,
    between the first and the last stored stretch, is there: in those two storage began and goes on.
    """
    width = max(timeframe.ms, -(-(end - start) // STRETCHES // timeframe.ms) * timeframe.ms)
    count, expected = (end - start) // width + 1, width // timeframe.ms
    first = start - start % width
    codes = list(KINDS)
    out = np.full((len(parts.symbols()), count), np.nan)
    for row, symbol in enumerate(parts.symbols()):
        held = np.zeros((count, len(codes)))
        for begin, quality, bars in parts.store.timeline(symbol, timeframe, first, end, width):
            at = (begin - first) // width
            if 0 <= at < count and quality in codes:
                held[at, codes.index(quality)] += bars
        total = held.sum(axis=1)
        known = np.flatnonzero(total)
        if not len(known):
            continue
        need = np.minimum(expected, held.max(axis=1))
        reached = held.cumsum(axis=1) >= need[:, None]
        out[row] = np.where(total > 0, reached.argmax(axis=1), np.nan)
        inside = (np.arange(count) > known[0]) & (np.arange(count) < known[-1])
        out[row, inside & (total < 0.5 * expected)] = len(codes) - 1
    return out


def timeline(grid: np.ndarray, symbols: tuple[str, ...], start: int, end: int) -> Plot:
    """Draw the stretches as coloured rows."""
    color = colors()
    tones = [color[tone] for _, tone in KINDS.values()]
    names = [name for name, _ in KINDS.values()]
    steps = len(tones)
    scale = [[edge / steps, tones[k]] for k in range(steps) for edge in (k, k + 1)]
    chart = charts.figure(60 + 34 * len(symbols))
    words = np.array([*names, "nothing"])[np.nan_to_num(grid, nan=len(names)).astype(int)]
    at = np.linspace(start, end, grid.shape[1])
    chart.add(
        "heatmap",
        x=at,
        y=list(symbols),
        z=grid,
        zmin=-0.5,
        zmax=steps - 0.5,
        colorscale=scale,
        showscale=False,
        ygap=6,
        customdata=words,
        hovertemplate="%{y} %{x|%Y-%m-%d %H:%M}: %{customdata}<extra></extra>",
    )
    for name, tone in zip(names, tones, strict=True):
        chart.add(
            "scatter", x=[None], y=[None], mode="markers", name=name,
            marker={"color": tone, "symbol": "square", "size": 10},
        )  # fmt: skip
    chart.layout.update(hovermode="closest")
    chart.layout["yaxis"].update(type="category", autorange="reversed", showgrid=False)
    return chart


@guarded
def draw_gaps(parts: Parts) -> None:
    """Every span about which something is not known."""
    found = [gap for gaps in parts.store.gaps().values() for gap in gaps]
    inside = [gap for gap in found if gap.start_ms > 0]
    st.markdown(f"**Gaps** · {sum(gap.state == 'open' for gap in inside)} open, {len(inside)} kept")
    if not inside:
        st.caption("No trade is missing since ingestion began.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "symbol": gap.symbol,
                "from": moment(gap.start_ms),
                "to": moment(gap.end_ms),
                "ids missing": gap.last_id - gap.first_id + 1 if gap.first_id >= 0 else None,
                "state": gap.state.replace("_", " "),
            }
            for gap in sorted(inside, key=lambda gap: -gap.end_ms)[:500]
        ),
        hide_index=True,
        alt="Gaps, newest first",
    )


@guarded
def draw_table(parts: Parts) -> None:
    """Counts per symbol, timeframe and source."""
    rows = parts.store.coverage()
    if not rows:
        st.caption("Nothing is stored yet.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "symbol": row.symbol,
                "timeframe": row.timeframe.value,
                "source": row.layer,
                "bars": row.bars,
                "first": moment(row.first_ts),
                "last": moment(row.last_ts),
            }
            for row in rows
        ),
        hide_index=True,
        height=320,
        alt="Stored bars per symbol, timeframe and source",
    )


@guarded
def draw_health(parts: Parts) -> None:
    """Feed and storage in numbers."""
    health: dict[str, Any] = parts.services.health()
    storage, feed, settings = health["storage"], health["feed"], parts.services.settings
    keeps = (settings.retain_trades_days, settings.retain_1s_days)
    age = storage["last_commit_age_ms"]
    charts.cards(
        {
            "Database": (
                size(storage["bytes"] or 0),
                storage["dialect"],
                "What the database takes on disk.",
            ),
            "Stored trades": (
                f"{storage['committed_trades']:,}",
                f"queue {storage['queue']:,}",
                "Committed since the start.",
            ),
            "Last commit": (
                "–" if age is None else f"{age / 1000:.1f} s",
                "ago",
                "A trade is stored within a second of its arrival.",
            ),
            "Kept": (
                " · ".join("all" if days == 0 else f"{days:g} d" for days in keeps),
                "trades · 1s bars",
                "Older rows are dropped in the background; 1m and coarser bars stay.",
            ),
            "Reconnects": (
                f"{feed['reconnects']:,}",
                f"{number(feed['messages_per_s'], 1)} messages/s",
                feed["last_error"] or "No failure so far.",
            ),
            "Engine": (
                f"{health['engine']['update_ms']:.1f} ms",
                "per update",
                "Time of one evaluation of all pairs in use.",
            ),
        }
    )
    for problem in (*health["problems"], *health["warnings"]):
        st.warning(plain(problem), icon=":material/warning:")
    left, right = st.columns([4, 1], gap="small")
    with right:
        _latency([one["lag_ms"] for one in feed["symbols"].values()])
    left.dataframe(
        pd.DataFrame(
            {
                "symbol": symbol,
                "trades": one["trades"],
                "last id": one["last_id"],
                "last trade": moment(one["last_ts"]),
                "lag (ms)": one["lag_ms"] if one["lag_ms"] >= 0 else None,
                "open gaps": one["gaps_open"],
                "filled": one["gaps_filled"],
                "duplicates": one["duplicates"],
                "rejected": one["rejected"],
            }
            for symbol, one in feed["symbols"].items()
        ),
        hide_index=True,
        alt="Feed counters per symbol",
    )


def _latency(lags: list[int]) -> None:
    """Distribution of the lag since this page was opened, sampled at each renewal."""
    seen: deque[int] = st.session_state.setdefault("_lags", deque(maxlen=2000))
    seen.extend(lag for lag in lags if lag >= 0)
    if not seen:
        st.caption("No lag was measured yet.")
        return
    low, high = np.percentile(seen, [50, 95])
    counts, edges = np.histogram(seen, bins=20, range=(0, max(100.0, 1.2 * float(high))))
    with st.container(border=True):
        st.metric(
            "Lag, exchange to here",
            f"{low:.0f} ms",
            f"95 %: {high:.0f} ms",
            delta_color="off",
            delta_arrow="off",
            help="Median and distribution since this page was opened.",
        )
        chart = charts.figure(110)
        chart.add(
            "bar",
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            marker={"color": colors()["neutral"]},
            hovertemplate="%{x:.0f} ms: %{y}<extra></extra>",
        )
        chart.layout.update(hovermode="closest", showlegend=False, bargap=0.1)
        chart.layout["margin"] = {**charts.MARGIN, "l": 6, "r": 6}
        chart.layout["xaxis"].update(type="linear", nticks=4, tickangle=0, showgrid=False)
        chart.layout["xaxis"].update(ticksuffix=" ms", showticksuffix="last", range=[0, edges[-1]])
        chart.layout["yaxis"].update(showticklabels=False, showgrid=False)
        charts.show(chart, key="lag", alt="Distribution of the lag since this page was opened")
