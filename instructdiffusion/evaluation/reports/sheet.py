"""Sheet: the worst, middling and best answers of every task as pictures for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...datasets.synthetic.write import drawn_truth
from ...imaging.annotate import contact_sheet, enlarged, overlay
from ...imaging.image_files import open_image
from ...tasks import answers_with_image
from ..evaluator import Answered
from ..measures import Row

TITLES = ("picture", "what the model drew", "answer", "truth")
PLACES = (("worst", 0.0), ("worse than 90 %", 0.1), ("median", 0.5), ("best", 1.0))
CELL = 192


def pick(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """(name, number of the row) at PLACES in the order of quality.

    Where there are samples that hold the thing asked for, all but the worst are taken from those.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i]["quality"])
    present = [i for i in order if not rows[i]["absent"]] or order
    pools = [(name, place, order if place == 0 else present) for name, place in PLACES]
    return [(name, pool[round(place * (len(pool) - 1))]) for name, place, pool in pools]


def task_sheet(picked: Sequence[tuple[str, Answered]]) -> np.ndarray:
    """Named answers as uint8 [h, w, 3]: picture, drawing, answer, truth, and the instruction beside."""
    rows, labels = [], []
    for name, a in picked:
        instruction = a.example.instruction
        answer = overlay(a.example.source, a.answer.result, list(instruction.colors) or None)
        rows.append([enlarged(a.example.source), enlarged(a.answer.picture), answer, drawn_truth(a.example)])
        quality = f"{a.row['quality']:.2f}" + (" dB" if answers_with_image(instruction.task) else "")
        labels.append(f"{instruction.task}, {name} ({quality}), seed {a.case.seed}\n{instruction.text}")
    return np.asarray(contact_sheet(rows, list(TITLES), labels, CELL).convert("RGB"))


def stacked(paths: Sequence[Path]) -> np.ndarray:
    """Picture files one below the other, uint8 [h, w, 3], on white; a white pixel without any."""
    pictures = []
    for path in paths:
        with open_image(Path(path), str(path)) as image:
            pictures.append(np.asarray(image.convert("RGB")))
    if not pictures:
        return np.full((1, 1, 3), 255, np.uint8)
    width = max(p.shape[1] for p in pictures)
    wide = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
    return np.concatenate(wide)
