"""comfy-cli, where ComfyUI's Python has it: the graphs' files as they are, by its own command and through ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .client import Comfy
from .graphs import FOLDER, GRAPHS
from .server import REPOSITORY

PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
COMMANDS = {
    "comfy-cli": ["-m", "comfy_cli"],
    "ours": [
        "-c", f"import sys; sys.path.append({str(REPOSITORY)!r}); from instructdiffusion.launcher import main; "
        "sys.exit(main())",
    ],
}  # fmt: skip


def call(command: str, home: Path, comfy: Comfy, *arguments: str) -> dict[str, Any]:
    """`COMMAND run` against the server; what it printed, which is JSON where no terminal reads it."""
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    address = ("--host", "127.0.0.1", "--port", str(comfy.port))
    # Questions (may it send statistics?) would wait for an answer.
    line = [PYTHON, *COMMANDS[command], "--skip-prompt", "run", *arguments, *address]
    done = subprocess.run(line, env=environment, cwd=home, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout.strip().splitlines()[-1])["data"]


@pytest.fixture(scope="module", params=COMMANDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`call` of comfy-cli itself, and of this package's `comfy`, which has to hand over."""
    found = subprocess.run([PYTHON, "-c", "import comfy_cli"], capture_output=True)
    if found.returncode:
        pytest.skip("no comfy-cli in ComfyUI's Python: pip install comfy-cli")
    return partial(call, request.param, tmp_path_factory.mktemp("home"))


def test_comfy_run_takes_the_file_of_a_graph_and_leaves_a_mask(run: Any, comfy: Comfy) -> None:
    data = run(comfy, "--workflow", str(FOLDER / "segment.json"), "--wait")
    assert data["status"] == "completed"
    (mask,) = (url for url in data["outputs"] if "filename=segment_mask" in url)
    name = mask.partition("filename=")[2].partition("&")[0]
    drawn = comfy.picture({"filename": name, "type": "output", "subfolder": ""})
    assert set(np.unique(drawn)) == {0, 255}


@pytest.mark.parametrize("name", GRAPHS)
def test_comfy_run_reads_a_graph_as_its_api_form_says(run: Any, comfy: Comfy, name: str) -> None:
    """comfy-cli turns the UI form into the API form by its own rules: none of them may shift a widget."""
    data = run(comfy, "--workflow", str(FOLDER / f"{name}.json"), "--print-prompt")
    api = json.loads((FOLDER / "api" / f"{name}.json").read_text(encoding="utf-8"))
    forms = ({k: (v["class_type"], v["inputs"]) for k, v in form.items()} for form in (data["prompt"], api))
    assert next(forms) == next(forms)
