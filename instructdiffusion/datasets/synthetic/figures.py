"""Jointed figures: persons seen from the front and animals seen from the side."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from .sprites import Drawing, Part, Point, ellipse, limb, reach

# A person faces the viewer, so their own left is on the right of the picture.
PERSON_JOINTS = (
    "nose", "left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist",
    "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
)  # fmt: skip
# Seen from the side the near legs are the animal's left ones when it faces the left of the picture.
_LEGS = ("left front", "right front", "left back", "right back")
JOINTS: dict[str, tuple[str, ...]] = {
    "man": PERSON_JOINTS,
    "woman": PERSON_JOINTS,
    "child": PERSON_JOINTS,
    "dog": ("nose", "eye", "ear", "neck", "tail tip", *(f"{leg} paw" for leg in _LEGS)),
    "cat": ("nose", "eye", "ear", "neck", "tail tip", *(f"{leg} paw" for leg in _LEGS)),
    "horse": ("nose", "eye", "ear", "neck", "tail tip", *(f"{leg} hoof" for leg in _LEGS)),
    "bird": ("beak", "eye", "neck", "wing tip", "tail tip", "left foot", "right foot"),
}

POSES = 12  # poses of an arm or leg that are tried until none of its joints is hidden


def draw_person(category: str, rng: random.Random | None = None) -> Drawing:
    """A man, woman or child facing the viewer; without `rng` the figure stands still, arms a little out."""
    child, woman = category == "child", category == "woman"
    head = 0.15 if child else 0.112
    top = -0.5
    neck_y = top + 2 * head + 0.01
    hip_y = 0.16 if child else 0.1
    shoulder, hip = (0.1, 0.055) if woman else (0.125, 0.06)
    upper, fore, thigh = (0.13, 0.12, 0.155) if child else (0.17, 0.16, 0.195)
    lean = rng.uniform(-0.07, 0.07) if rng else 0.0
    center = (lean * 1.3, top + head)
    joints: dict[str, Point] = {}
    limbs: dict[str, tuple[Point, Point, Point]] = {}
    for side, sign in (("right", -1), ("left", 1)):
        arm, bend, leg, knee = 0.5, -0.2, 0.13, -0.06
        a, b = (sign * shoulder + lean, neck_y + 0.055), (sign * hip, hip_y)
        for _ in range(POSES if rng else 0):
            assert rng is not None
            raised = rng.random() < 0.4
            arm = rng.uniform(1.2, 2.6) if raised else rng.uniform(0.2, 1.0)
            bend = rng.uniform(-0.3, 1.2) if raised else rng.uniform(-0.9, 0.9)
            hand = reach(reach(a, upper, sign * arm), fore, sign * (arm + bend))
            # In front of the figure comes its head, behind a hand its hips: neither hides a joint.
            if (
                math.dist(hand, center) > 1.1 * head + 0.04
                and sign * (hand[0] - lean) > 0.04
                and (math.dist(hand, b) > 0.08)
            ):
                break
        else:
            arm, bend = 0.5, -0.2
        for _ in range(POSES if rng else 0):
            assert rng is not None
            leg, knee = rng.uniform(0.03, 0.5), rng.uniform(-0.45, 0.2)
            if sign * reach(reach(b, thigh, sign * leg), thigh, sign * (leg + knee))[0] > 0.045:
                break  # the feet do not cross
        else:
            leg, knee = 0.13, -0.06
        elbow = reach(a, upper, sign * arm)
        wrist = reach(elbow, fore, sign * (arm + bend))
        joint = reach(b, thigh, sign * leg)
        ankle = reach(joint, thigh, sign * (leg + knee))
        limbs[side] = a, elbow, wrist
        limbs[side + " leg"] = b, joint, ankle
        for name, point in zip(
            ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), (a, elbow, wrist, b, joint, ankle)
        ):
            joints[f"{side} {name}"] = point
    joints["nose"] = (center[0], center[1] + 0.15 * head)

    parts: list[Part] = []
    if woman:
        parts.append((ellipse(center[0], center[1] + 0.5 * head, 1.2 * head, 1.35 * head), "hair"))
    for side in ("right", "left"):
        b, joint, ankle = limbs[side + " leg"]
        sign = 1 if side == "left" else -1
        upper_ink, lower_ink = ("skin", "skin") if woman else ("trousers", "skin" if child else "trousers")
        parts.append((limb(joint, ankle, 0.075, 0.065), lower_ink))
        parts.append((limb(b, joint, 0.105, 0.085), upper_ink))
        parts.append((limb(ankle, (ankle[0] + sign * 0.045, ankle[1] + 0.02), 0.065), "shoes"))
    s = shoulder + 0.03
    torso = [
        (lean - s, neck_y + 0.03),
        (lean - 0.05, neck_y - 0.005),
        (lean + 0.05, neck_y - 0.005),
        (lean + s, neck_y + 0.03),
    ]
    if woman:
        parts.append(
            (
                [
                    *torso,
                    (0.075, hip_y - 0.08),
                    (0.2, hip_y + 0.16),
                    (-0.2, hip_y + 0.16),
                    (-0.075, hip_y - 0.08),
                ],
                "body",
            )
        )
    else:
        parts.append(([*torso, (hip + 0.055, hip_y + 0.03), (-hip - 0.055, hip_y + 0.03)], "body"))
    for side in ("right", "left"):
        a, elbow, wrist = limbs[side]
        parts.append((limb(elbow, wrist, 0.065, 0.055), "skin"))
        parts.append((ellipse(wrist[0], wrist[1], 0.042), "skin"))
        parts.append((limb(a, elbow, 0.085, 0.075), "shade"))
    x, y = center
    parts.append((limb((lean, neck_y + 0.02), center, 0.075), "skin"))
    if not woman:
        parts.append((ellipse(x, y - 0.14 * head, head * 1.04, head * 0.98), "hair"))
    parts.append((ellipse(x, y + 0.12 * head, head * 0.86, head * 0.92), "skin"))
    if child:  # a cap with a peak
        parts.append((ellipse(x, y - 0.5 * head, head * 0.98, head * 0.56), "trousers"))
        parts.append(
            (limb((x - 0.9 * head, y - 0.2 * head), (x + 0.9 * head, y - 0.2 * head), 0.05), "trousers")
        )
    else:
        parts.append((ellipse(x, y - 0.72 * head, head * 0.8, head * 0.38), "hair"))
    for sign in (-1, 1):
        parts.append((ellipse(x + sign * 0.36 * head, y, 0.14 * head), "dark"))
    parts.append((ellipse(x, joints["nose"][1] + 0.08 * head, 0.13 * head, 0.2 * head), "blush"))
    parts.append(
        (limb((x - 0.25 * head, y + 0.62 * head), (x + 0.25 * head, y + 0.62 * head), 0.14 * head), "lips")
    )
    return Drawing.of(parts, {name: joints[name] for name in PERSON_JOINTS})


@dataclass(frozen=True)
class Build:
    """Proportions of a quadruped: half length and half height of the body, legs, neck and its angle, head."""

    length: float
    height: float
    leg: float
    thick: float
    neck: float
    neck_angle: float
    head: float
    head_height: float


_BUILD = {
    "dog": Build(0.27, 0.115, 0.25, 0.075, 0.15, 2.2, 0.13, 0.085),
    "cat": Build(0.24, 0.105, 0.19, 0.065, 0.1, 2.3, 0.105, 0.1),
    "horse": Build(0.27, 0.13, 0.36, 0.07, 0.29, 2.55, 0.18, 0.075),
}


def draw_quadruped(category: str, rng: random.Random | None = None, mirror: bool = False) -> Drawing:
    """A dog, cat or horse walking to the left (to the right where `mirror`); without `rng` it stands."""
    build = _BUILD[category]
    length, height, leg_length, thick = build.length, build.height, build.leg, build.thick
    head_length, head_height = build.head, build.head_height
    # Legs of a pair keep apart, so that left and right can be told from each other.
    swing = rng.choice((-1, 1)) * rng.uniform(0.18, 0.5) if rng else 0.05
    apart = math.copysign(0.14 if rng else 0.22, swing)
    tilt = rng.uniform(-0.35, 0.3) if rng else 0.0
    wag = rng.uniform(-0.6, 0.6) if rng else 0.0
    near, far = ("right", "left") if mirror else ("left", "right")
    foot = "hoof" if category == "horse" else "paw"
    joints: dict[str, Point] = {}
    parts: list[Part] = []

    def leg(side: str, end: str, at: Point, angle: float, ink: str) -> None:
        knee = reach(at, leg_length * 0.52, angle)
        fold = rng.uniform(0.0, 0.35) if rng else 0.05
        ankle = reach(knee, leg_length * 0.48, angle + fold)
        parts.append((limb(at, knee, thick * 1.3, thick), ink))
        parts.append((limb(knee, ankle, thick, thick * 0.9), ink))
        toe = (ankle[0] - (0.035 if category != "horse" else 0.01), ankle[1])
        parts.append((limb(ankle, toe, thick), "dark" if category == "horse" else ink))
        joints[f"{side} {end} {foot}"] = ankle

    base = 0.55 * height
    leg(far, "front", (-length * 0.72, base), -swing - apart, "far")
    leg(far, "back", (length * 0.8, base), swing + apart, "far")
    # tail
    root = (length * 0.96, -height * 0.45)
    if category == "dog":
        tip = reach(root, 0.22, 2.45 + wag)
        parts.append((limb(root, tip, 0.07, 0.05), "body"))
    elif category == "cat":
        bend = reach(root, 0.17, 2.0 + 0.6 * wag)
        tip = reach(bend, 0.2, 2.9 + 0.8 * wag)
        parts.append((limb(root, bend, 0.06), "body"))
        parts.append((limb(bend, tip, 0.06, 0.05), "body"))
    else:
        bend = reach(root, 0.1, 1.3 + 0.4 * wag)
        tip = reach(bend, 0.24, 0.25 + 0.4 * wag)
        parts.append((limb(root, bend, 0.07), "hair"))
        parts.append((limb(bend, tip, 0.08, 0.05), "hair"))
    joints["tail tip"] = tip
    parts.append((ellipse(0, 0, length, height), "body"))
    parts.append((ellipse(-length * 0.62, 0.0, length * 0.42, height * 1.05), "body"))
    parts.append((ellipse(length * 0.66, 0.0, length * 0.38, height * 1.02), "body"))
    leg(near, "front", (-length * 0.66, base), swing, "body")
    leg(near, "back", (length * 0.72, base), -swing, "body")
    # neck and head
    withers = (-length * 0.8, -height * 0.45)
    joints["neck"] = withers
    poll = reach(withers, build.neck, tilt - build.neck_angle)
    parts.append((limb(withers, poll, height * 1.25, head_height * 1.5), "body"))
    x, y = poll
    down = 0.35 if category == "horse" else 0.08
    nose = reach((x, y), head_length * 1.15, -(math.pi / 2) + down * 2.2 + 0.5 * tilt)
    if category == "horse":
        parts.append((limb((withers[0] + 0.05, withers[1]), (x + 0.05, y - 0.03), 0.08, 0.06), "hair"))
    parts.append(
        (limb((x, y), nose, head_height * 2, head_height * (0.8 if category == "cat" else 1.15)), "body")
    )
    if category == "cat":
        parts.append((ellipse(x, y, head_height * 1.15), "body"))
        tip_ear = (x + 0.035, y - 0.19)
        parts.append(([(x - 0.045, y - 0.08), (x - 0.06, y - 0.19), (x + 0.03, y - 0.09)], "shade"))
        parts.append(([(x - 0.02, y - 0.07), tip_ear, (x + 0.1, y - 0.05)], "body"))
        joints["ear"] = (tip_ear[0] - 0.005, tip_ear[1] + 0.06)
    elif category == "dog":
        parts.append((ellipse(x + 0.05, y + 0.02, 0.045, 0.1, 0.25), "ear"))
        joints["ear"] = (x + 0.05, y + 0.03)
    else:
        parts.append(([(x - 0.01, y - 0.05), (x + 0.03, y - 0.16), (x + 0.08, y - 0.03)], "body"))
        joints["ear"] = (x + 0.033, y - 0.09)
    eye = (x + 0.33 * (nose[0] - x), y + 0.33 * (nose[1] - y) - 0.35 * head_height)
    joints["eye"] = eye
    parts.append((ellipse(eye[0], eye[1], 0.036), "light"))
    parts.append((ellipse(eye[0] - 0.006, eye[1], 0.022), "dark"))
    tip_nose = (nose[0] - 0.25 * head_height, nose[1] - 0.15 * head_height)
    joints["nose"] = tip_nose
    parts.append((ellipse(tip_nose[0], tip_nose[1], 0.034), "nose"))
    return Drawing.of(parts, {name: joints[name] for name in JOINTS[category]}, mirror=mirror)


def draw_bird(rng: random.Random | None = None, mirror: bool = False) -> Drawing:
    """A standing bird seen from the side, looking to the left (to the right where `mirror`)."""
    lift = rng.uniform(0.3, 2.2) if rng else 0.9
    nod = rng.uniform(-0.08, 0.08) if rng else 0.0
    step = rng.uniform(-0.3, 0.3) if rng else 0.0
    near, far = ("right", "left") if mirror else ("left", "right")
    head = (-0.24, -0.2 + nod)
    beak = (-0.52, -0.17 + 1.4 * nod)
    feet = {near: (reach((-0.02, 0.2), 0.24, step - 0.12)), far: (reach((0.08, 0.2), 0.24, -step + 0.25))}
    tail = (0.5, -0.04 + (rng.uniform(-0.14, 0.14) if rng else 0.0))
    wing_root = (-0.02, -0.02)
    wing = reach(wing_root, 0.36, lift)
    parts: list[Part] = []
    for side, hip, ink in ((far, (0.08, 0.12), "far legs"), (near, (-0.02, 0.12), "legs")):
        foot = feet[side]
        parts.append((limb(hip, foot, 0.055), ink))
        parts.append((limb((foot[0] + 0.02, foot[1]), (foot[0] - 0.08, foot[1] + 0.01), 0.05), ink))
    parts += [
        ([(0.2, -0.08), (tail[0], tail[1] - 0.06), (tail[0] + 0.02, tail[1] + 0.06), (0.18, 0.12)], "shade"),
        (ellipse(0.04, 0.04, 0.29, 0.2, 0.12), "body"),
        (limb((-0.12, 0.0), head, 0.26, 0.2), "body"),
        (ellipse(head[0], head[1], 0.135), "body"),
        ([(head[0] - 0.09, head[1] - 0.06), beak, (head[0] - 0.09, head[1] + 0.07)], "legs"),
        (limb(wing_root, wing, 0.2, 0.07), "shade"),
        (ellipse(head[0] - 0.035, head[1] - 0.03, 0.046), "light"),
        (ellipse(head[0] - 0.045, head[1] - 0.03, 0.028), "dark"),
    ]
    joints: Mapping[str, Point] = {
        "beak": (beak[0] + 0.03, beak[1]),
        "eye": (head[0] - 0.04, head[1] - 0.03),
        "neck": (-0.19, -0.09 + 0.5 * nod),
        "wing tip": wing,
        "tail tip": tail,
        "left foot": feet["left"],
        "right foot": feet["right"],
    }
    return Drawing.of(parts, joints, mirror=mirror)


def draw_figure(category: str, rng: random.Random | None = None, mirror: bool = False) -> Drawing:
    """The drawing of a person or animal in a pose drawn from `rng` (None: the canonical pose)."""
    if category in ("man", "woman", "child"):
        return draw_person(category, rng)
    if category == "bird":
        return draw_bird(rng, mirror)
    if category in _BUILD:
        return draw_quadruped(category, rng, mirror)
    raise ValueError(f"expected a figure, one of {', '.join(JOINTS)}; got {category!r}")
