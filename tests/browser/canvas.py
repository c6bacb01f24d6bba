"""ComfyUI's page in a headless Chromium, used as a person uses it: a graph's file is dropped, Run is pressed.

CHROMEDRIVER  the driver (else `chromedriver` on the path)
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from ..comfyui.client import Comfy
from ..comfyui.graphs import FOLDER, GRAPHS

_PATIENCE = 600.0  # seconds; the page is several megabytes of scripts
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
# A picture dropped on a node: the event where the node lies, as when a file is dragged there.
_DROP_PICTURE = """
const [name, base64, title] = arguments;
const node = window.app.graph._nodes.find(n => n.title === title);
const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, {type: 'image/png'}));
const canvas = document.querySelector('#graph-canvas'), box = canvas.getBoundingClientRect();
const view = window.app.canvas.ds;
const at = i => (node.pos[i] + 20 + view.offset[i]) * view.scale;
const place = {clientX: box.x + at(0), clientY: box.y + at(1), bubbles: true, cancelable: true};
for (const kind of ['dragenter', 'dragover', 'drop'])
  canvas.dispatchEvent(new DragEvent(kind, {...place, dataTransfer: data}));
"""
_HELD = "return window.app.graph._nodes.find(n => n.title === arguments[0]).widgets[0].value"
# Where a node's title bar is, from the middle of the canvas.
_TITLE = """
const node = window.app.graph._nodes.find(n => n.title === arguments[0]);
const view = window.app.canvas.ds, box = document.querySelector('#graph-canvas').getBoundingClientRect();
return [(node.pos[0] + 60 + view.offset[0]) * view.scale - box.width / 2,
        (node.pos[1] - 12 + view.offset[1]) * view.scale - box.height / 2];
"""
_MODE = "return window.app.graph._nodes.find(n => n.title === arguments[0]).mode"
# The whole graph, as large as it fits beside the page's own bars, which lie over the canvas or, in older versions,
# beside it.
_FIT = """
const nodes = window.app.graph._nodes, title = 30, margin = 20;
const canvas = document.querySelector('#graph-canvas').getBoundingClientRect();
const [left, top] = [Math.max(margin, 70 - canvas.x), Math.max(margin, 110 - canvas.y)];
const x1 = Math.min(...nodes.map(n => n.pos[0])), x2 = Math.max(...nodes.map(n => n.pos[0] + n.size[0]));
const y1 = Math.min(...nodes.map(n => n.pos[1] - title)), y2 = Math.max(...nodes.map(n => n.pos[1] + n.size[1]));
const width = window.innerWidth - canvas.x - left - margin;
const height = window.innerHeight - canvas.y - top - margin;
const view = window.app.canvas.ds;
view.scale = Math.min(1, width / (x2 - x1), height / (y2 - y1));
view.offset[0] = left / view.scale - x1;
view.offset[1] = top / view.scale - y1;
window.app.graph.setDirtyCanvas(true, true);
"""
_READY = "return !!(window.app && window.app.graph && document.querySelector('#graph-canvas'))"
_TYPES = "return window.app ? window.app.graph._nodes.map(n => n.type) : []"
_DIALOGS = "for (const b of document.querySelectorAll('.p-dialog-close-button')) b.click()"
_RUN = "[data-testid='queue-button'] button, button[data-testid='queue-button'], .comfyui-queue-button button"
BOXES = "return window.app.graph._nodes.map(n => [n.type, ...n.pos, ...n.size])"
PREVIEWS = "return window.app.graph._nodes.filter(n => n.imgs && n.imgs.length).length"
ALERTS = "return [...document.querySelectorAll('.p-toast-message')].map(m => m.innerText)"
UNKNOWN = (
    "return window.app.graph._nodes.filter(n => n.has_errors || !n.constructor.nodeData).map(n => n.type)"
)


def driver() -> str | None:
    """Chromium's driver, or None."""
    return os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")


@contextmanager
def window(profile: Path) -> Iterator[Any]:
    """A Chromium window of 2000 x 1250 pixels with its profile in that folder."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for switch in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--window-size=2000,1250", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=Service(driver()))
    browser.set_script_timeout(_PATIENCE)
    browser.set_page_load_timeout(_PATIENCE)
    try:
        yield browser
    finally:
        browser.quit()


def until(browser: Any, script: str, wanted: Any, seconds: float = _PATIENCE) -> Any:
    """The script's value once `wanted` accepts it; AssertionError with the last value where it does not in time."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + seconds
    while True:
        try:
            value = browser.execute_script(script)
        except WebDriverException:  # the page is still loading its scripts
            value = None
        if value is not None and wanted(value):
            return value
        assert time.monotonic() < end, f"still {value!r} after {seconds:g} s"
        time.sleep(0.3)


def open_page(browser: Any, comfy: Comfy) -> None:
    """The server's page, once its canvas is there, without what greets a first visit."""
    # Else templates lie over the canvas, and its map over the graph's last nodes.
    comfy.call("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False})
    browser.get(f"http://127.0.0.1:{comfy.port}/")
    until(browser, _READY, bool)
    time.sleep(3)
    browser.execute_script(_DIALOGS)


def drop(browser: Any, name: str) -> None:
    """Drop the file of a graph, and wait until the canvas shows its nodes."""
    browser.execute_script("window.app.graph.clear()")
    browser.execute_script(_DROP, f"{name}.json", (FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    wanted = len(GRAPHS[name].nodes) + 1  # and the note
    until(browser, _TYPES, lambda types: len(types) == wanted)
    time.sleep(0.5)


def press_run(browser: Any, previews: int) -> None:
    """Press Run, and wait until that many nodes show pictures."""
    from selenium.webdriver.common.by import By

    buttons = browser.find_elements(By.CSS_SELECTOR, _RUN)
    assert buttons, "the page has no Run button"
    browser.execute_script("arguments[0].click()", buttons[0])  # a first-start dialog may lie over it
    until(browser, PREVIEWS, lambda count: count >= previews)
    time.sleep(1)


def drop_picture(browser: Any, title: str, name: str, content: bytes) -> None:
    """Drop a PNG file on the node of that title, and wait until it holds it."""
    browser.execute_script(_FIT)
    time.sleep(0.5)
    browser.execute_script(_DROP_PICTURE, name, base64.b64encode(content).decode(), title)
    end = time.monotonic() + _PATIENCE
    while (held := browser.execute_script(_HELD, title)) != name:
        assert time.monotonic() < end, f"the node holds {held!r}, not {name!r}"
        time.sleep(0.3)


def switch_on(browser: Any, title: str) -> int:
    """Click the node of that title and press Ctrl+B; the node's mode after that, 0 where it is on."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    place = [round(way) for way in browser.execute_script(_TITLE, title)]
    canvas = browser.find_element(By.CSS_SELECTOR, "#graph-canvas")
    ActionChains(browser).move_to_element_with_offset(canvas, *place).click().pause(0.5).perform()
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("b").key_up(Keys.CONTROL).perform()
    time.sleep(0.5)
    return int(browser.execute_script(_MODE, title))


def picture(browser: Any) -> Image.Image:
    """The page with the whole graph in view."""
    browser.execute_script(_FIT)
    time.sleep(1)
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def overlapping(boxes: list[list[Any]], title: float = 30) -> list[tuple[str, str]]:
    """Pairs of nodes that lie over one another; boxes: (type, x, y, width, height), titles above them."""
    pairs = []
    for i, (first, x, y, w, h) in enumerate(boxes):
        for second, x2, y2, w2, h2 in boxes[i + 1 :]:
            if not (x + w <= x2 or x2 + w2 <= x or y + h <= y2 - title or y2 + h2 <= y - title):
                pairs.append((first, second))
    return pairs
