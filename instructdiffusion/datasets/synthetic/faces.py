"""Large faces with the parts that can be asked for."""

from __future__ import annotations

import math
import random

from .sprites import Drawing, Part, Point, ellipse, limb
from .vocabulary import Rgb

# Left and right are the face's own: its left eye is on the right of the picture.
FACE_PARTS = (
    "left eye", "right eye", "nose", "left mouth corner", "right mouth corner", "chin", "left ear", "right ear",
    "left eyebrow", "right eyebrow", "top of the head",
)  # fmt: skip

SKINS: tuple[Rgb, ...] = (
    (255, 219, 188),
    (241, 194, 150),
    (224, 172, 120),
    (190, 130, 85),
    (141, 90, 55),
    (98, 62, 40),
)
HAIRS: tuple[Rgb, ...] = (
    (30, 25, 22),
    (80, 50, 30),
    (140, 85, 40),
    (225, 185, 95),
    (190, 75, 30),
    (150, 150, 150),
)


def tones(rng: random.Random) -> dict[str, Rgb]:
    """Inks of skin and hair, with the lips and the nose that belong to the skin."""
    skin = rng.choice(SKINS)
    hair = rng.choice([h for h in HAIRS if sum(abs(a - b) for a, b in zip(h, skin)) > 110])
    lips = (min(255, int(skin[0] * 0.8) + 25), int(skin[1] * 0.42), int(skin[2] * 0.42))
    return {
        "skin": skin,
        "hair": hair,
        "lips": lips,
        "blush": (int(skin[0] * 0.8), int(skin[1] * 0.66), int(skin[2] * 0.62)),
        "ears": (int(skin[0] * 0.9), int(skin[1] * 0.82), int(skin[2] * 0.8)),
    }


def draw_face(rng: random.Random) -> tuple[Drawing, dict[str, Rgb]]:
    """A face with its inks: width, hair, brows, glasses, beard, mouth, look and tilt vary.

    The joints are `FACE_PARTS`; all of them are drawn, so all of them are visible.
    """
    inks = tones(rng)
    width, height = rng.uniform(0.36, 0.44), rng.uniform(0.46, 0.52)
    yaw, pitch = rng.uniform(-0.07, 0.07), rng.uniform(-0.03, 0.04)
    style = rng.choice(("short", "short", "long", "bald", "curls"))
    eye_x, eye_y = rng.uniform(0.15, 0.19), -0.07 + pitch
    brow_y = eye_y - rng.uniform(0.1, 0.14)
    mouth_x, mouth_y = rng.uniform(0.12, 0.19), 0.25 + pitch + rng.uniform(-0.01, 0.03)
    smile = rng.uniform(-0.05, 0.07)
    nose: Point = (yaw * 1.4, 0.09 + pitch)
    joints: dict[str, Point] = {
        "nose": nose,
        "chin": (yaw * 0.5, height - 0.035),
        "top of the head": (yaw * 0.2, 0.0),
    }
    parts: list[Part] = []
    if style == "long":
        parts.append((ellipse(0, 0.06, width + 0.12, height + 0.1), "hair"))
    elif style == "curls":
        parts += [
            (ellipse(0.4 * math.sin(a), -0.16 - 0.38 * math.cos(a), 0.16), "hair")
            for a in (-1.6, -1.0, 0, 1.0, 1.6)
        ]
        parts += [(ellipse(0.4 * math.sin(a), -0.16 - 0.38 * math.cos(a), 0.17), "hair") for a in (-0.5, 0.5)]
    if style in ("short", "curls"):
        parts.append((ellipse(0, -0.12, width + 0.03, height - 0.06), "hair"))
    elif style == "long":
        parts.append((ellipse(0, -0.16, width + 0.04, height - 0.06), "hair"))
    for side, sign in (("right", -1), ("left", 1)):
        ear = (sign * (width + 0.035), eye_y + 0.05)
        joints[f"{side} ear"] = ear
        parts.append((ellipse(ear[0], ear[1], 0.075, 0.115), "ears"))
    parts.append((ellipse(0, 0, width, height), "skin"))
    if style == "bald":
        joints["top of the head"] = (yaw * 0.2, -height + 0.04)
    else:
        line = rng.uniform(0.2, 0.3)  # a fringe down to here above the eyes
        fringe = [
            (width * 1.02 * math.sin(a), -0.03 - (height - 0.0) * math.cos(a))
            for a in [i / 8 * 1.15 for i in range(-8, 9)]
        ]
        parts.append((fringe + [(width * 0.5, -line), (-width * 0.55, -line - 0.03)], "hair"))
        crown = -height - (0.1 if style == "curls" else 0.03)
        joints["top of the head"] = (yaw * 0.2, crown + 0.055)
        parts.append((ellipse(0, crown + 0.08, 0.2, 0.08), "hair"))
    if rng.random() < 0.2:
        parts.append((ellipse(yaw * 0.7, 0.36, width * 0.62, height - 0.36), "hair"))
    glasses = rng.random() < 0.2
    for side, sign in (("right", -1), ("left", 1)):
        x = sign * eye_x + yaw
        joints[f"{side} eye"] = (x, eye_y)
        joints[f"{side} eyebrow"] = (x + sign * 0.01, brow_y)
        joints[f"{side} mouth corner"] = (sign * mouth_x + yaw, mouth_y - smile)
        if glasses:
            parts.append((ellipse(x, eye_y, 0.135, 0.12), "dark"))
            parts.append((ellipse(x, eye_y, 0.1, 0.09), "skin"))
        parts.append((ellipse(x, eye_y, 0.082, 0.058), "light"))
        parts.append((ellipse(x + 0.3 * yaw, eye_y, 0.046), "iris"))
        slope = rng.uniform(-0.02, 0.03)
        parts.append((limb((x - sign * 0.08, brow_y + slope), (x + sign * 0.09, brow_y), 0.045), "brow"))
    if glasses:
        parts.append((limb((yaw - 0.06, eye_y), (yaw + 0.06, eye_y), 0.03), "dark"))
    parts.append(
        (
            [
                (nose[0] - 0.02, eye_y + 0.02),
                (nose[0] + 0.02, eye_y + 0.02),
                (nose[0] + 0.075, nose[1] + 0.04),
                (nose[0] - 0.075, nose[1] + 0.04),
            ],
            "blush",
        )
    )
    left, right = joints["left mouth corner"], joints["right mouth corner"]
    middle = (yaw, mouth_y + 0.03)
    parts.append((limb(right, middle, 0.05, 0.065), "lips"))
    parts.append((limb(middle, left, 0.065, 0.05), "lips"))
    inks["brow"] = tuple(int(c * 0.6) for c in inks["hair"])  # type: ignore[assignment]
    inks["iris"] = rng.choice(((25, 25, 30), (60, 40, 25), (40, 80, 140), (45, 100, 60)))
    drawing = Drawing.of(parts, {name: joints[name] for name in FACE_PARTS}, angle=rng.gauss(0, 0.13))
    return drawing, inks
