"""evaluate scenes: bad arguments are refused before a model is loaded; a small run writes what it says."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from instructdiffusion.cli import build_parser, main
from instructdiffusion.evaluation.breadth import RATIOS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "sing"], "unknown task 'sing'"),
        (["--count", "0"], "at least 1"),
        (["--batch-size", "0"], "at least 1"),
        (["--zoom", "9"], "upscale is a number from 0.25 to 4"),
        (["--upscale", "2", "--tasks", "segment"], "means nothing to segment"),
        (["--ratios", "wide"], "expected a ratio of width to height"),
        (["--ratios", "1:1", "1:1"], "every ratio and every extent once"),
        (["--extents", "1.5"], "extents from .05 to .95"),
        (["--ratio-count", "0"], "at least 1 scene a ratio"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert main(["evaluate", "scenes", *arguments, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_two_scenes_of_two_tasks(model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = [
        "--count",
        "2",
        "--tasks",
        "segment",
        "edit",
        "--steps",
        "1",
        "--device",
        "cpu",
        "-o",
        str(out),
    ]
    assert main(["evaluate", "scenes", "--model", str(model_folder), *options]) == 0
    said = capsys.readouterr().out
    assert "segment" in said and "targets reached" in said and said.splitlines()[-1] == f"look in {out}"
    data = json.loads((out / "results.json").read_text())
    assert list(data["tasks"]) == ["segment", "edit"]
    for task in data["tasks"].values():
        assert task["settings"]["steps"] == 1 and len(task["subsets"]) >= 2
        assert next(iter(task["subsets"].values()))[0]["n"] >= 1
        assert [name for name in task["subsets"] if name.startswith("ratio ")] == [f"ratio {r}" for r in RATIOS]
    assert set(data["breadth"]["ratios"]) == {"segment", "edit"} and set(data["breadth"]["extents"]) == {"segment"}
    assert "Pictures of other shapes" in said and "bars reached" in said
    with Image.open(out / "sheet.png") as sheet:
        assert min(sheet.size) > 64
    names = {p.name for p in out.iterdir()}
    assert {"report.html", "results.json", "sheet.png", "table.md", "table.txt"} <= names
    assert main(["evaluate", "scenes", "--model", str(model_folder), *options]) == 0
    assert capsys.readouterr().out.count("done before") == 2


def test_the_default_is_a_thousand_scenes_of_every_task():
    arguments = build_parser().parse_args(["evaluate", "scenes"])
    assert (arguments.model, arguments.count, arguments.tasks, arguments.steps) == ("tiny", 1000, None, None)
