"""Tasks that cover what is asked for by a half-transparent colour, read back as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compositing.rules import join_drawings
from ..decoding import clean_mask, decode_mask, guided_mask, smallest_area, strength
from ..imaging import rasterize
from ..results import Masks
from .instruction import Instruction
from .several import own_drawings, rows_of_subjects
from .task import ALPHA, Task, check_decoder, check_pair, check_picture, is_complement, listed, nothing_found

if TYPE_CHECKING:
    from ..decoding.light_unet import Refiner


# Chosen on 400 validation scenes a task and 400 more that ask for what is not there. A model in doubt draws faintly: an
# object's edge does so in part, and what is bold nowhere is no object.
THRESHOLD = 0.45
BOLDER = 0.2  # by how much the threshold must somewhere be surpassed, see `strength`


class MaskTask(Task):
    """What the answers of `segment` and `refer` share: how masks are drawn, read and joined."""

    target_type = Masks
    metric = "masks"
    bars: Mapping[str, float] = {"cIoU": 0.85, "absent answered empty": 0.95}
    guidance = (7.5, 1.5)
    perception = True
    local = True
    decoders = ("closed", "unet")
    max_subjects = len(Task.palette)
    asks_singly = True

    def render(self, image: np.ndarray, target: Masks, instruction: Instruction) -> np.ndarray:
        """The union of the masks, half covered by the instruction's colour; of several subjects each in its own.

        Where everything but the subjects is meant, what the masks leave out is covered.
        """
        check_picture(image, "image")
        if isinstance(target, Masks) and is_complement(instruction):
            out = ~target.union() if len(target) else np.zeros(target.canvas_size, bool)
            first = self.questions(instruction)[0]
            return self.render(image, Masks(out[None], np.ones(1, np.float32), first.subjects), first)
        if isinstance(target, Masks) and len(instruction.subjects) > 1:
            parts = self.questions(instruction)
            rows = rows_of_subjects(target.labels, instruction, self.name)
            drawings = [self.render(image, target[r], p) for r, p in zip(rows, parts, strict=True)]
            return join_drawings(image, drawings)
        if not isinstance(target, Masks):
            raise TypeError(f"{self.name}: the target is Masks, got {type(target).__name__}")
        if target.canvas_size != image.shape[:2]:
            raise ValueError(f"masks of {target.canvas_size} do not fit a picture of {image.shape[:2]}")
        color = instruction.color
        if color is None:
            raise ValueError(f"{self.name}: the instruction has no colour; make it with instruct()")
        return rasterize.tint(image, target.union(), color.array, ALPHA)

    def join(self, results: Sequence[Masks], instruction: Instruction) -> Masks:
        """The masks of every subject, in the order asked for; or, as one mask, what none of them covers."""
        absent = [s for s, r in zip(instruction.subjects, results, strict=True) if not len(r)]
        message = nothing_found(absent) if absent else ""
        if is_complement(instruction):
            label = f"everything but {listed(instruction.subjects)}"
            if len(absent) == len(results):
                h, w = results[0].canvas_size
                return Masks.empty(h, w, f"{message}, so that {label!r} would be the whole picture")
            rest = ~np.any([r.union() for r in results if len(r)], axis=0)
            score = np.concatenate([r.scores for r in results]).mean(dtype=np.float32)
            return Masks(rest[None], score[None], (label,), message)
        if len(results) == 1:
            return results[0]
        return Masks(
            np.concatenate([r.data for r in results]),
            np.concatenate([r.scores for r in results]),
            tuple(label for r in results for label in r.labels),
            message,
        )

    def decode_each(
        self, source: np.ndarray, edited: np.ndarray, instruction: Instruction, **options: Any
    ) -> Masks | None:
        """The answer where several subjects, or everything but them, are meant; None for the plain question."""
        parts = self.questions(instruction)
        if len(parts) == 1 and not is_complement(instruction):
            return None
        check_pair(source, edited)
        drawings = [edited]
        if len(parts) > 1:
            drawings = own_drawings(source, edited, [c.array for c in instruction.colors])
        results = [self.decode(source, d, p, **options) for d, p in zip(drawings, parts, strict=True)]
        return self.join(results, instruction)

    def read_mask(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        threshold: float,
        min_area: int | None,
        guide: np.ndarray | None,
        decoder: str | Refiner,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(mask bool, confidence float) [h, w], at the size of `guide` where it is given."""
        check_pair(source, edited)
        if instruction.color is None:
            raise ValueError(f"{self.name}: the instruction has no colour; make it with instruct()")
        if guide is not None:
            check_picture(guide, "guide")
        if decoder != "closed":
            return self._refined(source, edited, instruction.color.array, threshold, min_area, guide, decoder)
        mask, soft = decode_mask(
            source, edited, instruction.color.array, alpha=ALPHA, threshold=threshold, min_area=min_area
        )
        height, width = mask.shape if guide is None else guide.shape[:2]
        # What is empty stays empty: the filter could lift noise over the threshold.
        if strength(mask, soft) < min(threshold + BOLDER, max(threshold, 0.95)):
            return np.zeros((height, width), bool), np.zeros((height, width), np.float32)
        if guide is None:
            return mask, soft
        smallest = smallest_area(mask.size) if min_area is None else min_area
        scale = height * width / mask.size
        soft = guided_mask(soft, guide)
        return clean_mask(soft >= threshold, soft, threshold, round(smallest * scale))

    def _refined(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        color: np.ndarray,
        threshold: float,
        min_area: int | None,
        guide: np.ndarray | None,
        decoder: str | Refiner,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `_found` gives, read by the light U-Net."""
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is a share between 0 and 1, got {threshold}")
        if isinstance(decoder, str):
            check_decoder(self, decoder)
        from ..decoding.light_unet import refine_mask, sure_mask  # torch, which the closed form does without

        refiner = None if isinstance(decoder, str) else decoder
        soft = refine_mask(source, edited, color, guide, alpha=ALPHA, refiner=refiner)
        size = source.shape[0] * source.shape[1]
        smallest = smallest_area(size) if min_area is None else min_area
        mask = sure_mask(soft, threshold)
        return clean_mask(mask, soft, threshold, round(smallest * soft.size / size))
