"""Classification: the thing is painted in the colour that stands for its category."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...decoding import decode_category
from ...imaging import rasterize
from ...results import Label
from ..instruction import Instruction
from ..task import ALPHA, Task, check_pair, check_picture, nothing_found
from ..template_files import read_templates


class Classify(Task):
    """Which of the categories asked for the picture shows; a colour stands for each."""

    name = "classify"
    order = 40
    summary = "say which of the categories it is, as 'a dog' 'a cat'"
    subject_label = "CATEGORY"
    target_type = tuple  # of a Label and the region bool [h, w]
    metric = "label"
    bars: Mapping[str, float] = {"accuracy": 0.95, "absent answered empty": 0.95}
    augmentation = "whole"
    templates, paraphrases, wordings = read_templates(name)
    guidance = (7.5, 1.5)
    perception = True
    local = True
    max_subjects = len(Task.palette)
    example = "a dog"

    def render(
        self, image: np.ndarray, target: tuple[Label, np.ndarray], instruction: Instruction
    ) -> np.ndarray:
        """The region (bool [h, w]) half covered by its category's colour; unchanged for Label(None)."""
        check_picture(image, "image")
        if not isinstance(target, tuple) or len(target) != 2 or not isinstance(target[0], Label):
            raise TypeError(f"{self.name}: the target is (Label, mask), got {type(target).__name__}")
        label, region = target
        if label.name is None:
            return image.copy()
        region = np.asarray(region, bool)
        if region.shape != image.shape[:2]:
            raise ValueError(f"a region of {region.shape} does not fit a picture of {image.shape[:2]}")
        if label.name not in instruction.subjects:
            raise ValueError(f"{self.name}: {label.name!r} is none of {list(instruction.subjects)}")
        color = instruction.colors[instruction.subjects.index(label.name)]
        return rasterize.tint(image, region, color.array, ALPHA)

    def decode(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        *,
        min_area: int | None = None,
    ) -> Label:
        """The category whose colour explains what changed, with a score for each (they sum to 1 at most).

        name is None where less than min_area pixels (None: .3 % of the picture) changed or no colour fits.
        """
        check_pair(source, edited)
        colors = np.stack([c.array for c in instruction.colors])
        scores = decode_category(source, edited, colors, alpha=ALPHA, min_area=min_area)
        table = {s: float(v) for s, v in zip(instruction.subjects, scores, strict=True)}
        if not scores.any():
            return Label(None, table, nothing_found(instruction.subjects))
        return Label(instruction.subjects[int(np.argmax(scores))], table)
