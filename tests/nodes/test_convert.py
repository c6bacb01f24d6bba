"""Layouts at the edge: what other packs read must have exactly their form."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest
import torch


def boxes(results: ModuleType, rows: list[list[float]], size: tuple[int, int] = (40, 60)):
    return results.Boxes(np.float32(rows).reshape(-1, 4), np.full(len(rows), 0.9), ("dog",) * len(rows), size)


def points(results: ModuleType, **named: tuple[float, float] | None):
    xy = np.float32([[p or (0, 0) for p in named.values()]])
    visible = np.array([[p is not None for p in named.values()]])
    names = tuple("the " + n.replace("_", " ") for n in named)
    return results.Keypoints(xy, visible, np.where(visible, 0.8, 0), names, (40, 60))


def test_the_entry_module_imports_nothing(pack: ModuleType) -> None:
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")  # it would make ComfyUI ignore the entry point
    assert callable(pack.comfy_entrypoint)


def test_pictures_survive_there_and_back(convert: ModuleType) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (2, 9, 11, 3), np.uint8)
    image = convert.to_image(list(pictures))
    assert image.dtype == torch.float32 and image.shape == (2, 9, 11, 3)
    assert all(np.array_equal(a, b) for a, b in zip(convert.to_pictures(image), pictures))


def test_alpha_is_laid_over_white_and_values_outside_are_cut(convert: ModuleType) -> None:
    image = torch.zeros(1, 8, 8, 4)
    assert (convert.to_pictures(image)[0] == 255).all()
    assert convert.to_pictures(torch.full((1, 8, 8, 3), 1.7))[0].max() == 255


@pytest.mark.parametrize(
    "image", [torch.zeros(8, 8, 3), torch.zeros(0, 8, 8, 3), torch.full((1, 8, 8, 3), float("nan")), None]
)
def test_what_is_no_picture_is_refused_by_the_input_s_name(convert: ModuleType, image) -> None:
    with pytest.raises(ValueError, match="`source`"):
        convert.to_pictures(image, "source")


@pytest.mark.parametrize("shape", [(5, 7), (2, 5, 7), (2, 1, 5, 7)])
def test_masks_come_in_all_the_shapes_that_nodes_make(convert: ModuleType, shape) -> None:
    assert convert.from_mask(torch.ones(shape)).shape[-2:] == (5, 7)


def test_pairs_share_a_single_source_and_refuse_other_sizes(convert: ModuleType) -> None:
    one, three = torch.zeros(1, 8, 8, 3), torch.zeros(3, 8, 8, 3)
    assert [len(side) for side in convert.paired(one, three)] == [3, 3]
    with pytest.raises(ValueError, match="`edited`.*16 x 8"):
        convert.paired(one, torch.zeros(1, 8, 16, 3))
    with pytest.raises(ValueError, match="`edited`.*2 pictures"):
        convert.paired(three, torch.zeros(2, 8, 8, 3))


def test_bounding_boxes_and_bbox(convert: ModuleType, results: ModuleType) -> None:
    found = boxes(results, [[1, 2, 11, 22]])
    (frame,) = convert.to_bounding_boxes([found])
    score = pytest.approx(0.9)
    assert frame == [{"x": 1, "y": 2, "width": 10, "height": 20, "score": score, "label": "dog"}]
    assert convert.to_bbox([found]) == [[[1, 2, 11, 22]]]
    nothing = boxes(results, [])
    assert convert.to_bounding_boxes([nothing]) == [[]] and convert.to_bbox([nothing]) == [[]]


def test_segs_have_the_impact_pack_s_form(convert: ModuleType, results: ModuleType) -> None:
    mask = np.zeros((40, 60), np.float32)
    mask[3:20, 2:10] = 1
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    size, segments = convert.to_segs(boxes(results, [[2, 3, 10, 20]]), [mask], picture, 4)
    assert size == (40, 60)
    (segment,) = segments
    assert segment._fields == (
        "cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper",
    )  # fmt: skip
    x1, y1, x2, y2 = segment.crop_region
    assert (x1, y1, x2, y2) == (0, 0, 14, 24) and segment.bbox == (2, 3, 10, 20)
    assert segment.cropped_mask.shape == (y2 - y1, x2 - x1) and segment.cropped_mask.dtype == np.float32
    assert segment.cropped_image.shape == (1, y2 - y1, x2 - x1, 3)
    assert segment.cropped_mask.sum() == mask.sum()
    assert convert.to_segs(boxes(results, []), [], None, 0) == ((40, 60), [])


@pytest.mark.parametrize(
    ("row", "whole"),
    [([1.2, 2.7, 5.1, 6.0], (1, 2, 6, 6)), ([59.9, 39.9, 60, 40], (59, 39, 60, 40)), ([-3, -3, 0, 0], (0, 0, 1, 1))],
)  # fmt: skip
def test_whole_boxes_lie_inside(convert: ModuleType, row, whole) -> None:
    assert convert.whole_box(np.float32(row), 40, 60) == whole


def test_points_as_json_leave_out_what_was_not_found(convert: ModuleType, results: ModuleType) -> None:
    rows = json.loads(convert.to_points_json(points(results, nose=(25.25, 5.5), left_knee=None)))
    assert rows == [{"x": 25.25, "y": 5.5, "label": "the nose", "score": 0.8}]
    nothing = results.Keypoints.empty(("the nose",), 40, 60)
    assert convert.to_points_json(nothing) == "[]"
