"""Segmentation: what is asked for is covered by a half-transparent colour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compositing.rules import join_drawings
from ..decoding import clean_mask, decode_mask, guided_mask, smallest_area, split_components, strength
from ..imaging import rasterize
from ..results import Masks
from ..utils.interrupts import check_interrupt
from .instruction import Instruction
from .lexicon import SUPERLATIVE
from .several import own_drawings, rows_of_subjects
from .spatial import SpatialPhrase, parse_spatial
from .task import ALPHA, Task, check_decoder, check_pair, check_picture, is_complement, listed, nothing_found

if TYPE_CHECKING:
    from ..decoding.light_unet import Refiner


# Chosen on 400 validation scenes a task and 400 more that ask for what is not there. A model in doubt draws faintly: an
# object's edge does so in part, and what is bold nowhere is no object.
THRESHOLD = 0.45
# Words that mean a thing by where or how large it stands among others, which a part of the picture does not show.
COMPARED = SUPERLATIVE + (
    r"|\b(?:above|below|beneath|under|underneath|over|beside|besides|behind|between|near|next to|close to"
    r"|in front of|on top of|around|opposite|inside|outside|corner|side|big|large|huge|small|little|tiny|tall"
    r"|short|long)\b"
)
BOLDER = 0.2  # by how much the threshold must somewhere be surpassed, see `strength`


class _MaskTask(Task):
    guidance = (7.5, 1.5)
    perception = True
    local = True
    guided = True
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
            drawn = [self.render(image, target[r], p) for r, p in zip(rows, parts, strict=True)]
            return join_drawings(image, drawn)
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

    def _each(
        self, source: np.ndarray, edited: np.ndarray, instruction: Instruction, **options: Any
    ) -> Masks | None:
        """The answer where several subjects, or everything but them, are meant; None for the plain question."""
        parts = self.questions(instruction)
        if len(parts) == 1 and not is_complement(instruction):
            return None
        check_pair(source, edited)
        drawn = [edited]
        if len(parts) > 1:
            drawn = own_drawings(source, edited, [c.array for c in instruction.colors])
        results = [self.decode(source, d, p, **options) for d, p in zip(drawn, parts, strict=True)]
        return self.join(results, instruction)

    def _found(
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
        found = sure_mask(soft, threshold)
        return clean_mask(found, soft, threshold, round(smallest * soft.size / size))


class Segment(_MaskTask):
    """Semantic segmentation: everything that the subject names."""

    name = "segment"
    marks_rest = True

    def shows_alone(self, instruction: Instruction) -> bool:
        """Always: masks are of a kind."""
        return True

    templates: tuple[str, ...] = (
        "mark the pixels of {subject} in {color}",
        "cover {subject} with a {color} mask",
        "cover {subject} with a {color} mask, leave the rest",
        "lay a {color} mask over {subject}",
        "put a see-through {color} layer on {subject}",
        "mask {subject} in {color}",
        "show {subject} with a {color} mask",
        "shade {subject} in see-through {color}",
        "all pixels of {subject} get a {color} mask",
        "place a {color} mask on {subject}, the rest stays the same",
        "find {subject} and mask the pixels in {color}",
        "segment {subject} with a {color} mask",
        "use a {color} layer to mark {subject}",
        "make a {color} mask of {subject}",
    )
    paraphrases: tuple[str, ...] = (
        "find {subject} and put a {color} mask over the pixels",
        "put a {color} mask on {subject} and leave the rest",
        "use {color} to mark the pixels of {subject}",
        "shade the pixels of {subject} with a {color} layer",
        "mask all of {subject} with a see-through {color} layer",
    )

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
        several = self._each(source, edited, instruction, per_object=per_object, **options)
        if several is not None:
            return several
        mask, soft = self._found(source, edited, instruction, threshold, min_area, guide, decoder)
        if not mask.any():
            h, w = mask.shape
            return Masks.empty(h, w, nothing_found(instruction.subjects))
        regions = split_components(mask) if per_object else [mask]
        scores = []
        for region in regions:
            check_interrupt()
            scores.append(float(soft[region].mean()))
        return Masks(np.stack(regions), np.float32(scores), (instruction.subject,) * len(regions))


class Refer(_MaskTask):
    """Referring segmentation: the one thing that a phrase describes."""

    name = "refer"
    several = False
    kind_task = "segment"

    def shows_alone(self, instruction: Instruction) -> bool:
        """Only what is told by its looks, not by its place or size among others."""
        return not any(re.search(COMPARED, subject) for subject in instruction.subjects)

    templates: tuple[str, ...] = (
        "lay a {color} layer over {subject} only",
        "point out {subject} with a {color} mask",
        "put a {color} mask on {subject} only",
        "only {subject} gets a {color} mask",
        "mark {subject} in see-through {color}, nothing else",
        "which pixels are {subject}? mask them in {color}",
        "cover only {subject} in see-through {color}",
        "find {subject} and cover it with a {color} mask",
        "lay a see-through {color} mask on {subject}",
        "pick {subject} and mask it in {color}",
        "show me {subject} under a {color} layer",
        "select {subject} with a {color} mask",
        "look for {subject}, then mask it {color}",
        "highlight {subject} with a {color} layer",
    )
    paraphrases: tuple[str, ...] = (
        "select {subject} and cover it with a {color} layer",
        "find {subject}, then mask it in {color}",
        "mark only {subject} with a {color} mask",
        "show me which pixels are {subject} with a {color} mask",
        "pick only {subject} and put a {color} layer on it",
    )

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
        """Masks with one row, or none where nothing was marked; options as in `Segment.decode`.

        A thing may show in several parts; parts below a tenth of the largest are taken for stray marks. Several
        phrases: a row for each that was found.
        """
        options = {"threshold": threshold, "min_area": min_area, "guide": guide, "decoder": decoder}
        several = self._each(source, edited, instruction, **options)
        if several is not None:
            return several
        mask, soft = self._found(source, edited, instruction, threshold, min_area, guide, decoder)
        if not mask.any():
            h, w = mask.shape
            return Masks.empty(h, w, nothing_found(instruction.subjects))
        regions = split_components(mask)
        least = 0.1 * regions[0].sum()
        kept = np.zeros_like(mask)
        for region in regions:
            check_interrupt()
            if region.sum() >= least:
                kept |= region
        return Masks(kept[None], np.float32([soft[kept].mean()]), instruction.subjects)
