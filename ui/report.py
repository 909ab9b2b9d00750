"""A run as files: the bundle that lets somebody else repeat it, and a page to read."""

import hashlib
import html
import io
import json
import platform
import zipfile
from importlib.metadata import version
from typing import Any

import numpy as np
import orjson

import csvtext
from analytics.backtest import BacktestResult, backtest_json
from analytics.doctor import examine
from storage.export import bars_csv
from ui import backtest_charts
from ui.numbers import moment, number
from ui.plot import Plot
from ui.runs import Study

PACKAGES = ("numpy", "numba", "pandas", "plotly", "streamlit", "sqlalchemy")
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;
background:#171614;color:#e6eaf2}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .8rem;border-bottom:1px solid #444;text-align:right}
th:first-child,td:first-child{text-align:left}.warn{color:#f2c94c}"""


def fingerprint(study: Study) -> str:
    """SHA-256 over both legs' times and closes: the same data, the same fingerprint."""
    digest = hashlib.sha256()
    for bars in (study.bars_y, study.bars_x):
        digest.update(bars.symbol.encode())
        for column in (bars.ts, bars.open, bars.close, bars.quality):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def bars_used(study: Study) -> bytes:
    """Both legs' bars as one CSV, Y first."""
    return b"".join(bars_csv([study.bars_y, study.bars_x]))


def funding_used(study: Study) -> bytes:
    """Both legs' stored funding rates as CSV."""
    columns: dict[str, list[Any]] = {"symbol": [], "ts": [], "rate": []}
    for symbol, (times, rates) in study.funding.items():
        columns["symbol"] += [symbol] * len(times)
        columns["ts"] += times.tolist()
        columns["rate"] += rates.tolist()
    return csvtext.table(columns)


def bundle(study: Study, result: BacktestResult, *, is_simulated: bool) -> bytes:
    """Return a zip of everything about a run."""

    def name(stem: str, suffix: str) -> str:
        return csvtext.file_name(stem, suffix, is_simulated=is_simulated)

    about = {
        "simulated": is_simulated,
        "parameters": result.params.as_dict(),
        "market": result.market.value,
        "span": {"first_ts": int(result.equity.ts[0]), "last_ts": int(result.equity.ts[-1])},
        "data_fingerprint": fingerprint(study),
        "seed": result.seed,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.json", json.dumps(about, indent=2))
        metrics = orjson.dumps(result.metrics.as_dict(), option=orjson.OPT_INDENT_2)
        archive.writestr("metrics.json", metrics)  # NaN as null
        archive.writestr(name("backtest_pnl", "csv"), csvtext.table(result.trade_columns))
        archive.writestr(name("backtest_equity", "csv"), csvtext.table(result.equity.columns))
        archive.writestr(name("bars_used", "csv"), bars_used(study))
        if study.funding:
            archive.writestr(name("funding_used", "csv"), funding_used(study))
        archive.writestr("report.html", page(study, result, is_simulated=is_simulated))
    return out.getvalue()


def page(study: Study, result: BacktestResult, *, is_simulated: bool) -> str:
    """Return the run as one HTML file without any outside address."""
    params, metrics = result.params, backtest_json(result)["metrics"]
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{_cell(metrics['gross'].get(name))}</td>"
        f"<td>{_cell(value)}</td></tr>"
        for name, value in metrics["net"].items()
    )
    doubts = "".join(f"<li>{html.escape(doubt)}</li>" for doubt in examine(result))
    curve = backtest_charts.equity(result, with_holding=False)
    warning = "<p class=warn>SIMULATED DATA: not a market.</p>" if is_simulated else ""
    span = f"{moment(int(result.equity.ts[0]))} to {moment(int(result.equity.ts[-1]))} UTC"
    title = f"{params.y} against {params.x}, {params.timeframe.value}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{STYLE}</style><h1>{title}</h1>{warning}<p>{span}</p>"
        f"<p>Data fingerprint {fingerprint(study)}</p>"
        f"{_svg(curve)}<h2>Doubts</h2><ul>{doubts or '<li>none found</li>'}</ul>"
        f"<h2>Metrics</h2><table><tr><th></th><th>gross</th><th>net</th></tr>{rows}</table>"
        f"<h2>Parameters</h2><pre>{html.escape(json.dumps(params.as_dict(), indent=2))}</pre>"
        "</html>"
    )


def _svg(chart: Plot) -> str:
    """Draw the net and gross lines of a figure by hand: a report needs no script."""
    lines = [trace for trace in chart.data if trace["name"] in ("gross", "net")]
    if not lines:
        return ""
    xs = np.concatenate([np.asarray(trace["x"], dtype=float) for trace in lines])
    ys = np.concatenate([np.asarray(trace["y"], dtype=float) for trace in lines])
    left, right, low, high = xs.min(), xs.max(), np.nanmin(ys), np.nanmax(ys)
    wide, tall = 960, 300

    def path(trace: Any) -> str:
        x = (np.asarray(trace["x"], dtype=float) - left) / max(right - left, 1) * wide
        y = tall - (np.asarray(trace["y"], dtype=float) - low) / max(high - low, 1e-12) * tall
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    drawn = "".join(
        f'<polyline fill="none" stroke="{trace["line"]["color"]}" stroke-width="1.5" '
        f'points="{path(trace)}"><title>{trace["name"]}</title></polyline>'
        for trace in lines
    )
    return (
        f'<svg viewBox="0 -8 {wide} {tall + 16}" role="img" '
        f'aria-label="Equity, gross dotted and net">{drawn}</svg>'
    )


def _cell(value: Any) -> str:
    return number(value, 4) if value is None or isinstance(value, float) else f"{value:,}"
