"""Pickles: plain data is read, nothing is ever run."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from instructdiffusion.datasets.readers import open_reader, plain_pickle
from instructdiffusion.datasets.readers.plain_pickle import load_plain, plain_parts
from instructdiffusion.datasets.readers.problems import Flaw

PLAIN = [{"ref_id": 1, "sent": "é", "t": (1, 2.5, None, True), "s": {1, 2}, "b": b"x"}]


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(protocol, tmp_path):
    data = [{k: v for k, v in PLAIN[0].items() if protocol > 3 or k not in ("s", "b")}]
    path = tmp_path / "data.p"
    path.write_bytes(pickle.dumps(data, protocol))
    assert load_plain(path) == data


def test_strings_of_python_2(tmp_path):
    path = tmp_path / "data.p"
    path.write_bytes(b"(lp0\n(dp1\nS'sent'\np2\nS'left \\xc3\\xa9'\np3\nsa.")
    assert load_plain(path) == [{"sent": "left é"}]


def test_nothing_is_run(tmp_path):
    path, mark = tmp_path / "data.p", tmp_path / "mark"
    path.write_bytes(pickle.dumps([Attack(str(mark))]))
    with pytest.raises(Flaw, match="mkdir"):
        load_plain(path)
    path.write_bytes(b"cbuiltins\neval\n(S'1'\ntR.")
    with pytest.raises(Flaw, match="eval"):
        load_plain(path)
    assert not mark.exists()


def test_not_even_arrays(tmp_path):
    path = tmp_path / "data.p"
    path.write_bytes(pickle.dumps({"a": np.arange(3)}))
    with pytest.raises(Flaw, match="numpy"):
        load_plain(path)


@pytest.mark.parametrize(
    "data", [b"", b"nope", pickle.dumps(PLAIN)[:-5], pickle.dumps(PLAIN)[:20], b"\x80\x04."]
)
def test_damaged(data, tmp_path):
    path = tmp_path / "data.p"
    path.write_bytes(data)
    with pytest.raises(Flaw):
        load_plain(path)


def test_a_dataset_with_a_hostile_pickle_is_refused_by_name(copied):
    folder, _, cache = copied("refcoco")
    mark = folder / "mark"
    (folder / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps([Attack(str(mark))]))
    reader = open_reader("refcoco", folder, cache=cache)
    assert len(reader) == 0 and not mark.exists()
    assert "refs(unc).p" in reader.problems[0].file and "mkdir" in reader.problems[0].reason


def refs(count):
    """Expressions, as they come pickled: some objects are the same one, and are referred back to."""
    split, tokens, long = "train", ["left", "thing"], "long " * 100
    values = [None, True, -(10**12), 300, 2.5, "é\n'\"", "", (), ("a", 1), ("a", [2], 3), (1, 2, 3, 4), long]
    for n in range(count):
        sentences = [{"sent": f"left {n}", "tokens": tokens, "id": n * 70_000}] * (n % 3)
        yield {"ref_id": n, "split": split, "sentences": sentences, "x": values[n % len(values)]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("size", [1, 1000, 1 << 18])
def test_a_list_in_parts_is_the_list(size, count, protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "_PART", size)
    monkeypatch.setattr(plain_pickle, "_BLOCK", 1 << 17)
    data, path = list(refs(count)), tmp_path / "data.p"
    path.write_bytes(pickle.dumps(data, protocol))
    found = list(plain_parts(path))
    assert [entry for part in found for entry in part] == data
    if count == 2500 and size == 1 and protocol < 4:
        assert len(found) > 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("data", [{"a": [1, 2]}, ([1, 2],), 5, "x", [[]], [[1], [2, [3]]], None])
def test_what_is_no_list_of_entries_comes_whole(data, protocol, tmp_path):
    path = tmp_path / "data.p"
    path.write_bytes(pickle.dumps(data, protocol))
    assert list(plain_parts(path)) == [data]


@pytest.mark.parametrize(
    "end", [b"", b"cos\nmkdir\n(S'x'\ntR.", b"Pnumber\n.", b"P0\na.", b"0.", b"g99999\na.", b"e."]
)
def test_what_is_damaged_or_hostile_anywhere_gives_no_part(end, tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "_PART", 1)
    path = tmp_path / "data.p"
    path.write_bytes(pickle.dumps(list(refs(100)), 0)[:-1] + end)
    with pytest.raises(Flaw):
        next(plain_parts(path))
