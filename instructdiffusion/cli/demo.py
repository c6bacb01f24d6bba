"""demo: every task on fresh scenes, restoration on a photograph, and one sheet with the truth beside."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils.errors import UsageError
from .answer import MODEL, hide_loading

if TYPE_CHECKING:
    import numpy as np

    from ..inference.answer import Answer
    from ..pipeline import InstructDiffusion

PHOTOGRAPH = "astronaut.png"
SIDE, MARK = 256, 64  # pixels: the part of the photograph that is shown, and what one watermark covers
TITLES = ("picture", "what the model drew", "answer", "truth")


@dataclass(frozen=True)
class Shown:
    """One row of the sheet: an answer and the truth as a picture for people."""

    label: str
    answer: Answer
    truth: np.ndarray
    verdict: str
    name: str


def add_parser(commands: Any) -> None:
    """Add the command."""
    text = "run every task and write one sheet to look at"
    parser = commands.add_parser("demo", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--model", default="tiny", help=MODEL)
    parser.add_argument("--device", help="cpu, cuda, ...; default: cuda where there is one")
    parser.add_argument("--seed", type=int, default=0, help="of the first scene; default: 0")
    parser.add_argument("--scenes", type=int, default=2, help="scenes a task; default: 2")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="FOLDER")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write sheet.png and the files of every answer."""
    from ..utils.files import check_writable, write_png

    if arguments.scenes < 1 or arguments.seed < 0:
        raise UsageError("expected --scenes of at least 1 and --seed of at least 0")
    check_writable(arguments.output)

    import numpy as np
    from tqdm import tqdm

    from ..imaging.annotate import contact_sheet
    from ..pipeline import InstructDiffusion
    from ..tasks import TASKS

    hide_loading()
    model = InstructDiffusion.from_pretrained(arguments.model, device=arguments.device)
    jobs: list[tuple[Any, ...]] = [
        (_scene, name, arguments.seed + i) for name in TASKS for i in range(arguments.scenes)
    ]
    jobs += [(_photograph, name, arguments.seed) for name, t in TASKS.items() if (t.scenes or name) in _DAMAGES]
    rows = []
    for make, name, seed in tqdm(jobs, unit="answer"):
        row = make(model, name, seed)
        row.answer.save(arguments.output / "answers", row.name)
        tqdm.write(f"{row.label}: {row.verdict}")
        rows.append(row)
    cells = [[r.answer.source, r.answer.picture, r.answer.overlay(), r.truth] for r in rows]
    sheet = contact_sheet(cells, list(TITLES), [f"{r.label}\n{r.verdict}" for r in rows])
    path = write_png(arguments.output / "sheet.png", np.asarray(sheet.convert("RGB")))
    print(f"every answer's own files are in {arguments.output / 'answers'}")
    print(f"look at {path}")
    return 0


def _scene(model: InstructDiffusion, name: str, seed: int) -> Shown:
    from ..datasets.synthetic import scene_record
    from ..imaging.annotate import overlay
    from ..tasks import get_task

    task = get_task(name)
    record = scene_record(name, seed, split="test")
    question = task.instruct(record.subjects or None, picture=record.image)
    answer = model.run(question, record.image)
    assert not isinstance(answer, list)
    target = record.target[0] if isinstance(record.target, tuple) else record.target
    truth = overlay(record.image, target) if task.perception else target
    return Shown(f"{name}: {question.text}", answer, truth, _verdict(answer, target), f"scene_{seed}")


def _photograph(model: InstructDiffusion, name: str, seed: int) -> Shown:
    from ..datasets.photographs import photograph
    from ..tasks import get_task

    clean = photograph(PHOTOGRAPH)[:SIDE, 100 : 100 + SIDE]
    task = get_task(name)
    spoiled = _DAMAGES[task.scenes or name](clean, random.Random(seed))
    question = task.instruct()
    answer = model.run(question, spoiled)
    assert not isinstance(answer, list)
    label = f"photograph, {name}: {question.text}"
    return Shown(label, answer, clean, _verdict(answer, clean), "photograph")


def _add_noise(clean: np.ndarray, rng: random.Random) -> np.ndarray:
    from ..datasets.synthetic import degradations

    return degradations.add_noise(rng, clean, 0.1).picture


def _blur(clean: np.ndarray, rng: random.Random) -> np.ndarray:
    from ..datasets.synthetic import degradations

    return degradations.blur(rng, clean, MARK / SIDE).picture


def _mark(clean: np.ndarray, rng: random.Random) -> np.ndarray:
    from ..datasets.synthetic import degradations

    spoiled = clean.copy()
    for row in range(SIDE // MARK):
        for column in range(row % 2, SIDE // MARK, 2):
            part = slice(row * MARK, (row + 1) * MARK), slice(column * MARK, (column + 1) * MARK)
            spoiled[part] = degradations.watermark(rng, clean[part]).picture
    return spoiled


# By the scenes of a task: the photograph spoiled as these are, at their scale (blurs of some pixels, marks of a tile).
_DAMAGES: dict[str, Callable[[np.ndarray, random.Random], np.ndarray]] = {
    "denoise": _add_noise,
    "deblur": _blur,
    "dewatermark": _mark,
}


def _verdict(answer: Answer, target: Any) -> str:
    """How near the answer is to the truth, in a few words."""
    import numpy as np

    from ..imaging.psnr import psnr
    from ..results import Boxes, Keypoints, Label, Masks

    result = answer.result
    if isinstance(result, Label):
        return f"{result.name or 'none'} (truth: {target.name or 'none'})"
    if isinstance(result, Masks):
        both, either = (result.union() & target.union()).sum(), (result.union() | target.union()).sum()
        return f"IoU {both / either:.2f}" if either else "nothing there, nothing found"
    if isinstance(result, Boxes):
        return f"{len(result)} boxes (truth: {len(target)})"
    if isinstance(result, Keypoints):
        visible = result.visible[0] if len(result) else np.zeros(len(result.names), bool)
        true = target.visible[0] if len(target) else np.zeros_like(visible)
        both = visible & true
        text = f"{both.sum()} of {true.sum()} points found"
        if both.any():
            text += f", {np.linalg.norm(result.xy[0] - target.xy[0], axis=1)[both].mean():.1f} px off"
        return text
    return f"PSNR {psnr(answer.source, target):.1f} -> {psnr(result, target):.1f} dB"
