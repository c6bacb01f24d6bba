"""Giving widgets other values: `--set NODE.INPUT=VALUE`."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .graph_conversion import is_link
from .specs import InputSpec, input_specs

_SHOWN = 12


class OverrideError(ValueError):
    """A --set that the graph has no place for, or a value that does not fit; the message lists what would."""


@dataclass(frozen=True)
class Override:
    """One --set: `target` is NODE.INPUT as it was typed, `text` the value."""

    target: str
    text: str


def read_override(text: str) -> Override:
    """Take NODE.INPUT=VALUE apart; OverrideError where it is not of that form."""
    target, sign, value = text.partition("=")
    node, dot, name = target.rpartition(".")
    if not (sign and dot and node and name):
        raise OverrideError(f"--set wants NODE.INPUT=VALUE, for instance 3.subject='the red star'; got {text!r}")
    return Override(target, value)


def apply_override(
    override: Override,
    prompt: dict[str, dict[str, Any]],
    object_info: Mapping[str, Any],
    upload: Callable[[Path], str],
) -> None:
    """Put the value into the graph (API form, changed in place), checked against what the server takes.

    upload: brings a file to the server and gives the name it has there.
    OverrideError where the node or the input is not there or not the only one, or the value does not fit;
    the message lists the choices.
    """
    node, name = _find(override.target, prompt, object_info)
    entry = prompt[node]
    specs = {spec.name: spec for spec in _specs(entry, object_info)}
    spec = specs.get(name) or InputSpec(name, "*")
    where = f"--set {override.target}"
    if is_link(entry["inputs"].get(name)) and not spec.has_widget_type:
        raise OverrideError(f"{where}: the input takes a {spec.type} from another node; only widgets can be set")
    if spec.name in specs and not spec.has_widget_type and name not in entry["inputs"]:
        raise OverrideError(f"{where}: the input is a socket for {spec.type}; only widgets can be set")
    value = _value(override.text, spec, where, upload)
    entry["inputs"][name] = {"__value__": value} if isinstance(value, list) else value


def _find(target: str, prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> tuple[str, str]:
    """The node id and the input's name; titles and names may themselves have dots in them."""
    cuts = [i for i, char in enumerate(target) if char == "." and 0 < i < len(target) - 1]
    matched: list[tuple[str, str]] = []
    for cut in cuts:
        nodes = _nodes(target[:cut], prompt, object_info)
        matched += [(node, target[cut + 1 :]) for node in nodes]
    fitting = [(node, name) for node, name in matched if name in _names(node, prompt, object_info)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise OverrideError(
            f"--set {target} fits several nodes; name one by its id:\n"
            + "\n".join(f"  {node}.{name}  {label_of(node, prompt)}" for node, name in fitting)
        )
    if matched:
        lines = [
            f"  {label_of(node, prompt)}: {', '.join(_names(node, prompt, object_info)) or 'none'}"
            for node in dict(matched)
        ]
        raise OverrideError(f"--set {target}: there is no such input; the inputs are:\n" + "\n".join(lines))
    lines = [f"  {node}  {label_of(node, prompt)}" for node in prompt]
    raise OverrideError(
        f"--set {target}: no node that runs has that id, title or type; the nodes are:\n" + "\n".join(lines)
    )


def _nodes(name: str, prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[str]:
    """The nodes that a name means: one by its id, else those of that title, else those of that type."""
    if name in prompt:
        return [name]
    folded = name.casefold()
    titled = [node for node in prompt if _title(node, prompt).casefold() == folded]
    if titled:
        return titled
    matches = []
    for node, entry in prompt.items():
        title = object_info[entry["class_type"]].get("display_name") or ""
        if folded in (entry["class_type"].casefold(), str(title).casefold()):
            matches.append(node)
    return matches


def _names(node: str, prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[str]:
    entry = prompt[node]
    return list(dict.fromkeys([*(spec.name for spec in _specs(entry, object_info)), *entry["inputs"]]))


def _specs(entry: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[InputSpec]:
    """The inputs of a node, with those that its choices bring."""
    specs = input_specs(object_info[entry["class_type"]])
    for spec in specs:  # grows while it is walked: what is brought may itself bring more
        specs += spec.brought_by(entry["inputs"].get(spec.name))
    return specs


def _value(text: str, spec: InputSpec, where: str, upload: Callable[[Path], str]) -> Any:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = text
    kind = str(spec.options.get("widgetType") or spec.type)
    if kind == "STRING":
        return parsed if isinstance(parsed, str) else text
    if kind == "BOOLEAN":
        known = {"true": True, "false": False}
        if text.lower() not in known:
            raise OverrideError(f"{where}: expected true or false, got {text!r}")
        return known[text.lower()]
    if kind in ("INT", "FLOAT"):
        return _number(parsed, text, spec, kind, where)
    if kind == "COMBO" or spec.is_dynamic:
        return _choice(parsed, text, spec, where, upload)
    return parsed


def _number(parsed: Any, text: str, spec: InputSpec, kind: str, where: str) -> int | float:
    good = isinstance(parsed, (int, float)) and not isinstance(parsed, bool) and abs(parsed) < float("inf")
    if good and kind == "INT" and parsed != int(parsed):
        good = False
    if not good:
        raise OverrideError(
            f"{where}: expected {'a whole number' if kind == 'INT' else 'a number'}, got {text!r}"
        )
    low, high = spec.options.get("min"), spec.options.get("max")
    if (low is not None and parsed < low) or (high is not None and parsed > high):
        raise OverrideError(f"{where}: expected a number from {low} to {high}, got {text}")
    return int(parsed) if kind == "INT" else float(parsed)


def _choice(parsed: Any, text: str, spec: InputSpec, where: str, upload: Callable[[Path], str]) -> Any:
    if spec.is_upload:
        path = Path(text).expanduser()
        if path.is_file():
            return _upload(path, spec, where, upload)
    if spec.choices is None:
        return parsed
    items = parsed if isinstance(parsed, list) else None
    if items is not None and (spec.options.get("multiselect") or spec.options.get("multi_select")):
        if all(value in spec.choices for value in items):
            return items
    for value in (text, parsed):
        # True == 1 in Python; the server's list tells them apart
        for choice in spec.choices:
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return choice
    names = [str(choice) for choice in spec.choices]
    near = difflib.get_close_matches(text, names, _SHOWN, 0.3) if len(names) > _SHOWN else names
    listing = ", ".join(near or names[:_SHOWN]) or "nothing: the list is empty"
    more = f" (of {len(names)})" if len(names) > _SHOWN else ""
    file = "; and there is no file of that name here to upload" if spec.is_upload else ""
    raise OverrideError(f"{where}: {text!r} is not one of the choices: {listing}{more}{file}")


def _upload(path: Path, spec: InputSpec, where: str, upload: Callable[[Path], str]) -> str:
    if spec.options.get("image_upload") is True and not spec.options.get("video_upload"):
        try:
            check_picture(path)
        except ValueError as error:
            raise OverrideError(f"{where}: {error}") from error
    return upload(path)


def check_picture(path: Path) -> None:
    """ValueError for a file that is not a picture; how large a one is taken is the server's to say."""
    from ..imaging.image_files import open_image

    with open_image(path, str(path), max_pixels=sys.maxsize, load=False) as image:
        try:
            image.verify()
        except Exception as error:  # what Pillow raises depends on the format
            raise ValueError(f"{path} is not a picture that can be read: {error}") from error


def _title(node: str, prompt: Mapping[str, Any]) -> str:
    return str((prompt[node].get("_meta") or {}).get("title") or "")


def label_of(node: str, prompt: Mapping[str, Any]) -> str:
    """A node of a graph in API form, as messages name it."""
    title, kind = _title(node, prompt), prompt[node]["class_type"]
    return f"{title} ({kind}, node {node})" if title and title != kind else f"{kind} (node {node})"
