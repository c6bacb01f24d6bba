"""A server elsewhere: over https, behind a path, with a token; certificates that nobody vouches for."""

from __future__ import annotations

import shutil
import socketserver
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instructdiffusion.launcher.endpoint import Endpoint, read_endpoint
from instructdiffusion.launcher.options import parse


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) of localhost, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


@pytest.fixture
def secure(fake: Any, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fake server over https, behind the path /comfy, for whoever has the token "secret"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    fake.server.socket = context.wrap_socket(fake.server.socket, server_side=True)
    # a client that does not trust the certificate hangs up: no traceback of the server's for that
    monkeypatch.setattr(socketserver.BaseServer, "handle_error", lambda *_: None)
    fake.authorization, fake.prefix = "Bearer secret", "/comfy"
    fake.frames = [b'\x81\x1b{"type":"status","data":{}}']
    return fake


@pytest.fixture
def run(comfy: Any, secure: Any, graph_file: Path, tmp_path: Path) -> Any:
    """run(*more options): the exit status of a graph on that server."""
    address = f"https://localhost:{secure.port}/comfy/"
    return lambda *more: comfy("--workflow", graph_file, "--server", address, "--output", tmp_path / "out", *more)


def test_a_graph_runs_over_https_with_a_token(run, secure, certificate, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert run("--token", "secret") == 0
    assert (tmp_path / "out" / "a_00001_.png").read_bytes() == b"first"
    assert secure.heard is not None  # the websocket too
    monkeypatch.setenv("COMFYUI_TOKEN", "secret")
    assert run() == 0
    printed = capsys.readouterr()
    assert "secret" not in printed.err + printed.out and f"https://localhost:{secure.port}/comfy" in printed.err


@pytest.mark.parametrize(
    ("token", "words"), [((), "wants to know who is asking"), (("--token", "wrong"), "does not take this token")]
)
def test_a_missing_or_wrong_token_is_said(run, certificate, monkeypatch, capsys, token, words) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.delenv("COMFYUI_TOKEN", raising=False)
    assert run(*token) == 1
    error = capsys.readouterr().err
    assert words in error and "COMFYUI_TOKEN" in error and "401" in error and "wrong" not in error


def test_a_certificate_that_nobody_vouches_for_is_refused_with_what_to_do(run, secure, capsys) -> None:
    assert run("--token", "secret") == 1
    error = capsys.readouterr().err
    assert "self-signed certificate" in error and "SSL_CERT_FILE" in error and error.count("\n") == 1
    assert not secure.posts


def test_a_server_elsewhere_that_is_not_there_is_not_replaced_by_one_here(comfy, graph_file, capsys) -> None:
    assert comfy("--workflow", graph_file, "--server", "http://127.0.0.1:9") == 1
    assert "no answer from http://127.0.0.1:9" in capsys.readouterr().err


def test_addresses_are_read() -> None:
    assert read_endpoint("https://c.example.org/a/", "t") == Endpoint("c.example.org", 443, True, "/a", "Bearer t")
    assert read_endpoint("https://c.example.org", "t").url == "https://c.example.org"
    assert read_endpoint("http://[::1]:8188").url == "http://[::1]:8188"
    basic = read_endpoint("https://me:p%40ss@host:9", None)
    assert basic.authorization == "Basic bWU6cEBzcw==" and basic.url == "https://host:9"
    assert "secret" not in repr(read_endpoint("https://host", "secret"))
    assert read_endpoint("http://10.0.0.5", "t").tells_its_secret and not read_endpoint("http://10.0.0.5").tells_its_secret


@pytest.mark.parametrize(
    "line",
    ["--server ftp://host", "--server host:8188", "--server https://", "--server http://h:99999", "--server http://h?x=1",
     "--server http://h --port 1", "--token=a\nb", "--server https://me:word@h --token t", "--server http://[::1"],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--workflow", "g.json", *line.split(" ")])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "argument --" in error and "word" not in error.replace("comfy.example", "")
