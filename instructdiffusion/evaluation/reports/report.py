"""Report: figures as a table to read, Markdown for a README, and JSON with everything they were made with."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from ... import __version__
from ...utils.files import json_bytes
from ...utils.network_digest import raw_bytes
from ...versions import answers_version
from ..breadth import EXTENTS, RATIOS, of_breadth
from ..measures import Figure, Row, figures
from .breadth_tables import BARS, SHAPES, SIZES, Line, shape_lines, size_lines, table_lines

COLUMNS = ("task", "metric", "value", "target", "reached", "n", "steps")
LEFT = 2  # columns of words, set to the left; the others hold numbers
FEWEST = 5  # samples below which a group is not worth a line
PACKAGES = (
    *("torch", "diffusers", "transformers", "accelerate", "kornia", "numpy", "scipy", "Pillow"),
    *("faster-coco-eval", "pycocotools", "lpips"),
)
PARTS = ("unet", "vae", "text_encoder")  # of a model


@dataclass(frozen=True)
class TaskReport:
    """A task's rows and how they were made; the first subset in the rows is the one with the targets."""

    task: str
    settings: dict[str, Any]
    rows: Sequence[Row]
    seconds: float

    @property
    def steps(self) -> str:
        """Steps, and UNet evaluations an answer in brackets where there are more of them."""
        if self.settings.get("oracle"):
            return "oracle"
        steps, evaluations = self.settings.get("steps"), self.settings.get("evaluations")
        if steps is None:
            return "-"
        return str(steps) if evaluations in (None, steps) else f"{steps} ({evaluations})"

    @cached_property
    def subsets(self) -> dict[str, list[Figure]]:
        """The figures of every subset."""
        names = dict.fromkeys(row["subset"] for row in self.rows)
        return {name: figures(self.task, [r for r in self.rows if r["subset"] == name]) for name in names}

    @cached_property
    def groups(self) -> dict[str, list[Figure]]:
        """The figures of every group (tag, kind, figure) of the first subset that has some samples."""
        first = next(iter(self.subsets))
        rows = [r for r in self.rows if r["subset"] == first]
        names = sorted({group for row in rows for group in row["groups"]})
        members = {name: [r for r in rows if name in r["groups"]] for name in names}
        return {name: figures(self.task, m) for name, m in members.items() if len(m) >= FEWEST}


@dataclass(frozen=True)
class Report:
    """What was measured: the settings shared by all tasks, the versions, and the tasks."""

    settings: dict[str, Any]
    versions: dict[str, str]
    tasks: tuple[TaskReport, ...]

    def lines(self) -> list[tuple[str, ...]]:
        """Rows of COLUMNS: every figure of the first subset, and the first figure of the others."""
        lines = []
        for report in self.tasks:
            for number, (subset, made) in enumerate(report.subsets.items()):
                if of_breadth(subset):
                    continue  # in tables of their own
                for figure in made if number == 0 else _headlines(made):
                    where = "" if number == 0 else f", {subset}"
                    # Targets are set for the first subset; the others are there to compare.
                    lines.append(_line(report, figure, where, judged=number == 0))
        return lines

    def group_lines(self) -> list[tuple[str, ...]]:
        """Rows (task, group, metric, value, n): what was asked in which way."""
        return [
            (report.task, group, figure.metric, _value(figure), str(figure.n))
            for report in self.tasks
            for group, made in report.groups.items()
            for figure in (made[-1:] if group == "absent" else _headlines(made))
        ]

    @cached_property
    def shapes(self) -> list[Line]:
        """Figures of scenes of other shapes, beside the square's."""
        names = self.settings.get("ratios", RATIOS)
        return [one for report in self.tasks for one in shape_lines(report.task, report.rows, names)]

    @cached_property
    def sizes(self) -> list[Line]:
        """How many things of every size are found."""
        extents = self.settings.get("extents", EXTENTS)
        return [one for report in self.tasks for one in size_lines(report.task, report.rows, extents)]

    @cached_property
    def breadth_tables(self) -> list[tuple[str, list[tuple[str, ...]], str]]:
        """(heading, lines with a head, how many of the bars are reached) of shapes and sizes, where there are some."""
        tables = []
        for heading, lines in ((SHAPES, self.shapes), (SIZES, self.sizes)):
            names = list(dict.fromkeys(name for one in lines for name in one.columns))
            judged = [reached for one in lines for reached in one.reached.values()]
            if lines:
                bars = f"{sum(judged)} of {len(judged)} bars reached: {BARS[heading]}"
                tables.append((heading, table_lines(lines, names), bars))
        return tables

    def table(self) -> str:
        """The lines in aligned columns, for a terminal, with how much of the targets is reached below."""
        text = _aligned([COLUMNS, *self.lines()])
        judged = [
            f.reached for r in self.tasks for f in next(iter(r.subsets.values())) if f.reached is not None
        ]
        note = "steps: in brackets the UNet evaluations of an answer, where guidance takes several a step"
        text = f"{text}\n\n{sum(judged)} of {len(judged)} targets reached\n{note}"
        for heading, table, bars in self.breadth_tables:
            text += f"\n\n{heading}\n\n{_aligned(table)}\n\n{bars}"
        return text

    def markdown(self) -> str:
        """Both tables for a README."""
        groups = _markdown(("task", "among", "metric", "value", "n"), self.group_lines(), 3)
        text = f"{_markdown(COLUMNS, self.lines(), LEFT)}\n\n{groups}\n"
        for heading, table, bars in self.breadth_tables:
            text += f"\n{heading}:\n\n{_markdown(table[0], table[1:], LEFT)}\n\n{bars}\n"
        return text

    def sections(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """(heading, lines with a head) of what the page says above the pictures."""
        facts = {**self.settings, **self.versions}
        first = [r for r in self.tasks if r.rows]
        heads = [_line(r, next(iter(r.subsets.values()))[0], "", judged=True) for r in first]
        return [
            ("Headlines", [COLUMNS, *heads]),
            ("Figures", [COLUMNS, *self.lines()]),
            *((heading, table) for heading, table, _ in self.breadth_tables),
            ("Figures by group", [("task", "among", "metric", "value", "n"), *self.group_lines()]),
            ("Settings and versions", [("", ""), *((k, str(v)) for k, v in facts.items() if v is not None)]),
        ]

    def data(self) -> dict[str, Any]:
        """Plain data: settings, versions, and the figures of every task, subset and group."""
        breadth = {
            name: {task: {one.metric: one.data() for one in lines if one.task == task} for task in names}
            for name, lines in (("ratios", self.shapes), ("extents", self.sizes))
            if (names := dict.fromkeys(one.task for one in lines))
        }
        return {
            "settings": self.settings,
            "versions": self.versions,
            **({"breadth": breadth} if breadth else {}),
            "tasks": {
                report.task: {
                    "settings": {k: v for k, v in report.settings.items() if k not in self.settings},
                    "seconds": report.seconds,
                    "answers": len(report.rows),
                    "subsets": {name: _plain(made) for name, made in report.subsets.items()},
                    "groups": {name: _plain(made) for name, made in report.groups.items()},
                }
                for report in self.tasks
            },
        }

    def files(self, folder: Path) -> dict[Path, bytes]:
        """results.json, table.txt and table.md as path -> content."""
        return {
            folder / "results.json": json_bytes(self.data()),
            folder / "table.txt": (self.table() + "\n").encode(),
            folder / "table.md": self.markdown().encode(),
        }


def _headlines(made: Sequence[Figure]) -> list[Figure]:
    """The figures to compare subsets by: the first, and those with a target other than of absent things."""
    return [f for i, f in enumerate(made) if i == 0 or (f.target is not None and "absent" not in f.metric)]


def _value(figure: Figure) -> str:
    return f"{figure.value:.2f} dB" if figure.unit == "dB" else f"{figure.value:.3f}"


def _line(report: TaskReport, figure: Figure, where: str, judged: bool) -> tuple[str, ...]:
    target = reached = "-"
    if judged and figure.target is not None:
        sign = "<=" if figure.falling else ">="
        number = f"{figure.target:g} dB" if figure.unit == "dB" else f"{figure.target:.2f}"
        target, reached = f"{sign} {number}", "yes" if figure.reached else "no"
    return report.task, figure.metric + where, _value(figure), target, reached, str(figure.n), report.steps


def _plain(made: Sequence[Figure]) -> list[dict[str, Any]]:
    names = ("metric", "value", "n", "target", "unit", "reached")
    return [{name: getattr(figure, name) for name in names} for figure in made]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]

    def cells(line: Sequence[str]) -> str:
        ready = [t.ljust(w) if c < LEFT else t.rjust(w) for c, (t, w) in enumerate(zip(line, widths))]
        return "  ".join(ready).rstrip()

    rule = "  ".join("-" * w for w in widths)
    return "\n".join([cells(lines[0]), rule, *map(cells, lines[1:])])


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
    rule = ["---" if c < left else "---:" for c in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *lines))


def versions() -> dict[str, str]:
    """Versions of this package, Python, and of what computes; "missing" for a package that is not there."""
    versions_by_name = {"instructdiffusion": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions_by_name[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions_by_name[name] = "missing"
    return versions_by_name


def made_by(components: Any) -> dict[str, Any]:
    """What gives the answers: versions, weights, how they are sampled from, the kind of device and the precision.

    Plain data; what is of a model is None where there are no components. Another kind of device rounds otherwise,
    so its answers are others; which GPU of a kind it is (`gpu_name`) is told, and changes nothing.
    """
    made: dict[str, Any] = {"weights": weights_hash(components), **answers_version()}
    if components is None:
        return {**made, **dict.fromkeys(("prediction", "noise levels", "resize mode", "device", "dtype"))}
    parts = [next(getattr(components, name).parameters()) for name in PARTS]
    return {
        **made,
        "prediction": components.prediction_type,
        "noise levels": hashlib.sha256(components.alphas_cumprod.tobytes()).hexdigest()[:16],
        "resize mode": components.resize_mode,
        "device": parts[0].device.type,
        "dtype": ", ".join(dict.fromkeys(str(p.dtype).removeprefix("torch.") for p in parts)),
    }


def gpu_name(components: Any) -> str | None:
    """The name of the GPU that a model lies on; None on a CPU, and where there are no components."""
    if components is None:
        return None
    import torch

    device = next(components.unet.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def weights_hash(components: Any) -> str | None:
    """SHA-256 (first 16 hex digits) of every weight and of the vocabulary; None where there are no components."""
    if components is None:
        return None
    digest = hashlib.sha256()
    for part in PARTS:
        for name, tensor in sorted(getattr(components, part).state_dict().items()):
            digest.update(f"{part}.{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(raw_bytes(tensor))
    digest.update(json.dumps(sorted(components.tokenizer.get_vocab().items())).encode())
    return digest.hexdigest()[:16]
