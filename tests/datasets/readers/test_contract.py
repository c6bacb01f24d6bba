"""What every reader owes, on a made-up copy of its dataset: true records, a cache that holds, nothing dropped."""

from __future__ import annotations

import os
import pickle
import random
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.datasets import join
from instructdiffusion.datasets.fixtures import FIXTURES
from instructdiffusion.datasets.readers import READERS, LayoutMissing, open_reader
from instructdiffusion.results import Boxes, Keypoints, Masks
from instructdiffusion.tasks import get_task

each = pytest.mark.parametrize("name", list(FIXTURES))


def dataset(name: str) -> str:
    """The reader of a fixture: some datasets come in several layouts."""
    return name if name in READERS else name.rpartition("-")[0]


def first_part(counts):
    return next(iter(counts))


def test_every_reader_has_a_fixture():
    assert {dataset(name) for name in FIXTURES} == set(READERS)


@each
def test_records_are_counted_found_and_whole(name, made, tmp_path):
    folder, counts = made(name)
    assert set(READERS[dataset(name)].parts(folder)) == set(counts)
    for (split, task), count in counts.items():
        reader = open_reader(dataset(name), folder, split, task, cache=tmp_path)
        assert [str(p) for p in reader.problems] == []
        assert len(reader) == count > 0
        records = dict(reader.records())
        assert len(records) == count and not reader.problems
        for record in records.values():
            assert min(record.image.shape[:2]) >= 8 and record.image.std() > 1
            assert all(s.strip() for s in record.subjects)
        again = reader.record(0)
        assert again.subjects == records[0].subjects
        np.testing.assert_array_equal(again.image, records[0].image)


@each
def test_the_task_reads_back_what_it_draws(name, made, tmp_path):
    folder, counts = made(name)
    for split, name_of_task in {task: (split, task) for split, task in counts}.values():
        task = get_task(name_of_task)
        reader = open_reader(dataset(name), folder, split, name_of_task, cache=tmp_path)
        for index in range(min(3, len(reader))):
            record = reader.record(index)
            example = join(record, task, random.Random(index))
            assert example.instruction.text
            assert_same(task.decode(example.source, example.target, example.instruction), record.target)


def assert_same(got: Any, want: Any) -> None:
    if isinstance(want, Masks):
        union, true = got.union(), want.union()
        assert (
            (union & true).sum() >= 0.97 * max((union | true).sum(), 1) or not true.any() and not union.any()
        )
    elif isinstance(want, Boxes):
        assert len(got) == len(want)
        for box in want.xyxy:
            assert np.abs(got.xyxy - box).max(1).min() < 0.6
    elif isinstance(want, Keypoints):
        assert got.names == want.names
        if not want.visible.any():
            assert len(got) == 0
            return
        assert got.visible.tolist() == want.visible.tolist()
        assert np.linalg.norm(got.xy - want.xy, axis=2)[want.visible].max() < 0.6
    else:
        np.testing.assert_array_equal(got, want)


@each
def test_targets_lie_where_things_are_in_the_picture(name, made, tmp_path):
    """Fixtures draw flat things and white dots on joints, so the pixels themselves say where they are."""
    folder, counts = made(name)
    for split, task in counts:
        reader = open_reader(dataset(name), folder, split, task, cache=tmp_path)
        records = [record for _, record in reader.records()]
        if not isinstance(records[0].target, np.ndarray):
            assert any("absent" not in record.tags for record in records)
        for record in records:
            target, image = record.target, record.image.astype(int)
            if isinstance(target, Masks):
                for mask in target.data:
                    inner = ndimage.binary_erosion(mask, iterations=2)
                    assert inner.sum() > 20
                    for part in components(inner):
                        assert image[part].std(0).max() < 10
                    outer = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
                    if outer.any() and inner.any():
                        gap = np.abs(np.median(image[outer], 0) - np.median(image[inner], 0))
                        assert gap.max() > 25
            if isinstance(target, Boxes):
                for x1, y1, x2, y2 in np.rint(target.xyxy).astype(int):
                    center = image[(y1 + y2) // 2, (x1 + x2) // 2]
                    assert np.abs(center - image[y1, x1]).max() > 25  # a round thing leaves the corner free
            if isinstance(target, Keypoints):
                for x, y in target.xy[target.visible]:
                    assert image[int(y), int(x)].min() > 200
            if isinstance(target, np.ndarray):
                assert target.shape == record.image.shape
                assert (target != record.image).any() or "no-target" in record.tags


def components(mask):
    labelled, count = ndimage.label(mask)
    return [labelled == n for n in range(1, count + 1) if (labelled == n).sum() > 20]


@each
def test_an_index_is_kept_until_the_files_change(name, copied):
    folder, counts, cache = copied(name)
    split, task = first_part(counts)

    def opened():
        return open_reader(dataset(name), folder, split, task, cache=cache)

    first = opened()
    assert first.fresh and not opened().fresh
    files = first.files()
    for path in files:
        os.utime(path)  # another time, the same content
    assert not opened().fresh
    if files:
        path = files[-1]
        stat = path.stat()
        data = path.read_bytes()
        path.write_bytes(data + b"\n" if path.suffix not in (".zip", ".parquet") else data[:-1])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as copies that keep times do
        assert opened().fresh
    else:
        picture = first.path(first.files_of(first.rows[0])[0])
        picture.with_name("zzz_new" + picture.suffix).write_bytes(picture.read_bytes())
        assert opened().fresh
    assert open_reader(dataset(name), folder, split, task, cache=cache, remake=True).fresh


@each
def test_a_worker_gets_the_same_records(name, made, tmp_path):
    folder, counts = made(name)
    split, task = first_part(counts)
    reader = open_reader(dataset(name), folder, split, task, cache=tmp_path)
    data = pickle.dumps(reader)
    assert len(data) < 4000  # the rows stay on disk
    other = pickle.loads(data)
    a, b = reader.sample(3), other.sample(3)
    np.testing.assert_array_equal(a.image, b.image)
    assert a.subjects == b.subjects


@pytest.mark.parametrize("name", list(READERS))
def test_what_is_missing_is_named_with_its_source(name, tmp_path):
    reader = READERS[name]
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutMissing) as caught:
        open_reader(name, tmp_path / "empty", cache=tmp_path, split=reader.splits[0])
    assert reader.source in str(caught.value) and reader.title in str(caught.value)
    assert reader.parts(tmp_path / "empty") == []
    with pytest.raises(LayoutMissing, match="no folder"):
        open_reader(name, tmp_path / "nowhere", cache=tmp_path, split=reader.splits[0])
    with pytest.raises(ValueError, match="splits"):
        open_reader(name, tmp_path, split="sing", cache=tmp_path)
