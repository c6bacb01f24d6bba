from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.results import Boxes, Keypoints, Label, Masks, run_lengths, to_coco


def two_masks() -> Masks:
    data = np.zeros((2, 6, 8), bool)
    data[0, 1:3, 2:5] = True
    data[1, 4, 7] = True
    return Masks(data, np.array([0.9, 0.4]), ("a dog", "a cat"))


def test_masks_slice_all_fields_together() -> None:
    masks = two_masks()
    for index in (1, slice(1, None), [1], np.array([False, True])):
        one = masks[index]
        assert len(one) == 1 and one.labels == ("a cat",)
        assert one.scores.tolist() == [pytest.approx(0.4)] and one.data.sum() == 1
    assert masks[masks.scores > 2].data.shape == (0, 6, 8)
    assert [m.labels[0] for m in masks] == ["a dog", "a cat"]
    with pytest.raises(IndexError):
        masks[2]


def test_masks_union_boxes_resize() -> None:
    masks = two_masks()
    assert masks.union().sum() == 7 and masks.canvas_size == (6, 8)
    assert masks.boxes().xyxy.tolist() == [[2, 1, 5, 3], [7, 4, 8, 5]]
    large = masks.resize(24, 32)
    assert large.canvas_size == (24, 32) and abs(int(large.data[0].sum()) - 6 * 16) <= 8
    assert (large.resize(6, 8).data == masks.data).all()


def test_empty_results() -> None:
    masks = Masks.empty(4, 5, "nothing found for 'the red star'")
    assert len(masks) == 0 and not masks.union().any() and masks.union().shape == (4, 5)
    assert "red star" in masks.message and "red star" in masks.boxes().message
    assert len(masks.resize(8, 9)) == 0 and len(Boxes.empty(4, 5).resize(8, 10)) == 0
    points = Keypoints.empty(("the nose",), 4, 5)
    assert len(points) == 0 and points.xy.shape == (0, 1, 2)
    for result in (masks, points, Boxes.empty(4, 5), Label(None)):
        assert to_coco(result) == []


def test_points_and_boxes_scale() -> None:
    points = Keypoints([[[1, 2], [3, 4]]], [[True, False]], [[1, 0]], ("a", "b"), (10, 20))
    assert points.resize(20, 20).xy.tolist() == [[[1, 4], [3, 8]]]
    boxes = Boxes([[0, 0, 20, 10]], [1], ("a",), (10, 20))
    assert boxes.resize(5, 40).xyxy.tolist() == [[0, 0, 40, 5]]
    assert boxes[0].xyxy.shape == (1, 4) and points[0].names == ("a", "b")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Masks(np.zeros((1, 2, 2)), [1], ("a",)), TypeError, "boolean"),
        (lambda: Masks(np.zeros((2, 2), bool), [1], ("a",)), ValueError, "shape"),
        (lambda: Masks(np.zeros((1, 2, 2), bool), [1], ()), ValueError, "labels"),
        (lambda: Masks(np.zeros((1, 2, 2), bool), [np.nan], ("a",)), ValueError, "finite"),
        (lambda: Boxes([[5, 0, 1, 1]], [1], ("a",), (9, 9)), ValueError, "x1 <= x2"),
        (lambda: Boxes([[0, 0, 1, 1]], [1, 1], ("a",), (9, 9)), ValueError, "scores"),
        (lambda: Boxes([[0, 0, 1, 1]], [1], ("a",), (0, 9)), ValueError, "canvas_size"),
        (lambda: Keypoints([[[0, 0]]], [[True]], [[1]], ("a", "b"), (9, 9)), ValueError, "xy"),
        (lambda: Label("a", {"b": 1.0}), ValueError, "no score"),
        (lambda: Label(3), TypeError, "string"),
    ],
)
def test_validation(make, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_run_lengths_go_down_the_columns_from_zeros() -> None:
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)
    assert run_lengths(mask) == {"size": [3, 2], "counts": [1, 1, 1, 2, 1]}
    assert run_lengths(np.ones((2, 2), bool))["counts"] == [0, 4]
    assert run_lengths(np.zeros((2, 2), bool))["counts"] == [4]
    random = np.random.default_rng(0).random((7, 5)) < 0.5
    counts = run_lengths(random)["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
    assert (flat.reshape(5, 7).T == random).all()


def test_to_coco() -> None:
    first, second = to_coco(two_masks(), image_id=7)
    assert first["bbox"] == [2, 1, 3, 2] and first["area"] == 6 and first["image_id"] == 7
    assert (first["category_name"], second["category_id"]) == ("a dog", 2)
    assert sum(first["segmentation"]["counts"]) == 48
    (box,) = to_coco(Boxes([[1, 2, 4, 8]], [0.5], ("a",), (9, 9)))
    assert box["bbox"] == [1, 2, 3, 6] and box["area"] == 18 and "segmentation" not in box
    points = Keypoints(
        [[[1, 2], [3, 4], [5, 8]]], [[True, False, True]], [[1, 0, 0.5]], ("a", "b", "c"), (9, 9)
    )
    (entry,) = to_coco(points)
    assert entry["keypoints"] == [1, 2, 2, 0, 0, 0, 5, 8, 2] and entry["num_keypoints"] == 2
    assert entry["bbox"] == [1, 2, 4, 6] and entry["score"] == pytest.approx(0.75)
    (label,) = to_coco(Label("a dog", {"a dog": 0.8, "a cat": 0.2}))
    assert label["category_name"] == "a dog" and label["score"] == 0.8
    with pytest.raises(TypeError, match="expected Masks"):
        to_coco(np.zeros(3))  # type: ignore[arg-type]


def test_results_are_frozen() -> None:
    with pytest.raises(AttributeError):
        two_masks().labels = ()  # type: ignore[misc]


def test_every_annotation_says_what_it_is_of() -> None:
    points = Keypoints([[[1, 2], [4, 8]]], [[True, True]], [[1, 1]], ("a", "b"), (9, 9))
    boxes = Boxes([[1, 2, 4, 8]], [0.5], ("a",), (9, 9))
    label = Label("a cat", {"a dog": 0.2, "a cat": 0.8})
    for result in (two_masks(), boxes, points, label, Label("a dog")):
        for number, entry in enumerate(to_coco(result, image_id=3), 1):
            assert (entry["id"], entry["image_id"]) == (number, 3) and entry["category_id"] >= 1
            if not isinstance(result, Label):
                assert entry["area"] > 0 and entry["iscrowd"] == 0 and len(entry["bbox"]) == 4
    (entry,) = to_coco(points)
    assert entry["area"] == 18 and entry["num_keypoints"] == 2
    assert to_coco(label)[0]["category_id"] == 2
