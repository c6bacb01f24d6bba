"""evaluate from the shell, killed with SIGKILL at one moment after the other and started again, ends as if unbroken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from instructdiffusion.datasets.fixtures import write_fixture

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")]

# The command line, in a process that kills itself at the moment named first ("never": it comes to its end).
SCRIPT = textwrap.dedent(
    """
    import os, signal, sys
    from instructdiffusion import files, pipeline
    from instructdiffusion.cli import main
    from instructdiffusion.datasets.readers import cache
    from instructdiffusion.evaluation import journal, scenes, suite

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def replace(owner, name, call, number=1):
        real, calls = getattr(owner, name), []
        def instead(*args, **options):
            calls.append(1)
            return (call if len(calls) == number else real)(*args, **options)
        setattr(owner, name, instead)
        return real

    def half_a_line(self, entries):
        lines = b"".join(map(journal._line, entries))
        with self.path.open("ab") as stream:
            stream.write(lines[: len(lines) - 20])
        die()

    def then_die(real):
        return lambda *args: (real(*args), die())

    def half_the_files(given):
        replace(os, "replace", die, 2)  # one is in its place, the others still have their temporary names
        write_files(given)

    moment = sys.argv[1]
    if moment == "starting":
        pipeline.InstructDiffusion.from_pretrained = die
    if moment == "indexing":
        replace(cache.Builder, "add", die, 3)
    if moment == "putting an index in its place":
        files.replace_folder = die
    if moment == "half a line":
        replace(journal.Journal, "add", half_a_line, 2)
    if moment == "after a batch":
        replace(journal.Journal, "add", then_die(journal.Journal.add), 2)
    if moment == "saving a task":
        scenes.save_done = die
    if moment == "writing the report":
        module = scenes if sys.argv[3] == "scenes" else suite
        write_files = files.write_files
        number = 1 + 2 * sys.argv.count("--tasks")  # scenes: after the sheets of both tasks
        replace(module, "write_files", half_the_files, number)
    raise SystemExit(main(sys.argv[2:]))
    """
)
DATASET = (
    "indexing", "putting an index in its place", "starting", "half a line", "after a batch", "writing the report",
)  # fmt: skip
SCENES = ("starting", "half a line", "after a batch", "saving a task", "writing the report")
COMMANDS = {
    "refcoco": (("refcoco", "--data", "{data}", "--cards", "1"), DATASET),
    "scenes": (("scenes", "--tasks", "segment", "denoise", "--count", "5"), SCENES),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "refcoco"
    write_fixture("refcoco", folder)
    return folder


def answers(output: Path) -> dict[str, list[bytes]]:
    """Journal -> its whole lines."""
    found = {}
    for path in sorted(output.glob("answers/*/*.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        found[f"{path.parent.name}/{path.name}"] = [line for line in lines if line.endswith(b"\n")]
    return found


def results(output: Path) -> dict:
    """results.json without what differs from run to run: seconds, and lines that a kill cut off."""

    def settled(value):
        if isinstance(value, dict):
            return {k: settled(v) for k, v in value.items() if k not in ("seconds", "damaged journal lines")}
        return [settled(v) for v in value] if isinstance(value, list) else value

    return settled(json.loads((output / "results.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment_it_goes_on_where_it_was(name, data, tmp_path):
    arguments, moments = COMMANDS[name]
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def run(moment: str, output: Path, cache: Path) -> int:
        words = [word.format(data=data) for word in arguments]
        # One at a time: in other batches numbers may differ in their last digits.
        words += ["--steps", "1", "--batch", "1", "--device", "cpu", "-o", str(output)]
        environment = {**os.environ, "INSTRUCTDIFFUSION_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, str(script), moment, "evaluate", *words],
            capture_output=True, text=True, timeout=600, env=environment,
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
        return done.returncode

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run("never", whole, tmp_path / "cache") == 0
    before: dict[str, list[bytes]] = {}
    for moment in moments:
        assert run(moment, broken, tmp_path / "another cache") == -signal.SIGKILL, f"{moment} never came"
        now = answers(broken)
        for journal, lines in before.items():
            assert now[journal][: len(lines)] == lines  # nothing is lost
        before = now
    count = sum(map(len, before.values()))
    assert count == sum(map(len, answers(whole).values())) > 6  # the last kill came with everything answered
    assert run("never", broken, tmp_path / "another cache") == 0

    assert answers(broken) == before  # and nothing is asked for the journal again
    for journal, lines in before.items():
        keys = [json.loads(line[9:])["key"] for line in lines]
        assert len(set(keys)) == len(keys)
        assert sorted(line[9:] for line in lines) == sorted(line[9:] for line in answers(whole)[journal])
    assert results(broken) == results(whole)
    names = {p.name for p in whole.iterdir()}
    assert {p.name for p in broken.iterdir() if not p.name.endswith(".tmp")} == names
