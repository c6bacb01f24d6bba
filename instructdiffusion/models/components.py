"""Components: the networks of a model, ready to be asked, and what is known of how they were trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..imaging.resize import as_resize_mode
from ..utils.old_names import accept_old_keywords, old_attribute

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer


MOST_RESOLUTION = 8192  # pixels a side: what a model says beyond it is damaged or forged


@dataclass(frozen=True, eq=False)
class Components:
    """A model, ready to be asked.

    alphas_cumprod: float64 [steps]. prediction_type: epsilon, v_prediction or sample. resolution: side in
    pixels of the pictures it was trained on. path: the folder it came from; for a single file, the one of
    its settings (`companion`), which need not exist. resize_mode: how pictures come to the model's size unless a
    call says otherwise (`imaging.resize.model_size`): "authors" for published checkpoints; `fit` is its old name.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    alphas_cumprod: np.ndarray
    prediction_type: str
    resolution: int
    path: Path
    resize_mode: str = "shortest_edge"

    def __post_init__(self) -> None:
        try:
            mode = as_resize_mode(self.resize_mode)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
        object.__setattr__(self, "resize_mode", mode)

    fit = old_attribute("fit", "resize_mode")


Components.__init__ = accept_old_keywords(fit="resize_mode")(Components.__init__)  # type: ignore[method-assign]


def not_finite(tensors: Iterable[Tensor], dtype: torch.dtype, what: str, name: str) -> ValueError:
    """The error, with the advice that helps, where weights are NaN or infinite once they are cast to `dtype`.

    tensors: the same weights as they were before. what: whose weights `name` is among.
    """
    finite = all(bool(torch.isfinite(value).all()) for value in tensors)
    problem = f"weights that do not fit {dtype}" if finite else "NaN or infinite weights"
    advice = "load with float32" if finite else "take another checkpoint"
    return ValueError(f"{what} has {problem} in {name}: {advice}")
