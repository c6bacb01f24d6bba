"""The command line of training, shared by training/train.py and `instructdiffusion train`."""

from __future__ import annotations

import argparse
import contextlib
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a training run."""
    parser.add_argument("--config", required=True, help="a YAML file, see training/configs/")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in the output folder"
    )
    parser.add_argument("--stop-at", type=int, help="end after that many steps with a checkpoint")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of the config"
    )
    parser.add_argument(
        "--fail-on-broken",
        action="store_true",
        help="end with status 1 where broken records were skipped, which are else named at the end with status 0",
    )


def run(arguments: argparse.Namespace) -> int:
    """Load the config and train.

    Args:
        arguments: Those of `add_arguments`.

    Returns:
        The exit status: 0 also where broken records were skipped, which are listed at the end (1 with
        --fail-on-broken); 128 and the signal's number where the run was stopped by one, after a checkpoint.
    """
    from .config import load_config
    from .loop import train
    from .skipped import summary
    from .stop import Stopped

    skipped: list[tuple[str, str]] = []
    config = load_config(arguments.config, tuple(arguments.set))
    try:
        output = train(config, arguments.resume, arguments.stop_at, skipped=skipped)
    except Stopped as stopped:
        with contextlib.suppress(OSError):  # of a terminal that was closed
            print(stopped, file=sys.stderr)
        return 128 + stopped.signum
    for line in summary(skipped):
        print(line, file=sys.stderr)
    print(f"done: {output}" + (", without the broken records above" if skipped else ""))
    return 1 if skipped and arguments.fail_on_broken else 0
