"""The curve with a model whose quality is a known function of how it is asked."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import instructdiffusion
from instructdiffusion.evaluation.measures import Figure
from instructdiffusion.evaluation.scene_benchmark import scene_cases
from instructdiffusion.evaluation.sweep import sweep as curve_module
from instructdiffusion.evaluation.sweep.order import LATE, Pace, in_order, tier
from instructdiffusion.evaluation.sweep.sweep import (
    OWN,
    Cell,
    Point,
    at_most,
    choose,
    curve_cells,
    known_solvers,
    measure_curve,
)
from instructdiffusion.evaluation.sweep.tables import (
    curve_data,
    markdown,
    read_curve,
    rule,
    summary,
    write_curve,
)
from instructdiffusion.inference.answer import Answer
from instructdiffusion.sampling import SOLVERS, Schedule
from instructdiffusion.settings import FILE, read_settings
from instructdiffusion.tasks import get_task

COUNT = 3
SMALL = {"steps": (1, 2, 4), "solvers": ("euler", "ddim", "dpmpp_2m"), "count": COUNT, "quiet": True}


class Model:
    """Right wherever `right(options)`, idle elsewhere; it lists what it was asked, and stops after `limit`."""

    def __init__(self, right=lambda options: True, limit=math.inf):
        self.settings, self.schedule = read_settings(None), Schedule.scaled_linear()
        self.right, self.limit, self.asked, self.truth = right, limit, [], {}
        for task in ("segment", "denoise"):
            for case in scene_cases(task, count=COUNT, split="val"):
                example = case.make()
                self.truth[example.instruction.text, example.source.tobytes()] = example.target

    def run(self, instruction, image, *, seed, batch_size, **options):
        if len(self.asked) >= self.limit:
            raise KeyboardInterrupt
        self.asked.append((instruction[0].task, *options.values()))
        right = self.right(options)
        return [self.answer(i, p, right) for i, p in zip(instruction, image, strict=True)]

    def answer(self, instruction, source, right):
        picture = self.truth[instruction.text, source.tobytes()] if right else source.copy()
        return Answer(
            instruction, get_task(instruction.task).decode(source, picture, instruction), picture, source
        )


def from_four(options):
    """Right with one branch from four steps on."""
    return options["steps"] >= 4 and options["guidance"] == "none"


def test_cells_cost_steps_times_branches_and_the_cheapest_come_first():
    cells = curve_cells(Model(), "segment", (1, 8), solvers=("euler", "dpmpp_2m"), scales=((3, 1.5),))
    assert [c.evaluations for c in cells] == sorted(c.steps * c.branches for c in cells)
    assert {(c.branches, c.guidance) for c in cells} == {(1, None), (2, (3.0, 0.5)), (3, (3.0, 1.5))}
    assert len(cells) == 2 * 2 * 3 and len({c.name for c in cells}) == len(cells)


def test_what_has_the_same_rows_is_one_cell():
    cells = curve_cells(Model(), "edit", (1, 4), branches=(1,), solvers=("euler", "ddim", "dpmpp_2m"))
    same = {(c.steps, c.solver): c.same for c in cells}
    assert {same[1, s] for s in ("euler", "ddim", "dpmpp_2m")} == {"euler-0001-1"}
    assert same[4, "ddim"] == same[4, "euler"] == "euler-0004-1" != same[4, "dpmpp_2m"]


def test_scales_that_leave_a_branch_without_weight_give_no_cell_of_that_many():
    def branches(task, scales):
        return {c.branches for c in curve_cells(Model(), task, (4,), solvers=("euler",), scales=scales)}

    assert branches("keypoints", ("authors",)) == {1, 2}  # theirs are (6, .5)
    assert branches("denoise", ("authors",)) == {1}  # (.5, .5): no guidance
    assert branches("edit", ("authors",)) == {1, 2, 3}
    assert branches("keypoints", ("authors", (2, 1))) == {1, 2, 3}


def test_the_choice_is_the_cheapest_cell_that_is_as_good_and_cheap_enough(tmp_path):
    curve = measure_curve(Model(from_four), tmp_path, ["segment", "denoise"], **SMALL)
    for task, evaluations in (("segment", 1), ("denoise", 4)):  # what perceives has one evaluation to answer
        choice = curve.choices[task]
        best, cell = choice.best.cell, choice.chosen.cell
        assert (best.steps, best.branches, best.evaluations, choice.complete) == (4, 1, 4, True)
        assert (cell.evaluations, choice.at_most) == (evaluations, at_most(task))
    assert curve.choices["segment"].best.figure.value > 0.98
    wrong = [p for p in curve.of("segment") if p.cell.evaluations < 4]
    assert wrong and all(p.figure.value < 0.2 for p in wrong)


def test_the_defaults_are_what_a_model_folder_reads(tmp_path):
    measured = measure_curve(Model(from_four), tmp_path / "out", ["denoise"], **SMALL)
    (tmp_path / "instructdiffusion.json").write_text(json.dumps(measured.defaults()))
    settings = read_settings(tmp_path)["denoise"]
    assert (settings.steps, settings.solver, settings.schedule, settings.guidance) == (
        *(4, "euler", "trailing"),
        None,
    )


def test_the_models_own_zoom_and_compositor_are_part_of_a_curve(tmp_path):
    model = Model(from_four)
    plain = measure_curve(model, tmp_path, ["denoise"], **SMALL)
    before = len(model.asked)
    model.settings["denoise"] = model.settings["denoise"].changed(upscale=2)
    near = measure_curve(model, tmp_path, ["denoise"], **SMALL)
    assert len(model.asked) == 2 * before  # what was measured at another upscale is not taken for it
    assert near.defaults()["defaults"]["denoise"] == {
        **plain.defaults()["defaults"]["denoise"],
        "upscale": 2.0,
    }
    assert "upscale" not in plain.settings and near.settings["upscale"] == {"denoise": 2.0}
    model.settings["denoise"] = model.settings["denoise"].changed(upscale=1, compose="learned")
    learned = measure_curve(model, tmp_path, ["denoise"], **SMALL)
    assert (
        learned.defaults()["defaults"]["denoise"]["compose"] == "learned" and len(model.asked) == 3 * before
    )
    assert learned.settings["compose"] == {"denoise": "learned"} and "compose" not in plain.settings


def test_the_models_own_scales_are_part_of_a_curve(tmp_path):
    model = Model(from_four)
    model.settings["segment"] = model.settings["segment"].changed(scales=(1, 0.5), windows=3)
    measured = measure_curve(model, tmp_path, ["segment"], **SMALL)
    (tmp_path / FILE).write_text(json.dumps(measured.defaults()))
    assert read_settings(tmp_path)["segment"].scales == (1.0, 0.5)
    assert read_settings(tmp_path)["segment"].windows == 3


@pytest.mark.parametrize(
    ("unit", "values", "chosen"),
    [
        ("share", {1: 0.5, 4: 0.891, 8: 0.895, 50: 0.9}, 4),  # 1 % of .9 is .009
        ("share", {1: 0.5, 4: 0.890, 8: 0.895, 50: 0.9}, 8),
        ("dB", {1: 24.6, 4: 24.8, 50: 25.05}, 4),
        ("dB", {1: 24.8, 4: 24.8, 50: 25.05}, 1),
        ("dB", {1: -0.1, 4: -0.3, 50: -0.45}, 1),
    ],
)
def test_as_good_as_the_best(unit, values, chosen):
    points = [
        Point(Cell("segment", n, "euler", 1, None, n), Figure("f", value, 10, unit=unit), 1.0)
        for n, value in values.items()
    ]
    choice = choose(points)
    assert choice.chosen.cell.evaluations == chosen
    assert choice.best.figure.value == max(values.values())


@pytest.mark.parametrize(
    ("cap", "chosen"),
    [(None, 8), (50, 8), (8, 8), (7, 4), (4, 4), (3, 2), (1, 8)],  # 1: nothing is so cheap
)
def test_a_cap_on_evaluations(cap, chosen):
    """Of what the cap leaves the cheapest as good as the best; the best of all stays the best."""
    values = {2: 0.5, 4: 0.85, 8: 0.99, 50: 0.995}
    points = [
        Point(Cell("edit", n, "euler", 1, None, n), Figure("f", value, 10), 1.0)
        for n, value in values.items()
    ]
    choice = choose(points, at_most=cap)
    assert (choice.chosen.cell.evaluations, choice.best.cell.evaluations) == (chosen, 50)


def test_every_solver_of_the_sampler_is_in_the_curve():
    assert set(known_solvers()) == set(SOLVERS) - {"unipc_3"}  # the same method, of one more order
    late = [tier(c) for c in curve_cells(Model(), "edit", (8,), solvers=LATE)]
    others = [tier(c) for c in curve_cells(Model(), "edit") if c.solver not in LATE]
    assert min(late) > max(others)


def test_a_curve_is_read_back(tmp_path):
    curve = measure_curve(Model(from_four), tmp_path, ["segment", "denoise"], **SMALL)
    write_curve(curve, tmp_path)
    again = read_curve(tmp_path / "curve.json")
    assert [p.cell for p in again.points] == [p.cell for p in curve.points]
    assert json.loads(json.dumps(curve_data(again))) == json.loads(json.dumps(curve_data(curve)))
    (tmp_path / "curve.json").write_text('{"points": [{}]}')
    with pytest.raises(ValueError, match="expected a curve.json"):
        read_curve(tmp_path / "curve.json")


def test_the_defaults_that_ship_follow_from_the_published_curve():
    root = Path(__file__).parents[3]
    follow = read_curve(root / "docs" / "curve" / "curve.json").defaults()
    assets = Path(instructdiffusion.__file__).parent / "assets" / "tiny"
    for path in (assets / FILE, root / "training" / "configs" / "tiny-settings.json"):
        shipped = json.loads(path.read_text())["defaults"]
        for values in (*shipped.values(), *follow["defaults"].values()):
            for own in OWN:  # chosen beside the curve, which is measured with what the model then has
                values.pop(own, None)
        assert shipped == follow["defaults"], path.name


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    whole = Model(from_four)
    expected = measure_curve(whole, tmp_path / "whole", ["segment"], **SMALL)
    assert (
        len(whole.asked) == len(set(whole.asked)) == (1 + 1 + 2) * 3
    )  # ddim is euler, up to two steps all are

    stopped = Model(from_four, limit=5)
    with pytest.raises(KeyboardInterrupt):
        measure_curve(stopped, tmp_path / "out", ["segment"], **SMALL)
    again = Model(from_four)
    curve = measure_curve(again, tmp_path / "out", ["segment"], **SMALL)
    assert stopped.asked + again.asked == whole.asked
    assert [(p.cell, p.figure) for p in curve.points] == [(p.cell, p.figure) for p in expected.points]
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_a_half_written_or_foreign_cell_is_measured_anew(tmp_path):
    options = {**SMALL, "steps": (4,), "branches": (1,), "solvers": ("euler",)}
    measure_curve(Model(from_four), tmp_path, ["segment"], **options)
    (path,) = tmp_path.rglob("euler-0004-1.json")
    whole = json.loads(path.read_text())
    for spoiled in (path.read_text()[:100], "[]", json.dumps({**whole, "rows": 3}), "{}"):
        path.write_text(spoiled)
        again = Model(from_four)
        measure_curve(again, tmp_path, ["segment"], **options)
        assert len(again.asked) == 1
    other = Model(from_four)
    measure_curve(other, tmp_path, ["segment"], **{**options, "seed": 0, "count": 2})
    assert len(other.asked) == 1


def test_other_versions_measure_anew_unless_its_cells_are_kept(tmp_path, monkeypatch):
    options = {**SMALL, "steps": (4,), "branches": (1,), "solvers": ("euler",)}
    measure_curve(Model(), tmp_path, ["segment"], **options)
    monkeypatch.setattr(curve_module, "answers_version", lambda: {"answers": 0})
    kept, fresh = Model(), Model()
    measure_curve(kept, tmp_path, ["segment"], keep=True, **options)
    measure_curve(fresh, tmp_path, ["segment"], **options)
    assert (len(kept.asked), len(fresh.asked)) == (0, 1)


def test_minutes_bound_the_run_and_what_is_missing_is_said(tmp_path):
    class Slow(Model):
        now = 0.0

        def run(self, *arguments, **options):
            many = {"none": 1}.get(options["guidance"], 2 if options["guidance"][1] == 0.5 else 3)
            self.now += 10.0 * options["steps"] * many
            return super().run(*arguments, **options)

    slow = Slow(from_four)
    curve = measure_curve(slow, tmp_path, ["segment"], minutes=1.5, clock=lambda: slow.now, **SMALL)
    assert 0 < slow.now <= 90 and len(slow.asked) < 12
    missing = curve.missing["segment"]
    assert missing + len(curve.points) == curve.settings["cells"] == 27
    assert not curve.choices["segment"].complete
    assert f"{missing} of 27 cells are not measured yet" in summary(curve)
    rest = Slow(from_four)
    assert not measure_curve(rest, tmp_path, ["segment"], **SMALL).missing["segment"]
    assert len(slow.asked) + len(rest.asked) == 12


def test_a_budget_tells_of_every_task_and_solver_before_the_dear_cells(tmp_path):
    """Two minutes where all would take ten: the main line of both tasks, and guidance, before the rest."""

    class Timed(Model):
        now = 0.0

        def run(self, *arguments, **options):
            many = {"none": 1}.get(options["guidance"], 2 if options["guidance"][1] == 0.5 else 3)
            self.now += 0.5 + 0.1 * options["steps"] * many
            return super().run(*arguments, **options)

    model = Timed()
    wide = {**SMALL, "steps": (1, 2, 4, 20, 100), "solvers": None}
    curve = measure_curve(
        model, tmp_path, ["denoise", "segment"], minutes=2.0, clock=lambda: model.now, **wide
    )
    assert 100 < model.now <= 120
    for task in ("denoise", "segment"):
        got = {(p.cell.solver, p.cell.branches, p.cell.steps) for p in curve.of(task)}
        assert {("dpmpp_2m", 1, n) for n in (1, 2, 4, 20, 100)} <= got
        assert {("dpmpp_2m", b, n) for b in (2, 3) for n in (1, 2, 4, 20)} <= got
        assert ("dpmpp_2m", 3, 100) not in got
    tasks = [p.cell.task for p in curve.points]
    assert tasks == sorted(tasks)  # told task by task, whatever the order of measuring


def test_cells_that_are_measured_as_one_come_as_soon_as_the_first():
    cells = in_order(curve_cells(Model(), "edit", (1, 2, 20, 100)))
    ranks = [min(tier(c) for c in cells if c.same == cell.same) for cell in cells]
    assert ranks == sorted(ranks)
    first = [(c.solver, c.steps) for c in cells[: ranks.count(0)] if c.same == c.name]
    assert first[0] == ("euler", 1) and first[-1] == ("dpmpp_2m", 20)  # the cheapest stands for one step


def test_a_pace_has_a_part_for_asking_and_a_part_an_evaluation():
    pace = Pace()
    assert pace.estimate(100) == 0
    for evaluations in (1, 2, 4):
        pace.add(evaluations, 3 + 0.5 * evaluations)
        if evaluations == 1:
            assert pace.estimate(100) == pytest.approx(350)  # nothing else is known: all in proportion
    assert pace.estimate(100) == pytest.approx(53)
    falling = Pace()
    falling.add(1, 5.0)
    falling.add(2, 3.0)
    assert falling.estimate(3) == pytest.approx(8.0)  # no sense in it: in proportion again


def test_a_cell_that_breaks_down_is_a_point_without_a_figure(tmp_path):
    def breaks(options):
        if options["guidance"] != "none":
            raise FloatingPointError("NaN at row 0")
        return True

    curve = measure_curve(Model(breaks), tmp_path, ["segment"], **SMALL)
    failed = [p for p in curve.points if p.figure is None]
    assert {p.cell.branches for p in failed} == {2, 3} and {p.failed for p in failed} == {"NaN at row 0"}
    assert curve.choices["segment"].chosen.cell.evaluations == 1
    assert "failed" in markdown(curve)


def test_the_files(tmp_path):
    curve = measure_curve(Model(from_four), tmp_path, ["segment", "denoise"], **SMALL)
    write_curve(curve, tmp_path, "instructdiffusion curve -o here")
    data = json.loads((tmp_path / "curve.json").read_text())
    assert data.pop("command") == "instructdiffusion curve -o here"
    assert data == json.loads(json.dumps(curve_data(curve)))
    assert data["defaults"] == curve.defaults()["defaults"] and len(data["points"]) == 54
    table = (tmp_path / "curve.md").read_text()
    assert "    instructdiffusion curve -o here\n" in table and "(curve.png)" in table
    assert (
        rule() in table and "at most 4 evaluations, 1 for the tasks that perceive (segment, refer," in rule()
    )
    assert json.loads(table.partition("```json")[2].partition("```")[0]) == curve.defaults()
    lines = [line for line in table.splitlines() if line.startswith("| euler, 1 branch |")]
    bold = [[cell.strip().startswith("**") for cell in line.split("|")[2:5]] for line in lines]
    assert bold == [[True, False, False], [False, False, True]]  # segment in one evaluation, denoise in four
    with Image.open(tmp_path / "curve.png") as image:
        pixels = np.asarray(image)
    assert pixels.ndim == 3 and (pixels == 255).mean() > 0.7  # ink on white
    left, right = np.array_split(pixels[200:], 2, axis=1)
    assert (left < 128).any() and (right < 128).any()


def test_a_real_model_can_be_asked(model, tmp_path):
    curve = measure_curve(model, tmp_path, ["segment"], steps=(1, 2), solvers=("euler",), count=1, quiet=True)
    assert len(curve.points) == 6 and all(p.figure is not None for p in curve.points)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "above 0"),
        ({"minutes": 0.0}, "above 0"),
        ({"split": "mine"}, "expected a split"),
        ({"solvers": ("magic",)}, "magic"),
        ({"branches": (4,)}, "branches are 1, 2 or 3"),
        ({"steps": (0,)}, "steps"),
        ({"tasks": ["sing"]}, "unknown task"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(changes, message, tmp_path):
    model = Model()
    with pytest.raises(ValueError, match=message):
        measure_curve(model, tmp_path / "out", **{"tasks": ["segment"], **SMALL, **changes})
    assert not model.asked and not (tmp_path / "out").exists()
