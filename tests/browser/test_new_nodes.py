"""Nodes 2.0, the page's newer way to show nodes: graphs dropped and run in it, and what it folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..comfyui.client import Comfy
from ..comfyui.graphs import GRAPHS, PREVIEWED
from .canvas import ALERTS, BOXES, UNKNOWN, drop, open_page, overlapping, press_run, until, window
from .test_canvas import screenshot

_KNOWN = "return window.app.extensionManager?.setting?.get('Comfy.VueNodes.Enabled') ?? null"
_SHOWN = """
const number = window.app.graph._nodes.find(n => n.type === arguments[0]).id;
const node = document.querySelector(`[data-node-id="${number}"]`);
return node ? node.innerText : '';
"""
_PICTURES = "return [...document.querySelectorAll('[data-node-id] img')].filter(i => i.naturalWidth).length"


@pytest.fixture(scope="module")
def new_page(comfy: Comfy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page in a window of its own, with Nodes 2.0 on; the server keeps the setting, so it is off again after."""
    comfy.call("/settings", {"Comfy.VueNodes.Enabled": True})
    try:
        with window(tmp_path_factory.mktemp("new_nodes")) as browser:
            open_page(browser, comfy)
            if browser.execute_script(_KNOWN) is not True:
                pytest.skip("this version of the page has no Nodes 2.0")
            yield browser
    finally:
        comfy.call("/settings", {"Comfy.VueNodes.Enabled": False})


@pytest.mark.parametrize("name", ["segment", "detect", "guider", "own_picture"])
def test_a_graph_is_shown_and_run(new_page: Any, comfy: Comfy, name: str) -> None:
    drop(new_page, name)
    assert not new_page.execute_script(ALERTS)
    assert not [kind for kind in new_page.execute_script(UNKNOWN) if kind != "MarkdownNote"]
    before = len(list(Path(comfy.base / "output").glob("*.png")))
    previews = sum(node.kind in PREVIEWED for node in GRAPHS[name].nodes)
    press_run(new_page, previews=previews)
    until(new_page, _PICTURES, lambda count: count >= previews)
    assert len(list(Path(comfy.base / "output").glob("*.png"))) > before
    screenshot(new_page, f"{name}_new_nodes")
    assert not overlapping(new_page.execute_script(BOXES))


def test_what_people_use_is_shown_and_the_rest_folded(new_page: Any) -> None:
    drop(new_page, "own_picture")
    text = until(new_page, f"return (() => {{ {_SHOWN.replace('arguments[0]', repr('InstructSampler'))} }})()", bool)
    assert all(name in text for name in ("seed", "steps", "resolution"))
    assert not any(name in text for name in ("solver", "scheduler", "text_guidance", "resize_mode", "zoom"))
