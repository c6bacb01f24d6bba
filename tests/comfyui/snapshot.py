"""The interface of the nodes as /object_info tells it, and the file that holds what it has to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).with_name("object_info.json")
NODES = {
    "InstructLoader", "InstructTask", "InstructSampler", "InstructGuider", "MaskExtract", "KeypointExtract",
    "BoxFromMask", "ClassExtract", "InstructScene", "EditExtract", "InstructDetector",
}  # fmt: skip
_INTERFACE = (
    "name",
    "display_name",
    "category",
    "input",
    "input_order",
    "output",
    "output_name",
    "output_is_list",
)


def ours(info: dict[str, Any]) -> dict[str, Any]:
    """The nodes of this pack in /object_info, what graphs depend on in every version."""
    return {name: {key: info[name][key] for key in _INTERFACE} for name in sorted(NODES)}
