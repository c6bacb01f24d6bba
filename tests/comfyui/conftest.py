"""A ComfyUI for the tests (`server` says which); they are skipped in one line where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from instructdiffusion import InstructDiffusion

from .client import Comfy
from .server import comfyui_path, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a ComfyUI everything here is skipped, in a line a file."""
    if comfyui_path() is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no ComfyUI: set COMFYUI_PATH to a checkout of it"))


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    """A running server; previews are on, as a user may have them."""
    with running(tmp_path_factory.mktemp("comfyui"), "--preview-method", "latent2rgb") as server:
        yield server


@pytest.fixture(scope="session")
def tiny() -> InstructDiffusion:
    """The model that ships, asked by the package itself."""
    return InstructDiffusion.from_pretrained("tiny")
