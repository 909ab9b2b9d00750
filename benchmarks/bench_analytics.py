"""The numbers beside statsmodels and pykalman, on one problem, in one run.

Usage: python benchmarks/bench_analytics.py [--full]. With --full statsmodels' adfuller and coint
run on 10⁵ rows too: a minute and a half, and 3 GB. Times are CPU time of the calling thread, so a
busy machine disturbs them less; only the ratios travel between machines.
"""

import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pykalman import KalmanFilter  # noqa: E402
from statsmodels.regression.rolling import RollingOLS  # noqa: E402
from statsmodels.tools import add_constant  # noqa: E402
from statsmodels.tsa.stattools import adfuller, coint  # noqa: E402

from analytics.adf import adf_test  # noqa: E402
from analytics.cointegration import engle_granger  # noqa: E402
from analytics.correlation import rolling_correlation  # noqa: E402
from analytics.fits import CORRELATION, OLS, _fit  # noqa: E402
from analytics.kalman import STATE, _filter, kalman_filter  # noqa: E402
from analytics.moments import _mean_sd  # noqa: E402
from analytics.noise import fit_noise  # noqa: E402
from analytics.ols import rolling_ols  # noqa: E402
from analytics.rolling_adf import rolling_adf  # noqa: E402
from analytics.rolling_tests import run_tests  # noqa: E402
from analytics.series import TestCache, analyse  # noqa: E402
from analytics.spread import rolling_zscore  # noqa: E402
from model import Bars, Timeframe  # noqa: E402
from params import Params  # noqa: E402

WINDOW = 50
ROWS = 1_000_000


def walks(rows: int, sd: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """Return two independent log prices at the levels of BTC and ETH."""
    rng = np.random.default_rng(1)
    return 11 + np.cumsum(rng.normal(0, sd, rows)), 8 + np.cumsum(rng.normal(0, sd, rows))


def best(call: Callable[[], Any], repeats: int = 9) -> float:
    """Return the least CPU seconds of a call, after one that does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        started = time.thread_time()
        call()
        seconds.append(time.thread_time() - started)
    return min(seconds)


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of one call on this thread, and what it gave."""
    started = time.thread_time()
    found = call()
    return time.thread_time() - started, found


def line(name: str, ours: str, peer: str, ratio: str, target: str, error: str = "") -> None:
    """Print one row of the table."""
    print(f"| {name} | {ours} | {peer} | {ratio} | {target} | {error} |", flush=True)


def versus(
    name: str, ours: float, peer: float, target: int, error: float, unit: float = 1e9
) -> None:
    """Print a row of times per bar and their ratio."""
    suffix = {1e9: "ns", 1e6: "µs", 1e3: "ms"}[unit]
    line(
        name,
        f"{ours * unit:.1f} {suffix}",
        f"{peer * unit:,.0f} {suffix}",
        f"{peer / ours:,.0f}×",
        f"≥ {target:,}×",
        f"{error:.0e}",
    )


def kernels(y: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """Return ns a bar of each kernel and of the whole pair, outputs allocated before."""
    n = len(y)
    bounds, out = np.array([0, n]), [np.zeros(n) for _ in range(16)]
    returns = np.zeros((2, n))
    unset, states = np.full(STATE, np.nan), np.empty((0, STATE))
    filtered = (unset, states, *out[:7])
    spread = np.zeros(n)

    def ols() -> None:
        _fit(y, x, bounds, WINDOW, OLS, out[7], out[8], out[9])
        np.multiply(out[8], x, out=spread)
        np.subtract(y, spread, out=spread)
        np.subtract(spread, out[7], out=spread)

    def zscore() -> None:
        _mean_sd(spread, bounds, WINDOW, out[10], out[11], out[12])

    def correlation() -> None:
        for k, leg in enumerate((y, x)):
            np.subtract(leg[1:], leg[:-1], out=returns[k, 1:])
        _fit(returns[0], returns[1], bounds, WINDOW, CORRELATION, out[13], out[13], out[13])

    def kalman() -> None:
        _filter(y, x, bounds, 1e-3, 1e-8, 1e6, *filtered)

    def pair() -> None:
        ols()
        zscore()
        correlation()
        kalman()

    parts = {"OLS and spread": ols, "z": zscore, "correlation": correlation, "Kalman": kalman}
    times = {name: best(call) / n * 1e9 for name, call in parts.items()}
    return {**times, "whole pair": best(pair) / n * 1e9}


def bench_pair() -> None:
    """Print the pair's own times."""
    y, x = walks(ROWS)
    found = kernels(y, x)
    text = ", ".join(f"{name} {ns:.1f}" for name, ns in found.items() if name != "whole pair")
    line("whole pair, 10⁶ bars", f"{found['whole pair']:.1f} ns", f"({text})", "", "≤ 20 ns")
    bars = make_bars(y, x)
    params = Params(test_every=10_000, test_window=10_000)
    seconds = best(lambda: analyse(*bars, params), 3)
    line("analyse(), 10⁶ bars, everything", f"{seconds / ROWS * 1e9:.0f} ns", "", "", "")
    rows = np.arange(299, 10_000, 10)
    per_test = best(lambda: run_tests(y, x, rows, 300), 3) / len(rows)
    line("all tests of one 300-row window", f"{per_test * 1e6:.0f} µs", "", "", "")


def bench_ols() -> None:
    """Rolling least squares beside RollingOLS."""
    y, x = walks(ROWS)
    bounds, out = np.array([0, ROWS]), [np.zeros(ROWS) for _ in range(3)]
    ours = best(lambda: _fit(y, x, bounds, WINDOW, OLS, *out)) / ROWS
    few = 20_000
    peer, theirs = once(lambda: RollingOLS(y[:few], add_constant(x[:few]), window=WINDOW).fit())
    beta = out[1][:few]
    versus(
        "rolling OLS", ours, peer / few, 2500, float(np.nanmax(np.abs(beta - theirs.params[:, 1])))
    )
    brute = [_slope(y, x, i) for i in range(ROWS - 2000, ROWS, 37)]
    error = np.max(np.abs(out[1][ROWS - 2000 :: 37] - brute))
    line("… its error against extended precision", "", "", "", "≤ 1e-9", f"{error:.0e}")


def _slope(y: np.ndarray, x: np.ndarray, i: int) -> float:
    v, u = (leg[i - WINDOW + 1 : i + 1].astype(np.longdouble) for leg in (y, x))
    dv, du = v - v.mean(), u - u.mean()
    return float((du * dv).sum() / (du * du).sum())


def bench_kalman() -> None:
    """The filter beside pykalman's, and its noise beside pykalman's EM."""
    y, x = walks(ROWS, sd=1.0)
    bounds, out = np.array([0, ROWS]), [np.zeros(ROWS) for _ in range(7)]
    before, states = np.full(STATE, np.nan), np.empty((0, STATE))
    ours = best(lambda: _filter(y, x, bounds, 1e-4, 1.0, 1e6, before, states, *out)) / ROWS
    few = 3000
    design = np.stack([np.ones(few), x[:few] - x[0]], axis=1)[:, None, :]
    model = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=design,
        transition_covariance=1e-4 * np.eye(2),
        observation_covariance=[[1.0]],
        initial_state_mean=np.zeros(2),
        initial_state_covariance=1e6 * np.eye(2),
    )
    peer, (mean, _) = once(lambda: model.filter((y[:few] - y[0])[:, None]))
    error = float(np.max(np.abs(out[5][:few] - mean[:, 1])))
    versus("Kalman filter", ours, peer / few, 5000, error)
    y, x = walks(10_000)
    seconds = best(lambda: fit_noise(y, x), 3)
    noise = fit_noise(y, x)
    loglik = kalman_filter(y, x, state_var=noise.state_var, obs_var=noise.obs_var).loglik
    line("Kalman noise, 10⁴ bars", f"{seconds * 1e3:.1f} ms", "", "", "", f"loglik {loglik:,.0f}")


def bench_adf() -> None:
    """The rolling test with one lag beside a loop over adfuller."""
    u = walks(ROWS)[0]
    ours = best(lambda: rolling_adf(u, 250), 5) / ROWS
    found, few = rolling_adf(u, 250), range(249, 549)

    def loop() -> list[float]:
        return [
            adfuller(u[i - 249 : i + 1], maxlag=1, autolag=None, result_object=False)[0]
            for i in few
        ]

    peer, theirs = once(loop)
    error = float(np.max(np.abs(found[249:549] - theirs)))
    versus("rolling ADF, one lag, window 250", ours, peer / len(few), 15_000, error)


def bench_long_tests(rows: int, *, peers: bool) -> None:
    """ADF with AIC and Engle–Granger on a whole long series."""
    y, x = walks(rows, sd=1.0)
    adf, eg = best(lambda: adf_test(y), 5), best(lambda: engle_granger(y, x), 5)
    if peers:
        peer, theirs = once(lambda: adfuller(y, autolag="AIC", result_object=False))
        error = abs(adf_test(y).stat - theirs[0])
        versus(f"ADF with AIC, {rows:,} rows", adf, peer, 1000, error, 1e3)
        peer, tested = once(lambda: coint(y, x, autolag="aic"))
        error = abs(engle_granger(y, x).stat - tested[0])
        versus(f"Engle–Granger, {rows:,} rows, both ways here", eg, peer, 1000, error, 1e3)
    else:
        line(f"ADF with AIC, {rows:,} rows", f"{adf * 1e3:.1f} ms", "", "", "")
        line(f"Engle–Granger both ways, {rows:,} rows", f"{eg * 1e3:.1f} ms", "", "", "")


def bench_memory() -> None:
    """What ADF and Engle–Granger on 10⁵ rows add to the memory of a fresh process."""
    script = (
        "import resource, numpy as np\n"
        "from analytics.adf import adf_test\n"
        "from analytics.cointegration import engle_granger\n"
        "rng = np.random.default_rng(0)\n"
        "y, x = np.cumsum(rng.normal(size=(2, 100_000)), axis=1)\n"
        "adf_test(y[:500]); engle_granger(y[:500], x[:500])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "adf_test(y); engle_granger(y, x)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    line(
        "ADF and Engle–Granger, 10⁵ rows, memory",
        f"{int(done.stdout) / 1024:.0f} MB",
        "",
        "",
        "< 200 MB",
    )


def make_bars(y: np.ndarray, x: np.ndarray) -> tuple[Bars, Bars]:
    """Return one-minute bars of two log prices."""
    return _bars("BTCUSDT", np.exp(y)), _bars("ETHUSDT", np.exp(x))


def _bars(symbol: str, close: np.ndarray) -> Bars:
    rows = len(close)
    ts = 1_700_006_400_000 + Timeframe.M1.ms * np.arange(rows)
    ones, zeros = np.ones(rows), np.zeros(rows, dtype=np.int8)
    flags, counts = np.ones(rows, dtype=np.bool_), np.ones(rows, dtype=np.int64)
    return Bars(
        *(symbol, Timeframe.M1, ts, close, close, close, close),
        *(ones, ones, counts, zeros, flags),
    )


def _cut(bars: Bars, lo: int, hi: int) -> Bars:
    columns = (getattr(bars, name)[lo:hi].copy() for name in Bars.__slots__[2:])
    return Bars(bars.symbol, bars.timeframe, *columns)


def bench_live() -> None:
    """One live update: the window moves on by a row, and a test is due on every one."""
    bars = make_bars(*walks(6200))
    params = Params(test_every=1)
    for rows in (1000, 5000):
        cache, times = TestCache(), []
        for hi in range(rows, rows + 200):
            leg_y, leg_x = (_cut(leg, hi - rows, hi) for leg in bars)
            started = time.perf_counter()
            analyse(leg_y, leg_x, params, cache=cache)
            times.append(time.perf_counter() - started)
        found = np.array(times[1:]) * 1e3
        target = "< 5 ms" if rows == 1000 else "< 10 ms"
        text = f"median {np.median(found):.2f}, 99 % {np.quantile(found, 0.99):.2f} ms"
        line(f"live update, {rows:,} rows, a test due", text, "", "", target)


def bench_gap() -> None:
    """The longest another thread waits while numbers are worked out: does the feed stall?"""
    bars_y, bars_x = make_bars(*walks(ROWS))
    params = Params(test_every=20)
    analyse(bars_y, bars_x, params)  # kernels loaded: what a start costs stands elsewhere
    works: dict[str, Callable[[], object]] = {
        "nothing": lambda: time.sleep(1.0),
        "analyse()": lambda: analyse(bars_y, bars_x, params),
    }
    for name, work in works.items():
        rounds = [_gaps_beside(work) for _ in range(5)]
        longest = sorted(max(gaps) * 1e3 for gaps in rounds)
        usual = np.quantile(np.concatenate(rounds), 0.999) * 1e3
        text = (
            f"longest {longest[2]:.1f} ({longest[0]:.1f}–{longest[-1]:.1f}), 99.9 % {usual:.1f} ms"
        )
        line(f"gap of another thread during {name}, five times", text, "", "", "≤ 10 ms")


def _gaps_beside(work: Callable[[], object]) -> list[float]:
    """Return the seconds between the looks of a thread at the clock while `work` goes on."""
    gaps: list[float] = []
    done = threading.Event()

    def feed() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=feed)
    thread.start()
    work()
    done.set()
    thread.join()
    return gaps


def bench_start() -> None:
    """Loading every kernel from the cache in a fresh process."""
    script = (
        "import time; began = time.perf_counter()\n"
        "from analytics.warm import warm_kernels\n"
        "loaded = time.perf_counter(); warm_kernels()\n"
        "print(loaded - began, time.perf_counter() - loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    load, warm = (float(value) for value in done.stdout.split())
    line("kernels ready, from the cache", f"{warm:.2f} s", f"(imports {load:.2f} s)", "", "")


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print("| what | here | peer | ratio | target | error |\n|---|---|---|---|---|---|")
    y, x = walks(5000)
    rolling_ols(y, x, WINDOW), rolling_zscore(y, y, x, WINDOW), rolling_correlation(y, x, WINDOW)
    bench_pair()
    bench_ols()
    bench_kalman()
    bench_adf()
    bench_long_tests(10_000, peers=True)
    bench_long_tests(100_000, peers="--full" in sys.argv)
    bench_memory()
    bench_live()
    bench_gap()
    bench_start()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this run {peak:,.0f} MB")


if __name__ == "__main__":
    main()
