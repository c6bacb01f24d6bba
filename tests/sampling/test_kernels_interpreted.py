"""Runs kernels/interpreted*.py in a process with Triton's interpreter, and hands on what failed there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

CASES = sorted((Path(__file__).parent / "kernels").glob("interpreted*.py"))

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed: the kernel is not run"
)


@pytest.mark.slow
def test_the_kernel_agrees_with_the_reference_in_the_interpreter(tmp_path):
    report = tmp_path / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        *map(str, CASES),
    ]
    ran = subprocess.run(
        command,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    suite = next(ElementTree.parse(report).iter("testsuite"))
    assert int(suite.get("tests")) > 200 and suite.get("skipped") == "0"
