"""train: one stage of training from a config file (accelerate launch training/train.py for several devices)."""

from __future__ import annotations

from typing import Any


def add_parser(commands: Any) -> None:
    """Add the command; its arguments are the trainer's own."""
    from ..trainer import command

    text = "train a stage from a config file"
    parser = commands.add_parser("train", help=text, description=text[0].upper() + text[1:] + ".")
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)
