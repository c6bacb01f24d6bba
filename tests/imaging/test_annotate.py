from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.imaging.annotate import _wrapped, contact_sheet, overlay, overlay_mask
from instructdiffusion.imaging.colors import MASK_COLORS
from instructdiffusion.results import Boxes, Keypoints, Label, Masks

PLAIN = np.full((64, 64, 3), 90, np.uint8)


def some_mask() -> Masks:
    data = np.zeros((1, 64, 64), bool)
    data[0, 16:48, 16:32] = True
    return Masks(data, [1.0], ("the star",))


@pytest.mark.parametrize(
    "result",
    [
        some_mask(),
        some_mask().boxes(),
        Keypoints([[[20, 20], [63.9, 0]]], [[True, True]], [[1, 1]], ("the nose", "the left ear"), (64, 64)),
        Label("a dog", {"a dog": 0.9}),
        Label(None),
    ],
)
def test_overlay_enlarges_and_draws(result) -> None:
    drawn = overlay(PLAIN, result)
    assert drawn.dtype == np.uint8 and drawn.shape == (384, 384, 3)
    assert 0 < (drawn != 90).any(-1).mean() < 0.5
    assert (overlay(PLAIN / 255.0, result) == drawn).all() or isinstance(result, Masks)
    assert (PLAIN == 90).all()


def test_overlay_of_nothing_is_the_picture() -> None:
    for empty in (Masks.empty(64, 64), Boxes.empty(64, 64), Keypoints.empty(("a",), 64, 64)):
        assert (overlay(PLAIN, empty) == 90).all()
    assert overlay(PLAIN, np.zeros((300, 200, 3), np.uint8)).shape == (300, 200, 3)
    with pytest.raises(TypeError, match="expected Masks"):
        overlay(PLAIN, "a mask")  # type: ignore[arg-type]


@pytest.mark.parametrize("around", [(90, 90, 90), (230, 20, 20)])
@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_the_overlay_shows_on_red(around, kind) -> None:
    mask = some_mask()
    picture = np.full_like(PLAIN, around)
    picture[mask.data[0]] = (230, 20, 20)
    drawn = overlay(picture, mask if kind == "masks" else mask.boxes()).astype(int)
    found = mask.resize(384, 384).data[0]
    edge = found & ~np.pad(found, 1)[2:, 1:-1]
    assert np.linalg.norm(drawn[edge] - (230, 20, 20), axis=1).min() > 115
    if kind == "masks":
        assert np.linalg.norm(drawn[found] - (230, 20, 20), axis=1).min() > 80


def test_the_overlay_is_red_where_that_shows_and_lined_in_another_light() -> None:
    drawn = overlay(PLAIN, some_mask())
    assert drawn[100, 96].tolist() == [255, 0, 0] and drawn[100, 97].tolist() == [255, 255, 255]
    assert drawn[100, 98].tolist() == [173, 45, 45]


def test_each_label_has_a_colour_of_its_own_on_any_ground() -> None:
    data = np.zeros((3, 64, 64), bool)
    data[0, :20, :20] = data[1, 30:50, :20] = data[2, 30:50, 40:60] = True
    red = np.full((384, 384, 3), (250, 10, 10), np.uint8)
    drawn = overlay(red, Masks(data, [1.0] * 3, ("a", "b", "c")).resize(384, 384))
    edges = {tuple(drawn[y, x].tolist()) for y, x in ((60, 0), (240, 0), (240, 240))}
    assert len(edges) == 3 and all(np.linalg.norm(np.subtract(e, (250, 10, 10))) > 115 for e in edges)


def test_overlay_mask_tints_inside_only() -> None:
    mask = some_mask().data[0]
    drawn = overlay_mask(PLAIN, mask, MASK_COLORS[0])
    assert (drawn[~mask] == 90).all()
    assert drawn[30, 24].tolist() == [173, 45, 45] and drawn[16, 16].tolist() == [255, 0, 0]
    with pytest.raises(ValueError, match="does not fit"):
        overlay_mask(PLAIN, mask[:10], MASK_COLORS[0])


def test_contact_sheet_places_pictures_under_their_titles() -> None:
    red = np.zeros((10, 20, 3), np.uint8)
    red[..., 0] = 255
    sheet = contact_sheet([[red, None], [red / 255.0, red[..., 0]]], ["one", "two"], ["a", "b"], cell=64)
    pixels = np.asarray(sheet)
    is_red = (pixels == [255, 0, 0]).all(-1)
    ys, xs = np.flatnonzero(is_red.any(1)), np.flatnonzero(is_red.any(0))
    assert len(xs) == 64 and len(ys) == 64  # one column, two rows of 32, shape kept
    dark = (pixels < 100).all(-1)
    assert dark[: ys[0]].any() and not (dark & is_red).any()


def test_contact_sheet_grows_with_long_text() -> None:
    words = "cover the small red star left of the circle with a blue mask " * 6
    short = contact_sheet([[PLAIN]], ["a"], ["b"], cell=64)
    long = contact_sheet([[PLAIN], [PLAIN]], [words], [words, "b"], cell=64)
    assert long.width == short.width and long.height > 2 * short.height
    # The second row's label starts below the last line of the first one.
    column = (np.asarray(long)[:, 8:96] < 100).all(-1).any(1)
    assert column.sum() > 100


def test_wrapping_breaks_words_that_are_too_long() -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(13)
    lines = _wrapped("a " + "w" * 80 + " b", 100, font)
    assert all(font.getlength(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == "a" + "w" * 80 + "b"


def test_contact_sheet_refuses() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])
    with pytest.raises(ValueError, match="labels"):
        contact_sheet([[PLAIN]], row_labels=["a", "b"])
    with pytest.raises(ValueError, match="32 pixels"):
        contact_sheet([[PLAIN]], cell=8)
