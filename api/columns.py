"""Arrays to the shapes of the API: bars as rows, series as columns, a snapshot as an object."""

from typing import Any

import numpy as np

from api.ports import View
from model import Bars, Flags, Quality

SERIES_COLUMNS = (
    "price_y",
    "price_x",
    "alpha",
    "beta",
    "spread",
    "zscore",
    "correlation",
)
QUALITY_NAMES = np.array([quality.label for quality in Quality], dtype=object)


def quality_names(codes: Any) -> list[str]:
    """Return the lower-case names of Quality codes."""
    names: list[str] = QUALITY_NAMES[np.asarray(codes, dtype=np.int64)].tolist()
    return names


def bar_rows(bars: Bars) -> list[dict[str, Any]]:
    """Return one object per bar, oldest first."""
    names = ("ts", "open", "high", "low", "close", "volume", "quote_volume", "trades", "closed")
    columns = [getattr(bars, name).tolist() for name in names]
    return [
        dict(zip((*names, "quality"), row, strict=True))
        for row in zip(*columns, quality_names(bars.quality), strict=True)
    ]


def series_rows(view: View, *, limit: int, since: int | None, include_open: bool) -> Any:
    """Return the index of the newest `limit` rows asked for."""
    series = view.series
    keep: Flags = np.asarray(series.closed) | include_open
    if since is not None:
        keep = keep & (series.ts >= since)
    return np.flatnonzero(keep)[-limit:]


def series_columns(view: View, rows: Any) -> dict[str, Any]:
    """Return the contract's columns of `rows`."""
    series = view.series
    columns = {"ts": series.ts[rows]}
    columns |= {name: getattr(series, name)[rows] for name in SERIES_COLUMNS}
    columns["beta_kalman"] = series.beta_kalman[rows]
    columns["quality"] = quality_names(series.quality[rows])
    columns["closed"] = series.closed[rows]
    return columns


def stats_rows(view: View, rows: Any) -> list[dict[str, Any]]:
    """Return the rows of the analytics table, newest first."""
    series, entry = view.series, view.params.entry
    newest = np.asarray(rows)[::-1]
    zscore = series.zscore[newest]
    stationary = [None if code < 0 else bool(code) for code in series.stationary[newest].tolist()]
    return [
        {
            "timestamp": ts,
            "zscore": z,
            "spread": spread,
            "correlation": correlation,
            "hedge_ratio": beta,
            "is_stationary": is_stationary,
            "alert": bool(abs(z) >= entry),
        }
        for ts, z, spread, correlation, beta, is_stationary in zip(
            series.ts[newest].tolist(),
            zscore.tolist(),
            series.spread[newest].tolist(),
            series.correlation[newest].tolist(),
            series.beta[newest].tolist(),
            stationary,
            strict=True,
        )
    ]
