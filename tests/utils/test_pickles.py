"""Pickles of a few bytes take neither gigabytes nor for ever."""

from __future__ import annotations

import io
import pickle
import random
import time
import tracemalloc
import zipfile

import pytest
import torch

from instructdiffusion.datasets.readers.plain_pickle import load_plain, plain_parts
from instructdiffusion.datasets.readers.problems import Flaw
from instructdiffusion.models.formats.safe_pickle import read_checkpoint
from instructdiffusion.utils.pickles import BoundedUnpickler

NESTED = b"\x80\x02)" + b"q\x00h\x00\x86" * 60  # ((..., ...), (..., ...)), two to the power of 60 leaves
BOMBS = {
    "numbers": b"\x80\x02]r\xff\xff\xff\x3f.",
    "numbers in words": b"(lp999999999\n.",
    "bytearray": b"\x80\x05\x96" + (1 << 35).to_bytes(8, "little") + b".",
    "bytes": b"\x80\x04\x8e" + (1 << 35).to_bytes(8, "little") + b".",
    "frame": b"\x80\x04\x95" + (1 << 35).to_bytes(8, "little") + b"].",
    "a key": b"\x80\x02}" + NESTED[2:] + b"K\x01s.",
    "keys": b"\x80\x02}(" + NESTED[2:] + b"K\x01u.",
    "a set": b"\x80\x04\x8f(" + NESTED[2:] + b"\x90.",
    "depth": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


def archive(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/version", "3")
    return stream.getvalue()


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_or_harmless(kind, tmp_path):
    plain, checkpoint = tmp_path / "refs.p", tmp_path / "model.ckpt"
    plain.write_bytes(BOMBS[kind])
    checkpoint.write_bytes(archive(BOMBS[kind]))
    tracemalloc.start()
    begun = time.monotonic()
    try:
        for read in (load_plain, lambda path: list(plain_parts(path))):
            try:
                read(plain)
            except Flaw:
                pass
        with pytest.raises(ValueError):
            read_checkpoint(checkpoint)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < 20


def test_a_compressed_archive_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "model.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(50 << 20))
    with pytest.raises(ValueError, match="compressed records"):
        read_checkpoint(path)


def test_a_header_of_lists_in_lists_names_its_file(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"instructdiffusion": "[" * 100_000})
    with pytest.raises(ValueError, match="model.safetensors"):
        read_checkpoint(path)


def test_nothing_is_named():
    with pytest.raises(pickle.UnpicklingError, match="os.system|posix.system"):
        BoundedUnpickler(io.BytesIO(pickle.dumps(__import__("os").system))).load()


@pytest.mark.fuzz(count=5000)
def test_damaged_pickles_are_refused_or_read(fuzz_cases, tmp_path):
    refs = [
        {"ref_id": n, "sentences": [{"sent": f"the {n}th"}], "box": (1.5, n, None, True)} for n in range(20)
    ]
    stream = io.BytesIO()
    torch.save(
        {"state_dict": {"a.weight": torch.ones(3)}, "epoch": 3, "callbacks": {"x": [1, (2, 3)]}}, stream
    )
    with zipfile.ZipFile(stream) as file:
        (name,) = [n for n in file.namelist() if n.endswith("data.pkl")]
        weights = file.read(name)
    whole = [*(pickle.dumps(refs, protocol) for protocol in range(6)), weights, *BOMBS.values()]
    plain, checkpoint = tmp_path / "refs.p", tmp_path / "model.ckpt"
    for number, rng in fuzz_cases:
        data = damaged(rng.choice(whole), rng)
        plain.write_bytes(data)
        checkpoint.write_bytes(archive(data))
        for read in (load_plain, lambda path: list(plain_parts(path))):
            try:
                read(plain)
            except Flaw:
                pass
        try:
            read_checkpoint(checkpoint)
        except ValueError as error:
            assert "model.ckpt" in str(error), number


def damaged(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data[:4000])
    for _ in range(rng.choice((1, 1, 2, 4, 10))):
        place = rng.randrange(len(out))
        kind = rng.random()
        if kind < 0.5:
            out[place] = rng.choice(
                b"(.0ajqrpPRcbo\x80\x81\x85\x86\x87\x8e\x8f\x90\x91\x93\x94\x95\x96]}su)tlde"
                + rng.randbytes(2)
            )
        elif kind < 0.7:
            out[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", bytes(4), rng.randbytes(4)))
        elif kind < 0.85:
            del out[place : place + rng.randrange(1, 9)]
        else:
            out[place:place] = out[place : place + rng.randrange(1, 30)]
        if not out:
            return b"."
    return bytes(out)
