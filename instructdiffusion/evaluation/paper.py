"""The paper's tables 2 to 6, as numbers to stand beside one's own.

Source: Geng et al., "InstructDiffusion: A Generalist Modeling Interface for Vision Tasks" (CVPR 2024), tables 2 to 6.
A number that is not known here is "-".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OURS = "InstructDiffusion (paper)"
# Rows of the tables that no evaluation of a model gives, and why.
NEVER_RUN = {
    "task names only (Table 6)": (
        "the paper's ablation is a model of its own, trained on the names of the tasks with a colour fixed for each "
        "joint and class: asking a model of instructions with names would measure something else"
    )
}


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and rows of method -> a cell a column."""

    number: int
    title: str
    metric: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for method, cells in self.rows.items():
            if len(cells) != len(self.columns):
                raise ValueError(
                    f"table {self.number}, {method}: {len(cells)} cells, {len(self.columns)} columns"
                )

    def cell(self, column: str, method: str = OURS) -> str:
        """A cell."""
        return self.rows[method][self.columns.index(column)]

    def lines(
        self, name: str, cells: Mapping[str, str], columns: Sequence[str] | None = None
    ) -> list[list[str]]:
        """Head and rows: the paper's, then `name` with own cells; only `columns` where given.

        Methods of which nothing is known in these columns are left out.
        """
        chosen = [c for c in self.columns if columns is None or c in columns]
        lines = [["", *chosen]]
        for method, values in self.rows.items():
            chosen_values = [v for c, v in zip(self.columns, values) if c in chosen]
            if any(v != "-" for v in chosen_values):
                lines.append([method, *chosen_values])
        lines.append([name, *(cells.get(c, "-") for c in chosen)])
        return lines


def markdown(lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """Lines, the first of them the head, as a Markdown table; the first `words` columns are set to the left."""
    rule = ["---" if place < words else "---:" for place in range(len(lines[0]))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cells(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KEYPOINTS = ("COCO", "HumanArt", "AP-10K")
_CLASSES = ("A-847", "PC-459", "A-150", "PC-59", "VOC", "COCO-Stuff")
_REFERRING = (
    *("gRefCOCO", "RefCOCO val", "RefCOCO A", "RefCOCO B", "RefCOCO+ val", "RefCOCO+ A", "RefCOCO+ B"),
    *("G-Ref val U", "G-Ref test U", "G-Ref val G", "RefClef val", "RefClef A", "RefClef B", "RefClef C"),
)
_KEYPOINTS_OURS, _CLASSES_OURS = "71.2 51.4 15.9", "19.68 28.29 33.62 59.00 72.55 53.17"
TABLES: dict[int, Table] = {
    t.number: t
    for t in (
        Table(
            2, "Keypoints with true boxes", "OKS AP", _KEYPOINTS,
            {
                "PCT (specialist)": _cells("80.2 63.7 14.6"),
                "ViTPose (specialist)": _cells("82.0 64.1 14.7"),
                "Unified-IO": _cells("25.0 15.7 7.6"),
                "Painter": _cells("70.2 12.4 15.3"),
                OURS: _cells(_KEYPOINTS_OURS),
            },
        ),
        Table(
            3, "Referring segmentation", "cIoU", _REFERRING,
            {
                "LAVT (specialist)": _cells("- 72.73 75.82 68.79 - - - - - - - - - -"),
                "Unified-IO": _cells(
                    "17.31 46.42 46.06 48.05 40.50 42.17 40.15 48.74 49.13 44.30 40.13 43.33 48.07 32.47"
                ),
                OURS: _cells(
                    "67.36 61.74 65.20 60.17 46.57 52.32 39.04 51.17 52.02 52.18 49.58 54.73 54.82 40.34"
                ),
            },
        ),
        Table(
            4, "Semantic segmentation", "mcIoU", _CLASSES,
            {
                "SAN (specialist)": _cells("18.84 33.32 38.79 63.31 46.14 50.15"),
                "Unified-IO": _cells("8.96 13.69 15.65 27.21 31.46 22.52"),
                "Painter": _cells("5.00 8.68 54.50 33.67 4.67 11.91"),
                OURS: _cells(_CLASSES_OURS),
            },
        ),
        Table(
            5, "Editing and restoration", "CLIP-Sim/aesthetic; PSNR (of the autoencoder's bound)",
            ("replace", "remove", "add", "GoPro", "SIDD", "CLWD"),
            {OURS: ("30.19/4.90", "28.88/4.65", "30.39/4.87", "23.58 (29.54)", "34.26 (36.56)", "23.60 (24.80)")},
        ),
        Table(
            6, "Detailed instructions against task names", "OKS AP; mcIoU", (*_KEYPOINTS, *_CLASSES),
            {
                "task names only": _cells("22.7 7.0 5.2 1.39 3.96 13.65 18.49 20.22 41.28"),
                OURS: _cells(f"{_KEYPOINTS_OURS} {_CLASSES_OURS}"),
            },
        ),
    )
}  # fmt: skip
