"""The sampler's step outside the UNet as one operation, on several backends; `reference` is the readable truth."""

from __future__ import annotations

from .backends import BACKENDS, check_backend, step, why_not, why_not_here, why_reference
from .reference import Stepped

__all__ = ["BACKENDS", "Stepped", "check_backend", "step", "why_not", "why_not_here", "why_reference"]
