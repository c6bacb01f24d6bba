"""Oracle: perfect answers through the model's autoencoder; what decoding alone costs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..editor import Editor

if TYPE_CHECKING:
    from ..answer import Answer
    from ..datasets.record import Example
    from ..pipeline import InstructDiffusion


class Oracle:
    """The model with the true answers, encoded and decoded, in the place of its UNet's.

    Everything else (composing, decoding the drawing) is the model's own: the figures bound what any UNet can
    reach with this autoencoder and these decoders. It needs pictures of the model's own size, for only then
    the true picture is what the UNet would have had to draw. decoder: how masks are read.
    """

    def __init__(self, model: InstructDiffusion, decoder: str = "closed") -> None:
        self.model, self.decoder = model, decoder

    def ask(self, examples: Sequence[Example], seeds: Sequence[int]) -> list[Answer]:
        """The answers to examples of one task; ValueError where a picture is not of the model's size."""
        side = self.model.components.resolution
        if any(e.source.shape[:2] != (side, side) for e in examples):
            raise ValueError(f"the oracle answers pictures of the model's own size only: {side} x {side}")
        model = copy.copy(self.model)
        model.editor = _TrueEditor(self.model.components, np.stack([e.target for e in examples]))
        answers = model.run(
            [e.instruction for e in examples],
            [e.source for e in examples],
            steps=1,
            solver="euler",
            seed=list(seeds),
            batch_size=len(examples),
            decoder=self.decoder,
        )
        assert isinstance(answers, list)
        return answers


class _TrueEditor(Editor):
    """An editor whose drawings are `targets`, uint8 [n, h, w, 3], through the autoencoder."""

    def __init__(self, components: Any, targets: np.ndarray) -> None:
        super().__init__(components)
        self._targets = targets

    def draw(
        self, pictures: np.ndarray, texts: Sequence[str], *args: Any, reconstruct: bool = True, **options: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if pictures.shape != self._targets.shape:
            raise ValueError(f"expected a batch {self._targets.shape} of the examples, got {pictures.shape}")
        edited = self.decode(self.encode(self._targets))
        return edited, self.decode(self.encode(pictures)) if reconstruct else None
