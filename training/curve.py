"""Draw the curves of training runs: python training/curve.py runs/tiny-7-even/log.jsonl [more] -o docs/curve.png

One panel a figure of the validation (its name and last value above), over hours of training; several logs one after
the other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN, COLUMNS = 240, 150, 34, 5


def validations(path: Path) -> list[dict[str, float]]:
    """The validation entries of a log, in the order of their steps; a resumed step counts once."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    by_step = {e["step"]: e for e in entries if e["kind"] == "validation"}
    return [by_step[step] for step in sorted(by_step)]


def joined(logs: list[Path]) -> list[dict[str, float]]:
    """The validation entries of several logs, the hours of each counted on from the one before."""
    entries: list[dict[str, float]] = []
    for log in logs:
        before = entries[-1]["hours"] if entries else 0.0
        entries += [e | {"hours": before + e["hours"]} for e in validations(log)]
    return entries


def draw_panel(name: str, points: list[tuple[float, float]]) -> Image.Image:
    """One figure against hours."""
    panel = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(11)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if high <= 1.0:
        low, high = 0.0, 1.0
    last = max(x for x, _ in points) or 1.0
    right, bottom, top = WIDTH - 10, HEIGHT - 20, 22
    draw.text((MARGIN, 5), f"{name}: {points[-1][1]:.3g}", fill="black", font=font)
    draw.line([(MARGIN, top), (MARGIN, bottom), (right, bottom)], fill="#888888")
    for value, y in ((low, bottom), (high, top)):
        draw.text((4, y - 7), f"{value:.3g}", fill="#444444", font=font)
    draw.text((right - 34, bottom + 4), f"{last:.2f} h", fill="#444444", font=font)
    span = (high - low) or 1.0
    line = [
        (MARGIN + x / last * (right - MARGIN), bottom - (y - low) / span * (bottom - top)) for x, y in points
    ]
    draw.line(line, fill="#1f5fbf", width=2)
    for column, row in line:
        draw.ellipse((column - 2, row - 2, column + 2, row + 2), fill="#1f5fbf")
    return panel


def main() -> None:
    """Read a log, write a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+", metavar="log")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    entries = joined(arguments.logs)
    names = [n for n in entries[-1] if n not in ("kind", "step", "hours")] if entries else []
    if not names:
        raise SystemExit(f"{arguments.logs[0]} holds no validation yet: nothing to draw")
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH * min(COLUMNS, len(names)), HEIGHT * rows), "white")
    for i, name in enumerate(names):
        points = [(e["hours"], e[name]) for e in entries if name in e]
        sheet.paste(draw_panel(name, points), (i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output)


if __name__ == "__main__":
    main()
