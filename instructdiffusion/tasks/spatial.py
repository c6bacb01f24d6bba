"""Spatial phrases: "the rightmost star", "the dog left of the tree" taken apart, and the thing they mean among several.

A model that was trained on squares knows where things are in a square. On a long canvas it still finds every star and
the tree, and mistakes which of the stars is the rightmost; that much can be told from where they were found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEFT, RIGHT, UP, DOWN = (-1, 0), (1, 0), (0, -1), (0, 1)
_FIRST = {"leftmost": LEFT, "rightmost": RIGHT, "topmost": UP, "uppermost": UP, "bottommost": DOWN}
_LAST = {
    "at the top": UP, "at the bottom": DOWN, "on the left": LEFT, "on the right": RIGHT,
    "on the far left": LEFT, "on the far right": RIGHT,
}
_BETWEEN = {
    "left of": LEFT, "right of": RIGHT, "to the left of": LEFT, "to the right of": RIGHT,
    "above": UP, "below": DOWN, "under": DOWN, "beneath": DOWN,
}
_LEAD = re.compile(rf"^(?:the )?({'|'.join(_FIRST)}) (?P<noun>.+)$")
_TAIL = re.compile(rf"^(?P<noun>.+?) ({'|'.join(sorted(_LAST, key=len, reverse=True))})$")
_RELATION = re.compile(
    rf"^(?P<noun>.+?) ({'|'.join(sorted(_BETWEEN, key=len, reverse=True))}) (?P<anchor>(?:the|a|an) .+)$"
)

TOGETHER = 0.3  # IoU from which two masks show the same thing
ASIDE = 1.3  # how much farther aside than ahead something may stand and still be "left of" it
CLOSE = 0.06  # of the short side: things that far apart are about as far out as one another
STRAY = 0.1  # of the largest candidate: what is smaller is a stray mark
PART = 0.7  # of what was pointed out: where so much lies in a region, the rest of the region is another thing


@dataclass(frozen=True)
class SpatialPhrase:
    """A phrase that tells one thing from others of its kind by where it stands.

    noun: what kind of thing ("the red star"). direction: (x, y) of a step towards what is meant. anchor: what it is
    seen from ("the tree"), "" where it is the outermost of its kind.
    """

    noun: str
    direction: tuple[int, int]
    anchor: str = ""

    def choose(
        self, candidates: Sequence[np.ndarray], anchor: np.ndarray | None = None, likely: int | None = None
    ) -> int | None:
        """Tell which of several things is meant.

        Args:
            candidates: Masks of the things of this kind, bool [h, w] each.
            anchor: The mask of what they are seen from, bool [h, w]; None where the phrase has none.
            likely: The number of the one that is meant where it stands so as well as any; None for no such guess.

        Returns:
            The number of a candidate; None where none of them stands so.
        """
        places = [_center(mask) for mask in candidates]
        dx, dy = self.direction
        if anchor is None:
            if not places:
                return None
            ahead = [dx * x + dy * y for x, y in places]
            number = int(np.argmax(ahead))
            if likely is not None and ahead[number] - ahead[likely] < CLOSE * min(candidates[number].shape):
                number = likely
            # "at the top" is said of the picture, too: what is topmost and low down is not there
            inside = dy * (places[number][1] - candidates[number].shape[0] / 2)
            return None if inside < -CLOSE * min(candidates[number].shape) else number
        at = _center(anchor)
        best: tuple[float, int] | None = None
        for number, (x, y) in enumerate(places):
            if _overlap(candidates[number], anchor) > TOGETHER:
                continue
            forward = dx * (x - at[0]) + dy * (y - at[1])
            aside = abs(dy * (x - at[0])) + abs(dx * (y - at[1]))
            if 0 < forward and aside <= ASIDE * forward:
                slant = -1.0 if number == likely else aside / forward
                if best is None or slant < best[0]:
                    best = (slant, number)
        return None if best is None else best[1]


def parse_spatial(phrase: str) -> SpatialPhrase | None:
    """Take a referring phrase apart; None where no word of position tells what it means.

    Args:
        phrase: As a person says it: "the rightmost red star", "the dog left of the tree".
    """
    text = " ".join(phrase.lower().split())
    if match := _RELATION.match(text):
        return SpatialPhrase(match["noun"], _BETWEEN[match[2]], match["anchor"])
    if match := _LEAD.match(text):
        return SpatialPhrase(f"the {match['noun']}", _FIRST[match[1]])
    if match := _TAIL.match(text):
        return SpatialPhrase(match["noun"], _LAST[match[2]])
    return None


def candidates(regions: Sequence[np.ndarray], pointed_out: np.ndarray) -> list[np.ndarray]:
    """The things that a phrase may mean: what was found of their kind, and what was pointed out at once.

    Things that touch are found as one region; where a part of one was pointed out, that and the rest are two. Where
    several things were pointed out, each that was found of the kind, too, is one, and the others are none.

    Args:
        regions: Masks of everything of the kind, bool [h, w] each.
        pointed_out: What the whole phrase gave, bool [h, w]; empty where that is nothing.

    Returns:
        Masks; where one thing was pointed out the first is `pointed_out` itself.
    """
    largest = max((int(region.sum()) for region in regions), default=0)
    things = [region for region in regions if region.sum() >= STRAY * largest]
    if not pointed_out.any():
        return things
    pointed = _apart(pointed_out, things)
    apart = list(pointed)
    for thing in things:
        size = int(thing.sum())
        shared = [(int((thing & one).sum()), int(one.sum())) for one in pointed]
        over = [(both, area) for both, area in shared if both > 0.5 * min(area, size)]
        rest = thing & ~pointed_out
        if not over:
            apart.append(thing)
        elif any(both > PART * area for both, area in over) and rest.sum() > (1 - PART) * size:
            apart.append(rest)  # the other one of two that touch
    return apart


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask bool [h, w]."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    return mask if count < 2 else labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def _apart(pointed_out: np.ndarray, things: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The things that were pointed out: `pointed_out` itself where it is one; where it is several, a mask of each that
    was found as of the kind, too."""
    from scipy import ndimage

    labels, count = ndimage.label(pointed_out)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    parts = [labels == n + 1 for n in np.flatnonzero(areas >= STRAY * areas.max())]
    joined: dict[int, np.ndarray] = {}  # parts of one region are of one thing
    for number, part in enumerate(parts):
        owner = next((n for n, t in enumerate(things) if (part & t).sum() > 0.5 * part.sum()), -1 - number)
        joined[owner] = joined[owner] | part if owner in joined else part
    if len(joined) == 1:
        return [pointed_out]
    return [part for owner, part in joined.items() if owner >= 0 or not things]


def _center(mask: np.ndarray) -> tuple[float, float]:
    """(x, y) of a mask's centre of mass."""
    ys, xs = np.nonzero(mask)
    return float(xs.mean()), float(ys.mean())


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, int((a | b).sum())))
