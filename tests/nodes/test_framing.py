"""Which masks lie on which picture: by MaskExtract's numbers, or as masks and pictures come."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def framing(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.framing", pack.__name__)


def counts(frames: list[np.ndarray]) -> list[int]:
    return [len(frame) for frame in frames]


def test_every_mask_of_a_batch_knows_its_picture(framing: ModuleType) -> None:
    masks = np.arange(5, dtype=np.float32)[:, None, None] + np.zeros((5, 8, 9), np.float32)
    frames = framing.frames_of(masks, [0, 1, 1, 1, 3], torch.zeros(4, 8, 9, 3), True)
    assert [frame[:, 0, 0].tolist() for frame in frames] == [[0], [1, 2, 3], [], [4]]
    assert counts(framing.frames_of(masks, [0, 1, 1, 1, 3], None, True)) == [1, 3, 0, 1]
    assert [p.shape for p in framing.pictures_under(None, frames)] == [(8, 9, 3)] * 4


def test_without_numbers_masks_are_of_one_picture_or_have_one_each(framing: ModuleType) -> None:
    masks = np.ones((3, 8, 9), np.float32)
    assert counts(framing.frames_of(masks, None, None, True)) == [3]
    assert counts(framing.frames_of(masks, None, torch.zeros(1, 8, 9, 3), False)) == [1, 1, 1]


@pytest.mark.parametrize("one_picture", [False, True])
def test_what_nobody_says_is_asked_for_by_the_socket_that_says_it(framing: ModuleType, one_picture: bool) -> None:
    """Neither setting of `masks_are` sends to the other."""
    with pytest.raises(ValueError, match="connect MaskExtract's `pictures`") as caught:
        framing.frames_of(np.ones((5, 8, 9), np.float32), None, torch.zeros(2, 8, 9, 3), one_picture)
    assert "masks_are" not in str(caught.value)


@pytest.mark.parametrize(("numbers", "name"), [([0, 1], "`pictures`"), ([0, 1, 4], "`image`")])
def test_numbers_of_other_masks_or_pictures_are_refused(framing: ModuleType, numbers: list[int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        framing.frames_of(np.ones((3, 8, 9), np.float32), numbers, torch.zeros(2, 8, 9, 3), True)


def test_load_image_s_stand_in_is_no_mask_of_another_size(framing: ModuleType) -> None:
    empty, image = np.zeros((1, 64, 64), np.float32), torch.zeros(2, 300, 400, 3)
    frames = framing.frames_of(empty, None, image, False)
    assert [frame.shape for frame in frames] == [(1, 300, 400)] * 2
    assert framing.is_placeholder(empty, image) and framing.is_placeholder(empty, None)
    assert not framing.is_placeholder(empty, torch.zeros(1, 64, 64, 3))  # a picture of that size has such a mask
    assert not framing.is_placeholder(np.ones((1, 64, 64), np.float32), image)
