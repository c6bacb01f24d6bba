"""evaluate: bad arguments are refused before a model is loaded."""

from __future__ import annotations

import pytest

from instructdiffusion.cli import build_parser, main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "sing"], "unknown task 'sing'"),
        (["--count", "0"], "at least 1"),
        (["--batch-size", "0"], "at least 1"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert main(["evaluate", "scenes", *arguments, "-o", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_default_is_a_thousand_scenes_of_every_task():
    arguments = build_parser().parse_args(["evaluate", "scenes"])
    assert (arguments.model, arguments.count, arguments.tasks, arguments.steps) == ("tiny", 1000, None, None)
