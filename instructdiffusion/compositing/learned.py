"""The compositor: a small network that says, pixel by pixel, how much of an edit is laid on its source.

`compose` has rules for that, a threshold each on how strongly the model changed something. But what an autoencoder
loses of a photograph is as strong as a faint watermark, and only looks different: it is not where the model's own
change is, and not of its colour. The compositor sees such things in statistics of some neighbourhoods of a pixel. It
mixes three pictures, the source, the edit, and the source with the edit's difference, with shares that add up to one,
and paints nothing of its own. Noise and blur are everywhere, and their rules do as well.

It has learned from the answers of `tiny` (training/compositor.py), which asks for it in its settings
(`Settings.compose`); edits of other models are laid by the rules.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..imaging.rasterize import as_float
from ..imaging.resize import resize_field, resize_picture
from ..imaging.strips import in_strips
from ..utils.auxiliary import auxiliary_hash, load_auxiliary
from ..utils.interrupts import check_interrupt
from .rules import check_sizes, to_uint8

LEARNED = ("dewatermark", "edit")  # the tasks that the network that ships has learned (`Task.has_compositor`)
SHIPPED = Path(__file__).parents[1] / "assets" / "compositor" / "compositor.safetensors"
WINDOWS = (1, 3, 7, 15, 31)  # pixels a side of the neighbourhoods whose mean difference counts
_NEAR = (3, 5, 9)  # of those in which differences are compared in sign and colour
STATISTICS = 3 * len(WINDOWS) + 2 * len(_NEAR) + 4 + 3
_LEVEL = 0.004  # one of 255: differences below it are rounding
_WIDTH = 32
REACH = max(WINDOWS) // 2 + 1  # pixels: what is further from a pixel than that does not count for it
BLOCK = 512  # pixels a side that go through in one piece: more would only take memory
_AT_ONCE = 4  # such pieces, some 150 MB each, on as many cores

Pictures = tuple[np.ndarray, np.ndarray, np.ndarray]


class Compositor(nn.ModuleDict):
    """A network a task, from a pixel's `statistics` to the log-odds of the three pictures."""

    def __init__(self) -> None:
        super().__init__({task: self.network() for task in LEARNED})

    @staticmethod
    def network() -> nn.Sequential:
        """The network of a task, untrained."""
        return nn.Sequential(
            nn.Linear(STATISTICS, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, 3)
        )  # fmt: skip

    def shares(self, task: str, features: Tensor) -> Tensor:
        """Shares [..., 2] of the edit and of the source with its difference, from [..., STATISTICS]."""
        shares: Tensor = self[task](features).softmax(dim=-1)[..., 1:]
        return shares


def candidates(source: np.ndarray, edited: np.ndarray, copy: np.ndarray) -> Pictures:
    """Source, edit and the source with the edit's difference, float32 [h, w, 3] in 0..1 at the source's size.

    source: uint8 [h, w, 3]; edited, copy: float 0..1 of one size, any: what was drawn, and the autoencoder's copy of
    the source. ValueError where these two differ in size.
    """
    check_sizes(edited, copy)
    size = source.shape[:2]
    plain = in_strips(lambda rows: as_float(source[rows]), size)
    change = in_strips(lambda rows: edited[rows] - copy[rows], edited.shape)
    change = resize_field(change, size)
    return plain, resize_field(edited, size), in_strips(lambda rows: plain[rows] + change[rows], size)


def statistics(pictures: Pictures) -> np.ndarray:
    """What the compositor sees of `candidates` [h, w, 3]: float32 [h, w, STATISTICS].

    Three differences count: what the model changed, what laying the edit would change, and what the autoencoder lost,
    which is the difference of the two. In order: their strength in WINDOWS; how far the first and the last agree with
    the second, in sign and colour; the strength of the mean of the first two; the edges of source, edit and copy.
    """
    plain, edit, added = (np.ascontiguousarray(np.moveaxis(picture, 2, 0)) for picture in pictures)
    changed, laid, lost = added - plain, edit - plain, edit - added
    strength = np.stack([np.abs(d).max(axis=0) for d in (changed, laid, lost)])
    strengths = [_mean(strength, window) for window in WINDOWS]
    planes = [_log(s[number]) for number in range(3) for s in strengths]
    pairs = (laid, laid), (changed, changed), (lost, lost), (laid, changed), (laid, lost)
    products = np.stack([(a * b).sum(axis=0) for a, b in pairs])
    sums = [_mean(products, window) for window in _NEAR]
    for own, both in ((1, 3), (2, 4)):
        planes += [s[both] / np.sqrt(np.maximum(s[0] * s[own], 0) + np.float32(1e-6)) for s in sums]
    signed = np.concatenate([changed, laid])
    means = [np.abs(_mean(signed, window)) for window in (3, 7)]
    planes += [_log(m[part].max(axis=0)) for part in (slice(0, 3), slice(3, 6)) for m in means]
    planes += [_log(_edges(picture)) for picture in (plain, edit, plain + lost)]
    return np.stack(planes, axis=2).astype(np.float32, copy=False)


def _mean(planes: np.ndarray, window: int) -> np.ndarray:
    """The mean of planes [n, h, w] over the window around each pixel, mirrored at the picture's edge."""
    from scipy import ndimage

    return planes if window == 1 else ndimage.uniform_filter(planes, (1, window, window))


def _edges(picture: np.ndarray) -> np.ndarray:
    light = np.pad(picture.mean(axis=0), 1, mode="edge")
    return np.hypot(light[2:, 1:-1] - light[:-2, 1:-1], light[1:-1, 2:] - light[1:-1, :-2]) / 2


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, 0) + np.float32(_LEVEL))


def lay(
    task: str,
    source: np.ndarray,
    edited: np.ndarray,
    copy: np.ndarray,
    compositor: Compositor | None = None,
) -> np.ndarray:
    """The edit laid on its source, uint8 [h, w, 3] at the source's own size; pictures as for `candidates`.

    Where the model saw a smaller picture the shares are found at that size, and brought to the source's.
    compositor: None for the one that ships; its errors are `load_compositor`'s.
    """
    compositor = shipped_compositor() if compositor is None else compositor
    pictures = small = candidates(source, edited, copy)
    size = (min(source.shape[0], edited.shape[0]), min(source.shape[1], edited.shape[1]))
    if size != source.shape[:2]:
        small = candidates(resize_picture(source, size), edited, copy)
    shares = resize_field(_shares(compositor, task, small), source.shape[:2])
    plain, edit, added = pictures

    def laid(rows: slice) -> np.ndarray:
        own, share = plain[rows], shares[rows]
        return to_uint8(own + share[..., :1] * (edit[rows] - own) + share[..., 1:] * (added[rows] - own))

    return in_strips(laid, source.shape)


def _shares(compositor: Compositor, task: str, pictures: Pictures) -> np.ndarray:
    """Shares float32 [h, w, 2], block by block, each with all around it that counts for it; some blocks at once."""
    height, width = pictures[0].shape[:2]
    out = np.empty((height, width, 2), np.float32)

    def find(block: tuple[int, int]) -> None:
        y, x = block
        top, left = max(0, y - REACH), max(0, x - REACH)
        part = slice(top, y + BLOCK + REACH), slice(left, x + BLOCK + REACH)
        plain, edit, added = (picture[part] for picture in pictures)
        with torch.inference_mode():
            shares = compositor.shares(task, torch.from_numpy(statistics((plain, edit, added)))).numpy()
        out[y : y + BLOCK, x : x + BLOCK] = shares[y - top :, x - left :][:BLOCK, :BLOCK]

    blocks = list(product(range(0, height, BLOCK), range(0, width, BLOCK)))
    many = min(_AT_ONCE, len(blocks), torch.get_num_threads())
    if many == 1:  # a thread's start would take longer than a small picture
        for block in blocks:
            check_interrupt()
            find(block)
    else:
        with ThreadPoolExecutor(many) as threads:
            waiting = [threads.submit(find, block) for block in blocks]
            try:
                for one in waiting:
                    check_interrupt()
                    one.result()  # which raises what a thread raised
            finally:
                for one in waiting:
                    one.cancel()
    return out


def load_compositor(path: str | Path) -> Compositor:
    """The compositor of a safetensors file, ready to answer; errors as `load_auxiliary`'s."""
    return load_auxiliary(
        Compositor(), path, "compositor", "training/compositor.py", 'lay edits by compose="rules"'
    )


@lru_cache(maxsize=1)
def shipped_compositor() -> Compositor:
    """The compositor that ships, loaded once."""
    return load_compositor(SHIPPED)


def compositor_hash(path: str | Path = SHIPPED) -> str:
    """SHA-256 (first 16 hex digits) of the weights' file; errors as `load_compositor`'s."""
    load_compositor(path)
    return auxiliary_hash(path)
