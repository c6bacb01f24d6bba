"""Guidance: how much each branch of the UNet counts at a noise level.

A branch is the UNet under one choice of conditions:

    full            the instruction and the picture
    image_only      the empty instruction and the picture
    text_only       the instruction and a zero picture latent
    unconditional   the empty instruction and a zero picture latent

Guidance is a function sigma -> weights over BRANCHES that sum to 1, and denoised = sum_b w[b] * denoised_b.
A row that sums to 1 is right for epsilon, v and x0 predictions alike. Branches of weight 0 are never run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BRANCHES: tuple[str, ...] = ("full", "image_only", "text_only", "unconditional")

Weights = tuple[float, float, float, float]
Guidance = Callable[[float], Weights]

LARGEST = 1e6  # scale: far beyond use, and float32 still tells the sum of such weights from 0
_TOO_MUCH = 2.0**24  # weight from which on float32 has no room for the 1 that weights sum to
_NOTHING = 1e-12  # weights below this are rounding of an exact 0, not worth a UNet evaluation


def check_weights(weights: object, source: object = "guidance") -> Weights:
    """The weights as four floats below 2^24 that sum to 1, rounding crumbs set to 0; ValueError otherwise."""
    try:
        values = tuple(float(w) for w in weights)  # type: ignore[attr-defined]
    except OverflowError:
        raise ValueError(f"{source} must give finite weights; got a whole number beyond any float") from None
    except (TypeError, ValueError):
        raise ValueError(f"{source} must give one number a branch {BRANCHES}; got {weights!r}") from None
    if len(values) != len(BRANCHES):
        raise ValueError(f"{source} must give {len(BRANCHES)} weights {BRANCHES}; got {len(values)}")
    if not all(math.isfinite(w) for w in values):
        raise ValueError(f"{source} must give finite weights; got {values}. Check the guidance scales")
    size = max(abs(w) for w in values)
    if size >= _TOO_MUCH:
        raise ValueError(
            f"{source} must give weights below {_TOO_MUCH:g}, beyond which they do not sum to 1 in float32; "
            f"got {values}. Take smaller guidance scales"
        )
    if abs(math.fsum(values) - 1.0) > 1e-6 * max(1.0, size):
        raise ValueError(f"{source} must give weights that sum to 1; got {values} = {math.fsum(values):g}")
    full, image_only, text_only, unconditional = (0.0 if abs(w) < _NOTHING else w for w in values)
    return full, image_only, text_only, unconditional


@dataclass(frozen=True)
class ConstantGuidance:
    """The same weights at every noise level; `name` is how it prints."""

    name: str
    weights: Weights

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", check_weights(self.weights, self.name))

    def __call__(self, sigma: float) -> Weights:
        return self.weights

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class IntervalGuidance:
    """`inside` where lo < sigma <= hi, no guidance elsewhere; see `interval`."""

    inside: Guidance
    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.lo < self.hi:  # also refuses NaN
            raise ValueError(f"a guidance interval needs 0 <= lo < hi in sigma; got {self.lo} and {self.hi}")

    def __call__(self, sigma: float) -> Weights:
        return self.inside(sigma) if self.lo < sigma <= self.hi else (1.0, 0.0, 0.0, 0.0)

    def __str__(self) -> str:
        return f"interval({self.inside}, {self.lo:g}, {self.hi:g})"


@dataclass(frozen=True)
class SparseGuidance:
    """`inside` without `branches` at noise levels up to `below`, but for those in `at`; see `dropping`, `every`."""

    inside: Guidance
    branches: tuple[str, ...]
    below: float
    at: frozenset[float] = frozenset()

    def __post_init__(self) -> None:
        unknown = [b for b in self.branches if b not in BRANCHES[1:]]
        if unknown or not self.branches:
            raise ValueError(
                f"branches to leave out are some of {', '.join(BRANCHES[1:])}; got {self.branches}"
            )
        if not self.below >= 0.0:  # also refuses NaN
            raise ValueError(f"branches are left out below a sigma of at least 0; got {self.below}")

    def __call__(self, sigma: float) -> Weights:
        weights = self.inside(sigma)
        if sigma > self.below or sigma in self.at:
            return weights
        return _fold(check_weights(weights, f"guidance at sigma {sigma:g}"), self.branches)

    def __str__(self) -> str:
        rows = f", {len(self.at)} rows kept" if self.at else ""
        return f"{self.inside} without {', '.join(self.branches)} up to {self.below:g}{rows}"


def instructdiffusion(s_text: float, s_image: float) -> ConstantGuidance:
    """The authors' guidance: 0.5 (I + T) + s_text (F - I) + s_image (F - T).

    F, I, T are the branches full, image_only, text_only. No guidance is s_text = s_image = 0.5, and at 0.5
    a branch drops out: text_only at s_image = 0.5, image_only at s_text = 0.5.
    """
    t, i = _scale("s_text", s_text), _scale("s_image", s_image)
    return ConstantGuidance(f"instructdiffusion({t:g}, {i:g})", (t + i, 0.5 - t, 0.5 - i, 0.0))


def instructpix2pix(s_text: float, s_image: float) -> ConstantGuidance:
    """U + s_image (I - U) + s_text (F - I), with U unconditional (Brooks et al., 2211.09800, eq. 3)."""
    t, i = _scale("s_text", s_text), _scale("s_image", s_image)
    return ConstantGuidance(f"instructpix2pix({t:g}, {i:g})", (t, i - t, 0.0, 1.0 - i))


def cfg(scale: float) -> ConstantGuidance:
    """Classifier-free guidance U + scale (F - U); scale 1 is no guidance (Ho & Salimans, 2207.12598)."""
    s = _scale("scale", scale)
    return ConstantGuidance(f"cfg({s:g})", (s, 0.0, 0.0, 1.0 - s))


def none() -> ConstantGuidance:
    """The full branch alone: one UNet evaluation a row."""
    return ConstantGuidance("none", (1.0, 0.0, 0.0, 0.0))


def interval(guidance: Guidance, lo: float, hi: float) -> IntervalGuidance:
    """`guidance` where lo < sigma <= hi, the full branch alone elsewhere (2404.07724)."""
    return IntervalGuidance(guidance, float(lo), float(hi))


def dropping(guidance: Guidance, branches: str | Sequence[str], below: float) -> SparseGuidance:
    """`guidance`, but the named branches are not evaluated where sigma <= below.

    Late in a run the branches agree (Adaptive Guidance, 2312.12487): a branch that is left out is taken to
    predict what its nearest neighbour does, so that its weight goes there: text_only and image_only to full,
    unconditional to image_only where that is evaluated, else to full. For `instructdiffusion` this is the same
    as the scale 0.5 of that branch, for `instructpix2pix` and unconditional as s_image = 1.
    """
    return SparseGuidance(guidance, _names(branches), float(below))


def every(
    guidance: Guidance,
    sigmas: Sequence[float],
    k: int,
    branches: str | Sequence[str] = BRANCHES[1:],
) -> SparseGuidance:
    """`guidance` at every k-th of the run's noise levels; the named branches are left out at the others.

    sigmas: those the plan is made of. Their weight goes where `dropping` says, so that guidance over the run is
    weaker by about k: raise the scales where that shows (Compress Guidance, 2408.11194, multiplies them).
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"guidance every k-th row needs a whole k of at least 1; got {k!r}")
    return SparseGuidance(guidance, _names(branches), math.inf, frozenset(float(s) for s in sigmas[::k]))


def _names(branches: str | Sequence[str]) -> tuple[str, ...]:
    return (branches,) if isinstance(branches, str) else tuple(branches)


def _fold(weights: Weights, branches: Sequence[str]) -> Weights:
    """The weights with those of `branches` given to their nearest neighbours that stay."""
    full, image_only, text_only, unconditional = weights
    if "unconditional" in branches:
        if image_only != 0.0 and "image_only" not in branches:
            image_only += unconditional
        else:
            full += unconditional
        unconditional = 0.0
    if "image_only" in branches:
        full, image_only = full + image_only, 0.0
    if "text_only" in branches:
        full, text_only = full + text_only, 0.0
    return check_weights((full, image_only, text_only, unconditional))


def _scale(name: str, value: float) -> float:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a number; got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number; got {value!r}") from None
    except OverflowError:
        raise ValueError(f"{name} must be finite; got a whole number beyond any float") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; got {number}")
    if abs(number) > LARGEST:
        raise ValueError(
            f"{name} must be at most {LARGEST:g} either way; got {number:g}: take a smaller scale"
        )
    return number
