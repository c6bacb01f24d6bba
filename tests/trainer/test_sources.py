"""Training on datasets on disk: paper.yaml, the pool of their samples, and whole runs that resume exactly."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from instructdiffusion import versions
from instructdiffusion.cli import main
from instructdiffusion.datasets.fixtures import FIXTURES, write_fixture
from instructdiffusion.datasets.readers import BrokenRecord, LayoutMissing
from instructdiffusion.datasets.readers.problems import Problem
from instructdiffusion.datasets.sources import OpenSource, Source, open_sources
from instructdiffusion.models.loading import load_components
from instructdiffusion.trainer import pool as module
from instructdiffusion.trainer.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    load_config,
    to_dict,
)
from instructdiffusion.trainer.loop import train
from instructdiffusion.trainer.pool import TASK_NAMES, Pool, pool_folder
from instructdiffusion.trainer.skipped import skipped_records, summary
from instructdiffusion.versions import samples_version

PAPER = Path(__file__).parents[2] / "training" / "configs" / "paper.yaml"
WEIGHTS = {  # the published ones
    "coco": 1, "crowdpose": 1, "mpii": 1, "aic": 0.1, "coco-stuff": 1, "grefcoco": 1, "refcoco": 1, "gopro": 2,
    "reds": 0.2, "sidd": 20, "clwd": 0.2, "instructpix2pix": 0.2, "magicbrush": 1, "gier": 2, "gqa-inpaint": 1,
    "phrasecut": 1, "ieiw": 1,
}  # fmt: skip
SMALL = ("gopro", "refcoco", "coco")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(autouse=True, scope="module")
def surroundings(tmp_path_factory):
    """On the CPU, where exactness is promised; indices in a folder of the tests' own, not flushed to the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        patch.setenv("INSTRUCTDIFFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    for name in SMALL:
        write_fixture(name, base / name)
    return base


def sources(data, *names, **options):
    return tuple(Source(name, str(data / name), **options) for name in names or SMALL)


def run(output, init, data, **changes):
    settings = {"sources": sources(data), "pool": 16, "workers": 0, "size": 64} | changes
    return TrainConfig(
        "instruct",
        str(output),
        2,
        init=str(init),
        batch_size=4,
        warmup=0,
        learning_rate=1e-3,
        validate_samples=2,
        checkpoint_every=1,
        model=ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1),
        data=DataConfig(**settings),
        loss=LossConfig(drop_text=0.2, drop_image=0.2),
    )


# The config


def test_the_papers_config_names_its_data_sets_with_their_weights():
    config = load_config(PAPER)
    assert {s.dataset: s.weight for s in config.data.sources} == WEIGHTS
    assert all(s.optional and s.split == "train" for s in config.data.sources)
    assert all(s.root == f"${{DATA}}/{s.dataset}" for s in config.data.sources)
    assert config.data.mixture == {} and config.data.size == 256 and config.stage == "instruct"
    assert (config.loss.prediction, config.learning_rate, config.ema_decay) == ("epsilon", 1e-4, 0.9999)
    assert (config.loss.drop_text, config.loss.drop_image) == (0.075, 0.075)
    assert set(config.data.tasks) == {
        "keypoints", "segment", "refer", "deblur", "denoise", "dewatermark", "edit"
    }  # fmt: skip


def test_the_papers_data_sets_are_all_read_where_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", str(tmp_path))
    for name in WEIGHTS:
        write_fixture(name if name in FIXTURES else f"{name}-flat", tmp_path / name)
    found = open_sources(load_config(PAPER).data.sources)
    assert [s.source.dataset for s in found.opened] == list(WEIGHTS) and found.notes == ()
    for opened in found.opened:
        broken: list[tuple[str, str]] = []
        example = opened.example(1, 64, broken)
        assert example.source.shape == example.target.shape == (64, 64, 3) and not broken
    shutil.rmtree(tmp_path / "sidd")
    found = open_sources(load_config(PAPER).data.sources)
    assert len(found.opened) == len(WEIGHTS) - 1 and "sidd train denoise is left out" in found.notes[0]


def test_sources_are_read_from_yaml_and_survive_plain_data(tmp_path):
    values = {"stage": "instruct", "output": "out", "steps": 1}
    path = tmp_path / "run.yaml"

    def load(**data):
        path.write_text(yaml.safe_dump({**values, "data": data}))
        return load_config(path).data

    entry = {"dataset": "refcoco", "root": "${DATA}/refcoco", "weight": 2.0, "optional": True}
    data = load(sources=[entry])
    assert data.sources == (Source("refcoco", "${DATA}/refcoco", weight=2.0, optional=True),)
    assert data.mixture == {} and data.tasks == ("refer",)
    assert load(sources=[entry], mixture={"edit": 1}).tasks == ("edit", "refer")
    assert load().mixture == {"segment": 1.0}
    plain = json.loads(json.dumps(to_dict(load_config(path))))
    assert load(**plain["data"]) == load_config(path).data
    assert load(**json.loads(json.dumps(dataclasses.asdict(data)))) == data


@pytest.mark.parametrize(
    ("stage", "data", "message"),
    [
        (
            "instruct",
            {"sources": [{"dataset": "refcoco", "rot": "x"}]},
            r"unknown field data\.sources\[0\]\.'rot'",
        ),
        ("instruct", {"sources": [{"dataset": "refcoco"}]}, r"missing field data\.sources\[0\]\.'root'"),
        ("instruct", {"sources": ["refcoco"]}, r"expected a mapping at data\.sources\[0\]"),
        ("instruct", {"sources": {"refcoco": 1}}, "expected `data.sources` to be a list"),
        ("instruct", {"sources": [{"dataset": "cocoa", "root": "x"}]}, "unknown dataset 'cocoa'"),
        ("instruct", {"scenes_share": 2}, "scenes_share"),
        ("instruct", {"on_broken": "ignore"}, "`data.on_broken` to be one of skip, raise, got 'ignore'"),
        ("instruct", {"mixture": {}, "sources": []}, "at least one task"),
        ("vae", {"sources": [{"dataset": "refcoco", "root": "x"}]}, "stage vae"),
    ],
)
def test_a_wrong_entry_is_named(stage, data, message, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"stage": stage, "output": "out", "steps": 1, "data": data}))
    with pytest.raises(ValueError, match=message):
        load_config(path)


# The pool


def test_a_sample_of_the_pool_is_the_sources_own(data, start_folder, tmp_path):
    from transformers import CLIPTokenizer

    settings = DataConfig(
        sources=sources(data, "refcoco", "gopro"), mixture={"edit": 1}, level=0, pool=12, workers=0
    )
    pool = Pool(tmp_path, settings, start_folder, quiet=True)
    assert len(pool) == 12 and pool.broken == []
    mixture = module.PoolSource(settings, "", "", open_sources(settings.sources)).mixture()
    tokenizer = CLIPTokenizer.from_pretrained(start_folder / "tokenizer")
    kinds = set()
    for index in range(12):
        drawn, seed = mixture.pick(settings.seed, index)
        if isinstance(drawn, str):
            example = module.make_example(drawn, seed, size=64, level=0)
        else:
            example = drawn.example(seed, 64, [])
        sample = pool.take(np.array([index]))
        assert TASK_NAMES[int(sample["task"])] == example.instruction.task
        assert sample["text"].tolist() == module.tokenize(tokenizer, [example.instruction.text]).tolist()
        kinds.add(example.instruction.task)
    assert "edit" in kinds and kinds & {"refer", "deblur"}
    again = Pool(tmp_path, settings, start_folder, quiet=True)
    assert all(torch.equal(again.parts[k], v) for k, v in pool.parts.items())


def test_other_sources_have_another_folder(data, start_folder, tmp_path):
    settings = DataConfig(mixture={"segment": 1}, pool=4)
    scenes = pool_folder(tmp_path, settings, start_folder)
    seen = {scenes}
    for entries in (
        sources(data, "refcoco"),
        sources(data, "refcoco", weight=2.0),
        sources(data, "refcoco", split="val"),
        sources(data, "gopro"),
        sources(data, "refcoco", "gopro"),
    ):
        for share in (0.5, 0.25):
            other = dataclasses.replace(settings, sources=entries, scenes_share=share)
            seen.add(pool_folder(tmp_path, other, start_folder, open_sources(entries)))
    assert len(seen) == 11


def test_scenes_do_not_depend_on_the_version_of_sources(monkeypatch):
    scenes, read = samples_version(), samples_version(sources=True)
    monkeypatch.setattr(versions, "SOURCES", versions.SOURCES + 1)
    assert samples_version() == scenes and samples_version(sources=True) != read


def test_broken_records_are_counted_and_told(data, start_folder, tmp_path, capsys):
    shutil.copytree(data / "gopro", tmp_path / "gopro")
    reader = open_sources(sources(tmp_path, "gopro")).opened[0].reader
    reader.path(reader.rows[0]["image"]).write_bytes(b"no picture")
    settings = DataConfig(sources=sources(tmp_path, "gopro"), pool=16, workers=0)
    pool = Pool(tmp_path, settings, start_folder)
    assert len(pool) == 16 and pool.broken
    said = capsys.readouterr()
    assert f"1 broken records met {len(pool.broken)} times" in said.out + said.err
    assert Pool(tmp_path, settings, start_folder, quiet=True).broken == pool.broken  # read from the shards


def test_a_broken_record_ends_the_run_where_the_config_says_so(data, start_folder, tmp_path):
    shutil.copytree(data / "gopro", tmp_path / "gopro")
    reader = open_sources(sources(tmp_path, "gopro")).opened[0].reader
    settings = DataConfig(sources=sources(tmp_path, "gopro"), pool=16, workers=0, on_broken="raise")
    assert not Pool(tmp_path / "whole", settings, start_folder, quiet=True).broken
    reader.path(reader.rows[0]["image"]).write_bytes(b"no picture")
    skipping = dataclasses.replace(settings, on_broken="skip")
    for folder in ("new", "made"):
        if folder == "made":  # its samples lie there already: they are refused as well
            Pool(tmp_path / folder, skipping, start_folder, quiet=True)
        with pytest.raises(
            BrokenRecord, match=f"gopro train deblur(.|\n)*{Path(reader.rows[0]['image']).name}"
        ):
            Pool(tmp_path / folder, settings, start_folder, quiet=True)


def test_large_vocabularies_fit(monkeypatch, data, start_folder, tmp_path):
    """CLIP's last token is 49407: more than 16 bits hold."""
    monkeypatch.setattr(module, "tokenize", lambda tokenizer, texts: torch.full((len(texts), 77), 49407))
    monkeypatch.setattr("transformers.CLIPTokenizer.__len__", lambda self: 49408)
    module._CACHE.clear()
    pool = Pool(
        tmp_path, DataConfig(sources=sources(data, "gopro"), pool=2, workers=0), start_folder, quiet=True
    )
    assert pool.take(np.array([0]))["text"].unique().tolist() == [49407]


# Whole runs


def weights(output):
    return {p.name: p.read_bytes() for p in (output / "model" / "unet").iterdir()}


def test_two_steps_on_datasets_give_a_model_and_a_resumed_run_the_same(data, generator_folder, tmp_path):
    whole = train(run(tmp_path / "whole", generator_folder, data), quiet=True)
    model = load_components(whole / "model")
    assert model.unet.config.in_channels == 8
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert {"refcoco val refer", "gopro test deblur"} <= lines[-1].keys()
    config = run(tmp_path / "broken", generator_folder, data)
    train(config, stop_at=1, quiet=True)
    train(config, resume=True, quiet=True)
    assert weights(tmp_path / "broken") == weights(whole)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_that_skipped_broken_records_names_them_and_fails_if_told(
    resumed, data, generator_folder, tmp_path, capsys
):
    """A record is broken when its turn comes; the model is written all the same."""
    for name in ("gopro", "refcoco"):
        shutil.copytree(data / name, tmp_path / name)
    reader = open_sources(sources(tmp_path, "gopro")).opened[0].reader
    blurred = reader.path(reader.rows[0]["image"])
    blurred.write_bytes(b"no picture")
    config = run(tmp_path / "out", generator_folder, tmp_path, sources=sources(tmp_path, "gopro", "refcoco"))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))))
    command = ["train", "--config", str(path)]
    if resumed:
        assert main([*command, "--stop-at", "1"]) == 0
        assert not (tmp_path / "out" / "model").exists()
        capsys.readouterr()
    end = ["--resume"] if resumed else ["--fail-on-broken"]
    assert main([*command, *end]) == int(not resumed)
    assert (tmp_path / "out" / "model" / "unet").is_dir()
    said = capsys.readouterr()
    assert "gopro train deblur: 1 broken record was skipped: " in said.err and blurred.name in said.err
    assert "refcoco" not in said.err.partition("was skipped")[2]
    assert said.out.splitlines()[-1] == f"done: {tmp_path / 'out'}, without the broken records above"


def test_broken_records_that_only_validation_looks_at_count_too(data, generator_folder, tmp_path, capsys):
    shutil.copytree(data / "gopro", tmp_path / "gopro")
    damaged, whole = sorted((tmp_path / "gopro" / "test").glob("*/blur/*"))
    damaged.write_bytes(b"no picture")
    config = run(tmp_path / "out", generator_folder, tmp_path, sources=sources(tmp_path, "gopro"))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))))
    assert main(["train", "--config", str(path), "--fail-on-broken"]) == 1
    said = capsys.readouterr().err
    assert "gopro test deblur: 1 broken record was skipped: " in said and damaged.name in said
    assert whole.name not in said.partition("was skipped")[2]


def test_a_run_whose_records_are_whole_ends_with_0(data, generator_folder, tmp_path, capsys):
    config = run(tmp_path / "out", generator_folder, data, sources=sources(data, "gopro"))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))))
    assert main(["train", "--config", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"done: {tmp_path / 'out'}"


def test_what_an_index_names_is_counted_with_what_was_met():
    reader = SimpleNamespace(problems=[Problem("a.json", "7", "no box")])
    opened = OpenSource(SimpleNamespace(label="coco train"), reader)
    met = [("gopro train", f"{n}.png: not a picture\nat all") for n in (3, 1, 3, 2, 5)]
    pool = SimpleNamespace(sources=SimpleNamespace(opened=(opened,)), broken=met)
    assert summary(skipped_records(pool)) == [
        "coco train: 1 broken record was skipped: a.json, 7: no box",
        "gopro train: 4 broken records were skipped: 3.png: not a picture; 1.png: not a picture; "
        "2.png: not a picture; 1 more",
    ]
    assert summary(skipped_records(SimpleNamespace(sources=None, broken=[]))) == []


@pytest.mark.slow
def test_the_papers_config_trains_on_whatever_is_there(generator_folder, tmp_path, monkeypatch, capsys):
    """All of its data sets but two, smaller: two steps give a model, and a sample of every kind was seen."""
    there = [name for name in WEIGHTS if name not in ("sidd", "mpii")]
    monkeypatch.setenv("DATA", str(tmp_path))
    for name in there:
        write_fixture(name, tmp_path / name)
    paper = load_config(PAPER)
    config = dataclasses.replace(
        paper,
        output=str(tmp_path / "out"),
        init=str(generator_folder),
        steps=2,
        batch_size=4,
        validate_samples=2,
        model=ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1),
        data=dataclasses.replace(paper.data, pool=64, workers=0, size=64),
    )
    output = train(config)
    model = load_components(output / "model")
    assert (model.unet.config.in_channels, model.prediction_type) == (8, "epsilon")
    drawn = [json.loads((output / "sources.json").read_text())[n][0] for n in range(len(there))]
    assert sorted(drawn) == sorted(there)
    said = capsys.readouterr()
    assert "sidd train denoise is left out" in said.out + said.err
    assert "mpii train keypoints is left out" in said.out + said.err
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 2 and {"refcoco val refer", "gopro test deblur"} <= lines[-1].keys()
    assert all(np.isfinite(v) for v in lines[-1].values() if isinstance(v, float))
    pool = Pool(tmp_path, config.data, Path(generator_folder), quiet=True)  # the one that was trained on
    seen = {TASK_NAMES[int(n)] for n in pool.parts["task"]}
    assert {"keypoints", "refer", "edit"} <= seen <= set(paper.data.tasks) - {"denoise"}


def test_a_run_is_not_resumed_on_other_datasets(data, generator_folder, tmp_path):
    base = tmp_path / "data"
    for name in ("gopro", "refcoco"):
        shutil.copytree(data / name, base / name)
    config = run(
        tmp_path / "out", generator_folder, base, sources=sources(base, "gopro", "refcoco", optional=True)
    )
    train(config, stop_at=1, quiet=True)
    shutil.move(base / "refcoco", tmp_path / "aside")
    with pytest.raises(ValueError, match="began with other data sets; gone or changed: refcoco train refer;"):
        train(config, resume=True, quiet=True)
    shutil.move(tmp_path / "aside", base / "refcoco")
    train(config, resume=True, quiet=True)
    assert (tmp_path / "out" / "model").is_dir()


def test_a_run_without_any_dataset_says_so(generator_folder, tmp_path):
    config = run(tmp_path / "out", generator_folder, tmp_path, sources=sources(tmp_path, optional=True))
    with pytest.raises(LayoutMissing, match="nothing to train on"):
        train(config, quiet=True)
