"""As a user does it: the page is opened, a graph's file is dropped onto the canvas, Run is pressed, previews appear.

Screenshots go to SCREENSHOTS where that is set, for people to look at.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ..comfyui.client import Comfy
from ..comfyui.graphs import GRAPHS, PREVIEWED
from .canvas import ALERTS, BOXES, UNKNOWN, drop, overlapping, picture, press_run


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
