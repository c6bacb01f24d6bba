"""Blur: how wide a picture's sharpest edges are, which tells a blurred picture from one that is soft on purpose."""

from __future__ import annotations

import numpy as np

from ..imaging.strips import in_strips, strips

SHARP, BLURRED = 0.6, 0.75  # pixels: widths of edges up to which nothing is to be done, and from which all is
_PROBE = 1.0  # pixels, sigma of the blur that edges are tried with
_SLOPES = (0.03, 0.015)  # of full scale a pixel: the least slope of an edge; the second where edges are few
_FEWEST = 20  # edges, to speak of their width
_SHARPEST = 10  # percentile


def edge_width(picture: np.ndarray) -> float | None:
    """The sigma, in pixels, of the sharpest tenth of the edges along the axis where it is larger; None without edges.

    A second blur takes much of the slope of a sharp edge and little of a soft one's (Zhuo and Sim 2011). Blur of the
    whole picture leaves no edge sharp, a background out of focus does; motion blurs edges across one axis or both.
    picture: float [h, w, 3] in 0..1.
    """
    light = in_strips(lambda rows: picture[rows].mean(axis=2), picture.shape)
    widths = []
    for axis in (0, 1):
        tried = (_axis_width(light, axis, slope) for slope in _SLOPES)
        widths += [width for width in tried if width is not None][:1]
    return max(widths, default=None)


def blur_share(picture: np.ndarray) -> float:
    """0 for a picture with sharp edges, 1 for a blurred one or one without edges, between them in between."""
    width = edge_width(picture)
    return 1.0 if width is None else float(np.clip((width - SHARP) / (BLURRED - SHARP), 0, 1))


def _axis_width(light: np.ndarray, axis: int, slope: float) -> float | None:
    """The sharpest tenth's sigma of the edges across an axis of light [h, w]; None where there are too few."""
    from scipy import ndimage

    if light.shape[axis] < 3:
        return None
    lines = light.T if axis == 0 else light  # edges across their columns
    ratios = []
    for rows in strips(lines.shape):  # what is looked at of a line lies in that line
        part = np.ascontiguousarray(lines[rows])
        soft = np.abs(np.gradient(ndimage.gaussian_filter1d(part, _PROBE), axis=1))
        edge = (soft > slope) & (soft >= 0.9 * ndimage.maximum_filter1d(soft, 5))
        ratios.append(np.abs(np.gradient(part, axis=1))[edge] / soft[edge])
    ratio = np.concatenate(ratios)
    if len(ratio) < _FEWEST:
        return None
    widths = _PROBE / np.sqrt(np.maximum(ratio * ratio - 1, np.float32(1e-2)))
    return float(np.percentile(widths, _SHARPEST))
