"""Damaged datasets: what is broken is named with file and record, skipped or fatal, and never silently dropped."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from instructdiffusion.datasets.fixtures import FIXTURES
from instructdiffusion.datasets.readers import READERS, BrokenRecord, open_reader

each = pytest.mark.parametrize("name", list(FIXTURES))


def dataset(name: str) -> str:
    """The reader of a fixture: some datasets come in several layouts."""
    return name if name in READERS else name.rpartition("-")[0]


def first_part(counts):
    return next(iter(counts))


def spoil(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


@each
def test_a_damaged_picture_is_named_and_skipped_or_fatal(name, copied):
    folder, counts, cache = copied(name)
    split, task = first_part(counts)
    reader = open_reader(dataset(name), folder, split, task, cache=cache)
    if reader.archived:
        pytest.skip("pictures lie in an archive: the test of annotation files damages it")
    for place, file in enumerate(reader.files_of(reader.rows[0])):
        shutil.copy(reader.path(file), cache / "whole")
        spoil(reader.path(file))
        with pytest.raises(BrokenRecord, match=Path(file).name.replace("+", ".")):
            reader.record(0)
        kept = [index for index, _ in reader.records()]
        assert 0 not in kept and len(kept) + len(reader.problems) == len(reader)
        assert reader.problems[0].file == file and reader.problems[0].record
        strict = open_reader(dataset(name), folder, split, task, cache=cache, on_broken="raise")
        with pytest.raises(BrokenRecord):
            list(strict.records())
        if kept:
            for seed in range(8):
                assert reader.sample(seed).image is not None
        shutil.copy(cache / "whole", reader.path(file))
        reader = open_reader(dataset(name), folder, split, task, cache=cache)
        assert place >= 0 and len(list(reader.records())) == len(reader)


@each
def test_a_missing_file_is_named_not_dropped(name, copied):
    folder, counts, cache = copied(name)
    split, task = first_part(counts)
    reader = open_reader(dataset(name), folder, split, task, cache=cache)
    if reader.archived:
        pytest.skip("pictures lie in an archive")
    whole = len(reader)
    file = reader.files_of(reader.rows[0])[-1]
    reader.path(file).unlink()
    again = open_reader(dataset(name), folder, split, task, cache=cache)
    assert again.fresh  # the folder changed
    kept = list(again.records())
    assert len(kept) < whole and again.problems
    assert any(Path(file).stem in f"{p.file} {p.reason} {p.record}" for p in again.problems)
    with pytest.raises(BrokenRecord):
        open_reader(dataset(name), folder, split, task, cache=cache, on_broken="raise", remake=True)


@each
def test_a_cut_off_annotation_file_is_named(name, copied):
    folder, counts, cache = copied(name)
    split, task = first_part(counts)
    reader = open_reader(dataset(name), folder, split, task, cache=cache)
    for path in reader.files():
        data = path.read_bytes()
        spoil(path)
        damaged = open_reader(dataset(name), folder, split, task, cache=cache)
        assert damaged.problems and len(damaged) <= len(reader)
        assert any(path.name in p.file for p in damaged.problems), [str(p) for p in damaged.problems]
        path.write_bytes(data)
    assert len(open_reader(dataset(name), folder, split, task, cache=cache)) == len(reader)


NASTY = (
    None,
    "",
    [],
    {},
    float("nan"),
    -1,
    0,
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    10**400,
    True,
    [None],
    1e308,
)


def places(data, path=()):
    """Paths to everything in a JSON value, of lists the first few."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data[:6]) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@each
def test_whatever_stands_in_an_annotation_is_refused_by_name_or_does_no_harm(name, copied):
    folder, counts, cache = copied(name)
    split, task = first_part(counts)
    reader = open_reader(dataset(name), folder, split, task, cache=cache)
    if not any(path.suffix == ".json" for path in reader.files()):
        pytest.skip("has no JSON")
    for path in [p for p in reader.files() if p.suffix == ".json"]:
        text, rng = path.read_text(), random.Random(name)
        where = list(places(json.loads(text)))[1:]
        for _ in range(12):
            data, (*parents, last) = json.loads(text), rng.choice(where)
            holder = data
            for key in parents:
                holder = holder[key]
            holder[last] = rng.choice(NASTY)
            path.write_text(json.dumps(data))
            damaged = open_reader(dataset(name), folder, split, task, cache=cache)
            kept = list(damaged.records())  # nothing but BrokenRecord is raised, and that is skipped
            more_left_out = sum(damaged.left_out.values()) > sum(reader.left_out.values())
            assert len(kept) >= len(reader) or damaged.problems or more_left_out, (parents, last)
        path.write_text(text)
