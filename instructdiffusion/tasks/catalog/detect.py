"""Detection: a half-transparent filled rectangle over every thing that the subject names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...compositing.rules import join_drawings
from ...decoding import decode_boxes
from ...imaging import rasterize
from ...results import Boxes
from ..instruction import Instruction
from ..several import own_drawings, rows_of_subjects
from ..task import ALPHA, Task, check_pair, check_picture, nothing_found
from ..template_files import read_templates

# On 400 validation scenes it costs no AP50; of 400 that ask for what is not there .968 stay empty, .953 without.
SCORE = 0.75


class Detect(Task):
    """Boxes of one label; overlapping boxes are told apart because an overlap is covered twice."""

    name = "detect"
    order = 30
    summary = "box everything that the subject names, each subject in its color"
    target_type = Boxes
    metric = "boxes"
    bars: Mapping[str, float] = {"box AP50": 0.85, "absent answered empty": 0.95}
    mark = "box"
    templates, paraphrases, wordings = read_templates(name)
    guidance = (7.5, 1.5)
    perception = True
    local = True
    max_subjects = len(Task.palette)
    asks_singly = True

    def shows_alone(self, instruction: Instruction) -> bool:
        """Always: boxes are of a kind."""
        return True

    def render(self, image: np.ndarray, target: Boxes, instruction: Instruction) -> np.ndarray:
        """Every box filled at opacity .5, one over the other; of several subjects each in its color."""
        check_picture(image, "image")
        if not isinstance(target, Boxes):
            raise TypeError(f"{self.name}: the target is Boxes, got {type(target).__name__}")
        h, w = image.shape[:2]
        if target.canvas_size != (h, w):
            raise ValueError(f"boxes of {target.canvas_size} do not fit a picture of {(h, w)}")
        color = instruction.color
        if color is None:
            raise ValueError(f"{self.name}: the instruction has no colour; make it with instruct()")
        if not len(target):
            return image.copy()
        if len(instruction.subjects) > 1:
            rows = rows_of_subjects(target.labels, instruction, self.name)
            parts = self.questions(instruction)
            return join_drawings(image, [self.render(image, target[r], p) for r, p in zip(rows, parts, strict=True)])
        through = np.ones((h, w), np.float32)  # what still shows of the picture
        for box in target.xyxy:
            through *= 1 - ALPHA * rasterize.box_coverage(box, h, w)
        return rasterize.blend(image, 1 - through, color.array)

    def decode(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        *,
        min_area: int | None = None,
        max_boxes: int = 20,
        score: float = SCORE,
    ) -> Boxes:
        """Boxes with sub-pixel edges, the surest first.

        min_area: pixels below which a region is noise (None: .15 % of the picture, at least 4). score: how evenly a
        box must be filled, 0..1, see `decode_boxes`. Several subjects: the boxes of each, labelled with it, one
        subject after the other.
        """
        check_pair(source, edited)
        parts = self.questions(instruction)
        if len(parts) > 1:
            drawings = own_drawings(source, edited, [c.array for c in instruction.colors], boxes=True)
            results = [
                self.decode(source, d, p, min_area=min_area, max_boxes=max_boxes, score=score)
                for d, p in zip(drawings, parts, strict=True)
            ]
            return self.join(results, instruction)
        h, w = source.shape[:2]
        if instruction.color is None:
            raise ValueError(f"{self.name}: the instruction has no colour; make it with instruct()")
        xyxy, scores = decode_boxes(
            source, edited, instruction.color.array, alpha=ALPHA, min_area=min_area, max_boxes=max_boxes
        )
        sure = scores >= score
        xyxy, scores = xyxy[sure], scores[sure]
        if not len(xyxy):
            return Boxes.empty(h, w, nothing_found(instruction.subjects))
        return Boxes(xyxy, scores, (instruction.subject,) * len(xyxy), (h, w))

    def join(self, results: Sequence[Boxes], instruction: Instruction) -> Boxes:
        """The boxes of every subject, in the order asked for."""
        if len(results) == 1:
            return results[0]
        absent = [s for s, r in zip(instruction.subjects, results, strict=True) if not len(r)]
        return Boxes(
            np.concatenate([r.xyxy for r in results]),
            np.concatenate([r.scores for r in results]),
            tuple(label for r in results for label in r.labels),
            results[0].canvas_size,
            nothing_found(absent) if absent else "",
        )
