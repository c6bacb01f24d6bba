"""curve: bad arguments are refused before a model is loaded; a small run writes what it says."""

from __future__ import annotations

import json

import pytest

from instructdiffusion.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "sing"], "unknown task 'sing'"),
        (["--count", "0"], "at least 1"),
        (["--minutes", "-1"], "above 0"),
        (["--minutes", "nan"], "above 0"),
        (["--scales", "1.5"], "expected --scales like"),
        (["--scales", "1,2,3"], "expected --scales like"),
        (["--scales", "much"], "expected --scales like"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert main(["curve", "--model", "nowhere", *arguments, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_small_curve(model_folder, tmp_path, capsys):
    options = ["--tasks", "segment", "--count", "1", "--steps", "1", "2", "--solvers", "euler"]
    options += ["--scales", "2,1", "authors", "--device", "cpu"]
    options += ["--journal", str(tmp_path / "journal"), "-o", str(tmp_path / "docs")]
    assert main(["curve", "--model", str(model_folder), *options]) == 0
    printed = capsys.readouterr().out
    assert "instructdiffusion.json" in printed and "curve.png" in printed
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == ["curve.json", "curve.md", "curve.png"]
    data = json.loads((tmp_path / "docs" / "curve.json").read_text())
    assert "--scales 2,1 authors --schedule trailing" in data["command"]
    assert set(data["defaults"]) == {"segment"}
    asked = {tuple(p["guidance"]) for p in data["points"] if p["guidance"]}
    assert asked == {(2, 0.5), (2, 1), (7.5, 0.5), (7.5, 1.5)}
    assert len(list((tmp_path / "journal").rglob("*.json"))) == len(
        {p["measured_as"] for p in data["points"]}
    )
