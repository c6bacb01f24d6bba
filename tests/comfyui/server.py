"""A real ComfyUI with nothing but this pack, on the CPU, in folders of its own.

COMFYUI_PATH  a checkout of ComfyUI (else .comfyui/ in the repository)
COMFYUI_PYTHON  the Python that has ComfyUI's requirements (else this one)
COMFYUI_PACKS  checkouts of other packs to load beside it, for the tests of what passes between them
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from .client import Comfy

REPOSITORY = Path(__file__).resolve().parents[2]
_START = 1200.0  # seconds; a cold start on cores that are busy with other work took 400
_FOLDERS = (
    "custom_nodes", "models/loras", "models/checkpoints", "models/diffusers", "input", "output", "temp", "user",
)  # fmt: skip


def comfyui_path() -> Path | None:
    """Where ComfyUI lies, or None."""
    for place in (os.environ.get("COMFYUI_PATH"), REPOSITORY / ".comfyui"):
        if place and (Path(place) / "main.py").is_file():
            return Path(place)
    return None


@contextmanager
def running(base: Path, *options: str, pack: Path = REPOSITORY) -> Iterator[Comfy]:
    """A server with its folders in `base` and further options of its command line; stopped at the end.

    pack: the checkout of this pack that it loads.

    RuntimeError with the end of its log where it does not start.
    """
    path = comfyui_path()
    if path is None:
        raise RuntimeError("no ComfyUI: set COMFYUI_PATH to a checkout of it")
    for name in _FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    example = path / "input" / "example.png"
    if example.is_file():  # as a new ComfyUI has it
        copyfile(example, base / "input" / example.name)
    others = [Path(other) for other in os.environ.get("COMFYUI_PACKS", "").split(os.pathsep) if other]
    for name, place in {"instructdiffusion": pack, **{other.name: other for other in others}}.items():
        (base / "custom_nodes" / name).symlink_to(place.resolve())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = base / "server.log"
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    command = [python, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base), *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=path, stdout=out, stderr=subprocess.STDOUT)
        try:
            server = Comfy(port, base, log)
            end = time.monotonic() + _START
            while not server.alive():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"ComfyUI did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.3)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
