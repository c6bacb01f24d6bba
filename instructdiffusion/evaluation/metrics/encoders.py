"""Metrics in a network's space: CLIP-Sim, LAION's aesthetic score, KNN-GIQA. The network is given.

What is asked of it are two small protocols; `load_clip` fills one with a CLIP by transformers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...utils.network_digest import fingerprint

CLIP = "openai/clip-vit-large-patch14"
# Layers of LAION's improved aesthetic predictor as its file names them: linear, with nothing but dropout between.
_LAYERS = (0, 2, 4, 6, 7)
_WIDTHS = (768, 1024, 128, 64, 16, 1)


class PictureEncoder(Protocol):
    """Features of pictures uint8 [h, w, 3]: float [n, d]. `name` says which network they are of.

    fingerprint: a hash of its weights and of how it is given pictures: what is under one name may change.
    """

    name: str

    @property
    def fingerprint(self) -> str:
        """A digest of what makes the features: another network, another fingerprint."""
        ...

    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Features float [n, d] of n pictures uint8 [h, w, 3], of any sizes."""
        ...


class PictureTextEncoder(PictureEncoder, Protocol):
    """Features of pictures and of words in one space: float [n, d]."""

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features float [n, d] of n texts."""
        ...


def normalised(features: np.ndarray) -> np.ndarray:
    """Features [n, d] of length 1; ValueError for one that is not finite or zero."""
    features = np.asarray(features, np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.isfinite(features).all() or (length == 0).any():
        raise ValueError("features are not finite, or zero: the encoder gives nothing to compare")
    return features / length


def clip_similarity(
    encoder: PictureTextEncoder, pictures: Sequence[np.ndarray], captions: Sequence[str]
) -> np.ndarray:
    """CLIP-Sim [n]: 100 times the cosine of each picture and its caption. Say which encoder.

    ValueError for another number of captions.
    """
    if len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures came with {len(captions)} captions: give one a picture")
    return 100 * (normalised(encoder.pictures(pictures)) * normalised(encoder.texts(captions))).sum(1)


@dataclass(frozen=True, eq=False)
class Aesthetic:
    """LAION's aesthetic predictor (linear 768-1024-128-64-16-1) on normalised CLIP ViT-L/14 features.

    layers: (weight [out, in], bias [out]) of each; dropout between them does nothing outside training.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __post_init__(self) -> None:
        width = self.layers[0][0].shape[1]
        for weight, bias in self.layers:
            if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
                raise ValueError(f"a layer of {weight.shape} and {bias.shape} does not follow one of {width}")
            width = weight.shape[0]
        if width != 1:
            raise ValueError(f"the last layer gives {width} numbers: expected one score")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the layers."""
        numbers = {f"{n}.{part}": a for n, layer in enumerate(self.layers) for part, a in zip("wb", layer)}
        return fingerprint(numbers)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """About 1 to 10, [n], of features [n, d], which are normalised here."""
        x = normalised(features)
        if x.shape[1] != self.layers[0][0].shape[1]:
            width = self.layers[0][0].shape[1]
            raise ValueError(
                f"features have {x.shape[1]} numbers, the predictor takes {width} (CLIP ViT-L/14)"
            )
        for weight, bias in self.layers:
            x = x @ weight.T + bias
        return x[:, 0]


def load_aesthetic(path: str | Path) -> Aesthetic:
    """The predictor of a file (sac+logos+ava1-l14-linearMSE.pth or its safetensors), never unpickled freely.

    FileNotFoundError, or ValueError that names what the file lacks.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no aesthetic predictor {path}: it is sac+logos+ava1-l14-linearMSE.pth of "
            "https://github.com/christophschuhmann/improved-aesthetic-predictor"
        )
    import pickle

    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as weights: {type(error).__name__}: {error}") from None
    layers = []
    for place, number in enumerate(_LAYERS):
        names = [f"layers.{number}.{part}" for part in ("weight", "bias")]
        shapes = [(_WIDTHS[place + 1], _WIDTHS[place]), (_WIDTHS[place + 1],)]
        for name, shape in zip(names, shapes):
            stored_shape = tuple(getattr(state.get(name), "shape", ())) if isinstance(state, dict) else ()
            if stored_shape != shape:
                raise ValueError(f"{path}: expected {name} of {shape}, got {stored_shape or 'nothing'}")
        weight, bias = (np.asarray(state[name].double()) for name in names)
        layers.append((weight, bias))
    return Aesthetic(tuple(layers))


def knn_giqa(features: np.ndarray, reference: np.ndarray, k: int = 8) -> np.ndarray:
    """KNN-GIQA [n]: the sum over the k nearest reference features of 1 / L1 distance; higher looks more natural.

    features [n, d] and reference [m, d] (Inception's pool3, say) of one extractor. A picture that is itself in
    the reference would score infinity: ValueError, for the score then says nothing. Source: GIQA (Gu et al. 2020).
    """
    features, reference = np.asarray(features, np.float64), np.asarray(reference, np.float64)
    if not 1 <= k <= len(reference):
        raise ValueError(f"expected k from 1 to {len(reference)}, the size of the reference; got {k}")
    if features.ndim != 2 or features.shape[1:] != reference.shape[1:]:
        raise ValueError(f"features {features.shape} and reference {reference.shape} are of different spaces")
    if not np.isfinite(features).all() or not np.isfinite(reference).all():
        raise ValueError("features are not finite: the extractor gives nothing to compare")
    scores = np.zeros(len(features))
    for row, one in enumerate(features):  # one at a time: [n, m, d] would not fit
        nearest = np.partition(np.abs(reference - one).sum(1), k - 1)[:k]
        if (nearest == 0).any():
            raise ValueError(f"picture {row} is itself in the reference: leave it out there")
        scores[row] = (1 / nearest).sum()
    return scores


class Clip:
    """A CLIP by transformers as a `PictureTextEncoder`."""

    def __init__(self, name: str, model: Any, processor: Any, device: str = "cpu") -> None:
        self.name = name
        self._model, self._processor, self._device = model.to(device).eval(), processor, device

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights, of how pictures are prepared, and of the vocabulary."""
        words = sorted(self._processor.tokenizer.get_vocab().items())
        return fingerprint(self._model.state_dict(), prepared(self._processor.image_processor), words)

    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Projected features [n, d] of pictures uint8 [h, w, 3]."""
        import torch
        from PIL import Image

        inputs = self._processor(images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
        with torch.inference_mode():
            return _numbers(
                self._model.get_image_features(pixel_values=inputs["pixel_values"].to(self._device))
            )

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Projected features [n, d] of words; what is beyond the encoder's length is cut off."""
        import torch

        inputs = self._processor(text=list(texts), return_tensors="pt", padding=True, truncation=True)
        with torch.inference_mode():
            tensors = {k: v.to(self._device) for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
            return _numbers(self._model.get_text_features(**tensors))


def prepared(processor: Any) -> dict[str, Any]:
    """How an image processor of transformers prepares pictures, as plain data without the place it came from."""
    settings = json.loads(processor.to_json_string())
    return {name: value for name, value in settings.items() if not name.startswith("_")}


def _numbers(output: Any) -> np.ndarray:
    # transformers 5 gives an output with the projected features as pooler_output, earlier ones the tensor itself.
    features = getattr(output, "pooler_output", output)
    return np.asarray(features.cpu().double())


def load_clip(name: str = CLIP, device: str = "cpu") -> Clip:
    """A CLIP model in a folder, or by its name on the hub where it has been downloaded before (nothing is fetched).

    OSError where it is not on this machine.
    """
    from transformers import CLIPModel, CLIPProcessor

    try:
        model = CLIPModel.from_pretrained(name, local_files_only=True)
        return Clip(name, model, CLIPProcessor.from_pretrained(name, local_files_only=True), device)
    except (OSError, ValueError) as error:
        if Path(name).is_dir():
            raise OSError(f"{name} cannot be loaded as a CLIP: {error}") from None
        raise OSError(
            f"CLIP {name!r} is not on this machine, and nothing is downloaded unasked: fetch it (hf download {name}) "
            "or name a folder that holds it"
        ) from None
