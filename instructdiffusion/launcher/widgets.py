"""The values of a node's widgets, as a saved graph has them: by name where it says so, else by their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .saved_graph import GraphError, Node, shown
from .specs import CONTROLS, InputSpec


def widget_values(node: Node, specs: list[InputSpec], where: str) -> dict[str, Any]:
    """Give every widget of a node its value, or its default where the file is older than the widget.

    Args:
        node: The node.
        specs: The inputs of its type.
        where: The node's name for messages.

    Returns:
        Values by the widgets' names, those that a choice brings too.

    Raises:
        GraphError: The list holds more values than the node has widgets, and one belongs to a widget that only the
            pack's script adds: every value after it would land one place off.
    """
    as_widget = {slot.name for slot in node.inputs if slot.is_widget}
    widgets = [spec for spec in specs if spec.is_widget or (spec.name in as_widget and not spec.is_forced)]
    values_by_name = node.named if node.named is not None else node.values if isinstance(node.values, Mapping) else None
    if values_by_name is not None:
        return _values_by_name(values_by_name, widgets)
    return _values_in_order(list(node.values), specs, widgets, where)


def _values_by_name(values_by_name: Mapping[str, Any], widgets: list[InputSpec]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    left = list(widgets)
    while left:
        spec = left.pop(0)
        value = values_by_name.get(spec.name, spec.default)
        if value is not None:
            values[spec.name] = value
        left = [s for s in spec.brought_by(value) if s.is_widget] + left
    return values


def _values_in_order(
    values: list[Any], specs: list[InputSpec], widgets: list[InputSpec], where: str
) -> dict[str, Any]:
    values = _without_forced(values, specs, widgets)
    result: dict[str, Any] = {}
    order: list[tuple[InputSpec, int]] = []
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
            order.append((spec, at))
            at += 1
        elif spec.default is not None:
            result[spec.name] = spec.default
        if spec.controls and at < len(values) and values[at] in CONTROLS:
            at += spec.controls
        left = [s for s in spec.brought_by(result.get(spec.name)) if s.is_widget] + left
        last = spec
    if at < len(values):
        _refuse_shifted(values, order, where)
    return result


def _refuse_shifted(values: list[Any], order: list[tuple[InputSpec, int]], where: str) -> None:
    """GraphError where a value cannot be the widget's and the one after it can."""
    for spec, at in order:
        if not _could_be(spec, values[at]) and at + 1 < len(values) and _could_be(spec, values[at + 1]):
            raise GraphError(
                f"{where}: its {len(values)} values do not fit its {len(order)} widgets: {spec.name} would become "
                f"{shown(values[at])}. A script of its pack adds widgets of its own: save the graph with a newer "
                "ComfyUI, which names the values, or export it in API form"
            )


def _could_be(spec: InputSpec, value: Any) -> bool:
    if spec.type in ("INT", "FLOAT"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if spec.type == "BOOLEAN":
        return isinstance(value, bool)
    if spec.choices and not spec.is_upload:
        return value in spec.choices
    return True


def _without_forced(values: list[Any], specs: list[InputSpec], widgets: list[InputSpec]) -> list[Any]:
    """Drop the values that old files keep for widgets that have since become sockets."""
    names = {spec.name for spec in widgets}
    once = [spec for spec in specs if spec.name in names or (spec.is_forced and spec.has_widget_type)]
    if len(once) == len(widgets) or len(values) != sum(1 + spec.controls for spec in once):
        return values
    result, at = [], 0
    for spec in once:
        width = 1 + spec.controls
        if spec.name in names:
            result += values[at : at + width]
        at += width
    return result
