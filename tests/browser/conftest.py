"""Headless Chromium on the page of a real ComfyUI; skipped in a line where either is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..comfyui.client import Comfy
from ..comfyui.conftest import comfy
from ..comfyui.server import comfyui_path
from .canvas import driver, open_page, window

__all__ = ["comfy"]


def _missing() -> str:
    if comfyui_path() is None:
        return "no ComfyUI: set COMFYUI_PATH to a checkout of it"
    if not driver():
        return "no chromedriver: install Chromium and its driver"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "no selenium: pip install selenium"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is here where something is missing."""
    if reason := _missing():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def page(comfy: Comfy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The server's page in a window."""
    with window(tmp_path_factory.mktemp("chromium")) as browser:
        open_page(browser, comfy)
        yield browser
