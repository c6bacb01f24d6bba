"""What InstructSampler says of a run: what was asked, and what can be seen to have come of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..instructdiffusion.tasks import Instruction

_MAY_KEEP = frozenset({"edit", "dewatermark"})  # what they do not change is the source's, to the pixel
_READERS = {
    "segment": "MaskExtract", "refer": "MaskExtract", "detect": "MaskExtract", "keypoints": "KeypointExtract",
    "align": "KeypointExtract", "classify": "ClassExtract",
}  # fmt: skip


def report(asked: Instruction, sources: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> str:
    """Plain sentences, a line each, about pictures uint8 [h, w, 3] and what was drawn on them."""
    lines = [f"{asked.task}: {asked.text}"]
    if asked.task in _READERS:
        lines.append(f"The answer is drawn on the picture: {_READERS[asked.task]} reads it.")
    if asked.task in _MAY_KEEP:
        same = [np.array_equal(one, other) for one, other in zip(sources, drawn, strict=True)]
        if all(same):
            lines.append("Nothing was changed.")
        elif any(same):
            numbers = ", ".join(str(i) for i, kept in enumerate(same, 1) if kept)
            lines.append(f"Nothing was changed in picture {numbers} of {len(same)}.")
    return "\n".join(lines)
