"""Pickles: plain data is read, nothing is ever run."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from instructdiffusion.datasets.readers import open_reader
from instructdiffusion.datasets.readers.problems import Flaw
from instructdiffusion.datasets.readers.unpickle import load_plain

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
