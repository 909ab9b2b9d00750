"""Still figures, one look: axes, colours and thinning shared by every page.

What moves is drawn by the live component; these are drawn once per run of a page.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from model import Floats, Ints
from ui import figure_line, mounted
from ui.plot import Plot
from ui.theme import colors

MOST_POINTS = 1500
MARGIN = {"l": 52, "r": 12, "t": 8, "b": 26}
FONT = '"Source Sans", "Source Sans Pro", sans-serif'
_STYLE = """
.pairs-still { position: relative; width: 100%; }
.pairs-still:fullscreen { background: var(--st-background-color); }
.pairs-still[data-picks] .nsewdrag { cursor: pointer; }
.ps-wide { position: absolute; top: 0; right: 0; padding: 0 6px; border: 0; border-radius: 4px;
  font-size: 16px; line-height: 22px; opacity: 0; cursor: pointer;
  color: var(--st-text-color); background: var(--st-secondary-background-color); }
.pairs-still:hover .ps-wide, .ps-wide:focus-visible { opacity: 1; }
.ps-wide:focus-visible { outline: 2px solid var(--st-primary-color); }
.ps-failed { color: var(--st-text-color); opacity: .7; }
.ps-failed[hidden] { display: none; }
"""

_component = mounted.declare(
    "pairs_still", html='<div class="pairs-still" data-mount></div>', css=_STYLE
)


def thin(*columns: Floats, most: int = MOST_POINTS) -> Ints:
    """Return rows to draw: of each of `most`/2 stretches those of every column's extremes.

    A line through them looks as the line through all rows, whatever their number.

    Args:
        columns: (n,) float64 each, NaN allowed.
    """
    n = len(columns[0])
    if n <= most:
        return np.arange(n, dtype=np.int64)
    bins = max(1, most // (2 * len(columns)))
    edges = np.linspace(0, n, bins + 1).astype(np.int64)
    size = int(np.diff(edges).max())
    grid = np.minimum(edges[:-1, None] + np.arange(size), edges[1:, None] - 1)
    keep = [np.array([0, n - 1], dtype=np.int64)]
    for column in columns:
        values = column[grid]
        low = np.where(np.isnan(values), np.inf, values).argmin(axis=1)
        high = np.where(np.isnan(values), -np.inf, values).argmax(axis=1)
        at = np.arange(bins)
        keep += [grid[at, low], grid[at, high]]
    rows: Ints = np.unique(np.concatenate(keep))
    return rows


def times(ts: Ints) -> NDArray[np.float64]:
    """Times as Plotly takes them cheapest: float ms on a date axis."""
    return ts.astype(np.float64)


def figure(height: int, *, rows: Sequence[float] = (1.0,), titles: Sequence[str] = ()) -> Plot:
    """Return an empty figure of stacked panels that share the time axis.

    Args:
        height: pixels.
        rows: relative heights of the panels, top first.
        titles: a short title of each panel. The first stands above the figure, where the legend
            cannot meet it however narrow the page; the others inside, over their panels.
    """
    color = colors()
    gap = 0.05 if len(rows) > 1 else 0.0
    room = (1 - gap * (len(rows) - 1)) / sum(rows)
    layout = {
        "height": height,
        "margin": MARGIN,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": color["muted"]},
        "hovermode": "x unified",
        "legend": {
            **{"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0, "xanchor": "left"},
            **{"yref": "paper", "itemwidth": 30},
        },
        "meta": {"title": titles[0] if titles else ""},
        "xaxis": {
            "gridcolor": color["grid"],
            "zeroline": False,
            "anchor": axis(len(rows) - 1),
            "type": "date",
            "ticks": "",
            "hoverformat": "%Y-%m-%d %H:%M:%S",
            "automargin": True,
        },
        "hoverlabel": {"font": {"family": FONT}},
    }
    chart = Plot(layout)
    top = 1.0
    for k, share in enumerate(rows):
        bottom = max(0.0, top - share * room)
        chart.layout[axis(k).replace("y", "yaxis")] = {
            "domain": [bottom, top],
            "gridcolor": color["grid"],
            "zeroline": False,
            "ticks": "",
            "anchor": "x",
            "nticks": 6 if share >= 1 else 4,
            "automargin": True,
        }
        if 0 < k < len(titles):
            chart.add_note(**_title(titles[k], top))
        top = bottom - gap
    return chart


def axis(k: int) -> str:
    """Name of the k-th panel's value axis."""
    return "y" if k == 0 else f"y{k + 1}"


def _title(text: str, top: float) -> dict[str, Any]:
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12},
    }


def add_line(
    chart: Plot,
    x: Any,
    y: Any,
    name: str,
    color: str,
    *,
    panel: int = 0,
    width: float = 1.5,
    dash: str = "solid",
    fill: str | None = None,
    fill_color: str | None = None,
    show_legend: bool = True,
    form: str = ".4~g",
) -> None:
    """Add a line to a panel."""
    chart.add(
        "scatter",
        x=x,
        y=np.asarray(y, dtype=np.float32),
        name=name,
        mode="lines",
        line={"color": color, "width": width, "dash": dash},
        fill=fill,
        fillcolor=fill_color,
        yaxis=axis(panel),
        showlegend=show_legend,
        hovertemplate=f"%{{y:{form}}}",
    )


def add_level(chart: Plot, y: float, color: str, *, panel: int = 0, dash: str = "dash") -> None:
    """Add a horizontal line across a panel."""
    chart.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        yref=axis(panel),
        y0=y,
        y1=y,
        line={"color": color, "width": 1, "dash": dash},
        layer="below",
    )


def add_mark(chart: Plot, x: float, color: str, *, width: float) -> None:
    """Add a vertical line across the figure."""
    chart.add_shape(
        type="line",
        x0=x,
        x1=x,
        yref="paper",
        y0=0,
        y1=1,
        line={"color": color, "width": width},
    )


def show(
    chart: Plot,
    *,
    key: str,
    alt: str,
    same: Hashable = None,
    on_pick: Callable[[], None] | None = None,
) -> None:
    """Draw a still figure at the page's width, its title above it.

    Args:
        same: what the figure is about: as long as it stays, a zoom of the user's does too.
        on_pick: is called when a point is clicked; `picked` tells which.
    """
    title = chart.layout["meta"]["title"]
    if title:
        st.markdown(f"**{title}**")
    if same is not None:
        chart.layout["uirevision"] = repr(same)
    figure_json = chart.to_json()
    data = {
        **mounted.served("still"),
        **figure_line.hand_over(key, figure_json),
        "figure": figure_json,
        "alt": alt,
        "picks": on_pick is not None,
    }
    callback = {} if on_pick is None else {"on_picked_change": on_pick}
    _component(key=key, data=data, **callback)


def picked(key: str) -> tuple[str, str] | None:
    """Return x and y of the point clicked in the figure `key`; for its `on_pick`."""
    at = st.session_state[key].get("picked")
    return None if at is None else (str(at["x"]), str(at["y"]))


def cards(values: Mapping[str, tuple[str, str, str]], *, columns: int = 6) -> None:
    """Draw metric cards: label → value, what stands beside it, help."""
    with st.grid(columns, min_column_width=120, gap="small"):
        for label, (value, beside, help_text) in values.items():
            st.metric(
                label,
                value,
                delta=beside or None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help=help_text or None,
            )
