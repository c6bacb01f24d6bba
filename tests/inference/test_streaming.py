"""Streams: the answers of `run`, with no more pictures in memory than a batch."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.inference import streaming
from instructdiffusion.tasks import TASKS


def pictures(count, side=64):
    return [np.full((side, side, 3), 20 * n, np.uint8) for n in range(count)]


def test_a_stream_gives_the_answers_of_run(model, tmp_path):
    paths = []
    for n, picture in enumerate(pictures(5)):
        paths.append(tmp_path / f"{n}.png")
        Image.fromarray(picture).save(paths[-1])
    asked = [TASKS["edit"].instruct(f"add a {c} star") for c in ("red", "blue", "green", "red", "blue")]
    options = {"steps": 2, "seed": [5, 4, 3, 2, 1]}
    whole = model.run(asked, paths, **options)
    told = []
    parts = list(
        model.stream(asked, paths, batch_size=2, on_answer=lambda n, a: told.append((n, a)), **options)
    )
    assert [n for n, _ in told] == [0, 1, 2, 3, 4]
    for a, b, (_, c) in zip(whole, parts, told, strict=True):
        assert b is c and a.instruction == b.instruction and a.settings["seed"] == b.settings["seed"]
        assert np.array_equal(a.source, b.source)
        assert np.abs(a.picture.astype(int) - b.picture).max() <= 1


def test_pictures_come_and_go_with_their_batch(model, monkeypatch):
    """Five pictures, two of which are within the limit: no more than those are held."""
    monkeypatch.setattr(streaming, "PIXELS", 2 * 64 * 64)
    places, seen = [], []
    load = streaming.load_picture

    def loaded(image):
        picture = load(image)
        places.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(streaming, "load_picture", loaded)
    asked = []
    answers = model.stream(
        lambda picture: asked.append(picture[0, 0, 0]) or TASKS["segment"].instruct("the star"),
        iter(pictures(5)),
    )
    for answer in answers:
        seen.append(answer.source[0, 0, 0])
        places.append(weakref.ref(answer.source))
        del answer
        gc.collect()
        assert sum(place() is not None for place in places) <= 2  # the one that began the next batch, one being asked
    assert seen == asked == [0, 20, 40, 60, 80]


def test_what_fits_no_picture_is_refused_before_any_is_loaded(model, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "load_picture", lambda image: pytest.fail("a picture was loaded"))
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        model.stream("add a star", [np.zeros((8, 8, 3)), tmp_path / "nowhere.png"])
    with pytest.raises(TypeError, match="list or an iterator"):
        model.stream("add a star", "photo.png")
    with pytest.raises(TypeError, match="noise"):
        model.stream("add a star", pictures(2), noise=np.zeros((4, 16, 16)))
    with pytest.raises(ValueError, match="2 pictures came with 3 instructions"):
        model.stream(["a", "b", "c"], pictures(2))
    with pytest.raises(ValueError, match="expected one seed"):
        model.stream("add a star", pictures(2), seed=[1, 2, 3])
