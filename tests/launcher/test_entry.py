"""--image and --subject: where they go in a graph, and what is said where there is no place, or more than one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from instructdiffusion.launcher.entry import EntryError, put_picture, put_subjects, switch_on
from instructdiffusion.launcher.graph_conversion import to_api
from instructdiffusion.launcher.overrides import read_override

ROOT = Path(__file__).resolve().parents[2]
OURS = json.loads((ROOT / "tests" / "comfyui" / "object_info.json").read_text())
SHIPPED = sorted((ROOT / "workflows").glob("*.json"))
SAVED = sorted((ROOT / "tests" / "fixtures" / "graphs" / "2026-11").glob("*.json"))
WITHOUT_SUBJECT = {"denoise", "deblur", "dewatermark"}


@pytest.fixture
def info(object_info):
    """The interface of this pack's nodes, of the fake server's, and as much of others as graphs name."""
    kinds = {node["type"] for file in (*SHIPPED, *SAVED) for node in json.loads(file.read_text())["nodes"]}
    return {kind: {"input": {}} for kind in kinds} | object_info | OURS


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (9, 8)).save(path)
    return path


def entered(graph, info, photo, subjects=(), overrides=()):
    """(the graph in API form with picture and words in it, the labels of what was switched on)."""
    read = [read_override(text) for text in overrides]
    graph, labels = switch_on(graph, info, read, photo is not None)
    prompt = to_api(graph, info)
    if subjects:
        put_subjects(subjects, prompt)
    if photo is not None:
        put_picture(photo, prompt, info, lambda path: f"sent {path.name}")
    return prompt, labels


def of_type(prompt, kind):
    return [(number, node["inputs"]) for number, node in prompt.items() if node["class_type"] == kind]


@pytest.mark.parametrize("file", [*SHIPPED, *SAVED], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_graph_takes_a_picture_and_words(file, info, photo):
    prompt, labels = entered(json.loads(file.read_text()), info, photo)
    ((loader, inputs),) = of_type(prompt, "LoadImage")
    assert inputs["image"] == "sent photo.png"
    if file.stem == "own_picture":
        assert not labels and of_type(prompt, "InstructSampler")[0][1]["image"] == [loader, 0]
    else:
        assert len(labels) == (file.parent.name == "workflows")
        assert of_type(prompt, "InstructScene")[0][1]["image"] == [loader, 0]
    words = ["the dog", "the cat"]
    if file.stem in WITHOUT_SUBJECT:
        with pytest.raises(EntryError, match=f"{file.stem}, which takes no subject"):
            put_subjects(words, prompt)
        return
    put_subjects(words, prompt)
    kind, name = ("InstructSampler", "text") if file.stem == "own_picture" else ("InstructTask", "subject")
    assert of_type(prompt, kind)[0][1][name] == "the dog\nthe cat"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_without_a_picture_a_graph_is_as_it_was(file, info):
    graph = json.loads(file.read_text())
    prompt, labels = entered(graph, info, None)
    api = json.loads((file.parent / "api" / file.name).read_text())
    assert prompt.keys() == api.keys() and not labels
    assert bool(of_type(prompt, "LoadImage")) is (file.stem == "own_picture")


def test_the_api_form_takes_them_too(info, photo):
    graph = json.loads((ROOT / "workflows" / "api" / "segment.json").read_text())
    prompt, _ = entered(graph, info, photo, ["the dog"])
    ((loader, inputs),) = of_type(prompt, "LoadImage")
    assert inputs["image"] == "sent photo.png" and loader not in graph
    ((_, scene),) = of_type(prompt, "InstructScene")
    assert scene["image"] == [loader, 0]


def draws(*loaders):
    """A graph of a person's own: (id, mode) Load Image nodes, a node that draws, one that saves."""
    nodes = [{"id": n, "type": "LoadImage", "mode": m, "widgets_values": ["example.png", "image"]} for n, m in loaders]
    slot = {"name": "image", "type": "IMAGE", "link": 1}
    nodes.append({"id": 9, "type": "Draw", "inputs": [slot], "widgets_values": [5, "fixed", "heun", 0.5, True, "n"]})
    return {"nodes": nodes, "links": [[1, loaders[0][0] if loaders else 8, 0, 9, 0, "IMAGE"]] if loaders else []}


@pytest.mark.parametrize("mode", [0, 2, 4])
def test_a_graph_of_one_s_own_with_a_single_load_image(mode, info, photo):
    prompt, labels = entered(draws((3, mode)), info, photo)
    assert prompt["3"]["inputs"] == {"image": "sent photo.png"} and prompt["9"]["inputs"]["image"] == ["3", 0]
    assert labels == (["Load Image (node 3)"] if mode else [])


def test_the_one_that_runs_is_meant_where_another_is_off(info, photo):
    prompt, labels = entered(draws((3, 0), (4, 4)), info, photo)
    assert prompt["3"]["inputs"] == {"image": "sent photo.png"} and "4" not in prompt and not labels


@pytest.mark.parametrize("modes", [(0, 0), (4, 2)])
def test_of_several_none_is_guessed(modes, info, photo):
    with pytest.raises(EntryError, match=r"2 places for it; choose one:\n  --set 3.image=FILE.*\n  --set 4.image=FILE"):
        entered(draws((3, modes[0]), (4, modes[1])), info, photo)


def test_a_graph_without_a_place_for_it_says_what_is_missing(info, photo):
    with pytest.raises(EntryError, match="--image: the graph has no place for a picture: it needs one Load Image"):
        entered(draws(), info, photo)
    with pytest.raises(EntryError, match="--subject: the graph has no place for words: neither an InstructTask"):
        entered(draws((3, 0)), info, None, ["the dog"])


def test_two_scenes_or_two_tasks_are_not_guessed_either(info, photo):
    scene = {"class_type": "InstructScene", "inputs": {}}
    with pytest.raises(EntryError, match="it has 2 InstructScene"):
        entered({"1": scene, "2": scene}, info, photo)
    task = {"class_type": "InstructTask", "inputs": {"task": "segment"}}
    with pytest.raises(EntryError, match=r"--set 1.subject=WORDS.*\n  --set 2.subject=WORDS"):
        entered({"1": task, "2": task}, info, None, ["the dog"])


def test_a_server_with_an_older_pack_is_told(info, photo):
    del info["InstructScene"]["input"]["optional"]["image"]
    with pytest.raises(EntryError, match="bring its pack up to date"):
        entered({"1": {"class_type": "InstructScene", "inputs": {}}}, info, photo)


@pytest.mark.parametrize("name", ["LoadImage", "load image", "3"])
def test_set_switches_on_what_it_gives_a_file(name, info):
    prompt, labels = entered(draws((3, 4)), info, None, overrides=[f"{name}.image=photo.png"])
    assert "3" in prompt and labels == ["Load Image (node 3)"]


def test_set_leaves_off_what_it_only_names(info):
    graph = draws((3, 0))
    graph["nodes"].append({"id": 7, "type": "Draw", "mode": 4, "title": "Other"})
    assert "7" not in entered(graph, info, None, overrides=["Other.seed=1"])[0]


@pytest.fixture
def run(comfy, fake, info, tmp_path):
    fake.object_info = info

    def call(file, *more):
        return comfy("--workflow", file, "--port", fake.port, "--output", tmp_path / "out", *more)

    return call


def test_a_whole_run_uploads_and_asks(run, fake, photo, capsys):
    assert run(ROOT / "workflows" / "segment.json", "--image", photo, "--subject", "the dog") == 0
    sent = fake.prompts[0]["prompt"]
    ((loader, inputs),) = of_type(sent, "LoadImage")
    assert len(fake.uploads) == 1 and b"photo.png" in fake.uploads[0] and "photo" in inputs["image"]
    assert of_type(sent, "InstructTask")[0][1]["subject"] == "the dog"
    assert "switched on: Your picture" in capsys.readouterr().err


def test_the_examples_of_the_help_run_as_they_are_printed(run, fake, photo, monkeypatch, capsys, comfy):
    with pytest.raises(SystemExit):
        comfy("--workflow", "--help")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "photo.png" in line]
    assert len(lines) == 2
    import shlex
    import shutil

    monkeypatch.chdir(photo.parent)
    shutil.copytree(ROOT / "workflows", "workflows")
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["comfy", "--workflow"]
        assert run(words[2], *words[3:]) == 0
        ((_, inputs),) = of_type(fake.prompts[-1]["prompt"], "LoadImage")
        assert "photo" in inputs["image"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--image", "gone.png"], "there is no file gone.png"),
        (["--image", __file__], "is not a picture"),
        (["--subject", " "], "expected words"),
    ],
)
def test_wrong_words_end_with_2_before_a_server_is_asked(more, words, run, fake, capsys):
    with pytest.raises(SystemExit) as stop:
        run(SHIPPED[0], *more)
    assert stop.value.code == 2 and words in capsys.readouterr().err and not fake.prompts


def test_two_pictures_are_refused(run, photo, capsys):
    with pytest.raises(SystemExit) as stop:
        run(SHIPPED[0], "--image", photo, "--image", photo)
    assert stop.value.code == 2 and "given twice" in capsys.readouterr().err


def test_a_graph_that_has_no_place_for_them_ends_with_2(run, fake, photo, capsys):
    assert run(ROOT / "workflows" / "denoise.json", "--image", photo, "--subject", "noise") == 2
    assert "takes no subject" in capsys.readouterr().err and not fake.prompts and not fake.uploads
