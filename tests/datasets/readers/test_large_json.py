"""JSON an element at a time: the same as all at once, and what is damaged is said."""

from __future__ import annotations

import json

import pytest

from instructdiffusion.datasets.readers import large_json
from instructdiffusion.datasets.readers.large_json import load_json, stream_json, stream_lines
from instructdiffusion.datasets.readers.problems import Flaw

DATA = {
    "info": {"year": 2017, "text": 'a "quoted" \\ [,]{}'},
    "empty": [],
    "numbers": [1, -2.5, 1e10, 123456789],
    "images": [{"id": n, "name": f"é{n}", "nested": [[1, 2], [n]]} for n in range(50)],
    "last": None,
}


def written(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    return path


def gathered(path):
    found = {}
    for key, value in stream_json(path):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_windows_of_any_size(chunk, indent, tmp_path, monkeypatch):
    monkeypatch.setattr(large_json, "_CHUNK", chunk)
    found = gathered(written(tmp_path, json.dumps(DATA, indent=indent)))
    assert found["images"] == DATA["images"] and found["numbers"] == DATA["numbers"]
    assert found["info"] == [DATA["info"]] and found["last"] == [None] and "empty" not in found
    assert gathered(written(tmp_path, json.dumps(DATA["images"])))[""] == DATA["images"]
    assert gathered(written(tmp_path, "{}")) == gathered(written(tmp_path, "[]")) == {}


def test_lists_whole_where_asked_for(tmp_path):
    assert dict(stream_json(written(tmp_path, json.dumps(DATA)), parted=False)) == DATA
    assert [v for _, v in stream_json(written(tmp_path, "[[1, 2], 3]"), parted=False)] == [[1, 2], 3]


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.9, 0.999])
def test_a_cut_off_file_gives_what_came_before(share, tmp_path):
    text = json.dumps(DATA)
    path, found = written(tmp_path, text[: int(len(text) * share)]), []
    with pytest.raises(Flaw, match="cut off"):
        for item in stream_json(path):
            found.append(item)
    whole = [(k, v) for k, v in stream_json(written(tmp_path, text))]
    assert found == whole[: len(found)]


@pytest.mark.parametrize(
    "text", ["", "hello", '{"a": 1} more', '{"a" 1}', "{1: 2}", '{"a": [1 2]}', "[nope]"]
)
def test_what_is_no_json(text, tmp_path):
    with pytest.raises(Flaw):
        list(stream_json(written(tmp_path, text)))


def test_a_fault_far_from_the_end_does_not_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr(large_json, "_CHUNK", 1000)
    monkeypatch.setattr(large_json, "_NEAR", 100)
    path = written(tmp_path, '[{"a": 1}, {oops}, ' + ", ".join(["1"] * 100_000) + "]")
    with pytest.raises(Flaw, match="not JSON"):
        list(stream_json(path))


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "data.json"
    path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(Flaw, match="UTF-8"):
        list(stream_json(path))
    with pytest.raises(Flaw, match="not JSON"):
        load_json(path)


def test_a_deep_nest_is_refused(tmp_path):
    path = written(tmp_path, "[" * 200_000)
    with pytest.raises(Flaw):
        list(stream_json(path))
    with pytest.raises(Flaw):
        load_json(path)


def test_lines_are_read_one_by_one(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n\nnope\n{"a": 2}\n{"a": ')
    found = dict(stream_lines(path))
    assert found[1] == {"a": 1} and found[4] == {"a": 2}
    assert "not JSON" in str(found[3]) and "cut off" in str(found[5])
