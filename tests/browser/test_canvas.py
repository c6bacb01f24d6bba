"""As a user does it: the page is opened, a graph's file is dropped onto the canvas, Run is pressed, a preview appears.

Screenshots go to SCREENSHOTS where that is set, for people to look at.
"""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ..comfyui.client import Comfy
from ..comfyui.graphs import FOLDER, GRAPHS

# A drop event with a file in it, on the canvas: what the browser sends when a file is dragged onto the page.
_DROP = """
const [name, text] = arguments;
const data = new DataTransfer();
data.items.add(new File([text], name, {type: 'application/json'}));
const canvas = document.querySelector('#graph-canvas');
const box = canvas.getBoundingClientRect();
const place = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true};
for (const kind of ['dragenter', 'dragover', 'drop'])
  canvas.dispatchEvent(new DragEvent(kind, {...place, dataTransfer: data}));
"""
_TYPES = "return window.app ? window.app.graph._nodes.map(n => n.type) : []"
_MISSING = (
    "return window.app.graph._nodes.filter(n => n.has_errors || !n.constructor.nodeData).map(n => n.type)"
)
_BOXES = "return window.app.graph._nodes.map(n => [n.type, ...n.pos, ...n.size])"
_PREVIEWS = "return window.app.graph._nodes.filter(n => n.imgs && n.imgs.length).length"
_FIT = """
window.app.canvas.ds.scale = .85; window.app.canvas.ds.offset = [30, 90];
window.app.graph.setDirtyCanvas(true, true)
"""
_ALERTS = "return [...document.querySelectorAll('.p-toast-message')].map(m => m.innerText)"


def until(browser: Any, script: str, wanted: Any, seconds: float = 60) -> Any:
    """The script's value once `wanted` accepts it."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = browser.execute_script(script)
        except Exception:  # the page is still loading its scripts
            value = None
        if value is not None and wanted(value):
            return value
        assert time.monotonic() < end, f"still {value!r} after {seconds:g} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def page(comfy: Comfy, browser: Any) -> Any:
    browser.get(f"http://127.0.0.1:{comfy.port}/")
    until(
        browser,
        "return !!(window.app && window.app.graph && document.querySelector('#graph-canvas'))",
        bool,
        120,
    )
    time.sleep(3)
    browser.execute_script("for (const b of document.querySelectorAll('.p-dialog-close-button')) b.click()")
    return browser


def screenshot(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(page.get_screenshot_as_base64()))


def drop(page: Any, name: str) -> None:
    """Drop the file of a graph, and wait until the canvas shows its nodes."""
    page.execute_script("window.app.graph.clear()")
    page.execute_script(_DROP, f"{name}.json", (FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    wanted = len(GRAPHS[name].nodes) + 1  # and the note
    until(page, _TYPES, lambda types: len(types) == wanted)
    time.sleep(0.5)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_dropped_graph_shows_known_nodes_that_do_not_overlap(page: Any, name: str) -> None:
    drop(page, name)
    alerts = page.execute_script(_ALERTS)
    assert not alerts, f"the page complains: {alerts[0]}"
    missing = [t for t in page.execute_script(_MISSING) if t != "MarkdownNote"]
    assert not missing, f"the page does not know {missing}"
    boxes = page.execute_script(_BOXES)
    page.execute_script(_FIT)
    time.sleep(0.5)
    screenshot(page, name)
    for i, (first, x, y, w, h) in enumerate(boxes):
        for second, x2, y2, w2, h2 in boxes[i + 1 :]:
            apart = x + w <= x2 or x2 + w2 <= x or y + h <= y2 - 30 or y2 + h2 <= y - 30
            assert apart, f"{first} and {second} overlap"


@pytest.mark.parametrize(("name", "shown"), [("segment", 4), ("keypoints", 3), ("guider", 4)])
def test_run_is_pressed_and_a_preview_appears(page: Any, comfy: Comfy, name: str, shown: int) -> None:
    from selenium.webdriver.common.by import By

    drop(page, name)
    before = len(list((comfy.base / "output").glob("*.png")))
    buttons = page.find_elements(
        By.CSS_SELECTOR, "[data-testid='queue-button'] button, .comfyui-queue-button button"
    )
    assert buttons, "the page has no Run button"
    page.execute_script("arguments[0].click()", buttons[0])  # a first-start dialog may lie over it
    until(page, _PREVIEWS, lambda count: count >= shown, 90)
    assert len(list((comfy.base / "output").glob("*.png"))) > before
    page.execute_script(_FIT)
    time.sleep(1)
    screenshot(page, f"{name}_run")
