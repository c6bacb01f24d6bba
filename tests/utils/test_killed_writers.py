"""Files of a process that is killed: all of them or none, and nothing hidden stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from instructdiffusion.utils import files
from instructdiffusion.utils.files import clear_leftovers, write_files

fcntl = pytest.importorskip("fcntl")

WRITER = """
import os, signal, sys
from pathlib import Path
from instructdiffusion.utils import files
folder, call, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
own = getattr(os, call)
def counted(*arguments):
    global count
    count -= 1
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return own(*arguments)
setattr(files.os, call, counted)
files.write_files({folder / "a.json": b"new a", folder / "deep" / "b.png": b"new b", folder / "c.png": b"new c"})
"""


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("count", range(5))
def test_all_or_none_after_a_kill_at_any_moment(call: str, count: int, tmp_path: Path, monkeypatch) -> None:
    write_files({tmp_path / "a.json": b"old a", tmp_path / "c.png": b"old c"})
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), call, str(count)], timeout=60)
    monkeypatch.setattr(files, "_FRESH", -1.0)
    clear_leftovers(tmp_path, tmp_path / "deep")
    found = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    new = {"a.json": b"new a", "c.png": b"new c", "deep/b.png": b"new b"}
    assert found in (new, {"a.json": b"old a", "c.png": b"old c"})
    assert (done.returncode == 0) <= (found == new)


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_FRESH", -1.0)
    half = tmp_path / ".a.json.0123abcd.tmp"
    with open(half, "wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        clear_leftovers(tmp_path)
        assert half.exists()
    clear_leftovers(tmp_path)
    assert not half.exists()


def test_a_list_renames_nothing_outside_its_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_FRESH", -1.0)
    inside, outside = tmp_path / "in", tmp_path / "precious"
    inside.mkdir()
    outside.write_bytes(b"kept")
    (inside / ".x.0123abcd.tmp").write_bytes(b"evil")
    for text in (
        '[[".x.0123abcd.tmp", "../precious"]]',
        "[1]",
        "not JSON",
        f'[[".x.0123abcd.tmp", "{outside}"]]',
    ):
        (inside / ".x.89abcdef.commit").write_text(text, encoding="utf-8")
        clear_leftovers(inside)
        assert outside.read_bytes() == b"kept" and not (inside / ".x.89abcdef.commit").exists()


def test_a_name_of_all_the_letters_a_file_may_have(tmp_path: Path) -> None:
    name = "x" * 250 + ".json"
    write_files({tmp_path / name: b"1", tmp_path / "b": b"2"})
    assert names(tmp_path) == ["b", name]
