"""Fingerprint: what says that two networks (or tables of numbers) are the same, whatever they are called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def fingerprint(numbers: Mapping[str, Any], *facts: Any) -> str:
    """SHA-256 (first 16 hex digits) of named arrays or tensors, and of plain data beside them.

    Names, shapes and kinds of numbers count, the order of the names does not. TypeError for data that is no JSON.
    """
    digest = hashlib.sha256()
    for name, values in sorted(numbers.items()):
        digest.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        digest.update(raw_bytes(values))
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def raw_bytes(values: Any) -> bytes:
    """The numbers of an array or tensor, row after row, as they lie in memory."""
    if isinstance(values, np.ndarray):
        return bytes(values.tobytes())
    import torch

    # As bytes: numpy has no name for some of torch's kinds (bfloat16).
    content: bytes = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return content
