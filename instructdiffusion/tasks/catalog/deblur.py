"""Deblurring."""

from __future__ import annotations

import numpy as np

from ...compositing.composition import Composition
from ...compositing.rules import add_difference, sharpen_blurred
from ..image_task import RestorationTask
from ..template_files import read_templates


class Deblur(RestorationTask):
    """Motion and focus blur taken out."""

    name = "deblur"
    order = 70
    summary = "take out blur"
    guidance = (0.5, 0.5)  # plain conditional prediction; the authors publish none for this task
    local = True
    templates, paraphrases, wordings = read_templates(name)

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """What the network changed is added; in tiles only where the source is blurred."""
        return (sharpen_blurred if composition.tiled else add_difference)(source, edited, copy)
