"""The words a scene can be described with, and which combinations training never sees."""

from __future__ import annotations

Rgb = tuple[int, int, int]

# Attribute colours: far enough from one another to be told apart on a few pixels.
COLORS: dict[str, Rgb] = {
    "red": (215, 35, 40),
    "orange": (250, 140, 25),
    "yellow": (250, 225, 50),
    "green": (40, 155, 60),
    "blue": (45, 85, 220),
    "purple": (130, 45, 170),
    "pink": (250, 150, 195),
    "brown": (125, 72, 35),
    "white": (246, 246, 246),
    "black": (24, 24, 26),
    "gray": (138, 138, 140),
}
COAT_COLORS = ("brown", "black", "white", "gray", "orange")

SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "moon", "hexagon")
THINGS = ("house", "tree", "car", "fish", "apple", "boat", "mushroom", "umbrella", "cup", "flower")
ANIMALS = ("dog", "cat", "horse", "bird")
PERSONS = ("man", "woman", "child")
CATEGORIES = SHAPES + THINGS + ANIMALS + PERSONS
GROUPS: dict[str, tuple[str, ...]] = {"people": PERSONS, "animals": ANIMALS}

SIZES = ("small", "big")
TEXTURES = ("plain", "striped", "dotted")
# What a person is told apart by: the words that follow "in the red ...".
GARMENTS = {"man": "shirt", "woman": "dress", "child": "shirt"}

_IRREGULAR = {"man": "men", "woman": "women", "child": "children", "fish": "fish", "cross": "crosses"}

# (colour, category) pairs that occur only where a test record is asked for with `unseen=True`. Every colour
# and every category among them is seen in other pairs.
UNSEEN_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("blue", "star"),
        ("green", "cross"),
        ("purple", "triangle"),
        ("yellow", "heart"),
        ("pink", "square"),
        ("orange", "diamond"),
        ("red", "moon"),
        ("red", "fish"),
        ("blue", "car"),
        ("green", "apple"),
    }
)
# (joint, figure) pairs that are asked for only in test records with `unseen=True`.
UNSEEN_JOINTS: frozenset[tuple[str, str]] = frozenset(
    {
        ("left wrist", "woman"),
        ("right knee", "man"),
        ("left ankle", "child"),
        ("tail tip", "horse"),
        ("left back paw", "cat"),
        ("ear", "dog"),
    }
)


def family(category: str) -> str:
    """Which kind of thing a category is: "shape", "thing", "animal" or "person" (ValueError otherwise)."""
    for name, members in (("shape", SHAPES), ("thing", THINGS), ("animal", ANIMALS), ("person", PERSONS)):
        if category in members:
            return name
    raise ValueError(f"expected one of {', '.join(CATEGORIES)}; got {category!r}")


def plural(noun: str) -> str:
    """The plural of a category noun ("dog" -> "dogs", "man" -> "men", "fish" -> "fish")."""
    return _IRREGULAR.get(noun, noun + "s")


def with_article(phrase: str) -> str:
    """A phrase with its indefinite article: "orange star" -> "an orange star"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def listed(parts: list[str]) -> str:
    """Words joined as English does: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def colors_for(category: str, among: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The colour words a category may have in training: coat colours for quadrupeds, no unseen pair."""
    names = among if among is not None else tuple(COLORS)
    if category in ("dog", "cat", "horse"):
        names = tuple(name for name in names if name in COAT_COLORS)
    return tuple(name for name in names if (name, category) not in UNSEEN_PAIRS)
