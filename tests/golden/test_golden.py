"""Samples and answers are those of their version: whoever changes them raises the version."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from .golden import FOLDER, PARTS, versioned

LEVELS = 3  # of 255, what rounding may move a block's mean by
SHARE = 0.02  # what it may move a measure by, in parts of it (an answer is read from thresholds)
PIXELS = 3  # and a number of pixels
ADVICE = (
    "what makes them has changed: raise the version in instructdiffusion/versions.py in the same commit, and run "
    "python tests/golden/golden.py; if nothing should have changed, it is a fault"
)


@pytest.mark.parametrize("part", PARTS)
def test_a_version_stands_for_what_it_stood_for(part):
    golden = json.loads((FOLDER / f"{part}.json").read_text(encoding="utf-8"))
    assert golden["version"] == versioned()[part], f"golden files of another version of {part}: {ADVICE}"
    said, arrays = PARTS[part]()
    with np.load(FOLDER / f"{part}.npz") as kept:
        assert sorted(kept.files) == sorted(arrays), ADVICE
        for name, image in arrays.items():
            assert kept[name].shape == image.shape, f"{name}: {ADVICE}"
            far = int(np.abs(kept[name].astype(int) - image.astype(int)).max())
            assert far <= LEVELS, f"{name} is {far} of 255 off: {ADVICE}"
    assert set(said) == set(golden["said"])
    for name, value in said.items():
        assert _same(json.loads(json.dumps(value)), golden["said"][name]), f"{name}: {value}: {ADVICE}"


def test_a_changed_pixel_or_word_is_noticed():
    assert _same({"iou": 0.9}, {"iou": 0.9 * (1 + SHARE / 2)}) and not _same({"iou": 0.9}, {"iou": 0.8})
    assert not _same(["mark the star", []], ["mark the stars", []])


def _same(now, before) -> bool:
    if isinstance(before, dict):
        return set(now) == set(before) and all(_same(now[key], before[key]) for key in before)
    if isinstance(before, (int, float)) and not isinstance(before, bool) and isinstance(now, (int, float)):
        return math.isclose(now, before, rel_tol=SHARE, abs_tol=PIXELS if isinstance(before, int) else SHARE)
    return bool(now == before)
