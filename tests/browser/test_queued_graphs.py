"""What the page of a real ComfyUI queues for a graph is what the command `comfy` sends for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..launcher.canvas_graphs import CASES

_QUEUE = """
const [text, done] = arguments;
(async () => {
  await window.app.loadGraphData(JSON.parse(text));
  await new Promise(resolve => setTimeout(resolve, 300));
  return JSON.stringify((await window.app.graphToPrompt()).output);
})().then(done, error => done(`"${error}"`));
"""


@pytest.mark.parametrize("name", CASES)
def test_the_page_queues_what_headless_runs_send(page: Any, name: str) -> None:
    saved, expected = CASES[name]
    output = json.loads(page.execute_async_script(_QUEUE, json.dumps(saved)))
    assert isinstance(output, dict), output
    assert {number: (entry["class_type"], entry["inputs"]) for number, entry in output.items()} == expected
