"""Messages from the server's websocket, and that their absence does no harm."""

from __future__ import annotations

import json
import time

import pytest

from instructdiffusion.launcher.endpoint import Endpoint
from instructdiffusion.launcher.events import Events


def frame(data, kind=1, final=True):
    if len(data) < 126:
        size = bytes([len(data)])
    elif len(data) < 65536:
        size = bytes([126]) + len(data).to_bytes(2, "big")
    else:
        size = bytes([127]) + len(data).to_bytes(8, "big")
    return bytes([(0x80 if final else 0) | kind]) + size + data


def message(**data):
    return json.dumps({"type": "progress", "data": data}).encode()


def everything(fake, frames, seconds=0.5):
    fake.frames = frames
    events = Events(Endpoint("127.0.0.1", fake.port), "me")
    try:
        assert events.alive
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end and events.alive:
            found += events.wait(0.1)
        return found, events.alive
    finally:
        events.close()


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536, 300_000])
def test_messages_of_all_sizes(size, fake):
    sent = [message(text="x" * size), message(value=1)]
    found, alive = everything(fake, [frame(data) for data in sent])
    assert [json.dumps(m).encode() for m in found] == sent and alive


def test_a_message_in_pieces_with_a_ping_between(fake):
    data = message(value=3)
    frames = [frame(data[:5], 1, False), frame(b"hello", 9), frame(data[5:], 0)]
    found, _ = everything(fake, frames)
    assert found == [json.loads(data)]
    head, mask, body = fake.heard[:2], fake.heard[2:6], fake.heard[6:]
    assert head == bytes([0x8A, 0x80 | 5])
    assert bytes(b ^ mask[i % 4] for i, b in enumerate(body)) == b"hello"


def test_previews_and_other_things_are_passed_over(fake):
    frames = [frame(b"\x00\x01picture", 2), frame(b"[1]"), frame(b'{"type": "x"}'), frame(message(value=1))]
    assert everything(fake, frames)[0] == [json.loads(message(value=1))]


@pytest.mark.parametrize(
    "bad",
    [
        frame(b"", 8),
        frame(b"{", 1),
        frame(b"x", 0),
        bytes([0x81, 0x81, 0, 0, 0, 0, 0]),
        b"\x81\x7f" + b"\xff" * 8,
    ],
)
def test_a_broken_connection_only_ends_the_messages(bad, fake):
    found, alive = everything(fake, [frame(message(value=1)), bad])
    assert not alive and len(found) <= 1


def test_without_a_websocket_waiting_still_takes_its_time(fake):
    events = Events(Endpoint("127.0.0.1", fake.port), "me")  # the server answers 404
    start = time.monotonic()
    assert not events.alive and events.wait(0.2) == []
    assert 0.19 < time.monotonic() - start < 1.5
