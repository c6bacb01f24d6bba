"""Handing a command line to comfy-cli, as it was typed."""

from __future__ import annotations

import importlib
import importlib.util
import sys

_MISSING = """\
comfy: this command line belongs to comfy-cli, which is not installed for this Python ({python}).
  to get it:      {python} -m pip install comfy-cli
  without it:     comfy --workflow FILE runs a graph (comfy --workflow --help says more)"""


def hand_over() -> int:
    """Run comfy-cli in this process with sys.argv untouched; returns its exit status, 127 where it is missing.

    A SystemExit that comfy-cli raises passes through, with its status.
    """
    if importlib.util.find_spec("comfy_cli") is None:
        print(_MISSING.format(python=sys.executable), file=sys.stderr)
        return 127
    status = importlib.import_module("comfy_cli.__main__").main()
    return status if isinstance(status, int) else 0
