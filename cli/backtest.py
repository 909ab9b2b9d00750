"""`backtest`: the page's run of a rule over what is stored, with the same numbers."""

import argparse
import math
from pathlib import Path

import orjson

import csvtext
from analytics.backtest import BacktestResult, backtest_json
from cli.source import add_source, market_of, opened, running_rule
from cli.words import say, say_table, to_ms, to_params, to_text
from model import ConfigError
from settings import Settings
from study import DEFAULT_ROWS, MOST_ROWS, Span, run_backtest


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `backtest`."""
    parser = commands.add_parser(
        "backtest",
        help="trade a rule over what is stored",
        description="Parameters are the pages' and the API's, as NAME=VALUE: y=BTCUSDT x=ETHUSDT "
        "timeframe=5m entry=2.5. What is not given is the running rule's.",
    )
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--start", metavar="TIME", help="first row: 2026-01-31 or ms UTC")
    parser.add_argument("--end", metavar="TIME", help="last row")
    parser.add_argument(
        "--rows", type=int, default=DEFAULT_ROWS, help="newest rows, where no start is given"
    )
    parser.add_argument("--trades", type=Path, metavar="FILE", help="write the trades as CSV")
    parser.add_argument("--equity", type=Path, metavar="FILE", help="write the equity as CSV")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_source(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run it, print the metrics and write the files asked for."""
    if not 1 <= args.rows <= MOST_ROWS:
        raise ConfigError(f"rows must be 1 to {MOST_ROWS:,}, was {args.rows}", field="rows")
    start_ms = None if args.start is None else to_ms(args.start)
    end_ms = None if args.end is None else to_ms(args.end)
    with opened(args, settings) as store:
        params = to_params(args.parameters, running_rule(store))
        span = Span(start_ms, end_ms, args.rows)
        result = run_backtest(store, params, span, market=market_of(store))
        simulated = store.is_simulated
    if args.trades is not None:
        args.trades.write_bytes(csvtext.table(result.trade_columns))
    if args.equity is not None:
        args.equity.write_bytes(csvtext.table(result.equity.columns))
    if args.json:
        body = {"simulated": simulated, **backtest_json(result)}
        say(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY).decode())  # NaN as null
    else:
        _say_result(result, is_simulated=simulated)
    return 0


def _say_result(result: BacktestResult, *, is_simulated: bool) -> None:
    params, ts = result.params, result.equity.ts
    source = "SIMULATED data" if is_simulated else "stored data"
    say(f"{params.y} on {params.x}, {params.timeframe.value}, {params.hedge_method}, {source}")
    say(f"{len(ts):,} rows, {to_text(int(ts[0]))} to {to_text(int(ts[-1]))} UTC")
    say()
    metrics = result.metrics.as_dict()
    net, gross, costs = metrics["net"], metrics["gross"], metrics["costs"]
    rows = [(name, _cell(net[name]), _cell(gross.get(name))) for name in net]
    say_table([("", "net", "gross"), *rows, *((name, _cell(costs[name]), "") for name in costs)])


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:,.4f}" if isinstance(value, float) else f"{value}"
