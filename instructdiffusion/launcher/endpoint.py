"""Where a server is and how one speaks to it: `--server https://HOST/PATH`, `--host`, `--port`, and a token."""

from __future__ import annotations

import base64
import os
import urllib.parse
from dataclasses import dataclass, field

TOKEN_VARIABLE = "COMFYUI_TOKEN"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """A server's place. authorization: the header of that name, "" for none; it is in no message."""

    host: str
    port: int
    is_secure: bool = False
    path: str = ""
    authorization: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """What paths are appended to."""
        scheme = "https" if self.is_secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.is_secure and self.port == _PORTS["https"] else f":{self.port}"
        return f"{scheme}://{host}{port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine's own."""
        return self.host in _LOOPBACK

    @property
    def tells_its_secret(self) -> bool:
        """Whether whoever is on the way there could read the authorization."""
        return bool(self.authorization) and not self.is_secure and not self.is_loopback


def read_endpoint(url: str, token: str | None = None) -> Endpoint:
    """The endpoint that a URL names.

    Args:
        url: http:// or https://, a host, and perhaps user:password@ before it, a port and a path after it.
        token: Sent as "Authorization: Bearer TOKEN"; None takes that of the environment, if there is one.

    Raises:
        ValueError: The URL is no such URL, or both it and the token say who is asking.
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{_without_secret(url)!r} is no address of a server: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            f"expected the address of a server, as in https://comfy.example.org or http://10.0.0.5:8188, got "
            f"{_without_secret(url)!r}"
        )
    user = urllib.parse.unquote(parts.username or "")
    if user and token is not None:
        raise ValueError("a user in the address and a token both say who is asking: give one of them")
    authorization = bearer(token)
    if user:
        pair = f"{user}:{urllib.parse.unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Endpoint(
        parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https", parts.path.rstrip("/"), authorization
    )


def bearer(token: str | None) -> str:
    """The header's value for a token; None takes that of the environment, "" where there is none.

    Raises:
        ValueError: It cannot stand in a header.
    """
    value = (os.environ.get(TOKEN_VARIABLE, "") if token is None else token).strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a token has letters, digits and signs, without spaces: this one cannot be sent")
    return f"Bearer {value}" if value else ""


def _without_secret(url: str) -> str:
    start, at, rest = url.rpartition("@")
    return f"{start.partition('://')[0]}://...@{rest}" if at else url
