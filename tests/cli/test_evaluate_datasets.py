"""evaluate on datasets from the shell: what is printed and written, and what the exit status says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from instructdiffusion.cli import build_parser, main
from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.inference.answer import Answer
from instructdiffusion.tasks import get_task


class Idle:
    """A model that changes nothing."""

    def run(self, instruction, image, **options):
        return [
            Answer(i, get_task(i.task).decode(p, p.copy(), i), p.copy(), p)
            for i, p in zip(instruction, image)
        ]


@pytest.fixture
def idle(monkeypatch, tmp_path):
    from instructdiffusion.pipeline import InstructDiffusion

    monkeypatch.setenv("INSTRUCTDIFFUSION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(InstructDiffusion, "from_pretrained", lambda *a, **k: Idle())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_fixture("refcoco", folder / "refcoco-data")
    write_fixture("sidd", folder / "all" / "sidd")
    return folder


def test_a_benchmark(idle, data, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["refcoco", "--data", str(data / "refcoco-data"), "--split", "val", "testA", "--count", "3"]
    assert main(["evaluate", *arguments, "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "| InstructDiffusion (paper) | 61.74 | 65.20 |" in shown and f"look in {out}" in shown
    assert "| tiny, up to 3 records a split | 0.00 | 0.00 |" in shown
    assert {p.name for p in out.iterdir()} == {"answers", "report.html", "results.json", "table.md"}
    assert [p["answers"] for p in json.loads((out / "results.json").read_text())["parts"]] == [3, 3]


def test_all_that_is_there(idle, data, tmp_path, capsys):
    arguments = ["all", "--suite", "paper", "--data", str(data / "all"), "-o", str(tmp_path / "out")]
    assert main(["evaluate", *arguments]) == 0
    shown = capsys.readouterr().out
    assert all(f"### Table {n}:" in shown for n in (2, 3, 4, 5, 6)) and "- COCO: no COCO val in" in shown


def test_broken_data_gives_status_one(idle, data, tmp_path, capsys):
    folder = tmp_path / "data"
    shutil.copytree(data / "refcoco-data", folder)
    next(folder.rglob("COCO_train2014_*2.jpg")).unlink()
    arguments = ["refcoco", "--data", str(folder), "--split", "val", "testA", "-o", str(tmp_path / "out")]
    assert main(["evaluate", *arguments]) == 1
    assert "left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda picture: picture.write_bytes(picture.read_bytes()[:300])]
)
def test_strict_ends_with_the_first_broken_record(spoil, idle, data, tmp_path, capsys):
    folder = tmp_path / "data"
    shutil.copytree(data / "refcoco-data", folder)
    picture = next(folder.rglob("COCO_train2014_*2.jpg"))
    spoil(picture)
    arguments = ["refcoco", "--data", str(folder), "--split", "val", "--strict", "-o", str(tmp_path / "out")]
    assert main(["evaluate", *arguments]) == 1
    said = capsys.readouterr()
    assert picture.name in said.err and "ref " in said.err and "left out" not in said.out
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["refcoco", "--data", "{tmp}/none"], 1, "there is no folder"),
        (["refcoco", "--data", "{tmp}"], 1, "holds nothing to evaluate on:\n  RefCOCO val: no RefCOCO val in"),
        (["refcoco", "--data", "{data}/refcoco-data", "--split", "exam"], 2, "has the splits"),
        (["refcoco", "--data", "{data}/refcoco-data", "--count", "0"], 2, "at least 1"),
    ],
)
def test_bad_arguments_are_refused_before_a_model_is_loaded(arguments, status, message, data, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    filled = [a.format(tmp=tmp_path / "empty", data=data) for a in arguments]
    assert main(["evaluate", *filled, "-o", str(tmp_path / "out")]) == status
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_other_names(capsys):
    parsed = build_parser().parse_args(["evaluate", "ade20k", "--data", "x", "--batch", "3"])
    assert parsed.names == ["ade20k-150"] and parsed.batch_size == 3
    with pytest.raises(SystemExit):
        build_parser().parse_args(["evaluate", "refcoco", "--data", "x", "--decoder", "magic"])


@pytest.mark.slow
def test_two_processes_share_the_work(data, tmp_path):
    """Started as torchrun starts them, two answer every question once, and one writes the report."""
    out = tmp_path / "out"
    environment = {**os.environ, "INSTRUCTDIFFUSION_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "instructdiffusion", "evaluate", "refcoco", "--data", str(data / "refcoco-data")]
    done = subprocess.run(
        [*command, "--steps", "1", "--batch", "2", "--device", "cpu", "-o", str(out)],
        capture_output=True, text=True, timeout=600, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["settings"]["processes"] == 2 and [p["answers"] for p in results["parts"]] == [4, 4, 4]
    lines = {p.parent.name + p.name: p.read_bytes().splitlines() for p in out.glob("answers/*/*.jsonl")}
    assert sorted(len(some) for some in lines.values()) == [2] * 6
    assert done.stdout.count("### Table 3") == 1
