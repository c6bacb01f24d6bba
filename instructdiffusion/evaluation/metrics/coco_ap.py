"""Keypoint AP over pictures of several people: faster-coco-eval's where installed, else the same sums here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from .average_precision import THRESHOLDS, average_precision
from .keypoint_metrics import COCO_SIGMAS, joint_similarities

MOST = 20  # answers a picture that count, the surest first
ENGINES = ("faster-coco-eval", "own")


@dataclass(frozen=True, eq=False)
class Person:
    """A figure in a picture, true or answered.

    joints: [k, 3], x and y in pixels and v (true: 0 not labelled, else labelled; answered: 0 not found). area:
    square pixels, of the silhouette. score: how sure an answer is.
    """

    image: int
    joints: np.ndarray
    area: float = 0.0
    score: float = 0.0


def engine() -> str:
    """What `keypoint_ap` computes with, with its version: "faster-coco-eval 1.8.0" or "own"."""
    try:
        import faster_coco_eval  # noqa: F401

        return f"{ENGINES[0]} {metadata.version(ENGINES[0])}"
    except ImportError:
        return "own"


def keypoint_ap(
    truths: Sequence[Person],
    answers: Sequence[Person],
    sigmas: Sequence[float] = COCO_SIGMAS,
    by: str | None = None,
) -> dict[str, float]:
    """{"AP", "AP50", "AP75", "AR"}: OKS AP over .50:.05:.95, at most 20 answers a picture.

    True figures without labelled joints are ignored, as are answers without any joint (these are misses). A
    joint that an answer lacks counts as far off. by: "faster-coco-eval" or "own" (None: the first that is
    installed). NaN where there is no true figure. ValueError for another number of joints or NaN.
    """
    _check(truths, len(sigmas))
    _check(answers, len(sigmas))
    if any(not np.isfinite(a.score) for a in answers):
        raise ValueError("the score of an answer is not finite")
    truths = [t for t in truths if (t.joints[:, 2] > 0).any()]
    answers = [a for a in answers if (a.joints[:, 2] > 0).any()]
    if not truths:
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"), float("nan"))
    if by not in (None, *ENGINES):
        raise ValueError(f"expected one of {', '.join(ENGINES)}, got {by!r}")
    answers = [_filled(a, truths) for a in answers]
    use_own = engine() == "own" if by is None else by == "own"
    return (_own if use_own else _faster)(truths, answers, np.asarray(sigmas, np.float64))


def _check(people: Sequence[Person], count: int) -> None:
    for person in people:
        if person.joints.shape != (count, 3):
            raise ValueError(f"a figure has joints {person.joints.shape}: expected {(count, 3)}")
        if not np.isfinite(person.joints).all() or not np.isfinite(person.area):
            raise ValueError(f"a figure in picture {person.image} has numbers that are not finite")


def _filled(answer: Person, truths: Sequence[Person]) -> Person:
    """The answer with joints that it lacks moved where they are similar to nothing.

    Not so far that the box around the joints leaves the range of areas that COCO counts (1e10): an answer beyond
    it would be ignored instead of wrong.
    """
    missing = answer.joints[:, 2] <= 0
    joints = answer.joints.astype(np.float64)
    joints[missing, :2] = -20_000.0
    return Person(answer.image, joints, answer.area, answer.score)


def _own(truths: Sequence[Person], answers: Sequence[Person], sigmas: np.ndarray) -> dict[str, float]:
    """COCO's greedy matching, picture by picture, in the order of scores."""
    pictures: dict[int, tuple[list[Person], list[Person]]] = {}
    for truth in truths:
        pictures.setdefault(truth.image, ([], []))[0].append(truth)
    for answer in answers:
        pictures.setdefault(answer.image, ([], []))[1].append(answer)
    scores: list[float] = []
    hits: list[list[bool]] = [[] for _ in THRESHOLDS]
    for true, people in (pictures[key] for key in sorted(pictures)):
        people = sorted(people, key=lambda a: -a.score)[:MOST]
        table = np.zeros((len(people), len(true)))
        for column, person in enumerate(true):
            labelled = person.joints[:, 2] > 0
            for row, answer in enumerate(people):
                similar = joint_similarities(answer.joints[:, :2], person.joints[:, :2], person.area, sigmas)
                table[row, column] = similar[labelled].mean()
        scores += [a.score for a in people]
        for number, threshold in enumerate(THRESHOLDS):
            hits[number] += _matched(table.copy(), threshold)
    ap = [average_precision(scores, correct, len(truths)) for correct in hits]
    recall = [sum(correct) / len(truths) for correct in hits]
    return {"AP": float(np.mean(ap)), "AP50": ap[0], "AP75": ap[5], "AR": float(np.mean(recall))}


def _matched(table: np.ndarray, threshold: float) -> list[bool]:
    """Which answers (rows, the surest first) take a free true figure of at least that similarity."""
    correct = []
    for row in range(len(table)):
        best = int(np.argmax(table[row])) if table.shape[1] else -1
        hit = best >= 0 and table[row, best] >= threshold
        if hit:
            table[:, best] = -1
        correct.append(bool(hit))
    return correct


def _faster(truths: Sequence[Person], answers: Sequence[Person], sigmas: np.ndarray) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster

    data, answer_data = coco_data(truths, answers)
    if not answer_data:
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"), 0.0)
    truth = COCO(data)
    runner: Any = COCOeval_faster(truth, truth.loadRes(answer_data), "keypoints", kpt_oks_sigmas=list(sigmas))
    runner.params.maxDets = [MOST]
    runner.evaluate()
    runner.accumulate()
    runner.summarize()
    values = [float(v) for v in runner.stats]
    return {"AP": values[0], "AP50": values[1], "AP75": values[2], "AR": values[5]}


def coco_data(
    truths: Sequence[Person], answers: Sequence[Person]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(annotations, results) in COCO's format, all figures as one category."""
    count = len(truths[0].joints)
    annotations = []
    for number, person in enumerate(truths, 1):
        labelled = person.joints[person.joints[:, 2] > 0]
        low, high = labelled[:, :2].min(0), labelled[:, :2].max(0)
        annotations.append(
            {
                "id": number,
                "image_id": person.image,
                "category_id": 1,
                "iscrowd": 0,
                "area": float(person.area),
                "bbox": [float(v) for v in (*low, *(high - low))],
                "num_keypoints": len(labelled),
                "keypoints": [float(v) for v in person.joints.ravel()],
            }
        )
    results = [
        {
            "image_id": a.image,
            "category_id": 1,
            "keypoints": [float(v) for v in a.joints.ravel()],
            "score": float(a.score),
        }
        for a in answers
    ]
    images = [{"id": i} for i in sorted({p.image for p in (*truths, *answers)})]
    names = [str(n) for n in range(count)]
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}]
    data = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    return data, results
