"""The step's benchmark: what can be known of it without a GPU."""

import pytest
import torch

from instructdiffusion.sampling.kernels import step, why_not_here

from .step import arguments_of, main, page

WITHOUT = not torch.cuda.is_available()


@pytest.mark.skipif(not WITHOUT, reason="there is a CUDA device")
def test_without_a_device_the_command_says_so(capsys, tmp_path):
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert f"none to measure: {why_not_here('cuda')}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_the_step_that_is_measured_is_a_step(branches):
    given = arguments_of(16, 4, branches, "cpu")
    out = step(**given)
    assert out.x.shape == (4, 4, 16, 16) and torch.isfinite(out.x).all() and given["finite"].all()
    assert torch.equal(given["batch"][0], out.scaled[0]) and given["batch"].dtype == torch.float16


def test_the_page_has_a_line_a_measurement():
    one = {"device_us": 2.0, "host_us": 30.0, "launches": 1.0, "waits": 0.0, "mb": 0.3, "gb_per_s": 150.0}
    slow = {**one, "device_us": 20.0, "launches": None, "waits": None}
    row = {"side": 64, "batch": 1, "branches": 3, "reference": slow, "triton": one, "difference": 1e-6}
    how = {"ms_a_row": 2.0, "difference": 0.0}
    run = {"batch": 1, "dtype": "float16", "capture_ms": 90.0, "reference": how, "fused": how, "graph": how}
    about = dict.fromkeys(("gpu", "driver", "cuda", "torch", "triton", "cpu"), "x")
    text = page({"command": "c", "machine": about, "step": [row], "replayed": [run]})
    assert "| 1 x 4 x 64 x 64 | 3 | triton | 2.00 | 30.0 | 1 | 0 | 0.30 | 150 | 10.0 |" in text
    assert "| reference | 20.00 | 30.0 | - | - |" in text and "| 1 | float16 | graph | 2.000 |" in text
