"""`python -m simulator`: serve the simulated exchange until interrupted."""

import argparse
import asyncio
import contextlib
import logging

from simulator.exchange import DEFAULT_SYMBOLS, SimulatedExchange


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--market", choices=("spot", "futures"), default="spot")
    parser.add_argument("--symbols", default=",".join(DEFAULT_SYMBOLS))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--start", type=int, metavar="MS")
    parser.add_argument("--rate", type=float, metavar="TRADES_PER_S")
    parser.add_argument("--history-hours", type=float, default=6.0, metavar="H")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    exchange = SimulatedExchange(
        args.market,
        tuple(name.strip().upper() for name in args.symbols.split(",") if name.strip()),
        seed=args.seed,
        port=args.port,
        rate=args.rate,
        speed=args.speed,
        start_ms=args.start,
        history_hours=args.history_hours,
    )
    print(f"simulated {args.market} exchange on ws://127.0.0.1:{args.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(exchange.serve())


if __name__ == "__main__":
    main()
