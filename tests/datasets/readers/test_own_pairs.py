"""One's own pairs: a single one, and Hugging Face's ImageFolder of pairs."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.cli import main
from instructdiffusion.datasets.readers import open_reader


def pictures(folder: Path, count: int) -> None:
    for number in range(count):
        for name, green in (("before", 90), ("after", 190)):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (80, 64), (10 * number, green, 90)).save(path)


COLUMNS = {
    "as instruct-pix2pix has them": ("original_image", "edited_image", "edit_prompt"),
    "with the names of files": ("original_image_file_name", "edited_image_file_name", "edit_prompt"),
    "as control nets have them": ("conditioning_image", "file_name", "text"),
    "plain": ("before", "after", "prompt"),
}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "train/jsonl"])
@pytest.mark.parametrize("columns", COLUMNS)
def test_an_imagefolder_of_pairs_is_read(columns, kind, tmp_path, capsys):
    root = tmp_path / "set"
    place = root / "train" if kind.startswith("train/") else root
    pictures(place, 3)
    source, target, words = COLUMNS[columns]
    rows = [{source: f"before/{n}.png", target: f"after/{n}.png", words: f"make {n} green"} for n in range(3)]
    if kind == "csv":
        with open(place / "metadata.csv", "w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, [source, target, words])
            table.writeheader()
            table.writerows(rows)
    else:
        (place / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    reader = open_reader("ieiw", root, "train", cache=tmp_path / "cache")
    record = reader.record(1, random.Random(0))
    assert len(reader) == 2 and record.image[0, 0].tolist() == [10, 90, 90]
    assert np.asarray(record.target)[0, 0].tolist() == [10, 190, 90] and "green" in record.subjects[0]
    assert main(["data", "check", str(root), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]) == 0
    assert "broken:" not in capsys.readouterr().out


def test_an_imagefolder_of_captions_is_none_of_pairs(tmp_path, capsys):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "a dog"}\n', encoding="utf-8")
    assert main(["data", "check", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert "is not laid out as any of" in capsys.readouterr().err


def test_a_single_pair_is_for_training(tmp_path):
    pictures(tmp_path, 1)
    line = {"source": "before/0.png", "target": "after/0.png", "instruction": "make it green"}
    (tmp_path / "records.jsonl").write_text(json.dumps(line), encoding="utf-8")
    counts = {s: len(open_reader("ieiw", tmp_path, s, cache=tmp_path / "cache")) for s in ("train", "val", "test")}
    assert counts == {"train": 1, "val": 0, "test": 0}
