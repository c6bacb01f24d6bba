"""Starting a ComfyUI for the time of one run, and stopping it whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from .client import Client
from .endpoint import Endpoint
from .progress import Progress

_DEVICES = """
import torch
found = torch.cuda.is_available() or torch.backends.mps.is_available()
found = found or (hasattr(torch, "xpu") and torch.xpu.is_available())
for name in ("torch_npu", "torch_mlu", "torch_directml"):
    try:
        found = bool(__import__(name)) or found
    except Exception:
        pass
print("accelerator" if found else "none")
"""
_TAIL = 15
_GRACE = 10.0


class StartError(RuntimeError):
    """The server did not come up, or went away; the message ends with the last lines of its log."""


class Server:
    """A ComfyUI process; made by `started`."""

    def __init__(self, process: subprocess.Popen[bytes], client: Client, log: Path) -> None:
        self.process, self.client, self.log = process, client, log

    def check(self) -> None:
        """StartError where the process has ended."""
        status = self.process.poll()
        if status is not None:
            raise StartError(f"ComfyUI ended with status {status}.\n{self.describe_log()}")

    def describe_log(self) -> str:
        """Where the log is, and its last lines."""
        lines = _last_lines(self.log)
        text = "\n".join(f"  | {line}" for line in lines) or "  (it is empty)"
        hint = ""
        if any("ModuleNotFoundError" in line for line in lines):
            hint = (
                "\nThis Python lacks something ComfyUI needs: install its requirements.txt there, or name another "
                "with COMFYUI_PYTHON."
            )
        return f"Its log is {self.log}; the last lines:\n{text}{hint}"

    def stop(self) -> None:
        """End the process and what it started: asked first, then killed."""
        try:
            if self.process.poll() is None:
                _signal_group(self.process, hard=False)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(_GRACE)
        finally:  # also after a second Ctrl-C, and after its end: what it started may live on
            _signal_group(self.process, hard=True)
            self.process.wait()


@contextlib.contextmanager
def started(
    workspace: Path,
    python: Path,
    port: int | None,
    arguments: Sequence[str],
    timeout: float,
    progress: Progress,
) -> Iterator[Server]:
    """A ComfyUI on the loopback, answering; it is stopped at the end, also where an error ends the block.

    port: None takes a free one.  timeout: seconds without a new line in the log.  arguments: more options for
    the server; `--cpu` is added where its torch sees no accelerator.
    StartError where it does not come up. The log is kept after an OSError or a RuntimeError, and deleted else.
    """
    port = free_port() if port is None else port
    progress.status(f"starting ComfyUI in {workspace}")
    command = [str(python), "main.py", "--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"]
    if "--cpu" not in arguments and not has_accelerator(python):
        command.append("--cpu")
    # A ComfyUI empties its folder of previews when it starts and when it ends, also under another one that runs
    # in the same workspace: this one gets a folder of its own.
    previews = tempfile.mkdtemp(prefix="comfyui-previews-")
    descriptor, name = tempfile.mkstemp(prefix="comfyui-", suffix=".log")
    log = Path(name)
    with os.fdopen(descriptor, "wb") as stream:
        process = _launch([*command, "--temp-directory", previews, *arguments], workspace, stream)
    server = Server(process, Client(Endpoint("127.0.0.1", port)), log)
    keep = False
    try:
        _wait(server, timeout, progress)
        yield server
    except (OSError, RuntimeError):
        keep = True
        raise
    finally:
        server.stop()
        shutil.rmtree(previews, ignore_errors=True)
        if not keep:
            log.unlink(missing_ok=True)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_accelerator(python: Path) -> bool:
    """Whether the torch of that Python sees a device besides the CPU; False where it cannot tell."""
    try:
        done = subprocess.run([str(python), "-c", _DEVICES], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip().endswith("accelerator")


def _launch(command: list[str], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # a session of its own: Ctrl-C in the terminal reaches the launcher alone, which then stops the server
    session: dict[str, object] = {"start_new_session": True}
    if os.name == "nt":
        session = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    try:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **session,
        )
    except OSError as error:
        raise StartError(f"{command[0]} could not be run: {error.strerror or error}") from error


def _wait(server: Server, timeout: float, progress: Progress) -> None:
    size, heard = 0, time.monotonic()
    while True:
        server.check()
        if server.client.is_comfyui(timeout=2.0):
            progress.status(f"ComfyUI answers at {server.client.address}")
            return
        length = server.log.stat().st_size
        if length != size:
            size, heard = length, time.monotonic()
            progress.starting(next(iter(_last_lines(server.log, 1)), ""))
        if time.monotonic() - heard > timeout:
            raise StartError(
                f"ComfyUI does not answer, and its log has stood still for {timeout:g} s.\n{server.describe_log()}"
            )
        progress.tick()
        time.sleep(0.2)


def _last_lines(log: Path, count: int = _TAIL) -> list[str]:
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16384))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.split("\r")[-1].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-count:]


def _signal_group(process: subprocess.Popen[bytes], hard: bool) -> None:
    with contextlib.suppress(OSError):
        if os.name == "nt":
            process.kill() if hard else process.terminate()
        else:
            os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
