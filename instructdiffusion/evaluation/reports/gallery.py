"""Gallery: the worst, the best and some random answers of a benchmark, as cards with pictures for the page."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...datasets.records import Example
from ...datasets.synthetic.write import drawn_truth
from ...imaging.annotate import as_bytes, draw_points, enlarged, overlay
from ...results import Keypoints
from ...tasks import answers_with_image, get_task
from ...utils.files import write_files
from ..evaluator import Answered
from ..measures import Row

KINDS = ("worst", "best", "random")
EACH = 6
FORM = 2  # of kept cards: raised when their pictures are drawn otherwise
SIDE = 512  # pictures on the page are at most so large


@dataclass(frozen=True)
class Card:
    """An answer for the page. rank: percent of all answers that are worse. pictures: (title, data URI)."""

    part: str
    task: str
    kind: str
    name: str
    words: str
    score: str
    rank: float
    facts: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...]


def pick(rows: Sequence[Row], each: int = EACH, seed: int = 0) -> list[tuple[str, int]]:
    """(kind, number of the row): `each` of every kind, none twice; fewer where there are fewer rows.

    The best are taken from answers to things that are there (an empty answer to an absent thing is as good as can
    be, and shows nothing), as far as there are such.
    """
    rng = random.Random(seed)
    order = list(range(len(rows)))
    rng.shuffle(order)  # equal ones are picked by chance, not by their place
    order.sort(key=lambda i: rows[i]["quality"])
    present = [i for i in order if not rows[i].get("absent")]
    # Where there is little, the three kinds share it.
    each = min(each, max(1, len(rows) // 3))
    worst = order[:each]
    best = [i for i in reversed(present or order) if i not in worst][:each]
    rest = [i for i in order if i not in worst and i not in best]
    chance = rng.sample(rest, min(each, len(rest)))
    return [(kind, i) for kind, some in zip(KINDS, (worst, best, chance)) for i in some]


def rank(rows: Sequence[Row], number: int) -> float:
    """Percent of the rows that are of lower quality than row `number`, those of equal quality counted half."""
    values = np.asarray([row["quality"] for row in rows], np.float64)
    own = values[number]
    return float(100 * ((values < own).mean() + ((values == own).sum() - 1) / 2 / len(values)))


def make_cards(
    part: str,
    rows: Sequence[Row],
    again: Callable[[Sequence[int]], Sequence[Answered]],
    each: int = EACH,
    cache: Path | None = None,
) -> list[Card]:
    """The cards of a benchmark's rows; again(numbers): the answers to those rows, asked once more for their pictures.

    cache: a file that holds the cards between runs; where it has just these, nothing is asked.
    """
    if not rows:
        return []
    picked = pick(rows, each)
    choice = [[kind, number, rows[number]] for kind, number in picked]
    if cache is not None and (cards := _load(cache, choice)) is not None:
        return cards
    answers = again([number for _, number in picked])
    cards = [
        card(part, kind, answered, row=rows[number], place=rank(rows, number))
        for (kind, number), answered in zip(picked, answers, strict=True)
    ]
    if cache is not None:
        text = json.dumps({"form": FORM, "of": choice, "cards": [asdict(c) for c in cards]}, allow_nan=False)
        write_files({cache: text.encode()})
    return cards


def _load(path: Path, choice: list[Any]) -> list[Card] | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["form"] != FORM or data["of"] != json.loads(json.dumps(choice)):
            return None
        return [
            Card(**{**c, "facts": tuple(c["facts"]), "pictures": tuple((t, u) for t, u in c["pictures"])})
            for c in data["cards"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def card(part: str, kind: str, answered: Answered, row: Row, place: float) -> Card:
    """The card of an answer: source, what was drawn, the answer as read, the truth.

    All are of one size, enlarged alike where they are small, so that one can be laid over the other.
    """
    example, answer = answered.example, answered.answer
    task = example.instruction.task
    pictures = [("source", enlarged(as_bytes(example.source)))]
    if not answers_with_image(task):
        pictures.append(("drawn by the model", enlarged(as_bytes(answer.picture))))
    pictures.append(("answer", _drawn(example, answer.result)))
    if "no-target" not in example.record.tags:
        truth = example.record.target
        pictures.append(
            ("truth", _drawn(example, truth) if isinstance(truth, Keypoints) else drawn_truth(example))
        )
    return Card(
        part=part,
        task=task,
        kind=kind,
        name=answered.case.key or f"seed {answered.case.seed}",
        words=example.instruction.text,
        score=score_text(task, row),
        rank=round(place, 1),
        facts=tuple(_facts(task, row, example.record.meta)),
        pictures=tuple((title, data_uri(picture)) for title, picture in pictures),
    )


def _drawn(example: Example, result: Any) -> np.ndarray:
    """A result on the source; points without their names, which the question tells by their colours."""
    colors = list(example.instruction.colors) or None
    if isinstance(result, Keypoints):
        large = enlarged(as_bytes(example.source))
        return draw_points(large, result.resize(*large.shape[:2]), colors, names=False)
    return overlay(example.source, result, colors)


def score_text(task: str, row: Row) -> str:
    """The quality of an answer in the words of its task."""
    quality = row["quality"]
    if row.get("absent") and not answers_with_image(task):
        return "rightly empty" if row.get("empty") else "false alarm"
    metric = get_task(task).metric
    if metric == "label":
        return "right" if row["right"] else "wrong"
    if metric == "points":
        return f"OKS {quality:.2f}"
    if metric == "edit":
        if "clip" in row:
            return f"CLIP-Sim {row['clip']:.1f}"
        return f"{quality:.1f} dB" if quality >= 0 else f"{-quality:.1f} dB to the source"
    if metric == "restoration":
        return f"{row['psnr']:.1f} dB"
    return f"IoU {quality:.2f}"


def _facts(task: str, row: Row, meta: Any) -> list[str]:
    facts, metric = [], get_task(task).metric
    if row.get("empty") and not row.get("absent"):
        facts.append("unchanged" if metric == "edit" else "empty answer")
    if metric == "restoration":
        facts.append(f"source {row['nothing']:.1f} dB")
        if row.get("bound") is not None:
            facts.append(f"VAE bound {row['bound']:.1f} dB")
        if row.get("ssim") is not None:
            facts.append(f"SSIM {row['ssim']:.3f}")
    if metric == "label":
        facts.append(f"answered {row['answer'] or 'none'}, true {row['truth'] or 'none'}")
    if metric == "edit" and meta.get("target_caption"):
        facts.append(f"to become: {meta['target_caption']}")
    if row.get("alarms"):
        facts.append(f"{row['alarms']} marked though hidden")
    return facts


def data_uri(picture: np.ndarray, side: int = SIDE) -> str:
    """A picture uint8 [h, w, 3] as a data URI: PNG where it is small, else WebP, at most `side` pixels long."""
    image = Image.fromarray(picture)
    longest = max(image.size)
    if longest > side:
        size = [max(1, round(s * side / longest)) for s in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small = max(image.size) <= 128
    if small:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "WEBP", quality=86, method=4)
    kind = "png" if small else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
