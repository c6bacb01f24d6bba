"""Every graph of workflows/: written as the code says, equal in both forms, and run by a real server."""

from __future__ import annotations

import json
import re

import pytest

from .client import Comfy
from .graphs import FOLDER, GRAPHS, written

NODES = {
    "InstructLoader", "InstructTask", "InstructSampler", "InstructGuider", "MaskExtract", "KeypointExtract",
    "BoxFromMask", "ClassExtract", "InstructScene",
}  # fmt: skip
_INTERFACE = (
    "name",
    "display_name",
    "category",
    "input",
    "input_order",
    "output",
    "output_name",
    "output_is_list",
)
SNAPSHOT = FOLDER.parent / "tests" / "comfyui" / "object_info.json"


def ours(info: dict) -> dict:
    """The nodes of this pack in /object_info, what graphs depend on in every version."""
    return {name: {key: info[name][key] for key in _INTERFACE} for name in sorted(NODES)}


def test_the_pack_loads_without_a_warning(comfy: Comfy) -> None:
    log = comfy.log.read_text()
    assert not re.search(r"instructdiffusion.*(IMPORT FAILED|warning|error)", log, re.IGNORECASE), log[-2000:]
    seconds = re.search(r"([\d.]+) seconds: .*custom_nodes/instructdiffusion", log)
    assert seconds, "ComfyUI does not list the pack among its custom nodes"
    assert set(comfy.call("/object_info")) >= NODES


def test_the_nodes_are_those_of_the_snapshot(comfy: Comfy) -> None:
    """Ids, inputs and outputs are an interface: saved graphs depend on them. Delete the file to take a new one."""
    info = ours(comfy.call("/object_info"))
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(info, indent=1) + "\n")
    assert info == json.loads(SNAPSHOT.read_text())


def test_every_input_has_a_tooltip_and_every_node_a_page(comfy: Comfy) -> None:
    for name, node in ours(comfy.call("/object_info")).items():
        for group in node["input"].values():
            for key, spec in group.items():
                assert len(spec) > 1 and spec[1].get("tooltip"), f"{name}.{key} has no tooltip"
        assert (FOLDER.parent / "web" / "docs" / name / "en.md").is_file()


def test_the_files_are_those_of_the_code(comfy: Comfy) -> None:
    for path, text in written(comfy.call("/object_info")).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m tests.comfyui.graphs"


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_runs(comfy: Comfy, name: str) -> None:
    graph = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    outputs = comfy.run(graph)
    saved = [i for o in outputs.values() for i in o.get("images", []) if i["type"] == "output"]
    assert saved, "nothing was saved"
    assert all(comfy.picture(i).size for i in saved)


@pytest.mark.parametrize("name", GRAPHS)
def test_both_forms_say_the_same(comfy: Comfy, name: str) -> None:
    """The UI form, turned into API form by the launcher, is the API form."""
    from instructdiffusion.launcher.convert import to_api

    ui = json.loads((FOLDER / f"{name}.json").read_text())
    api = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    made = to_api(ui, comfy.call("/object_info"))
    assert {k: (v["class_type"], v["inputs"]) for k, v in made.items()} == {
        k: (v["class_type"], v["inputs"]) for k, v in api.items()
    }
