"""Subgraphs unfolded: what every instance of one holds, and the values that its own widgets give to what is inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .saved_graph import Graph, GraphError, Node, SavedGraph, shown
from .specs import CONTROLS

_MOST_NODES = 100_000  # that a graph may unfold to: subgraphs in subgraphs multiply
_OWN = "-1"  # in a promotion: an input of the instance itself
_PREFIX = re.compile(r"\s*(\d+)\s*:\s*(.+)", re.DOTALL)
_SETTERS = {"SetNode": "Constant", "easy setNode": "Constant"}  # each with its widget's name


@dataclass(eq=False)
class Frame:
    """A graph where it runs: the file's own, or a subgraph inside one of its instances.

    Attributes:
        path: The ids of the instances that it lies in, outermost first.
        promoted: Values by the names of the subgraph's inputs, for those that nothing is linked to.
        given: Values that the instance gives to widgets inside: node id -> widget -> value.
    """

    graph: Graph
    path: tuple[str, ...] = ()
    parent: Frame | None = None
    instance: Node | None = None
    promoted: dict[str, Any] = field(default_factory=dict)
    given: dict[str, dict[str, Any]] = field(default_factory=dict)
    children: dict[str, Frame] = field(default_factory=dict)

    def id_of(self, node: Node) -> str:
        """The id that a node has on the server: those of the instances around it and its own."""
        return ":".join((*self.path, node.id))

    @cached_property
    def setters(self) -> dict[str, list[Node]]:
        """The nodes that give a line a name (KJNodes' Set), by that name."""
        setters: dict[str, list[Node]] = {}
        for node in self.graph.nodes.values():
            name = node.first_value(_SETTERS[node.type]) if node.type in _SETTERS else None
            if isinstance(name, str) and name:
                setters.setdefault(name, []).append(node)
        return setters


def unfold(saved: SavedGraph) -> Frame:
    """The file's graph with a frame for every instance of a subgraph that runs, however deep.

    Raises:
        GraphError: A subgraph holds itself, one is missing from the file, or there are too many nodes.
    """
    frame = Frame(saved.graph)
    count = len(saved.graph.nodes)
    open_frames: list[tuple[Frame, tuple[str, ...]]] = [(frame, ())]
    while open_frames:
        outer, around = open_frames.pop()
        for node in outer.graph.nodes.values():
            graph = saved.subgraphs.get(node.type)
            # what is inside a muted or bypassed instance does not run, whatever its own mode
            if graph is None or not node.runs:
                continue
            if node.type in around:
                raise GraphError(f"node {outer.id_of(node)}: the subgraph {shown(graph.name)} holds itself")
            count += len(graph.nodes)
            if count > _MOST_NODES:
                raise GraphError(f"the graph's subgraphs unfold to more than {_MOST_NODES} nodes")
            child = Frame(graph, (*outer.path, node.id), outer, node)
            _take_values(child, node, saved)
            _take_given(child, node, outer.given.get(node.id, {}))
            outer.children[node.id] = child
            open_frames.append((child, (*around, node.type)))
    return frame


def walk(frame: Frame) -> Iterator[tuple[Frame, Node]]:
    """Every node of a frame and of those inside it, instances too, in the order of the file."""
    left: list[tuple[Frame, Iterator[Node]]] = [(frame, iter(frame.graph.nodes.values()))]
    while left:
        here, nodes = left[-1]
        for node in nodes:
            yield here, node
            if node.id in here.children:
                child = here.children[node.id]
                left.append((child, iter(child.graph.nodes.values())))
                break
        else:
            left.pop()


def _take_values(frame: Frame, node: Node, saved: SavedGraph) -> None:
    """Read the values of an instance's own widgets into its frame, as the canvas' versions wrote them."""
    names = [name for index, name in enumerate(i.name for i in frame.graph.inputs) if _is_promoted(frame, index, saved)]
    values = node.values if isinstance(node.values, list) else []
    if node.promotions:
        for value, (source, widget, deepest) in zip(values, node.promotions):
            if value is None:  # nothing of its own: what is inside keeps its value
                continue
            name = widget if source == _OWN else _input_for(frame.graph, source, widget)
            if name is not None:
                frame.promoted[name] = value
            else:
                prefix = f"{deepest}: " if deepest and not _PREFIX.match(widget) else ""
                frame.given.setdefault(source, {})[prefix + widget] = value
    else:
        at, has_controls = 0, len(values) > len(names)
        for name in names:
            if at < len(values) and values[at] is not None:
                frame.promoted[name] = values[at]
            at += 1
            if has_controls and at < len(values) and values[at] in CONTROLS:
                at += 1
    by_name = node.named if node.named is not None else node.values if isinstance(node.values, Mapping) else {}
    frame.promoted.update((name, by_name[name]) for name in names if by_name.get(name) is not None)


def _take_given(frame: Frame, node: Node, values: Mapping[str, Any]) -> None:
    """Hand what the instance's surroundings give to it on to its inputs, or to what is promoted from deeper inside."""
    names = {boundary.name for boundary in frame.graph.inputs}
    for widget, value in values.items():
        name, deepest = widget, ""
        while name not in names and (match := _PREFIX.fullmatch(name)):
            deepest, name = match.groups()
        if name in names:
            frame.promoted[name] = value
            continue
        for source, inner, more in node.promotions:
            if inner == name and source != _OWN and deepest in ("", source, more):
                frame.given.setdefault(source, {})[inner] = value


def _is_promoted(frame: Frame, index: int, saved: SavedGraph) -> bool:
    """Whether an input of a subgraph ends at a widget inside, so that its instances show one."""
    boundary, graph = frame.graph.inputs[index], frame.graph
    slots = frame.instance.inputs if frame.instance is not None else ()
    if any(slot.name == boundary.name and slot.is_widget for slot in slots):
        return True
    left, visited = [(graph, boundary)], set()
    while left:
        graph, boundary = left.pop()
        for name in boundary.links:
            link = graph.links.get(name)
            node = graph.nodes.get(link.target) if link is not None else None
            slot = next((slot for slot in node.inputs if slot.link == name), None) if node is not None else None
            if node is None or slot is None:
                continue
            if slot.is_widget:
                return True
            inner = saved.subgraphs.get(node.type)
            if inner is not None and (node.type, slot.name) not in visited:
                visited.add((node.type, slot.name))
                left += [(inner, deeper) for deeper in inner.inputs if deeper.name == slot.name]
    return False


def _input_for(graph: Graph, source: str, widget: str) -> str | None:
    """The input of a subgraph that is linked to that widget inside; None where none is."""
    node = graph.nodes.get(source)
    if node is None:
        return None
    for boundary in graph.inputs:
        for slot in node.inputs:
            if slot.name == widget and slot.link is not None and slot.link in boundary.links:
                return boundary.name
    return None
