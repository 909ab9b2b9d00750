"""Load and endurance: the app takes trades at a rate from another process while others use it."""

import os
import re
import tempfile
import time
from pathlib import Path

from benchmarks.soak.clients import Crowd, percentiles
from benchmarks.soak.compare import compare, marks_of
from benchmarks.soak.processes import App, Exchange, Usage, usage
from benchmarks.soak.report import Report

WAL_LIMIT_MB = 64.0
LAG_LIMIT_MS = 1000.0
# The start has work of its own (older trades, history, kernels), which is not what is measured.
SETTLE_S, LONGEST_SETTLE_S = 5.0, 60.0
# Against the first minutes after warming up: what may grow with the rows kept in memory.
FLAT_SHARE = 1.15
WARM_MINUTES = 5


def run_load(*, rate: float = 20_000, seconds: float = 60) -> Report:
    """Hold a rate for a while, with four readers and a page, and compare every trade by id."""
    report = Report("load", f"{rate:,.0f} trades/s for {seconds:.0f} s")
    _, lag = _run(report, rate=rate, seconds=seconds, every_s=10.0)
    report.check(lag[1] <= LAG_LIMIT_MS, f"in the database {lag[1]:.0f} ms after it happened (p99)")
    return report


def run_hold(*, rate: float = 2_000, minutes: float = 30) -> Report:
    """Hold a lower rate for long, and look at what grows."""
    report = Report("hold", f"{rate:,.0f} trades/s for {minutes:.0f} minutes")
    samples, lag = _run(report, rate=rate, seconds=minutes * 60, every_s=60.0, pause_s=0.25)
    # Over so long others use the machine, too: what is typical counts here.
    text = f"in the database {lag[0]:.0f} ms after it happened (median)"
    report.check(lag[0] <= LAG_LIMIT_MS, text)
    warm, late = samples[WARM_MINUTES : WARM_MINUTES + 5], samples[-5:]
    if len(samples) >= 2 * WARM_MINUTES + 5:
        report.text("Flat, the last five minutes against minutes 6 to 10:", "")
        for name in ("rss_mb", "threads", "files"):
            before = max(getattr(sample, name) for sample in warm)
            after = max(getattr(sample, name) for sample in late)
            report.check(after <= before * FLAT_SHARE, f"{name} {before:.0f} → {after:.0f}")
    return report


def settle(app: App, rate: float) -> None:
    """Return when the app has fetched what it wants of the past, or has had long enough."""
    deadline = time.monotonic() + LONGEST_SETTLE_S
    while time.monotonic() < deadline:
        before, begun = app.health()["storage"]["committed_trades"], time.monotonic()
        time.sleep(SETTLE_S)
        storage = app.health()["storage"]
        grown = (storage["committed_trades"] - before) / (time.monotonic() - begun)
        if grown < 1.1 * rate and storage["queue"] < rate:
            return


def _run(
    report: Report, *, rate: float, seconds: float, every_s: float, pause_s: float = 0.05
) -> tuple[list[Usage], tuple[float, float, float]]:
    with tempfile.TemporaryDirectory(prefix="pairs-soak-") as name:
        folder = Path(name)
        with Exchange(folder, rate=rate) as exchange, App(folder, exchange) as app:
            app.wait_live()
            settle(app, rate)
            crowd = Crowd(app, pause_s=pause_s, refresh_s=pause_s * 10)
            first = marks_of(app, "binance-spot")
            crowd.start()
            begun, samples, rows = time.monotonic(), [], []
            before = usage(app.pid), usage(exchange.pid)
            while (passed_s := time.monotonic() - begun) < seconds:
                time.sleep(min(every_s, seconds - passed_s))
                sample, wal = usage(app.pid), max(crowd.wal_bytes[-int(every_s * 10) :], default=0)
                samples.append(sample)
                rows.append(_line(app, crowd, time.monotonic() - begun, sample, wal))
            took_s = time.monotonic() - begun
            after = usage(app.pid), usage(exchange.pid)
            last, health = marks_of(app, "binance-spot"), app.health()
            crowd.stop()
            app.stop()
            log = app.log.read_text(encoding="utf-8")
            stop = marks_of(app, "binance-spot")
            size = app.database.stat().st_size
            found = compare(app, exchange, first, stop)
    committed = sum(last[symbol] - first[symbol] for symbol in first)
    cpu = [(b.cpu_s - a.cpu_s) / took_s for a, b in zip(before, after, strict=True)]
    report.text(
        "The app (`streamlit run app.py`), the simulated exchange and the clients are three"
        " processes; the clients are four readers of the database file, a page's requests over the"
        " API, and its push socket.",
    )
    report.text()
    report.check(
        committed >= 0.99 * rate * took_s,
        f"{committed:,} trades committed in {took_s:.1f} s: {committed / took_s:,.0f} a second",
    )
    report.check(
        found.is_clean,
        f"{found.equal:,} trades equal the exchange's history by id, time, price, quantity and"
        f" side; {found.missing} missing, {found.wrong} wrong; bars against trades and the file's"
        f" integrity: {len(found.findings)} findings",
    )
    feed = health["feed"]["symbols"].values()
    told = {k: sum(row[k] for row in feed) for k in ("gaps_filled", "duplicates", "rejected")}
    report.check(not crowd.errors, f"clients: {len(crowd.errors)} errors {crowd.errors[:3]}")
    is_clean = log.count("stopped") == 1 and not re.search("Traceback|ERROR|CRITICAL", log)
    report.check(is_clean, "the app stopped clean, with no error in its log")
    if not is_clean:
        report.text("```", *log.splitlines()[-40:], "```")
    wal_mb = max(crowd.wal_bytes, default=0) / 2**20
    report.check(wal_mb <= WAL_LIMIT_MB, f"write-ahead log at most {wal_mb:.1f} MB")
    lag = percentiles(crowd.commit_ms)
    report.table(
        ["ms", "median", "p99", "worst"],
        [
            ["from the trade to its arrival", *percentiles(crowd.arrival_ms)],
            ["from the trade to the database, as a reader sees it", *lag],
            [f"a reader's query ({len(crowd.query_ms):,})", *percentiles(crowd.query_ms)],
            [f"a request of the page ({len(crowd.page_ms):,})", *percentiles(crowd.page_ms)],
        ],
    )
    report.text(
        f"CPU: the app {cpu[0]:.2f} of a core, the exchange {cpu[1]:.2f}. Resident memory of the"
        f" app at most {after[0].peak_mb:.0f} MB. Database {size / 2**20:.0f} MB."
        f" Pushes {crowd.pushes:,}. Reconnects {health['feed']['reconnects']},"
        f" gaps repaired {told['gaps_filled']}, duplicates {told['duplicates']},"
        f" rejected {told['rejected']}."
    )
    report.table(
        [
            *("s", "state", "committed", "queue", "RSS MB", "WAL MB", "files", "threads", "CPU s"),
            "machine's load",
        ],
        rows,
    )
    return samples, lag


def _line(app: App, crowd: Crowd, at_s: float, sample: Usage, wal: int) -> list[object]:
    try:
        health = app.health()
    except OSError as error:
        crowd.errors.append(f"health: {error}")
        return [round(at_s), "no answer"]
    return [
        round(at_s),
        health["feed"]["state"],
        health["storage"]["committed_trades"],
        health["storage"]["queue"],
        round(sample.rss_mb),
        round(wal / 2**20, 1),
        sample.files,
        sample.threads,
        round(sample.cpu_s, 1),
        round(os.getloadavg()[0], 1),
    ]
