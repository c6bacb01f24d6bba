"""The runner on scenes, with models whose figures are known: one that knows the truth, one that does nothing."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.synthetic.scene import UNSEEN_TASKS
from instructdiffusion.decoding.light_unet import refiner_hash
from instructdiffusion.evaluation.evaluator import answer_cases, load_done, save_done
from instructdiffusion.evaluation.measures import figures
from instructdiffusion.evaluation.metrics import EQUAL_DB
from instructdiffusion.evaluation.reports import report as report_module
from instructdiffusion.evaluation.scene_benchmark import (
    MAIN,
    OTHER,
    PARAPHRASES,
    UNSEEN,
    evaluate_scenes,
    scene_cases,
)
from instructdiffusion.tasks import TASKS

COUNT = 10


@pytest.fixture(scope="module")
def truth():
    """Draws the true picture of the scenes in test."""
    known = {}
    for task in TASKS:
        for case in scene_cases(task, count=COUNT):
            example = case.make()
            known[example.instruction.text, example.source.tobytes()] = example.target
    return lambda instruction, source: known[instruction.text, source.tobytes()]


def nothing(instruction, source):
    return source.copy()


def values(report, task, subset=MAIN):
    found = next(r for r in report.tasks if r.task == task)
    return {f.metric: f.value for f in found.subsets[subset]}


@pytest.fixture(scope="module")
def perfect(drawer, truth):
    return evaluate_scenes(drawer(truth), count=COUNT, batch_size=8, quiet=True)


@pytest.fixture(scope="module")
def idle(drawer):
    return evaluate_scenes(drawer(nothing), count=COUNT, batch_size=8, quiet=True)


def test_the_truth_gives_perfect_figures(perfect):
    for task in ("segment", "refer"):
        assert values(perfect, task)["cIoU"] > 0.99 and values(perfect, task)["gIoU"] > 0.98
    for task in ("keypoints", "align"):
        found = values(perfect, task)
        assert found["OKS AP"] > 0.95 and found["found points within 3 %"] > 0.98
        assert found.get("hidden points marked", 0) == 0
    assert values(perfect, "detect")["box AP50"] > 0.95
    assert values(perfect, "classify")["accuracy"] == 1
    for task in ("denoise", "deblur", "dewatermark"):
        assert values(perfect, task)["PSNR"] == EQUAL_DB
    assert values(perfect, "edit")["PSNR where changed"] == EQUAL_DB
    assert values(perfect, "edit")["PSNR of the rest"] == EQUAL_DB
    for report in perfect.tasks:
        empty = [f for f in report.subsets[MAIN] if f.metric.startswith("absent")]
        assert all(f.value == 1 for f in empty)


def test_doing_nothing_gives_the_floor(idle):
    for task, metric in {"segment": "cIoU", "refer": "cIoU", "keypoints": "OKS AP", "detect": "box AP50",
                         "classify": "accuracy"}.items():  # fmt: skip
        assert values(idle, task)[metric] == 0
    assert values(idle, "segment")["present answered"] == 0
    assert values(idle, "keypoints")["visible points found"] == 0
    for task in ("denoise", "deblur", "dewatermark"):
        found = values(idle, task)
        assert found["gain over doing nothing"] == 0 and found["PSNR"] == found["PSNR of doing nothing"] < 35
    edit = values(idle, "edit")
    assert edit["PSNR where changed"] == edit["there, doing nothing"] < 22
    assert edit["PSNR of the rest"] == EQUAL_DB


def test_subsets(perfect):
    for report in perfect.tasks:
        expected = [MAIN, PARAPHRASES, OTHER] + ([UNSEEN] if report.task in UNSEEN_TASKS else [])
        assert list(report.subsets) == expected
        counts = [sum(r["subset"] == s for r in report.rows) for s in expected]
        assert counts == [COUNT] + [COUNT // 5] * (len(expected) - 1)


def test_paraphrases_ask_the_same_scenes_in_other_words():
    cases = scene_cases("segment", count=5)
    plain, anew, other, unseen = (cases[n].make() for n in (0, 5, 6, 7))
    for again in (anew, other):
        assert np.array_equal(plain.source, again.source) and np.array_equal(plain.target, again.target)
        assert again.instruction.colors == plain.instruction.colors
    assert len({e.instruction.text for e in (plain, anew, other)}) == 3
    assert "unseen-pair" in unseen.record.tags


def test_the_backend_bounds_pictures_only(drawer, truth):
    dark = SimpleNamespace(multiple=16, encode_image=lambda p: p, decode_latents=lambda p: p / np.float32(255) * 0.5)
    model = drawer(truth)
    model.backend = dark
    report = evaluate_scenes(model, ["denoise", "segment"], count=3, quiet=True)
    found = values(report, "denoise")
    assert found["PSNR"] == EQUAL_DB > found["PSNR of the VAE bound"] < 20
    assert found["above the VAE bound"] == pytest.approx(EQUAL_DB - found["PSNR of the VAE bound"])
    assert "PSNR of the VAE bound" not in values(report, "segment")


def test_files_and_table(drawer, truth, tmp_path, capsys):
    evaluate_scenes(drawer(truth), ["segment", "edit"], count=6, output=tmp_path, batch_size=4)
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == list(report_module.COLUMNS)
    assert (tmp_path / "table.txt").read_text() == shown
    assert "| segment | cIoU |" in (tmp_path / "table.md").read_text()
    data = json.loads((tmp_path / "results.json").read_text())
    assert data["settings"]["seeds"] == [0, 5] and data["settings"]["split"] == "test"
    assert set(data["versions"]) > {"instructdiffusion", "python", "torch"}
    cell = data["tasks"]["segment"]["subsets"][MAIN][0]
    assert cell["metric"] == "cIoU" and cell["reached"] is True and cell["n"] == 6
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "tasks" / "edit.png") as part:
        assert sheet.width == part.width and sheet.height > 1.5 * part.height
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_progress_goes_to_its_end_and_tells_the_time_left(drawer, capsys):
    evaluate_scenes(drawer(nothing), ["segment", "denoise"], count=5, batch_size=4)
    said = capsys.readouterr().err.replace("\r", "\n")
    for task, count in (("segment", 8), ("denoise", 7)):
        assert re.search(rf"{task}: 100%.* {count}/{count} \[\d\d:\d\d<\d\d:\d\d, .*scene", said)


def test_what_is_done_is_not_asked_again(drawer, tmp_path, capsys):
    first, again, other = drawer(nothing), drawer(nothing), drawer(nothing)
    made = evaluate_scenes(first, ["segment"], count=5, output=tmp_path, quiet=True)
    same = evaluate_scenes(again, ["segment", "refer"], count=5, output=tmp_path)
    assert "segment: done before" in capsys.readouterr().out
    # Three are asked again for the page, and four for the sheet.
    assert len(first.asked) == 5 + 3 + 3 + 4 and len(again.asked) == 15
    assert same.tasks[0].rows == made.tasks[0].rows
    evaluate_scenes(other, ["segment"], count=5, seed=1, output=tmp_path, quiet=True)
    assert len(other.asked) == 15


def test_a_stopped_run_keeps_finished_tasks(drawer, tmp_path):
    def stops_at_refer(instruction, source):
        if instruction.task == "refer":
            raise KeyboardInterrupt
        return source.copy()

    with pytest.raises(KeyboardInterrupt):
        evaluate_scenes(drawer(stops_at_refer), ["segment", "refer"], count=5, output=tmp_path, quiet=True)
    assert sorted(p.name for p in (tmp_path / "tasks").iterdir()) == ["segment.json", "segment.png"]
    again = drawer(nothing)
    evaluate_scenes(again, ["segment", "refer"], count=5, output=tmp_path, quiet=True)
    assert len(again.asked) == 15


def test_a_task_stopped_in_the_middle_goes_on_where_it_was(drawer, tmp_path, idle):
    class Stops(drawer):
        def run(self, instruction, image, **options):
            if len(self.asked) == 6:
                raise KeyboardInterrupt
            return super().run(instruction, image, **options)

    with pytest.raises(KeyboardInterrupt):
        evaluate_scenes(Stops(nothing), ["segment"], count=COUNT, output=tmp_path, batch_size=2, quiet=True)
    again = drawer(nothing)
    report = evaluate_scenes(again, ["segment"], count=COUNT, output=tmp_path, batch_size=2, quiet=True)
    assert len(again.asked) == COUNT + 3 * COUNT // 5 - 6 + 9 + 4
    assert report.tasks[0].rows == next(r for r in idle.tasks if r.task == "segment").rows


def test_two_runs_at_once_do_not_share_a_folder(drawer, tmp_path):
    class Beside(drawer):
        def run(self, *args, **options):
            with pytest.raises(ValueError, match="another evaluation is writing to"):
                evaluate_scenes(drawer(nothing), ["segment"], count=2, output=tmp_path, quiet=True)
            return super().run(*args, **options)

    evaluate_scenes(Beside(nothing), ["segment"], count=2, output=tmp_path, quiet=True)


def test_the_decoder_reaches_the_model_and_the_settings(drawer, tmp_path):
    class Telling(drawer):
        def run(self, *args, decoder="closed", **options):
            self.told = [*getattr(self, "told", []), (args[0][0].task, decoder)]
            return super().run(*args, **options)

    model = Telling(nothing)
    report = evaluate_scenes(
        model, ["segment", "denoise"], count=3, output=tmp_path, decoder="unet", quiet=True
    )
    assert set(model.told) == {("segment", "unet"), ("denoise", "closed")}
    by_task = {r.task: r.settings for r in report.tasks}
    assert by_task["segment"]["decoder"] == "unet" and by_task["segment"]["refiner"] == refiner_hash()
    assert by_task["denoise"]["decoder"] == "closed" and "refiner" not in by_task["denoise"]
    assert json.loads((tmp_path / "results.json").read_text())["settings"]["decoder"] == "unet"
    again = Telling(nothing)
    evaluate_scenes(again, ["segment"], count=3, output=tmp_path, quiet=True)
    assert set(again.told) == {("segment", "closed")}  # answers read otherwise are not taken


def test_a_zoom_reaches_what_is_tiled_and_answers_of_another_are_not_taken(drawer, tmp_path):
    class Telling(drawer):
        def run(self, *args, **options):
            self.told = {*getattr(self, "told", ()), (args[0][0].task, options.get("upscale"))}
            return super().run(*args, **options)

    def run(upscale):
        model = Telling(nothing)
        report = evaluate_scenes(
            model, ["segment", "denoise"], count=3, output=tmp_path, upscale=upscale, quiet=True
        )
        return getattr(model, "told", set()), {r.task: r.settings.get("upscale") for r in report.tasks}

    assert run(None) == ({("segment", None), ("denoise", None)}, {"segment": None, "denoise": None})
    assert run(2.0) == ({("denoise", 2.0)}, {"segment": None, "denoise": 2.0})  # masks are there already
    assert run(2.0)[0] == set()


def test_the_page_shows_answers_of_every_task(drawer, truth, tmp_path):
    evaluate_scenes(drawer(truth), ["segment", "edit"], count=6, output=tmp_path, quiet=True)
    page = (tmp_path / "report.html").read_text()
    assert page.count('data-task="segment"') == page.count('data-task="edit"') == 6
    assert "on scenes</h1>" in page and "Headlines" in page and "data:image/webp;base64," in page


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"settings": {"a": 1}}', '{"settings": {"a": 2}, "rows": []}']
)
def test_a_file_that_is_not_whole_or_made_otherwise_is_not_taken(text, tmp_path):
    path = tmp_path / "a.json"
    assert load_done(path, {"a": 1}) is None
    path.write_text(text)
    assert load_done(path, {"a": 1}) is None
    save_done(path, {"a": 1}, [{"b": 2}], seconds=3)
    assert load_done(path, {"a": 1}) == {"settings": {"a": 1}, "seconds": 3, "rows": [{"b": 2}]}


def test_answers_do_not_depend_on_the_batch(drawer, truth):
    cases = scene_cases("keypoints", count=5)
    model = drawer(truth)

    def ask(examples, seeds):
        return model.run(
            [e.instruction for e in examples], [e.source for e in examples], seed=seeds, batch_size=9
        )

    rows = [[a.row for a in answer_cases(ask, cases, size)] for size in (1, 3, 9)]
    assert rows[0] == rows[1] == rows[2] and [r["seed"] for r in rows[0]] == [0, 1, 2, 3, 4, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["sing"]}, "unknown task"),
        ({"count": 0}, "at least 1"),
        ({"split": "exam"}, "a split"),
        ({"seed": -1}, "at least 0"),
        ({"decoder": "magic"}, "expected a decoder"),
        ({"tasks": ["edit", "denoise"], "decoder": "unet"}, "reads masks, and 'edit' answers with none"),
        (
            {"tasks": ["edit", "segment"], "upscale": 2},
            "for denoise, deblur, dewatermark, and means nothing to edit",
        ),
        ({"upscale": 5.0}, "upscale is a number from 0.25 to 4"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(drawer, options, message, tmp_path):
    model = drawer(nothing)
    with pytest.raises(ValueError, match=message):
        evaluate_scenes(model, output=tmp_path / "out", **options)
    assert not model.asked and not (tmp_path / "out").exists()


def test_the_wrong_kind_of_answer_is_named(drawer):
    class Wrong(drawer):
        def answer(self, instruction, source):
            return SimpleNamespace(result=source, picture=source)

    with pytest.raises(TypeError, match="expected an answer of kind Masks, got ndarray"):
        evaluate_scenes(Wrong(nothing), ["segment"], count=2, quiet=True)


def test_rows_are_json_and_figures_come_from_them_alone(perfect, idle):
    for report in (*perfect.tasks, *idle.tasks):
        rows = json.loads(json.dumps(report.rows, allow_nan=False))
        made = figures(report.task, [r for r in rows if r["subset"] == MAIN])
        assert [f.value for f in made] == [f.value for f in report.subsets[MAIN]]
        assert not any(math.isnan(f.value) for f in made)
