"""Rolling statistics and the Kalman filter by a peer; run in the peer's environment.

Usage: python peers_rolling.py COLUMNS.npz PEER REPEATS. Columns y, x (n,) and window. Prints the
CPU seconds per repeat of each statistic and its last values.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Problem = dict[str, Any]
Calls = dict[str, Callable[[], Any]]


def with_polars(problem: Problem) -> Calls:
    """Rolling z and correlation as expressions."""
    import polars as pl  # noqa: PLC0415

    window = int(problem["window"])
    frame = pl.DataFrame({"y": problem["y"], "x": problem["x"]})
    y = pl.col("y")
    z = (y - y.rolling_mean(window)) / y.rolling_std(window)
    correlation = pl.rolling_corr(y, pl.col("x"), window_size=window)
    return {
        "z": lambda: frame.select(z).to_series().to_numpy(),
        "correlation": lambda: frame.select(correlation).to_series().to_numpy(),
    }


def with_filterpy(problem: Problem) -> Calls:
    """The same filter as here: intercept and slope as a random walk."""
    from filterpy.kalman import KalmanFilter  # noqa: PLC0415

    y, x = problem["y"], problem["x"]

    def run() -> Any:
        model = KalmanFilter(dim_x=2, dim_z=1)
        model.x, model.P = np.zeros((2, 1)), 1e6 * np.eye(2)
        model.F, model.Q, model.R = np.eye(2), 1e-4 * np.eye(2), np.array([[1.0]])
        slope = np.empty(len(y))
        for at in range(len(y)):
            if at:
                model.predict()
            model.update(y[at] - y[0], H=np.array([[1.0, x[at] - x[0]]]))
            slope[at] = model.x[1, 0]
        return slope

    return {"kalman": run}


def main() -> None:
    """Run one peer."""
    problem = dict(np.load(sys.argv[1]))
    calls = {"polars": with_polars, "filterpy": with_filterpy}[sys.argv[2]](problem)
    out: dict[str, Any] = {}
    for name, call in calls.items():
        found = call()
        seconds = []
        for _ in range(int(sys.argv[3])):
            started = time.process_time()
            call()
            seconds.append(time.process_time() - started)
        out[name] = {"seconds": seconds, "last": np.asarray(found[-100:], float).tolist()}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
