"""Keypoints: a filled disc, of its own colour, on every point asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from ...decoding import find_discs
from ...imaging import rasterize
from ...imaging.colors import MARK_COLORS
from ...results import Keypoints
from ..instruction import Instruction
from ..task import Task, check_pair, check_picture, nothing_found
from ..template_files import read_templates
from ..wordings import PLAIN


class KeypointDetection(Task):
    """Named joints of people and animals, one to five at once (up to nine are read)."""

    name = "keypoints"
    order = 20
    summary = "find named joints, as 'the left shoulder'"
    subject_label = "JOINT"
    target_type = Keypoints
    metric = "points"
    bars: Mapping[str, float] = {"OKS AP": 0.80, "found points within 3 %": 0.95, "absent answered empty": 0.95}
    mark = "circle"
    guidance = (6.0, 0.5)
    perception = True
    local = True
    palette = MARK_COLORS
    example = "the left shoulder"
    max_subjects = len(MARK_COLORS)
    # The marks in its templates are discs and dots: a circle is a shape that edits put into pictures.
    templates, paraphrases, wordings = read_templates(name)

    def reword_subjects(self, subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        """A joint as "the man's nose" too."""
        if len(subjects) == 1 and rng.random() < PLAIN:
            part, _, owner = subjects[0].partition(" of the ")
            if owner and part.startswith("the "):
                return (f"the {owner}'s {part[4:]}",)
        return super().reword_subjects(subjects, rng)

    def render(self, image: np.ndarray, target: Keypoints, instruction: Instruction) -> np.ndarray:
        """The picture with an opaque disc on every visible point, in the order asked for."""
        check_picture(image, "image")
        if not isinstance(target, Keypoints):
            raise TypeError(f"{self.name}: the target is Keypoints, got {type(target).__name__}")
        h, w = image.shape[:2]
        if target.canvas_size != (h, w):
            raise ValueError(f"points of {target.canvas_size} do not fit a picture of {(h, w)}")
        names, colors = instruction.subjects, instruction.colors
        order = list(range(len(names)))
        if target.names != names:
            missing = [n for n in names if n not in target.names]
            if missing:
                raise ValueError(f"{self.name}: asked for {missing}, the target has {list(target.names)}")
            order = [target.names.index(n) for n in names]
        radius = rasterize.disc_radius(h, w)
        painted = image.copy()
        for row in range(len(target)):
            for column, color in zip(order, colors, strict=True):
                if target.visible[row, column]:
                    x, y = target.xy[row, column].tolist()
                    _paint_disc(painted, x, y, radius, color.array)
        return painted

    def decode(
        self,
        source: np.ndarray,
        edited: np.ndarray,
        instruction: Instruction,
        *,
        threshold: float = 0.2,
    ) -> Keypoints:
        """Keypoints with one row, the names in the order asked for; no row where no point was drawn.

        threshold: how opaque a disc must be, on the whole, for a point to count as visible.
        """
        check_pair(source, edited)
        h, w = source.shape[:2]
        colors = np.stack([c.array for c in instruction.colors])
        xy, scores = find_discs(source, edited, colors, rasterize.disc_radius(h, w))
        visible = scores >= threshold
        names = instruction.subjects
        absent = [n for n, v in zip(names, visible, strict=True) if not v]
        message = nothing_found(absent) if absent else ""
        if not visible.any():
            return Keypoints.empty(names, h, w, message)
        return Keypoints(xy[None], visible[None], scores[None], names, (h, w), message)


def _paint_disc(picture: np.ndarray, x: float, y: float, radius: float, color: np.ndarray) -> None:
    """Draws into `picture`; only the disc's own window is touched."""
    h, w = picture.shape[:2]
    reach = radius + 0.5
    x1, x2 = max(0, int(x - reach)), min(w, int(x + reach) + 1)
    y1, y2 = max(0, int(y - reach)), min(h, int(y + reach) + 1)
    if x1 >= x2 or y1 >= y2:
        return
    coverage = rasterize.disc_coverage(x, y, radius, np.arange(x1, x2), np.arange(y1, y2))
    picture[y1:y2, x1:x2] = rasterize.blend(picture[y1:y2, x1:x2], coverage, color)
