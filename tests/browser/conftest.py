"""Headless Chromium on the page of a real ComfyUI; skipped in a line where either is missing.

CHROMEDRIVER  the driver (else `chromedriver` on the path)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..comfyui.conftest import comfy, comfyui_path

__all__ = ["comfy"]


def _missing() -> str:
    if comfyui_path() is None:
        return "no ComfyUI: set COMFYUI_PATH to a checkout of it"
    if not (os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")):
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
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A Chromium window of 2000 x 1250 pixels."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for switch in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--window-size=2000,1250", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(switch)
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    window = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield window
    finally:
        window.quit()
