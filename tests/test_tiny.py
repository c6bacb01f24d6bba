"""The model that ships: it is there, small, and follows instructions on scenes it has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import instructdiffusion
from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.datasets.examples import make_example
from instructdiffusion.evaluation.metrics import psnr

ASSETS = Path(instructdiffusion.__file__).parent / "assets" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    return InstructDiffusion.from_pretrained("tiny", device="cpu")


def examples(task: str, count: int):
    return [make_example(task, seed, split="test") for seed in range(count)]


def ask(tiny, chosen):
    return tiny.run([e.instruction for e in chosen], [e.source for e in chosen], batch_size=32, seed=0)


def test_it_is_at_most_25_megabytes_of_safetensors():
    files = [f for f in ASSETS.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 25_000_000
    assert {f.suffix for f in files} <= {".json", ".txt", ".safetensors"}


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_every_task_is_fast_by_default(task, tiny):
    """Evaluations of the UNet a picture (or tile): one for perception, at most four for the others."""
    seen = []
    evaluate = tiny.components.unet.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        tiny.run(task.instruct("the star" if task.max_subjects else None), examples(task.name, 1)[0].source)
    finally:
        evaluate.remove()
    assert 1 <= sum(seen) <= (1 if task.perception else 4)


def test_masks_lie_where_the_words_say(tiny):
    chosen = examples("segment", 32)
    both = either = 0
    for example, answer in zip(chosen, ask(tiny, chosen)):
        target = example.record.target
        truth = target.union() if len(target) else np.zeros((64, 64), bool)
        found = answer.result.union() if len(answer.result) else np.zeros((64, 64), bool)
        both, either = both + (truth & found).sum(), either + (truth | found).sum()
    assert both / either >= 0.3


def test_noise_is_taken_away(tiny):
    chosen = examples("denoise", 16)
    gains = [psnr(a.picture, e.target) - psnr(e.source, e.target) for e, a in zip(chosen, ask(tiny, chosen))]
    assert np.mean(gains) >= 3.0


def test_the_same_seed_gives_the_same_answer_in_any_batch(tiny):
    chosen = examples("edit", 3)
    together = ask(tiny, chosen)
    alone = tiny.run(chosen[1].instruction, chosen[1].source, seed=0)
    difference = np.abs(together[1].picture.astype(int) - alone.picture.astype(int))
    assert difference.max() <= 2  # convolutions round by batch size
