"""Keypoint benchmarks: which joints are asked for together, which count, and what errors cost."""

from __future__ import annotations

from instructdiffusion.datasets.readers.joints import AP10K_FOR_COCO, COCO
from instructdiffusion.evaluation.benchmarks.pose_benchmark import Pose


def test_joints_are_dealt_out_so_that_each_is_asked_once(opened):
    person, animal = opened("coco")[1], opened("ap10k")[1]
    for benchmark, names in ((person, COCO), (animal, AP10K_FOR_COCO)):
        asked = [name for group in benchmark.groups for name in group]
        assert sorted(asked) == sorted(names) and max(map(len, benchmark.groups)) <= 5
        assert not any(
            {"left eye", "right eye"} <= set(g) or {"nose", "left eye"} <= set(g) for g in benchmark.groups
        )
    assert "left ear" not in animal.joints and "left front paw" in animal.cases(0)[1].make().instruction.text


def shifted(rows, by):
    """Rows of answers whose every disc is `by` pixels too far right."""
    return [{**row, "found": [[x + by, y, s] for x, y, s in row["found"]]} for row in rows]


def test_keypoints_that_are_off_lose(opened, answered, true_pictures):
    benchmark: Pose = opened("coco")[1]
    rows = answered(benchmark, true_pictures(benchmark))
    some = benchmark.figures(shifted(rows, 12))[0].value
    assert 0 < some < 0.9
    assert benchmark.figures(shifted(rows, 200))[0].value == 0


def test_a_person_asked_about_in_part_is_left_out_and_counted(opened, answered, true_pictures):
    benchmark: Pose = opened("coco")[1]
    rows = answered(benchmark, true_pictures(benchmark))
    part = rows[:-1]
    truths_, answers, broken = benchmark.people(part)
    assert (len(truths_), len(answers), broken) == (3, 3, 1)
    assert benchmark.notes(part)["people left out because questions about them failed"] == 1
    assert benchmark.figures(part)[0].n == 3


def test_ears_do_not_count_on_animals(opened, answered, true_pictures):
    benchmark: Pose = opened("ap10k")[1]
    rows = answered(benchmark, true_pictures(benchmark))
    people, answers, _ = benchmark.people(rows)
    ears = [COCO.index("left ear"), COCO.index("right ear")]
    assert all((p.joints[ears, 2] == 0).all() for p in people) and len(people) == len(answers) == 2
    assert all((p.joints[:, 2] > 0).sum() >= 13 for p in people)
