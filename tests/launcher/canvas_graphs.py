"""Graphs as the canvas saves them, each with what its own page queues for them: node id -> (type, inputs).

All nodes are ComfyUI's own, so that tests/browser can hold the page of a real ComfyUI to the same values.
"""

from __future__ import annotations

import uuid
from typing import Any

MUTED, BYPASSED = 2, 4
OBJECT_INFO = {
    "EmptyImage": {
        "input": {
            "required": {
                "width": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
                "height": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
                "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
                "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"}],
            }
        }
    },
    "ImageInvert": {"input": {"required": {"image": ["IMAGE"]}}},
    "ImageBatch": {"input": {"required": {"image1": ["IMAGE"], "image2": ["IMAGE"]}}},
    "ImageBlend": {
        "input": {
            "required": {
                "image1": ["IMAGE"],
                "image2": ["IMAGE"],
                "blend_factor": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}],
                "blend_mode": [["normal", "multiply", "screen"]],
            }
        }
    },
    "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}},
}
_TYPES = {"width": "INT", "height": "INT", "blend_factor": "FLOAT", "blend_mode": "COMBO"}


def node(number: int, kind: str, values: list[Any] | None = None, links: dict[str, Any] | None = None, **more: Any):
    """A node; links: its inputs, those that are linked with the link's number. A name in _TYPES is a widget's."""
    inputs = []
    for name, link in (links or {}).items():
        slot = {"name": name, "type": _TYPES.get(name, "*" if kind == "Reroute" else "IMAGE"), "link": link}
        inputs.append(slot | ({"widget": {"name": name}} if name in _TYPES else {}))
    data = {
        "id": number, "type": kind, "pos": [number * 250, 0], "size": [200, 100], "flags": {}, "order": number,
        "mode": 0, "inputs": inputs, "properties": {}, "widgets_values": values or [],
        "outputs": [] if kind == "PreviewImage" else [{"name": "IMAGE", "type": "IMAGE", "links": []}],
    }  # fmt: skip
    return data | more


def graph(nodes: list[Any], links: list[Any], *subgraphs: Any) -> dict[str, Any]:
    """A file; links: (number, from node, output, to node, input, type)."""
    _list_outgoing(nodes, links)
    data = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, repr(nodes))), "revision": 0, "last_node_id": 99, "last_link_id": 99,
        "nodes": nodes, "links": [list(link) for link in links], "groups": [], "config": {}, "extra": {},
        "version": 0.4,
    }  # fmt: skip
    return data | ({"definitions": {"subgraphs": list(subgraphs)}} if subgraphs else {})


def subgraph(name: str, nodes: list[Any], links: list[Any], inputs: dict[str, str], outputs: tuple[str, ...]) -> Any:
    """A subgraph; its inputs are node -10 of the links, its outputs node -20."""
    _list_outgoing(nodes, links)

    def ends(names: dict[str, str], place: int, slot: int) -> list[Any]:
        return [
            {"id": identity(f"{name}/{place}/{key}"), "name": key, "type": kind, "pos": [0, 0],
             "linkIds": [link[0] for link in links if link[place] in (-10, -20) and link[slot] == i]}
            for i, (key, kind) in enumerate(names.items())
        ]  # fmt: skip

    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "id": identity(name), "version": 1, "revision": 0, "config": {}, "name": name, "widgets": [], "groups": [],
        "state": {"lastGroupId": 0, "lastNodeId": 99, "lastLinkId": 99, "lastRerouteId": 0}, "extra": {},
        "inputNode": {"id": -10, "bounding": [-200, 0, 120, 80]}, "nodes": nodes,
        "outputNode": {"id": -20, "bounding": [900, 0, 120, 60]}, "links": [dict(zip(keys, link)) for link in links],
        "inputs": ends(inputs, 1, 2), "outputs": ends(dict.fromkeys(outputs, "IMAGE"), 3, 4),
    }  # fmt: skip


def identity(name: str) -> str:
    """The id of the subgraph of that name, which is the type of its instances."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def instance(number: int, name: str, values: list[Any] | None = None, links: dict[str, Any] | None = None, **more: Any):
    """An instance of the subgraph of that name."""
    return node(number, identity(name), values, links, **more)


def _list_outgoing(nodes: list[Any], links: list[Any]) -> None:
    for entry in nodes:
        for i, output in enumerate(entry["outputs"]):
            output["links"] = [link[0] for link in links if link[1] == entry["id"] and link[2] == i]


def _empty(width: int, height: int = 8) -> tuple[str, dict[str, Any]]:
    return "EmptyImage", {"width": width, "height": height, "batch_size": 1, "color": 0}


def _invert(source: str, slot: int = 0) -> tuple[str, dict[str, Any]]:
    return "ImageInvert", {"image": [source, slot]}


def _preview(source: str) -> tuple[str, dict[str, Any]]:
    return "PreviewImage", {"images": [source, 0]}


def _source(number: int, width: int = 8) -> Any:
    return node(number, "EmptyImage", [width, 8, 1, 0])


def _show(number: int, link: int) -> Any:
    return node(number, "PreviewImage", links={"images": link})


def _line(number: int, origin: int, target: int, slot: int = 0, into: int = 0, kind: str = "IMAGE") -> tuple:
    return (number, origin, slot, target, into, kind)


# A picture whose width is a widget of the instance; the height is only inside.
SOURCE = subgraph(
    "Source",
    [node(13, "EmptyImage", [16, 24, 1, 0], {"width": 1, "height": None})],
    [_line(1, -10, 13, kind="INT"), _line(2, 13, -20)],
    {"width": "INT"},
    ("IMAGE",),
)
# That one inside another, whose width is handed down, and a picture that comes from outside.
OUTER = subgraph(
    "Outer",
    [
        instance(5, "Source", [99], {"width": 1}),
        node(6, "ImageBlend", [0.25, "screen"], {"image1": 2, "image2": 3, "blend_factor": 4, "blend_mode": None}),
    ],
    [
        _line(1, -10, 5, kind="INT"),
        _line(2, 5, 6),
        _line(3, -10, 6, slot=1, into=1),
        _line(4, -10, 6, slot=2, into=2, kind="FLOAT"),
        _line(5, 6, -20),
    ],
    {"width": "INT", "picture": "IMAGE", "blend_factor": "FLOAT"},
    ("IMAGE",),
)
# Its picture comes out again as it came in, and once inverted.
THROUGH = subgraph(
    "Through",
    [node(12, "ImageInvert", links={"image": 1})],
    [_line(1, -10, 12), _line(2, 12, -20)],
    {"image": "IMAGE"},
    ("inverted",),
)
CASES: dict[str, tuple[dict[str, Any], dict[str, tuple[str, dict[str, Any]]]]] = {
    "reroutes": (
        graph(
            [_source(1), node(2, "Reroute", links={"": 1}), node(3, "Reroute", links={"": 2}), _show(4, 3)],
            [_line(1, 1, 2), _line(2, 2, 3), _line(3, 3, 4)],
        ),
        {"1": _empty(8), "4": _preview("1")},
    ),
    "a primitive's value": (
        graph(
            [
                node(1, "PrimitiveNode", [40, "fixed"], outputs=[{"name": "INT", "type": "INT", "links": [1],
                                                                   "widget": {"name": "width"}}]),
                node(2, "EmptyImage", [8, 8, 1, 0], {"width": 1}),
                _show(3, 2),
            ],
            [_line(1, 1, 2, kind="INT"), _line(2, 2, 3)],
        ),
        {"2": _empty(40), "3": _preview("2")},
    ),
    "notes and a muted node": (
        graph(
            [
                _source(1), node(2, "ImageInvert", links={"image": 1}, mode=MUTED),
                node(3, "ImageBatch", links={"image1": 2, "image2": 3}), _show(4, 4), node(5, "Note", ["words"]),
                node(6, "MarkdownNote", ["words"]),
            ],
            [_line(1, 1, 2), _line(2, 2, 3), _line(3, 1, 3, into=1), _line(4, 3, 4)],
        ),
        {"1": _empty(8), "3": ("ImageBatch", {"image2": ["1", 0]}), "4": _preview("3")},
    ),
    "bypassed nodes in a row": (
        graph(
            [
                _source(1), _source(2, 9), node(3, "ImageInvert", links={"image": 1}, mode=BYPASSED),
                node(4, "ImageBatch", links={"image1": 2, "image2": 3}, mode=BYPASSED), _show(5, 4),
            ],
            [_line(1, 1, 3), _line(2, 3, 4), _line(3, 2, 4, into=1), _line(4, 4, 5)],
        ),
        {"1": _empty(8), "2": _empty(9), "5": _preview("1")},
    ),
    "two instances with widths of their own": (
        graph(
            [
                instance(1, "Source", [32], {"width": None}), instance(2, "Source", [48], {"width": None}), _show(3, 1),
                _show(4, 2),
            ],
            [_line(1, 1, 3), _line(2, 2, 4)], SOURCE,
        ),
        {"1:13": _empty(32, 24), "2:13": _empty(48, 24), "3": _preview("1:13"), "4": _preview("2:13")},
    ),
    "a subgraph in another": (
        graph(
            [
                _source(1),
                instance(7, "Outer", [64, 0.75], {"width": None, "picture": 1, "blend_factor": None},
                         properties={"proxyWidgets": [["-1", "width"], ["-1", "blend_factor"]]}),
                _show(9, 2),
            ],
            [_line(1, 1, 7, into=1), _line(2, 7, 9)], OUTER, SOURCE,
        ),
        {
            "1": _empty(8), "7:5:13": _empty(64, 24), "9": _preview("7:6"),
            "7:6": ("ImageBlend", {"image1": ["7:5:13", 0], "image2": ["1", 0], "blend_factor": 0.75,
                                   "blend_mode": "screen"}),
        },
    ),
    "a bypassed instance": (
        graph(
            [_source(1), instance(2, "Through", links={"image": 1}, mode=BYPASSED), _show(3, 2)],
            [_line(1, 1, 2), _line(2, 2, 3)],
            THROUGH | {"nodes": [THROUGH["nodes"][0] | {"mode": BYPASSED}]},
        ),
        {"1": _empty(8), "3": _preview("1")},
    ),
    "a muted instance": (
        graph(
            [_source(1), instance(2, "Through", links={"image": 1}, mode=MUTED), _show(3, 2)],
            [_line(1, 1, 2), _line(2, 2, 3)],
            THROUGH | {"nodes": [THROUGH["nodes"][0] | {"mode": MUTED}]},
        ),
        {"1": _empty(8), "3": ("PreviewImage", {})},
    ),
    "a bypassed node inside": (
        graph(
            [_source(1), instance(2, "Through", links={"image": 1}), _show(3, 2)],
            [_line(1, 1, 2), _line(2, 2, 3)],
            THROUGH | {"nodes": [THROUGH["nodes"][0] | {"mode": BYPASSED}]},
        ),
        {"1": _empty(8), "3": _preview("1")},
    ),
    "one instance after another": (
        graph(
            [
                _source(1), instance(2, "Through", links={"image": 1}), node(3, "Reroute", links={"": 2}),
                instance(4, "Through", links={"image": 3}), _show(5, 4),
            ],
            [_line(1, 1, 2), _line(2, 2, 3), _line(3, 3, 4), _line(4, 4, 5)], THROUGH,
        ),
        {"1": _empty(8), "2:12": _invert("1"), "4:12": _invert("2:12"), "5": _preview("4:12")},
    ),
}  # fmt: skip
