"""`python -m simulator`: serve the simulated exchange until interrupted."""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from typing import Any

from simulator.exchange import DEFAULT_SYMBOLS, SimulatedExchange
from simulator.faults import KINDS


def main() -> None:
    """Read the flags and serve."""
    args = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        exchange = SimulatedExchange(
            args.market,
            tuple(name.strip().upper() for name in args.symbols.split(",") if name.strip()),
            seed=args.seed,
            port=args.port,
            rate=args.rate,
            speed=args.speed,
            start_ms=args.start,
            history_hours=args.history_hours,
            replay=args.replay,
            faults=dict(read_fault(text) for text in args.fault),
        )
        asyncio.run(exchange.serve(lambda: _say(exchange, args.market)))
    except (ValueError, OSError) as error:
        sys.exit(f"simulator: {error}")
    except KeyboardInterrupt:
        pass


def read_fault(text: str) -> tuple[str, dict[str, Any]]:
    """Read `KIND` or `KIND:option=value,option=value`; values are JSON, or text as it stands.

    Raises:
        ValueError: an option without a value.
    """
    kind, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"fault option must be name=value, was {part!r}")
        options[name] = value
        with contextlib.suppress(ValueError):
            options[name] = json.loads(value)
    return kind, options


def _say(exchange: SimulatedExchange, market: str) -> None:
    print(f"Simulated {market} exchange: {exchange.ws_url} {exchange.rest_url}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Serve a simulated exchange that speaks Binance's protocol, on loopback.",
    )
    add = parser.add_argument
    add("--port", type=int, default=9001, help="TCP port, 0 for a free one (9001)")
    add("--market", choices=("spot", "futures"), default="spot", help="dialect (spot)")
    add("--symbols", default=",".join(DEFAULT_SYMBOLS), help="comma separated")
    add("--seed", type=int, default=7, help="which market (7)")
    add("--speed", type=float, default=1.0, help="exchange seconds per real second (1)")
    add("--start", type=int, metavar="MS", help="exchange time at the start (now)")
    add(
        "--rate",
        type=float,
        metavar="TRADES_PER_S",
        help="aggregate trades a second over all symbols, held; raw trades are 1.5 times as many "
        "(about 5 a symbol, with a daily cycle)",
    )
    add(
        "--history-hours",
        type=float,
        default=6.0,
        metavar="H",
        help="how far back candles equal the trades to the last digit (6)",
    )
    add("--replay", nargs="+", default=[], metavar="FILE", help="serve recorded frames instead")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:OPTION=VALUE,…]",
        help=f"a fault from the start, repeatable; kinds: {', '.join(KINDS)}",
    )
    return parser


if __name__ == "__main__":
    main()
