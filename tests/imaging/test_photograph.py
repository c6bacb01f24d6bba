"""Photographs are told from drawings by their pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.photographs import read_photograph
from instructdiffusion.datasets.synthetic import scene_record
from instructdiffusion.imaging.photograph import looks_like_photograph

# All with much to see; what is grown in a dish, before black, goes unnoticed.
PHOTOS = (
    "chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "brick.png", "camera.png", "china.jpg", "flower.jpg",
)  # fmt: skip
TASKS = ("segment", "refer", "keypoints", "align", "detect", "classify", "edit")


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("size", [None, (256, 171), (2000, 1500)])
def test_photographs_are_noticed(name, size):
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    picture = read_photograph(name)
    if size is not None:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    assert looks_like_photograph(np.asarray(picture))


@pytest.mark.parametrize("size", [64, 256])
def test_own_scenes_are_none_even_before_photographs(size):
    pytest.importorskip("skimage")
    alarms = [
        looks_like_photograph(scene_record(task, seed, split="test", size=size, level=level).image)
        for task in TASKS
        for level in range(4)
        for seed in range(12)
    ]
    assert len(alarms) == 336 and np.mean(alarms) < 0.02


def test_nothing_is_claimed_of_what_is_plain_or_noise():
    ramp = np.zeros((200, 300, 3), np.uint8) + np.linspace(0, 255, 300).astype(np.uint8)[None, :, None]
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for picture in (ramp, noise, np.zeros((50, 50, 3), np.uint8), np.full((50, 50, 3), 90, np.uint8)):
        assert not looks_like_photograph(picture)
    for height, width in ((1, 1), (2, 500), (500, 2), (3, 3), (4000, 5)):
        assert not looks_like_photograph(noise[:1, :1].repeat(height, 0).repeat(width, 1))


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png"])
def test_a_large_thing_before_white_paper_is_judged_by_what_is_there(name):
    """Half of the picture, as in a studio; a drawing as large is none, compressed or not."""
    pytest.importorskip("skimage")
    photo = np.full((600, 600, 3), 255, np.uint8)
    photo[90:510, 90:510] = np.asarray(read_photograph(name).resize((420, 420)))
    assert looks_like_photograph(photo)
    drawing = np.full((600, 600, 3), 255, np.uint8)
    drawing[90:510, 90:510] = np.linspace(40, 220, 420).astype(np.uint8)[None, :, None]
    drawing[200:300, 200:400] = (215, 35, 40)
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, "JPEG", quality=75)
    assert not looks_like_photograph(drawing)
    assert not looks_like_photograph(np.asarray(Image.open(file).convert("RGB")))


def test_a_thing_cut_out_before_white_is_not_judged():
    pytest.importorskip("skimage")
    picture = np.full((600, 600, 3), 255, np.uint8)
    picture[150:450, 150:450] = np.asarray(read_photograph("chelsea.png"))[:300, :300]
    assert not looks_like_photograph(picture)


def test_a_compressed_drawing_is_none():
    drawing = np.full((400, 400, 3), (200, 220, 250), np.uint8)
    y, x = np.mgrid[:400, :400]
    drawing[np.hypot(x - 150, y - 170) < 90] = (215, 35, 40)
    drawing[250:350, 220:380] = (40, 155, 60)
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, "JPEG", quality=75)
    assert not looks_like_photograph(np.asarray(Image.open(file).convert("RGB")))
