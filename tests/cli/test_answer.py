"""Asking from the shell: pictures in, files out, and what happens to bad ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.cli import main
from instructdiffusion.cli.answer import Brief
from instructdiffusion.datasets.photographs import photographs
from instructdiffusion.sampling import instructpix2pix
from instructdiffusion.utils import files

ROOT = Path(__file__).parents[2]
WORDS = {
    "segment": ["the red star"],
    "refer": ["the star on the left"],
    "keypoints": ["the nose", "the left eye"],
    "align": ["the left eye"],
    "detect": ["the stars"],
    "classify": ["a star", "a circle"],
    "denoise": [],
    "deblur": [],
    "dewatermark": [],
    "edit": ["add a red star"],
}


@pytest.fixture
def photo(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("command", WORDS)
def test_every_task_from_the_shell(command, photo, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(
        [command, str(photo), *WORDS[command], "-o", str(out), "--model", str(model_folder), "--steps", "1"]
    )
    assert status == 0
    expected = {"segment": ["_drawn", "_mask", "_overlay"], "refer": ["_drawn", "_mask", "_overlay"]}
    if command in ("denoise", "deblur", "dewatermark", "edit"):
        expected[command] = [""]
    parts = expected.get(command, ["_drawn", "_overlay"])
    assert names(out) == sorted([f"photo_{command}.json", *(f"photo_{command}{p}.png" for p in parts)])
    data = json.loads((out / f"photo_{command}.json").read_text())
    assert data["info"]["task"] == command and data["images"][0]["file_name"] == "photo.png"
    assert data["info"]["settings"]["steps"] == 1
    printed = capsys.readouterr().out
    assert "photo.png: " in printed and f"look in {out}" in printed


def test_options_reach_the_model(photo, model_folder, tmp_path):
    out = tmp_path / "out"
    options = [
        "--steps",
        "2",
        "--solver",
        "euler",
        "--schedule",
        "karras",
        "--guidance",
        "2",
        "1.5",
        "--seed",
        "7",
    ]
    command = [
        "segment",
        str(photo),
        "the star",
        "--color",
        "blue",
        "-o",
        str(out),
        "--model",
        str(model_folder),
    ]
    assert main([*command, *options, "--resolution", "32"]) == 0
    info = json.loads((out / "photo_segment.json").read_text())["info"]
    assert info["colors"] == ["blue"]
    assert info["settings"] == {
        "steps": 2, "solver": "euler", "schedule": "karras", "guidance": [2.0, 1.5], "noise": "seed", "seed": 7,
        "resolution": 32,
    }  # fmt: skip


def test_the_raw_picture_and_the_formula_from_the_shell(photo, picture, model_folder, tmp_path):
    out = tmp_path / "out"
    options = ["-o", str(out), "--model", str(model_folder), "--steps", "2", "--guidance", "7.5", "1.5"]
    assert main(["edit", str(photo), "add a star", *options, "--formula", "instructpix2pix", "--raw"]) == 0
    settings = json.loads((out / "photo_edit.json").read_text())["info"]["settings"]
    assert settings["formula"] == "instructpix2pix" and settings["preserve_source"] is False
    model = InstructDiffusion.from_pretrained(model_folder, device="cpu")
    guide = instructpix2pix(7.5, 1.5)
    expected = model.edit(picture, "add a star", steps=2, guidance=guide, preserve_source=False)
    with Image.open(out / "photo_edit.png") as drawn:
        assert np.array_equal(np.asarray(drawn), expected.picture)
    with pytest.raises(SystemExit):
        main(["edit", str(photo), "add a star", *options, "--formula", "cfg"])


def test_a_command_offers_what_its_task_can_do(capsys):
    for name, task in TASKS.items():
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        assert ("--upscale" in text) == task.tiled and ("--scales" in text) == task.perception
        assert ("--decoder" in text) == (len(task.decoders) > 1) and ("--color" in text) == bool(task.palette)
        assert (f"{task.subject_label} " in text.split("options:")[0]) == bool(task.max_subjects)


def test_the_scales_and_the_resize_mode_from_the_shell(photo, picture, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--model", str(model_folder), "--device", "cpu", "-o", str(out)]
    command = ["segment", str(photo), "the star", *options]
    assert main([*command, "--scales", "1", ".5", "--resize-mode", "stretch"]) == 0
    told = json.loads((out / "photo_segment.json").read_text())["info"]["settings"]
    assert told["scales"] == [1.0, 0.5] and "windows" not in told
    assert main([*command, "--windows", "3"]) == 0
    assert json.loads((out / "photo_segment.json").read_text())["info"]["settings"]["windows"] == 3
    assert main([*command, "--scales", "9"]) == 2
    assert "scales are numbers from 0.25 to 4" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["denoise", str(photo), *options, "--scales", "2"])
    with pytest.raises(SystemExit):
        main([*command, "--resize-mode", "crop"])


def test_the_zoom_from_the_shell(photo, picture, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["-o", str(out), "--model", str(model_folder), "--steps", "2"]
    assert main(["deblur", str(photo), *options, "--upscale", "2"]) == 0
    assert json.loads((out / "photo_deblur.json").read_text())["info"]["settings"]["upscale"] == 2.0
    expected = InstructDiffusion.from_pretrained(model_folder, device="cpu").deblur(picture, steps=2, upscale=2)
    with Image.open(out / "photo_deblur.png") as drawn:
        assert np.array_equal(np.asarray(drawn), expected.picture)
    assert main(["deblur", str(photo), *options, "--zoom", "9"]) == 2  # its old name
    assert "upscale is a number from 0.25 to 4, got 9.0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["segment", str(photo), "the star", *options, "--upscale", "2"])


def test_a_folder_with_bad_pictures(model_folder, tmp_path, picture, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(picture[:40]).save(folder / "a.jpg")
    Image.fromarray(picture[:1, :1]).save(folder / "dot.png")
    (folder / "text.png").write_text("no picture")
    (folder / "notes.txt").write_text("not looked at")
    frames = [Image.fromarray(picture), Image.fromarray(picture[::-1].copy())]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    assert main(["detect", str(folder), "the stars", "-o", str(out), "--model", str(model_folder)]) == 1
    answered = ["a.jpg_detect.json", "a.png_detect.json", "film_detect.json"]
    assert [n for n in names(out) if n.endswith(".json")] == answered
    said = capsys.readouterr()
    assert "3 of 5 answered" in said.out
    assert "dot.png: skipped: " in said.err and "at least 8" in said.err
    assert "text.png: skipped: " in said.err and "2 frames" in said.err


def test_a_long_remark_is_in_full_once(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(photographs("val", short_side=96)[0]).save(folder / f"{name}.png")
    assert main(["segment", str(folder), "the star", "-o", str(out), "--device", "cpu"]) == 0
    first, *others = capsys.readouterr().out.splitlines()[:3]
    full = "tiny knows drawn things only (circle"
    assert full in first and "for photographs load another" in first
    for line in others:
        assert line.endswith("this looks like a photograph; tiny knows drawn things only (as above)")
    written = json.loads((out / "c_segment.json").read_text())["info"]["message"]
    assert "for photographs load another" in written  # files stay whole


def test_short_remarks_are_said_each_time():
    brief = Brief()
    short, long = "2 found for 'the star'; all were taken", "so it is (and so on): " + "on and " * 20
    assert [brief(short), brief(short)] == [short, short]
    assert [brief(f"x; {long}"), brief(f"y; {long}")] == [f"x; {long}", "y; so it is (as above)"]


def test_a_name_that_is_not_utf8(model_folder, tmp_path, picture, capsys):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        Image.fromarray(picture).save(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    out = tmp_path / "out"
    assert main(["detect", str(path), "the stars", "-o", str(out), "--model", str(model_folder)]) == 0
    assert "caf\ufffd.png: " in capsys.readouterr().out
    written = out / os.fsdecode(b"caf\xe9_detect.json")
    assert json.loads(written.read_text())["images"][0]["file_name"] == "caf\ufffd.png"


def test_a_single_bad_picture(model_folder, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"GIF89a nonsense")
    out = tmp_path / "out"
    assert main(["denoise", str(tmp_path / "a.png"), "-o", str(out), "--model", str(model_folder)]) == 1
    assert "a.png: skipped" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["segment", "{photo}", ""], 2, "a subject is empty; say it in words, as in 'the red star'"),
        (
            ["edit", "{photo}", "  "],
            2,
            "a subject is empty; say it in words, as in 'add a red star on the left'",
        ),
        (["segment", "{photo}", "the star", "--color", "octarine"], 2, "red, purple, blue"),
        (["classify", "{photo}", "a dog", "a dog"], 2, "every subject is asked for once"),
        (["segment", "nowhere.png", "the star"], 1, "there is no picture or folder"),
        (["segment", "{empty}", "the star"], 1, "the folder "),
        (["segment", "{photo}", "the star", "--model", "no such model"], 1, "there is no model"),
    ],
)
def test_errors_before_any_work(arguments, status, message, photo, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    filled = [a.format(photo=photo, empty=tmp_path / "empty") for a in arguments]
    assert main([*filled, "-o", str(tmp_path / "out")]) == status
    error = capsys.readouterr().err
    assert error.startswith(f"instructdiffusion {arguments[0]}: ") and message in error
    assert error.count(f"{arguments[0]}: ") == 1 and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", ["photo.png", "."])
def test_answers_do_not_go_among_the_pictures(asked, photo, tmp_path, capsys, monkeypatch):
    (tmp_path / "photo_segment_mask.png").write_bytes(b"mine")
    before = names(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["segment", asked, "the star", "-o", str(tmp_path)]) == 2
    assert "the answers would lie among the pictures in .: name another folder" in capsys.readouterr().err
    assert names(tmp_path) == before and (tmp_path / "photo_segment_mask.png").read_bytes() == b"mine"


def test_two_tasks_about_one_picture_leave_each_others_answers(photo, model_folder, tmp_path):
    command = [
        str(photo),
        "the star",
        "-o",
        str(tmp_path / "out"),
        "--model",
        str(model_folder),
        "--seed",
        "4",
    ]
    assert main(["segment", *command]) == 0
    first = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert main(["detect", *command]) == 0
    assert all(path.read_bytes() == content for path, content in first.items())
    assert len(names(tmp_path / "out")) == len(first) + 3


@pytest.fixture
def bars(monkeypatch):
    """The bars that are shown, in the end."""
    import tqdm

    shown = []

    class Kept(tqdm.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            shown.extend([] if self.disable else [self])

    monkeypatch.setattr(tqdm, "tqdm", Kept)
    return shown


def test_a_single_pictures_bar_knows_its_end(model_folder, tmp_path, picture, capsys, bars):
    """Four tiles of three steps: the bar ends at twelve, and is the only one."""
    Image.fromarray(np.tile(picture, (2, 2, 1))[:112, :112]).save(tmp_path / "photo.png")
    command = [
        "denoise",
        str(tmp_path / "photo.png"),
        "-o",
        str(tmp_path / "out"),
        "--model",
        str(model_folder),
    ]
    assert main([*command, "--steps", "3"]) == 0
    assert [(bar.n, bar.total, bar.unit) for bar in bars] == [(12, 12, "step")]
    assert "Loading weights" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--solver", "magic"], ["--steps", "0"], ["--resolution", "50"], ["--seed", "-1"]]
)
@pytest.mark.parametrize("several", [False, True])
def test_bad_options_are_said_once(several, option, photo, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copy(photo, tmp_path / "second.png")
    place = str(tmp_path if several else photo)
    assert main(["segment", place, "the star", "-o", str(out), "--model", str(model_folder), *option]) == 2
    said = capsys.readouterr()
    assert said.err.count("instructdiffusion segment: ") == 1  # after the progress of loading
    assert "skipped" not in said.err and said.out == "" and not out.exists()


def test_a_text_that_is_too_long(photo, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["edit", str(photo), "star " * 10_000, "-o", str(out), "--model", str(model_folder)]) == 2
    assert "tokens, the model reads at most 48" in capsys.readouterr().err and not out.exists()


def test_a_run_that_is_refused_or_answers_nothing_leaves_no_folder(model_folder, tmp_path, capsys):
    broken, out = tmp_path / "broken.png", tmp_path / "deep" / "out"
    broken.write_bytes(b"no picture")
    options = ["denoise", str(broken), "-o", str(out), "--model"]
    assert main([*options, str(tmp_path / "gone")]) == 1
    assert main([*options, str(model_folder)]) == 1
    assert "nothing was written" in capsys.readouterr().out and not out.parent.exists()


def test_an_output_that_is_a_file(photo, tmp_path, capsys):
    assert main(["denoise", str(photo), "-o", str(photo)]) == 1
    assert "could not write" in capsys.readouterr().err


def test_a_disk_that_fills_up_stops_the_run(model_folder, tmp_path, picture, capsys, monkeypatch):
    import errno

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(picture).save(folder / f"{name}.png")
    real, calls = files.os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 6:  # the probe, a's four files, then b's first
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["segment", str(folder), "the star", "-o", str(out), "--model", str(model_folder)]) == 1
    assert "the disk is full" in capsys.readouterr().err
    endings = (".json", "_drawn.png", "_mask.png", "_overlay.png")
    assert names(out) == [f"a_segment{ending}" for ending in endings]


def test_the_words_are_read_back_with_places(capsys, tmp_path):
    from instructdiffusion.cli.answer import describe
    from instructdiffusion.inference.answer import Answer
    from instructdiffusion.results import Boxes, Keypoints, Label
    from instructdiffusion.tasks import TASKS

    source = np.zeros((40, 60, 3), np.uint8)
    names_ = ("the nose", "the tail")
    points = Keypoints(
        [[[3, 4], [0, 0]]], [[True, False]], [[1, 0]], names_, (40, 60), "nothing found for 'the tail'"
    )
    told = describe(Answer(TASKS["keypoints"].instruct(names_), points, source, source))
    assert told == "the nose at (3.0, 4.0); nothing found for 'the tail'"
    boxes = Boxes([[1, 2, 3, 4]], [1], ("the stars",), (40, 60))
    assert (
        describe(Answer(TASKS["detect"].instruct("the stars"), boxes, source, source))
        == "1 found for 'the stars'"
    )
    label = Label("a cat", {"a cat": 1.0, "a dog": 0.0})
    assert describe(Answer(TASKS["classify"].instruct(["a cat", "a dog"]), label, source, source)) == "a cat"


def test_the_bar_of_further_looks_ends_at_its_total(tmp_path, bars):
    """Where tiny finds nothing it looks again; each look has the plan's two steps."""
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "plain.png")
    command = ["segment", str(tmp_path / "plain.png"), "the star", "-o", str(tmp_path / "out")]
    assert main([*command, "--steps", "2", "--scales", "1", "2"]) == 0
    ((done, total),) = [(bar.n, bar.total) for bar in bars]
    assert done == total == 4


def test_two_pictures_never_have_one_answer(tmp_path):
    from instructdiffusion.cli.picture_files import LONGEST_STEM, answer_stems

    names = ["a.png", "a.jpg", "a.png.webp", "B.png", "b.jpg", "c.png", "x" * 236 + ".png", "é.png", "e\u0301.png"]
    stems = answer_stems([tmp_path / name for name in names])
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert stems[0:2] == ["a.png", "a.jpg"] and stems[5] == "c" and stems[2].startswith("a.png.webp")
    assert all(len(stem.encode()) <= LONGEST_STEM for stem in stems)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_code_page_without_the_letters_costs_no_answer(encoding, photo, model_folder, tmp_path):
    star = photo.rename(tmp_path / "星\x1b[31m.png")
    command = [sys.executable, "-m", "instructdiffusion", "segment", str(star), "the star", "--device", "cpu"]
    command += ["--model", str(model_folder), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert b"1 of 1 answered" in done.stdout and b"\x1b" not in done.stdout and rb"\u661f" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_folder_is_answered_in_batches_as_its_pictures_are_one_by_one(tmp_path, model_folder, capsys):
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number in range(5):
        size = (64, 80) if number % 2 else (72, 64)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (folder / "2b.png").write_bytes(b"no picture")
    masks = {}
    for size in ("1", "3", "8"):
        out = tmp_path / size
        options = ["--model", str(model_folder), "--device", "cpu", "--batch-size", size, "-o", str(out)]
        assert main(["segment", str(folder), "the star", *options]) == 1
        assert "5 of 6 answered" in capsys.readouterr().out
        masks[size] = [np.asarray(Image.open(out / f"{n}_segment_drawn.png"), np.int16) for n in range(5)]
    for size in ("3", "8"):
        assert all(np.abs(a - b).max() <= 1 for a, b in zip(masks["1"], masks[size]))


def test_a_picture_that_cannot_be_answered_costs_no_other_its_answer(tmp_path, model_folder, capsys, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number}.png")
    run = InstructDiffusion.run

    def failing(self, words, images, **options):
        if any(image[0, 0, 0] == 1 for image in images):
            raise FloatingPointError("a number beyond all bounds")
        return run(self, words, images, **options)

    monkeypatch.setattr(InstructDiffusion, "run", failing)
    options = ["--model", str(model_folder), "--device", "cpu", "-o", str(tmp_path / "out")]
    assert main(["segment", str(folder), "the star", *options]) == 1
    said = capsys.readouterr()
    assert "2 of 3 answered" in said.out and "1.png: skipped: a number beyond" in said.err


@pytest.mark.parametrize(
    "options", [["--batch-size", "0"], ["--workers", "0"], ["--dtype", "float16", "--device", "cpu"]]
)
def test_a_folder_is_not_gone_through_in_nonsense(options, photo, model_folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["segment", str(photo), "the star", "--model", str(model_folder), "-o", str(out), *options]) == 2
    said = capsys.readouterr().err
    assert any(option.removeprefix("--") in said for option in options[:2]) and not out.exists()


def test_networks_in_bfloat16_from_the_shell(photo, model_folder, tmp_path):
    options = ["--model", str(model_folder), "--device", "cpu", "--dtype", "bfloat16", "-o", str(tmp_path / "out")]
    assert main(["segment", str(photo), "the star", *options]) == 0
