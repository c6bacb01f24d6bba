"""The compositor: a mixture of three pictures, pixel by pixel; and the weights that ship."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import nn

from instructdiffusion.compositing import learned as module
from instructdiffusion.compositing.learned import (
    LEARNED,
    REACH,
    SHIPPED,
    STATISTICS,
    Compositor,
    candidates,
    compositor_hash,
    lay,
    load_compositor,
    shipped_compositor,
    statistics,
)
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.request import asked_settings
from instructdiffusion.imaging.psnr import psnr
from instructdiffusion.pipeline import InstructDiffusion
from instructdiffusion.settings import Settings, read_settings

SIZES = [(1, 1), (3, 5), (64, 64), (37, 90)]


@pytest.fixture()
def stirred() -> Compositor:
    """A compositor of random weights that has an opinion."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Compositor()
        for parameter in net.parameters():
            nn.init.normal_(parameter, 0, 0.3)
    return net.eval().requires_grad_(False)


def drawn(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(source uint8, edit, copy) of noise."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, (*size, 3), np.uint8)
    return source, rng.random((*size, 3), np.float32), rng.random((*size, 3), np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", LEARNED)
def test_any_size_is_laid(size, task, stirred):
    source, edited, copy = drawn(size)
    seen = statistics(candidates(source, edited, copy))
    assert seen.shape == (*size, STATISTICS) and seen.dtype == np.float32 and np.isfinite(seen).all()
    laid = lay(task, source, edited, copy, stirred)
    assert laid.shape == source.shape and laid.dtype == np.uint8


@pytest.mark.parametrize("task", LEARNED)
def test_it_paints_nothing_of_its_own(task, stirred):
    """Every pixel lies between those of the three pictures; and none is simply one of them."""
    source, edited, copy = drawn((32, 32))
    three = np.clip(np.stack(candidates(source, edited, copy)), 0, 1) * 255
    laid = lay(task, source, edited, copy, stirred).astype(np.float32)
    assert (laid >= three.min(axis=0) - 0.51).all() and (laid <= three.max(axis=0) + 0.51).all()
    for picture in three[:2]:
        assert np.abs(laid - picture).mean() > 1


def test_shares_are_shares(stirred):
    seen = torch.randn(5, 7, STATISTICS)
    for task in LEARNED:
        shares = stirred.shares(task, seen)
        assert shares.shape == (5, 7, 2) and bool((shares >= 0).all()) and bool((shares.sum(-1) <= 1).all())


def test_blocks_leave_no_seam(stirred, monkeypatch):
    source, edited, copy = drawn((90, 117))
    whole = lay("dewatermark", source, edited, copy, stirred)
    for block in (32, 50):
        monkeypatch.setattr(module, "BLOCK", block)
        assert np.abs(lay("dewatermark", source, edited, copy, stirred).astype(int) - whole).max() <= 1


def test_blocks_side_by_side_give_what_they_give_one_by_one(stirred, monkeypatch):
    source, edited, copy = drawn((90, 117))
    monkeypatch.setattr(module, "BLOCK", 32)
    laid = []
    for threads in (1, 3):
        monkeypatch.setattr(module.torch, "get_num_threads", lambda threads=threads: threads)
        laid.append(lay("edit", source, edited, copy, stirred))
    np.testing.assert_array_equal(*laid)


def test_what_is_far_away_does_not_count(stirred):
    source, edited, copy = drawn((8, 120))
    laid = lay("edit", source, edited, copy, stirred)
    edited[:, -20:] = 0
    again = lay("edit", source, edited, copy, stirred)
    kept = 120 - 20 - REACH
    np.testing.assert_array_equal(laid[:, :kept], again[:, :kept])
    assert (laid[:, -20:] != again[:, -20:]).any()


def test_a_larger_source_keeps_its_size_and_detail(stirred):
    source, edited, copy = drawn((128, 96))
    laid = lay("edit", source, edited[::2, ::2], copy[::2, ::2], stirred)
    assert laid.shape == source.shape
    assert (laid != source).any()
    # Where the model changed nothing the source stays, however little its autoencoder copied of it.
    np.testing.assert_array_equal(lay("edit", source, copy[::2, ::2], copy[::2, ::2]), source)
    small = lay("dewatermark", source[::2, ::2], edited, copy, stirred)  # seen enlarged, as `zoom` does
    assert small.shape == (64, 48, 3)


def test_an_edit_and_a_copy_of_other_sizes_are_refused():
    source, edited, copy = drawn((8, 8))
    with pytest.raises(ValueError, match="must have one size"):
        lay("edit", source, edited, copy[:4])


@pytest.mark.parametrize("task", LEARNED)
def test_where_nothing_was_changed_the_source_stays(task):
    for seed in range(4):
        clean = make_example("edit", seed, split="val").source
        copy = ndimage.gaussian_filter(clean.astype(np.float32) / 255, (0.6, 0.6, 0))
        assert psnr(lay(task, clean, copy, copy), clean) > 45


def test_what_ships_is_small_and_whole():
    assert SHIPPED.stat().st_size <= 100_000 and SHIPPED.suffix == ".safetensors"
    assert shipped_compositor() is shipped_compositor() and not shipped_compositor().training
    assert len(compositor_hash()) == 16


def test_weights_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "compositor.safetensors"
    with pytest.raises(FileNotFoundError, match=r"no compositor's weights .*training/compositor.py.*rules"):
        load_compositor(path)
    whole = SHIPPED.read_bytes()
    for cut in (whole[: len(whole) // 2], whole[:5], b""):
        path.write_bytes(cut)
        with pytest.raises(ValueError, match="cannot be read as safetensors"):
            load_compositor(path)
    weights = load_file(SHIPPED)
    save_file({k: v for k, v in weights.items() if k != "edit.4.bias"}, path)
    with pytest.raises(ValueError, match=r"expected edit.4.bias of \(3,\), got nothing"):
        load_compositor(path)
    save_file({**weights, "edit.4.bias": torch.full((3,), torch.nan)}, path)
    with pytest.raises(ValueError, match="NaN"):
        load_compositor(path)
    torch.save({"edit.4.bias": torch.zeros(3)}, path)  # a pickle is not opened
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_compositor(path)


def test_settings_know_both_ways(tmp_path):
    assert Settings().compose == "rules" and "compose" not in Settings().to_dict()
    assert Settings(compose="learned").to_dict()["compose"] == "learned"
    with pytest.raises(ValueError, match="unknown compose 'magic': choose one of rules, learned"):
        Settings(compose="magic")
    file = tmp_path / "instructdiffusion.json"
    file.write_text(json.dumps({"defaults": {"edit": {"compose": "learned"}}}))
    assert read_settings(tmp_path)["edit"].compose == "learned"
    file.write_text(json.dumps({"defaults": {"segment": {"compose": "learned"}}}))
    with pytest.raises(ValueError, match="for dewatermark and edit: leave 'segment' at 'rules'"):
        read_settings(tmp_path)


@pytest.fixture(scope="module")
def model(model_folder):
    return InstructDiffusion.from_pretrained(model_folder, device="cpu")


def test_a_run_lays_with_it(model, monkeypatch, stirred):
    picture, asked = make_example("dewatermark", 1).source, []
    monkeypatch.setattr(module, "shipped_compositor", lambda: asked.append(1) or stirred)
    ruled = model.remove_watermark(picture)
    for ask in (partial(model.segment, picture, "the star"), partial(model.denoise, picture)):
        np.testing.assert_array_equal(
            ask(compose="learned").picture, ask().picture
        )  # to these it means nothing
    assert not asked and "compose" not in ruled.settings
    learned = model.remove_watermark(picture, compose="learned")
    assert learned.settings["compose"] == "learned" and (learned.picture != ruled.picture).any() and asked
    raw = [model.remove_watermark(picture, preserve_source=False, compose=c).picture for c in ("rules", "learned")]
    np.testing.assert_array_equal(*raw)


def test_a_run_without_its_weights_ends_before_it_begins(model, monkeypatch, tmp_path):
    picture = make_example("edit", 1).source
    monkeypatch.setattr(module, "shipped_compositor", lambda: load_compositor(tmp_path / "gone.safetensors"))
    monkeypatch.setattr(model.backend, "generate", None)
    for ask in (
        lambda: model.edit(picture, "add a red star", compose="learned"),
        lambda: model.check("add a red star", compose="learned"),
    ):
        with pytest.raises(FileNotFoundError, match="no compositor's weights"):
            ask()


def test_an_evaluation_says_which_weights_laid(model):
    assert "compositor" not in asked_settings(model, "edit", {"compose": "rules"})
    assert asked_settings(model, "edit", {"compose": "learned"})["compositor"] == compositor_hash()
