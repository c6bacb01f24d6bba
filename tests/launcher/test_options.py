"""Which command lines are the launcher's own, and how they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from instructdiffusion.launcher.options import Options, is_graph_run, parse


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("--workflow a.json", True),
        ("--workflow=a.json", True),
        ("--workspace run --workflow a.json", True),
        ("--set 3.a=b --workflow a.json", True),
        ("--workflow", True),
        ("--workflow --help", True),
        ("run --workflow a.json --wait", False),
        ("--workspace dir run --workflow a.json", False),
        ("--skip-prompt launch -- --workflow a", False),
        ("--set --workflow", False),
        ("-- --workflow a.json", False),
        ("--help", False),
        ("", False),
        ("launch", False),
    ],
)
def test_only_a_workflow_without_a_command_is_ours(line, own):
    assert is_graph_run(line.split()) is own


def test_everything_is_read():
    line = (
        "--workflow w.json --set 1.a=b --set 2.c=d --output o --workspace c --host h --port 9 --timeout 3.5"
    )
    line += " -- --cpu -h"
    assert parse(line.split()) == Options(
        Path("w.json"), ("1.a=b", "2.c=d"), Path("o"), Path("c"), "h", 9, 3.5, ("--cpu", "-h")
    )


def test_what_is_left_out_has_defaults():
    assert parse(["--workflow=w.json"]) == Options(Path("w.json"))


def test_the_help_says_where_files_go(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(["--workflow", "--help"])
    assert stop.value.code == 0
    assert "default: out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--workflow", "expected one argument"),
        ("--workflow a --port 0", "from 1 to 65535"),
        ("--workflow a --port x", "from 1 to 65535"),
        ("--workflow a --timeout -1", "above 0"),
        ("--workflow a --timeout inf", "above 0"),
        ("--workflow a --out b", "unrecognized"),
        ("--workflow a b", "unrecognized"),
    ],
)
def test_bad_options_are_named(line, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(line.split())
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
