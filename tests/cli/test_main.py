"""The command itself: help, versions, errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

import instructdiffusion
from instructdiffusion.cli import build_parser, main
from instructdiffusion.tasks import TASKS

COMMANDS = (*TASKS, "demo", "scenes", "evaluate", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args([command, "--help"])
    assert caught.value.code == 0
    assert f"instructdiffusion {command}" in capsys.readouterr().out


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "instructdiffusion", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (
        done.returncode == 0 and done.stdout.strip() == f"instructdiffusion {instructdiffusion.__version__}"
    )


def test_an_error_is_one_line(capsys, tmp_path):
    assert main(["scenes", "--task", "sing", "-o", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("instructdiffusion scenes: unknown task 'sing'") and error.count("\n") == 1


def test_memory_that_runs_out_is_an_error_like_others(monkeypatch, capsys, tmp_path):
    from instructdiffusion.cli import demo

    def full(arguments):
        raise MemoryError

    monkeypatch.setattr(demo, "run", full)
    assert main(["demo", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "instructdiffusion demo: memory ran out\n"


def test_a_device_that_is_not_there(capsys, tmp_path, picture):
    from PIL import Image

    Image.fromarray(picture).save(tmp_path / "photo.png")
    command = ["denoise", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out"), "--device", "nonsense"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.startswith("instructdiffusion denoise: the device 'nonsense'") and error.count("\n") == 1


def test_interrupted(monkeypatch, capsys, tmp_path):
    from instructdiffusion.cli import demo

    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", stop)
    assert main(["demo", "-o", str(tmp_path)]) == 130 and "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "scenes --task zebra -o OUT", "scenes --task segment --count 0 -o OUT", "demo --scenes 0 -o OUT",
        "evaluate scenes --tasks zebra -o OUT", "evaluate scenes --count 0 -o OUT",
        "evaluate scenes --ratios 9:0 -o OUT", "evaluate scenes --guidance nan 1 --tasks segment -o OUT",
        "evaluate scenes --upscale 99 -o OUT",
        "curve --tasks zebra -o OUT", "curve --scales zebra -o OUT", "data check . --dataset zebra",
        "data fixtures OUT --seed -1", "segment PHOTO x --steps 0 -o OUT", "segment PHOTO x --seed -1 -o OUT",
        "segment PHOTO x --resolution 65 -o OUT",
    ],
)  # fmt: skip
def test_wrong_words_end_with_2_and_write_nothing(words, tmp_path, capsys, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("PHOTO.png")
    before = sorted(tmp_path.iterdir())
    assert main(words.replace("PHOTO", "PHOTO.png").split()) == 2
    assert capsys.readouterr().err.count("\n") == 1 and sorted(tmp_path.iterdir()) == before
