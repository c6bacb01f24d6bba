"""What samples and answers are today, small enough to commit; `python tests/golden/golden.py` makes the files anew.

Pictures are kept as the means of blocks, compared with a tolerance: other CPUs and other versions of numpy and
scikit-image round otherwise.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from instructdiffusion import versions
from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.datasets.records import Example
from instructdiffusion.datasets.sources import Source, open_sources
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.measures import measure
from instructdiffusion.tasks import TASKS

FOLDER = Path(__file__).parent
BLOCK = 4  # pixels a side whose mean is kept
SETS = ("gopro", "refcoco", "coco", "magicbrush")
Golden = tuple[dict[str, Any], dict[str, np.ndarray]]  # words and numbers; blocks uint8


def blocks(image: np.ndarray) -> np.ndarray:
    """Average an image uint8 [h, w, 3] over blocks of BLOCK x BLOCK pixels: uint8 [h / BLOCK, w / BLOCK, 3]."""
    h, w = (side // BLOCK * BLOCK for side in image.shape[:2])
    means = image[:h, :w].reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK, 3).mean(axis=(1, 3))
    return means.round().astype(np.uint8)


def scene_examples() -> Iterator[tuple[str, Example]]:
    """Draw samples of every task: of three levels, and in other words."""
    kinds: dict[str, dict[str, Any]] = {
        **{f"level {level}": {"level": level} for level in (0, 1, 3)},
        "other words": {"other_words": True},
    }
    for task in TASKS:
        for number, (kind, options) in enumerate(kinds.items()):
            yield f"{task}, {kind}", make_example(task, 1_000 + number, **options)


def shaped_examples() -> Iterator[tuple[str, Example]]:
    """Draw scenes that are no squares, which evaluation asks about and training does not."""
    for task in TASKS:
        yield f"{task}, wide", make_example(task, 1_004, size=(64, 112))


def source_examples() -> Iterator[tuple[str, Example]]:
    """Take samples of made-up data sets on their way to training: cut, turned, worded."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SETS:
            write_fixture(name, Path(folder) / name)
        opened = open_sources([Source(name, str(Path(folder) / name)) for name in SETS])
        for source in opened.opened:
            for seed in (1, 2):
                yield f"{source.source.label}, seed {seed}", source.example(seed, 64, [])


def samples(examples: Iterator[tuple[str, Example]]) -> Golden:
    """Reduce examples to their words and the blocks of both images."""
    words: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, example in examples:
        words[name] = [example.instruction.text, list(example.instruction.subjects)]
        arrays[f"{name}, source"] = blocks(example.source)
        arrays[f"{name}, target"] = blocks(example.target)
    return words, arrays


def answers() -> Golden:
    """Ask `tiny` about three scenes a task: the measures of its answers, and the blocks of the images."""
    from instructdiffusion import InstructDiffusion

    model = InstructDiffusion.from_pretrained("tiny", device="cpu")
    rows: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for task in TASKS:
        examples = [make_example(task, 2_000 + n, split="val") for n in range(3)]
        given = model.run([e.instruction for e in examples], [e.source for e in examples], seed=[0, 1, 2])
        for number, (example, answer) in enumerate(zip(examples, given, strict=True)):
            name = f"{task}, scene {number}"
            row = measure(example, answer.result)
            rows[name] = {key: value for key, value in row.items() if isinstance(value, (int, float))}
            arrays[name] = blocks(answer.picture)
    return rows, arrays


def versioned() -> dict[str, int]:
    """Give the versions that the files are of."""
    of_answers = dict.fromkeys(("shapes", "answers"), versions.ANSWERS)
    return {"samples": versions.SAMPLES, "sources": versions.SOURCES, **of_answers}


PARTS = {
    "samples": lambda: samples(scene_examples()),
    "shapes": lambda: samples(shaped_examples()),
    "sources": lambda: samples(source_examples()),
    "answers": answers,
}


def main() -> None:
    """Write the files of the state there is."""
    for name, make in PARTS.items():
        words, arrays = make()
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
        text = json.dumps({"version": versioned()[name], "said": words}, indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {len(arrays)} images, {(FOLDER / f'{name}.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
