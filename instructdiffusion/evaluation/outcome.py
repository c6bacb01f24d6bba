"""Outcome: what the benchmarks of datasets came to, as JSON, as rows of the paper's tables, and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.files import json_bytes
from .measures import Figure, plain
from .paper import TABLES, markdown

SHOWN, LISTED = 20, 100  # problems listed in a terminal, and a part on the page; the JSON has them all


@dataclass(frozen=True)
class PartOutcome:
    """A split of a benchmark. cells: column of the paper's table -> what stands there.

    records: how many were to be asked about; answers: how many questions were answered; problems: what was broken
    or failed, by file and record; damaged: lines of the journal that were not whole, and asked again.
    """

    name: str
    split: str
    task: str
    settings: Mapping[str, Any]
    figures: Sequence[Figure]
    cells: Mapping[str, str]
    notes: Mapping[str, Any]
    records: int
    answers: int
    problems: Sequence[str]
    seconds: float
    damaged: int = 0

    @property
    def title(self) -> str:
        """Name and split."""
        return f"{self.name} {self.split}"

    def data(self) -> dict[str, Any]:
        """Plain data."""
        names = ("metric", "value", "n", "unit")
        return {
            "benchmark": self.name,
            "split": self.split,
            "task": self.task,
            "settings": dict(self.settings),
            "figures": [{name: plain(getattr(f, name)) for name in names} for f in self.figures],
            "cells": dict(self.cells),
            "notes": {k: plain(v) for k, v in self.notes.items()},
            "records": self.records,
            "answers": self.answers,
            "problems": list(self.problems),
            "damaged journal lines": self.damaged,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Outcome:
    """What was measured, and what was not: gaps, column (or benchmark) -> why."""

    model: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    parts: Sequence[PartOutcome]
    gaps: Mapping[str, str]
    whole_tables: bool = False

    @property
    def problems(self) -> int:
        """How much is broken or failed, over all parts."""
        return sum(len(part.problems) for part in self.parts)

    @property
    def good(self) -> bool:
        """Whether everything asked for was answered."""
        return not self.problems and bool(self.parts) and all(part.answers for part in self.parts)

    @property
    def cells(self) -> dict[str, str]:
        """Column -> cell of all parts."""
        return {column: cell for part in self.parts for column, cell in part.cells.items()}

    def tables(self) -> dict[int, list[list[str]]]:
        """Table number -> its lines with the paper's rows; the tables that something was measured for, or all."""
        tables = {}
        for number, table in TABLES.items():
            measured = [c for c in table.columns if c in self.cells]
            if self.whole_tables:
                tables[number] = table.lines(self.model, self.cells)
            elif measured and number != 6:  # table 6 repeats columns of 2 and 4
                tables[number] = table.lines(self.model, self.cells, measured)
        return tables

    def lines(self) -> list[list[str]]:
        """Every figure of every part, under a head."""
        head = ["benchmark", "metric", "value", "n"]
        return [
            head,
            *([p.title, f.metric, figure_text(f), str(f.n)] for p in self.parts for f in known(p.figures)),
        ]

    def remarks(self) -> list[tuple[str, str]]:
        """(benchmark, how it was measured): which joints, whether absent classes were asked for, by which CLIP, ..."""
        remarks = [
            (part.title, f"{name}: {_said(value)}")
            for part in self.parts
            for name, value in part.notes.items()
            if name != "classes" and _said(value)
        ]
        return remarks

    def classes(self) -> dict[str, list[list[str]]]:
        """Benchmark -> lines with a head: the IoU of every class that shows, the lowest first."""
        return {
            part.title: [
                ["class", "IoU"],
                *([name, f"{iou:.4f}"] for name, iou in sorted(known_ious.items(), key=lambda item: item[1])),
            ]
            for part in self.parts
            if (known_ious := part.notes.get("classes"))
        }

    def markdown(self) -> str:
        """Tables, figures, how they came about, gaps and problems for a README."""
        parts = [f"### {heading(number)}\n\n{markdown(lines)}" for number, lines in self.tables().items()]
        if self.gaps:
            parts.append("Not measured:\n\n" + "\n".join(f"- {k}: {v}" for k, v in self.gaps.items()))
        parts.append(f"### Figures\n\n{markdown(self.lines(), 2)}")
        if self.remarks():
            listed = [f"- {title}: {text}" for title, text in self.remarks()]
            parts.append("How it was measured:\n\n" + "\n".join(listed))
        incomplete = [p for p in self.parts if p.problems]
        if incomplete:
            listed = [f"- {p.title}: {len(p.problems)}, the first: {p.problems[0]}" for p in incomplete]
            head = "Left out because something is broken or failed (all are in results.json):"
            parts.append("\n".join([head, "", *listed]))
        return "\n\n".join(parts) + "\n"

    def sections(self) -> list[tuple[str, list[list[str]]]]:
        """(heading, lines with a head) of what the page says above the pictures."""
        sections = [(heading(number), lines) for number, lines in self.tables().items()]
        sections.append(("Figures", self.lines()))
        if self.problems:
            bad = [[p.title, text] for p in self.parts for text in p.problems[:LISTED]]
            sections.append((f"Broken or failed: {self.problems}", [["in", "what"], *bad]))
        if self.gaps:
            sections.append(("Not measured", [["column", "why"], *([k, v] for k, v in self.gaps.items())]))
        if self.remarks():
            sections.append(("How it was measured", [["in", "what"], *map(list, self.remarks())]))
        sections += [(f"Classes of {title}", lines) for title, lines in self.classes().items()]
        facts = {**self.settings, **self.versions}
        sections.append(
            ("Settings and versions", [["", ""], *([k, str(v)] for k, v in facts.items() if v is not None)])
        )
        return sections

    def text(self) -> str:
        """For a terminal: the Markdown, and the problems by name."""
        lines = [self.markdown().rstrip()]
        for part in self.parts:
            if part.problems:
                lines.append(f"\n{part.title}: {len(part.problems)} left out")
                lines += [f"  {problem}" for problem in part.problems[:SHOWN]]
                if len(part.problems) > SHOWN:
                    lines.append(f"  and {len(part.problems) - SHOWN} more, in results.json")
            if part.damaged:
                lines.append(f"{part.title}: {part.damaged} damaged lines of the journal were asked again")
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """Plain data: every setting and version."""
        return {
            "model": self.model,
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "complete": self.good,
            "parts": [part.data() for part in self.parts],
            "not measured": dict(self.gaps),
            "paper": {
                str(number): {"columns": TABLES[number].columns, "rows": dict(TABLES[number].rows)}
                for number in self.tables()
            },
        }

    def files(self, folder: Path) -> dict[Path, bytes]:
        """results.json and table.md as path -> content."""
        return {
            folder / "results.json": json_bytes(self.data()),
            folder / "table.md": self.markdown().encode(),
        }


def _said(value: Any) -> str:
    """A note in words; "" where there is nothing to say."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {what}" for what, count in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None or value == 0 else str(value)


def heading(number: int) -> str:
    """The heading of a table of the paper."""
    return f"Table {number}: {TABLES[number].title} ({TABLES[number].metric})"


def known(figures: Sequence[Figure]) -> list[Figure]:
    """The figures that are numbers over something."""
    return [f for f in figures if f.n and f.value == f.value]


def figure_text(figure: Figure) -> str:
    """A value with its unit."""
    if figure.unit == "dB":
        return f"{figure.value:.2f} dB"
    return f"{figure.value:.2f}" if figure.unit == "score" else f"{figure.value:.4f}"
