"""Keypoints of people and animals with the true boxes given: OKS AP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.readers.joints import AP10K_FOR_COCO, COCO
from ...datasets.readers.topdown import PoseReader
from ...datasets.records import Example
from ...results import Keypoints
from ..evaluator import Case
from ..measures import Figure, Row
from ..metrics import COCO_SIGMAS, Person, engine, keypoint_ap, mean, oks
from .benchmark import ReaderBenchmark, percent, value

AT_ONCE = 5  # joints asked for in one question: as many as in training


class Pose(ReaderBenchmark):
    """A unit is a person; its joints are asked for in groups dealt out so that neighbours are not asked together.

    joints: COCO's name -> the dataset's, of those that count; the others are not asked for, and v = 0 in the truth
    (AP-10K is compared on the joints that it shares with COCO, so that ears drop out). All categories are
    pooled into one.
    """

    task = "keypoints"
    reader: PoseReader

    def __init__(self, name: str, reader: PoseReader, joints: Mapping[str, str] | None = None) -> None:
        super().__init__(name, reader)
        self.joints = {n: n for n in COCO} if joints is None else {n: joints[n] for n in COCO if n in joints}
        order = list(self.joints)
        count = -(-len(order) // AT_ONCE)
        self.groups = [tuple(order[first::count]) for first in range(count)]

    def options(self) -> dict[str, Any]:
        """Which joints, and which together."""
        return {"joints asked together": [list(group) for group in self.groups]}

    def cases(self, unit: int) -> list[Case]:
        """A question a group."""
        return [
            self.case(unit, f"joints {n}", partial(self.reader.ask, unit, [self.joints[j] for j in group]))
            for n, group in enumerate(self.groups)
        ]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """Joints of truth (x, y, v) and answer (x, y, confidence or 0), in pixels of the whole picture."""
        result: Keypoints = answer.result
        if not isinstance(result, Keypoints):
            raise TypeError(f"expected an answer of kind Keypoints, got {type(result).__name__}")
        meta, names = example.record.meta, example.instruction.subjects
        group = self.groups[int(case.key.rpartition(" ")[2])]
        truth = np.asarray(meta["joints"], np.float64)[
            [self.reader.names.index(self.joints[name]) for name in group]
        ]
        joints = np.zeros((len(group), 3))
        if len(result):
            columns = [result.names.index(name) for name in names]
            joints[:, :2] = result.xy[0, columns] + np.asarray(meta["window"][:2])
            # A joint that was found counts as found however unsure it is.
            joints[:, 2] = np.where(result.visible[0, columns], np.maximum(result.scores[0, columns], 1e-6), 0)
        labelled, marked = truth[:, 2] > 0, joints[:, 2] > 0
        sigmas = np.asarray([COCO_SIGMAS[COCO.index(name)] for name in group])
        similar = oks(joints[:, :2], marked, truth[:, :2], labelled, float(meta["area"]), sigmas)
        return {
            "person": case.key.rpartition("/")[0],
            "image_id": meta["image_id"],
            "area": float(meta["area"]),
            "joints": list(group),
            "truth": np.round(truth, 3).tolist(),
            "found": np.round(joints, 6).tolist(),
            "absent": not labelled.any(),
            "empty": not marked.any(),
            "quality": float(not marked.any()) if np.isnan(similar) else similar,
        }

    def people(self, rows: Sequence[Row]) -> tuple[list[Person], list[Person], int]:
        """(true figures, answers, people left out because not all of their joints were answered)."""
        numbers: dict[Any, int] = {}
        parts: dict[str, list[Row]] = {}
        for row in rows:
            parts.setdefault(row["person"], []).append(row)
        truths, answers, broken = [], [], 0
        for part in parts.values():
            names = [name for row in part for name in row["joints"]]
            if sorted(names) != sorted(self.joints):
                broken += 1
                continue
            places = [COCO.index(name) for name in names]
            truth, answer = np.zeros((len(COCO), 3)), np.zeros((len(COCO), 3))
            truth[places] = [joint for row in part for joint in row["truth"]]
            answer[places] = [joint for row in part for joint in row["found"]]
            if not (truth[:, 2] > 0).any():  # labelled only where COCO has no joint
                continue
            image = numbers.setdefault(part[0]["image_id"], len(numbers) + 1)
            truths.append(Person(image, truth, part[0]["area"]))
            if (answer[:, 2] > 0).any():
                score = float(answer[places, 2].mean())
                answers.append(Person(image, answer, part[0]["area"], score))
        return truths, answers, broken

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """OKS AP over all people, and how many of the labelled joints were marked at all."""
        truths, answers, _ = self.people(rows)
        made = keypoint_ap(truths, answers)
        labelled = [(t[2] > 0, f[2] > 0) for row in rows for t, f in zip(row["truth"], row["found"])]
        recall = mean([float(f) for t, f in labelled if t])
        alarms = mean([float(f) for t, f in labelled if not t])
        return [
            Figure("OKS AP", made["AP"], len(truths)),
            Figure("OKS AP50", made["AP50"], len(truths)),
            Figure("OKS AP75", made["AP75"], len(truths)),
            Figure("OKS AR", made["AR"], len(truths)),
            Figure("labelled joints marked", recall, sum(t for t, _ in labelled)),
            Figure("unlabelled joints marked", alarms, sum(not t for t, _ in labelled), falling=True),
        ]

    def cell(self, figures: Sequence[Figure]) -> str:
        """AP, one digit."""
        return percent(value(figures, "OKS AP"), 1)

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What computed AP, of which joints, and who is left out."""
        return {
            "AP computed by": engine(),
            "boxes": "true boxes, enlarged 1.25 times",
            "joints": list(self.joints),
            "categories": "pooled into one",
            "score of a person": "mean confidence of the joints asked for, 0 where not found",
            "people left out because questions about them failed": self.people(rows)[2],
        }


def ap10k(name: str, reader: PoseReader) -> Pose:
    """AP-10K on the joints that it shares with COCO."""
    return Pose(name, reader, AP10K_FOR_COCO)
