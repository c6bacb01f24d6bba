"""Tasks whose answer is the image itself: edits, and restoration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..compositing.composition import Composition
from ..compositing.rules import replace_changed
from .instruction import Instruction
from .task import Augmentation, Task, check_pair, check_picture


class ImageTask(Task):
    """A task whose target and answer is an image of the size of the source."""

    target_type = np.ndarray
    mark = ""
    perception = False
    palette = ()
    # Where the edit itself stands, and what counts as changed (`rules.replace_changed`); None: the difference is added.
    changed: tuple[float, float] | None = None

    def render(self, image: np.ndarray, target: np.ndarray, instruction: Instruction) -> np.ndarray:
        """The target itself, in the kind (uint8 or float) of the image."""
        check_picture(image, "image")
        check_picture(target, "target")
        if image.shape != target.shape:
            raise ValueError(f"{self.name}: image {image.shape} and target {target.shape} must have one size")
        if target.dtype == image.dtype:
            return target.copy()
        if image.dtype == np.uint8:
            return np.rint(np.clip(target, 0, 1) * 255).astype(np.uint8)
        if target.dtype == np.uint8:
            return (target / 255.0).astype(image.dtype)
        return target.astype(image.dtype)

    def decode(self, source: np.ndarray, edited: np.ndarray, instruction: Instruction) -> np.ndarray:
        """The edited picture."""
        check_pair(source, edited)
        return edited.copy()

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """By the compositor where the call wants it and the task has one; else the edit itself where it changed."""
        if composition.learned and self.has_compositor:
            from ..compositing.learned import lay  # torch, which the rules do without

            return lay(self.name, source, edited, copy)
        if self.changed is not None:
            return replace_changed(source, edited, copy, *self.changed)
        return super().lay(source, edited, copy, composition)


class RestorationTask(ImageTask):
    """A task that takes something out of an image, and needs no subject for it."""

    metric = "restoration"
    # It may lose 2 dB to the autoencoder's own loss.
    bars: Mapping[str, float] = {"gain over doing nothing": 4.0, "above the VAE bound": -2.0}
    augmentation: Augmentation = "pair"
    max_subjects = 0
    tiled = True
