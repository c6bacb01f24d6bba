"""Data sets on disk with anything in them: checked to the end, every fault named, nothing waited for."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from instructdiffusion.cli import main
from instructdiffusion.datasets.fixtures import FIXTURES, write_fixture

ODD = (
    *(None, True, -1, 0, 1e308, float("nan"), 2**70, [], {}, [[[]]]),
    *("", "x" * 3000, "../../etc", "\x1b[2J", "nan", "\ud800"),
)
FILES = (b"", b"\0" * 300, b"<html>", b"\xff\xfe{\x00}\x00", b"[" * 50_000, b"%!PS\n{} loop\n", b"\x89PNG\r\n\x1a\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy of every layout that can be written here."""
    folder, layouts = tmp_path_factory.mktemp("layouts"), {}
    for name in FIXTURES:
        try:
            write_fixture(name, folder / name, 0)
        except ModuleNotFoundError:
            continue
        layouts[name] = folder / name
    return layouts


@pytest.mark.fuzz(count=1000)
def test_a_damaged_layout_is_checked_to_its_end(fuzz_cases, whole, tmp_path: Path, capsys) -> None:
    def alarm(*_: Any) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, alarm) if hasattr(signal, "SIGALRM") else None
    try:
        for number, rng in fuzz_cases:
            name = rng.choice(sorted(whole))
            place = tmp_path / str(number)
            shutil.copytree(whole[name], place / name)
            changes = [change(place / name, rng) for _ in range(rng.choice((1, 1, 2, 4)))]
            if before is not None:
                signal.alarm(60)
            folders = ["-o", str(place / "out"), "--cache", str(place / "cache")]
            status = main(["data", "check", str(place / name), *folders])
            if before is not None:
                signal.alarm(0)
            assert status in (0, 1, 2), (number, name, changes)
            assert "Traceback" not in "".join(capsys.readouterr())
            shutil.rmtree(place)
    finally:
        if before is not None:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def change(folder: Path, rng: random.Random) -> str:
    """Damage one file of a layout; says which and how."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    if not paths:
        return "nothing left"
    annotations = [p for p in paths if p.suffix in (".json", ".jsonl", ".txt", ".csv", ".p", ".mat", ".parquet")]
    path = rng.choice(annotations if annotations and rng.random() < 0.7 else paths)
    kind = rng.random()
    if path.suffix == ".json" and kind < 0.6:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):  # damaged before
            return f"{path.name} again"
        path.write_text(json.dumps(odd(data, rng)), encoding="utf-8")
        return f"a value in {path.name}"
    data = bytearray(path.read_bytes()) or bytearray(b" ")
    if kind < 0.7:
        path.unlink()
    elif kind < 0.75 and hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
    elif kind < 0.85:
        path.write_bytes(rng.choice(FILES))
    elif kind < 0.92:
        path.write_bytes(data[: rng.randrange(len(data) + 1)])
    else:
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
    return f"{path.name}"


def odd(data: Any, rng: random.Random) -> Any:
    """The data with one value, somewhere in it, exchanged for an odd one, left out, or doubled."""
    if isinstance(data, dict) and data and rng.random() < 0.9:
        key = rng.choice(list(data))
        if rng.random() < 0.1:
            return {k: v for k, v in data.items() if k != key}
        return {**data, key: odd(data[key], rng)}
    if isinstance(data, list) and data and rng.random() < 0.9:
        row = rng.randrange(len(data))
        if rng.random() < 0.05:
            return data[:row] + data[row + 1 :]
        if rng.random() < 0.05:
            return [*data, data[row]]
        return [*data[:row], odd(data[row], rng), *data[row + 1 :]]
    return rng.choice(ODD)
