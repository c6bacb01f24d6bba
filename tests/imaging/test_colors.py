from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.imaging.colors import MARK_COLORS, MASK_COLORS, Color, color_named, far_colors


def test_palettes_hold_the_papers_colours() -> None:
    assert {c.name: c.rgb for c in MASK_COLORS}["green"] == (0, 128, 0)
    assert {c.name: c.rgb for c in MARK_COLORS}["green"] == (0, 255, 0)
    for palette, count in ((MASK_COLORS, 8), (MARK_COLORS, 9)):
        assert len({c.name for c in palette}) == len({c.rgb for c in palette}) == count


def test_array_is_in_unit_range_and_read_only() -> None:
    color = Color("purple", (128, 0, 128))
    assert color.array.dtype == np.float32
    np.testing.assert_allclose(color.array, [128 / 255, 0, 128 / 255], rtol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        color.array[0] = 1


@pytest.mark.parametrize(("name", "rgb"), [("Red", (0, 0, 0)), ("", (0, 0, 0)), ("red", (0, 0, 256))])
def test_color_refuses(name: str, rgb: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="lower-case|0 to 255"):
        Color(name, rgb)


def test_color_named() -> None:
    assert color_named(" Grey ") is MASK_COLORS[-1]
    assert color_named("green", MARK_COLORS).rgb == (0, 255, 0)
    with pytest.raises(ValueError, match="unknown colour 'mauve'.*red, purple"):
        color_named("mauve")
    with pytest.raises(TypeError, match="string"):
        color_named(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rgb", "nearest"), [((250, 10, 5), "red"), ((245, 245, 250), "white"), ((3, 3, 9), "black")]
)
def test_far_colors_puts_the_pictures_own_colour_last(rgb: tuple[int, int, int], nearest: str) -> None:
    picture = np.full((20, 30, 3), rgb, np.uint8)
    names = [c.name for c in far_colors(picture, n=8)]
    assert sorted(names) == sorted(c.name for c in MASK_COLORS)
    assert names[-1] == nearest or nearest not in names[:4]
    assert names == [c.name for c in far_colors(picture / 255.0, n=8)]


def test_far_colors_looks_at_the_region_only() -> None:
    picture = np.full((40, 40, 3), (0, 0, 255), np.uint8)
    region = np.zeros((40, 40), bool)
    region[:3, :3] = True
    picture[region] = (255, 255, 0)
    assert far_colors(picture, region)[0].name == "blue"
    assert far_colors(picture, np.zeros((40, 40), bool)) == far_colors(picture)


def test_far_colors_minds_a_minority_of_pixels() -> None:
    """A fifth of the picture is white: white would be invisible there."""
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:8] = 255
    assert far_colors(picture)[0].name not in ("white", "black")


def test_far_colors_refuses() -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        far_colors(np.zeros((4, 4, 3), np.uint8), n=9)
    with pytest.raises(ValueError, match="does not fit"):
        far_colors(np.zeros((4, 4, 3), np.uint8), np.ones((3, 4), bool))
