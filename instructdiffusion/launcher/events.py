"""The server's messages while it works, read from its websocket.

They only make the progress finer: whether a graph is done is asked over HTTP, so a connection that cannot be
made, or breaks, costs nothing but detail.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import ssl
import time
from typing import Any

from .endpoint import Endpoint

_LONGEST = 64 * 2**20  # bytes of one message; previews are far below
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_CONTINUED, _TEXT, _CLOSE, _PING, _PONG = 0, 1, 8, 9, 10


class Events:
    """The text messages of one client id, each a JSON object {"type", "data"}."""

    def __init__(self, endpoint: Endpoint, client_id: str, timeout: float = 5.0) -> None:
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._parts: tuple[int, bytearray] | None = None
        with contextlib.suppress(OSError, ValueError):
            self._connect(endpoint, client_id, timeout)

    @property
    def alive(self) -> bool:
        """Whether messages can still come."""
        return self._socket is not None

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The messages that come within that time, at the first of them; an empty list after it."""
        end = time.monotonic() + seconds
        while self._socket is not None:
            try:
                messages = self._messages()
                if messages:
                    return messages
                left = end - time.monotonic()
                if left <= 0:
                    return []
                self._socket.settimeout(left)
                data = self._socket.recv(65536)
                if not data:
                    raise ConnectionError("closed")
                self._buffer += data
            except TimeoutError:
                return []
            except (OSError, ValueError):
                self.close()
        time.sleep(max(0.0, end - time.monotonic()))
        return []

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, endpoint: Endpoint, client_id: str, timeout: float) -> None:
        key = base64.b64encode(os.urandom(16))
        name = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        credentials = f"Authorization: {endpoint.authorization}\r\n" if endpoint.authorization else ""
        request = (
            f"GET {endpoint.path}/ws?clientId={client_id} HTTP/1.1\r\nHost: {name}:{endpoint.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{credentials}\r\n"
        )
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout)
        if endpoint.is_secure:
            try:
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=endpoint.host)
            except BaseException:
                connection.close()
                raise
        try:
            connection.sendall(request.encode())
            answer = bytearray()
            while b"\r\n\r\n" not in answer:
                data = connection.recv(4096)
                if not data or len(answer) > 65536:
                    raise ConnectionError("no handshake")
                answer += data
            head, _, rest = bytes(answer).partition(b"\r\n\r\n")
            accepted = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
            if head.split(b" ", 2)[1:2] != [b"101"] or accepted not in head:
                raise ConnectionError("not a websocket")
        except BaseException:
            connection.close()
            raise
        self._socket = connection
        self._buffer += rest

    def _messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while True:
            frame = self._frame()
            if frame is None:
                return messages
            final, kind, data = frame
            if kind == _CLOSE:
                raise ConnectionError("closed")
            if kind == _PING:
                self._pong(data)
            if kind >= _CLOSE:
                continue
            if kind != _CONTINUED:
                self._parts = (kind, bytearray())
            if self._parts is None:
                raise ValueError("a frame that continues nothing")
            self._parts[1].extend(data)
            if len(self._parts[1]) > _LONGEST:
                raise ValueError("a message without end")
            if final:
                kind, whole = self._parts
                self._parts = None
                message = json.loads(whole) if kind == _TEXT else None
                if isinstance(message, dict) and isinstance(message.get("data"), dict):
                    messages.append(message)

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next whole frame: whether it is the message's last, its kind, its data."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        if buffer[1] & 0x80 or length > _LONGEST:
            raise ValueError("not what a server sends")
        if len(buffer) < start + length:
            return None
        head, data = buffer[0], bytes(buffer[start : start + length])
        del buffer[: start + length]
        return bool(head & 0x80), head & 0x0F, data

    def _pong(self, data: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[:125]))
        assert self._socket is not None
        self._socket.sendall(bytes([0x80 | _PONG, 0x80 | len(masked)]) + mask + masked)
