"""Alignment: points of a face, or named parts of a thing."""

from __future__ import annotations

import random
from collections.abc import Mapping

from ..template_files import read_templates
from ..wordings import drop_articles
from .keypoints import KeypointDetection


class Align(KeypointDetection):
    """Landmarks of a face, or named parts of a thing, found the same way as joints."""

    name = "align"
    order = 50
    summary = "find named landmarks of a face or parts of a thing"
    subject_label = "PART"
    bars: Mapping[str, float] = {"absent answered empty": 0.95}
    example = "the left eye"
    templates, paraphrases, wordings = read_templates(name)

    def reword_subjects(self, subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        """As things are: a part is not said to be someone's."""
        return drop_articles(subjects, rng)
