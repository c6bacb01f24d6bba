"""Regions of masks: boxes that are tight up to the border, and bounds for masks of thousands of specks."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def regions(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.regions", pack.__name__)


def test_regions_come_by_size_and_small_ones_do_not_count(regions: ModuleType) -> None:
    mask = np.zeros((20, 30), bool)
    mask[0:2, 0:2] = mask[15:20, 20:30] = mask[10, 10] = True
    parts, count = regions.split_regions(mask, 4)
    assert [int(p.sum()) for p in parts] == [50, 4] and count == 2
    assert regions.split_regions(np.zeros((3, 3), bool)) == ([], 0)


def test_a_speckled_mask_gives_its_largest_regions_and_the_number_of_all(regions: ModuleType) -> None:
    mask = np.zeros((128, 128), bool)
    mask[::2, ::2] = True
    mask[50, 50:60] = True
    parts, count = regions.split_regions(mask)
    assert len(parts) == 1000 < count == 64 * 64 - 5
    assert parts[0].sum() == 11


def test_boxes_reach_the_border_of_the_picture(regions: ModuleType, convert: ModuleType) -> None:
    mask = np.zeros((20, 30), bool)
    mask[15:20, 20:30] = True
    value = np.where(mask, 0.75, 0).astype(np.float32)
    boxes = regions.boxes_around([mask], [value], "dog", (20, 30))
    assert boxes.xyxy.tolist() == [[20, 15, 30, 20]] and boxes.scores.tolist() == [0.75]
    _, (segment,) = convert.to_segs(boxes, [mask], None, 3)
    assert segment.crop_region == (17, 12, 30, 20) and segment.bbox == (20, 15, 30, 20)
    assert segment.cropped_mask.dtype == np.float32 and segment.cropped_mask.sum() == 50


def test_boxes_and_segments_of_a_mask_of_one_pixel(regions: ModuleType, convert: ModuleType) -> None:
    mask = np.ones((1, 1), bool)
    boxes = regions.boxes_around([mask], [mask.astype(np.float32)], "dog", (1, 1))
    assert boxes.xyxy.tolist() == [[0, 0, 1, 1]]
    assert convert.to_segs(boxes, [mask], None, 5)[1][0].crop_region == (0, 0, 1, 1)


def test_no_parts_give_no_boxes(regions: ModuleType) -> None:
    assert len(regions.boxes_around([], [], "dog", (20, 30))) == 0


def test_cut_outs_keep_their_shape_and_many_large_ones_are_made_smaller(
    regions: ModuleType, monkeypatch
) -> None:
    crops = [np.zeros(s, np.uint8) for s in ((10, 20, 3), (5, 5, 3))]
    assert [c.shape[:2] for c in regions.to_one_size(crops)] == [(10, 20), (20, 20)]
    monkeypatch.setattr(regions, "_PIXELS", 10_000)
    many = regions.to_one_size([np.zeros((200, 100, 3), np.uint8)] * 25)
    assert {c.shape[:2] for c in many} == {(20, 10)}
    assert regions.to_one_size([np.zeros((200, 100, 3), np.uint8)])[0].shape == (200, 100, 3)
