"""Whole runs against a server that is already there."""

from __future__ import annotations

import json
import threading
import time

import pytest
from PIL import Image


@pytest.fixture
def run(comfy, fake, graph_file, tmp_path):
    """run(*more options): the exit status of the graph on the fake server, files to tmp_path/out."""

    def call(*more):
        return comfy("--workflow", graph_file, "--port", fake.port, "--output", tmp_path / "out", *more)

    return call


def test_a_graph_that_completes(run, fake, tmp_path, capsys):
    assert run() == 0
    assert fake.prompts[0]["prompt"] == {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "color": 7},
            "_meta": {"title": "EmptyImage"},
        },
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "mask"},
            "_meta": {"title": "The mask"},
        },
    }
    assert (tmp_path / "out" / "a_00001_.png").read_bytes() == b"first"
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["The mask (node 2): 2 masks", str(tmp_path / "out" / "a_00001_.png")]
    assert f"http://127.0.0.1:{fake.port}" in printed.err
    assert not any(path == "/interrupt" for path, _ in fake.posts)


def test_a_text_that_is_shown_once_more_is_printed_once(comfy, fake, tmp_path, capsys):
    """A node's message and the preview that it leads to; two nodes that happen to say the same are two."""
    nodes = {
        "4": {"class_type": "Draw", "inputs": {}},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 2]}},
        "6": {"class_type": "PreviewAny", "inputs": {"source": ["4", 1]}},
        "7": {"class_type": "Draw", "inputs": {}},
    }
    (tmp_path / "api.json").write_text(json.dumps(nodes))
    fake.outputs = {
        "5": {"text": ["nothing was found"]},
        "4": {"text": ["nothing was found"]},
        "6": {"text": ["12"]},
        "7": {"text": ["nothing was found"]},
    }
    assert comfy("--workflow", tmp_path / "api.json", "--port", fake.port, "--output", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Draw (node 4): nothing was found", "PreviewAny (node 6): 12", "Draw (node 7): nothing was found"]


def test_nothing_is_overwritten(run, fake, tmp_path):
    fake.outputs["3"] = {
        "images": [
            {"filename": "a_00001_.png", "subfolder": "", "type": "output"},  # once more the same
            {"filename": "b_00001_.png", "subfolder": "sub", "type": "output"},
            {"filename": "photo.png", "subfolder": "", "type": "input"},
        ],
        "animated": [True],
    }
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_00001_.png").write_bytes(b"mine")
    assert run() == 0
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {"a_00001_.png": b"mine", "a_00001_-2.png": b"first", "b_00001_.png": b"second"}


def test_previews_are_fetched_only_where_nothing_is_saved(run, fake, tmp_path):
    preview = {"filename": "b_00001_.png", "subfolder": "sub", "type": "temp"}
    saved = fake.outputs
    fake.outputs = {"1": {"images": [preview]}, **saved}
    assert run() == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_00001_.png"]
    fake.outputs = {"1": {"images": [preview]}}
    assert run() == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_00001_.png", "b_00001_.png"]


def test_files_stay_in_their_folder(run, fake, tmp_path):
    name = "../../evil.png"
    fake.files[name] = b"x"
    fake.outputs = {"2": {"images": [{"filename": name, "subfolder": "..", "type": "output"}]}}
    assert run() == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["evil.png"]
    assert not (tmp_path / "evil.png").exists() and not (tmp_path.parent / "evil.png").exists()


def test_a_file_that_breaks_off_is_not_kept(run, fake, tmp_path, capsys):
    fake.view_length = 100
    assert run() == 1
    assert list((tmp_path / "out").iterdir()) == []
    assert "broke off" in capsys.readouterr().err


def test_a_file_the_server_does_not_give(run, fake, capsys):
    fake.files.clear()
    assert run() == 1
    assert "/view answered 404" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("invalid", "The mask (node 2), input images: Required input is missing: images"),
        ("partly", "The mask (node 2), input images: Required input is missing: images"),
        ("error", "The mask (node 2) failed: ValueError: the colour is in the picture already"),
        ("interrupted", "interrupted at The mask (node 2)"),
        ("incomplete", "did not complete"),
        ("gone", "took it out"),
    ],
)
def test_a_graph_that_does_not_complete(behaviour, words, run, fake, tmp_path, capsys):
    fake.behaviour = behaviour
    assert run() == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_graph_that_is_only_valid_in_parts_is_taken_back(run, fake):
    fake.behaviour, fake.polls = "partly", 1000
    assert run() == 1
    assert {"/queue", "/interrupt"} <= {path for path, _ in fake.posts}


def test_silence_has_a_limit_and_the_graph_is_taken_back(run, fake, capsys):
    fake.behaviour = "hang"
    start = time.monotonic()
    assert run("--timeout", "1") == 1
    assert 1 <= time.monotonic() - start < 8
    assert "--timeout" in capsys.readouterr().err
    asked = {path: json.loads(body) for path, body in fake.posts if path in ("/queue", "/interrupt")}
    name = fake.prompts[0]["prompt_id"]
    assert asked == {"/queue": {"delete": [name]}, "/interrupt": {"prompt_id": name}}


# The interrupt may fall between a socket's making and its keeping; Python closes it then, with a warning.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_interrupts_the_graph_however_often_it_is_pressed(times, run, fake, capsys):
    import _thread

    fake.behaviour, fake.slow_posts = "hang", 0.3

    def press():
        while not fake.asked:
            time.sleep(0.02)
        for _ in range(times):
            _thread.interrupt_main()
            time.sleep(0.1)

    threading.Thread(target=press, daemon=True).start()
    assert run("--timeout", "20") == 130
    assert json.loads(dict(fake.posts)["/interrupt"]) == {"prompt_id": fake.prompts[0]["prompt_id"]}
    assert "stopped" in capsys.readouterr().err


def test_a_lost_server_is_an_error(run, fake, capsys):
    fake.behaviour = "hang"

    def leave():
        while not fake.asked:
            time.sleep(0.02)
        fake.server.shutdown()
        fake.server.server_close()

    threading.Thread(target=leave, daemon=True).start()
    assert run("--timeout", "1") == 1
    assert "no answer from" in capsys.readouterr().err


def test_widgets_are_set(run, fake):
    assert run("--set", "1.width=32", "--set", "the mask.filename_prefix=new=name") == 0
    sent = fake.prompts[0]["prompt"]
    assert sent["1"]["inputs"]["width"] == 32 and sent["2"]["inputs"]["filename_prefix"] == "new=name"


def test_a_picture_is_uploaded_first(comfy, fake, tmp_path):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    (tmp_path / "api.json").write_text(json.dumps(graph))
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    line = ["--workflow", tmp_path / "api.json", "--port", fake.port, "--output", tmp_path / "out"]
    assert comfy(*line, "--set", f"LoadImage.image={tmp_path / 'photo.png'}") == 0
    assert fake.prompts[0]["prompt"]["1"]["inputs"]["image"] == "photo (1).png"
    assert b'filename="photo.png"' in fake.uploads[0]
    assert (tmp_path / "photo.png").read_bytes() in fake.uploads[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "could not read"),
        ("{", "not JSON"),
        ("\x00\xff", "not a text file"),
        ("[]", "JSON object"),
        ("{}", "no nodes"),
        ("[" * 5000, "not JSON"),
        ('{"nodes": [], "a": ' + "[" * 200 + "]" * 200 + "}", "more than 100 deep"),
        ('{"nodes": [], "a": NaN}', "NaN is no number"),
        ('{"nodes": [], "a": 1e999}', "too large"),
        ('{"nodes": [], "a": ' + "9" * 5000 + "}", "not JSON"),
        ('{"nodes": [], "links": 1' + "0" * 400 + "}", "`links` should be a list"),
        ('{"1": {"class_type": "SaveImage", "inputs": {}, "_meta": ["9", 1]}}', "node 1: `_meta` should be an object"),
    ],
)
def test_a_file_that_is_no_graph(text, words, comfy, fake, tmp_path, capsys):
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert comfy("--workflow", path, "--port", fake.port, "--output", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and str(path) in line
    assert not fake.prompts


def test_missing_node_types_are_named(run, fake, capsys):
    del fake.object_info["EmptyImage"]
    assert run() == 1
    error = capsys.readouterr().err
    assert "EmptyImage (node 1)" in error and "custom_nodes" in error


def test_a_place_that_cannot_be_written_is_refused_before_any_work(run, fake, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert run() == 1
    assert "could not write" in capsys.readouterr().err
    assert not fake.prompts


def test_progress_comes_from_the_websocket(run, fake, capsys):
    """Two nodes named as they run; a graph that is still working is not silent."""

    def frame(kind, **data):
        body = json.dumps({"type": kind, "data": {"prompt_id": None, **data}}).encode()
        return bytes([0x81, 126]) + len(body).to_bytes(2, "big") + body

    class Frames:
        def __iter__(self):
            while not fake.prompts:
                time.sleep(0.01)
            name = fake.prompts[0]["prompt_id"]
            yield frame("executing", node="1", prompt_id="another's")
            for step in range(8):
                yield frame("progress", node="2", value=step, max=8, prompt_id=name)
                time.sleep(0.25)
            fake.polls = 0

    fake.frames, fake.polls = Frames(), 1000
    assert run("--timeout", "1") == 0
    error = capsys.readouterr().err
    assert "The mask (node 2)" in error and "EmptyImage (node 1)" not in error
