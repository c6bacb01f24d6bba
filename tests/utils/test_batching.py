"""Batches: halved where memory runs out, and never for another reason."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from instructdiffusion.utils.batching import in_batches, out_of_memory

CPU = "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


def limited(most, error=MemoryError):
    """Work that fails for more than `most` items; it lists the sizes it was asked for."""
    asked = []

    def work(batch):
        asked.append(len(batch))
        if len(batch) > most:
            raise error(CPU)
        return [item * 10 for item in batch]

    return work, asked


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, torch.cuda.OutOfMemoryError])
def test_a_batch_that_does_not_fit_is_halved_and_so_are_the_next(error):
    work, asked = limited(2, error)
    with pytest.warns(UserWarning, match="9 pictures at once do not fit into memory, 2 do") as told:
        found = list(in_batches(range(9), 16, work))
    assert [n for first, batch, out in found for n in out] == [n * 10 for n in range(9)]
    assert [first for first, _, _ in found] == [0, 2, 4, 6, 8]
    assert asked == [9, 4, 2, 2, 2, 2, 1] and len(told) == 1


@pytest.mark.parametrize(
    "said",
    [
        "Invalid buffer size: 24.00 GiB",
        "MPS backend out of memory (MPS allocated: 17.02 GB, other allocations: 1.21 GB, max allowed: 18.13 GB).",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuFFT error: CUFFT_ALLOC_FAILED",
    ],
)
def test_what_accelerators_say_where_memory_runs_out_is_known(said):
    assert out_of_memory(RuntimeError(said)) and not out_of_memory(ValueError(said))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_before_the_next_attempt_torch_gives_back_what_it_keeps(device, monkeypatch):
    given, (work, asked) = [], limited(1)
    for place in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(place, "is_available", lambda place=place: device in place.__name__)
    monkeypatch.setattr(getattr(torch, device), "empty_cache", lambda: given.append(list(asked)))
    with pytest.warns(UserWarning, match="1 do"):
        list(in_batches(range(4), 4, work))
    assert given == [[4], [4, 2]]


def test_what_fits_is_done_as_asked_without_a_word():
    work, asked = limited(4)
    assert [len(b) for _, b, _ in in_batches(list("abcdefghi"), 4, work)] == asked == [4, 4, 1]


def test_one_that_does_not_fit_says_what_to_do():
    work, asked = limited(0)
    with pytest.raises(
        MemoryError, match=r"not even one picture .*can't allocate.*smaller resolution.*float16"
    ):
        list(in_batches(range(5), 4, work))
    assert asked == [4, 2, 1]


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_handed_on_at_once(error):
    asked = []

    def work(batch):
        asked.append(batch)
        raise error

    with pytest.raises(type(error)):
        list(in_batches(range(5), 4, work))
    assert len(asked) == 1


def test_what_allocators_say():
    for text in (
        "CUDA out of memory. Tried to allocate 2 GiB",
        "MPS backend out of memory",
        CPU,
        "not enough memory",
    ):
        assert out_of_memory(RuntimeError(text))
    assert out_of_memory(MemoryError()) and not out_of_memory(RuntimeError("a memory of summer"))


@pytest.mark.parametrize("task", ["segment", "denoise"])  # whole pictures, and tiles
def test_answers_are_the_same_where_memory_is_short(task, model, monkeypatch):
    sources = list(np.random.default_rng(0).integers(0, 256, (3, 80, 64, 3), dtype=np.uint8))
    ask = {
        "segment": lambda: model.segment(sources, "the red star"),
        "denoise": lambda: model.denoise(sources, steps=1),
    }
    expected, draw = ask[task](), model.backend.generate

    def short(pictures, *arguments, **options):
        if len(pictures) > 1:
            raise MemoryError("too many")
        return draw(pictures, *arguments, **options)

    monkeypatch.setattr(model.backend, "generate", short)
    with pytest.warns(UserWarning, match="do not fit into memory, 1 do"):
        got = ask[task]()
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a.picture.astype(int) - b.picture).max() <= 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as Linux does it")
def test_torchs_own_refusal_is_understood():
    """A process that may not grow: torch's CPU allocator refuses, and the batch is split."""
    code = """
import resource, warnings, torch
from instructdiffusion.utils.batching import in_batches
torch.zeros(4).add(1)
size = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 400 * 2**20,) * 2)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    work = lambda batch: torch.empty(len(batch), 2**25, dtype=torch.uint8).shape  # 32 MiB each
    found = [out[0] for _, _, out in in_batches(range(64), 64, work)]
assert sum(found) == 64 and max(found) < 64, found
assert any("do not fit into memory" in str(w.message) for w in told), [str(w.message) for w in told]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
