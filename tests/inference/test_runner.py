"""Jobs: what the backend is given, and how its answers come back to the picture's own size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.compositing.rules import add_difference, replace_changed, to_uint8
from instructdiffusion.imaging.resize import resize_picture
from instructdiffusion.imaging.tiling import Tile
from instructdiffusion.inference.tile_noise import TileNoise
from instructdiffusion.sampling import SeededNoise


class Recorder:
    """Stands in for the backend's draw: keeps what it is given and answers with `drawn(copies)`."""

    def __init__(self, drawn):
        self.drawn = drawn
        self.pictures, self.starts, self.noises, self.plans, self.compared = [], [], [], [], []

    def __call__(
        self, pictures, texts, plan, start, noise, *, reconstruct=True, on_step=None, cache_interval=1, adaptive=None
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
        monkeypatch.setattr(model.backend, "generate", recorder)
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


def test_noise_for_a_gpu_goes_through_memory_that_is_copied_without_waiting(monkeypatch):
    pinned = []

    class OnGPU:  # what is asked of the latents, on a machine that may have no GPU
        is_cuda, device, dtype, shape = True, torch.device("cpu"), torch.float16, (2, 4, 16, 16)

        def __len__(self):
            return 2

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    tiles, fields = [Tile(0, 0, 0), Tile(0, 8, 8)], [(5, (4, 32, 32))] * 2
    for source in (TileNoise(tiles, fields, 4), SeededNoise([5, 6])):
        assert source.step(0, OnGPU()).dtype == torch.float16
    assert pinned == [(2, 4, 16, 16)] * 2


def test_the_noise_of_a_picture_is_drawn_once_for_all_its_batches(model, monkeypatch):
    from instructdiffusion.inference import tile_noise, tiles

    source = np.random.default_rng(1).integers(0, 256, (64, 160, 3), dtype=np.uint8)
    options = {"steps": 3, "solver": "euler_ancestral", "batch_size": 1}
    drawn = []
    real = tile_noise.generator
    monkeypatch.setattr(tile_noise, "generator", lambda seed, draw: drawn.append((seed, draw)) or real(seed, draw))
    kept = model.denoise([source, source], seed=[5, 6], **options)
    assert drawn == [(5, 0), (5, 1), (6, 0), (6, 1)]  # not three times each, for the three tiles
    monkeypatch.setattr(tiles, "STEP_NOISE_BYTES", 0)
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
    from instructdiffusion.imaging import tiling

    record()
    monkeypatch.setattr(tiling, "MANY", 2)
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
    from instructdiffusion.imaging.colors import MARK_COLORS
    from instructdiffusion.results import Boxes, Keypoints

    source = np.full((128, 256, 3), 120, np.uint8)
    points = TASKS["keypoints"].instruct("the nose", [MARK_COLORS[0]])
    truth = Keypoints([[[20.25, 41.5]]], [[True]], [[1]], ("the nose",), (64, 64))
    record(lambda copies: np.stack([TASKS["keypoints"].render(c, truth, points) for c in copies]))
    assert np.abs(model.run(points, source, resize_mode="stretch").result.xy[0, 0] - (81, 83)).max() < 0.8

    boxes = TASKS["detect"].instruct("the stars", ["blue"])
    truth_boxes = Boxes([[10, 20, 30, 50]], [1], ("the stars",), (64, 64))
    record(lambda copies: np.stack([TASKS["detect"].render(c, truth_boxes, boxes) for c in copies]))
    assert np.abs(model.run(boxes, source, resize_mode="stretch").result.xyxy[0] - (40, 40, 120, 100)).max() < 1.5


@pytest.fixture
def published(model, monkeypatch):
    """The model as if it were a published checkpoint, and what its backend is given."""
    theirs = InstructDiffusion(dataclasses.replace(model.components, resize_mode="authors", path=Path("nowhere")))
    recorder = Recorder(lambda copies: 1 - copies)
    monkeypatch.setattr(theirs.backend, "generate", recorder)
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
    theirs.denoise(source, resolution=64, resize_mode="stretch")
    assert len(recorder.pictures) > 2 and {p.shape for p in recorder.pictures[1:]} == {(64, 64, 3)}


@pytest.mark.parametrize("name", ["edit", "dewatermark", "segment"])
def test_the_models_own_picture_is_given_where_nothing_is_to_be_kept(name, model, record):
    """Half of it changes: kept, the other half is the source's to the pixel; raw, all of it is the model's."""
    source = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    whole = np.linspace(0, 1, 64)[None, :, None] > 0.5
    drawn = np.where(whole, 1.0, np.float32(source) / 255 + 0.01).astype(np.float32)
    recorder = record(lambda copies: np.broadcast_to(drawn, copies.shape))
    words = TASKS[name].instruct("the star" if name != "dewatermark" else None)
    kept, raw = (model.run(words, source, steps=1, preserve_source=preserve) for preserve in (True, False))
    assert np.array_equal(kept.picture[:, :24], source[:, :24])
    assert np.array_equal(raw.picture, to_uint8(drawn)) and raw.settings["preserve_source"] is False
    assert "preserve_source" not in kept.settings
    assert recorder.compared == [True, TASKS[name].perception]  # a copy that is not used is not decoded


TILED = [name for name, task in TASKS.items() if task.tiled]


def noisy(height, width):
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_zoomed_picture_is_worked_on_enlarged_in_tiles(model, record):
    recorder, told = record(), []
    source = noisy(64, 112)
    answer = model.deblur(source, upscale=2, on_tile=lambda done, total: told.append((done, total)))
    large = np.asarray(Image.fromarray(source).resize((224, 128), Image.Resampling.BICUBIC))
    assert (
        told == [(0, 15), (15, 15)] and len(recorder.pictures) == 15
    )  # 3 rows of 5; at upscale 1 there are 2 in all
    assert np.array_equal(recorder.pictures[0], large[:64, :64])
    assert np.array_equal(recorder.pictures[-1], large[-64:, -64:])
    assert answer.picture.shape == source.shape and answer.picture.dtype == np.uint8
    assert answer.settings["upscale"] == 2.0


@pytest.mark.parametrize("upscale", [0.25, 0.7, 2, 3.3])
@pytest.mark.parametrize("name", TILED)
def test_what_is_restored_at_any_zoom_has_the_pictures_size(name, upscale, model):
    source = noisy(9, 37)
    for preserve_source in (True, False):
        answer = model.run(TASKS[name].instruct(), source, steps=1, upscale=upscale, preserve_source=preserve_source)
        assert answer.picture.shape == source.shape and answer.picture.dtype == np.uint8


@pytest.mark.parametrize("name", TILED)
def test_no_zoom_is_the_picture_as_it_is(name, model, record):
    source = noisy(64, 112)
    plain, one = (model.run(TASKS[name].instruct(), source, steps=2, **more) for more in ({}, {"upscale": 1}))
    assert np.array_equal(plain.picture, one.picture) and "upscale" not in one.settings
    drawn = [
        model.run(TASKS[name].instruct(), source, steps=2, upscale=z, preserve_source=False).picture for z in (1, 1.5)
    ]
    assert not np.array_equal(*drawn)  # preserved, a source that is sharp already comes back whatever was drawn
    recorder = record()
    model.run(TASKS[name].instruct(), source, upscale=1)
    left, right = recorder.pictures
    assert np.array_equal(left, source[:, :64]) and np.array_equal(right, source[:, 48:])


@pytest.mark.parametrize("name", [name for name in TASKS if name not in TILED])
def test_whole_pictures_know_no_zoom(name, model, record):
    """To the bit, as far as the networks: what these answer was seen to differ between two runs on one machine."""
    words = TASKS[name].instruct(TASKS[name].example)
    source = noisy(48, 100)
    plain, near = (model.run(words, source, steps=1, upscale=upscale).picture.astype(int) for upscale in (None, 2))
    assert np.abs(plain - near).max() <= 1
    recorder = record()
    plain, near = (model.run(words, source, steps=1, upscale=upscale).picture for upscale in (None, 2))
    assert np.array_equal(plain, near)
    for one, other in (recorder.pictures, recorder.starts):
        assert np.array_equal(one, other)


def test_a_published_checkpoint_knows_no_zoom(published):
    theirs, recorder = published
    source = noisy(64, 64)
    plain, near = (theirs.deblur(source, resolution=64, upscale=upscale).picture for upscale in (None, 2))
    assert np.array_equal(plain, near) and [p.shape for p in recorder.pictures] == [(64, 64, 3)] * 2


def test_a_published_checkpoints_picture_is_its_own_though_it_has_the_sources_size(published):
    theirs, _ = published
    source = noisy(64, 64)
    assert np.array_equal(theirs.denoise(source, resolution=64).picture, 255 - source)


@pytest.mark.parametrize("upscale", [0.5, 1.5, 2, 4])
@pytest.mark.parametrize("name", ["deblur", "dewatermark"])
def test_an_edit_that_changes_nothing_blurs_nothing_at_any_zoom(name, upscale, model, record):
    """Fine noise, which no enlarged or shrunken picture brings back; the model's own picture shows that."""
    recorder = record()
    source = noisy(50, 70)
    words = TASKS[name].instruct()
    assert np.array_equal(model.run(words, source, upscale=upscale).picture, source)
    assert all(recorder.compared)
    assert not np.array_equal(model.run(words, source, upscale=upscale, preserve_source=False).picture, source)


def test_what_is_sharpened_enlarged_comes_back_where_it_belongs(model, record):
    """The model brightens one square of the enlarged picture: so it is in the answer, to half a pixel."""
    source = np.full((40, 60, 3), 100, np.uint8)
    source[10:20, 30:44, 0] = 180

    def brighter(copies):
        return copies + 0.2 * (copies[..., :1] > 0.55)

    record(brighter)
    plain, near = (model.deblur(source, upscale=upscale).picture.astype(int) for upscale in (1, 2))
    inside = source[..., 0] > 100
    assert np.array_equal(plain - source, np.where(inside[..., None], 51, 0) * np.ones(3, int))
    assert np.abs(near - plain)[:, :, 1].max() <= 26 and np.abs(near - plain).mean() < 0.5


def test_given_noise_is_of_the_enlarged_picture(model, picture):
    shape = model.backend.latent_shape((128, 128))
    rng = np.random.default_rng(0)
    initial, fresh = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    ask = {"steps": 2, "solver": "euler_ancestral", "upscale": 2}
    given = model.deblur(picture, noise={"initial": initial, "steps": [fresh]}, **ask).picture
    assert not np.array_equal(given, model.deblur(picture, **ask).picture)
    small = np.zeros(model.backend.latent_shape((64, 64)))
    for noise, message in (
        ({"initial": small}, r"noise must have shape \[4, 32, 32\], got \[4, 16, 16\]"),
        ({"steps": [small]}, r"noise of step 0 must have shape \[4, 32, 32\], got \[4, 16, 16\]"),
    ):
        with pytest.raises(ValueError, match=message):
            model.deblur(picture, noise=noise, **ask)


@pytest.mark.parametrize("upscale", [0.5, 2])
@pytest.mark.parametrize("name", TILED)
def test_a_zoomed_batch_answers_as_its_pictures_alone_do(name, upscale, model):
    pictures = [noisy(40, 40), noisy(30, 36), noisy(24, 40)]  # of four, two and two tiles, or one each
    words, ask = TASKS[name].instruct(), {"steps": 2, "solver": "euler_ancestral", "upscale": upscale}
    together = model.run(words, pictures, seed=[5, 6, 5], batch_size=4, **ask)
    for source, seed, answer in zip(pictures, (5, 6, 5), together, strict=True):
        alone = model.run(words, source, seed=seed, batch_size=1, **ask)
        assert answer.picture.shape == source.shape
        assert np.abs(alone.picture.astype(int) - answer.picture).max() <= 1


def test_the_models_own_zoom_is_used_unless_another_is_asked_for(model, record):
    from instructdiffusion.settings import Settings

    recorder = record()
    mine = InstructDiffusion(model.components, {**model.settings, "deblur": Settings(steps=1, upscale=2)})
    mine.backend = model.backend
    source = noisy(64, 64)
    assert mine.deblur(source).settings["upscale"] == 2.0 and len(recorder.pictures) == 9
    mine.deblur(source, upscale=1)
    mine.denoise(source)
    assert len(recorder.pictures) == 9 + 1 + 1


def test_a_wide_picture_is_seen_in_its_own_shape(model, record):
    """Resized exactly, padded to multiples by its edge for the model; what it drew there is no part of the answer."""
    recorder = record(lambda copies: 1 - copies)
    source = noisy(192, 256)
    answer = model.segment(source, "the star", color="red", preserve_source=False)
    (seen,) = recorder.pictures
    content = resize_picture(source, (64, 85))
    assert seen.shape == (64, 96, 3) and np.array_equal(seen[:, :85], content)
    assert (seen[:, 85:] == content[:, -1:]).all()
    assert answer.picture.shape == source.shape and answer.result.canvas_size == (192, 256)
    assert np.array_equal(answer.picture, resize_picture(255 - content, (192, 256)))


def test_pictures_of_many_shapes_share_what_the_model_sees_and_keep_their_own(model, record):
    recorder = record(lambda copies: 1 - copies)
    pictures = [noisy(64, 82), noisy(128, 180), noisy(64, 64), noisy(300, 400)]
    answers = model.detect(pictures, "the star", color="red")
    assert sorted(p.shape[:2] for p in recorder.pictures) == [(64, 64), (64, 96), (64, 96), (64, 96)]
    assert [a.picture.shape for a in answers] == [p.shape for p in pictures]


@pytest.mark.parametrize("name", ["deblur", "dewatermark"])
def test_what_a_published_checkpoint_restored_is_not_held_to_our_rules(name, published):
    """A sharp picture without a mark: our own models' answers are undone there, published ones' stay as they were."""
    theirs, recorder = published
    source = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    grain = np.random.default_rng(1).normal(0, 0.05, (64, 64, 3)).astype(np.float32)
    recorder.drawn = lambda copies: np.clip(copies + grain, 0, 1)
    words = TASKS[name].instruct()
    copy = source.astype(np.float32) / 255
    drawn = copy, np.clip(copy + grain, 0, 1)
    rule = add_difference if name == "deblur" else lambda *a: replace_changed(*a, *TASKS[name].changed)
    answer, again = (
        theirs.run(words, source, steps=1, resize_mode=mode).picture for mode in ("authors", "stretch")
    )
    assert np.array_equal(answer, rule(source, drawn[1], drawn[0]))
    assert not np.array_equal(again, answer)


def test_what_is_added_to_a_long_picture_is_drawn_in_a_square_of_it(model, record):
    recorder = record(lambda copies: 1 - copies)
    wide = np.random.default_rng(2).integers(0, 256, (32, 72, 3), dtype=np.uint8)
    for words, start in (("add a cat on the left", 8), ("add a cat", 20), ("add a cat on the right", 32)):
        for source, axis in ((wide, 1), (wide.transpose(1, 0, 2), 0)):
            place = words.replace("left", "top").replace("on the right", "at the bottom") if axis == 0 else words
            answer = model.edit(source, place, compose="rules", resize_mode="shortest_edge")
            part = np.arange(start, start + 32)
            seen = resize_picture(source.take(part, axis), (64, 64))
            assert np.array_equal(recorder.pictures[-1], seen)
            assert recorder.starts[-1].shape == (4, 16, 16)
            rest = np.setdiff1d(np.arange(72), part)
            assert np.array_equal(answer.picture.take(rest, axis), source.take(rest, axis))
            assert (answer.picture != source).take(part, axis).mean() > 0.8


def test_other_edits_sizes_and_modes_show_the_whole_picture(model, record):
    recorder = record()
    wide = np.random.default_rng(2).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    model.edit(wide, "make the cat on the left red", resize_mode="shortest_edge")
    model.edit(wide, "add a hat to the cat", resize_mode="shortest_edge")
    for mode, shape in (("longest_edge", (32, 64, 3)), ("stretch", (64, 64, 3)), ("authors", (32, 64, 3))):
        model.edit(wide, "add a cat on the left", resize_mode=mode)
        assert recorder.pictures[-1].shape == shape
    assert [p.shape for p in recorder.pictures[:2]] == [(64, 128, 3)] * 2
    square = wide[:, :32]
    model.edit(square, "add a cat on the left", resize_mode="shortest_edge")
    assert np.array_equal(recorder.pictures[-1], resize_picture(square, (64, 64)))


def test_noise_for_what_is_added_is_that_of_the_square(model, record):
    recorder = record()
    wide = np.full((64, 128, 3), 90, np.uint8)
    noise = np.random.default_rng(4).standard_normal((4, 16, 16)).astype(np.float32)
    model.edit(wide, "add a cat on the left", noise=noise, resize_mode="shortest_edge")
    assert np.array_equal(recorder.starts[-1].numpy(), noise)
    with pytest.raises(ValueError, match=r"noise must have shape \[4, 16, 16\]"):
        model.edit(wide, "add a cat", noise=noise.repeat(2, 2), resize_mode="shortest_edge")
