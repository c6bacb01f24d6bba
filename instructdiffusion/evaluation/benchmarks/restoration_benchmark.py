"""Deblurring, denoising and watermark removal: PSNR beside the autoencoder's bound, and SSIM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.readers import Reader
from ...datasets.records import Example
from ..evaluator import Case
from ..measures import Figure, Row, measure
from ..metrics import mean, ssim
from ..metrics.image_metrics import Distance
from .benchmark import ReaderBenchmark, value


class Restoration(ReaderBenchmark):
    """A unit is a pair of pictures, with one question; they are worked on at their own size, in tiles.

    lpips: a distance to be measured too (`metrics.pictures.load_lpips`).
    """

    def __init__(self, name: str, reader: Reader, lpips: Distance | None = None) -> None:
        super().__init__(name, reader)
        self.task = reader.task
        self.lpips = lpips

    def options(self) -> dict[str, Any]:
        """By which network LPIPS is measured: a hash of it, None without."""
        return {"LPIPS": None if self.lpips is None else self.lpips.fingerprint}

    def cases(self, unit: int) -> list[Case]:
        """The damaged picture."""
        return [self.case(unit, "", partial(self.reader.record, unit))]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """PSNR of the answer, of doing nothing, and of the true picture through the autoencoder; SSIM."""
        made = measure(example, answer.result, bound)
        if min(example.target.shape[:2]) >= 11:
            made["ssim"] = ssim(answer.result, example.target)
        if self.lpips is not None:
            made["lpips"] = self.lpips(answer.result, example.target)
        return made

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """Means over the pictures."""

        def average(name: str) -> tuple[float, int]:
            numbers = [float(row[name]) for row in rows if row.get(name) is not None]
            return mean(numbers), len(numbers)

        return [
            Figure("PSNR", *average("psnr"), unit="dB"),
            Figure("PSNR of the VAE bound", *average("bound"), unit="dB"),
            Figure("PSNR of doing nothing", *average("nothing"), unit="dB"),
            Figure("SSIM", *average("ssim")),
            Figure("LPIPS", *average("lpips"), falling=True),
        ]

    def cell(self, figures: Sequence[Figure]) -> str:
        """PSNR with the bound in brackets, as in the paper."""
        got, bound = value(figures, "PSNR"), value(figures, "PSNR of the VAE bound")
        if np.isnan(got):
            return "-"
        return f"{got:.2f}" if np.isnan(bound) else f"{got:.2f} ({bound:.2f})"

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """How PSNR is taken."""
        return {"PSNR": "RGB, 8 bits, at the picture's own size, mean over pictures, each at most 60 dB"}
