"""A detector as detailers call it: boxes, crop regions, growth, hooks."""

from __future__ import annotations

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

IMAGE = torch.rand(1, 40, 60, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def detector(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.detector", pack.__name__)


@pytest.fixture
def find(results: ModuleType) -> Any:
    """Two things of scores .9 and .4: a cross in 10..20 x 5..15, and a spot of 2 x 2."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 10, 10:20] = masks[0, 5:15, 15] = True
    masks[1, 30:32, 40:42] = True
    answer = results.Masks(masks, np.float32([0.9, 0.4]), ("cross", "spot"))
    return lambda picture: (answer.data, answer)


def test_boxes_fill_and_outlines_do_not(detector: ModuleType, find: Any) -> None:
    for boxes, area in ((True, 100), (False, 19)):
        (height, width), (cross,) = detector.Detector(find, boxes).detect(IMAGE, 0.5, 0, 3.0, 1)
        assert (height, width) == (40, 60) and cross.label == "cross" and cross.bbox == (10, 5, 20, 15)
        assert cross.crop_region == (0, 0, 30, 30)  # thrice the box, moved into the picture
        assert cross.cropped_mask.shape == (30, 30) and cross.cropped_mask.sum() == area
        assert cross.cropped_mask.dtype == np.float32 and torch.equal(cross.cropped_image, IMAGE[:, :30, :30])


def test_what_is_unsure_or_small_is_left_out(detector: ModuleType, find: Any) -> None:
    made = detector.Detector(find, True)
    assert len(made.detect(IMAGE, 0.3, 0, 2.0, 1)[1]) == 2
    assert len(made.detect(IMAGE, 0.3, 0, 2.0, 2)[1]) == 1
    assert made.detect(IMAGE, 0.95, 0, 2.0)[1] == []


def test_masks_of_all_things_are_one_and_grow(detector: ModuleType, find: Any) -> None:
    made = detector.Detector(find, True)
    assert made.detect_combined(IMAGE, 0.3, 0).shape == (40, 60)
    assert [int(made.detect_combined(IMAGE, 0.3, pixels).sum()) for pixels in (0, 3, -3)] == [104, 144 + 16, 64]
    assert not made.detect_combined(IMAGE, 0.99, 4).any()


def test_a_hook_may_change_regions_and_segments(detector: ModuleType, find: Any) -> None:
    hook = SimpleNamespace(
        post_crop_region=lambda w, h, box, region: [0, 0, w, h], post_detection=lambda segs: (segs[0], segs[1] * 2)
    )
    _, segments = detector.Detector(find, False).detect(IMAGE, 0.5, 0, 1.0, 1, detailer_hook=hook)
    assert len(segments) == 2 and segments[0].crop_region == (0, 0, 60, 40)


def test_one_picture_at_a_time(detector: ModuleType, find: Any) -> None:
    with pytest.raises(ValueError, match="`image`.*one picture"):
        detector.Detector(find, True).detect(IMAGE.repeat(2, 1, 1, 1), 0.5, 0, 1.0)
    detector.Detector(find, True).setAux("face")
