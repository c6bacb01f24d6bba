"""Pictures: PSNR, SSIM, LPIPS.

PSNR of a set is the mean over its pictures of each one's RGB PSNR at 8 bits, as restoration papers have it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ...imaging.psnr import psnr
from ...utils.network_digest import fingerprint

# A picture equal to the truth has no finite PSNR; 60 dB is where the error is below that of rounding to
# 8 bits (58.9 dB), and what lies above counts as 60, so that a mean over pictures stays a mean.
EQUAL_DB = 60.0


class Distance(Protocol):
    """A distance of two pictures uint8 [h, w, 3]. fingerprint: a hash of what measures."""

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float: ...


def capped_psnr(a: np.ndarray, b: np.ndarray, region: np.ndarray | None = None) -> float:
    """PSNR in dB of uint8 RGB pictures [h, w, 3], at most 60; over a region bool [h, w] where given.

    10 log10(255^2 / mean squared error over pixels and channels). NaN for an empty region; TypeError unless
    uint8, ValueError where the sizes differ.
    """
    _check(a, b)
    if region is not None:
        if not region.any():
            return float("nan")
        a, b = a[region], b[region]
    return min(EQUAL_DB, psnr(a, b))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of uint8 RGB pictures [h, w, 3] (Wang et al. 2004), the mean over pixels and channels.

    Gaussian window of 11 pixels, sigma 1.5, where it lies wholly in the picture; K1 .01, K2 .03. By kornia.
    ValueError for sides below 11 pixels.
    """
    _check(a, b)
    if min(a.shape[:2]) < 11:
        raise ValueError(f"SSIM needs sides of at least 11 pixels, got {a.shape[:2]}")
    import torch
    from kornia.metrics import ssim as kornia_ssim

    one, other = (
        torch.from_numpy(np.ascontiguousarray(p)).permute(2, 0, 1)[None].double() / 255 for p in (a, b)
    )
    # No term against division by zero: C1 and C2 do that, and more would change the value.
    return float(kornia_ssim(one, other, 11, eps=0.0, padding="valid").mean())


def load_lpips(net: str = "alex", device: str = "cpu") -> Distance:
    """The LPIPS distance of two pictures (Zhang et al. 2018), by the package `lpips`, which brings its weights' heads.

    Lower is more alike. ModuleNotFoundError where the package is missing, OSError where the backbone's
    weights are neither here nor to be had.
    """
    try:
        import lpips
    except ImportError:
        raise ModuleNotFoundError(
            "LPIPS needs the package lpips, which is not installed: pip install lpips"
        ) from None
    try:
        model: Any = lpips.LPIPS(net=net, verbose=False).to(device).eval()
    except OSError as error:
        raise OSError(
            f"LPIPS's backbone {net} could not be loaded ({error}): it is downloaded once"
        ) from error
    return Lpips(model, device)


class Lpips:
    """A network of the package `lpips` as a `Distance`."""

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self._model, self._device = model, device

    @cached_property
    def fingerprint(self) -> str:
        """A hash of backbone and heads."""
        return fingerprint(self._model.state_dict())

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        import torch

        _check(a, b)
        one, other = (
            torch.from_numpy(np.ascontiguousarray(p)).permute(2, 0, 1)[None].float().to(self._device) / 127.5
            - 1
            for p in (a, b)
        )
        with torch.inference_mode():
            return float(self._model(one, other))


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise TypeError(f"pictures are compared as uint8, got {a.dtype} and {b.dtype}: convert them first")
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared: resize one first")
