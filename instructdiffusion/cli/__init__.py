"""The command `instructdiffusion`: one module a command, each with add_parser and run; heavy imports inside run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..utils.errors import UsageError
from ..utils.terminal import accept_all_letters, printable
from . import answer, curve, data, demo, evaluate, scenes, train

COMMANDS = (answer, demo, scenes, data, evaluate, curve, train)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="instructdiffusion",
        description="An instruction and a picture in; masks, keypoints, boxes, a label or a picture out.",
    )
    parser.add_argument("--version", action="version", version=f"instructdiffusion {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 done, 1 something went wrong, 2 bad options (it is said which), 130 interrupted.
    """
    accept_all_letters()
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except UsageError as error:
        print(printable(f"instructdiffusion {arguments.command}: {error}"), file=sys.stderr)
        return 2
    except (ValueError, TypeError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError) as error:
        reason = str(error) or ("memory ran out" if isinstance(error, MemoryError) else type(error).__name__)
        print(printable(f"instructdiffusion {arguments.command}: {reason}"), file=sys.stderr)
        return 1
