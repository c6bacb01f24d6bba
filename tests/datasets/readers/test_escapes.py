"""Names that lead out of a dataset's folder, to a picture that could be read: refused by name, never followed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from instructdiffusion.datasets.readers import BrokenRecord, open_reader


@dataclass(frozen=True)
class Place:
    """Where an annotation names a file. put: (the file's data, a name) -> changed data; text where it is no JSON.

    base: the folder that names are relative to; suffix: whether the name has one. says: why it is refused, where no
    name leads out of the folder to begin with.
    """

    reader: str
    file: str
    base: str
    put: Callable[[Any, str], Any]
    suffix: bool = True
    split: str = "train"
    says: str = "leaves the dataset"
    fixture: str = ""


def at(*keys: Any) -> Callable[[Any, str], Any]:
    """The value at keys becomes the name."""

    def put(data: Any, name: str) -> Any:
        holder = data
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = name
        return data

    return put


def first_key(*keys: Any) -> Callable[[Any, str], Any]:
    """The first key of the object at keys becomes the name."""

    def put(data: Any, name: str) -> Any:
        holder = data
        for key in keys:
            holder = holder[key]
        old = list(holder.items())
        holder.clear()
        holder.update([(name, old[0][1]), *old[1:]])
        return data

    return put


def first_line(data: str, name: str) -> str:
    return "\n".join([name, *data.splitlines()[1:]]) + "\n"


AIC = "ai_challenger_keypoint_train_20170902"
PLACES = {
    "gier source": Place("gier", "GIER.json", "images", at(0, "input")),
    "gier target": Place("gier", "GIER.json", "images", at(0, "output")),
    "magicbrush source": Place(
        "magicbrush", "train/edit_sessions.json", "train/images", at("139306", 0, "input")
    ),
    "magicbrush target": Place(
        "magicbrush", "train/edit_sessions.json", "train/images", at("139306", 1, "output")
    ),
    "aic": Place(
        "aic", f"{AIC}/keypoint_train_annotations_20170909.json", f"{AIC}/keypoint_train_images_20170902",
        at(0, "image_id"), suffix=False,
    ),
    "aic as COCO": Place(
        "aic", "annotations/aic_val.json",
        "ai_challenger_keypoint_validation_20170911/keypoint_validation_images_20170911",
        at("images", 0, "file_name"), split="val",
    ),
    "humanart": Place(
        "humanart", "HumanArt/annotations/training_humanart.json", "HumanArt", at("images", 0, "file_name")
    ),
    "humanart below its name": Place(
        "humanart", "HumanArt/annotations/training_humanart.json", "HumanArt",
        lambda data, name: at("images", 0, "file_name")(data, f"HumanArt/{name}"),
    ),
    "gqa-inpaint image": Place("gqa-inpaint", "train_scenes.json", "images", first_key(), suffix=False),
    "gqa-inpaint object": Place(
        "gqa-inpaint", "train_scenes.json", "images_inpainted/2354786", first_key("2354786", "objects"), suffix=False
    ),
    "editing source": Place("editing", "benchmark.json", "", at(0, "source"), split="test"),
    "editing target": Place("editing", "benchmark.json", "", at(0, "target"), split="test"),
    "pascal-context-59": Place(
        "pascal-context-59", "VOC2010/trainval_merged.json", "VOC2010/JPEGImages", at("images", 0, "file_name")
    ),
    "pascal-context-459": Place(
        "pascal-context-459", "VOC2010/ImageSets/Main/train.txt", "VOC2010/JPEGImages", first_line, suffix=False
    ),
    "mpii": Place("mpii", "annot/train.json", "images", at(0, "image")),
    "ieiw-authors source": Place("ieiw", "meta_infov1.json", "", at(0, "input"), fixture="ieiw-authors"),
    "ieiw-authors target": Place("ieiw", "meta_infov1.json", "", at(0, "edited"), fixture="ieiw-authors"),
    # Of the paths in VOC's lists the last part alone is taken, and looked for where pictures lie.
    "voc": Place(
        "voc", "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt", "VOCdevkit/VOC2012/JPEGImages", first_line,
        suffix=False, says="outside.jpg is missing",
    ),
}  # fmt: skip
WAYS = {
    "up": lambda outside, base: os.path.relpath(outside, base),
    "up by backslashes": lambda outside, base: os.path.relpath(outside, base).replace("/", "\\"),
    "down and up": lambda outside, base: f"a/../{os.path.relpath(outside, base)}",
    "absolute": lambda outside, base: os.fspath(outside),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", PLACES)
def test_a_name_that_leaves_the_folder_is_not_followed(where, way, copied, tmp_path):
    place = PLACES[where]
    folder, _, cache = copied(place.fixture or place.reader)
    whole = open_reader(place.reader, folder, place.split, cache=cache)
    picture = folder / whole.files_of(whole.rows[0])[0]
    suffix = picture.suffix if place.suffix or place.reader == "gqa-inpaint" else ".jpg"
    outside = tmp_path / "outside"
    shutil.copy(picture, outside.with_suffix(suffix))  # what would be read
    base = folder / place.base
    name = WAYS[way](outside.with_suffix(suffix) if place.suffix else outside, base)
    if way != "absolute" and not place.suffix:
        reached = Path(os.path.normpath(base / name.replace("\\", "/")))
        assert reached.with_suffix(suffix) == outside.with_suffix(suffix) and reached.parent == tmp_path
    path = folder / place.file
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        path.write_text(json.dumps(place.put(json.loads(text), name)), encoding="utf-8")
    else:
        path.write_text(place.put(text, name), encoding="utf-8")

    reader = open_reader(place.reader, folder, place.split, cache=cache)
    lost = len(whole) - len(reader)
    assert lost >= 1 and len(list(reader.records())) == len(reader)
    (problem, *_) = reader.problems
    assert "leaves the dataset" in problem.reason or place.says in problem.reason
    assert problem.file == place.file and problem.record
    for row in reader.rows:
        for file in reader.files_of(row):
            assert (folder / file).resolve().is_relative_to(folder.resolve())
    with pytest.raises(BrokenRecord):
        open_reader(place.reader, folder, place.split, cache=cache, on_broken="raise")
