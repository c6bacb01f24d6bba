"""Watermark removal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compositing.composition import Composition
from ...compositing.watermarks import keep_unmarked
from ..image_task import RestorationTask
from ..template_files import read_templates


class Dewatermark(RestorationTask):
    """A see-through text or logo taken off; everything else stays."""

    name = "dewatermark"
    order = 80
    summary = "take out a watermark"
    bars: Mapping[str, float] = {"above the VAE bound": 0.0}  # its surroundings are the source's
    mirrorable = False  # letters are no letters in a mirror
    keeps_rest = True
    guidance = (1.0, 1.0)
    local = True
    has_compositor = True
    changed = (0.06, 0.06)  # chosen on 240 validation scenes: a watermark is faint all over
    templates, paraphrases, wordings = read_templates(name)

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """As other edits; in tiles nothing changes where there is no mark."""
        laid = super().lay(source, edited, copy, composition)
        return keep_unmarked(source, laid) if composition.tiled else laid
