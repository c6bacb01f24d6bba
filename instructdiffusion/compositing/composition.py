"""Composition: how an edit is laid on its source, as far as the call says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Composition:
    """What of a call and its model says how a task lays an edit on its source.

    preserve_source: what the task did not mean to change is the source's. tiled: the image was worked on at its own
    size, in tiles, by a model of ours. learned: by the compositor, where the task has one. sharp: images are resized
    as the published checkpoints' authors have it.
    """

    preserve_source: bool = True
    tiled: bool = False
    learned: bool = False
    sharp: bool = False
