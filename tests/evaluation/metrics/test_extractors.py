"""Features for KNN-GIQA: networks from folders, references from files and folders, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.evaluation.benchmarks.editing_benchmark import Editing
from instructdiffusion.evaluation.metrics.encoders import knn_giqa
from instructdiffusion.evaluation.metrics.extractors import Giqa, load_extractor, load_giqa


def pictures(count=6, seed=0, size=(40, 50)):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


@pytest.fixture(scope="module", params=["resnet", "dinov2", "clip"])
def network(request, tmp_path_factory):
    """A folder with a small network of random weights."""
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp(request.param)
    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = {
            "resnet": lambda: t.ResNetModel(
                t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 24], depths=[1, 1], layer_type="basic")
            ),
            "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**small, image_size=32, patch_size=8)),
            "clip": lambda: t.CLIPModel(
                t.CLIPConfig(
                    text_config={**small, "vocab_size": 50},
                    vision_config={**small, "image_size": 32, "patch_size": 8},
                    projection_dim=16,
                )
            ),
        }[request.param]()
    model.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    t.CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


def test_features_are_a_row_a_picture_whatever_the_batch(network):
    extractor = load_extractor(network)
    assert extractor.name == str(network)
    together = extractor.pictures(pictures())
    assert together.shape == (6, 24) and together.dtype == np.float64 and np.ptp(together, axis=0).max() > 0
    alone = np.concatenate([extractor.pictures([p]) for p in pictures()])
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_a_reference_is_a_file_or_a_folder(network, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures(10, seed=1)):
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    reference = load_extractor(network).pictures(pictures(10, seed=1))
    np.save(tmp_path / "reference.npy", reference.astype(np.float32))
    wanted = knn_giqa(load_extractor(network).pictures(pictures()), reference, 8)
    for where in (folder, tmp_path / "reference.npy"):
        giqa = load_giqa(network, where)
        np.testing.assert_allclose(giqa.scores(pictures()), wanted, rtol=1e-3)
        assert giqa.name == f"{network}, 10 reference pictures, k 8"
        assert load_giqa(network, where).fingerprint == giqa.fingerprint
        if where is folder:
            Image.fromarray(pictures(1, seed=2)[0]).save(folder / "03.png")
        else:
            np.save(where, reference.astype(np.float32)[::-1] + 1)
        other = load_giqa(network, where)  # under the same name, as large as before
        assert other.name == giqa.name and other.fingerprint != giqa.fingerprint


def test_what_cannot_be_a_reference_is_named(network, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no reference .*features \[m, d\] in a .npy"):
        load_giqa(network, tmp_path / "gone.npy")
    with pytest.raises(ValueError, match="holds no pictures"):
        load_giqa(network, tmp_path)
    path = tmp_path / "reference.npy"
    for array, message in (
        (np.ones((4, 7)), "has features of 7 numbers, .* gives 24: they are another network's"),
        (np.ones(24), r"expected features as float \[m, d\], got float64 \[24\]"),
        (np.ones((3, 24), int), "got int64"),
        (np.full((3, 24), np.nan), "not finite"),
        (np.array([{"a": 1}], dtype=object), "cannot be read as a .npy"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            load_giqa(network, path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="cannot be read as a .npy"):
        load_giqa(network, path)


def test_a_network_that_is_not_here(tmp_path):
    with pytest.raises(OSError, match="is not on this machine, and nothing is downloaded unasked"):
        load_extractor("nobody/no-such-network")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(OSError, match="cannot be loaded as a picture network"):
        load_extractor(tmp_path)


def test_the_editing_benchmark_measures_with_it():
    class Mean:
        name = fingerprint = "mean colour"

        def pictures(self, given):
            return np.stack([p.mean((0, 1)) for p in given])

    from types import SimpleNamespace

    giqa = Giqa(Mean(), np.array([[10.0, 10, 10], [12.0, 10, 10], [14.0, 10, 10]]), k=2)
    benchmark = Editing("editing", reader=SimpleNamespace(split="test"), giqa=giqa)
    assert benchmark.options()["KNN-GIQA"] == "mean colour, 3 reference pictures, k 2"
    assert benchmark.notes([])["KNN-GIQA"].startswith("mean colour")
    near, far = np.full((8, 8, 3), 11, np.uint8), np.full((8, 8, 3), 200, np.uint8)
    example = SimpleNamespace(
        source=far, record=SimpleNamespace(meta={"kind": "removal"}, tags=frozenset({"no-target"}))
    )
    row = benchmark.row(None, example, SimpleNamespace(result=near), None)
    # From (11, 11, 11) to the two nearest: 1 + 1 + 1 each.
    assert row["giqa"] == pytest.approx(2 / 3) and row["giqa_nothing"] < 0.01
    made = {f.metric: f.value for f in benchmark.figures([row])}
    assert made["KNN-GIQA"] == pytest.approx(2 / 3) and made["KNN-GIQA of doing nothing"] < 0.01
