"""Places of a picture that differ in colour from most of it."""

from __future__ import annotations

import numpy as np

from instructdiffusion.imaging.standouts import standout_windows


def scene(height, width, things):
    """A soft gradient of green with squares (y, x, side, colour) on it."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([40 + 20 * x / width, 140 + 30 * y / height, 60 + 0 * x], axis=2).astype(np.uint8)
    for top, left, side, color in things:
        picture[top : top + side, left : left + side] = color
    return picture


def holds(window, top, left, side):
    y, x, wide = window
    return y <= top and x <= left and y + wide >= top + side and x + wide >= left + side


def test_small_things_are_first_each_in_a_window_of_its_size():
    for side in (16, 24, 32, 44):  # 8 to 22 % of the short side
        picture = scene(200, 200, [(120, 30, side, (220, 30, 40))])
        window = standout_windows(picture, 4)[0]
        assert holds(window, 120, 30, side) and 0.3 < side / window.side < 0.9


def test_windows_lie_inside_pictures_of_any_shape_where_the_thing_is():
    for height, width, top, left in ((200, 400, 5, 380), (400, 200, 380, 0), (100, 150, 0, 70)):
        side = min(height, width) // 10
        things = [(min(top, height - side), min(left, width - side), side, (230, 220, 20))]
        windows = standout_windows(scene(height, width, things), 4)
        assert holds(windows[0], *things[0][:3])
        for y, x, wide in windows:
            assert 0 <= y <= height - wide and 0 <= x <= width - wide


def test_no_more_windows_than_asked_for_and_none_of_a_plain_picture():
    things = [(20 + 60 * i, 20 + 60 * j, 14, (200, 20 + 60 * i, 80 * j)) for i in range(3) for j in range(3)]
    picture = scene(200, 200, things)
    assert [len(standout_windows(picture, n)) for n in (1, 3, 6)] == [1, 3, 6]
    assert standout_windows(np.full((90, 120, 3), 77, np.uint8), 8) == []


def test_a_line_of_pixels_is_searched_without_becoming_a_large_picture():
    picture = np.full((1, 8000, 3), 77, np.uint8)
    picture[:, 4000:4100] = 200
    assert all(w.side == 1 and w.y == 0 and 0 <= w.x < 8000 for w in standout_windows(picture, 4))
