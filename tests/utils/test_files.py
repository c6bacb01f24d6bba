"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.utils import files
from instructdiffusion.utils.files import WriteError, check_writable, write_files, write_json, write_png


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_pictures_and_json_come_back(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "deep" / "a.png", picture)
    write_png(tmp_path / "m.png", picture[..., 0] > 99)
    write_json(tmp_path / "a.json", {"é": [1, 2.5]})
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep" / "a.png")), picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m.png")) == 255, picture[..., 0] > 99)
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": [1, 2.5]}
    assert names(tmp_path) == ["a.json", "deep", "m.png"]


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(place, tmp_path, monkeypatch):
    write_files({tmp_path / "a": b"old"})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, place, full)
    with pytest.raises(WriteError, match="could not write .*disk is full"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_all_files_or_none(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match="file"):
        write_files({tmp_path / "a": b"1", tmp_path / "file" / "b": b"2"})
    assert names(tmp_path) == ["file"]


def test_check_writable_leaves_nothing_behind(tmp_path, monkeypatch):
    assert check_writable(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert check_writable(tmp_path) == tmp_path and names(tmp_path) == []
    monkeypatch.chdir(tmp_path)
    assert check_writable("new") == Path("new") and check_writable(".") == Path(".") and names(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for place in ("file", "file/deep", "file/deep/down", "nowhere", "nowhere/deep"):
        with pytest.raises(
            WriteError, match=f"could not write to .*{place}: .*(file stands where|not a folder)"
        ):
            check_writable(tmp_path / place)
    with pytest.raises(WriteError, match="the name is too long"):
        check_writable(tmp_path / "deep" / ("x" * 300))
    assert names(tmp_path) == ["file", "nowhere"]


def test_check_writable_on_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteError, match="could not write to .*new: the disk is full"):
        check_writable(tmp_path / "new")
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    for place in (folder, folder / "new" / "deep"):
        with pytest.raises(WriteError, match="permission"):
            check_writable(place)


@pytest.mark.parametrize("bad", [np.zeros((3, 3, 3)), np.zeros(3, np.uint8)])
def test_what_is_no_picture_is_refused(bad, tmp_path):
    with pytest.raises(ValueError, match="expected a picture"):
        write_png(tmp_path / "a.png", bad)
    assert names(tmp_path) == []


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert names(tmp_path) == []


def test_a_folder_in_the_place_of_a_file_stops_all_of_them(tmp_path):
    write_files({tmp_path / "a": b"old"})
    (tmp_path / "b").mkdir()
    with pytest.raises(WriteError, match="could not write .*b: a folder of that name"):
        write_files({tmp_path / "a": b"new", tmp_path / "deep" / "c": b"new", tmp_path / "b": b"new"})
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    for content in ("first", "second"):
        with files.whole_folder(tmp_path / "new" / "model") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / content).write_text(content)
    with pytest.raises(KeyError), files.whole_folder(tmp_path / "new" / "model") as folder:
        (folder / "third").write_text("half")
        raise KeyError
    assert names(tmp_path / "new") == ["model"] and names(tmp_path / "new" / "model" / "deep") == ["second"]


def test_processes_that_write_one_folder_at_once_leave_one_whole(tmp_path, monkeypatch):
    """Another process's folder appears after this one looked, before it renames: the last to come stays."""
    move, raced = os.replace, []

    def replace(source, target):
        if not raced and target == tmp_path / "model":
            raced.append(target)
            target.mkdir()
            (target / "theirs").write_text("whole")
        move(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    with files.whole_folder(tmp_path / "model") as folder:
        (folder / "ours").write_text("whole")
    assert raced and names(tmp_path) == ["model"] and names(tmp_path / "model") == ["ours"]
