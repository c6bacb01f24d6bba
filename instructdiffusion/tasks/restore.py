"""Restoration: noise, blur or a watermark taken out; the answer is the picture itself."""

from __future__ import annotations

import numpy as np

from ..compositing.composition import Composition
from ..compositing.rules import add_difference, keep_detail, replace_changed, sharpen_blurred
from ..compositing.watermarks import keep_unmarked
from .instruction import Instruction
from .task import Task, check_pair, check_picture


class PictureTask(Task):
    """A task whose target and answer is a picture of the size of the source."""

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


class _Restore(PictureTask):
    max_subjects = 0
    tiled = True


class Denoise(_Restore):
    """Sensor noise taken out."""

    name = "denoise"
    guidance = (0.5, 0.5)  # plain conditional prediction; the authors publish none for this task
    local = False
    templates: tuple[str, ...] = (
        "remove the noise",
        "remove the noise from the picture",
        "clean the noise from the picture",
        "take out the grain",
        "denoise the picture",
        "make the noisy picture clean",
        "clear the picture of noise",
        "get rid of the noise",
        "take the noise and grain away",
        "reduce the noise in the picture",
        "smooth away the grain, keep the edges",
        "the picture is noisy, clean it",
    )
    paraphrases: tuple[str, ...] = (
        "clean the noisy picture",
        "get rid of the grain in the picture",
        "take the noise out of the picture",
        "clear away the noise",
    )

    def compose(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray | None, composition: Composition
    ) -> np.ndarray:
        """In tiles with the source's detail, as far as it is no noise; else the model's own picture."""
        if composition.preserve_source and composition.tiled:
            return keep_detail(source, edited)
        return super().compose(source, edited, copy, composition)


class Deblur(_Restore):
    """Motion and focus blur taken out."""

    name = "deblur"
    guidance = (0.5, 0.5)  # plain conditional prediction; the authors publish none for this task
    local = True
    templates: tuple[str, ...] = (
        "remove the blur",
        "sharpen the picture",
        "make the picture sharp",
        "take the blur out of the picture",
        "deblur the picture",
        "make the blurry picture sharp again",
        "bring back the sharp edges",
        "get rid of the blur",
        "undo the motion blur",
        "bring the picture into focus",
        "the picture is blurry, sharpen it",
        "restore the sharp details",
    )
    paraphrases: tuple[str, ...] = (
        "sharpen the blurry picture",
        "get the blur out of the picture",
        "make the edges sharp again",
        "undo the blur and bring back details",
    )

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """What the network changed is added; in tiles only where the source is blurred."""
        return (sharpen_blurred if composition.tiled else add_difference)(source, edited, copy)


class Dewatermark(_Restore):
    """A see-through text or logo taken off; everything else stays."""

    name = "dewatermark"
    guidance = (1.0, 1.0)
    local = True
    has_compositor = True
    changed = (0.06, 0.06)  # chosen on 240 validation scenes: a watermark is faint all over
    templates: tuple[str, ...] = (
        "remove the watermark",
        "remove the watermark from the picture",
        "take off the watermark",
        "erase the watermark",
        "erase the text printed over the picture",
        "get rid of the watermark",
        "clean the watermark off the picture",
        "remove the see-through text and logo",
        "wipe away the watermark",
        "take the logo off the picture",
        "make the picture free of the watermark",
        "the picture has a watermark, erase it",
    )
    paraphrases: tuple[str, ...] = (
        "wipe the watermark off the picture",
        "take away the see-through text",
        "get the watermark off",
        "the picture has text over it, remove it",
    )

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """As other edits; in tiles nothing changes where there is no mark."""
        laid = super().lay(source, edited, copy, composition)
        return keep_unmarked(source, laid) if composition.tiled else laid
