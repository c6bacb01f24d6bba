"""Peak signal-to-noise ratio: how near two images are."""

from __future__ import annotations

import math

import numpy as np


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Measure the peak signal-to-noise ratio of two images.

    Args:
        a: uint8 [h, w, 3].
        b: uint8 [h, w, 3].

    Returns:
        dB; 99 where they are equal.
    """
    error = float(((a.astype(np.float32) - b) ** 2).mean())
    return 99.0 if error == 0 else 10 * math.log10(255**2 / error)
