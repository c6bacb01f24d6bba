"""Graphs with something wrong in them, at random: one line that says what, or the graph is run; never a traceback."""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from instructdiffusion.launcher.entry import EntryError, put_picture, put_subjects, switch_on
from instructdiffusion.launcher.graph_conversion import GraphError, to_api
from instructdiffusion.launcher.overrides import OverrideError, apply_override, read_override
from instructdiffusion.launcher.run import read_graph

from . import canvas_graphs

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json")) + sorted((ROOT / "workflows" / "api").glob("*.json"))
OURS = json.loads((ROOT / "tests" / "comfyui" / "object_info.json").read_text())
INFO = {
    **canvas_graphs.OBJECT_INFO,
    **OURS,
    "LoadImage": {"input": {"required": {"image": [["example.png"], {"image_upload": True}]}}},
    "SaveImage": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "x"}]}}},
    "MaskToImage": {"input": {"required": {"mask": ["MASK"]}}},
    "PreviewAny": {"input": {"required": {"source": ["*", {}]}}},
}
_LARGEST = 300_000  # characters; what grows further takes its time in Python's JSON alone
JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 3, 2**63, 10**30, -(10**30), 0.5, 1e300, "", "x", "1", "-10", "-20", "7:3", " ",
    "\x00", "\ud800", "é" * 300, "__proto__", [], [[]], {}, {"a": {}}, [1, 0], ["1", 0], ["1", "0"], [None], {"": None},
    "Reroute", "SetNode", "GetNode", "PrimitiveNode", "workflow>x", "[[1,2]]", "{", [[1, 1, 0, 2, 0, "IMAGE"]],
]  # fmt: skip
SETS = (
    "3.subject=x", "InstructTask.color=blue", "1.=", ".=.", "LoadImage.image=[1]", "7:3.width=1", "2.images=0", "x=1",
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of a graph."""
    found, left = [], [value]
    while left:
        here = left.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        found += [(here, key) for key in keys]
        left += [here[key] for key in keys if isinstance(here[key], (dict, list))]
    return found


def spoil(graph: Any, rng: random.Random) -> Any:
    """Change one place of a graph: other values, other types, nothing, twice, another's, or itself in itself."""
    spots = places(graph)
    if not spots or rng.random() < 0.01:
        return rng.choice(JUNK)
    here, key = rng.choice(spots)
    kind = rng.choice(("junk", "junk", "delete", "double", "swap", "nest", "grow"))
    if kind == "junk":
        here[key] = copy.deepcopy(rng.choice(JUNK))
    elif kind == "delete":
        del here[key]
    elif kind == "double" and isinstance(here, list):
        here.append(copy.deepcopy(here[key]))
    elif kind == "nest":
        for _ in range(rng.choice((1, 50, 150))):
            here[key] = [here[key]]
    elif kind == "grow" and isinstance(here[key], (str, list)) and len(json.dumps(here[key])) < 5000:
        here[key] = here[key] * rng.choice((0, 2, 50))
    else:
        other, name = rng.choice(spots)
        known = other if isinstance(other, dict) else range(len(other))  # a deletion may have moved what follows
        here[key] = copy.deepcopy(other[name]) if name in known else 0
    return graph


def spoilt(graph: Any, rng: random.Random) -> bytes:
    """The file of a graph after some changes, as far as Python's own JSON can write it."""
    text = json.dumps(graph)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not isinstance(graph, (dict, list)) or len(text) > _LARGEST:
            break
        try:
            graph = spoil(graph, rng)
            text = json.dumps(graph)
        except RecursionError:  # nested within nested
            break
    return text.encode()


@pytest.fixture(scope="module")
def graphs() -> list[Any]:
    """What is spoilt: graphs of the canvas with subgraphs, Set and Get, bypassed nodes, and those of workflows/."""
    saved = [json.loads(json.dumps(case[0])) for case in canvas_graphs.CASES.values()]
    return saved + [json.loads(file.read_text(encoding="utf-8")) for file in WORKFLOWS]


@pytest.mark.fuzz(count=2000)
def test_a_spoilt_graph_is_run_or_refused_in_a_line(graphs: list[Any], fuzz_cases: Any, tmp_path: Path) -> None:
    path, picture = tmp_path / "graph.json", tmp_path / "picture.png"
    picture.write_bytes(b"")
    slow = []
    for number, rng in fuzz_cases:
        data = spoilt(copy.deepcopy(rng.choice(graphs)), rng)
        if rng.random() < 0.02:
            data = b"[" * 5000 + data
        elif rng.random() < 0.05:
            data = data[: rng.randrange(len(data) + 1)] + rng.choice((b"", b"\xff", b"}", b"NaN"))
        path.write_bytes(data)
        began = time.process_time()
        try:
            _prepare(path, picture, rng)
        except (GraphError, OverrideError, EntryError) as error:
            message = str(error)
            assert message and len(message) < 20_000, number
        except Exception as error:
            raise AssertionError(f"case {number}: {type(error).__name__}: {error}") from error
        if time.process_time() - began > 2:
            slow.append(number)
    assert not slow


def _prepare(path: Path, picture: Path, rng: random.Random) -> None:
    """What a run does with a file before it is sent."""
    graph = read_graph(path)
    overrides = [read_override(text) for text in rng.sample(SETS, rng.choice((0, 0, 1)))]
    graph, _ = switch_on(graph, INFO, overrides, rng.random() < 0.5)
    prompt = to_api(graph, INFO, lambda line: None)
    if rng.random() < 0.3:
        put_subjects(("the star",), prompt)
    if rng.random() < 0.3:
        put_picture(picture, prompt, INFO, lambda file: file.name)
    for override in overrides:
        apply_override(override, prompt, INFO, lambda file: file.name)
    json.dumps(prompt, allow_nan=False).encode()
