"""Scenes as files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.examples import make_example
from instructdiffusion.datasets.scenes import SCENE_TASKS
from instructdiffusion.datasets.scenes.write import write_scenes


@pytest.mark.parametrize("task", SCENE_TASKS)
def test_files_hold_the_records(task, tmp_path):
    files = write_scenes(task, range(3), tmp_path, split="test", level=1)
    assert all(path.is_file() for path in files) and files[0].name == f"{task}_sheet.png"
    listing = json.loads((tmp_path / f"{task}.json").read_text())
    assert [image["file_name"] for image in listing["images"]] == [f"{task}_{seed}.png" for seed in range(3)]
    ids = [entry["id"] for entry in listing["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    known = {category["id"]: category["name"] for category in listing["categories"]}
    for entry in listing["annotations"]:
        assert known[entry["category_id"]] == entry["category_name"]
        assert 1 <= entry["image_id"] <= 3
    for seed in range(3):
        with Image.open(tmp_path / f"{task}_{seed}.png") as picture:
            example = make_example(task, seed, split="test", level=1)
            np.testing.assert_array_equal(np.asarray(picture), example.source)
        assert listing["images"][seed]["instruction"] == example.instruction.text


def test_unseen_pairs_are_written_when_asked_for(tmp_path):
    write_scenes("refer", range(2), tmp_path, split="test", unseen=True)
    listing = json.loads((tmp_path / "refer.json").read_text())
    assert all("unseen-pair" in image["tags"] for image in listing["images"])


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="seed"):
        write_scenes("segment", [], tmp_path)
    assert not list(tmp_path.iterdir())
