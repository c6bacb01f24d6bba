"""As a user does it: the page is opened, a graph's file is dropped onto the canvas, Run is pressed, previews appear.

Screenshots go to SCREENSHOTS where that is set, for people to look at.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ..comfyui.client import Comfy
from ..comfyui.graphs import GRAPHS, PREVIEWED
from .canvas import ALERTS, BOXES, UNKNOWN, drop, drop_picture, overlapping, picture, press_run, switch_on


def screenshot(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        picture(page).save(Path(folder) / f"{name}.png")


@pytest.mark.parametrize("name", GRAPHS)
def test_a_dropped_graph_shows_known_nodes_that_do_not_overlap(page: Any, name: str) -> None:
    drop(page, name)
    alerts = page.execute_script(ALERTS)
    assert not alerts, f"the page complains: {alerts[0]}"
    missing = [t for t in page.execute_script(UNKNOWN) if t != "MarkdownNote"]
    assert not missing, f"the page does not know {missing}"
    screenshot(page, name)
    assert not overlapping(page.execute_script(BOXES))


@pytest.mark.parametrize("name", ["segment", "keypoints", "guider"])
def test_run_is_pressed_and_previews_appear(page: Any, comfy: Comfy, name: str) -> None:
    drop(page, name)
    before = len(list((comfy.base / "output").glob("*.png")))
    press_run(page, previews=sum(node.kind in PREVIEWED for node in GRAPHS[name].nodes))
    assert len(list((comfy.base / "output").glob("*.png"))) > before
    screenshot(page, f"{name}_run")
    assert not overlapping(page.execute_script(BOXES)), "previews make nodes grow over others"


def test_a_picture_of_one_s_own_is_dropped_switched_on_and_asked_about(page: Any, comfy: Comfy) -> None:
    """Without a link being drawn."""
    content = io.BytesIO()
    source = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    Image.fromarray(source).save(content, "PNG")
    drop(page, "segment")
    (title,) = (node.title for node in GRAPHS["segment"].nodes if node.kind == "LoadImage")
    drop_picture(page, title, "holiday.png", content.getvalue())
    assert switch_on(page, title) == 0
    before = {path.name for path in (comfy.base / "output").glob("*.png")}
    press_run(page, previews=sum(node.kind in PREVIEWED for node in GRAPHS["segment"].nodes))
    (mask,) = (p for p in (comfy.base / "output").glob("segment_mask*.png") if p.name not in before)
    with Image.open(mask) as found:
        assert found.size == (90, 60)
    screenshot(page, "segment_own")
