"""`parity`: what was decided live against the same rule replayed over the same bars."""

import argparse

from cli.source import add_source, market_of, opened
from cli.words import say, to_ms, to_text
from parity import Parity, compare
from settings import Settings
from study import Span

SHOWN = 20


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `parity`."""
    parser = commands.add_parser(
        "parity",
        help="live ledger against replay",
        description="Goes through the decisions recorded live and compares each row with a replay "
        "on the bars as they were first closed. Exit code 1 if any differ.",
    )
    parser.add_argument("--start", metavar="TIME", help="first row: 2026-01-31 or ms UTC")
    parser.add_argument("--end", metavar="TIME", help="last row")
    parser.add_argument("--y", metavar="SYMBOL", help="only decisions on this pair")
    parser.add_argument("--x", metavar="SYMBOL")
    add_source(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print a paragraph per rule that ran; 1 if anything differs."""
    start_ms = None if args.start is None else to_ms(args.start)
    end_ms = None if args.end is None else to_ms(args.end)
    span = Span(start_ms, end_ms, settings.history_bars)
    with opened(args, settings) as store:
        found = list(compare(store, span, market=market_of(store), y=args.y, x=args.x))
    for parity in found:
        _say(parity)
    if not found:
        say("no decision was recorded in this span")
    return 1 if any(parity.differences for parity in found) else 0


def _say(parity: Parity) -> None:
    rule = parity.rule
    say(
        f"{rule.y} on {rule.x}, {rule.timeframe.value}, {rule.hedge_method}: "
        f"{to_text(parity.first_ts)} to {to_text(parity.last_ts)} UTC"
    )
    say(
        f"  {parity.rows:,} rows, {parity.decisions:,} changes recorded, "
        f"{parity.entries_live:,} signals live, {parity.entries_replayed:,} replayed"
    )
    for one in parity.differences[:SHOWN]:
        again = "nothing" if one.replayed is None else one.replayed
        say(f"  {to_text(one.ts)}  live {one.live}, replay {again}: {one.cause}")
    if len(parity.differences) > SHOWN:
        say(f"  … and {len(parity.differences) - SHOWN:,} more")
    say("  " + ("all equal" if not parity.differences else f"{len(parity.differences):,} differ"))
