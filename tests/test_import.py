"""Importing the package is quick and pulls in nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "scipy",
    "kornia",
    "triton",
    "comfy",
    "skimage",
    "sklearn",
)


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(statement):
    code = f"import json, sys; {statement}; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    return set(json.loads(python(code).splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import instructdiffusion",
        "import instructdiffusion; instructdiffusion.TASKS; instructdiffusion.results",
        "from instructdiffusion.cli import build_parser; build_parser()",
        "import instructdiffusion.sampling",
    ],
)
def test_nothing_heavy_is_imported(statement):
    assert not loaded_after(statement) & set(HEAVY)


def test_import_takes_less_than_half_a_second():
    code = "import time; a = time.perf_counter(); import instructdiffusion; print(time.perf_counter() - a)"
    assert min(float(python(code)) for _ in range(3)) < 0.5


def test_public_names():
    import instructdiffusion

    assert set(instructdiffusion.__all__) <= set(dir(instructdiffusion))
    assert all(getattr(instructdiffusion, name) is not None for name in instructdiffusion.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        instructdiffusion.nothing  # noqa: B018
