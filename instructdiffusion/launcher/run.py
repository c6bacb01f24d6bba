"""One headless run, from the command line's options to the exit status."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..utils.terminal import printable
from .client import Client, ServerError
from .entry import put_picture, put_subjects, switch_on
from .follow import execute, title_of
from .graph_conversion import GraphError, MissingTypes, check_graph, to_api
from .options import Options
from .outputs import fetch, output_files, output_texts
from .overrides import OverrideError, apply_override, read_override
from .progress import Progress
from .server import StartError, started
from .signals import stoppable
from .workspace import find_python, find_workspace

_LARGEST = 32 * 2**20  # bytes of a graph's file; parsed, JSON can take fifty times that
_DEEPEST = 100  # lists and objects within one another; what canvases write stays far below


def run(options: Options) -> int:
    """Run the graph; returns the exit status, 0 only if all of it was executed and its files were fetched, 2 where the
    command line or the graph's file is at fault.

    Paths and texts go to stdout, everything else to stderr.
    """
    progress = Progress()
    try:
        with stoppable():
            _run(options, progress)
    except KeyboardInterrupt as stop:
        progress.close()
        print("comfy: stopped", file=sys.stderr)
        return 128 + getattr(stop, "number", 2)
    except (ValueError, OSError, RuntimeError) as error:
        progress.close()
        print(f"comfy: {printable(str(error))}", file=sys.stderr)
        # a node type that is missing may as well be the server's fault
        return 2 if isinstance(error, (GraphError, OverrideError)) and not isinstance(error, MissingTypes) else 1
    return 0


def read_graph(path: Path) -> Any:
    """The JSON of a graph's file, checked as far as that goes without a server.

    Raises:
        GraphError: The file cannot be read, or is no graph; the message names it.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise GraphError(f"could not read the graph {path}: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise GraphError(f"{path} is not a graph: it has more than {_LARGEST >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphError(f"{path} is not a graph: not a text file ({error.reason})") from error
    try:
        graph = json.loads(text, parse_constant=_refuse_constant)
        _check_values(graph)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"{path} is not a graph: not JSON ({error})") from error
    with _naming(path):
        check_graph(graph)
    return graph


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _check_values(graph: Any) -> None:
    """ValueError for what could be read but not be sent: numbers without end, and what is nested too deeply."""
    level = [graph]
    for _ in range(_DEEPEST):
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            raise ValueError("a number in it is too large")
        lists = [value.values() if isinstance(value, dict) else value for value in level if _is_container(value)]
        level = [value for values in lists for value in values]
        if not level:
            return
    raise ValueError(f"lists and objects lie more than {_DEEPEST} deep in one another")


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with the graph in it."""
    try:
        yield
    except MissingTypes:
        raise
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error


def _run(options: Options, progress: Progress) -> None:
    from ..utils.files import check_writable

    graph = read_graph(options.workflow)
    overrides = [read_override(text) for text in options.overrides]
    folder = check_writable(options.output)
    with _server(options, progress) as (client, check):
        object_info = client.object_info()
        graph, ready = switch_on(graph, object_info, overrides, options.image is not None)
        for label in ready:
            progress.status(f"switched on: {label}")
        with _naming(options.workflow):
            prompt = to_api(graph, object_info, progress.status)
        if options.subjects:
            put_subjects(options.subjects, prompt)
        if options.image is not None:
            put_picture(options.image, prompt, object_info, client.upload)
        for override in overrides:
            apply_override(override, prompt, object_info, client.upload)
        entry = execute(client, prompt, options.timeout, progress, check)
        for node, text in output_texts(entry, prompt):
            print(printable(f"{title_of(prompt, node)}: {text}"))
        paths = [fetch(client, file, folder) for file in output_files(entry)]
        for path in paths:
            print(printable(str(path)))
    progress.status(f"done: {len(paths)} {'file' if len(paths) == 1 else 'files'} in {folder}")


@contextlib.contextmanager
def _server(options: Options, progress: Progress) -> Iterator[tuple[Client, Callable[[], None]]]:
    """A server that answers, and what to call now and then while waiting for it."""
    endpoint, patience = options.endpoint, min(60.0, max(options.timeout, 1.0))
    client = Client(endpoint, patience)
    if endpoint.tells_its_secret:
        progress.status(f"the token goes to {client.address} unencrypted: whoever is on the way can read it")
    is_elsewhere = options.server is not None or not endpoint.is_loopback
    if is_elsewhere:
        try:
            client.check(min(30.0, options.timeout))
        except ServerError as error:
            if options.server is not None:
                raise
            raise OSError(
                f"no ComfyUI answers at {client.address} ({error}); one is started only on this machine's loopback"
            ) from error
    if is_elsewhere or client.is_comfyui(min(5.0, options.timeout)):
        progress.status(f"using the ComfyUI that runs at {client.address}")
        if options.workspace is not None or options.server_arguments:
            progress.status("  (--workspace and options for the server have no effect on it)")
        yield client, lambda: None
        return
    if options.port is not None and _is_taken(endpoint.host, endpoint.port):
        raise OSError(f"something that is not a ComfyUI listens at {client.address}: give another --port")
    workspace = find_workspace(options.workspace)
    python = find_python(workspace)
    with started(
        workspace, python, options.port, options.server_arguments, options.timeout, progress
    ) as server:
        try:
            server.client.timeout = patience
            yield server.client, server.check
        except StartError:
            raise
        except (OSError, RuntimeError):
            server.check()  # a server that died explains more than a broken connection
            progress.status(f"the server's log is {server.log}")
            raise


def _is_taken(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 2.0):
        return True
    return False
