"""Which scenes the graphs ask about: for each, among many that never train, the one the model answers best.

python -m tests.comfyui.scenes [CANDIDATES]    # writes scenes.json; `remake` then makes the graphs anew

To be run after the model was replaced. The questions are asked as the graphs ask them: worded by InstructTask, with
the colour chosen from the picture.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.datasets.records import Example
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.measures import measure

SCENES = Path(__file__).with_name("scenes.json")  # what `graphs` reads
LEVEL = 1  # InstructScene's default, "textured"
SIZE = 256  # pixels of a side: what is drawn has smooth edges, and names can be written on it
BATCH = 4
_VISIBLE = 0.04  # share of a picture that must be to be seen, or to change
_PART = 0.5  # of a picture that an edit changes at most: of a thing in it, not of all of it
_THINGS = 2  # in a picture, at least: what is asked for stands beside what is not


def example(task: str, seed: int) -> Example:
    """The scene of InstructScene's seed."""
    return make_example(task, seed, split="test", size=SIZE, level=LEVEL)


def main(candidates: int = 64) -> None:
    """Choose, print and write."""
    model = InstructDiffusion.from_pretrained("tiny")
    chosen: dict[str, tuple[int, str]] = {}
    for task in TASKS:
        seeds = [seed for seed in range(candidates) if shows_much(example(task, seed))]
        quality, seed = max((answered(model, task, seed), -seed) for seed in seeds)
        chosen[task] = -seed, "\n".join(example(task, -seed).record.subjects)
        print(f"{task}: seed {-seed}, quality {quality:.3f}", flush=True)
    quality, seed = max((answered_in_all(model, seed), -seed) for seed in bare_nouns(candidates))
    chosen["batch"] = -seed, example("segment", -seed).record.subjects[0]
    print(f"batch: seed {-seed}, quality {quality:.3f}")
    SCENES.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")


def shows_much(asked: Example) -> bool:
    """Whether there is something to find or to do, large enough to be seen, and several points where points are."""
    task = asked.instruction.task
    if task in ("keypoints", "align"):
        return bool(asked.record.target.visible.all()) and len(asked.record.subjects) >= 3
    if task == "classify":
        return asked.record.target[0].name is not None and len(asked.record.subjects) >= 3
    share = float((asked.source != asked.target).any(2).mean())
    if task == "edit" and share > _PART:
        return False
    return share >= _VISIBLE and len(re.findall(r",| and ", asked.record.caption)) >= _THINGS - 1


def answered(model: InstructDiffusion, task: str, seed: int) -> float:
    """How good the answer is; of edits, how much better than the picture as it was."""
    asked = example(task, seed)
    answer: Any = model.run(_question(asked), asked.source)
    row = measure(asked, answer.result)
    return row["quality"] - row["changed_nothing"] if task == "edit" else row["quality"]


def bare_nouns(candidates: int) -> Iterator[int]:
    """Seeds of segment's scenes with something to find that is named by its noun alone, as in "the square"."""
    for seed in range(candidates):
        asked = example("segment", seed)
        if shows_much(asked) and len(asked.record.subjects[0].split()) == 2:
            yield seed


def answered_in_all(model: InstructDiffusion, seed: int) -> float:
    """How good the first answer is, less one for each further scene whose answer is empty and should not be, or is not
    and should be (its caption says what is in it), less one where the four are all of one kind."""
    scenes = [example("segment", seed + i) for i in range(BATCH)]
    answers: Any = model.run(_question(scenes[0]), [scene.source for scene in scenes])
    noun = re.escape(scenes[0].record.subjects[0].split()[-1].removesuffix("s"))
    there = [True, *(bool(re.search(rf"\b{noun}", s.record.caption)) for s in scenes[1:])]
    found = [len(answer.result) > 0 for answer in answers]
    wrong = int(np.sum(np.array(there) != found))
    return measure(scenes[0], answers[0].result)["quality"] - wrong - (sum(there) in (1, BATCH))


def _question(asked: Example) -> Any:
    subjects = asked.record.subjects or None
    return TASKS[asked.instruction.task].instruct(subjects, picture=asked.source)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
