"""Where a graph takes in a person's picture and words: `--image` and `--subject`, without a node being named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .graph_conversion import BYPASSED, MUTED, GraphError, is_link, running_types
from .overrides import Override, label_of
from .specs import input_specs

_LOADER, _SCENE, _TASK = "LoadImage", "InstructScene", "InstructTask"
_ASKING = ("InstructSampler", "InstructGuider")


class EntryError(GraphError):
    """The graph has no place, or no single one, for what the command line gives; the message says what to write."""


def switch_on(
    graph: Any, object_info: Mapping[str, Any], overrides: Sequence[Override], image: bool
) -> tuple[Any, list[str]]:
    """Switch on the nodes that stand ready for a picture, bypassed or muted, and are now given one.

    Args:
        graph: Parsed JSON that `check_graph` passed, in any form; only the canvas' form can have such nodes.
        object_info: The server's /object_info.
        overrides: What --set gives: a node that it names and no running node bears the name of.
        image: Whether --image is given: the only Load Image, where none runs.

    Returns:
        The graph, a copy where something was switched on, and the labels of those nodes.
    """
    nodes = graph.get("nodes") if isinstance(graph, Mapping) else None
    if not isinstance(nodes, list):
        return graph, []
    idle = [n for n in nodes if n.get("mode", 0) in (MUTED, BYPASSED) and n.get("type") in object_info]
    running = [n for n in nodes if n.get("mode", 0) not in (MUTED, BYPASSED)]
    chosen = []
    if image and _LOADER not in running_types(graph):
        loaders = [node for node in idle if node["type"] == _LOADER]
        if len(loaders) > 1:
            raise _several("--image", "image", [(str(n.get("id")), _name(n, object_info)) for n in loaders], "FILE")
        chosen += loaders
    for override in overrides:
        name, _, input_name = override.target.rpartition(".")
        if any(_is_called(node, name, object_info) for node in running):
            continue
        matches = [node for node in idle if _is_called(node, name, object_info)]
        matches = [node for node in matches if _takes_file(node, input_name, object_info)]
        chosen += matches if len(matches) == 1 else []
    if not chosen:
        return graph, []
    copy = [{**node, "mode": 0} if any(node is one for one in chosen) else node for node in nodes]
    return {**graph, "nodes": copy}, [f"{_name(node, object_info)} (node {node.get('id')})" for node in chosen]


def put_picture(
    path: Path,
    prompt: dict[str, dict[str, Any]],
    object_info: Mapping[str, Any],
    upload: Callable[[Path], str],
) -> None:
    """Give a graph (API form, changed in place) a picture to work on, where it takes one in.

    That is its only Load Image; where it has none, the demo scene, whose made-up picture gives way to this one.
    EntryError where there is no such place, or more than one.
    """
    loaders = _of_type(prompt, _LOADER)
    scenes = [node for node in _of_type(prompt, _SCENE) if not is_link(prompt[node]["inputs"].get("image"))]
    if len(loaders) > 1:
        raise _several("--image", "image", [(node, label_of(node, prompt)) for node in loaders], "FILE")
    if loaders:
        (node,) = loaders
    elif len(scenes) == 1:
        if not any(spec.name == "image" for spec in input_specs(object_info[_SCENE])):
            raise EntryError("--image: the server's InstructScene takes no picture yet: bring its pack up to date")
        node = _free_id(prompt)
    else:
        raise EntryError(
            "--image: the graph has no place for a picture: it needs one Load Image node"
            + (", or one InstructScene without a picture" if not scenes else f" (it has {len(scenes)} InstructScene)")
            + "; other inputs are given with --set NODE.INPUT=FILE"
        )
    name = upload(path)
    if node not in prompt:
        prompt[node] = {"class_type": _LOADER, "inputs": {}, "_meta": {"title": "Load Image"}}
        prompt[scenes[0]]["inputs"]["image"] = [node, 0]
    prompt[node]["inputs"]["image"] = name


def put_subjects(subjects: Sequence[str], prompt: dict[str, dict[str, Any]]) -> None:
    """Say in a graph (API form, changed in place) what is asked for: in its InstructTask, else in its sampler's words.

    Several subjects become a line each. EntryError where there is no such node, more than one, or one that takes no
    subject.
    """
    text = "\n".join(subjects)
    tasks = _of_type(prompt, _TASK)
    asking = [
        node
        for kind in _ASKING
        for node in _of_type(prompt, kind)
        if not is_link(prompt[node]["inputs"].get("instruction"))
    ]
    if len(tasks) > 1:
        raise _several("--subject", "subject", [(node, label_of(node, prompt)) for node in tasks], "WORDS")
    if tasks:
        inputs = prompt[tasks[0]]["inputs"]
        if _takes_no_subject(inputs.get("task")):
            raise EntryError(f"--subject: the graph's task is {inputs['task']}, which takes no subject: leave it out")
        inputs["subject"] = text
    elif len(asking) > 1:
        raise _several("--subject", "text", [(node, label_of(node, prompt)) for node in asking], "WORDS")
    elif asking:
        prompt[asking[0]]["inputs"]["text"] = text
    else:
        raise EntryError(
            "--subject: the graph has no place for words: neither an InstructTask, nor an InstructSampler or "
            "InstructGuider without an instruction; other inputs are given with --set NODE.INPUT=WORDS"
        )


def _takes_no_subject(task: Any) -> bool:
    from ..tasks import TASKS

    return isinstance(task, str) and task in TASKS and TASKS[task].max_subjects == 0


def _of_type(prompt: Mapping[str, Any], kind: str) -> list[str]:
    return [node for node, entry in prompt.items() if entry["class_type"] == kind]


def _free_id(prompt: Mapping[str, Any]) -> str:
    number = 1 + max((int(node) for node in prompt if node.isdecimal()), default=0)
    return str(number)


def _several(option: str, name: str, nodes: Sequence[tuple[str, str]], value: str) -> EntryError:
    lines = [f"  --set {node}.{name}={value}   {title}" for node, title in nodes]
    return EntryError(f"{option}: the graph has {len(nodes)} places for it; choose one:\n" + "\n".join(lines))


def _name(node: Mapping[str, Any], object_info: Mapping[str, Any]) -> str:
    return str(node.get("title") or object_info[node["type"]].get("display_name") or node["type"])


def _is_called(node: Mapping[str, Any], name: str, object_info: Mapping[str, Any]) -> bool:
    """Whether a name as --set takes it is the node's id, title or type."""
    title = object_info.get(str(node.get("type")), {}).get("display_name")
    names = {str(s).casefold() for s in (node.get("title"), node.get("type"), title) if s}
    return str(node.get("id")) == name or name.casefold() in names


def _takes_file(node: Mapping[str, Any], name: str, object_info: Mapping[str, Any]) -> bool:
    return any(spec.name == name and spec.is_upload for spec in input_specs(object_info[node["type"]]))
