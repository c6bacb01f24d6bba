"""What is said beside the figures: how they came about, class by class, and by which network."""

from __future__ import annotations

from instructdiffusion.evaluation.benchmarks.editing_benchmark import Editing
from instructdiffusion.evaluation.measures import Figure
from instructdiffusion.evaluation.outcome import Outcome, PartOutcome


def part(name="voc", notes=None, **more):
    fields = {
        "name": name, "split": "val", "task": "segment", "settings": {}, "figures": [Figure("mcIoU", 0.5, 2)],
        "cells": {}, "notes": notes or {}, "records": 2, "answers": 4, "problems": [], "seconds": 1.0,
    }  # fmt: skip
    return PartOutcome(**{**fields, **more})


def outcome(*parts):
    return Outcome("mine", {}, {}, parts, {})


VOC = {
    "absent classes asked": True,
    "classes": {"cat": 0.75, "aeroplane": 0.25},
    "classes that show nowhere": 0,
    "joints": ["nose", "left eye"],
    "left out by the dataset's own rules": {"crowds": 3},
}


def test_how_it_was_measured_stands_beside_the_figures():
    made = outcome(part(notes=VOC), part("coco", {"categories": "pooled into one", "LPIPS": False}))
    assert made.remarks() == [
        ("voc val", "absent classes asked: yes"),
        ("voc val", "joints: nose, left eye"),
        ("voc val", "left out by the dataset's own rules: 3 crowds"),
        ("coco val", "categories: pooled into one"),
        ("coco val", "LPIPS: no"),
    ]
    assert "- voc val: absent classes asked: yes\n" in made.markdown()
    sections = dict(made.sections())
    assert ["coco val", "categories: pooled into one"] in sections["How it was measured"]
    assert sections["Classes of voc val"] == [["class", "IoU"], ["aeroplane", "0.2500"], ["cat", "0.7500"]]
    assert "Classes of coco val" not in sections


def test_nothing_to_say_is_not_said():
    made = outcome(part())
    assert made.remarks() == [] and "How it was measured" not in made.markdown()
    assert [heading for heading, _ in made.sections()] == ["Figures", "Settings and versions"]


def test_the_clip_is_named():
    class Clip:
        name = fingerprint = "openai/clip-vit-large-patch14"

    benchmark = Editing.__new__(Editing)
    benchmark.clip, benchmark.aesthetic, benchmark.giqa = Clip(), None, None
    text = outcome(part("editing", benchmark.notes([]))).markdown()
    assert (
        "CLIP-Sim: 100 cosine by openai/clip-vit-large-patch14" in text and "aesthetic: not measured" in text
    )
