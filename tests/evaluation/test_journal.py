"""The journal holds what was answered, whatever happened to the process or the file."""

from __future__ import annotations

import json
import random

import pytest

from instructdiffusion.evaluation.journal import Journal, Memory
from instructdiffusion.utils.files import WriteError
from instructdiffusion.utils.locks import only_writer

SETTINGS = {"steps": 1, "guidance": (5.0, 1.25)}


def entry(number, **more):
    return {
        "key": f"record {number}",
        "unit": number,
        "n": 0,
        "of": 1,
        "row": {"quality": number / 7},
        **more,
    }


def filled(folder, numbers, writer=0):
    journal = Journal(folder, SETTINGS, writer)
    for first in range(0, len(numbers), 2):
        journal.add([entry(n) for n in numbers[first : first + 2]])
    journal.close()
    return journal


def keys(folder):
    return list(Journal(folder, SETTINGS).entries())


def test_what_is_added_is_there(tmp_path):
    filled(tmp_path, range(5))
    found = Journal(tmp_path, SETTINGS).entries()
    assert list(found.values()) == [entry(n) for n in range(5)]
    filled(tmp_path, [5, 6])
    filled(tmp_path, [7], writer=1)
    assert keys(tmp_path) == [f"record {n}" for n in range(8)]
    assert json.loads((tmp_path / "settings.json").read_text()) == {"steps": 1, "guidance": [5.0, 1.25]}


def test_a_file_cut_anywhere_loses_only_what_was_not_whole(tmp_path):
    filled(tmp_path, range(6))
    path = tmp_path / "0000.jsonl"
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        journal = Journal(tmp_path, SETTINGS)
        assert len(journal.entries()) == whole and journal.damaged == 0
    for cut in random.Random(0).sample(range(len(data)), 20):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        filled(tmp_path, range(whole, 6))  # goes on behind what is whole
        assert keys(tmp_path) == [f"record {n}" for n in range(6)]
        assert path.read_bytes() == data


def test_a_damaged_line_is_passed_over_and_counted(tmp_path):
    filled(tmp_path, range(4))
    path = tmp_path / "0000.jsonl"
    data = bytearray(path.read_bytes())
    data[data.index(b"record 2")] ^= 1
    path.write_bytes(bytes(data))
    journal = Journal(tmp_path, SETTINGS)
    assert list(journal.entries()) == ["record 0", "record 1", "record 3"] and journal.damaged == 1


@pytest.mark.parametrize(
    "line", [b"\n", b"00000000 {}\n", b"8a6b33c1 [1]\n", b"no journal at all\n", b"\xff\xfe\n"]
)
def test_lines_that_are_none(line, tmp_path):
    filled(tmp_path, range(1))
    with open(tmp_path / "0000.jsonl", "ab") as stream:
        stream.write(line)
    journal = Journal(tmp_path, SETTINGS)
    assert len(journal.entries()) == 1 and journal.damaged == 1


def test_an_answer_replaces_a_problem_and_stays(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    broken = {"key": "record 0", "unit": 0, "problem": "a.jpg is missing"}
    journal.add([broken])
    journal.add([{**broken, "problem": "a.jpg is cut off"}])
    assert journal.entries()["record 0"]["problem"] == "a.jpg is cut off"
    journal.add([entry(0)])
    journal.add([{**entry(0), "row": {"quality": 99}}, broken])
    journal.close()
    assert journal.entries() == {"record 0": entry(0)}


def test_answers_made_otherwise_are_not_mixed(tmp_path):
    filled(tmp_path, range(1))
    with pytest.raises(ValueError, match="made with other settings"):
        Journal(tmp_path, {**SETTINGS, "steps": 2})
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="made with other settings"):
        Journal(tmp_path, SETTINGS)


def test_numbers_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError):
        Journal(tmp_path, SETTINGS).add([entry(0, row={"quality": float("nan")})])
    assert not keys(tmp_path)


def test_where_it_cannot_be_written_it_says_so(tmp_path):
    journal = Journal(tmp_path / "a", SETTINGS)
    (tmp_path / "a" / "0000.jsonl").mkdir()
    with pytest.raises(WriteError, match="could not write"):
        journal.add([entry(0)])


def test_two_runs_do_not_write_at_once(tmp_path):
    pytest.importorskip("fcntl")
    with only_writer(tmp_path, "evaluation"):
        with pytest.raises(ValueError, match="another evaluation is writing"), only_writer(tmp_path, "evaluation"):
            pass
    with only_writer(tmp_path, "evaluation"):
        pass


def test_without_a_folder():
    journal = Memory()
    journal.add([entry(0), entry(1)])
    journal.close()
    assert list(journal.entries().values()) == [entry(0), entry(1)]
