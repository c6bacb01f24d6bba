"""--set: which node is meant, and which values are taken."""

from __future__ import annotations

import pytest
from PIL import Image

from instructdiffusion.launcher.overrides import apply_override, read_override


@pytest.fixture
def prompt():
    return {
        "1": {
            "class_type": "LoadImage",
            "inputs": {"image": "example.png"},
            "_meta": {"title": "Photo v1.5"},
        },
        "2": {
            "class_type": "Draw",
            "inputs": {"image": ["1", 0], "seed": 1, "solver": "euler", "strength": 1.0, "tiled": False},
            "_meta": {"title": "First"},
        },
        "3": {
            "class_type": "Draw",
            "inputs": {"image": ["2", 0], "strength": ["2", 1]},
            "_meta": {"title": "Second"},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}, "_meta": {"title": "Save"}},
    }


@pytest.fixture
def uploaded():
    return []


@pytest.fixture
def put(prompt, object_info, uploaded):
    def upload(path):
        uploaded.append(path)
        return "sent.png"

    def call(text):
        apply_override(read_override(text), prompt, object_info, upload)
        return prompt

    return call


@pytest.mark.parametrize(
    ("text", "node", "name", "value"),
    [
        ("2.seed=7", "2", "seed", 7),
        ("2.seed=7.0", "2", "seed", 7),
        ("first.seed=7", "2", "seed", 7),
        ("Second.seed=7", "3", "seed", 7),
        ("SaveImage.filename_prefix=a=b", "4", "filename_prefix", "a=b"),
        ("Save Image.filename_prefix=x", "4", "filename_prefix", "x"),
        ("Photo v1.5.image=other.png", "1", "image", "other.png"),
        ("2.solver=heun", "2", "solver", "heun"),
        ('2.solver="heun"', "2", "solver", "heun"),
        ("2.strength=1", "2", "strength", 1.0),
        ("3.strength=0.5", "3", "strength", 0.5),
        ("2.tiled=true", "2", "tiled", True),
        ("2.tiled=False", "2", "tiled", False),
        ("2.name=42", "2", "name", "42"),
        ("2.name=the red star", "2", "name", "the red star"),
        ('2.name="quoted"', "2", "name", "quoted"),
        ('2.name={"a": 1}', "2", "name", '{"a": 1}'),
        ("2.name=", "2", "name", ""),
        ("2.words=red", "2", "words", "red"),
    ],
)
def test_a_value_arrives(text, node, name, value, put):
    found = put(text)[node]["inputs"][name]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2.seed=1.5", "whole number"),
        ("2.seed=true", "whole number"),
        ("2.seed=many", "whole number, got 'many'"),
        ("2.seed=-1", "from 0"),
        ("2.strength=3", "from 0.0 to 2.0"),
        ("2.strength=NaN", "expected a number"),
        ("2.strength=Infinity", "expected a number"),
        ("2.tiled=1", "true or false"),
        ("2.solver=dpm", "choices: euler, heun"),
        ("2.image=photo.png", "takes a IMAGE from another node"),
        ("3.image=photo.png", "takes a IMAGE from another node"),
        ("2.size=3", "no such input(.|\n)*First .Draw, node 2.: image, seed, solver"),
        ("Draw.seed=3", "several nodes(.|\n)*2.seed(.|\n)*3.seed"),
        ("7.seed=3", "the nodes are:(.|\n)*1  Photo"),
        ("1.image=none.png", "choices: example.png, other.png; and there is no file"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_choices(text, words, put, prompt):
    before = repr(prompt)
    with pytest.raises(ValueError, match=words):
        put(text)
    assert repr(prompt) == before


@pytest.mark.parametrize("text", ["seed=3", "2.seed", "=", ".seed=3", "2.=3", ""])
def test_the_form_is_explained(text):
    with pytest.raises(ValueError, match="NODE.INPUT=VALUE"):
        read_override(text)


def test_what_a_choice_brings_can_be_set(put, object_info):
    inputs = {"required": {"side": ["INT", {"max": 9}]}}
    options = [{"key": "plain", "inputs": {}}, {"key": "sized", "inputs": inputs}]
    object_info["Draw"]["input"]["required"]["solver"] = ["COMFY_DYNAMICCOMBO_V3", {"options": options}]
    with pytest.raises(ValueError, match="choices: plain, sized"):
        put("2.solver=euler")
    put("2.solver=sized")
    assert put("2.solver.side=7")["2"]["inputs"]["solver.side"] == 7
    with pytest.raises(ValueError, match="to 9"):
        put("2.solver.side=10")


def test_a_picture_is_uploaded(put, uploaded, tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "my.photo.png")
    assert put(f"1.image={tmp_path / 'my.photo.png'}")["1"]["inputs"]["image"] == "sent.png"
    assert uploaded == [tmp_path / "my.photo.png"]


def test_what_is_no_picture_is_not_uploaded(put, uploaded, tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(ValueError, match="not a picture"):
        put(f"1.image={tmp_path / 'a.png'}")
    assert uploaded == []


def test_near_choices_of_a_long_list_are_shown(put, object_info):
    object_info["Draw"]["input"]["required"]["solver"][1]["options"] = [f"solver {n}" for n in range(99)] + [
        "karras"
    ]
    with pytest.raises(ValueError, match=r"choices: karras \(of 100\)"):
        put("2.solver=karas")
