"""`python -m cli`: the parser, and how failures end."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cli import backtest, copies, history, imports, integrity, parity
from model import PairsError
from settings import Settings

FINE, FAILED, INTERRUPTED = 0, 2, 130
COMMANDS = (integrity, imports, history, backtest, parity, copies)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    parser = argparse.ArgumentParser(
        prog="python -m cli",
        description="The workstation's functions without a browser. Settings come from PAIRS_* "
        "variables and .env, as for the app.",
        epilog="exit codes: 0 fine, 1 a check found something, 2 it could not be done",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    args = build_parser().parse_args(argv)
    try:
        settings = Settings.from_env(os.environ, env_file=Path(__file__).parent.parent / ".env")
        logging.basicConfig(level="WARNING", format="%(levelname)s %(message)s")
        code: int = args.run(args, settings)
        sys.stdout.flush()
    except PairsError as error:
        sys.stderr.write(f"pairs: {error}\n")
        return FAILED
    except OSError as error:
        return _explain(error)
    except KeyboardInterrupt:
        sys.stderr.write("pairs: interrupted\n")
        return INTERRUPTED
    return code


def _explain(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader (`head`) has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    where = f"{error.filename}: " if error.filename else ""
    sys.stderr.write(f"pairs: {where}{error.strerror or error}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
