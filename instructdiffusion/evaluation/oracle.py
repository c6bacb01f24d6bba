"""Oracle: perfect answers through the model's autoencoder; what decoding alone costs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.resize import scale_image
from ..imaging.tiling import cut_tiles, overlap_of, pad_for_tiles, plan_tiles
from ..inference.components_backend import ComponentsBackend
from ..inference.job import is_tiled

if TYPE_CHECKING:
    from ..datasets.records import Example
    from ..inference.answer import Answer
    from ..pipeline import InstructDiffusion


class Oracle:
    """The model with the true answers, encoded and decoded, in the place of its UNet's.

    Everything else (composing, decoding the drawing) is the model's own: the figures bound what any UNet can
    reach with this autoencoder and these decoders. It needs pictures of the model's own size, for only then
    the true picture is what the UNet would have had to draw; where the model enlarges them (`Settings.upscale`), it is
    the tiles of the true picture as enlarged. decoder: how masks are read. upscale: in place of the settings' own.
    """

    def __init__(self, model: InstructDiffusion, decoder: str = "closed", upscale: float | None = None) -> None:
        self.model, self.decoder, self.upscale = model, decoder, upscale

    def ask(self, examples: Sequence[Example], seeds: Sequence[int]) -> list[Answer]:
        """The answers to examples of one task; ValueError where a picture is not of the model's size."""
        side, task = self.model.components.resolution, examples[0].instruction.task
        if any(e.source.shape[:2] != (side, side) for e in examples):
            raise ValueError(f"the oracle answers pictures of the model's own size only: {side} x {side}")
        model = copy.copy(self.model)
        own = model.settings[task].changed(upscale=self.upscale)
        upscale = own.upscale if is_tiled(task, model.components.resize_mode) else 1.0
        padded = [pad_for_tiles(scale_image(e.target, upscale), side, model.backend.factor) for e in examples]
        tiles = plan_tiles([p.shape[:2] for p in padded], side, overlap_of(side), model.backend.factor)
        model.backend = _TrueBackend(model.components, cut_tiles(padded, tiles, side))
        answers = model.run(
            [e.instruction for e in examples],
            [e.source for e in examples],
            steps=1,
            solver="euler",
            seed=list(seeds),
            batch_size=len(examples),
            decoder=self.decoder,
            upscale=self.upscale,
            scales=(1.0,),
        )
        assert isinstance(answers, list)
        return answers


class _TrueBackend(ComponentsBackend):
    """A backend whose drawings are `targets`, uint8 [n, h, w, 3], through the autoencoder, in the order asked for."""

    def __init__(self, components: Any, targets: np.ndarray) -> None:
        super().__init__(components)
        self._targets, self._drawn = targets, 0

    def generate(
        self, images: np.ndarray, prompts: Sequence[str], *args: Any, reconstruct: bool = True, **options: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        targets = self._targets[self._drawn : self._drawn + len(images)]
        if images.shape != targets.shape:
            raise ValueError(f"expected a batch {targets.shape} of the examples, got {images.shape}")
        edited = self.decode_latents(self.encode_image(targets))
        copies = self.decode_latents(self.encode_image(images)) if reconstruct else None
        self._drawn += len(targets)  # last: a batch that memory is too small for comes again in halves
        return edited, copies
