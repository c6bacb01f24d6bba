"""What feeds an input: lines followed through everything that is only on the canvas.

Reroutes, Set and Get, bypassed nodes and the ends of subgraphs are no nodes for the server. The rules are those by
which the canvas itself queues a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .saved_graph import BYPASSED, MUTED, GraphError, Node, Slot, shown
from .subgraphs import Frame

_PRIMITIVE = "PrimitiveNode"
_REROUTES = {"Reroute", "Reroute (rgthree)"}
_SETTERS = {"SetNode", "easy setNode"}
_GETTERS = {"GetNode", "easy getNode"}
_RGTHREE = (
    "Bookmark", "Fast Actions Button", "Fast Bypasser", "Fast Groups Bypasser", "Fast Groups Muter", "Fast Muter",
    "Label", "Mute / Bypass Relay", "Mute / Bypass Repeater", "Node Collector", "Power Conductor", "Random Unmuter",
)  # fmt: skip
NOTES = {"Note", "MarkdownNote"}
ON_THE_CANVAS = {_PRIMITIVE, *NOTES, *_REROUTES, *_SETTERS, *_GETTERS, *(f"{name} (rgthree)" for name in _RGTHREE)}


@dataclass(frozen=True)
class Output:
    """An output of a node that the server has: the node's id there, and the output's number."""

    node: str
    slot: int


@dataclass(frozen=True)
class HeldValue:
    """A value instead of a line; `is_widget` where the canvas puts it into the widget first (PrimitiveNode)."""

    value: Any
    is_widget: bool = False


def find_source(frame: Frame, node: Node, index: int) -> Output | HeldValue | None:
    """Follow what is linked to an input back to where it comes from.

    Args:
        frame: Where the node stands.
        node: The node.
        index: The input's number.

    Returns:
        An output of a node that runs; a value; None where nothing is linked or nothing comes.

    Raises:
        GraphError: The lines run in a circle, or one comes from a node that is not in the graph.
    """
    line_type = ""  # the type that the line has to fit; kept by reroutes, as the canvas keeps it
    visited: set[tuple[tuple[str, ...], str, int]] = set()
    while True:
        if (frame.path, node.id, index) in visited:
            raise GraphError(f"the links through node {frame.id_of(node)} run in a circle")
        visited.add((frame.path, node.id, index))
        if index >= len(node.inputs):
            return None
        slot = node.inputs[index]
        link = frame.graph.links.get(slot.link) if slot.link is not None else None
        if link is None:
            return None
        line_type, origin, output = line_type or slot.type, link.origin, link.slot
        while True:  # into subgraphs, from their ends to what is linked there
            if frame.instance is not None and frame.parent is not None and origin == frame.graph.input_node:
                place = _leave(frame, output)
                if not isinstance(place, int):
                    return place
                node, frame, index, line_type = frame.instance, frame.parent, place, ""
                break
            if origin not in frame.graph.nodes:
                raise GraphError(
                    f"link {shown(slot.link)} comes from node {':'.join((*frame.path, origin))}, which is not in the "
                    "graph: save it again"
                )
            node = frame.graph.nodes[origin]
            if node.type == _PRIMITIVE:
                value = next(iter(frame.given.get(node.id, {}).values()), node.first_value("value"))
                return None if value is None else HeldValue(value, is_widget=True)
            if node.mode == MUTED:
                return None
            if node.mode == BYPASSED:
                matching = _bypass(node, output, line_type)
                if matching is None:
                    return None
                index, line_type = matching, ""
                break
            if node.id in frame.children:
                frame = frame.children[node.id]
                inner = frame.graph.outputs[output].links[:1] if output < len(frame.graph.outputs) else ()
                if not inner or inner[0] not in frame.graph.links:
                    return None
                origin, output = frame.graph.links[inner[0]].origin, frame.graph.links[inner[0]].slot
                if (frame.path, origin, ~output) in visited:
                    raise GraphError(f"the links through node {':'.join(frame.path)} run in a circle")
                visited.add((frame.path, origin, ~output))
                continue
            if node.type in _GETTERS:
                where = _find_setter(frame, node)
                if where is None:
                    return None
                frame, node = where
                index = output
                break
            if node.type in _REROUTES or node.type in _SETTERS:
                index = output
                break
            if node.type in ON_THE_CANVAS:
                return None
            return Output(frame.id_of(node), output)


def _leave(frame: Frame, index: int) -> int | HeldValue | None:
    """From an input of a subgraph to that of its instance; its value where nothing is linked there."""
    assert frame.instance is not None
    if index >= len(frame.graph.inputs):
        return None
    name = frame.graph.inputs[index].name
    slots = [number for number, slot in enumerate(frame.instance.inputs) if slot.name == name]
    # names are not unique: the one in the same place, where it bears the name
    number = index if index in slots else slots[0] if slots else -1
    if number >= 0 and frame.instance.inputs[number].link is not None:
        return number
    return HeldValue(frame.promoted[name]) if name in frame.promoted else None


def _find_setter(frame: Frame, node: Node) -> tuple[Frame, Node] | None:
    """The node that sets what a Get node names: in its own graph, else in one around it, as KJNodes looks it up."""
    name = node.first_value("Constant")
    around: Frame | None = frame
    while around is not None:
        setters = around.setters.get(name, []) if isinstance(name, str) else []
        if len(setters) > 1 and around is not frame:
            raise GraphError(
                f"node {frame.id_of(node)} gets {shown(name)}, which several nodes set: "
                f"{', '.join(around.id_of(setter) for setter in setters)}; give them names of their own"
            )
        if setters:
            return around, setters[0]
        around = around.parent
    return None


def _bypass(node: Node, output: int, line_type: str) -> int | None:
    """The input that a bypassed node hands on as this output: the one beside it where the types agree, else
    the first of the type."""
    slots = node.inputs
    output_type = node.outputs[output].type if output < len(node.outputs) else "*"
    if line_type in ("*", ""):
        return output if output < len(slots) else 0
    fits = [_fits(slot, output_type, line_type) for slot in slots]
    if output < len(slots) and fits[output]:
        return output
    exact = [number for number, slot in enumerate(slots) if slot.type == line_type]
    loose = [number for number, fit in enumerate(fits) if fit]
    return next(iter(exact + loose), None)


def _fits(slot: Slot, output_type: str, line_type: str) -> bool:
    return _connects(slot.type, output_type) and _connects(slot.type, line_type)


def _connects(one: str, other: str) -> bool:
    if "*" in (one, other) or "" in (one, other):
        return True
    return not {t.strip().lower() for t in one.split(",")}.isdisjoint(t.strip().lower() for t in other.split(","))
