"""What the peers do with one problem file; run by bench_backtest.py in the peers' environment.

Usage: python peers_backtest.py PROBLEM.npz. Prints one JSON object. The columns: open_y, close_y,
open_x, close_x, zscore, log_spread; levels entry, exit; fee as a fraction of notional.
"""

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from backtesting import Backtest, Strategy  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")
REPEATS = 3
Column = np.ndarray[Any, Any]
Problem = dict[str, Column]


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Return (median seconds, the last result) after one untimed call."""
    call()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)), result


def signals(z: Column, entry: float, exit_: float) -> list[Column]:
    """Return (long in, long out, short in, short out), one row later: filled at the next open."""
    columns = (z <= -entry, z >= -exit_, z >= entry, z <= exit_)
    return [np.concatenate(([False], column[:-1])) for column in columns]


def vectorbt_two_leg(problem: Problem) -> dict[str, Any]:
    long_in, long_out, short_in, short_out = signals(
        problem["zscore"], float(problem["entry"]), float(problem["exit"])
    )
    pair = [np.column_stack(columns) for columns in (
        (long_in, short_in), (long_out, short_out), (short_in, long_in), (short_out, long_out)
    )]  # fmt: skip
    close = pd.DataFrame({"y": problem["close_y"], "x": problem["close_x"]})
    price = np.column_stack((problem["open_y"], problem["open_x"]))

    def run() -> tuple[float, int]:
        portfolio = vbt.Portfolio.from_signals(
            close,
            *pair,
            price=price,
            size=5_000.0,
            size_type="value",
            fees=float(problem["fee"]),
            init_cash=1e9,
            freq="1min",
            group_by=True,
            cash_sharing=True,
            upon_opposite_entry="ignore",
        )
        # What our run returns, too: equity, drawdown, the ratios, each trade's result.
        value, trades = portfolio.value(), portfolio.trades
        portfolio.sharpe_ratio(), portfolio.sortino_ratio(), portfolio.max_drawdown()
        return float(value.iloc[-1] - 1e9), len(trades.pnl.values)

    seconds, (pnl, trades) = timed(run)
    return {"seconds": seconds, "pnl": pnl, "trades": trades // 2}


def vectorbt_spread(
    problem: Problem, cells: list[tuple[float, float]] | None = None
) -> dict[str, Any]:
    price = pd.Series(100 * np.exp(problem["log_spread"]))
    levels = cells or [(float(problem["entry"]), float(problem["exit"]))]
    columns = [signals(problem["zscore"], *level) for level in levels]
    stacked = [np.column_stack([column[i] for column in columns]) for i in range(4)]

    def run() -> Any:
        portfolio = vbt.Portfolio.from_signals(
            price, *stacked, fees=float(problem["fee"]), freq="1min", init_cash=10_000.0
        )
        return portfolio.sharpe_ratio()

    seconds, _ = timed(run, repeats=1 if cells else REPEATS)
    return {"seconds": seconds}


def backtesting_py(problem: Problem) -> dict[str, Any]:
    entry, exit_ = float(problem["entry"]), float(problem["exit"])
    price = 100 * np.exp(problem["log_spread"])
    frame = pd.DataFrame({"Open": np.append(price[:1], price[:-1]), "Close": price})
    frame["High"], frame["Low"] = frame.max(axis=1), frame.min(axis=1)
    frame["Z"] = problem["zscore"]

    class Reversion(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.z = self.I(lambda: frame["Z"].to_numpy(), plot=False)

        def next(self) -> None:
            z = self.z[-1]
            if self.position:
                if (z >= -exit_) if self.position.is_long else (z <= exit_):
                    self.position.close()
            elif z >= entry:
                self.sell(size=0.5)
            elif z <= -entry:
                self.buy(size=0.5)

    run = Backtest(frame, Reversion, cash=10_000, commission=float(problem["fee"])).run
    started = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - started}


def main() -> None:
    """Run every peer on the problem and print what it took."""
    problem = dict(np.load(sys.argv[1]))
    few = {
        name: values[: int(problem["sweep_rows"])] if values.ndim else values
        for name, values in problem.items()
    }
    cells = [tuple(cell) for cell in problem["cells"].tolist()]
    out: dict[str, Any] = {
        "vectorbt two legs": vectorbt_two_leg(problem),
        "vectorbt spread": vectorbt_spread(problem),
        "vectorbt sweep": vectorbt_spread(few, cells),
        "backtesting.py": backtesting_py(problem),
    }
    out["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(out))


if __name__ == "__main__":
    main()
