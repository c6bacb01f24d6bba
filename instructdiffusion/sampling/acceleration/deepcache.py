"""DeepCache: rows in between reuse the UNet's deep features and compute only its outermost layers anew.

After Ma et al., 2312.00858: what the lower levels of a UNet compute changes slowly from one noise level to the
next, so that a full evaluation every few rows is enough. The answer is an approximation of the plan's.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import torch
from torch import Tensor

from ..denoiser import UNetDenoiser
from ..plan import Row

_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D")
_UP = ("UpBlock2D", "CrossAttnUpBlock2D")
_hooking = threading.Lock()  # torch numbers hooks without one: two threads might get the same number


class DeepCache:
    """A UNetDenoiser whose UNet runs whole in every `every`-th row only; the sampler's model in its place.

        latents = sample(DeepCache(denoiser, every=3), x, plan, noise)

    every: 1 is the denoiser itself, to the bit. depth: how many layers of the last up block are computed in each
    row, 1 to its number of layers (3 in Stable Diffusion 1.5), with the layers of the first down block that they
    take skips from: more layers follow the whole UNet closer. For Stable Diffusion 1.5 at 64x64 a shallow row
    costs 8, 22 or 38 % of a whole one's multiplications at depth 1, 2 or 3; 2 is what the paper has.

    All branches of a row are whole or shallow together. The first row of a run (of `sample`, or by itself one whose
    sigma is above that of the row before) is whole, and so is one that asks for a branch without cached features.
    Rows are evaluations: a solver with two of them a step, as Heun, comes to its whole ones twice as soon.

    Of a compiled UNet the module it was compiled from runs, unless `every` is 1: what is taken from inside a whole row
    cannot be had from the compiled one. Threads may share the UNet, not one of these.

    whole, shallow: how many UNet evaluations of each kind were made, a branch and picture counting one.
    Raises ValueError for an `every` or a depth out of range, or a UNet whose outer blocks are of other kinds.
    """

    def __init__(self, denoiser: UNetDenoiser, every: int = 3, depth: int = 2) -> None:
        for name, value in (("every", every), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")
        unet = getattr(denoiser.unet, "_orig_mod", denoiser.unet)  # compiled code calls no hook on the parts
        _check_unet(unet)
        layers = len(unet.up_blocks[-1].resnets)
        if depth > layers:
            raise ValueError(
                f"this UNet's last block has {layers} layers: depth is at most that; got {depth}"
            )
        self.denoiser = denoiser
        self._unet = unet
        self.prediction_type = denoiser.prediction_type
        self.every = every
        self.depth = depth
        self.reset()

    def __len__(self) -> int:
        return len(self.denoiser)

    def begin(self) -> None:
        """Forget the cached features: a run begins."""
        # branch -> [b, c, h, w], what goes into the first computed up layer
        self._deep: dict[str, Tensor] = {}
        self._age = 0
        self._sigma = math.inf

    def reset(self) -> None:
        """Forget the cached features and the counts."""
        self.begin()
        self.whole = 0
        self.shallow = 0

    def predict(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        """Predictions [len(branches), b, c, h, w] as `UNetDenoiser.predict`, of the whole or the shallow UNet."""
        known = all(b in self._deep for b in branches)
        whole = not known or self._age >= self.every or row.sigma > self._sigma
        self._sigma = row.sigma
        if self.every == 1:
            self.whole += len(branches) * len(self)
            return self.denoiser.predict(x_scaled, row, branches)
        if whole:
            self._age = 1
            self.whole += len(branches) * len(self)
            return self._predict_whole(x_scaled, row, branches)
        self._age += 1
        self.shallow += len(branches) * len(self)
        x, t, text = self.denoiser.inputs(x_scaled, row, branches)
        out = _shallow(self._unet, x, t, text, torch.cat([self._deep[b] for b in branches]), self.depth)
        predictions: Tensor = out.unflatten(0, (len(branches), len(self)))
        return predictions

    def _predict_whole(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        unet = self._unet
        first = unet.up_blocks[-1].resnets[-self.depth]
        channels = first.in_channels - _skip_channels(unet, self.depth - 1)
        features: list[Tensor] = []

        mine = threading.get_ident()  # the UNet may be other threads' too, whose features are not this run's

        def keep(module: Any, arguments: tuple[Any, ...]) -> None:
            if threading.get_ident() == mine:
                # The rest is the skip, which is computed anew.
                features.append(arguments[0][:, :channels].clone())

        x, t, text = self.denoiser.inputs(x_scaled, row, branches)
        with _hooking:
            handle = first.register_forward_pre_hook(keep)
        try:
            out = unet(x, t, encoder_hidden_states=text, return_dict=False)[0]
        finally:
            handle.remove()
        split = (len(branches), len(self))
        self._deep = dict(zip(branches, features[0].unflatten(0, split), strict=True))
        predictions: Tensor = out.unflatten(0, split)
        return predictions


def _shallow(unet: Any, x: Tensor, t: Tensor, text: Tensor, deep: Tensor, depth: int) -> Tensor:
    """The UNet's prediction where the input of its last `depth` up layers is `deep`."""
    embedding = unet.time_embedding(unet.get_time_embed(sample=x, timestep=t))
    if unet.time_embed_act is not None:
        embedding = unet.time_embed_act(embedding)
    hidden = unet.conv_in(x)
    skips = [hidden]
    for layer in range(depth - 1):
        hidden = _layer(unet.down_blocks[0], layer, hidden, embedding, text)
        skips.append(hidden)
    hidden, up = deep, unet.up_blocks[-1]
    for layer in range(len(up.resnets) - depth, len(up.resnets)):
        hidden = _layer(up, layer, torch.cat([hidden, skips.pop()], dim=1), embedding, text)
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    sample: Tensor = unet.conv_out(hidden)
    return sample


def _layer(block: Any, index: int, hidden: Tensor, embedding: Tensor, text: Tensor) -> Tensor:
    hidden = block.resnets[index](hidden, embedding)
    attentions = getattr(block, "attentions", None)
    if attentions is None:
        return hidden
    output: Tensor = attentions[index](hidden, encoder_hidden_states=text, return_dict=False)[0]
    return output


def _skip_channels(unet: Any, index: int) -> int:
    """Channels of the skip number `index` from the top: the first convolution's, then the first block's layers'."""
    return int(
        unet.conv_in.out_channels if index == 0 else unet.down_blocks[0].resnets[index - 1].out_channels
    )


def _check_unet(unet: Any) -> None:
    down, up = type(unet.down_blocks[0]).__name__, type(unet.up_blocks[-1]).__name__
    if down not in _DOWN or up not in _UP:
        raise ValueError(
            f"DeepCache needs a UNet whose outer blocks are of {', '.join((*_DOWN, *_UP))}; got {down} and {up}"
        )
    config = unet.config
    extras = ["class_embed_type", "addition_embed_type", "encoder_hid_dim_type", "center_input_sample"]
    used = [name for name in extras if getattr(config, name, None)]
    if getattr(unet.up_blocks[-1], "s1", None):
        used.append("FreeU")
    if used:
        raise ValueError(f"DeepCache does not know UNets with {', '.join(used)}; run this one without it")
