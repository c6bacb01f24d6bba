"""Sheets of pictures, as previews show a batch."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def preview(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.preview", pack.__name__)


def test_one_picture_stays_as_it_is(preview: ModuleType) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    assert np.array_equal(np.asarray(preview.contact_sheet([picture], 512)), picture)


def test_a_batch_lies_side_by_side_row_by_row(preview: ModuleType) -> None:
    pictures = [np.full((10, 20, 3), shade, np.uint8) for shade in (50, 100, 150)]
    sheet = np.asarray(preview.contact_sheet(pictures, 512))
    assert sheet.shape == (20, 40, 3)
    assert [sheet[5, 5, 0], sheet[5, 35, 0], sheet[15, 5, 0], sheet[15, 35, 0]] == [50, 100, 150, 0]


def test_large_pictures_are_made_smaller(preview: ModuleType) -> None:
    assert preview.contact_sheet([np.zeros((1000, 3000, 3), np.uint8)], 512).size == (512, 171)
    assert preview.contact_sheet([np.zeros((2, 3000, 3), np.uint8)] * 2, 100).size == (100, 1)
