"""A real ComfyUI with nothing but this pack, on the CPU; skipped in one line where there is none.

COMFYUI_PATH  a checkout of ComfyUI (else .comfyui/ in the repository)
COMFYUI_PYTHON  the Python that has ComfyUI's requirements (else this one)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import Comfy

REPOSITORY = Path(__file__).resolve().parents[2]
_START = 180.0  # seconds; a cold start on two busy cores


def comfyui_path() -> Path | None:
    """Where ComfyUI lies, or None."""
    for place in (os.environ.get("COMFYUI_PATH"), REPOSITORY / ".comfyui"):
        if place and (Path(place) / "main.py").is_file():
            return Path(place)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a ComfyUI everything here is skipped, in a line a file."""
    if comfyui_path() is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no ComfyUI: set COMFYUI_PATH to a checkout of it"))


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    """A running server with its own folders."""
    path = comfyui_path()
    assert path is not None
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "models/loras", "models/checkpoints", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "instructdiffusion").symlink_to(REPOSITORY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = base / "server.log"
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    command = [python, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base)]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=path, stdout=out, stderr=subprocess.STDOUT)
        try:
            server = Comfy(port, base, log)
            end = time.monotonic() + _START
            while not server.alive():
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"ComfyUI did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.3)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
