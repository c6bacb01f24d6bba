"""The command line of training, shared by training/train.py and `instructdiffusion train`."""

from __future__ import annotations

import argparse
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


def run(arguments: argparse.Namespace) -> int:
    """Load the config and train; the exit status is 1 where records of datasets were broken and skipped."""
    from .config import load_config
    from .loop import train
    from .skipped import summary

    skipped: list[tuple[str, str]] = []
    config = load_config(arguments.config, tuple(arguments.set))
    output = train(config, arguments.resume, arguments.stop_at, skipped=skipped)
    for line in summary(skipped):
        print(line, file=sys.stderr)
    print(f"done: {output}" + (", without the broken records above" if skipped else ""))
    return 1 if skipped else 0
