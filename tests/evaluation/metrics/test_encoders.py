"""CLIP-Sim, the aesthetic score and KNN-GIQA: with hand-made features, and with a small CLIP of transformers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics.encoders import (
    Aesthetic,
    clip_similarity,
    knn_giqa,
    load_aesthetic,
    load_clip,
    normalised,
)

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Plane:
    """Features in a plane: a picture's first pixel, a text's length."""

    name = fingerprint = "plane"

    def pictures(self, pictures):
        return np.array([p[0, 0, :2] for p in pictures], np.float64)

    def texts(self, texts):
        return np.array([[len(t), 0.0] for t in texts])


def test_clip_similarity_by_hand():
    right, diagonal = PICTURE.copy(), PICTURE.copy()
    right[0, 0] = (9, 0, 0)
    diagonal[0, 0] = (5, 5, 0)
    found = clip_similarity(Plane(), [right, diagonal], ["a cat", "dog"])
    assert found == pytest.approx([100, 100 / np.sqrt(2)])
    with pytest.raises(ValueError, match="1 pictures came with 2 captions"):
        clip_similarity(Plane(), [right], ["a", "b"])
    with pytest.raises(ValueError, match="not finite, or zero"):
        clip_similarity(Plane(), [PICTURE], ["a"])


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A CLIP with random weights and a tokenizer of letters."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "eos_token_id": len(words) - 1,
        },
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(CLIPImageProcessor(**size), tokenizer).save_pretrained(folder)
    return folder


def test_a_clip_by_transformers(clip_folder):
    import torch
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(3)]
    captions = ["a cat", "a dog on a mat", "x"]
    clip = load_clip(str(clip_folder))
    assert clip.name == str(clip_folder)
    found = clip_similarity(clip, pictures, captions)
    inputs = clip._processor(
        text=captions, images=[Image.fromarray(p) for p in pictures], return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        output = clip._model(**inputs)
        wanted = output.logits_per_image.diagonal() / clip._model.logit_scale.exp() * 100
    assert found == pytest.approx(wanted.numpy(), abs=1e-3) and np.ptp(found) > 0.01
    assert clip.texts(["a " * 40]).shape == (1, 24)  # longer than it reads


def test_a_clip_is_known_by_what_it_is_not_by_its_name(clip_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    def known_as(**changes):
        folder = tmp_path / "clip"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(clip_folder, folder)
        for name, change in changes.items():
            change(folder / f"{name}.{'safetensors' if name == 'model' else 'json'}")
        return load_clip(str(folder)).fingerprint

    def other_weights(path):
        state = load_file(path)
        state["visual_projection.weight"][0, 0] += 1
        save_file(state, path, {"format": "pt"})

    def other_pictures(path):
        told = json.loads(path.read_text())
        (told.get("image_processor") or told)["image_mean"] = [0.5, 0.5, 0.5]
        path.write_text(json.dumps(told))

    same = load_clip(str(clip_folder)).fingerprint
    processor = (
        "processor_config" if (clip_folder / "processor_config.json").exists() else "preprocessor_config"
    )
    assert known_as() == same
    assert len({same, known_as(model=other_weights), known_as(**{processor: other_pictures})}) == 3


def test_a_clip_that_is_not_here(tmp_path):
    with pytest.raises(OSError, match="is not on this machine, and nothing is downloaded unasked"):
        load_clip("nobody/no-such-clip")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(OSError, match="cannot be loaded as a CLIP"):
        load_clip(str(tmp_path))


def test_aesthetic_by_hand():
    two = (np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([0.5, 0.0]))
    one = (np.array([[1.0, -1.0]]), np.array([3.0]))
    head = Aesthetic((two, one))
    # (3, 4) has length 5: (.6, .8) -> (1.1, 2.0) -> 2.1
    assert head.scores(np.array([[3.0, 4.0]])) == pytest.approx([2.1])
    with pytest.raises(ValueError, match="3 numbers, the predictor takes 2"):
        head.scores(np.ones((1, 3)))
    with pytest.raises(ValueError, match="expected one score"):
        Aesthetic((two,))
    with pytest.raises(ValueError, match="does not follow"):
        Aesthetic((two, (np.ones((1, 3)), np.ones(1))))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_aesthetic_of_a_file(suffix, tmp_path):
    import torch
    from safetensors.torch import save_file
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Linear(768, 1024), nn.Dropout(0.2), nn.Linear(1024, 128), nn.Dropout(0.2),
            nn.Linear(128, 64), nn.Dropout(0.1), nn.Linear(64, 16), nn.Linear(16, 1),
        ).eval()  # fmt: skip
    state = {f"layers.{name}": value for name, value in layers.state_dict().items()}
    path = tmp_path / f"head{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    features = np.random.default_rng(0).normal(size=(4, 768))
    with torch.inference_mode():
        wanted = layers(torch.from_numpy(normalised(features)).float())[:, 0].numpy()
    head = load_aesthetic(path)
    assert head.scores(features) == pytest.approx(wanted, abs=1e-5)
    other = Aesthetic((*head.layers[:-1], (head.layers[-1][0], head.layers[-1][1] + 1)))
    assert load_aesthetic(path).fingerprint == head.fingerprint != other.fingerprint


def test_an_aesthetic_file_that_is_none(tmp_path):
    import torch

    with pytest.raises(FileNotFoundError, match=r"sac\+logos\+ava1"):
        load_aesthetic(tmp_path / "no.pth")
    path = tmp_path / "head.pth"
    torch.save({"layers.0.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ValueError, match=r"expected layers.0.weight of \(1024, 768\), got \(3, 3\)"):
        load_aesthetic(path)
    torch.save([Plane()], path)  # any other object is not unpickled
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_aesthetic(path)


def test_knn_giqa_by_hand():
    reference = np.array([[0.0, 0.0], [0.0, 4.0], [10.0, 0.0], [50.0, 50.0]])
    # L1 distances of (1, 1): 2, 4, 10, 98
    assert knn_giqa(np.array([[1.0, 1.0]]), reference, k=2) == pytest.approx([1 / 2 + 1 / 4])
    assert knn_giqa(np.array([[1.0, 1.0]]), reference, k=4) == pytest.approx(
        [1 / 2 + 1 / 4 + 1 / 10 + 1 / 98]
    )
    near, far = knn_giqa(np.array([[1.0, 1.0], [30.0, 30.0]]), reference, k=3)
    assert near > far
    with pytest.raises(ValueError, match="itself in the reference"):
        knn_giqa(reference[:1], reference, k=2)
    with pytest.raises(ValueError, match="k from 1 to 4"):
        knn_giqa(reference, reference, k=5)
    with pytest.raises(ValueError, match="different spaces"):
        knn_giqa(np.ones((1, 3)), reference, k=1)
    with pytest.raises(ValueError, match="not finite"):
        knn_giqa(np.array([[np.nan, 1.0]]), reference, k=1)
