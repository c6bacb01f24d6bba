"""The kernel compiled for GPUs that are not there: what ptxas and the PTX say about it."""

import importlib.util
import os

import pytest
import torch

from instructdiffusion.sampling.kernels.ahead import ARCHITECTURES, compile_step

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed: nothing is compiled", allow_module_level=True)
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("TRITON_INTERPRET is set: nothing is compiled", allow_module_level=True)

# An SM has 65536 registers: at 64 a thread, 8 programs of 4 warps are resident, enough to keep memory busy.
MOST_REGISTERS = 64


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_spills_few_registers_and_whole_words(architecture, dtype):
    made = compile_step(architecture, dtype=dtype)
    assert f".target sm_{architecture}" in made.ptx
    assert made.spilled == 0 and made.stack == 0 and made.registers <= MOST_REGISTERS
    # Read: x, an earlier latent, saved, noise and 3 predictions. Written: the new x, the denoised latent, 3 copies
    # of the next input, and (by the lanes that have reason to) a flag a value. A thread has 4 values of each.
    single = dtype == torch.float32
    assert made.loads == ({16: 7} if single else {16: 4, 8: 3})
    assert made.stores == ({16: 5, 1: 4} if single else {16: 2, 8: 3, 1: 4})
    assert "ld.global.v4" in made.ptx and (single or "ld.global.v2" in made.ptx)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_largest_variant_for_graphs_does_not_spill(architecture):
    made = compile_step(architecture, branches=4, past=3, in_place=True)
    assert made.spilled == 0 and made.stack == 0 and made.registers <= MOST_REGISTERS
    scalars = 15  # 4 bytes each, read from the table
    assert made.loads == {16: 6, 8: 4, 4: scalars} and made.stores == {16: 5, 8: 4, 1: 4}


@pytest.mark.parametrize("branches", [1, 2, 3, 4])
def test_every_branch_reads_once_and_writes_once(branches):
    made = compile_step(90, branches=branches, past=0, saved=False, noise=False)
    assert made.loads == {16: 1, 8: branches} and made.stores == {16: 2, 8: branches, 1: 4}


def test_channels_last_keeps_whole_words():
    made = compile_step(90, channels_last=True)
    assert made.spilled == 0 and made.loads == {16: 4, 8: 3} and made.stores == {16: 2, 8: 3, 1: 4}


def test_odd_sizes_compile_to_single_values():
    made = compile_step(90, shape=(2, 4, 13, 11))
    assert made.spilled == 0 and set(made.loads) == {4, 2}


@pytest.fixture
def pretended_gpu(monkeypatch):
    """A driver that only names its GPU: enough for triton's launcher to go as far as the compiled kernel."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    class Driver:
        def get_current_device(self):
            return 1000  # no true one, whose kernels are kept under its number

        def get_current_target(self):
            return GPUTarget("cuda", 90, 32)

        def get_current_stream(self, device):
            return 0

    monkeypatch.setattr(driver, "_active", Driver())  # its own reset_active fails where there is no GPU


def test_the_launcher_compiles_what_is_examined_here_and_new_numbers_nothing_new(pretended_gpu):
    from instructdiffusion.sampling.kernels import fused
    from instructdiffusion.sampling.kernels.ahead import example

    def compiled(named):
        return fused.step_kernel.warmup(**named, **fused.OPTIONS, grid=(1,))

    named = example()
    first = compiled(named)
    assert first.asm["ptx"] == compile_step(90).ptx
    flags = torch.ones(9, dtype=torch.uint8)[1:2]  # one row of a run's flags, at an odd address
    for number in (0.0, 1.0, -2.5, 1e-40, 3e38):
        assert compiled({**named, **dict.fromkeys(fused.SCALARS, number), "finite_ptr": flags}) is first
    assert compiled(example(shape=(5, 4, 48, 80))) is first
    assert compiled(example(dtype=torch.bfloat16)) is not first
