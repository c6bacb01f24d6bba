"""Whose the command `comfy` is: this package and comfy-cli bring one each, and uninstalling either takes it away."""

from __future__ import annotations

import json
import os
import shlex
import sys
from importlib import metadata
from pathlib import Path

_MODULE = "instructdiffusion.launcher"
_ALWAYS = "`instructdiffusion-comfy` and `python -m instructdiffusion.launcher` do the same whatever is installed"


def advice() -> str:
    """What has become of the command `comfy`, and how to get it back.

    Returns:
        A sentence; "" where it is this package's, or where this package was not installed with pip.
    """
    script = _script()
    if script is None:
        return ""
    try:
        content = script.read_bytes()
    except OSError:
        content = b""
    if _MODULE.encode() in content:
        return ""
    is_theirs = b"comfy_cli" in content
    what = "is comfy-cli's, which was installed after this package" if is_theirs else "is gone"
    why = "" if is_theirs else " (uninstalling comfy-cli takes it away)"
    repair = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", _origin()])
    return f"the command {script} {what}{why}: {repair} brings it back; {_ALWAYS}"


def _origin() -> str:
    """What pip installed this package from, as pip noted it."""
    try:
        return str(json.loads(metadata.distribution("instructdiffusion").read_text("direct_url.json") or "")["url"])
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return "instructdiffusion"


def _script() -> Path | None:
    """Where pip put this package's `comfy`; None where it did not."""
    try:
        files = metadata.distribution("instructdiffusion").files or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in ("comfy", "comfy.exe"):
            return Path(os.path.normpath(str(file.locate())))
    return None
