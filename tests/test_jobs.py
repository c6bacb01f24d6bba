"""Jobs: what the editor is given, and how its answers come back to the picture's own size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.compose import to_uint8
from instructdiffusion.jobs import TileNoise
from instructdiffusion.sampling import SeededNoise
from instructdiffusion.tiles import Tile


class Recorder:
    """Stands in for the editor's draw: keeps what it is given and answers with `drawn(copies)`."""

    def __init__(self, drawn):
        self.drawn = drawn
        self.pictures, self.starts, self.noises, self.plans, self.compared = [], [], [], [], []

    def __call__(
        self, pictures, texts, plan, start, noise, *, reconstruct=True, on_step=None, reuse=1, adaptive=None
    ):
        self.pictures += list(pictures)
        self.starts += list(start)
        self.noises += list(noise.step(0, start))
        self.plans.append(plan)
        self.compared.append(reconstruct)
        copies = pictures.astype(np.float32) / 255
        return self.drawn(copies), copies if reconstruct else None


@pytest.fixture
def record(model, monkeypatch):
    def make(drawn=lambda copies: copies):
        recorder = Recorder(drawn)
        monkeypatch.setattr(model.editor, "draw", recorder)
        return recorder

    return make


def test_tiles_share_their_noise_where_they_overlap(model, record):
    recorder = record()
    source = np.random.default_rng(0).integers(0, 256, (64, 112, 3), dtype=np.uint8)
    answer = model.denoise(source, seed=3)
    assert np.array_equal(answer.picture, source)
    left, right = recorder.pictures
    assert np.array_equal(left, source[:, :64]) and np.array_equal(right, source[:, 48:])
    for left, right in (recorder.starts, recorder.noises):
        assert torch.equal(left[:, :, 12:], right[:, :, :4]) and not torch.equal(left, right)
    assert not torch.equal(recorder.starts[0], recorder.noises[0])


def test_a_single_tile_has_the_noise_of_a_whole_picture():
    like = torch.zeros(2, 4, 16, 16)
    fields = [(5, (4, 16, 16)), (6, (4, 16, 16))]
    tiled = TileNoise([Tile(0, 0, 0), Tile(1, 0, 0)], fields, 4).step(1, like)
    assert torch.equal(tiled, SeededNoise([5, 6]).step(1, like))


def test_the_noise_of_a_picture_is_drawn_once_for_all_its_batches(model, monkeypatch):
    from instructdiffusion import jobs

    source = np.random.default_rng(1).integers(0, 256, (64, 160, 3), dtype=np.uint8)
    options = {"steps": 3, "solver": "euler_ancestral", "batch_size": 1}
    drawn = []
    real = jobs.generator
    monkeypatch.setattr(jobs, "generator", lambda seed, draw: drawn.append((seed, draw)) or real(seed, draw))
    kept = model.denoise([source, source], seed=[5, 6], **options)
    assert drawn == [(5, 0), (5, 1), (6, 0), (6, 1)]  # not three times each, for the three tiles
    monkeypatch.setattr(jobs, "KEPT", 0)
    again = model.denoise([source, source], seed=[5, 6], **options)
    assert len(drawn) == 4 + 12
    for one, other in zip(kept, again, strict=True):
        assert np.array_equal(one.picture, other.picture)


def test_tiles_are_counted_as_they_are_done(model, record):
    record()
    told = []
    source = np.full((64, 160, 3), 120, np.uint8)
    model.denoise(source, batch_size=2, on_tile=lambda done, total: told.append((done, total)))
    model.segment(source, "the star", on_tile=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (2, 3), (3, 3)]


def test_a_picture_of_very_many_tiles_is_warned_of(model, record, monkeypatch):
    from instructdiffusion import tiles

    record()
    monkeypatch.setattr(tiles, "MANY", 2)
    small, large = np.full((64, 112, 3), 120, np.uint8), np.full((64, 160, 3), 120, np.uint8)
    model.denoise([small, small])  # many tiles, but few of each: no warning
    with pytest.warns(UserWarning, match="3 tiles of 64x64 pixels .*: pass a smaller picture"):
        model.denoise(large)


def test_tiles_of_several_pictures_go_back_to_their_own(model, record):
    recorder = record(lambda copies: 1 - copies)
    pictures = [np.full((h, w, 3), v, np.uint8) for h, w, v in ((64, 64, 10), (100, 150, 90), (8, 9, 200))]
    answers = model.deblur(pictures, batch_size=4)
    for picture, answer in zip(pictures, answers, strict=True):
        assert answer.picture.shape == picture.shape and (answer.picture == 255 - picture[0, 0, 0]).all()
    assert len(recorder.pictures) == 1 + 2 * 3 + 1


def test_masks_follow_the_edges_of_a_large_picture(model, record):
    """A disc at four times the model's size, marked by the model at its own: the edge is found again."""
    y, x = np.mgrid[:256, :320] + 0.5
    disc = (y - 130) ** 2 + (x - 150) ** 2 < 61**2
    source = np.where(disc[..., None], (60, 150, 60), (200, 180, 160)).astype(np.uint8)

    def drawn(copies):
        share = np.clip((200 / 255 - copies[..., :1]) / (140 / 255), 0, 1)
        return copies + 0.5 * share * (np.float32([1, 0, 0]) - copies)

    record(drawn)
    result = model.refer(source, "the disc", color="red").result
    found = result.union()
    assert found.shape == disc.shape
    assert (found & disc).sum() / (found | disc).sum() > 0.985
    wrong = found != disc
    assert np.abs(np.hypot(y - 130, x - 150) - 61)[wrong].max(initial=0) < 2.5


def test_points_and_boxes_are_scaled_along_each_axis(model, record):
    from instructdiffusion.color import MARK_COLORS
    from instructdiffusion.results import Boxes, Keypoints

    source = np.full((128, 256, 3), 120, np.uint8)
    points = TASKS["keypoints"].instruct("the nose", [MARK_COLORS[0]])
    truth = Keypoints([[[20.25, 41.5]]], [[True]], [[1]], ("the nose",), (64, 64))
    record(lambda copies: np.stack([TASKS["keypoints"].render(c, truth, points) for c in copies]))
    assert np.abs(model.run(points, source).result.xy[0, 0] - (81, 83)).max() < 0.8

    boxes = TASKS["detect"].instruct("the stars", ["blue"])
    truth_boxes = Boxes([[10, 20, 30, 50]], [1], ("the stars",), (64, 64))
    record(lambda copies: np.stack([TASKS["detect"].render(c, truth_boxes, boxes) for c in copies]))
    assert np.abs(model.run(boxes, source).result.xyxy[0] - (40, 40, 120, 100)).max() < 1.5


@pytest.fixture
def published(model, monkeypatch):
    """The model as if it were a published checkpoint, and what its editor is given."""
    theirs = InstructDiffusion(dataclasses.replace(model.components, fit="authors", path=Path("nowhere")))
    recorder = Recorder(lambda copies: 1 - copies)
    monkeypatch.setattr(theirs.editor, "draw", recorder)
    return theirs, recorder


def test_a_published_checkpoint_is_asked_in_its_authors_100_steps(published):
    theirs, recorder = published
    theirs.segment(np.zeros((64, 64, 3), np.uint8), "the star", color="red")
    theirs.edit(np.zeros((64, 64, 3), np.uint8), "add a star", formula="instructpix2pix", steps=2)
    perception, edit = recorder.plans
    assert perception.title.startswith("euler_ancestral") and len(perception) == 100
    assert perception.evaluations == 300 and perception[0].weights == pytest.approx((9, -7, -1, 0))
    assert len(edit) == 2 and edit[0].weights == pytest.approx((5, -3.75, 0, -0.25))


def test_a_published_checkpoint_sees_whole_pictures_resized_as_its_authors_do(published):
    """Lanczos there and back, for restoration too; the picture's own size is no reason for tiles."""
    theirs, recorder = published
    source = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
    answer = theirs.denoise(source, resolution=64)
    lanczos = Image.Resampling.LANCZOS
    (seen,) = recorder.pictures
    assert np.array_equal(seen, np.asarray(ImageOps.fit(Image.fromarray(source), (64, 32), method=lanczos)))
    back = ImageOps.fit(Image.fromarray(255 - seen), (192, 96), method=lanczos)
    assert np.array_equal(answer.picture, np.asarray(back))
    theirs.denoise(source, resolution=64, fit="stretch")
    assert len(recorder.pictures) > 2 and {p.shape for p in recorder.pictures[1:]} == {(64, 64, 3)}


@pytest.mark.parametrize("name", ["edit", "dewatermark", "segment"])
def test_the_models_own_picture_is_given_where_nothing_is_to_be_kept(name, model, record):
    """Half of it changes: kept, the other half is the source's to the pixel; raw, all of it is the model's."""
    source = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    whole = np.linspace(0, 1, 64)[None, :, None] > 0.5
    drawn = np.where(whole, 1.0, np.float32(source) / 255 + 0.01).astype(np.float32)
    recorder = record(lambda copies: np.broadcast_to(drawn, copies.shape))
    words = TASKS[name].instruct("the star" if name != "dewatermark" else None)
    kept, raw = (model.run(words, source, steps=1, keep=keep) for keep in (True, False))
    assert np.array_equal(kept.picture[:, :24], source[:, :24])
    assert np.array_equal(raw.picture, to_uint8(drawn)) and raw.settings["keep"] is False
    assert "keep" not in kept.settings
    assert recorder.compared == [True, TASKS[name].perception]  # a copy that is not used is not decoded
