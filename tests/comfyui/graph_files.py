"""A graph as code, and the two forms of it: what the canvas loads, and what a server is asked to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from instructdiffusion import __version__

from .snapshot import NODES

# Where a node comes from, as the canvas writes it: the registry's name of its pack, and the version that it was of.
_OURS = {"cnr_id": "instructdiffusion", "ver": __version__}
_COMFYUI = {"cnr_id": "comfy-core", "ver": "0.3.64"}  # the oldest that the graphs run on
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_SEEDS = {"seed", "noise_seed"}
_COLUMN, _GAP, _TOP = 400, 50, 200
_BYPASSED = 4
_NOTE = 190  # pixels of the note's height
PREVIEWED = {  # kinds of nodes that show a picture once they ran
    "InstructScene", "InstructSampler", "LoadImage", "MaskExtract", "KeypointExtract", "ClassExtract", "BoxFromMask",
    "PreviewImage", "SaveImage",
}  # fmt: skip
# SamplerCustomAdvanced shows previews while it runs, and stays as tall. InstructSampler's box of words would take up
# the room that is left for a picture; it grows when it has one, with nothing below it in its column.
_GROWING = PREVIEWED - {"InstructSampler"} | {"SamplerCustomAdvanced"}


@dataclass
class Node:
    """A node of a graph; inputs: widget values, or (node, output's number) for links."""

    kind: str
    column: int
    inputs: dict[str, Any]
    title: str = ""
    number: int = 0
    off: bool = False  # bypassed: there to be switched on


@dataclass
class Graph:
    """Nodes in the order they were added, with the words shown beside them."""

    note: str
    nodes: list[Node] = field(default_factory=list)

    def add(self, kind: str, column: int, title: str = "", off: bool = False, **inputs: Any) -> Node:
        """A new node; its number is its place."""
        node = Node(kind, column, inputs, title, len(self.nodes) + 1, off)
        self.nodes.append(node)
        return node

    def api(self, info: dict[str, Any]) -> dict[str, Any]:
        """The API form: what a server is asked to run."""
        out = {}
        for node in self.nodes:
            if node.off:
                continue
            inputs = {}
            for name, (_, options) in _inputs(info[node.kind]).items():
                if name in node.inputs:
                    value = node.inputs[name]
                    if isinstance(value, tuple) and value[0].off:
                        continue
                    inputs[name] = [str(value[0].number), value[1]] if isinstance(value, tuple) else value
                elif "default" in options:
                    inputs[name] = options["default"]
            # ComfyUI's own nodes are called otherwise in other versions.
            title = node.title or (info[node.kind]["display_name"] if node.kind in NODES else node.kind)
            out[str(node.number)] = {"class_type": node.kind, "inputs": inputs, "_meta": {"title": title}}
        return out

    def ui(self, info: dict[str, Any]) -> dict[str, Any]:
        """The form that is dropped onto the canvas."""
        links: list[list[Any]] = []
        nodes: list[dict[str, Any]] = []
        heights: dict[int, int] = {}
        for order, node in enumerate(self.nodes):
            kind = info[node.kind]
            slots, values = [], []
            for name, (type_, options) in _inputs(kind).items():
                widget = _is_widget(type_, options)
                value = node.inputs.get(name, options.get("default", _first(type_, options)))
                if isinstance(value, tuple):
                    source, output = value
                    links.append(
                        [len(links) + 1, source.number, output, node.number, len(slots), _name(type_)]
                    )
                    slot = {"name": name, "type": _name(type_), "link": len(links)}
                    slots.append(slot | ({"widget": {"name": name}} if widget else {}))
                    if widget:
                        values.append(options.get("default", _first(type_, options)))
                elif widget:
                    values.append(value)
                else:
                    slots.append({"name": name, "type": _name(type_), "link": None})
                if widget and (name in _SEEDS or options.get("control_after_generate")):
                    values.append("fixed")
                if options.get("image_upload"):
                    values.append("image")  # the button beside it
            outputs = [
                {"name": name, "type": type_ if isinstance(type_, str) else "COMBO", "links": []}
                for name, type_ in zip(kind["output_name"], kind["output"])
                if not kind.get("output_node")  # newer versions let some of them pass on what they show
            ]
            height = _height(node.kind, kind, len(slots), len(outputs))
            y = heights.get(node.column, _TOP)
            heights[node.column] = y + height + _GAP + 30
            entry = {
                "id": node.number,
                "type": node.kind,
                "pos": [40 + node.column * _COLUMN, y],
                "size": [_COLUMN - 80, height],
                "flags": {},
                "order": order,
                "mode": _BYPASSED if node.off else 0,
                "inputs": slots,
                "outputs": outputs,
                "properties": {**(_OURS if node.kind in NODES else _COMFYUI), "Node name for S&R": node.kind},
                "widgets_values": values,
            }
            nodes.append(entry | ({"title": node.title} if node.title else {}))
        for number, source, output, *_ in links:
            nodes[source - 1]["outputs"][output]["links"].append(number)
        nodes.append(
            {
                "id": len(nodes) + 1, "type": "MarkdownNote", "pos": [40, _TOP - 60 - _NOTE],
                "size": [3 * _COLUMN - 80, _NOTE],
                "flags": {}, "order": len(nodes), "mode": 0, "inputs": [], "outputs": [],
                "properties": {}, "widgets_values": [self.note], "title": "What this graph does",
            }
        )  # fmt: skip
        return {
            "id": "", "revision": 0, "last_node_id": len(nodes), "last_link_id": len(links), "nodes": nodes,
            "links": links, "groups": [], "config": {}, "extra": {}, "version": 0.4,
        }  # fmt: skip


def _inputs(kind: dict[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    found = {}
    for group in ("required", "optional"):
        for name, spec in (kind["input"].get(group) or {}).items():
            found[name] = spec[0], (spec[1] if len(spec) > 1 else {})
    return found


def _is_widget(type_: Any, options: dict[str, Any]) -> bool:
    return (isinstance(type_, list) or type_ in _WIDGETS) and not options.get("forceInput")


def _name(type_: Any) -> str:
    return "COMBO" if isinstance(type_, list) else type_


def _first(type_: Any, options: dict[str, Any]) -> Any:
    choices = type_ if isinstance(type_, list) else options.get("options")
    return choices[0] if choices else ""


def _height(name: str, kind: dict[str, Any], slots: int, outputs: int) -> int:
    rows = max(slots, outputs) * 22
    for type_, options in _inputs(kind).values():
        if _is_widget(type_, options):  # those that newer nodes fold too: the older ones show them
            rows += 90 if options.get("multiline") else 26
            rows += 26 if options.get("control_after_generate") else 0
    return rows + 40 + (300 if name in _GROWING else 0) + (120 if name == "PreviewAny" else 0)
