"""Editing in words: CLIP similarity to the target caption and the aesthetic score, by kind of edit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.readers import Reader
from ...datasets.records import Example
from ..evaluator import Case
from ..measures import KEPT_DB, Figure, Row
from ..metrics import capped_psnr, mean
from ..metrics.encoders import Aesthetic, PictureTextEncoder, clip_similarity
from ..metrics.extractors import Giqa
from .benchmark import ReaderBenchmark, value

KINDS = {"replacement": "replace", "removal": "remove", "addition": "add"}
TABLE_KINDS = ("replace", "remove", "add")  # the paper's columns


class Editing(ReaderBenchmark):
    """A unit is an instruction. clip: what measures likeness to captions (None: that is left out).

    aesthetic: LAION's predictor; it needs a clip of its own size (ViT-L/14). giqa: how natural pictures look
    (`metrics.extractors.load_giqa`).
    """

    task = "edit"

    def __init__(
        self,
        name: str,
        reader: Reader,
        clip: PictureTextEncoder | None = None,
        aesthetic: Aesthetic | None = None,
        giqa: Giqa | None = None,
    ) -> None:
        super().__init__(name, reader)
        if aesthetic is not None and clip is None:
            raise ValueError("the aesthetic predictor reads CLIP's features: give a clip too")
        self.clip, self.aesthetic, self.giqa = clip, aesthetic, giqa

    def options(self) -> dict[str, Any]:
        """Which networks measure, by name and by hash: another file under the same name measures otherwise."""
        return {
            "CLIP": None if self.clip is None else self.clip.name,
            "CLIP weights": None if self.clip is None else self.clip.fingerprint,
            "aesthetic weights": None if self.aesthetic is None else self.aesthetic.fingerprint,
            "KNN-GIQA": None if self.giqa is None else self.giqa.name,
            "KNN-GIQA features": None if self.giqa is None else self.giqa.fingerprint,
        }

    def cases(self, unit: int) -> list[Case]:
        """The instruction."""
        return [self.case(unit, "", partial(self.reader.record, unit))]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """CLIP-Sim and KNN-GIQA of the answer and the untouched source, the aesthetic score, how much was changed."""
        meta, result = example.record.meta, answer.result
        if not isinstance(result, np.ndarray):
            raise TypeError(f"expected a picture as the answer, got {type(result).__name__}")
        alike = capped_psnr(result, example.source)
        kind = str(meta.get("kind", "")).lower()
        row: Row = {"kind": KINDS.get(kind, kind), "alike": alike, "absent": False, "empty": alike >= KEPT_DB}
        row["quality"] = -alike
        if "no-target" not in example.record.tags:
            row["psnr"] = row["quality"] = capped_psnr(result, example.target)
        if self.clip is not None:
            caption = str(meta["target_caption"])
            got, nothing = clip_similarity(self.clip, [result, example.source], [caption] * 2).tolist()
            row.update(clip=got, clip_nothing=nothing, quality=got)
            if self.aesthetic is not None:
                row["aesthetic"] = float(self.aesthetic.scores(self.clip.pictures([result]))[0])
        if self.giqa is not None:
            row["giqa"], row["giqa_nothing"] = self.giqa.scores([result, example.source]).tolist()
        return row

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """Means over all edits and over each kind."""
        made = []
        for name, metric in (
            ("clip", "CLIP-Sim"),
            ("clip_nothing", "CLIP-Sim of doing nothing"),
            ("aesthetic", "aesthetic"),
            ("giqa", "KNN-GIQA"),
            ("giqa_nothing", "KNN-GIQA of doing nothing"),
            ("psnr", "PSNR to a true picture"),
            ("alike", "PSNR to the source"),
        ):
            unit = "dB" if metric.startswith("PSNR") else "score"
            for kind in (
                ("", *dict.fromkeys(r["kind"] for r in rows)) if name in ("clip", "aesthetic") else ("",)
            ):
                numbers = [r[name] for r in rows if name in r and kind in ("", r["kind"])]
                title = f"{metric}, {kind}" if kind else metric
                made.append(Figure(title, mean(numbers), len(numbers), unit=unit))
        changed = mean([float(not row["empty"]) for row in rows])
        return [*made, Figure("pictures changed", changed, len(rows))]

    def cell(self, figures: Sequence[Figure]) -> str:
        """CLIP-Sim / aesthetic of all kinds together."""
        return self._pair(figures, "")

    def cells(self, figures: Sequence[Figure]) -> dict[str, str]:
        """kind -> CLIP-Sim / aesthetic, of the paper's kinds."""
        return {kind: self._pair(figures, f", {kind}") for kind in TABLE_KINDS}

    def _pair(self, figures: Sequence[Figure], suffix: str) -> str:
        parts = [value(figures, f"{name}{suffix}") for name in ("CLIP-Sim", "aesthetic")]
        if np.isnan(parts[0]):
            return "-"
        return f"{parts[0]:.2f}/" + ("-" if np.isnan(parts[1]) else f"{parts[1]:.2f}")

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What measured."""
        clip, giqa = self.clip, self.giqa
        return {
            "CLIP-Sim": "not measured: no CLIP was given" if clip is None else f"100 cosine by {clip.name}",
            "aesthetic": "LAION's" if self.aesthetic else "not measured",
            "KNN-GIQA": "not measured" if giqa is None else giqa.name,
        }
