"""Every benchmark on its made-up dataset: the truth is perfect, doing nothing is the floor, tables have its place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from instructdiffusion import InstructDiffusion
from instructdiffusion.cli import evaluate as command
from instructdiffusion.evaluation.benchmarks import ALIASES, BENCHMARKS, benchmark_named
from instructdiffusion.evaluation.evaluator import answer_benchmark, asker
from instructdiffusion.evaluation.journal import Memory
from instructdiffusion.evaluation.measures import Figure
from instructdiffusion.evaluation.metrics import EQUAL_DB
from instructdiffusion.evaluation.paper import TABLES
from instructdiffusion.tasks import get_task


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_the_truth_is_perfect_and_nothing_is_the_floor(name, opened, answered, true_pictures):
    entry, benchmark = opened(name)
    assert len(benchmark) and benchmark.task == entry.task
    best = benchmark.figures(answered(benchmark, true_pictures(benchmark)))
    idle_rows = answered(benchmark, lambda instruction, source: source.copy())
    idle = benchmark.figures(idle_rows)
    got, floor = best[0], idle[0]
    assert got.n > 0 and not math.isnan(got.value)
    if entry.task in ("denoise", "deblur", "dewatermark"):
        assert got.value == EQUAL_DB > floor.value and benchmark.cell(best) == "60.00"
    elif entry.task == "edit":
        assert got.metric == "CLIP-Sim" and benchmark.cell(best).endswith("/-")
        assert {f.metric for f in best} >= {"CLIP-Sim, add", "CLIP-Sim, remove", "CLIP-Sim, replace"}
        assert next(f for f in idle if f.metric == "pictures changed").value == 0
    else:
        assert got.value > 0.93 and floor.value == 0
        assert float(benchmark.cell(best)) == pytest.approx(100 * got.value, abs=0.06)
    for rows in (idle_rows,):
        assert all({"quality", "absent", "empty"} <= set(row) for row in rows)
        assert isinstance(benchmark.notes(rows), dict)


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_questions_follow_from_their_names(name, opened):
    benchmark = opened(name)[1]
    units = range(min(2, len(benchmark)))
    keys = [case.key for unit in units for case in benchmark.cases(unit)]
    assert len(set(keys)) == len(keys)
    one, again = (benchmark.cases(0)[0] for _ in range(2))
    assert (one.seed, one.key) == (again.seed, again.key)
    a, b = one.make(), again.make()
    assert a.instruction == b.instruction and np.array_equal(a.target, b.target)


def test_fewer_records_are_among_more(opened):
    benchmark = opened("refcoco")[1]
    sets = [set(benchmark.chosen(n)) for n in range(1, 6)]
    assert all(a < b for a, b in zip(sets, sets[1:4])) and sets[4] == set(range(4))
    assert benchmark.chosen(None) == [0, 1, 2, 3]


def test_names_and_places():
    assert benchmark_named("ADE20K").name == "ade20k-150"
    with pytest.raises(ValueError, match="unknown benchmark 'imagenet': choose scenes, all, or one of coco"):
        benchmark_named("imagenet")
    assert set(command.DATASETS) == set(BENCHMARKS)
    assert {a: n for n, some in command.ALIASES.items() for a in some} == ALIASES
    for entry in BENCHMARKS.values():
        assert set(entry.places) <= set(entry.splits)
        if entry.table is not None:
            assert {c for s in entry.places for c in entry.columns(s)} <= set(TABLES[entry.table].columns)
    placed = {c for e in BENCHMARKS.values() for s in e.places for c in e.columns(s)}
    assert placed >= {c for table in TABLES.values() for c in table.columns}


def test_absent_classes_asked_or_not(opened, answered, true_pictures):
    """The ground of VOC's copies has no label: what is drawn there costs nothing, on another class it does."""
    everything = opened("voc", absent=True)[1]
    present = opened("voc")[1]
    assert len(everything.cases(0)) == 20 and len(present.cases(0)) == 2
    true = true_pictures(everything)

    def smear(instruction, source):
        """The truth, and for classes that are not there the whole picture."""
        target = true(instruction, source)
        if not np.array_equal(target, source):
            return target
        from instructdiffusion.results import Masks

        mask = Masks(np.ones((1, *source.shape[:2]), bool), np.ones(1), ("all",))
        return get_task("segment").render(source, mask, instruction)

    rows = answered(everything, smear)
    shown = [r for r in rows if not r["absent"]]
    assert everything.figures(shown)[0].value > 0.95
    assert everything.figures(rows)[0].value > 0.95  # the classes smeared show nowhere: no IoU of theirs
    by_name = {f.metric: f.value for f in everything.figures(rows)}
    assert by_name["absent answered empty"] == 0 and by_name["cIoU of all classes together"] < 0.3
    assert everything.options() != present.options()


def test_phrases_that_mean_nothing(opened, answered, true_pictures):
    benchmark = opened("grefcoco")[1]
    rows = answered(benchmark, lambda instruction, source: source.copy())
    found = {f.metric: (f.value, f.n) for f in benchmark.figures(rows)}
    nothing = sum(r["absent"] for r in rows)
    assert 0 < nothing < len(rows)
    assert found["N-acc"] == (1.0, nothing) and found["T-acc"] == (0.0, len(rows) - nothing)
    assert found["gIoU"] == (nothing / len(rows), len(rows)) and found["cIoU"][0] == 0
    assert {f.metric for f in opened("refcoco")[1].figures(rows[:0] or [r for r in rows if not r["absent"]])} == {
        "cIoU", "mean IoU", "IoU above .5",
    }  # fmt: skip


def test_the_bound_of_the_autoencoder_stands_in_brackets(opened, drawer):
    benchmark = opened("sidd")[1]
    backend = InstructDiffusion.from_pretrained("tiny", device="cpu").backend
    truths = [benchmark.cases(unit)[0].make().target for unit in range(len(benchmark))]
    copies = [backend.decode_latents(backend.encode_image(truth[None]))[0] for truth in truths]
    wanted = np.mean([by_hand(np.round(copy * 255), truth) for copy, truth in zip(copies, truths)])
    journal, model = Memory(), drawer(lambda instruction, source: source.copy())
    answer_benchmark(benchmark, asker(model, {}, 16), journal, range(len(benchmark)), backend=backend)
    rows = [entry["row"] for entry in journal.entries().values()]
    made = {f.metric: f for f in benchmark.figures(rows)}
    bound = made["PSNR of the VAE bound"]
    assert bound.value == pytest.approx(wanted, abs=0.02) and bound.n == len(truths) > 1
    assert made["PSNR"].value == made["PSNR of doing nothing"].value != bound.value
    assert benchmark.cell(list(made.values())) == f"{made['PSNR'].value:.2f} ({bound.value:.2f})"


def by_hand(picture, truth):
    return 10 * math.log10(255**2 / np.mean((picture.astype(np.float64) - truth) ** 2))


@pytest.mark.parametrize(
    ("bounds", "cell"), [((24.0, 26.0), "31.00 (25.00)"), ((24.0, None), "31.00 (24.00)"), ((), "31.00")]
)
def test_figures_of_restoration_by_hand(bounds, cell, opened):
    benchmark = opened("gopro")[1]
    rows = [
        {"psnr": 30.0 + 2 * n, "nothing": 20.0, "bound": bounds[n] if bounds else None, "ssim": 0.5 + n / 4}
        for n in range(2)
    ]
    made = {f.metric: (f.value, f.n) for f in benchmark.figures(rows)}
    assert made["PSNR"] == (31, 2) and made["SSIM"] == (0.625, 2) and made["PSNR of doing nothing"] == (20, 2)
    assert made["PSNR of the VAE bound"][1] == sum(b is not None for b in bounds) and made["LPIPS"][1] == 0
    assert benchmark.cell(benchmark.figures(rows)) == cell
    assert benchmark.cell(benchmark.figures([])) == "-"


def test_edits_are_told_by_kind(opened):
    benchmark = opened("editing")[1]
    figures = [
        Figure("CLIP-Sim", 29.0, 3, unit="score"), Figure("aesthetic", 4.8, 3, unit="score"),
        Figure("CLIP-Sim, add", 30.391, 1, unit="score"), Figure("aesthetic, add", 4.87, 1, unit="score"),
        Figure("CLIP-Sim, remove", 28.0, 1, unit="score"),
    ]  # fmt: skip
    assert benchmark.cell(figures) == "29.00/4.80"
    assert benchmark.cells(figures) == {"replace": "-", "remove": "28.00/-", "add": "30.39/4.87"}


def test_the_data_has_a_fingerprint(opened, dataset, tmp_path):
    one, same = opened("refcoco")[1], opened("refcoco")[1]
    assert one.fingerprint == same.fingerprint != opened("refcoco+")[1].fingerprint
