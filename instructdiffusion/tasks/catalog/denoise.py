"""Denoising."""

from __future__ import annotations

import numpy as np

from ...compositing.composition import Composition
from ...compositing.rules import keep_detail
from ..image_task import RestorationTask
from ..task import Augmentation
from ..template_files import read_templates


class Denoise(RestorationTask):
    """Sensor noise taken out."""

    name = "denoise"
    order = 60
    summary = "take out noise"
    augmentation: Augmentation = "pair_unscaled"  # noise at its own scale
    guidance = (0.5, 0.5)  # plain conditional prediction; the authors publish none for this task
    local = False
    templates, paraphrases, wordings = read_templates(name)

    def compose(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray | None, composition: Composition
    ) -> np.ndarray:
        """In tiles with the source's detail, as far as it is no noise; else the model's own picture."""
        if composition.preserve_source and composition.tiled:
            return keep_detail(source, edited)
        return super().compose(source, edited, copy, composition)
