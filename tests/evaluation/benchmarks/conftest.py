"""Benchmarks opened on made-up datasets, and what models of known answers make of them."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.evaluation.benchmarks import BENCHMARKS
from instructdiffusion.evaluation.evaluator import answer_benchmark, asker
from instructdiffusion.evaluation.journal import Memory


class Words:
    """CLIP for tests: a text's features say whether it has an a, a picture's how light it is."""

    name = fingerprint = "words"

    def pictures(self, pictures):
        return np.array([[p.mean() + 1, 128.0] for p in pictures])

    def texts(self, texts):
        return np.array([[1.0 + ("a" in t), 1.0] for t in texts])


FEW = {"absent": False, "clip": Words()}  # 847 classes a picture are too many for a test


@pytest.fixture
def opened(dataset, tmp_path):
    def get(name, **options):
        entry = BENCHMARKS[name]
        folder = entry.folder(dataset(entry.reader), list(entry.places))
        split = next(iter(entry.places))
        return entry, entry.open(folder, split, cache=tmp_path, **{**FEW, **options})

    return get


@pytest.fixture
def answered(drawer):
    """(benchmark, draw) -> rows of all its questions answered by a model that draws so."""

    def get(benchmark, draw):
        journal = Memory()
        answer_benchmark(benchmark, asker(drawer(draw), {}, 8), journal, benchmark.chosen(None), batch_size=8)
        entries = list(journal.entries().values())
        assert not [e for e in entries if "problem" in e]
        return [e["row"] for e in entries]

    return get


@pytest.fixture
def true_pictures():
    """benchmark -> the `draw` that knows its true pictures."""

    def get(benchmark):
        known = {}
        for unit in range(len(benchmark)):
            for case in benchmark.cases(unit):
                example = case.make()
                known[example.instruction.text, example.source.tobytes()] = example.target
        return lambda instruction, source: known[instruction.text, source.tobytes()]

    return get
