"""From the graph as the canvas saves it to the form that a server executes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .dynamic_prompts import draw_wildcards
from .specs import CONTROLS, InputSpec, input_specs, missing_types

_NOTES = {"Note", "MarkdownNote"}
_ONLY_ON_THE_CANVAS = {*_NOTES, "Reroute", "PrimitiveNode"}
MUTED, BYPASSED = 2, 4  # a node's `mode` on the canvas
_NONE = object()


class GraphError(ValueError):
    """The graph cannot be run as it is; the message names the node and the remedy."""


class MissingTypes(GraphError, RuntimeError):
    """The server lacks node types: a fault of the graph or of the server, whose log is then worth keeping."""


def to_api(graph: Any, object_info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The API form of a graph: node id -> {"inputs", "class_type", "_meta"}.

    graph: parsed JSON, in the canvas' form or already in the API form (also wrapped as {"prompt": ...}).
    object_info: the server's /object_info.
    GraphError where it is neither, a node type is unknown to the server, or something only the browser can
    do (subgraphs, group nodes) is in it.
    """
    if not isinstance(graph, Mapping):
        raise GraphError(f"a graph is a JSON object, this is a {type(graph).__name__}")
    if isinstance(graph.get("nodes"), list):
        return _Canvas(graph, object_info).convert()
    if isinstance(graph.get("prompt"), Mapping):
        graph = graph["prompt"]
    return _check_api(graph, object_info)


def is_link(value: Any) -> bool:
    """Whether an input's value in the API form is a link: [node id, output index]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def _check_api(graph: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nodes: dict[str, dict[str, Any]] = {}
    for name, node in graph.items():
        if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
            raise GraphError(
                f"this is no ComfyUI graph: a saved graph has a list of `nodes`, the API form a `class_type` in "
                f"every entry, and {name!r} has none"
            )
        inputs = node.get("inputs", {})
        if not isinstance(inputs, Mapping):
            raise GraphError(f"node {name}: `inputs` should be an object, it is a {type(inputs).__name__}")
        nodes[str(name)] = {**node, "inputs": dict(inputs)}
    if not nodes:
        raise GraphError("the graph has no nodes")
    _require({name: node["class_type"] for name, node in nodes.items()}, object_info)
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


class _Canvas:
    """A saved graph while it is converted."""

    def __init__(self, graph: Mapping[str, Any], object_info: Mapping[str, Any]) -> None:
        self.object_info = object_info
        self.nodes: dict[str, Mapping[str, Any]] = {}
        for node in graph["nodes"]:
            if not isinstance(node, Mapping) or "id" not in node or not isinstance(node.get("type"), str):
                raise GraphError("every entry of the graph's `nodes` needs an `id` and a `type`")
            self.nodes[str(node["id"])] = node
        self.links = dict(_read_link(link) for link in graph.get("links") or [])
        definitions = graph.get("definitions")
        subgraphs = (definitions if isinstance(definitions, Mapping) else {}).get("subgraphs") or []
        self.subgraphs = {
            entry.get("id"): entry.get("name") for entry in subgraphs if isinstance(entry, Mapping)
        }

    def convert(self) -> dict[str, dict[str, Any]]:
        active = {
            name: node
            for name, node in self.nodes.items()
            if node["type"] not in _ONLY_ON_THE_CANVAS and node.get("mode", 0) not in (MUTED, BYPASSED)
        }
        for name, node in self.nodes.items():
            if node.get("mode", 0) != MUTED:
                self._refuse_groups(name, node)
        if not active:
            raise GraphError("the graph has no node that could be run: all are notes, muted or bypassed")
        _require({name: node["type"] for name, node in active.items()}, self.object_info)
        return {name: self._node(node, active) for name, node in active.items()}

    def _refuse_groups(self, name: str, node: Mapping[str, Any]) -> None:
        kind = node["type"]
        if kind in self.subgraphs:
            title = node.get("title") or self.subgraphs[kind] or kind
            raise GraphError(
                f"node {name} ({title}) is a subgraph, which only the browser can unfold: unpack it there (right "
                "click, Unpack Subgraph) and save, or export the graph in API form and run that"
            )
        if kind.startswith(("workflow>", "workflow/")):
            raise GraphError(
                f"node {name} ({kind}) is a group node, which only the browser can unfold: ungroup it there and "
                "save, or export the graph in API form and run that"
            )

    def _node(self, node: Mapping[str, Any], active: Mapping[str, Any]) -> dict[str, Any]:
        info = self.object_info[node["type"]]
        specs = input_specs(info)
        values = self._widget_values(node, specs)
        for spec in specs:
            if spec.options.get("dynamicPrompts") and isinstance(values.get(spec.name), str):
                values[spec.name] = draw_wildcards(values[spec.name])
        inputs = {key: _wrapped(value) for key, value in values.items()}
        for slot in _slots(node):
            if slot.get("link") is None:
                continue
            source = self._source(slot["link"], str(slot.get("type", "*")), set())
            if source is _NONE:
                continue
            if isinstance(source, _Held):
                inputs[slot["name"]] = _wrapped(source.value)
            elif isinstance(source, list) and source[0] in active:
                inputs[slot["name"]] = source
            else:
                # a muted node gives nothing, and the link that was drawn to it hides the widget
                inputs.pop(slot["name"], None)
        title = node.get("title") or info.get("display_name") or node["type"]
        return {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}

    def _widget_values(self, node: Mapping[str, Any], specs: list[InputSpec]) -> dict[str, Any]:
        as_widget = {slot["name"] for slot in _slots(node) if slot.get("widget")}
        widgets = [
            spec for spec in specs if spec.is_widget or (spec.name in as_widget and not spec.is_forced)
        ]
        saved = node.get("widgets_values")
        if isinstance(saved, Mapping):
            named = {spec.name: saved.get(spec.name, spec.default) for spec in widgets}
            return {key: value for key, value in named.items() if value is not None}
        values = list(saved) if isinstance(saved, list) else []
        values = _without_forced(values, specs, widgets)
        result: dict[str, Any] = {}
        at = 0
        left, last = list(widgets), None
        while left:
            spec = left.pop(0)
            spare = len(values) - at - len(left) - 1
            # the upload button of older canvases stands between the required and the optional widgets
            if spare > 0 and last is not None and last.required and not spec.required:
                if any(other.is_upload for other in widgets) and values[at] in ("image", "upload"):
                    at += 1
            if at < len(values):
                result[spec.name] = values[at]
                at += 1
            elif spec.default is not None:
                result[spec.name] = spec.default
            if spec.controls and at < len(values) and values[at] in CONTROLS:
                at += spec.controls
            left = [s for s in spec.brought_by(result.get(spec.name)) if s.is_widget] + left
            last = spec
        return result

    def _source(self, link: Any, wanted: str, seen: set[str]) -> Any:
        """What feeds a link: [node id, output], a held value, or nothing."""
        if link not in self.links:
            return _NONE
        origin, slot = self.links[link]
        if origin not in self.nodes:
            raise GraphError(
                f"link {link} comes from node {origin}, which is not in the graph: save it again"
            )
        if origin in seen:
            raise GraphError(f"the links through node {origin} run in a circle")
        seen = seen | {origin}
        node = self.nodes[origin]
        mode, slots = node.get("mode", 0), _slots(node)
        if node["type"] == "PrimitiveNode":
            values = node.get("widgets_values")
            return _Held(values[0]) if isinstance(values, list) and values else _NONE
        if node["type"] == "Reroute":
            onward = slots[0] if slots else {}
        elif mode == BYPASSED:
            onward = _bypass(node, slot, wanted)
        else:
            return [origin, slot]
        if onward.get("link") is None:
            return _NONE
        return self._source(onward["link"], wanted, seen)


class _Held:
    """The value of a PrimitiveNode."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _read_link(link: Any) -> tuple[Any, tuple[str, int]]:
    try:
        if isinstance(link, Mapping):
            return link["id"], (str(link["origin_id"]), int(link["origin_slot"]))
        return link[0], (str(link[1]), int(link[2]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise GraphError(
            f"a link should be [id, from node, from output, to node, to input, type], got {link!r}"
        ) from error


def _slots(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    slots = node.get("inputs") or []
    good = isinstance(slots, list) and all(
        isinstance(s, Mapping) and isinstance(s.get("name"), str) for s in slots
    )
    if not good:
        raise GraphError(f"node {node['id']}: `inputs` should be a list of objects with a `name`")
    return slots


def _bypass(node: Mapping[str, Any], output: int, wanted: str) -> Mapping[str, Any]:
    """The input that a bypassed node hands on as this output: the one beside it where the types agree, else
    the first of the type."""
    slots = _slots(node)
    outputs = node.get("outputs") or []
    given = str(outputs[output].get("type", "*")) if output < len(outputs) else "*"
    if wanted in ("*", ""):
        return slots[output] if output < len(slots) else (slots[0] if slots else {})
    fits = [
        _connects(str(s.get("type", "*")), given) and _connects(str(s.get("type", "*")), wanted)
        for s in slots
    ]
    if output < len(slots) and fits[output]:
        return slots[output]
    exact = [slot for slot in slots if slot.get("type") == wanted]
    loose = [slot for slot, fit in zip(slots, fits) if fit]
    return (exact or loose or [{}])[0]


def _connects(one: str, other: str) -> bool:
    if "*" in (one, other) or "" in (one, other):
        return True
    return not {t.strip().lower() for t in one.split(",")}.isdisjoint(
        t.strip().lower() for t in other.split(",")
    )


def _without_forced(values: list[Any], specs: list[InputSpec], widgets: list[InputSpec]) -> list[Any]:
    """Drop the values that old files keep for widgets that have since become sockets."""
    names = {spec.name for spec in widgets}
    once = [spec for spec in specs if spec.name in names or (spec.is_forced and spec.has_widget_type)]
    if len(once) == len(widgets) or len(values) != sum(1 + spec.controls for spec in once):
        return values
    kept, at = [], 0
    for spec in once:
        width = 1 + spec.controls
        if spec.name in names:
            kept += values[at : at + width]
        at += width
    return kept


def _wrapped(value: Any) -> Any:
    """A list is wrapped, so that the server does not take it for a link."""
    return {"__value__": value} if isinstance(value, list) else value
