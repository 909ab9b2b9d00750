"""`check`: is the database sound, are the ids complete, and do the bars match their trades?"""

import argparse

from cli.source import add_source, is_gapless, opened
from cli.words import say, say_table, to_text
from settings import Settings
from storage.check import check
from storage.store import Store


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    parser = commands.add_parser(
        "check",
        help="integrity of the database, ids against gaps, bars against trades",
        description="Reads everything that is stored of one venue. It may run beside the app. "
        "Exit code 1 if anything is wrong.",
    )
    add_source(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what is stored and what is wrong with it; 1 if anything is."""
    with opened(args, settings) as store:
        _say_stored(store)
        findings = check(store, has_gapless_ids=is_gapless(store))
    for finding in findings:
        say(f"{finding.symbol or 'database'}: {finding.text}")
    say("nothing is wrong" if not findings else f"{len(findings)} findings")
    return 1 if findings else 0


def _say_stored(store: Store) -> None:
    say(f"{store.venue}, {store.stream.value}, {store.size_bytes():,} bytes")
    gaps = store.gaps()
    say_table(
        (mark.symbol, f"next id {mark.next_id}", f"last trade {to_text(mark.last_ts_ms)}",
         f"{len(gaps.get(mark.symbol, ()))} gaps")
        for mark in store.marks().values()
    )  # fmt: skip
    say_table(
        (row.symbol, row.timeframe.value, row.layer, f"{row.bars:,}", to_text(row.first_ts),
         to_text(row.last_ts))
        for row in store.coverage()
    )  # fmt: skip
