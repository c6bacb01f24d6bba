"""What is not the launcher's own reaches comfy-cli as it was typed."""

from __future__ import annotations

import json
import sys

import pytest

_STUB = """
import json, os, sys

def main():
    with open(os.environ["STUB_SAW"], "w") as stream:
        json.dump(sys.argv, stream)
    raise SystemExit(7)
"""


@pytest.fixture
def seen(tmp_path, monkeypatch):
    package = tmp_path / "site" / "comfy_cli"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(_STUB)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("STUB_SAW", str(tmp_path / "saw.json"))
    yield tmp_path / "saw.json"
    for name in [name for name in sys.modules if name.split(".")[0] == "comfy_cli"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "line",
    ["", "--help", "run --workflow a.json --wait", "--workspace=d launch --background -- --cpu --set a.b=c"],
)
def test_comfy_cli_gets_the_line_and_gives_the_status(line, seen, comfy):
    with pytest.raises(SystemExit) as stop:
        comfy(*line.split())
    assert stop.value.code == 7
    assert json.loads(seen.read_text()) == ["comfy", *line.split()]


def test_without_comfy_cli_it_is_said_how_to_get_it(comfy, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "comfy_cli", None)
    assert comfy("launch") == 127
    assert "pip install comfy-cli" in capsys.readouterr().err


def test_our_own_form_does_not_reach_comfy_cli(seen, comfy, tmp_path):
    assert comfy("--workflow", tmp_path / "missing.json") == 2
    assert not seen.exists()
