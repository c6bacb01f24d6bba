"""Indices: rows that stay on disk, and folders of pictures that are watched."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import threading
import time
import tracemalloc

import pytest

from instructdiffusion.datasets.readers import BrokenRecord, index, open_reader
from instructdiffusion.datasets.readers.index import Index, cache_folder, open_index
from instructdiffusion.datasets.readers.problems import Flaw


def opened(tmp_path, build, files=(), **options):
    (tmp_path / "data").mkdir(exist_ok=True)
    return open_index(tmp_path / "data", "test", list(files), build, cache=tmp_path / "cache", **options)


def test_rows_come_back_as_they_were(tmp_path):
    rows = [{"id": n, "text": f"é {n}", "nested": [[1.5, None], {"a": n}]} for n in range(100)]

    def build(builder):
        for row in rows:
            builder.add(**row)

    index = opened(tmp_path, build)
    assert index.fresh and len(index.rows) == 100
    assert list(index.rows) == rows and index.rows[-1] == rows[-1]
    with pytest.raises(IndexError):
        index.rows[100]


def test_an_empty_index(tmp_path):
    index = opened(tmp_path, lambda builder: builder.leave_out("all of it", 3))
    assert len(index.rows) == 0 and list(index.rows) == [] and index.left_out == {"all of it": 3}
    assert not opened(tmp_path, lambda builder: None).fresh


def test_many_rows_cost_no_objects(tmp_path):
    def build(builder):
        for n in range(20_000):
            builder.add(id=n, image="train2017/000000000009.jpg", box=[1, 2, 3, 4])

    tracemalloc.start()
    try:
        index = opened(tmp_path, build)
        made = tracemalloc.get_traced_memory()[1]
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert sum(index.rows[i]["id"] for i in range(0, 20_000, 50)) == sum(range(0, 20_000, 50))
        read = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert made < 2e6 and read < 1e6  # bytes: as dicts they would be about 10 million


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    def build(builder):
        with builder.guard("file", "record 1"):
            builder.add(id=1, value=float("nan"))
        builder.add(id=2)

    index = opened(tmp_path, build)
    assert len(index.rows) == 1 and "finite" in index.problems[0].reason


def test_a_build_that_fails_leaves_no_index(tmp_path):
    def build(builder):
        builder.add(id=1)
        raise Flaw("broken")

    with pytest.raises(Flaw):
        opened(tmp_path, build)
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(BrokenRecord):
        opened(tmp_path, lambda b: b.problem("f", "r", "why"), on_broken="raise")


def test_what_killed_runs_left_goes_when_an_index_is_made(tmp_path):
    """Old ones; a run beside this one may be at work in the others, and files of other names are not ours."""
    cache_ = tmp_path / "cache"
    old = [cache_ / ".voc-val-0123.0a1b2c3d.tmp", cache_ / ".scratch-ab_12xyz", cache_ / ".voc.0a1b2c3d.old"]
    young, busy, other = (
        cache_ / ".voc-val-0123.11111111.tmp",
        cache_ / ".scratch-busy_now",
        cache_ / ".mine.tmp",
    )
    for folder in (*old, young, busy, other):
        folder.mkdir(parents=True)
        (folder / "rows.bin").write_bytes(b"half")
    long_ago = time.time() - 25 * 3600
    for path in (*(p for f in (*old, other) for p in (f / "rows.bin", f)), busy):
        os.utime(path, (long_ago, long_ago))
    index = opened(tmp_path, lambda builder: builder.add(id=1))
    assert {p.name for p in cache_.iterdir()} == {p.name for p in (young, busy, other, index.folder)}


def test_a_damaged_index_is_made_anew(tmp_path):
    def build(builder):
        builder.add(id=1)

    folder = opened(tmp_path, build).folder
    for name in ("rows.bin", "offsets.npy", "index.json"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-2])
        assert opened(tmp_path, build).fresh
        path.unlink()
        assert opened(tmp_path, build).fresh
    assert not opened(tmp_path, build).fresh


def test_what_counts_as_a_change(tmp_path):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "list.json"
    path.write_text(json.dumps([1, 2]))

    def again():
        return opened(tmp_path, lambda builder: builder.add(id=path.read_text()), [path])

    assert again().fresh and not again().fresh
    os.utime(path, (1, 1))
    assert not again().fresh
    stat = path.stat()
    path.write_text(json.dumps([1, 3]))  # the same size, and the same time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert again().fresh and again().rows[0]["id"] == "[1, 3]"


def test_a_picture_that_arrives_later_is_found(copied):
    folder, _, cache = copied("coco")
    picture = min((folder / "train2017").iterdir())
    data = picture.read_bytes()
    picture.unlink()
    broken = open_reader("coco", folder, cache=cache)
    assert len(broken) == 2 and len(broken.problems) == 2
    picture.write_bytes(data)
    whole = open_reader("coco", folder, cache=cache)
    assert whole.fresh and len(whole) == 4 and not whole.problems


def test_every_folder_is_watched_however_many_there_are(tmp_path, monkeypatch):
    """InstructPix2Pix has a folder a prompt, GQA-Inpaint one a picture: hundreds of thousands."""
    monkeypatch.setattr(index, "_BLOCK", 1000)  # the list is read in many pieces
    pictures, count = tmp_path / "data" / "pictures", 5000
    for number in range(count):
        (pictures / f"{number:05d}").mkdir(parents=True)

    def build(builder):
        for name in builder.names(pictures):
            builder.names(pictures / name)
        builder.exists(pictures / "nowhere" / "1.jpg")
        builder.add(id=1)

    def again():
        return opened(tmp_path, build)

    folder = again().folder
    assert not again().fresh
    for change in (
        (pictures / f"{count - 1:05d}" / "1.jpg").touch,  # in the last of them
        (pictures / "02500" / "1.jpg").touch,
        (pictures / "00003").rmdir,
        (pictures / "nowhere").mkdir,
    ):
        change()
        assert again().fresh and not again().fresh
    for name in ("folders.bin", "stamps.npy"):
        for keep in (100, -2):
            (folder / name).write_bytes((folder / name).read_bytes()[:keep])
            assert again().fresh
    assert (folder / "index.json").stat().st_size < 1000


def test_listings_that_are_asked_for_again_and_again_are_read_once(tmp_path, monkeypatch):
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    listed = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or real(path))

    def build(builder):
        for number in range(1000):
            builder.exists(tmp_path / "data" / "pictures" / "1.jpg")
            builder.exists(tmp_path / "data" / str(number) / "1.jpg")

    opened(tmp_path, build)
    assert listed.count(os.fspath(tmp_path / "data" / "pictures")) == 1


def test_where_indices_go(tmp_path, monkeypatch, made):
    monkeypatch.setenv("INSTRUCTDIFFUSION_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    folder, _ = made("voc")
    before = sorted(folder.rglob("*"))
    open_reader("voc", folder)
    assert list((tmp_path / "here").rglob("rows.bin"))
    assert sorted(folder.rglob("*")) == before  # the dataset itself is left alone


def test_splits_tasks_and_folders_have_indices_of_their_own(made, tmp_path):
    folder, counts = made("coco")
    readers = [open_reader("coco", folder, split, task, cache=tmp_path) for split, task in counts]
    assert all(reader.fresh for reader in readers)
    assert len(list(tmp_path.iterdir())) == len(counts)


def _read(reader, queue):
    queue.put([reader.sample(seed).subjects for seed in range(4)])


def test_processes_share_an_index(made, tmp_path):
    folder, _ = made("refcoco")
    reader = open_reader("refcoco", folder, cache=tmp_path)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=_read, args=(reader, queue))
    worker.start()
    found = queue.get(timeout=120)
    worker.join()
    assert found == [reader.sample(seed).subjects for seed in range(4)]


def test_changes_within_a_tick_of_the_clock_are_seen(tmp_path):
    """Two writes of one size in a row may leave a file with the same times: then its content decides."""
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    path = tmp_path / "data" / "list.json"

    def build(builder):
        builder.add(id=path.read_text(), names=builder.names(path.parent / "pictures"))

    for number in range(60):
        path.write_text(str(number % 10))
        if number % 3 == 0:
            (path.parent / "pictures" / f"{number}.png").touch()
        row = opened(tmp_path, build, [path]).rows[0]
        assert row["id"] == str(number % 10) and len(row["names"]) == number // 3 + 1


def test_an_index_made_by_two_at_once_is_the_first_ones(tmp_path):
    def build(builder):
        builder.add(id=len(made))
        if not made:
            made.append(opened(tmp_path, build_again))  # another process is done before this one

    def build_again(builder):
        builder.add(id=7)

    made = []
    index = opened(tmp_path, build)
    assert made[0].fresh and list(made[0].rows) == [{"id": 7}] and list(index.rows) == [{"id": 7}]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [index.folder.name]


def test_an_index_that_is_being_exchanged_is_waited_for(tmp_path):
    index = opened(tmp_path, lambda builder: builder.add(id=1))
    aside = index.folder.with_name("aside")
    index.folder.rename(aside)
    back = threading.Timer(
        0.1, aside.rename, [index.folder]
    )  # as another process does between its two renames
    back.start()
    try:
        assert list(Index(index.folder).rows) == [{"id": 1}]
    finally:
        back.join()


def test_an_index_that_stays_away_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_TRIES", 2)
    with pytest.raises(FileNotFoundError, match="index.json"):
        Index(tmp_path / "nowhere")
