"""Trades into bars by a peer; run by bars.py in the peer's environment.

Usage: python peers_bars.py TRADES.npz PEER REPEATS. Columns ts (ms), price, qty, sorted by ts.
Prints seconds per repeat for 1s, 1m and 5m bars together, and a checksum of the 1m bars.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Problem = dict[str, Any]
LENGTHS = (1_000, 60_000, 300_000)


def with_polars(problem: Problem) -> Callable[[], dict[int, tuple[int, float]]]:
    """Group by a truncated time, lazily."""
    import polars as pl  # noqa: PLC0415

    frame = pl.DataFrame({name: problem[name] for name in ("ts", "price", "qty")})

    def run() -> dict[int, tuple[int, float]]:
        found = {}
        for length in LENGTHS:
            bars = (
                frame.lazy()
                .group_by((pl.col("ts") // length * length).alias("bar"), maintain_order=True)
                .agg(
                    pl.col("price").first().alias("open"),
                    pl.col("price").max().alias("high"),
                    pl.col("price").min().alias("low"),
                    pl.col("price").last().alias("close"),
                    pl.col("qty").sum().alias("volume"),
                    pl.len().alias("trades"),
                )
                .collect()
            )
            found[length] = (len(bars), float(bars["close"].sum()))
        return found

    return run


def with_duckdb(problem: Problem) -> Callable[[], dict[int, tuple[int, float]]]:
    """Group by in SQL over Arrow columns."""
    import duckdb  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    trades = pa.table({name: problem[name] for name in ("ts", "price", "qty")})
    connection = duckdb.connect()
    connection.register("trades", trades)

    def run() -> dict[int, tuple[int, float]]:
        found = {}
        for length in LENGTHS:
            bars = connection.execute(
                f"SELECT ts // {length} AS bar, first(price) AS open, max(price) AS high,"
                " min(price) AS low, last(price) AS close, sum(qty) AS volume,"
                " count(*) AS trades FROM trades GROUP BY 1 ORDER BY 1"
            ).fetchnumpy()
            found[length] = (len(bars["bar"]), float(np.sum(bars["close"])))
        return found

    return run


def main() -> None:
    """Run one peer."""
    problem = dict(np.load(sys.argv[1]))
    run = {"polars": with_polars, "duckdb": with_duckdb}[sys.argv[2]](problem)
    found = run()
    seconds = []
    for _ in range(int(sys.argv[3])):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "minute": found[60_000]}))


if __name__ == "__main__":
    main()
