"""Starting a ComfyUI and stopping it, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from instructdiffusion.launcher.server import free_port


@pytest.fixture
def run(comfy, graph_file, workspace, tmp_path, monkeypatch):
    """run(*more options): the exit status where no server runs; --cpu spares the look for an accelerator."""
    monkeypatch.setattr("instructdiffusion.launcher.options.DEFAULT_PORT", free_port())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def call(*more, end=("--", "--cpu")):
        where = ["--workspace", workspace, "--output", tmp_path / "out"]
        return comfy("--workflow", graph_file, *where, *more, *end)

    return call


def started(workspace):
    return json.loads((workspace / "started.json").read_text())


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_is_started_and_stopped(run, workspace, tmp_path, capsys):
    assert run(end=("--", "--cpu", "--lowvram")) == 0
    arguments = started(workspace)["arguments"]
    assert arguments[:2] == ["--listen", "127.0.0.1"] and arguments[-2:] == ["--cpu", "--lowvram"]
    assert arguments.count("--cpu") == 1
    assert not is_running(started(workspace)["pid"])
    assert (tmp_path / "out" / "a_00001_.png").read_bytes() == b"first"
    assert list(tmp_path.glob("comfyui-*.log")) == []
    assert "starting ComfyUI" in capsys.readouterr().err


def test_previews_of_other_servers_in_the_workspace_are_left_alone(run, workspace, tmp_path):
    """A ComfyUI empties its folder of previews, so two of them must not share one."""
    seen = set()
    for _ in range(2):
        assert run() == 0
        arguments = started(workspace)["arguments"]
        folder = arguments[arguments.index("--temp-directory") + 1]
        assert not folder.startswith(str(workspace))
        seen.add(folder)
    assert len(seen) == 2
    assert list(tmp_path.glob("comfyui-previews-*")) == []


def test_it_listens_where_it_was_told(run, workspace):
    port = free_port()
    assert run("--port", port) == 0
    assert str(port) in started(workspace)["arguments"]


def test_without_an_accelerator_it_runs_on_the_cpu(run, workspace, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo none && exit\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("COMFYUI_PYTHON", str(python))
    assert run(end=()) == 0
    assert "--cpu" in started(workspace)["arguments"]
    python.write_text(python.read_text().replace("none", "accelerator"))
    assert run(end=()) == 0
    assert "--cpu" not in started(workspace)["arguments"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("broken", ["ended with status 1", "No module named 'einops'", "requirements.txt"]),
        ("silent", ["stood still for 1 s", "loading nodes"]),
        ("dies", ["ended with status 3", "out of memory"]),
        ("error", ["failed: ValueError", "the server's log is"]),
        ("hang", ["nothing was heard", "the server's log is"]),
    ],
)
def test_what_goes_wrong_is_said_with_the_log(
    behaviour, words, run, workspace, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FAKE_COMFY", behaviour)
    assert run("--timeout", "5" if behaviour == "dies" else "1") == 1
    error = capsys.readouterr().err
    log = next(tmp_path.glob("comfyui-*.log"))
    assert all(word in error for word in [*words, str(log)])
    assert "loading nodes" in log.read_text()
    assert not is_running(started(workspace)["pid"])


def test_a_mistake_in_the_graph_stops_the_server_too(run, workspace, tmp_path, capsys):
    assert run("--set", "9.width=3") == 2
    assert "EmptyImage" in capsys.readouterr().err
    assert not is_running(started(workspace)["pid"])
    assert list(tmp_path.glob("comfyui-*.log")) == []


def test_where_a_node_type_is_missing_the_log_is_kept(run, workspace, graph_file, tmp_path, capsys):
    graph_file.write_text(graph_file.read_text().replace("SaveImage", "MaskExtract"))
    assert run() == 1
    log = next(tmp_path.glob("comfyui-*.log"))
    error = capsys.readouterr().err
    assert "MaskExtract (node 2)" in error and f"the server's log is {log}" in error
    assert not is_running(started(workspace)["pid"])


def test_a_server_that_does_not_listen_is_killed(run, workspace, monkeypatch):
    monkeypatch.setenv("FAKE_COMFY", "stubborn")
    monkeypatch.setattr("instructdiffusion.launcher.server._GRACE", 0.3)
    assert run() == 0
    assert not is_running(started(workspace)["pid"])


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_what_was_started(number, status, graph_file, workspace, tmp_path):
    code = "from instructdiffusion.launcher import main; raise SystemExit(main())"
    line = ["--workflow", graph_file, "--workspace", workspace, "--output", tmp_path / "out"]
    command = [sys.executable, "-c", code, *map(str, line), "--port", str(free_port()), "--", "--cpu"]
    environment = {**os.environ, "FAKE_COMFY": "hang"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for text in process.stderr:
            if "running" in text:  # the graph is
                break
        process.send_signal(number)
        assert process.wait(20) == status
        assert "stopped" in process.stderr.read()
    assert not is_running(started(workspace)["pid"])


def test_a_taken_port_is_refused(run, workspace, capsys):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run("--port", other.getsockname()[1], "--timeout", "1") == 1
    assert "give another --port" in capsys.readouterr().err
    assert not (workspace / "started.json").exists()


def test_a_far_server_is_not_replaced(run, workspace, monkeypatch, capsys):
    assert run("--host", "127.0.0.2", "--port", free_port()) == 1
    assert "no ComfyUI answers" in capsys.readouterr().err
    assert not (workspace / "started.json").exists()


def test_start_up_is_shown_while_it_takes_long(capsys, monkeypatch):
    from instructdiffusion.launcher.progress import Progress

    now = time.monotonic()
    monkeypatch.setattr("instructdiffusion.launcher.progress.time.monotonic", lambda: now)
    progress = Progress()
    progress.starting("early")
    now += 6
    progress.starting("loading\x1b a pack")
    assert capsys.readouterr().err == "  loading  a pack\n"
