"""Fake servers and workspaces; nothing of this machine's own ComfyUI or settings is seen."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

_FAKE = Path(__file__).with_name("fake_comfy.py")
_spec = importlib.util.spec_from_file_location("fake_comfy", _FAKE)
fake_comfy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_comfy)

GRAPH = {
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
            "widgets_values": [64, 7],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "title": "The mask",
            "inputs": [{"name": "images", "type": "IMAGE", "link": 5}],
            "widgets_values": ["mask"],
        },
    ],
    "links": [[5, 1, 0, 2, 0, "IMAGE"]],
}


@pytest.fixture(autouse=True)
def _nobody_at_home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("COMFYUI_PATH", "COMFYUI_PYTHON"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def object_info():
    return json.loads(json.dumps(fake_comfy.OBJECT_INFO))


@pytest.fixture
def fake():
    """A running fake server."""
    server = fake_comfy.FakeComfy().start()
    yield server
    server.stop()


@pytest.fixture
def graph():
    return json.loads(json.dumps(GRAPH))


@pytest.fixture
def graph_file(tmp_path, graph):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    return path


@pytest.fixture
def workspace(tmp_path):
    """A folder like that of a ComfyUI, whose main.py is the fake server."""
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    shutil.copy(_FAKE, folder / "main.py")
    return folder


@pytest.fixture
def comfy(monkeypatch):
    """comfy(*arguments): the exit status of that command line."""
    from instructdiffusion.launcher import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["comfy", *map(str, arguments)])
        return main()

    return call


@pytest.fixture(autouse=True)
def signals_of_a_terminal():
    """Ctrl-C and the like do something, as in a terminal: where the tests run in the background they are ignored,
    and children would inherit that."""
    handlers = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    known = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in known.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
