"""The guidance a task recommends is the one the authors publish with their checkpoints, where they publish one.

Editing 5 / 1.25, segmentation 7.5 / 1.5, keypoints 6 / .5 and watermark removal 1 / 1 are theirs; detection and
classification are drawn as segmentation is, parts as keypoints. None is published for denoising and deblurring: at
.5 / .5 what remains of the three branches is the one with both picture and words.
"""

from __future__ import annotations

import pytest

from instructdiffusion.sampling import instructdiffusion
from instructdiffusion.settings import task_settings
from instructdiffusion.tasks import TASKS

# task -> (text, image) scales, and the weights of the branches (both, picture only, words only) that they come to
AUTHORS = {
    "segment": ((7.5, 1.5), (9.0, -7.0, -1.0)),
    "refer": ((7.5, 1.5), (9.0, -7.0, -1.0)),
    "detect": ((7.5, 1.5), (9.0, -7.0, -1.0)),
    "classify": ((7.5, 1.5), (9.0, -7.0, -1.0)),
    "keypoints": ((6.0, 0.5), (6.5, -5.5, 0.0)),
    "align": ((6.0, 0.5), (6.5, -5.5, 0.0)),
    "dewatermark": ((1.0, 1.0), (2.0, -0.5, -0.5)),
    "edit": ((5.0, 1.25), (6.25, -4.5, -0.75)),
    "denoise": ((0.5, 0.5), (1.0, 0.0, 0.0)),
    "deblur": ((0.5, 0.5), (1.0, 0.0, 0.0)),
}


def test_every_task_is_in_the_table():
    assert set(AUTHORS) == set(TASKS)


@pytest.mark.parametrize("name", AUTHORS)
def test_the_authors_scales(name):
    scales, weights = AUTHORS[name]
    assert TASKS[name].guidance == scales
    given = instructdiffusion(*TASKS[name].guidance)(1.0)
    assert tuple(given)[:3] == pytest.approx(weights) and sum(given) == pytest.approx(1.0)


@pytest.mark.parametrize("name", AUTHORS)
def test_what_a_task_asks_for_by_itself(name):
    """Perception goes without guidance, in one evaluation; the others have the authors' scales, if they say any."""
    expected = None if TASKS[name].perception or name in ("denoise", "deblur") else AUTHORS[name][0]
    assert task_settings(TASKS[name]).guidance == expected
