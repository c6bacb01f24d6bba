"""Keypoints: object keypoint similarity (OKS), for single figures; `coco` computes AP over pictures of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .average_precision import average_precision

# One constant for every joint of made-up figures, whose joints are exact points. COCO's own run from .025
# (eyes) to .107 (hips), .067 in the mean, and go with the area of the silhouette; a figure's area here is
# that of its box, about twice as much, and .05 with the box tolerates the distance that .067 does with the
# silhouette.
SIGMA = 0.05

# COCO's constants, in the order of its joints: nose, then left and right eye, ear, shoulder, elbow, wrist, hip,
# knee, ankle. Source: cocodataset.org/#keypoints-eval.
COCO_SIGMAS: tuple[float, ...] = (
    0.026,
    *(0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)


def joint_similarities(
    answer: np.ndarray, truth: np.ndarray, area: float, sigmas: float | np.ndarray = SIGMA
) -> np.ndarray:
    """exp(-d^2 / (2 area (2 sigma)^2)) of points [..., k, 2]; area in square pixels, sigmas one or [k]."""
    distance = ((np.asarray(answer, np.float64) - truth) ** 2).sum(-1)
    return np.exp(-distance / (2 * max(area, 1e-9) * (2 * np.asarray(sigmas)) ** 2))


def oks(
    answer: np.ndarray,
    found_visible: np.ndarray,
    truth: np.ndarray,
    truth_visible: np.ndarray,
    area: float,
    sigmas: float | np.ndarray = SIGMA,
) -> float:
    """Object keypoint similarity: the mean over the true visible points of exp(-d^2 / (2 area (2 sigma)^2)).

    found, truth: [k, 2] in pixels; a true point that was not found counts 0; points without truth count
    nothing. area in square pixels. NaN without any true visible point. Source: COCO keypoint evaluation.
    """
    if not truth_visible.any():
        return float("nan")
    similar = joint_similarities(answer, truth, area, sigmas) * found_visible
    return float(similar[truth_visible].mean())


def oks_ap(similarities: Sequence[float], scores: Sequence[float | None], threshold: float) -> float:
    """Average precision of keypoints where every picture asks for one figure.

    similarities: the OKS of every picture's answer, NaN where the truth has no visible point; scores: the
    answer's score, None for an empty answer. An answer where there is nothing lowers the precision.
    """
    if len(similarities) != len(scores):
        raise ValueError(
            f"{len(similarities)} similarities came with {len(scores)} scores: give one a picture"
        )
    answered = [(s, o >= threshold) for o, s in zip(similarities, scores) if s is not None]
    positives = sum(not np.isnan(o) for o in similarities)
    return average_precision([s for s, _ in answered], [c for _, c in answered], positives)
