"""Files into the database, from the Data page: archives, candle tables, recordings."""

import tempfile
from pathlib import Path
from typing import get_args

import streamlit as st

from ingest.importer import Importer, Report
from ingest.tables import Kind
from model import Timeframe
from ui import jobs
from ui.frame import guarded
from ui.numbers import moment, plain
from ui.parts import Parts

BY_NAME = "by its name"
FLUSH_TIMEOUT_S = 60.0
TYPES = ("zip", "csv", "gz", "ndjson", "jsonl", "json", "txt")


@guarded
def draw(parts: Parts) -> None:
    """Choose a file, import it with progress, say what was found."""
    st.markdown(
        "**Import a file**",
        help="data.binance.vision archives (klines, trades, aggTrades), candle tables with a "
        "header, recorded frames. Larger files: `python -m cli import FILE`.",
    )
    if parts.is_simulated:
        st.caption(
            "Not while the exchange is simulated: files hold a real market's rows, and real and "
            "simulated rows never mix."
        )
        return
    file = st.file_uploader("File", type=list(TYPES), key="_import_file")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        frames = [BY_NAME, *(frame.value for frame in Timeframe)]
        symbol = st.selectbox("Symbol", [BY_NAME, *parts.symbols()], key="_import_symbol")
        kind = st.selectbox("Content", [BY_NAME, *get_args(Kind)], key="_import_kind")
        frame = st.selectbox("Timeframe", frames, key="_import_frame")
        go = st.button("Import", key="_import_run", disabled=file is None)
    if go and file is not None:
        given = tuple(None if choice == BY_NAME else choice for choice in (kind, symbol, frame))
        content = file.getvalue()
        name = Path(file.name).name
        jobs.forget("import")
        jobs.start(
            "import",
            (file.file_id, given),
            lambda progress: _import(parts, name, content, given, progress),
        )
    job = jobs.current("import")
    if job is None:
        return
    if not job.wait():
        jobs.watch("import", "Importing")
        return
    report = jobs.outcome("import")
    if report is not None:
        _say(report)


def _import(
    parts: Parts,
    name: str,
    content: bytes,
    given: tuple[str | None, ...],
    progress: jobs.Progress,
) -> Report:
    kind, symbol, frame = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        importer = Importer(
            path,
            kind=kind,  # type: ignore[arg-type]  # one of get_args(Kind)
            symbol=symbol,
            timeframe=None if frame is None else Timeframe(frame),
            market=parts.market,
            stream=parts.store.stream,
            on_progress=progress.note,
            is_cancelled=progress.is_cancelled,
        )
        for batch in importer.batches():
            parts.store.writer.put(batch, parts.services.book.apply(batch))
        parts.store.writer.flush(FLUSH_TIMEOUT_S)
    parts.services.engine.wake()
    return importer.report


def _say(report: Report) -> None:
    span = f", {moment(report.first_ts)} to {moment(report.last_ts)} UTC" if report.bars else ""
    text = f"{plain(report.name)}: {report.rows:,} rows gave {report.bars:,} bars{span}."
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (report.duplicates, "rows seen before"),
            (report.zero_rows, "rows without price or quantity"),
            (report.left_out, "seconds left out as some of their trades are missing"),
            (report.error_count, "rows that cannot be used"),
        )
        if count
    ]
    if report.is_verified:
        notes.append("checksum verified")
    full = text + (f" {'; '.join(notes)}." if notes else "")
    (st.warning if report.error_count or not report.bars else st.success)(full)
    if report.errors:
        st.caption("  \n".join(map(plain, report.errors)))
