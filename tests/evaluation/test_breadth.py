"""Scenes of other shapes and things of other sizes: what is asked, what the tables say, and that runs go on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from instructdiffusion.datasets.synthetic import EXTENT_TASKS
from instructdiffusion.evaluation.breadth import EXTENTS, RATIOS, SIDE, Breadth, breadth_of, of_breadth
from instructdiffusion.evaluation.reports.breadth_tables import SHAPES, SIZES, shape_lines, size_lines
from instructdiffusion.evaluation.scene_benchmark import MAIN, evaluate_scenes
from instructdiffusion.tasks import TASKS

FEW = Breadth(("1:1", "2:1", "9:16"), (0.08, 0.4), 3)
DRAWN = {"split": "test", "seed": 0, "level": 1, "size": 64}


@pytest.fixture(scope="module")
def truth():
    """Draws the true picture of every scene of the breadth in test, and of the usual ones nothing."""
    known = {}
    for task in TASKS:
        for case in FEW.cases(task, **DRAWN):
            example = case.make()
            known[example.instruction.text, example.source.tobytes()] = example.target
    return lambda instruction, source: known.get((instruction.text, source.tobytes()), source)


def nothing(instruction, source):
    return source.copy()


def run(model, tasks, breadth=FEW, **options):
    given = {"count": 2, "level": 1, "batch_size": 8, "quiet": True, "breadth": breadth, **options}
    return evaluate_scenes(model, tasks, **given)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_cases_are_of_their_shape_and_size(task):
    cases = FEW.cases(task, **DRAWN)
    assert len({case.key for case in cases}) == len(cases) == 9 + 6 * (task in EXTENT_TASKS)
    side = 64 if TASKS[task].tiled else SIDE
    for case in cases[:9:3]:
        shape = {"ratio 1:1": (side, side), "ratio 2:1": (side, 2 * side), "ratio 9:16": (round(side * 16 / 9), side)}
        assert case.make().source.shape[:2] == shape[case.subset]
    squares = [case.make().record for case in cases[:3]]
    wide = [case.make().record for case in cases[3:6]]
    for one, other in zip(squares, wide, strict=True):  # the same objects, as far as there was room for them
        assert one.caption.split(" on ")[0].split()[:3] == other.caption.split(" on ")[0].split()[:3]


def test_all_are_asked_by_default_a_fifth_as_many_of_each():
    assert breadth_of(None, None, 1000) == Breadth(RATIOS, EXTENTS, 200)
    assert breadth_of([], [0.4], 3) == Breadth((), (0.4,), 1) and breadth_of([], [], 9).settings == {}
    assert breadth_of(["4:3"], None, 1000, 7).count == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ratios": ("9",)}, "ratio of width to height"),
        ({"extents": (0.99,)}, "extents from .05 to .95"),
        ({"extents": (0.4, 0.4)}, "every ratio and every extent once"),
        ({"count": 0}, "at least 1 scene"),
    ],
)
def test_what_cannot_be_asked_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Breadth(**given)


def test_the_oracle_has_no_breadth(drawer):
    with pytest.raises(ValueError, match="leave ratios and extents out"):
        run(drawer(nothing), ["segment"], oracle=True)


def test_the_truth_reaches_every_bar_and_doing_nothing_none(drawer, truth):
    perfect = run(drawer(truth), list(TASKS))
    for one in perfect.shapes:
        assert list(one.columns) == ["1:1", "2:1", "9:16"]
        if one.judged:
            assert one.verdict == "yes" and set(one.judged) == {"2:1", "9:16"}
    judged = {one.task for one in perfect.shapes if one.judged}
    assert judged == set(TASKS)
    assert {one.task for one in perfect.sizes} == set(EXTENT_TASKS)
    assert all(list(one.columns) == ["8 %", "40 %"] and one.verdict == "yes" for one in perfect.sizes)
    idle = run(drawer(nothing), list(EXTENT_TASKS))
    assert all(one.verdict == "no: 8 %, 40 %" for one in idle.sizes)
    assert all(f.value == 0 for one in idle.sizes for f in one.columns.values())


def test_a_shape_that_fails_is_named_with_how_far_it_is_from_the_square(drawer, truth):
    def squares_only(instruction, source):
        return truth(instruction, source) if source.shape[0] == source.shape[1] else source

    report = run(drawer(squares_only), ["segment", "keypoints", "edit"])
    lines = {(one.task, one.metric): one for one in report.shapes}
    recall = lines["segment", "recall at IoU 0.5"]
    assert recall.cell("1:1") == "1.000" and recall.cell("2:1") == "0.000 (-1.000)"
    assert recall.verdict == "no: 2:1, 9:16"
    assert lines["keypoints", "visible points found"].verdict == "no: 2:1, 9:16"
    assert lines["edit", "PSNR where changed"].verdict == "no: 2:1, 9:16"
    assert lines["edit", "PSNR of the rest"].verdict == "-"
    text = report.table()
    assert SHAPES in text and SIZES in text
    judged = [reached for one in report.shapes for reached in one.reached.values()]
    assert f"{sum(judged)} of {len(judged)} bars reached: shares within 0.02 of 1:1" in text
    assert "ratio 2:1" not in text.partition(SHAPES)[0]  # not among the figures of the usual scenes


def test_points_are_near_by_the_shorter_side(drawer, truth):
    """On a picture twice as wide three percent of the longer side are twice as many pixels."""
    report = run(drawer(truth), ["keypoints"])
    rows = [row for row in report.tasks[0].rows if row["subset"] == "ratio 2:1"]
    assert sum(row["close"] for row in rows) == sum(row["found"] for row in rows) > 0
    worse = [{**row, "close": 0} for row in rows]
    (line,) = [
        one for one in shape_lines("keypoints", worse, ["2:1"]) if one.metric.endswith("of the shorter side")
    ]
    assert line.columns["2:1"].value == 0 and line.verdict == "-"  # without the square nothing is judged


def test_boxes_count_one_by_one():
    row = {"subset": "extent 0.4", "absent": False, "scores": [0.9], "boxes": [[0, 0, 10, 10]],
           "truth": [[0, 0, 10, 10], [20, 20, 30, 30]]}  # fmt: skip
    (line,) = size_lines("detect", [row], [0.4])
    assert line.columns["40 %"].value == 0.5 and line.columns["40 %"].n == 2
    (line,) = size_lines("detect", [{**row, "subset": "extent 0.95", "boxes": [], "scores": []}], [0.4, 0.95])
    assert line.cell("95 %") == "0.000" and line.verdict == "-" and line.cell("40 %") == "-"


def test_files_hold_the_columns_and_a_second_run_asks_nothing(drawer, truth, tmp_path):
    first = run(drawer(truth), ["segment"], output=tmp_path)
    data = json.loads((tmp_path / "results.json").read_text())
    cell = data["breadth"]["ratios"]["segment"]["cIoU"]["2:1"]
    assert cell["reached"] is True and cell["n"] == 3 and abs(cell["difference"]) < 0.02
    assert data["breadth"]["extents"]["segment"]["found at IoU 0.5"]["8 %"]["target"] == 0.9
    assert data["settings"]["ratios"] == ["1:1", "2:1", "9:16"] and data["settings"]["ratio_count"] == 3
    assert "| segment | cIoU | " in (tmp_path / "table.md").read_text().partition(SHAPES)[2]
    page = (tmp_path / "report.html").read_text()
    assert SHAPES in page and SIZES in page
    again = drawer(nothing)
    assert run(again, ["segment"], output=tmp_path).tasks[0].rows == first.tasks[0].rows and not again.asked
    run(again, ["segment"], Breadth(), output=tmp_path)
    assert "breadth" not in json.loads((tmp_path / "results.json").read_text())


def test_a_run_stopped_among_the_shapes_goes_on_there(drawer, tmp_path):
    class Stops(drawer):
        def run(self, instruction, image, **options):
            if any(np.shape(p)[1] == 2 * np.shape(p)[0] for p in image):
                raise KeyboardInterrupt
            return super().run(instruction, image, **options)

    stopped, again = Stops(nothing), drawer(nothing)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, ["segment"], output=tmp_path, batch_size=1)
    report = run(again, ["segment"], output=tmp_path, batch_size=1)
    usual = sum(not of_breadth(row["subset"]) for row in report.tasks[0].rows)
    assert len(stopped.asked) == usual + 3 and report.tasks[0].rows[0]["subset"] == MAIN
    assert len(again.asked) == len(report.tasks[0].rows) - len(stopped.asked) + 2 + 4  # cards and the sheet
