"""The package as pip installs it holds the models that ship."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "instructdiffusion" / "assets"


@pytest.mark.slow
def test_a_wheel_holds_the_model_to_the_last_byte(tmp_path):
    """Built without a network, from a copy: a build leaves folders of its own in the tree."""
    # Asked about without importing it: setuptools puts itself in the place of a distutils that is loaded already.
    try:
        builds = version("pip") and int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        builds = False
    if not builds:
        pytest.skip("pip and setuptools 77 or newer build the wheel, and are not both here")
    source = tmp_path / "source"
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "instructdiffusion", source / "instructdiffusion", ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-v"]
    built = subprocess.run(
        [*command, "-w", str(tmp_path), str(source)], capture_output=True, text=True, timeout=500
    )
    assert built.returncode == 0, built.stderr[-2000:]
    assert "DeprecationWarning" not in built.stdout + built.stderr, "the build will stop working some day"
    (wheel,) = tmp_path.glob("instructdiffusion-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        shipped = [path for path in SHIPPED.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert len([path for path in shipped if "tiny" in path.parts]) >= 10
        for path in shipped:
            assert archive.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()
        (entries,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"instructdiffusion = instructdiffusion.cli:main" in archive.read(entries)
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        assert b"License-Expression: Apache-2.0\n" in archive.read(metadata)
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "instructdiffusion/py.typed" in names
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"instructdiffusion"}
