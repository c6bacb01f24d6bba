"""The light U-Net that reads a mask out of what was drawn, in place of the closed form's threshold.

The paper post-processes its answers with "a lightweight U-Net" (section 4.1; never released). This one sees no
colours of the drawing: what it is given is the closed form's reading (`overlay`), which is the same for every
colour, beside the picture that was asked about. It adds to that reading's log-odds,

    logit = SHARPNESS (guided - 1/2) + U-Net(features),

so that before training it is the closed form, and what it learns is where that errs: covers that are half as
strong as they should be, edges that the autoencoder blurred, stray marks.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..imaging.rasterize import as_float
from ..imaging.resize import resize_picture
from ..imaging.strips import connected_to, in_strips
from ..utils.auxiliary import auxiliary_hash, load_auxiliary
from ..utils.pieces import pieces
from .overlay import blend_fraction, guided_mask, soft_mask

SHIPPED = Path(__file__).parents[1] / "assets" / "refiner" / "refiner.safetensors"
WIDTHS = (16, 24, 32, 48)  # channels at 1, 1/2, 1/4 and 1/8 of the side
FEATURES = 10
SHARPNESS = 8.0
SURE = 0.95  # a region counts where somewhere it is as sure as this; chosen on validation scenes


class Refiner(nn.Module):
    """Log-odds of the mask from `refiner_features`; any height and width, each picture by itself.

    Four scales, two 3x3 convolutions each, no normalisation (a picture's answer would then depend on how much of
    it is empty). The last convolution starts at zero.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        before = (FEATURES, *widths[:-1])
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(before, widths, strict=True))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Conv2d(widths[0], 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Log-odds [n, h, w] from features [n, FEATURES, h, w]."""
        x, skips = features, []
        for number, block in enumerate(self.down):
            if number:
                x = F.avg_pool2d(x, 2, ceil_mode=True)
            x = block(x)
            skips.append(x)
        for block, skip in zip(reversed(list(self.up)), reversed(skips[:-1]), strict=True):
            larger = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, larger], dim=1))
        logits: Tensor = SHARPNESS * (features[:, 0] - 0.5) + self.head(x)[:, 0]
        return logits


def _block(inward: int, outward: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, padding=1), nn.SiLU(),
        nn.Conv2d(outward, outward, 3, padding=1), nn.SiLU(),
    )  # fmt: skip


def refiner_features(
    source: np.ndarray, edited: np.ndarray, color: np.ndarray, guide: np.ndarray, *, alpha: float = 0.5
) -> np.ndarray:
    """What the refiner sees, float32 [FEATURES, h, w], about 0..1 each.

    In order: the closed form's soft mask along the guide's edges; that mask itself; the share of the overlay;
    how well an overlay explains the change; the colour's distance from the source; the change; the part of the
    change that no overlay explains; what the autoencoder lost of the guide; the guide's brightness and saturation.

    source: the model's reconstruction; edited: what it drew; guide: the picture asked about: [h, w, 3] of one
    size, uint8 or float. color: float [3] in 0..1.
    """
    size = source.shape[:2]
    share, explained = blend_fraction(source, edited, color, alpha)
    soft = soft_mask(share, explained)
    guided = guided_mask(soft, guide)

    def planes(rows: slice) -> np.ndarray:
        s, e, g = as_float(source[rows]), as_float(edited[rows]), as_float(guide[rows])
        u, d = np.asarray(color, np.float32) - s, e - s
        left = d - (np.clip(share[rows], 0, 1.15) * np.float32(alpha))[..., None] * u
        images = (
            guided[rows],
            soft[rows],
            np.clip(share[rows], -0.5, 1.5),
            explained[rows],
            _length(u),
            2 * _length(d),
            4 * _length(left),
            2 * _length(g - s),
            g.mean(-1),
            g.max(-1) - g.min(-1),
        )
        return np.stack(images, axis=1).astype(np.float32)  # rows first

    return np.ascontiguousarray(np.moveaxis(in_strips(planes, size, 2**19), 1, 0))


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt((vectors * vectors).mean(-1))


def refine_mask(
    source: np.ndarray,
    edited: np.ndarray,
    color: np.ndarray,
    guide: np.ndarray | None = None,
    *,
    alpha: float = 0.5,
    refiner: Refiner | None = None,
) -> np.ndarray:
    """Probability of the mask drawn in `color`, float32 in 0..1, at the size of `guide` (None: of `source`).

    source, edited, color: as in `refiner_features`. guide: the picture asked about, of any size: the network
    works at the size of `source`, and a larger guide then brings its edges. refiner: None for the one that ships;
    its errors are `load_refiner`'s.
    """
    refiner = shipped_refiner() if refiner is None else refiner
    size = source.shape[:2]
    picture = source if guide is None else guide
    small = picture if picture.shape[:2] == size else resize_picture(picture, size)
    features = torch.from_numpy(refiner_features(source, edited, color, small, alpha=alpha))
    with torch.inference_mode(), pieces(small.shape[0] * small.shape[1], "cpu"):
        chance = refiner(features[None])[0].sigmoid().numpy()
    return chance if picture.shape[:2] == size else guided_mask(chance, picture)


def sure_mask(chance: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The regions (bool [h, w], 4-neighbours) of at least `threshold` that somewhere reach SURE (or the threshold).

    Where nothing was asked for that is there, models draw faintly: such a region is nowhere sure.
    """
    return connected_to(chance >= max(threshold, SURE), chance >= threshold)


def load_refiner(path: str | Path) -> Refiner:
    """The refiner of a safetensors file, ready to answer; errors as `load_auxiliary`'s."""
    return load_auxiliary(
        Refiner(), path, "refiner", "training/refiner.py", 'read masks with decoder="closed"'
    )


@lru_cache(maxsize=1)
def shipped_refiner() -> Refiner:
    """The refiner that ships, loaded once."""
    return load_refiner(SHIPPED)


def refiner_hash(path: str | Path = SHIPPED) -> str:
    """SHA-256 (first 16 hex digits) of the weights' file; errors as `load_refiner`'s."""
    load_refiner(path)
    return auxiliary_hash(path)
