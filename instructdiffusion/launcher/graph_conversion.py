"""From the graph as the canvas saves it to the form that a server executes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .dynamic_prompts import draw_wildcards
from .saved_graph import BYPASSED, MUTED, GraphError, Node, read_saved, shown
from .sources import ON_THE_CANVAS, HeldValue, Output, find_source
from .specs import input_specs, missing_types
from .subgraphs import Frame, unfold, walk
from .widgets import widget_values

__all__ = ["BYPASSED", "MUTED", "GraphError", "MissingTypes", "check_graph", "is_link", "running_types", "to_api"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class MissingTypes(GraphError, RuntimeError):
    """The server lacks node types: a fault of the graph or of the server, whose log is then worth keeping."""


def check_graph(graph: Any) -> None:
    """Refuse what no server can run, before one is asked.

    Args:
        graph: Parsed JSON.

    Raises:
        GraphError: It is neither form of a graph, or something in it has another type than it should.
    """
    if _is_saved(graph):
        _Conversion(graph, {})
    else:
        _read_api(graph)


def to_api(
    graph: Any, object_info: Mapping[str, Any], report: Callable[[str], None] | None = None
) -> dict[str, dict[str, Any]]:
    """The API form of a graph: node id -> {"inputs", "class_type", "_meta"}.

    Args:
        graph: Parsed JSON, in the canvas' form or already in the API form (also wrapped as {"prompt": ...}).
        object_info: The server's /object_info.
        report: Is told of nodes that are left out because only the browser can know them.

    Returns:
        The nodes; those inside subgraphs are called as the browser calls them, 7:3 for node 3 in instance 7.

    Raises:
        GraphError: It is neither form, a node type is unknown to the server, or there is a group node in it.
    """
    if _is_saved(graph):
        return _Conversion(graph, object_info).convert(report)
    nodes = _read_api(graph)
    _require({name: node["class_type"] for name, node in nodes.items()}, object_info)
    return nodes


def running_types(graph: Any) -> list[str]:
    """The types of the nodes that run, in either form, those inside subgraphs too."""
    if _is_saved(graph):
        return [node.type for _, node in _Conversion(graph, {}).active()]
    return [node["class_type"] for node in _read_api(graph).values()]


def is_link(value: Any) -> bool:
    """Whether an input's value in the API form is a link: [node id, output index]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def _is_saved(graph: Any) -> bool:
    return isinstance(graph, Mapping) and isinstance(graph.get("nodes"), list)


def _read_api(graph: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(graph, Mapping):
        raise GraphError(f"a graph is a JSON object, this is a {type(graph).__name__}")
    if isinstance(graph.get("prompt"), Mapping):
        graph = graph["prompt"]
    nodes: dict[str, dict[str, Any]] = {}
    for name, node in graph.items():
        if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
            raise GraphError(
                f"this is no ComfyUI graph: a saved graph has a list of `nodes`, the API form a `class_type` in "
                f"every entry, and {shown(name)} has none"
            )
        for key in ("inputs", "_meta"):
            if not isinstance(node.get(key, {}), Mapping):
                raise GraphError(f"node {_cut(name)}: `{key}` should be an object, it is {shown(node[key])}")
        title = node.get("_meta", {}).get("title")
        if title is not None and not isinstance(title, str):
            raise GraphError(f"node {_cut(name)}: the title in `_meta` should be a text, it is {shown(title)}")
        nodes[str(name)] = {**node, "inputs": dict(node.get("inputs", {}))}
    if not nodes:
        raise GraphError("the graph has no nodes")
    return nodes


def _require(types: Mapping[str, str], object_info: Mapping[str, Any]) -> None:
    missing = missing_types(types, object_info)
    if missing:
        names = ", ".join(f"{kind} (node {', '.join(nodes)})" for kind, nodes in sorted(missing.items()))
        raise MissingTypes(
            f"the server does not know these node types: {names}. The packs that bring them have to be in its "
            "custom_nodes folder, and it has to be started again after they were put there; its log says where a "
            "pack could not be loaded"
        )


class _Conversion:
    """A saved graph while it is converted."""

    def __init__(self, graph: Mapping[str, Any], object_info: Mapping[str, Any]) -> None:
        self.object_info = object_info
        saved = read_saved(graph)
        self.subgraphs = saved.subgraphs
        self.root = unfold(saved)
        for frame, node in walk(self.root):
            if node.mode != MUTED:
                self._refuse_groups(frame, node)

    def active(self) -> list[tuple[Frame, Node]]:
        """The nodes that run on a server."""
        return [
            (frame, node)
            for frame, node in walk(self.root)
            if node.runs and node.type not in ON_THE_CANVAS and node.type not in self.subgraphs
        ]

    def convert(self, report: Callable[[str], None] | None) -> dict[str, dict[str, Any]]:
        active = self.active()
        if not active:
            raise GraphError("the graph has no node that could be run: all are notes, muted or bypassed")
        known = [pair for pair in active if not self._is_ornament(*pair)]
        _require({frame.id_of(node): node.type for frame, node in known or active}, self.object_info)
        if report is not None:
            known_ids = {frame.id_of(node) for frame, node in known}
            for frame, node in active:
                if frame.id_of(node) not in known_ids:
                    report(f"left out, as nothing is linked to it and no server knows it: {_label(frame, node)}")
        names = {frame.id_of(node) for frame, node in known}
        return {frame.id_of(node): self._node(frame, node, names) for frame, node in known}

    def _is_ornament(self, frame: Frame, node: Node) -> bool:
        """A node that can only mean something to the browser: of a type that no server has, and linked to nothing."""
        return node.type not in self.object_info and node.id not in frame.graph.linked

    def _refuse_groups(self, frame: Frame, node: Node) -> None:
        if node.type.startswith(("workflow>", "workflow/")):
            raise GraphError(
                f"{_label(frame, node)} is a group node, which only the browser can unfold: ungroup it there and "
                "save, or export the graph in API form and run that"
            )
        if _UUID.fullmatch(node.type) and node.type not in self.subgraphs:
            raise GraphError(
                f"{_label(frame, node)} is a subgraph, and what it holds is not in the file: save the graph again in "
                "the browser, or export it in API form"
            )

    def _node(self, frame: Frame, node: Node, active: set[str]) -> dict[str, Any]:
        info = self.object_info[node.type]
        specs = input_specs(info)
        values = widget_values(node, specs, _label(frame, node))
        values.update((name, value) for name, value in frame.given.get(node.id, {}).items() if name in values)
        sources = [(slot.name, find_source(frame, node, index)) for index, slot in enumerate(node.inputs)]
        values.update((name, s.value) for name, s in sources if isinstance(s, HeldValue) and s.is_widget)
        for spec in specs:
            if spec.options.get("dynamicPrompts") and isinstance(values.get(spec.name), str):
                values[spec.name] = draw_wildcards(values[spec.name])
        inputs = {key: _wrapped(value) for key, value in values.items()}
        for name, source in sources:
            if isinstance(source, HeldValue) and not source.is_widget:
                inputs[name] = _wrapped(source.value)
            elif isinstance(source, Output) and source.node in active:
                inputs[name] = [source.node, source.slot]
        title = node.title or info.get("display_name") or node.type
        return {"inputs": inputs, "class_type": node.type, "_meta": {"title": title}}


def _label(frame: Frame, node: Node) -> str:
    title = f"{node.title} ({node.type}, " if node.title and node.title != node.type else f"{node.type} ("
    return f"{title}node {frame.id_of(node)})"


def _cut(name: str) -> str:
    return name if name.isalnum() and len(name) < 40 else shown(name)


def _wrapped(value: Any) -> Any:
    """A list is wrapped, so that the server does not take it for a link."""
    return {"__value__": value} if isinstance(value, list) else value
