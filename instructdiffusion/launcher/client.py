"""Talking to a ComfyUI server over HTTP."""

from __future__ import annotations

import http.client
import json
import mimetypes
import secrets
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .endpoint import TOKEN_VARIABLE, Endpoint


class ServerError(OSError):
    """The server gave no answer, or one that cannot be used; `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = 0, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Client:
    """One server. Every method raises ServerError where the server cannot be reached or refuses."""

    def __init__(self, endpoint: Endpoint, timeout: float = 60.0) -> None:
        self.endpoint, self.timeout = endpoint, timeout
        self.address = endpoint.url
        # a proxy that the environment names cannot reach this machine's own loopback
        handlers = [urllib.request.ProxyHandler({})] if endpoint.is_loopback else []
        self._opener = urllib.request.build_opener(*handlers)

    def check(self, timeout: float) -> None:
        """ServerError where no ComfyUI answers here, saying why."""
        stats = self._object("/system_stats", timeout=timeout)
        if not isinstance(stats.get("system"), Mapping):
            raise ServerError(f"what answers at {self.address} is not a ComfyUI")

    def is_comfyui(self, timeout: float = 5.0) -> bool:
        """Whether a ComfyUI answers here."""
        try:
            self.check(timeout)
        except ServerError:
            return False
        return True

    def object_info(self) -> dict[str, Any]:
        """What the server says about its node types."""
        return self._object("/object_info", timeout=max(self.timeout, 120.0))

    def submit(self, prompt: Mapping[str, Any], client_id: str, prompt_id: str) -> dict[str, Any]:
        """Queue a graph in API form; the server's answer, also where it refuses the graph (`error`,
        `node_errors`). Old servers choose another `prompt_id` than the one asked for."""
        try:
            return self._object("/prompt", {"prompt": prompt, "client_id": client_id, "prompt_id": prompt_id})
        except ServerError as error:
            if error.status == 400 and isinstance(error.body, dict):
                return error.body
            raise

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The entry of a prompt that has ended; None before that."""
        entry = self._object(f"/history/{urllib.parse.quote(prompt_id, safe='')}").get(prompt_id)
        return entry if isinstance(entry, dict) else None

    def queue_position(self, prompt_id: str, timeout: float | None = None) -> int | None:
        """0 while the prompt runs, 1 for the next in line and so on, None where it is not queued."""
        queue = self._object("/queue", timeout=timeout)
        if any(item[1] == prompt_id for item in queue.get("queue_running") or []):
            return 0
        waiting = sorted(queue.get("queue_pending") or [], key=lambda item: item[0])
        return next((n for n, item in enumerate(waiting, 1) if item[1] == prompt_id), None)

    def cancel(self, prompt_id: str, timeout: float = 5.0) -> None:
        """Take a prompt out of the queue, or interrupt it where it runs; others' prompts go on."""
        self._request("/queue", {"delete": [prompt_id]}, timeout=timeout)
        if self.queue_position(prompt_id, timeout) == 0:
            self._request("/interrupt", {"prompt_id": prompt_id}, timeout=timeout)

    def upload(self, path: Path) -> str:
        """Upload a file into the server's input folder; the name by which nodes find it there."""
        mark = secrets.token_hex(16)
        name = path.name.replace('"', "'").replace("\r", " ").replace("\n", " ")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        body = head.encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        answer = self._decode(self._request("/upload/image", body, f"multipart/form-data; boundary={mark}"))
        if not isinstance(answer, Mapping) or not answer.get("name"):
            raise ServerError(f"{self.address} did not take {path}: it answered {answer!r}")
        subfolder = answer.get("subfolder")
        return f"{subfolder}/{answer['name']}" if subfolder else str(answer["name"])

    @contextmanager
    def view(self, file: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """One of the files that nodes report: {"filename", "subfolder", "type"}, open for reading."""
        query = {key: str(file.get(key) or "") for key in ("filename", "subfolder", "type")}
        with self._open("/view?" + urllib.parse.urlencode(query)) as answer:
            yield answer

    def _object(self, path: str, data: Any = None, timeout: float | None = None) -> dict[str, Any]:
        answer = self._json(path, data, timeout)
        if not isinstance(answer, dict):
            raise ServerError(f"{self.address}{path} answered something that is not a JSON object")
        return answer

    def _json(self, path: str, data: Any = None, timeout: float | None = None) -> Any:
        return self._decode(self._request(path, data, timeout=timeout))

    def _decode(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            raise ServerError(f"{self.address} answered something that is not JSON: {body[:80]!r}") from error

    def _request(
        self, path: str, data: Any = None, kind: str = "application/json", timeout: float | None = None
    ) -> bytes:
        with self._open(path, data, kind, timeout) as answer:
            try:
                return answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise ServerError(f"{self.address} broke off its answer: {_reason(error)}") from error

    @contextmanager
    def _open(
        self, path: str, data: Any = None, kind: str = "application/json", timeout: float | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind} if body else {})
        if self.endpoint.authorization:  # not sent on to where the server may redirect
            request.add_unredirected_header("Authorization", self.endpoint.authorization)
        try:
            answer = self._opener.open(request, timeout=timeout or self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(path, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            inner = getattr(error, "reason", error)
            if isinstance(inner, ssl.SSLCertVerificationError):
                raise ServerError(_untrusted(self.address, inner)) from error
            raise ServerError(f"no answer from {self.address}: {_reason(error)}") from error
        with answer:
            yield answer

    def _refusal(self, path: str, error: urllib.error.HTTPError) -> ServerError:
        try:
            text = error.read(1_000_000)
        except (OSError, http.client.HTTPException):
            text = b""
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        message = f"{self.address}{path.split('?')[0]} answered {error.code} {error.reason}"
        if error.code in (401, 403):
            message += (
                ": it does not take this token" if self.endpoint.authorization else ": it wants to know who is asking"
            ) + f"; give the right one in the variable {TOKEN_VARIABLE}, or with --token"
        return ServerError(message, error.code, body)


def _untrusted(address: str, error: ssl.SSLCertVerificationError) -> str:
    reason = error.verify_message or "it cannot be verified"
    return (
        f"the certificate of {address} is not trusted: {reason}. Where it is your own, name the file of the "
        "authority that signed it, or the self-signed certificate itself, in the variable SSL_CERT_FILE"
    )


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__)
