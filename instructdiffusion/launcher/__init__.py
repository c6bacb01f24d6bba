"""The command `comfy`: runs a ComfyUI graph without a browser, and hands everything else to comfy-cli.

`comfy --workflow FILE ...`, with no command word before it, is this package's; any other command line
reaches comfy-cli as it was typed. comfy-cli brings a command of the same name: `instructdiffusion-comfy` is
this one too, and says where the other's installation or removal has taken `comfy` away.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run what sys.argv asks for; returns the exit status.

    0 the graph completed (or what comfy-cli gave back), 1 it did not, 2 bad options, 127 comfy-cli is not
    installed, 130 interrupted from the keyboard, 143 told to terminate.
    """
    from ..utils.terminal import accept_all_letters
    from .options import is_graph_run

    accept_all_letters()
    arguments = sys.argv[1:]
    if os.path.splitext(os.path.basename(sys.argv[0]))[0] != "comfy":  # by another name: is that one still there?
        from .ownership import advice

        if remark := advice():
            print(f"comfy: {remark}", file=sys.stderr)
    if not is_graph_run(arguments):
        from .comfy_cli import hand_over

        return hand_over()
    from .options import parse
    from .run import run

    return run(parse(arguments))
