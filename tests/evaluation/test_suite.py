"""Benchmarks of datasets from folder to report: resumed, counted, with gaps and problems named."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from instructdiffusion.decoding import light_unet
from instructdiffusion.decoding.light_unet import refiner_hash
from instructdiffusion.evaluation.metrics.encoders import Aesthetic
from instructdiffusion.evaluation.metrics.extractors import Giqa
from instructdiffusion.evaluation.suite import Asking, evaluate_parts, find_parts, open_parts

QUIET = Asking(quiet=True, batch_size=4, cards=2)


def nothing(instruction, source):
    return source.copy()


@pytest.fixture
def copied(dataset, tmp_path):
    """A copy of a made-up dataset, to damage."""

    def get(name):
        shutil.copytree(dataset(name), tmp_path / "data" / name)
        return tmp_path / "data" / name

    return get


def evaluated(folder, names, model, output, asking=QUIET, splits=None, **options):
    parts, gaps = find_parts(folder, names, None, splits)
    opened, more = open_parts(parts, None, output.parent / "cache", **options)
    return evaluate_parts(model, opened, output, asking, name="mine", gaps={**gaps, **more})


def test_files_say_everything(dataset, drawer, tmp_path):
    outcome = evaluated(dataset("grefcoco"), ["grefcoco"], drawer(nothing), tmp_path / "out")
    assert outcome.good and outcome.cells == {"gRefCOCO": "0.00"} and not outcome.gaps
    data = json.loads((tmp_path / "out" / "results.json").read_text())
    part = data["parts"][0]
    assert data["complete"] and part["answers"] == part["records"] and part["problems"] == []
    alike = {"weights", "samples", "answers", "decoder", "data", "device", "dtype", "prediction", "noise levels"}
    alike |= {"resize mode"}
    assert alike | {"benchmark", "split", "resolution"} <= set(part["settings"])
    whole = {*alike - {"data"}, "GPU", "model", "count", "batch_size", "processes", "resolution"}
    assert whole <= set(data["settings"])
    assert {"instructdiffusion", "python", "torch", "faster-coco-eval"} <= set(data["versions"])
    assert {f["metric"] for f in part["figures"]} == {"cIoU", "gIoU", "IoU above .5", "N-acc", "T-acc"}
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| InstructDiffusion (paper) | 67.36 |\n| mine | 0.00 |" in text and "RefCOCO val" not in text
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.count("<article") == 3 * min(2, part["answers"] // 3) and "67.36" in html


def test_the_decoder_reaches_the_model_and_the_settings(dataset, drawer, tmp_path):
    class Telling(drawer):
        def run(self, *args, **options):
            self.told = options
            return super().run(*args, **options)

    def run(name, decoder):
        model = Telling(nothing)
        asking = Asking(quiet=True, batch_size=4, cards=0, decoder=decoder)
        outcome = evaluated(dataset(name), [name], model, tmp_path / "out", asking)
        return model, outcome.parts[0].settings

    closed, plain = run("grefcoco", "closed")
    assert "decoder" not in closed.told and plain["decoder"] == "closed" and "refiner" not in plain
    unet, settings = run("grefcoco", "unet")  # nothing of the other run is taken
    assert unet.told["decoder"] == "unet" and len(unet.asked) == len(closed.asked) > 0
    assert settings["decoder"] == "unet" and settings["refiner"] == refiner_hash()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["settings"]["decoder"] == "unet"
    assert not run("grefcoco", "unet")[0].asked
    with pytest.raises(ValueError, match="reads masks, and 'deblur' answers with none"):
        run("gopro", "unet")


def test_a_zoom_reaches_restoration_and_nothing_else(dataset, drawer, tmp_path):
    class Telling(drawer):
        def run(self, *args, **options):
            self.told = options
            return super().run(*args, **options)

    def run(name, upscale):
        model = Telling(nothing)
        asking = Asking(quiet=True, batch_size=4, cards=0, upscale=upscale)
        return model, evaluated(dataset(name), [name], model, tmp_path / "out", asking).parts[0].settings

    plain, settings = run("gopro", None)
    assert "upscale" not in plain.told and "upscale" not in settings
    near, settings = run("gopro", 2.0)
    assert near.told["upscale"] == settings["upscale"] == 2.0 and len(near.asked) == len(plain.asked) > 0
    assert not run("gopro", 2.0)[0].asked
    with pytest.raises(ValueError, match="means nothing to refer"):
        run("grefcoco", 2.0)
    assert Asking(upscale=2.0).options("refer") == {}


def test_other_weights_of_the_refiner_are_other_answers(dataset, drawer, tmp_path, monkeypatch):
    asking = Asking(quiet=True, batch_size=4, cards=0, decoder="unet")
    for name in ("0123456789abcdef", "fedcba9876543210"):
        monkeypatch.setattr(light_unet, "refiner_hash", lambda name=name: name)
        model = drawer(nothing)
        evaluated(dataset("grefcoco"), ["grefcoco"], model, tmp_path / "out", asking)
        assert model.asked


class Plane:
    """Features of pictures and words in a plane, for CLIP and for KNN-GIQA."""

    name = "plane"

    def __init__(self, fingerprint="1"):
        self.fingerprint = fingerprint

    def pictures(self, pictures):
        return np.array([[p.mean() + 1, 128.0] for p in pictures])

    def texts(self, texts):
        return np.array([[1.0 + ("a" in t), 1.0] for t in texts])


def head(bias=0.0):
    return Aesthetic(((np.ones((1, 2)), np.array([bias])),))


def reference(first=500.0):
    return np.array([[first, 128.0], [600.0, 128.0]])


MEASURED = {"clip": Plane(), "aesthetic": head(), "giqa": Giqa(Plane(), reference())}


@pytest.mark.parametrize(
    "other",
    [
        {"clip": Plane("2")},
        {"aesthetic": head(1.0)},
        {"giqa": Giqa(Plane(), reference(501.0))},
        {"giqa": Giqa(Plane("2"), reference())},
        {"giqa": Giqa(Plane(), reference(), k=1)},
    ],
)
def test_what_measures_otherwise_under_the_same_name_takes_no_answers_of_before(
    other, dataset, drawer, tmp_path
):
    (entry, folder, split), *_ = find_parts(dataset("editing"), ["editing"])[0]

    def asked(**options):
        model = drawer(nothing)
        asking = Asking(quiet=True, batch_size=4, cards=0)
        benchmark = entry.open(folder, split, cache=tmp_path / "cache", **options)
        outcome = evaluate_parts(model, [(entry, benchmark)], tmp_path / "out", asking)
        return len(model.asked), {f.metric: f.value for f in outcome.parts[0].figures if f.n}

    count, figures = asked(**MEASURED)
    assert count > 0 and asked(**MEASURED) == (0, figures)
    assert asked(**{**MEASURED, **other})[0] == count
    assert asked(**MEASURED) == (0, figures)  # both lie side by side


def test_a_run_goes_on_and_more_records_keep_what_is_there(dataset, drawer, tmp_path):
    def run(count, **changes):
        model = drawer(nothing)
        asking = Asking(quiet=True, batch_size=4, cards=0, count=count, **changes)
        outcome = evaluated(dataset("refcoco"), ["refcoco"], model, tmp_path / "out", asking, ["val"])
        return outcome.parts[0].answers, len(model.asked)

    assert run(2) == (2, 2)
    assert run(2) == (2, 0)
    assert run(None) == (4, 2)  # only the other two
    assert run(3) == (3, 0)
    assert run(2, steps=7) == (2, 2)  # other settings, other answers
    assert run(None) == (4, 0)


def test_progress_goes_to_its_end_and_tells_the_time_left(copied, drawer, tmp_path, capsys):
    folder = copied("refcoco")

    def bar(count):
        asking = Asking(batch_size=3, cards=0, count=count)
        evaluated(folder, ["refcoco"], drawer(nothing), tmp_path / "out", asking, ["val"])
        return capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]

    told = r"refcoco val: 100%.* {0}/{0} \[\d\d:\d\d<\d\d:\d\d, .*record"
    assert re.match(told.format(2), bar(2))
    assert re.match(told.format(4), bar(None))  # two of them were there
    next(iter(sorted(folder.rglob("COCO_train2014_*2.jpg")))).write_bytes(b"no picture")
    shutil.rmtree(tmp_path / "out")
    assert re.match(told.format(4), bar(None))  # what is broken is done with too


def test_pictures_on_the_page_are_kept_between_runs(dataset, drawer, tmp_path):
    first, again = drawer(nothing), drawer(nothing)
    for model in (first, again):
        evaluated(dataset("clwd"), ["clwd"], model, tmp_path / "out")
    assert len(first.asked) > 0 and again.asked == []


def test_what_is_broken_is_named_counted_and_mended(copied, drawer, tmp_path):
    folder = copied("refcoco")
    picture = next(iter(sorted(folder.rglob("COCO_train2014_*2.jpg"))))  # of val
    kept = picture.read_bytes()
    picture.write_bytes(kept[:200])
    outcome = evaluated(folder, ["refcoco"], drawer(nothing), tmp_path / "out", splits=["val"])
    assert not outcome.good and outcome.problems == 4 and outcome.parts[0].answers == 0
    assert all(picture.name in p and "ref " in p for p in outcome.parts[0].problems)
    assert "4 left out" in outcome.text() and picture.name in outcome.text()
    assert picture.name in (tmp_path / "out" / "report.html").read_text()
    picture.write_bytes(kept)
    mended = evaluated(folder, ["refcoco"], drawer(nothing), tmp_path / "out", splits=["val"])
    assert mended.good and mended.parts[0].answers == 4


def test_a_missing_picture_and_a_record_without_annotation(copied, drawer, tmp_path):
    folder = copied("coco")
    path = folder / "annotations" / "person_keypoints_val2017.json"
    data = json.loads(path.read_text())
    del data["annotations"][0]["keypoints"]
    path.write_text(json.dumps(data))
    missing = sorted((folder / "val2017").glob("*.jpg"))[1]
    missing.unlink()
    outcome = evaluated(folder, ["coco"], drawer(nothing), tmp_path / "out")
    part = outcome.parts[0]
    assert not outcome.good and part.answers == 4  # one person is left, asked about in four questions
    text = "\n".join(part.problems)
    assert (
        f"annotation {data['annotations'][0]['id']}" in text
        and missing.name in text
        and len(part.problems) == 3
    )


def test_an_answer_of_another_size_or_with_nan(dataset, drawer, tmp_path):
    class Wrong(drawer):
        def run(self, instruction, image, **options):
            if any("left" in i.text for i in instruction):
                raise FloatingPointError("the autoencoder decodes to NaN")
            return super().run(instruction, image, **options)

        def answer(self, instruction, source):
            return super().answer(instruction, np.ascontiguousarray(source[:-4]))

    outcome = evaluated(dataset("refcoco"), ["refcoco"], Wrong(nothing), tmp_path / "out", splits=["val"])
    assert not outcome.good and outcome.parts[0].answers == 0 and outcome.problems == 4
    text = "\n".join(outcome.parts[0].problems)
    assert text.count("decodes to NaN") == 2 and text.count("the answer is of") == 2


def test_the_whole_suite_names_its_gaps(dataset, tmp_path, drawer):
    for name in ("gopro", "voc", "editing"):
        dataset(name)
    root = tmp_path / "data"
    for name in ("gopro", "voc", "editing"):
        shutil.copytree(dataset(name), root / name)
    parts, gaps = find_parts(root)
    assert [(e.name, p.name, s) for e, p, s in parts] == [
        ("voc", "voc", "val"), ("gopro", "gopro", "test"), ("editing", "editing", "test"),
    ]  # fmt: skip
    opened, more = open_parts(parts, None, tmp_path / "cache", absent=False, clip="no/such", skip=True)
    assert [e.name for e, _ in opened] == ["voc", "gopro"] and set(more) == {"replace", "remove", "add"}
    outcome = evaluate_parts(
        drawer(nothing),
        opened,
        tmp_path / "out",
        QUIET,
        name="mine",
        gaps={**gaps, **more},
        whole_tables=True,
    )
    assert outcome.good  # a gap is no failure
    assert list(outcome.tables()) == [2, 3, 4, 5, 6]
    assert outcome.tables()[5][-1][:5] == ["mine", "-", "-", "-", outcome.cells["GoPro"]]
    text = outcome.text()
    assert "- task names only (Table 6): the paper's ablation is a model of its own" in text
    assert all(f"- {column}: " in text for column in ("COCO", "RefCOCO A", "A-847", "SIDD", "replace"))
    assert "not on this machine" in text and "download: http" in text


def test_every_dash_of_the_tables_has_its_gap(dataset, tmp_path, drawer):
    """Without the benchmark, without its CLIP, and with kinds of edits that it does not have."""
    root = tmp_path / "data"
    for name in ("gopro", "editing"):
        shutil.copytree(dataset(name), root / name)

    def gaps(**options):
        parts, gone = find_parts(root)
        opened, more = open_parts(parts, None, tmp_path / "cache", skip=True, **options)
        outcome = evaluate_parts(
            drawer(nothing), opened, tmp_path / "out", QUIET, gaps={**gone, **more}, whole_tables=True
        )
        for head, *_, own in outcome.tables().values():
            assert {c for c, cell in zip(head[1:], own[1:]) if cell == "-"} <= set(outcome.gaps)
        return outcome.gaps

    assert gaps(clip="none")["remove"] == "no CLIP measured it (--clip)"
    assert "not on this machine" in gaps(clip="no/such")["add"]
    path = root / "editing" / "benchmark.json"
    for entry in (kinds := json.loads(path.read_text())):
        entry["kind"] = "addition"
    path.write_text(json.dumps(kinds))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("instructdiffusion.evaluation.metrics.encoders.load_clip", lambda *_: Plane())
        found = gaps()
    assert found["replace"] == "editing test answered no question of its kind" and "add" not in found
    shutil.rmtree(root / "editing")
    missing = gaps()
    assert all("it is your own: " in missing[kind] for kind in ("replace", "remove", "add"))
    assert "editing" not in missing and "GoPro" not in missing


def test_one_that_needs_clip_says_so(dataset, tmp_path):
    parts, _ = find_parts(dataset("editing"), ["editing"])
    with pytest.raises(OSError, match="or pass --clip none"):
        open_parts(parts, None, tmp_path, clip="no/such")
    opened, gaps = open_parts(parts, None, tmp_path, clip="none")
    assert len(opened) == 1 and not gaps


def test_splits_are_checked(dataset):
    with pytest.raises(ValueError, match="refcoco has the splits train, val, testA, testB; got 'exam'"):
        find_parts(dataset("refcoco"), ["refcoco"], None, ["exam"])
    parts, gaps = find_parts(dataset("voc"), ["coco"])
    assert not parts and "COCO" in gaps["COCO"]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"count": 0}, {"cards": -1}, {"decoder": "magic"}])
def test_bad_askings(options):
    with pytest.raises(ValueError, match="expected"):
        Asking(**options)
