"""Semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...decoding import split_components
from ...results import Masks
from ...utils.interrupts import check_interrupt
from ..instruction import Instruction
from ..mask_task import THRESHOLD, MaskTask
from ..task import nothing_found
from ..template_files import read_templates

if TYPE_CHECKING:
    from ...decoding.light_unet import Refiner


class Segment(MaskTask):
    """Semantic segmentation: everything that the subject names."""

    name = "segment"
    order = 0
    summary = "mask everything that the subject names, each subject in its color"
    marks_rest = True
    templates, paraphrases, wordings = read_templates(name)

    def shows_alone(self, instruction: Instruction) -> bool:
        """Always: masks are of a kind."""
        return True

    def decode(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        *,
        per_object: bool = True,
        threshold: float = THRESHOLD,
        min_area: int | None = None,
        guide: np.ndarray | None = None,
        decoder: str | Refiner = "closed",
    ) -> Masks:
        """Masks, one row a connected region (or one in all, with per_object=False), the largest first.

        threshold: opacity, as a share of the full one, above which a pixel counts; a mask that is nowhere bolder by
        BOLDER is none. min_area: pixels below
        which a region is noise, counted at the size of `edited` (None: .07 % of the picture, at least 3).
        guide: the picture at its own size; the masks are then brought to that size along its edges.
        decoder: "closed", or "unet", the light U-Net (the one that ships, or a `Refiner`); threshold is then a
        probability, and the U-Net's errors are `load_refiner`'s. ValueError for another name. Several subjects:
        the masks of each, labelled with it, one subject after the other.
        """
        options = {"threshold": threshold, "min_area": min_area, "guide": guide, "decoder": decoder}
        several = self.decode_each(source, edited, instruction, per_object=per_object, **options)
        if several is not None:
            return several
        mask, soft = self.read_mask(source, edited, instruction, threshold, min_area, guide, decoder)
        if not mask.any():
            h, w = mask.shape
            return Masks.empty(h, w, nothing_found(instruction.subjects))
        regions = split_components(mask) if per_object else [mask]
        scores = []
        for region in regions:
            check_interrupt()
            scores.append(float(soft[region].mean()))
        return Masks(np.stack(regions), np.float32(scores), (instruction.subject,) * len(regions))
