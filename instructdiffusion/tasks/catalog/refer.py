"""Referring segmentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ...decoding import split_components
from ...results import Masks
from ...utils.interrupts import check_interrupt
from ..instruction import Instruction
from ..lexicon import SUPERLATIVE
from ..mask_task import THRESHOLD, MaskTask
from ..spatial import SpatialPhrase, parse_spatial
from ..task import nothing_found
from ..template_files import read_templates

if TYPE_CHECKING:
    from ...decoding.light_unet import Refiner

# Words that mean a thing by where or how large it stands among others, which a part of the picture does not show.
COMPARED = SUPERLATIVE + (
    r"|\b(?:above|below|beneath|under|underneath|over|beside|besides|behind|between|near|next to|close to"
    r"|in front of|on top of|around|opposite|inside|outside|corner|side|big|large|huge|small|little|tiny|tall"
    r"|short|long)\b"
)

class Refer(MaskTask):
    """Referring segmentation: the one thing that a phrase describes."""

    name = "refer"
    order = 10
    summary = "mask the one thing that the phrase describes, of each phrase"
    subject_label = "PHRASE"
    augmentation = "phrase"
    templates, paraphrases, wordings = read_templates(name)
    several = False
    kind_task = "segment"

    def shows_alone(self, instruction: Instruction) -> bool:
        """Only what is told by its looks, not by its place or size among others."""
        return not any(re.search(COMPARED, subject) for subject in instruction.subjects)

    def spatial_phrase(self, instruction: Instruction) -> SpatialPhrase | None:
        """What "the rightmost star" is made of."""
        return parse_spatial(instruction.subject) if len(instruction.subjects) == 1 else None

    def decode(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        *,
        threshold: float = THRESHOLD,
        min_area: int | None = None,
        guide: np.ndarray | None = None,
        decoder: str | Refiner = "closed",
    ) -> Masks:
        """Masks with one row, or none where nothing was marked; options as in `segment.Segment.decode`.

        A thing may show in several parts; parts below a tenth of the largest are taken for stray marks. Several
        phrases: a row for each that was found.
        """
        options = {"threshold": threshold, "min_area": min_area, "guide": guide, "decoder": decoder}
        several = self.decode_each(source, edited, instruction, **options)
        if several is not None:
            return several
        mask, soft = self.read_mask(source, edited, instruction, threshold, min_area, guide, decoder)
        if not mask.any():
            h, w = mask.shape
            return Masks.empty(h, w, nothing_found(instruction.subjects))
        regions = split_components(mask)
        least = 0.1 * regions[0].sum()
        parts_mask = np.zeros_like(mask)
        for region in regions:
            check_interrupt()
            if region.sum() >= least:
                parts_mask |= region
        return Masks(parts_mask[None], np.float32([soft[parts_mask].mean()]), instruction.subjects)
