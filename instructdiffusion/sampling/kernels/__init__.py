"""The sampler's step outside the UNet, as one operation; `reference` is the readable truth."""

from __future__ import annotations

from .reference import Stepped, step

__all__ = ["Stepped", "step"]
