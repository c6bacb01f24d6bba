"""A task is one file: an eleventh, laid into the catalog, is trained, asked, judged and a command of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..eleventh import lay_outline

ASK = """
import json
import numpy as np
from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.measures import figures, measure

task = TASKS["outline"]
rows, best = [], []
for seed in range(40):
    example = make_example("outline", seed)
    best.append(measure(example, task.decode(example.source, example.target, example.instruction)))
model = InstructDiffusion.from_pretrained("runs/outline/model", device="cpu")
answer = model.run(example.instruction, example.source)
print(json.dumps({
    "last": list(TASKS)[-1],
    "cIoU": {f.metric: f.value for f in figures("outline", best)}["cIoU"],
    "target": {f.metric: f.target for f in figures("outline", best)}["cIoU"],
    "answer": [type(answer.result).__name__, list(answer.result.canvas_size), answer.instruction.task],
    "words": example.instruction.text,
}))
"""
CONFIG = """
stage: instruct
init: instructdiffusion/assets/tiny
output: runs/outline
steps: 2
batch_size: 4
learning_rate: 0.0001
validate_every: 2
validate_samples: 4
checkpoint_every: 2
data: {pool: 8, mixture: {outline: 1.0, segment: 1.0}, wordings: 2, workers: 0}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with one file more."""
    return lay_outline(tmp_path_factory.mktemp("eleven") / "pack")


def run(folder: Path, *arguments: str) -> str:
    """What a Python in the folder prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_one_file_trains_asks_evaluates_and_is_a_command(checkout: Path) -> None:
    (checkout / "outline.yaml").write_text(CONFIG, encoding="utf-8")
    run(checkout, "training/train.py", "--config", "outline.yaml")
    told = json.loads(run(checkout, "-c", ASK).splitlines()[-1])
    assert told["last"] == "outline" and told["target"] == 0.70
    assert told["cIoU"] > 0.9  # the contract: decode(render(y)) is y
    assert told["answer"] == ["Masks", [64, 64], "outline"] and "{" not in told["words"]

    run(checkout, "-m", "instructdiffusion", "scenes", "--task", "outline", "--count", "1", "-o", "scene")
    image = next((checkout / "scene").rglob("*source*.png"), None) or next((checkout / "scene").rglob("*.png"))
    run(checkout, "-m", "instructdiffusion", "outline", str(image), "the star", "--color", "blue", "-o", "out")
    (answer,) = (checkout / "out").glob("*.json")
    assert json.loads(answer.read_text(encoding="utf-8"))["info"]["instruction"] == "outline the star in blue"

    options = ("--tasks", "outline", "--count", "4", "--level", "0", "--oracle", "-o", "table")
    run(checkout, "-m", "instructdiffusion", "evaluate", "scenes", *options)
    assert "outline" in next((checkout / "table").glob("*.md")).read_text(encoding="utf-8")
