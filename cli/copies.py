"""`backup` and `restore`: a consistent copy of the database, and the way back."""

import argparse
from pathlib import Path

from cli.words import say
from settings import Settings
from storage.backup import backup, restore


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `backup` and `restore`."""
    parser = commands.add_parser(
        "backup",
        help="copy the database, while the app runs or not",
        description="Writes one file, a consistent moment of the whole database. SQLite only.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where to; must not exist")
    parser.set_defaults(run=run_backup)
    parser = commands.add_parser(
        "restore",
        help="put a copy back; the app must be stopped",
        description="Checks the copy, sets the database that is there aside and puts the copy in "
        "its place.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a copy made by backup")
    parser.set_defaults(run=run_restore)


def run_backup(args: argparse.Namespace, settings: Settings) -> int:
    """Copy the database to the file given."""
    size = backup(settings.database_url, args.file)
    say(f"{args.file}: {size:,} bytes")
    return 0


def run_restore(args: argparse.Namespace, settings: Settings) -> int:
    """Put the copy in the place of the database."""
    kept = restore(args.file, settings.database_url)
    say(f"restored from {args.file}")
    if kept is not None:
        say(f"what was there before is kept as {kept}")
    return 0
