"""The repository's root as a package, loaded by its place as ComfyUI does: nothing is installed, no path is set."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack's entry module."""
    name = "/custom_nodes/instructdiffusion_under_test"
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def convert(pack: ModuleType) -> ModuleType:
    """nodes/convert.py, which needs no ComfyUI."""
    return importlib.import_module(".nodes.convert", pack.__name__)


@pytest.fixture(scope="session")
def results(pack: ModuleType) -> ModuleType:
    """The results module of the same copy of the package."""
    return importlib.import_module(".instructdiffusion.results", pack.__name__)
