"""AdaptiveGuidance: branches that have come to agree with the full one are not evaluated any more.

After Castillo et al., 2312.12487: late in a run the branches of guidance predict the same, so that the rest of the
run can do without them. They measure the angle between noise predictions; here it is the difference of the denoised
latents, which is what guidance multiplies, and each picture decides for itself, so that a picture's answer depends
on its batch by rounding only. `guidance.dropping` leaves branches out at noise levels known ahead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..denoiser import UNetDenoiser
from ..plan import Row


class AdaptiveGuidance:
    """A UNetDenoiser that stops evaluating branches picture by picture; the sampler's model in its place.

        latents = sample(AdaptiveGuidance(denoiser, 0.05), x, plan, noise)

    tolerance: a branch is left out of a picture's later rows once the RMS difference of its denoised latents from
    the full branch's is at most this share of the latter's RMS; 0 leaves out only what is equal. A branch that is
    left out is taken to predict what full does, as the scale 0.5 says for the authors' guidance.

    Rows without the full branch decide nothing. A run of `sample` decides anew, as does a row whose sigma is above that
    of the row before.
    Decisions are read on the host: on a GPU a row with branches still to be decided on waits for the device, and runs
    are not replayed as CUDA graphs.

    evaluations: how many were made, a branch and picture counting one. Raises ValueError for a tolerance that is
    negative or not finite.
    """

    def __init__(self, denoiser: UNetDenoiser, tolerance: float = 0.05) -> None:
        if isinstance(tolerance, bool) or not math.isfinite(tolerance) or tolerance < 0:
            raise ValueError(f"tolerance must be a finite number of at least 0; got {tolerance!r}")
        self.denoiser = denoiser
        self.prediction_type = denoiser.prediction_type
        self.tolerance = float(tolerance)
        self.reset()

    def __len__(self) -> int:
        return len(self.denoiser)

    def begin(self) -> None:
        """Forget what was decided: a run begins."""
        self._left_out: dict[str, list[bool]] = {}
        self._sigma = math.inf

    def reset(self) -> None:
        """Forget what was decided and counted."""
        self.begin()
        self.evaluations = 0

    def predict(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        """Predictions [len(branches), b, c, h, w] as `UNetDenoiser.predict`, those left out being the full branch's."""
        if row.sigma > self._sigma:
            self.begin()
        self._sigma = row.sigma
        needs = [self._asked(branch, branches) for branch in branches]
        mask = [wants for each in needs for wants in each]
        self.evaluations += sum(mask)
        if all(mask):
            out = self.denoiser.predict(x_scaled, row, branches)
        else:
            out = self._predict_some(x_scaled, row, branches, mask)
        if "full" in branches:
            self._decide(out, x_scaled, row, branches, needs)
        return out

    def _asked(self, branch: str, branches: Sequence[str]) -> list[bool]:
        """For each picture, whether this branch is evaluated."""
        if "full" not in branches or branch not in self._left_out:
            return [True] * len(self)
        return [not out for out in self._left_out[branch]]

    def _predict_some(
        self, x_scaled: Tensor, row: Row, branches: tuple[str, ...], mask: list[bool]
    ) -> Tensor:
        x, t, text = self.denoiser.inputs(x_scaled, row, branches)
        rows = torch.tensor([i for i, wants in enumerate(mask) if wants], device=x.device)
        some = self.denoiser.unet(x[rows], t[rows], encoder_hidden_states=text[rows], return_dict=False)[0]
        full, count = branches.index("full"), len(self)
        # Where each answer is found: its own place among those evaluated, or that of its picture's full branch.
        places, indices = {row: i for i, row in enumerate(rows.tolist())}, []
        for i in range(len(mask)):
            indices.append(places.get(i, places[full * count + i % count]))
        predictions: Tensor = some[torch.tensor(indices, device=x.device)].unflatten(0, (len(branches), count))
        return predictions

    def _decide(
        self, out: Tensor, x_scaled: Tensor, row: Row, branches: tuple[str, ...], needs: list[list[bool]]
    ) -> None:
        others = [
            i for i, branch in enumerate(branches) if branch != "full" and any(needs[i])
        ]  # what is left out stays so
        if not others:
            return
        full = out[branches.index("full")].float()
        size = _rms(denoised_of(full, x_scaled.to(full), row.sigma, self.prediction_type))
        share = _difference_scale(row.sigma, self.prediction_type)
        agree = torch.stack([share * _rms(out[i].float() - full) <= self.tolerance * size for i in others])
        for i, picked in zip(others, agree.tolist(), strict=True):
            before = self._left_out.get(branches[i], [False] * len(self))
            self._left_out[branches[i]] = [a or b for a, b in zip(before, picked, strict=True)]


def denoised_of(prediction: Tensor, x_scaled: Tensor, sigma: float, prediction_type: str) -> Tensor:
    """The denoised latents that a prediction means, for x_scaled = x / sqrt(1 + sigma^2)."""
    root = math.sqrt(1.0 + sigma * sigma)
    if prediction_type == "epsilon":
        return x_scaled * root - sigma * prediction
    return (x_scaled - sigma * prediction) / root if prediction_type == "v_prediction" else prediction


def _difference_scale(sigma: float, prediction_type: str) -> float:
    """What a difference of predictions is multiplied by to be one of denoised latents."""
    if prediction_type == "epsilon":
        return sigma
    return sigma / math.sqrt(1.0 + sigma * sigma) if prediction_type == "v_prediction" else 1.0


def _rms(x: Tensor) -> Tensor:
    """Root mean square of each picture, [b]."""
    return x.flatten(1).square().mean(1).sqrt()
