"""The runner: nothing lost and nothing repeated, whatever stops it; what is broken is named."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import numpy as np
import pytest

from instructdiffusion.datasets.readers.problems import BrokenRecord, Problem
from instructdiffusion.datasets.records import Record, join
from instructdiffusion.evaluation.evaluator import Case, answer_benchmark, check_answer, reconstructed
from instructdiffusion.evaluation.journal import Journal, Memory
from instructdiffusion.evaluation.processes import Processes
from instructdiffusion.evaluation.request import in_order, problems
from instructdiffusion.results import Masks
from instructdiffusion.tasks import get_task


class Squares:
    """Pictures of a square at a place that is the unit's number, asked for twice."""

    name, split, task = "squares", "test", "segment"

    def __init__(self, count=10, broken=()):
        self.count, self.broken = count, set(broken)

    def __len__(self):
        return self.count

    def cases(self, unit):
        if unit in self.broken:
            raise BrokenRecord(Problem(f"{unit}.jpg", f"record {unit}", "it is missing"))
        return [Case(unit, self.split, lambda: self.example(unit), f"{unit}/{what}") for what in ("a", "b")]

    def example(self, unit):
        mask = np.zeros((16, 16), bool)
        mask[unit % 12 : unit % 12 + 4, :4] = True
        record = Record(
            np.full((16, 16, 3), 90, np.uint8),
            (f"the {unit}",),
            Masks(mask[None], np.ones(1), (f"the {unit}",)),
        )
        return join(record, get_task("segment"), random.Random(unit))

    def row(self, case, example, answer, bound):
        return {"key": case.key, "quality": 1.0, "absent": False, "empty": False}


class Asked:
    """Answers with the truth, and remembers what it was asked and in which batches."""

    def __init__(self, bad=(), error=None):
        self.subjects, self.batches, self.bad = [], [], set(bad)
        self.error = error or FloatingPointError("NaN")

    def __call__(self, examples, seeds):
        if any(seed in self.bad for seed in seeds):
            raise self.error
        self.batches.append(len(examples))
        self.subjects += list(seeds)
        return [SimpleNamespace(result=e.record.target, picture=e.target) for e in examples]


def run(benchmark, ask, journal, units=None, **options):
    units = range(len(benchmark)) if units is None else units
    try:
        answer_benchmark(benchmark, ask, journal, units, batch_size=4, **options)
    finally:
        journal.close()
    return journal.entries()


def test_every_question_is_answered_once_in_batches_across_units():
    ask, ticks = Asked(), []
    entries = run(Squares(), ask, Memory(), tick=ticks.append)
    assert [e["key"] for e in in_order(entries, set(range(10)))] == [
        f"{u}/{w}" for u in range(10) for w in "ab"
    ]
    assert ask.batches == [4] * 5 and sum(ticks) == 10


def test_what_is_there_is_not_asked_again(tmp_path):
    first, again, more = Asked(), Asked(), Asked()
    run(Squares(), first, Journal(tmp_path, {}), units=range(5))
    entries = run(Squares(), again, Journal(tmp_path, {}), units=range(5))
    assert len(first.subjects) == 10 and again.subjects == [] and len(entries) == 10
    run(Squares(), more, Journal(tmp_path, {}), units=[0, 4, 7])
    assert more.subjects == [7, 7]


def test_a_unit_that_is_half_done_is_finished(tmp_path):
    journal = Journal(tmp_path, {})
    journal.add([{"key": "2/a", "unit": 2, "n": 0, "of": 2, "row": {"quality": 0.5}}])
    ask = Asked()
    entries = run(Squares(4), ask, journal)
    assert sorted(ask.subjects) == [0, 0, 1, 1, 2, 3, 3] and entries["2/a"]["row"] == {"quality": 0.5}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_take_disjoint_shares(count, tmp_path):
    asked = []
    for rank in range(count):  # one after the other: none sees what is not its own
        ask, ticks = Asked(), []
        journal = Journal(tmp_path / "alone" / str(rank), {}, rank)
        journal.add([{"key": "0/a", "unit": 0, "n": 0, "of": 1, "row": {}}])
        run(Squares(), ask, journal, processes=Processes(rank, count), tick=ticks.append)
        asked.append(ask.subjects)
        assert abs(sum(ticks) - 10 / count) < 1.5
    together = [s for part in asked for s in part]
    assert sorted(together) == sorted([*range(1, 10)] * 2)


def test_a_broken_record_is_named_and_tried_again(tmp_path):
    broken, ask = Squares(4, broken=[1]), Asked()
    entries = run(broken, ask, Journal(tmp_path, {}))
    assert problems(entries, set(range(4))) == ["1.jpg, record 1: it is missing"] and len(ask.subjects) == 6
    mended, again = Squares(4), Asked()
    entries = run(mended, again, Journal(tmp_path, {}))
    assert again.subjects == [1, 1] and problems(entries, set(range(4))) == []
    assert len(in_order(entries, set(range(4)))) == 8
    with pytest.raises(BrokenRecord):
        run(broken, Asked(), Memory(), strict=True)


@pytest.mark.parametrize("error", [FloatingPointError("NaN"), ValueError("31 tokens, the model reads 20")])
def test_an_answer_that_fails_spoils_no_other(error):
    ask = Asked(bad=[2], error=error)
    entries = run(Squares(), ask, Memory())
    found = problems(entries, set(range(10)))
    assert len(found) == 2 and all(str(error) in p and p.startswith("2/") for p in found)
    assert sorted(ask.subjects) == [u for u in range(10) if u != 2 for _ in "ab"]
    with pytest.raises(type(error)):
        run(Squares(), ask, Memory(), strict=True)


def test_a_model_that_answers_nothing_is_given_up():
    with pytest.raises(ValueError, match="none of the first 50 questions could be answered; the last: NaN"):
        run(Squares(100), Asked(bad=range(100)), Memory())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Masks.empty(8, 16), r"the answer is of \(8, 16\) .* the picture of \(16, 16\)"),
        (np.zeros((8, 8, 3), np.uint8), r"the answer is of \(8, 8\)"),
        (np.full((16, 16, 3), np.nan), "not finite"),
    ],
)
def test_answers_that_do_not_fit(result, message):
    example = Squares().example(0)
    with pytest.raises(ValueError, match=message):
        check_answer(example, SimpleNamespace(result=result))

    def ask(examples, seeds):
        return [SimpleNamespace(result=result, picture=e.source) for e in examples]

    found = problems(run(Squares(2), ask, Memory()), {0, 1})
    assert len(found) == 4 and "ValueError" in found[0]


def test_the_bound_of_large_pictures_goes_through_tiles():
    sizes = []

    def encode(pictures):
        sizes.append(pictures.shape)
        return pictures

    backend = SimpleNamespace(
        multiple=16, factor=4, encode_image=encode, decode_latents=lambda p: p / np.float32(255) * 0.5,
        components=SimpleNamespace(resolution=64),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((64, 64), (90, 133))]
    examples = [join(Record(p, (), p), get_task("deblur"), random.Random(0)) for p in pictures]
    whole, tiled = reconstructed(backend, examples)
    for picture, copy in zip(pictures, (whole, tiled)):
        assert copy.shape == picture.shape and np.abs(copy - picture / 2).max() <= 1
    assert all(s[1:] == (64, 64, 3) for s in sizes)


SCRIPT = textwrap.dedent(
    """
    import sys, time, zlib
    from types import SimpleNamespace
    sys.path.insert(0, {here!r})
    from {module} import Squares, in_order
    from instructdiffusion.evaluation.journal import Journal
    from instructdiffusion.utils.locks import only_writer
    from instructdiffusion.evaluation.evaluator import answer_benchmark

    def ask(examples, seeds):
        print(*seeds, flush=True)
        time.sleep(0.01)
        return [SimpleNamespace(result=e.record.target, picture=e.target) for e in examples]

    with only_writer({folder!r}, "evaluation"):
        journal = Journal({folder!r}, {{"steps": 1}})
        answer_benchmark(Squares({count}), ask, journal, range({count}), batch_size=3)
    print("done")
    """
)


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
def test_a_run_killed_at_any_moment_goes_on_where_it_was(tmp_path):
    """A real process, killed with SIGKILL after ever longer moments, until one comes to its end."""
    from pathlib import Path

    count, folder = 60, tmp_path / "answers"
    here = Path(__file__)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(here=str(here.parent), module=here.stem, folder=str(folder), count=count))
    rng, kills, before = random.Random(5), 0, 0
    while kills < 5:
        with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline()  # the first batch is being asked
            time.sleep(rng.uniform(0, 0.08))
            process.send_signal(signal.SIGKILL)
        kills += 1
        entries = Journal(folder, {"steps": 1}).entries()
        assert len(entries) >= before  # nothing is lost
        before = len(entries)
    last = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert 0 < before < 2 * count  # the kills came in the middle
    *asked, done = last.stdout.splitlines()
    assert done == "done"
    assert (
        sum(len(line.split()) for line in asked) == 2 * count - before
    )  # nothing that was there was asked again
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    names = [json.loads(line[9:])["key"] for line in lines]
    assert sorted(names) == sorted(f"{u}/{w}" for u in range(count) for w in "ab")  # each just once
