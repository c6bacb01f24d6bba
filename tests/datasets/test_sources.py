"""Datasets on disk as sources of training samples: what is drawn, what is left out, what is broken."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from collections import Counter

import numpy as np
import pytest

from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.datasets.readers import READERS, BrokenRecord, LayoutMissing, open_reader
from instructdiffusion.datasets.sources import (
    OpenSource,
    Source,
    SourceMixture,
    Sources,
    held_out,
    located,
    open_sources,
    told,
)
from instructdiffusion.tasks import get_task

NAMES = ("refcoco", "coco", "gopro", "coco-stuff", "instructpix2pix", "sidd-cut")


@pytest.fixture(autouse=True, scope="module")
def quick_disk(tmp_path_factory):
    """Indices lie in a folder of the tests' own, and need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setenv("INSTRUCTDIFFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write_fixture(name, base / name)
    return base


def source(data, name, **options):
    return Source(name.removesuffix("-cut"), str(data / name), **options)


def one(data, name, **options):
    return open_sources([source(data, name, **options)]).opened[0]


# What a config may say


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "recoco"}, "unknown dataset 'recoco': choose one of"),
        ({"split": "sing"}, "has the splits train"),
        ({"task": "edit"}, "is read for refer"),
        ({"weight": 0}, "`weight` of refcoco to be above 0"),
        ({"weight": "2"}, "`weight`"),
        ({"weight": float("nan")}, "`weight`"),
        ({"optional": "yes"}, "true or false"),
        ({"root": ""}, "`root`"),
    ],
)
def test_a_wrong_source_is_refused_before_anything_is_opened(values, message):
    with pytest.raises(ValueError, match=message):
        Source(**({"dataset": "refcoco", "root": "x"} | values))


def test_roots_name_variables_and_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/someone")
    assert located("${SOME_DATA}/refcoco", READERS["refcoco"]) == tmp_path / "refcoco"
    assert located("~/refcoco", READERS["refcoco"]).as_posix() == "/home/someone/refcoco"
    monkeypatch.delenv("SOME_DATA")
    with pytest.raises(LayoutMissing, match="variable SOME_DATA, which is not set.*Download: https"):
        located("${SOME_DATA}/refcoco", READERS["refcoco"])


# What is there and what is not


def test_optional_datasets_that_are_absent_are_named_and_left_out(data, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    (tmp_path / "empty").mkdir()
    found = open_sources(
        [
            source(data, "refcoco"),
            Source("mpii", str(tmp_path / "nowhere"), optional=True),
            Source("aic", str(tmp_path / "empty"), optional=True),
            Source("clwd", "${NO_SUCH}/clwd", optional=True),
            source(data, "gopro", weight=2.0),
        ]
    )
    assert [s.source.dataset for s in found.opened] == ["refcoco", "gopro"]
    assert found.tasks == ("refer", "deblur") and len(found.notes) == 3
    for note, name in zip(
        found.notes, ("mpii train keypoints", "aic train keypoints", "clwd train dewatermark")
    ):
        assert note.startswith(f"{name} is left out: ") and "\n" not in note
    shares = SourceMixture({}, found).shares
    sizes = [s.reader.items for s in found.opened]
    assert sizes[0] != sizes[1]
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values())[1] == pytest.approx(2 * sizes[1] / (sizes[0] + 2 * sizes[1]))


def test_a_required_dataset_that_is_absent_says_where_it_can_be_had(tmp_path):
    with pytest.raises(LayoutMissing) as caught:
        open_sources([Source("refcoco", str(tmp_path / "nowhere"))])
    assert READERS["refcoco"].source in str(caught.value)


def test_nothing_to_train_on_is_an_error_that_lists_what_was_looked_for(tmp_path):
    found = open_sources([Source(n, str(tmp_path / n), optional=True) for n in ("mpii", "gopro")])
    with pytest.raises(LayoutMissing, match=r"nothing to train on(.|\n)*mpii(.|\n)*gopro"):
        SourceMixture({}, found)


# The mixture


def test_scenes_and_sources_have_the_shares_they_were_given(data):
    found = open_sources([source(data, "refcoco"), source(data, "gopro", weight=3)])
    mixture = SourceMixture({"segment": 3, "edit": 1, "detect": 0}, found, scenes_share=0.2)
    picks = [mixture.pick(7, index) for index in range(4000)]
    assert picks == [mixture.pick(7, index) for index in range(4000)]
    assert picks != [mixture.pick(8, index) for index in range(4000)]
    counts = Counter(p if isinstance(p, str) else p.source.dataset for p, _ in picks)
    first, second = (s.share for s in found.opened)
    for name, share in {
        "segment": 0.15,
        "edit": 0.05,
        "refcoco": 0.8 * first / (first + second),
        "gopro": 0.8 * second / (first + second),
    }.items():
        assert counts[name] / 4000 == pytest.approx(share, abs=0.03)
    assert "detect" not in counts
    assert set(SourceMixture({"segment": 1}, Sources(()), 0.2).shares.values()) == {1.0}
    assert all(not isinstance(SourceMixture({}, found, 0.2).pick(0, n)[0], str) for n in range(50))


def test_a_ref_counts_once_and_is_drawn_once_however_many_sentences_it_has(data, tmp_path):
    """The authors' datasets are as long as their list of refs, of which each gives one of its sentences."""
    shutil.copytree(data / "refcoco", tmp_path / "refcoco")
    path = tmp_path / "refcoco" / "refcoco" / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    first, second = (ref for ref in refs if ref["split"] == "train")
    first["sentences"] = [{**first["sentences"][0], "sent_id": n, "sent": f"thing {n}"} for n in range(6)]
    second["sentences"] = second["sentences"][:2]
    path.write_bytes(pickle.dumps(refs))
    found = open_sources([source(tmp_path, "refcoco", weight=3), source(data, "gopro")])
    opened, pairs = found.opened
    assert len(opened.reader) == 8 and opened.reader.items == 2 and opened.share == 6
    assert pairs.reader.items == len(pairs.reader) == pairs.share == 4
    drawn = Counter(opened.reader.draw(random.Random(seed)) for seed in range(4000))
    assert set(drawn) == set(range(8))
    assert sum(drawn[row] for row in range(6)) / 4000 == pytest.approx(0.5, abs=0.04)
    assert drawn[6] / drawn[0] == pytest.approx(3, rel=0.25)
    second["sentences"] = [{"sent": ""}]  # a ref without a sentence that can be read is no item
    path.write_bytes(pickle.dumps(refs))
    assert one(tmp_path, "refcoco").reader.items == 1


# Samples


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_a_pure_function_of_its_seed(name, data):
    opened, broken = one(data, name), []
    again = pickle.loads(pickle.dumps(opened))
    random.seed(3)
    first = [opened.example(seed, 64, broken) for seed in range(6)]
    random.seed(4)
    other = [again.example(seed, 64, broken) for seed in reversed(range(6))][::-1]
    for a, b in zip(first, other):
        np.testing.assert_array_equal(a.source, b.source)
        np.testing.assert_array_equal(a.target, b.target)
        assert a.instruction == b.instruction and a.source.shape == (64, 64, 3)
        assert a.instruction.task == opened.reader.task
    assert not broken and len({a.source.tobytes() for a in first}) > 1


@pytest.mark.parametrize("name", ("refcoco", "coco-stuff", "coco"))
def test_an_answer_that_is_drawn_is_read_back(name, data):
    opened, shown = one(data, name), 0
    for seed in range(12):
        example = opened.example(seed, 128, [])
        task, truth = get_task(opened.reader.task), example.record.target
        read = task.decode(example.source, example.target, example.instruction)
        if name == "coco":
            inside = truth.visible[0] & ((truth.xy[0] > 6) & (truth.xy[0] < 122)).all(1)
            assert not inside.any() or np.abs(read.xy[0] - truth.xy[0])[inside].max() < 0.7
            shown += inside.sum()
        else:
            assert bool(len(read)) == bool(len(truth))
            assert not len(read) or (read.union() & truth.union()).sum() >= 0.95 * truth.union().sum()
            shown += len(truth)
    assert shown > 3


def test_people_are_cut_from_the_whole_picture(data):
    """The reader's own crop would leave turned views black at the corners."""
    opened = one(data, "coco", task="keypoints")
    assert opened.reader.margin is None
    whole = open_reader("coco", data / "coco", task="keypoints").record(0)
    plain = opened.example(0, 64, [], plain=True)
    assert 1 <= len(plain.instruction.subjects) <= 5 and "window" in whole.meta
    assert plain.record.meta["margin"] == 1.25


@pytest.mark.parametrize(("name", "share"), [("coco", 0.3), ("crowdpose", 0), ("mpii", 0), ("aic", 0)])
def test_half_bodies_are_cocos_alone(name, share, tmp_path):
    """As `prob_half_body` in the authors' dataset/pose/pose.py, which is below 0 for the three others."""
    write_fixture(name, tmp_path / name)
    opened = one(tmp_path, name, task="keypoints")
    assert opened.example(0, 64, [], plain=True).record.meta["half_body"] == share


# What is broken


@pytest.fixture
def damaged(data, tmp_path):
    """GoPro with the first of its pictures cut off."""
    folder = tmp_path / "gopro"
    shutil.copytree(data / "gopro", folder)
    opened = open_sources([Source("gopro", str(folder))]).opened[0]
    file = opened.reader.path(opened.reader.rows[0]["image"])
    file.write_bytes(file.read_bytes()[:100])
    return opened


def test_a_broken_record_is_told_and_the_next_one_taken(damaged):
    broken: list[tuple[str, str]] = []
    examples = [damaged.example(seed, 32, broken) for seed in range(20)]
    assert len(examples) == 20 and broken
    assert all(label == "gopro train deblur" for label, _ in broken)
    lines = told(broken)
    assert len(lines) == 1 and f"1 broken records met {len(broken)} times" in lines[0] and ".png" in lines[0]
    hit = []
    for seed in range(20):  # the same again, whatever was met before
        found: list[tuple[str, str]] = []
        example = damaged.example(seed, 32, found)
        np.testing.assert_array_equal(example.source, examples[seed].source)
        hit += found
    assert hit == broken


def test_a_broken_record_is_fatal_by_policy(data, tmp_path):
    folder = tmp_path / "gopro"
    shutil.copytree(data / "gopro", folder)
    opened = open_sources([Source("gopro", str(folder))], on_broken="raise").opened[0]
    file = opened.reader.path(opened.reader.rows[0]["image"])
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BrokenRecord, match=f"{file.name}, gopro train deblur, .*cut off"):
        for seed in range(20):  # where it is drawn
            opened.example(seed, 32, [])
    file.unlink()
    with pytest.raises(BrokenRecord, match="gopro train deblur, .*missing"):  # where the index names it
        open_sources([Source("gopro", str(folder), optional=True)], on_broken="raise")
    shutil.copytree(data / "gopro", tmp_path / "other")
    shutil.rmtree(next((tmp_path / "other" / "test").glob("*/sharp")))
    whole = [Source("gopro", str(tmp_path / "other"))]
    with pytest.raises(BrokenRecord, match="gopro test deblur"):
        held_out(whole, 2, 32, "raise")


def test_a_source_without_a_whole_record_is_given_up_with_its_name(damaged):
    for row in damaged.reader.rows:
        damaged.reader.path(row["target"]).write_bytes(b"no picture")
    with pytest.raises(BrokenRecord, match=r"gopro train deblur.*in a row cannot be read.*data check"):
        damaged.example(0, 32, [])


def test_words_that_no_template_takes_are_a_broken_record(data, monkeypatch):
    opened = one(data, "refcoco")
    real = opened.reader.record

    def empty(index, rng=None):
        record = real(index, rng)
        return record if index else type(record)(record.image, ("...",), record.target)

    monkeypatch.setattr(opened.reader, "record", empty)
    broken: list[tuple[str, str]] = []
    for seed in range(30):
        opened.example(seed, 32, broken)
    assert broken and all("a subject is empty" in text for _, text in broken)


# What samples depend on


def test_the_key_holds_what_samples_depend_on_and_not_the_place(data, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(data / "refcoco", moved / "refcoco")
    base = open_sources([source(data, "refcoco")]).key()
    assert open_sources([source(moved, "refcoco")]).key() == base
    for change in ({"split": "val"}, {"weight": 2.0}):
        assert open_sources([source(data, "refcoco", **change)]).key() != base
    shutil.copytree(data / "gopro", moved / "gopro")
    before = open_sources([source(moved, "gopro")]).key()
    pair = one(moved, "gopro").reader.rows[0]
    for part in ("image", "target"):  # as many records, of other names
        path = moved / "gopro" / pair[part]
        path.rename(path.with_stem("renamed"))
    after = open_sources([source(moved, "gopro")]).key()
    assert after != before and after[0][:5] == before[0][:5]


# Held-out records


def test_validation_looks_at_splits_that_are_not_trained_on(data):
    examples, notes = held_out(
        [source(data, "refcoco"), source(data, "gopro"), source(data, "sidd-cut")], 2, 64
    )
    assert {"refcoco val refer", "gopro test deblur"} <= set(examples)
    assert len(examples) + len(notes) == 3
    for label, group in examples.items():
        assert 1 <= len(group) <= 2 and group[0].source.shape == (64, 64, 3)
        assert label.split()[-1] == group[0].instruction.task
    again, _ = held_out([source(data, "refcoco")], 2, 64)
    np.testing.assert_array_equal(
        again["refcoco val refer"][0].source, examples["refcoco val refer"][0].source
    )


def test_broken_records_of_a_held_out_split_are_named_and_told(data, tmp_path):
    """One that its index names, and one that is met when its turn comes."""
    shutil.copytree(data / "gopro", tmp_path / "gopro")
    first, second = sorted((tmp_path / "gopro" / "test").glob("*/blur/*"))
    sharp = first.parents[1] / "sharp"
    for folder in (first.parent, sharp):  # a third pair, which stays whole
        shutil.copy(folder / first.name, folder / "000099.png")
    (sharp / first.name).unlink()
    second.write_bytes(b"no picture")
    broken: list[tuple[str, str]] = []
    _, notes = held_out([source(tmp_path, "gopro")], 20, 32, broken=broken)
    assert {label for label, _ in broken} == {"gopro test deblur"}
    assert all(any(path.name in text for _, text in broken) for path in (first, second))
    assert sum("gopro test deblur" in note for note in notes) == 2


def test_sources_without_a_held_out_split_are_named(data, tmp_path):
    shutil.copytree(data / "gopro", tmp_path / "gopro")
    shutil.rmtree(tmp_path / "gopro" / "test")
    examples, notes = held_out([source(tmp_path, "gopro")], 2, 64)
    assert examples == {} and notes == [
        "gopro train deblur has no held-out split on disk: it is not validated"
    ]


def test_an_open_source_is_small_to_send(data):
    assert len(pickle.dumps(one(data, "coco-stuff"))) < 5000
    assert isinstance(pickle.loads(pickle.dumps(one(data, "gopro"))), OpenSource)
