"""A graph as the canvas saves it, read and checked: its nodes, slots and links, and those of its subgraphs."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

MUTED, BYPASSED = 2, 4  # a node's `mode` on the canvas
_INPUTS, _OUTPUTS = "-10", "-20"  # the ids of the two ends of a subgraph, where its file does not say otherwise

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


class GraphError(ValueError):
    """The graph cannot be run as it is; the message names the node and the remedy."""


@dataclass(frozen=True)
class Slot:
    """An input or an output of a node; `is_widget` where a widget's value can come through it."""

    name: str
    type: str
    link: int | str | None = None
    is_widget: bool = False


@dataclass(frozen=True)
class Link:
    """A line from an output of a node to an input of another."""

    origin: str
    slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Node:
    """A node; `named` are the values of its widgets by name, which newer canvases save beside the list."""

    id: str
    type: str
    title: str = ""
    mode: int = 0
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()
    values: list[Any] | Mapping[str, Any] = field(default_factory=list)
    named: Mapping[str, Any] | None = None
    promotions: tuple[tuple[str, str, str], ...] = ()  # of an instance: (inner node, its widget, deepest node or "")

    @property
    def runs(self) -> bool:
        """Whether it is neither muted nor bypassed."""
        return self.mode not in (MUTED, BYPASSED)

    def first_value(self, name: str) -> Any:
        """The value of the only widget, of that name; None without one."""
        if self.named is not None and name in self.named:
            return self.named[name]
        return self.values[0] if isinstance(self.values, list) and self.values else None


@dataclass(frozen=True)
class Boundary:
    """An input or an output of a subgraph, and the links inside that start or end at it."""

    name: str
    links: tuple[int | str, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes by id and links by id: those of the file itself, or of one of its subgraphs, which has boundaries too."""

    nodes: Mapping[str, Node]
    links: Mapping[int | str, Link]
    name: str = ""
    inputs: tuple[Boundary, ...] = ()
    outputs: tuple[Boundary, ...] = ()
    input_node: str = _INPUTS

    @cached_property
    def linked(self) -> frozenset[str]:
        """The nodes that a link comes from or that take one in."""
        origins = {link.origin for link in self.links.values()}
        targets = {n.id for n in self.nodes.values() if any(slot.link in self.links for slot in n.inputs)}
        return frozenset(origins | targets)


@dataclass(frozen=True)
class SavedGraph:
    """What a file holds: its graph, and the subgraphs that instances in it stand for, by id."""

    graph: Graph
    subgraphs: Mapping[str, Graph]


def read_saved(data: Mapping[str, Any]) -> SavedGraph:
    """Read a graph in the canvas' form.

    Args:
        data: Parsed JSON with a list of `nodes`.

    Raises:
        GraphError: Something in it is of another type than the canvas writes; the message says what and where.
    """
    definitions = _mapping(data, "definitions", "the graph")
    subgraphs: dict[str, Graph] = {}
    for entry in _list(definitions, "subgraphs", "`definitions`"):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
            raise GraphError(f"every entry of `definitions.subgraphs` needs an `id` that is a text, got {shown(entry)}")
        subgraphs[entry["id"]] = _read_graph(entry, f"subgraph {shown(entry.get('name') or entry['id'])}, ")
    return SavedGraph(_read_graph(data, ""), subgraphs)


def shown(value: Any) -> str:
    """A value of a graph for a message: on one line, and cut where it is long."""
    return _short.repr(value)


def is_id(value: Any) -> bool:
    """Whether a value can name a node or a link."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _read_graph(data: Mapping[str, Any], where: str) -> Graph:
    nodes: dict[str, Node] = {}
    for entry in _list(data, "nodes", f"{where}the graph"):
        node = _read_node(entry, where)
        if node.id in nodes:
            raise GraphError(f"{where}two nodes have the id {shown(node.id)}: save the graph again in the browser")
        nodes[node.id] = node
    links = dict(_read_link(link, where) for link in _list(data, "links", f"{where}the graph"))
    ends = {}
    for key, fallback in (("inputNode", _INPUTS), ("outputNode", _OUTPUTS)):
        end = _mapping(data, key, f"{where}the graph").get("id", fallback)
        if not is_id(end):
            raise GraphError(f"{where}`{key}` needs an `id` that is a number, got {shown(end)}")
        ends[key] = str(end)
    name = data.get("name")
    return Graph(
        nodes,
        links,
        name if isinstance(name, str) else "",
        _read_boundaries(data, "inputs", where) if where else (),
        _read_outputs(data, where, links, ends["outputNode"]) if where else (),
        ends["inputNode"],
    )


def _read_boundaries(data: Mapping[str, Any], key: str, where: str) -> tuple[Boundary, ...]:
    boundaries = []
    for entry in _list(data, key, f"{where}the graph"):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise GraphError(f"{where}`{key}` should be a list of objects with a `name`, got {shown(entry)} in it")
        links = _list(entry, "linkIds", f"{where}{shown(entry['name'])}")
        if not all(is_id(link) for link in links):
            raise GraphError(f"{where}`linkIds` should be a list of numbers, got {shown(links)}")
        boundaries.append(Boundary(entry["name"], tuple(links)))
    return tuple(boundaries)


def _read_outputs(
    data: Mapping[str, Any], where: str, links: Mapping[int | str, Link], end: str
) -> tuple[Boundary, ...]:
    """The outputs, each with the link that ends there, also where the list of its links is out of date."""
    outputs = []
    for index, output in enumerate(_read_boundaries(data, "outputs", where)):
        good = tuple(name for name in output.links if name in links)
        ends = (name for name, link in links.items() if (link.target, link.target_slot) == (end, index))
        outputs.append(Boundary(output.name, good or tuple(ends)))
    return tuple(outputs)


def _read_node(data: Any, where: str) -> Node:
    if not isinstance(data, Mapping) or not is_id(data.get("id")) or not isinstance(data.get("type"), str):
        raise GraphError(
            f"{where}every entry of the graph's `nodes` needs an `id` and a `type`: a number and a text; "
            f"got {shown(data)}"
        )
    name = str(data["id"])
    here = f"{where}node {shown(name) if isinstance(data['id'], str) else name}"
    title, mode = data.get("title"), data.get("mode")
    if title is not None and not isinstance(title, str):
        raise GraphError(f"{here}: `title` should be a text, it is {shown(title)}")
    if mode is not None and (not isinstance(mode, int) or isinstance(mode, bool)):
        raise GraphError(f"{here}: `mode` should be a number, it is {shown(mode)}")
    values = data.get("widgets_values")
    if values is not None and not isinstance(values, (list, Mapping)):
        raise GraphError(f"{here}: `widgets_values` should be a list or an object, it is {shown(values)}")
    values_by_name = None
    if data.get("widgets_values_named") is not None:
        values_by_name = _mapping(data, "widgets_values_named", here)
    return Node(
        name,
        data["type"],
        title or "",
        mode or 0,
        _read_slots(data, "inputs", here),
        _read_slots(data, "outputs", here),
        [] if values is None else values,
        values_by_name,
        _read_promotions(_mapping(data, "properties", here).get("proxyWidgets"), here),
    )


def _read_slots(data: Mapping[str, Any], key: str, where: str) -> tuple[Slot, ...]:
    slots = []
    for entry in _list(data, key, where):
        if not isinstance(entry, Mapping) or (key == "inputs" and not isinstance(entry.get("name"), str)):
            raise GraphError(f"{where}: `{key}` should be a list of objects with a `name`, got {shown(entry)} in it")
        link = entry.get("link")
        if link is not None and not is_id(link):
            raise GraphError(f"{where}: the `link` of an input should be a number, it is {shown(link)}")
        kind = entry.get("type", "*")
        name, is_widget = str(entry.get("name", "")), bool(entry.get("widget"))
        slots.append(Slot(name, kind if isinstance(kind, str) else shown(kind), link, is_widget))
    return tuple(slots)


def _read_promotions(value: Any, where: str) -> tuple[tuple[str, str, str], ...]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = Ellipsis
    if value is None:
        return ()
    good = isinstance(value, list) and all(
        isinstance(entry, list)
        and len(entry) in (2, 3)
        and is_id(entry[0])
        and isinstance(entry[1], str)
        and all(is_id(more) or more is None for more in entry[2:])
        for entry in value
    )
    if not good:
        raise GraphError(f"{where}: `proxyWidgets` should be a list of [node, widget], it is {shown(value)}")
    deepest = (str(entry[2]) if len(entry) > 2 and entry[2] is not None else "" for entry in value)
    return tuple((str(entry[0]), entry[1], last) for entry, last in zip(value, deepest))


def _read_link(data: Any, where: str) -> tuple[int | str, Link]:
    if isinstance(data, Mapping):
        parts = [data.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    else:
        parts = list(data[:5]) if isinstance(data, list) else []
    parts += [None] * (5 - len(parts))
    name, origin, slot, target, target_slot = parts
    index, target_index = _index(slot), _index(target_slot)
    if not is_id(name) or not is_id(origin) or index is None:
        raise GraphError(
            f"{where}a link should be [id, from node, from output, to node, to input, type], got {shown(data)}"
        )
    return name, Link(str(origin), index, str(target), -1 if target_index is None else target_index)  # type: ignore[return-value]


def _index(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _list(data: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, list):
        raise GraphError(f"{where}: `{key}` should be a list, it is {shown(value)}")
    return value or []


def _mapping(data: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise GraphError(f"{where}: `{key}` should be an object, it is {shown(value)}")
    return value or {}
