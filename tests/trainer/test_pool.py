"""The pool: made once, the same whoever makes it, and nothing but encoded examples."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from instructdiffusion import versions
from instructdiffusion.datasets.mixture import Mixture
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.tasks import get_task
from instructdiffusion.trainer import pool as module
from instructdiffusion.trainer import pool_folder as pool_places
from instructdiffusion.trainer.config import DataConfig
from instructdiffusion.trainer.pool import TASK_NAMES, Pool, marked_caption, pool_folder, tokenize
from instructdiffusion.versions import samples_version

DATA = DataConfig(mixture={"segment": 1, "edit": 1}, level=0, pool=24, workers=0)


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_places, "SHARD", 16)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def pool(small, root, start_folder):
    return Pool(root, DATA, start_folder, quiet=True)


def test_a_sample_is_its_encoded_example(pool, start_folder):
    from diffusers import AutoencoderKL
    from transformers import CLIPTokenizer

    from instructdiffusion.trainer.vae_stage import to_tensor

    assert len(pool) == 24
    index = 19  # in the second shard
    task, seed = Mixture(DATA.mixture).pick(DATA.seed, index)
    example = make_example(task, seed, level=0)
    sample = pool.take(np.array([index]))
    vae = AutoencoderKL.from_pretrained(start_folder / "vae").eval()
    for key in ("source", "target"):
        with torch.no_grad():
            latents = vae.encode(to_tensor(getattr(example, key)[None])).latent_dist.mode()
        torch.testing.assert_close(sample[key], latents, atol=5e-3, rtol=2e-3)  # kept in half precision
        assert sample[key].dtype == torch.float32 and sample[key].shape == (1, 4, 16, 16)
    tokenizer = CLIPTokenizer.from_pretrained(start_folder / "tokenizer")
    texts = {
        "text": example.instruction.text,
        "caption": example.record.caption,
        "marked": marked_caption(example.record.caption, example.instruction),
    }
    for key, text in texts.items():
        assert sample[key].tolist() == tokenize(tokenizer, [text]).tolist()
    assert TASK_NAMES[int(sample["task"])] == task


def test_a_second_pool_reads_what_the_first_wrote(pool, root, start_folder, monkeypatch):
    monkeypatch.setattr(module, "make_example", lambda *_, **__: pytest.fail("made again"))
    again = Pool(root, DATA, start_folder, quiet=True)
    assert all(torch.equal(value, pool.parts[key]) for key, value in again.parts.items())


def test_only_a_lost_shard_is_made_again_and_leftovers_go(pool, root, start_folder):
    folder = pool_folder(root, DATA, start_folder)
    lost = folder / "shard-00001.safetensors"
    before, kept = lost.read_bytes(), (folder / "shard-00000.safetensors").stat().st_mtime_ns
    lost.unlink()
    leftover = folder / ".shard-00001.safetensors.123"
    young = folder / ".shard-00001.safetensors.124"  # another run may be writing it
    for path in (leftover, young):
        path.write_bytes(b"half")
    os.utime(leftover, (time.time() - 2 * 3600,) * 2)
    Pool(root, DATA, start_folder, quiet=True)
    assert lost.read_bytes() == before and not leftover.exists() and young.exists()
    assert (folder / "shard-00000.safetensors").stat().st_mtime_ns == kept


def test_a_larger_pool_begins_with_the_smaller(pool, root, start_folder):
    larger = Pool(
        root, DataConfig(mixture=DATA.mixture, level=0, pool=40, workers=0), start_folder, quiet=True
    )
    assert len(larger) == 40
    assert all(torch.equal(larger.parts[key][:24], value) for key, value in pool.parts.items())


def test_other_settings_or_weights_have_another_folder(root, start_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(start_folder, other)
    here = pool_folder(root, DATA, start_folder)
    assert pool_folder(root, DATA, other) == here  # the place of the components does not matter
    merges = other / "tokenizer" / "merges.txt"
    merges.write_text(merges.read_text() + "x y\n")
    assert pool_folder(root, DATA, other) != here
    for change in (
        {"seed": 1},
        {"level": 1},
        {"size": 128},
        {"mixture": {"segment": 1}},
        {"absent": 0.5},
        {"zoom": 0.5},
        {"wordings": 2},
    ):
        settings = {"mixture": DATA.mixture, "level": 0, "pool": 24} | change
        assert pool_folder(root, DataConfig(**settings), start_folder) != here
    turned = dict(reversed(DATA.mixture.items()))  # deals out other samples
    assert pool_folder(root, DataConfig(mixture=turned, level=0, pool=24), start_folder) != here


def test_a_share_of_the_scenes_asks_for_what_is_not_there(start_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_places, "SHARD", 64)
    data = DataConfig(mixture={"segment": 1, "denoise": 1}, level=(0, 1), pool=64, absent=0.5, workers=0)
    parts, _ = module.draw_shard(module.PoolSource(data, str(start_folder), str(tmp_path)), 0)
    told = [data.lacks(*Mixture(data.mixture).pick(data.seed, index)) for index in range(64)]
    empty = (parts["source"] == parts["target"]).all((1, 2, 3))
    assert 8 <= sum(told) <= 24 and empty[told].all()
    tasks = np.array(TASK_NAMES)[parts["task"]]
    assert not any(tasks[told] == "denoise") and empty.sum() < 40


def test_a_share_of_what_is_restored_is_seen_twice_as_near(start_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_places, "SHARD", 64)
    plain = DataConfig(mixture={"segment": 1, "deblur": 1}, level=0, pool=64, workers=0)
    near = replace(plain, zoom=0.5)
    a, b = (
        module.draw_shard(module.PoolSource(d, str(start_folder), str(tmp_path)), 0)[0] for d in (plain, near)
    )
    other = (a["source"] != b["source"]).any((1, 2, 3))
    told = [near.zooms(*Mixture(near.mixture).pick(near.seed, index)) for index in range(64)]
    assert 8 <= sum(told) <= 24 and (other == told).all()
    assert set(np.array(TASK_NAMES)[a["task"]][told]) == {"deblur"} and (a["text"] == b["text"]).all()


def test_a_sample_can_be_asked_for_in_several_ways(pool, root, start_folder):
    worded = Pool(root, replace(DATA, wordings=4), start_folder, quiet=True)
    assert all(torch.equal(value, pool.parts[key]) for key, value in worded.parts.items() if key != "others")
    others = worded.parts["others"]
    assert others.shape == (24, 3, *pool.parts["text"].shape[1:])
    ways = torch.cat([worded.parts["text"][:, None], others], 1)
    assert sum(len(set(map(tuple, w.tolist()))) >= 3 for w in ways) >= 20
    assert worded.take(np.array([5]))["others"].dtype == torch.int64


def test_words_that_are_too_many_are_left_as_they_were(start_folder, tmp_path, monkeypatch):
    data = replace(DATA, wordings=2, pool=4)
    monkeypatch.setattr(module, "reworded", lambda *_: "the star " * 48)
    parts, _ = module.draw_shard(module.PoolSource(data, str(start_folder), str(tmp_path)), 0)
    assert (parts["others"][:, 0] == parts["text"]).all()


def test_other_samples_have_another_folder(root, start_folder, monkeypatch):
    here = pool_folder(root, DATA, start_folder)
    monkeypatch.setattr(versions, "SAMPLES", versions.SAMPLES + 1)
    assert pool_folder(root, DATA, start_folder) != here


def test_pools_from_before_versions_are_found_again():
    """The digests of the source files that version 1 stands for; a run that began with such a pool goes on."""
    assert samples_version().startswith("73cb496572b9") or versions.SAMPLES > 1
    assert samples_version(sources=True).startswith("a76c641282a5") or (versions.SAMPLES, versions.SOURCES) != (1, 1)


def test_an_empty_pool_and_a_full_disk_are_refused(tmp_path, start_folder, monkeypatch):
    with pytest.raises(ValueError, match=r"data\.pool"):
        Pool(tmp_path, DataConfig(pool=0), start_folder, quiet=True)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(OSError, match="make room"):
        Pool(tmp_path, DATA, start_folder, quiet=True)


def test_captions_of_marked_pictures_say_what_is_drawn():
    points = get_task("keypoints").instruct(["the nose", "the left eye"], ["red", "blue"])
    assert marked_caption("a face", points) == "a face, with a red circle and a blue circle drawn on it"
    mask = get_task("segment").instruct("the star", ["white"])
    assert marked_caption("a star", mask) == "a star, with a white mask drawn on it"
    assert marked_caption("a star", get_task("denoise").instruct(None)) == "a star"


def test_tokens_are_padded_and_cut_to_the_text_length(start_folder):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(start_folder / "tokenizer")
    ids = tokenize(tokenizer, ["", "star", "star " * 200])
    assert ids.shape == (3, 48) and ids.dtype == torch.int64
    assert ids[0].tolist() == [0] + [1] * 47  # begin, then end, which pads
    assert ids[2, -1] == 1
