"""The way home: an edited picture of another size lies on its source again, to the pixel, or is refused."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

RED, BLUE = np.uint8([220, 30, 30]), np.uint8([30, 60, 230])


@pytest.fixture(scope="module")
def home(pack: ModuleType) -> ModuleType:
    """nodes/source_size.py, which needs no ComfyUI."""
    return importlib.import_module(".nodes.source_size", pack.__name__)


def scene(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(a picture of patches with a red disc near its lower right corner, where the disc is)."""
    patches = np.random.default_rng(seed).integers(60, 200, (6, 6, 3), np.uint8)
    picture = np.array(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - 0.7 * height, x - 0.8 * width) < 0.14 * min(height, width)
    picture[disc] = RED
    return picture, disc


def marked(picture: np.ndarray, disc: np.ndarray) -> np.ndarray:
    """The picture with the disc covered half in blue, as a model draws a mask."""
    out = picture.copy()
    out[disc] = (picture[disc].astype(int) + BLUE) // 2
    return out


def padded(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    down, right = (new - old for new, old in zip(size, picture.shape[:2]))
    return np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def iou(source: np.ndarray, found: np.ndarray, disc: np.ndarray) -> float:
    """Of the disc with what changed."""
    seen = np.abs(found.astype(int) - source).max(2) > 40
    return float((seen & disc).sum() / (seen | disc).sum())


@pytest.mark.parametrize(("height", "width"), [(61, 97), (97, 61), (79, 95), (8, 300), (1023, 767)])
@pytest.mark.parametrize("multiple", [16, 64])
def test_what_was_padded_is_cut_off_to_the_pixel(home, height: int, width: int, multiple: int) -> None:
    source, disc = scene(height, width)
    edited = padded(marked(source, disc), home.padded_sides((height, width), multiple))
    assert all(side % multiple == 0 for side in edited.shape[:2])
    assert edited.shape[:2] == home.padded_sides((height, width), multiple)
    assert np.array_equal(home.bring_home(source, edited), marked(source, disc))


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (97, 61), (61, 97), (1200, 1600), (200, 1800)])
@pytest.mark.parametrize(("resolution", "multiple"), [(64, 16), (512, 64)])
@pytest.mark.parametrize("mode", ["shortest_edge", "longest_edge", "stretch", "authors"])
def test_every_resize_mode_leads_home(home, size, resolution: int, multiple: int, mode: str) -> None:
    source, disc = scene(*size)
    shape = resolution, multiple, mode
    edited = padded(resized(marked(source, disc), *home.content_size(size, *shape)), home.model_size(size, *shape))
    found = home.bring_home(source, edited)
    assert found.shape == source.shape
    rough = min(edited.shape[:2]) < 64 or min(size) < 100  # a disc of few pixels
    assert iou(source, found, disc) > (0.6 if rough else 0.8)


@pytest.mark.parametrize(
    ("size", "model"),
    [((300, 400), (64, 80)), ((300, 400), (48, 64)), ((61, 97), (64, 96)), ((60, 60), (64, 64)), ((97, 61), (96, 64)),
     ((300, 400), (64, 64)), ((240, 480), (512, 512))],
)  # fmt: skip
def test_what_was_resized_as_a_whole_is_laid_where_it_belongs(home, size, model) -> None:
    """The sizes that the four resize modes make, (60, 60) -> (64, 64) also one that padding could have made."""
    source, disc = scene(*size)
    edited = resized(marked(source, disc), *model)
    found = home.bring_home(source, edited)
    assert found.shape == source.shape and iou(source, found, disc) > 0.85
    far = ~disc
    far[int(0.4 * size[0]) :, int(0.4 * size[1]) :] = False
    change = np.abs(found[far].astype(int) - source[far])
    assert change.max() <= 12 and change.mean() < 0.5  # the source's own detail


@pytest.mark.parametrize("size", [(60, 60), (58, 50), (126, 120)])
def test_a_padded_picture_is_told_from_a_resized_one_by_what_is_drawn(home, size) -> None:
    source, disc = scene(*size)
    drawn = marked(source, disc)
    for edited in (padded(drawn, home.padded_sides(size, 64)), resized(drawn, *home.padded_sides(size, 64))):
        assert iou(source, home.bring_home(source, edited), disc) > 0.85


@pytest.mark.parametrize(
    ("cut", "size"),
    [
        (lambda p: p[:, 50:350], (64, 64)),  # ImageScale's crop=center, to the model's square
        (lambda p: p[:288, :384], (288, 384)),  # sides cut to multiples of 32
        (lambda p: p[6:294, 8:392], (288, 384)),
        (lambda p: p[:150, :150], (150, 150)),
    ],
)
def test_a_part_of_the_source_is_refused_rather_than_displaced(home, cut, size) -> None:
    source, disc = scene(300, 400)
    with pytest.raises(ValueError, match=f"`edited`.*{size[1]} x {size[0]}.*400 x 300.*lie elsewhere"):
        home.bring_home(source, resized(cut(marked(source, disc)), *size))


def test_a_flat_picture_of_another_shape_is_refused(home) -> None:
    with pytest.raises(ValueError, match="`edited`"):
        home.bring_home(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8))


def test_pairs_are_brought_home_picture_by_picture(convert: ModuleType, home: ModuleType) -> None:
    pairs = [scene(61, 97, seed) for seed in (1, 2)]
    edited = [padded(marked(*pair), (64, 112)) for pair in pairs]
    images = [convert.to_image(pictures) for pictures in ([p for p, _ in pairs], edited)]
    sources, drawn = convert.paired(*images)
    assert all(np.array_equal(d, marked(*pair)) for d, pair in zip(drawn, pairs))
    assert torch.equal(convert.to_image(sources), images[0])
