"""Features of pictures for KNN-GIQA: a network from a folder, and the reference pictures' features.

The paper's filter is KNN-GIQA on pictures of LAION; its features and its reference were never released, and GIQA's own
(Inception's pool3) are too large to ship. Both are therefore the user's: any picture network in a folder in
transformers' layout (DINOv2, CLIP, ResNet ...), and a reference of the same network's features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...utils.network_digest import fingerprint
from .encoders import knn_giqa, prepared

if TYPE_CHECKING:
    from .encoders import PictureEncoder

NEIGHBOURS = 8  # k of KNN-GIQA where the reference has as many


class Extractor:
    """A picture network by transformers as a `PictureEncoder`: its pooled output, else the mean of its last states."""

    def __init__(self, name: str, model: Any, processor: Any, device: str = "cpu") -> None:
        self.name = name
        self._model, self._processor, self._device = model.to(device).eval(), processor, device

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights and of how pictures are prepared."""
        return fingerprint(self._model.state_dict(), prepared(self._processor))

    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Features float64 [n, d] of pictures uint8 [h, w, 3]; ValueError where the network gives none."""
        import torch
        from PIL import Image

        inputs = self._processor(images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
        pixels = inputs["pixel_values"].to(self._device)
        with torch.inference_mode():
            # A network of pictures and words (CLIP) has its pictures' half alone.
            output = getattr(self._model, "vision_model", self._model)(pixel_values=pixels)
        features = getattr(output, "pooler_output", None)
        if features is None:
            features = getattr(output, "last_hidden_state", None)
            if features is None:
                raise ValueError(f"{self.name} gives no features: expected a pooled output or last states")
            # States are [n, tokens, d] of a transformer, [n, d, h, w] of a convolutional network.
            features = features.mean(1) if features.ndim == 3 else features.flatten(2).mean(2)
        return np.asarray(features.flatten(1).cpu().double())


def load_extractor(name: str | Path, device: str = "cpu") -> Extractor:
    """A picture network in a folder, or by its name on the hub where it was downloaded before (nothing is fetched).

    OSError where it is not on this machine or cannot be loaded; weights are read from safetensors only.
    """
    from transformers import AutoImageProcessor, AutoModel

    name = str(name)
    try:
        model = AutoModel.from_pretrained(name, local_files_only=True, use_safetensors=True)
        return Extractor(name, model, AutoImageProcessor.from_pretrained(name, local_files_only=True), device)
    except (OSError, ValueError, KeyError) as error:
        if Path(name).is_dir():
            raise OSError(f"{name} cannot be loaded as a picture network: {error}") from None
        raise OSError(
            f"the picture network {name!r} is not on this machine, and nothing is downloaded unasked: fetch it "
            f"(hf download {name}) or name a folder that holds it"
        ) from None


class Giqa:
    """KNN-GIQA of pictures against a reference [m, d] of the features of one extractor; `name` says which.

    made_of: a hash of what the features were made of; None: the features themselves say what they are.
    """

    def __init__(
        self,
        extractor: PictureEncoder,
        reference: np.ndarray,
        k: int = NEIGHBOURS,
        made_of: str | None = None,
    ) -> None:
        self._extractor, self._reference, self._made_of = extractor, reference, made_of
        self.k = min(k, len(reference))
        self.name = f"{extractor.name}, {len(reference)} reference pictures, k {self.k}"

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the extractor, the reference and k."""
        table = {} if self._made_of else {"reference": self._reference}
        return fingerprint(table, self._made_of, self._extractor.fingerprint, self.k)

    def scores(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Scores [n] of pictures uint8 [h, w, 3]; higher looks more like the reference. Errors as `knn_giqa`'s."""
        return knn_giqa(self._extractor.pictures(pictures), self._reference, self.k)


def load_giqa(extractor: str | Path, reference: str | Path, device: str = "cpu", batch: int = 16) -> Giqa:
    """KNN-GIQA by a network (`load_extractor`) and a reference: features [m, d] in a .npy, or a folder of pictures.

    FileNotFoundError where the reference is not there, ValueError where it is no table of finite numbers as wide
    as the network's features, or a folder without pictures.
    """
    path = Path(reference)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no reference {path}: KNN-GIQA needs features [m, d] in a .npy file or a folder of pictures"
        )
    network = load_extractor(extractor, device)
    if path.is_dir():
        return Giqa(network, *_features_of(path, network, batch))
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a .npy of numbers: {error}") from None
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype.kind != "f" or not len(table):
        raise ValueError(f"{path}: expected features as float [m, d], got {_described(table)}")
    if not np.isfinite(table).all():
        raise ValueError(f"{path} has features that are not finite")
    wide = network.pictures([np.zeros((64, 64, 3), np.uint8)]).shape[1]
    if table.shape[1] != wide:
        raise ValueError(
            f"{path} has features of {table.shape[1]} numbers, {network.name} gives {wide}: they are another network's"
        )
    return Giqa(network, table.astype(np.float64))


def _features_of(folder: Path, network: Extractor, batch: int) -> tuple[np.ndarray, int, str]:
    """(features [m, d], k, a hash) of a folder's pictures.

    The hash is of the files: features of the same pictures differ in their last digits from machine to machine.
    """
    from tqdm import tqdm

    from ...imaging.images import list_pictures, load_picture

    paths = list_pictures(folder)
    if not paths:
        raise ValueError(f"the folder {folder} holds no pictures to be a reference")
    groups = [paths[i : i + batch] for i in range(0, len(paths), batch)]
    parts = [
        network.pictures([load_picture(p) for p in group])
        for group in tqdm(groups, desc="reference", leave=False)
    ]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return np.concatenate(parts), NEIGHBOURS, digest.hexdigest()[:16]


def _described(table: Any) -> str:
    return f"{table.dtype} {list(table.shape)}" if isinstance(table, np.ndarray) else type(table).__name__
