"""A graph on a server, from its submission to the server's last word on it."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .client import Client, ServerError
from .events import Events
from .progress import Progress

_SHORTEST, _LONGEST = 0.05, 0.5  # seconds between two questions; the pause grows while the graph runs
_UNREACHABLE = 30.0
_ENDS = {"execution_success", "execution_error", "execution_interrupted"}


class GraphFailed(RuntimeError):
    """The server refused the graph, or it broke off; the message says at which node and why."""


def execute(
    client: Client,
    prompt: Mapping[str, Mapping[str, Any]],
    timeout: float,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Run a graph in API form to its end; the server's entry on it ({"outputs", "status", ...}).

    timeout: seconds without a sign of life.  check: raises where waiting has no sense any more.
    GraphFailed unless the server says that all of it was executed; TimeoutError after a silence; ServerError
    where the server is lost. However the wait ends, the graph does not stay behind on the server.
    """
    client_id, prompt_id = uuid.uuid4().hex, str(uuid.uuid4())
    events = Events(client.endpoint, client_id)
    ended = False
    try:
        answer = client.submit(prompt, client_id, prompt_id)
        prompt_id = str(answer.get("prompt_id") or prompt_id)
        _check_accepted(answer, prompt)
        entry = _Watch(client, prompt, prompt_id, events, timeout, progress, check).wait()
        ended = True
    finally:
        progress.close()
        events.close()
        if not ended:
            with contextlib.suppress(ServerError):
                client.cancel(prompt_id)
    _check_completed(entry, prompt)
    return entry


def title_of(prompt: Mapping[str, Mapping[str, Any]], node: str) -> str:
    """A node for people: its title and its id."""
    base = node if node in prompt else node.split(".")[0]  # nodes that a node makes while it runs: 5.0.1
    entry = prompt.get(base, {})
    title = (entry.get("_meta") or {}).get("title") or entry.get("class_type") or "node"
    return f"{title} (node {node})"


class _Watch:
    """Waiting for the end of one prompt."""

    def __init__(
        self,
        client: Client,
        prompt: Mapping[str, Mapping[str, Any]],
        prompt_id: str,
        events: Events,
        timeout: float,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self.client, self.prompt, self.prompt_id, self.events = client, prompt, prompt_id, events
        self.timeout, self.progress, self.check = timeout, progress, check
        self.heard = self.answered = time.monotonic()
        self.done: set[str] = set()
        self.text, self.detail = "waiting", ""
        self.position: int | None = None

    def wait(self) -> dict[str, Any]:
        last_poll, pause = 0.0, _SHORTEST
        while True:
            ends = self._listen(pause)
            self.check()
            if ends or time.monotonic() - last_poll >= pause:
                last_poll, pause = time.monotonic(), min(_LONGEST, 1.3 * pause)
                entry = self._ask()
                if entry is not None:
                    return entry
            self.progress.executing(len(self.done), len(self.prompt), self.text, self.detail)
            if time.monotonic() - self.heard > self.timeout:
                raise TimeoutError(
                    f"nothing was heard of the graph for {self.timeout:g} s (last: {self.text}); it was taken off "
                    "the server. If it needs that long, give a longer --timeout"
                )

    def _listen(self, seconds: float) -> bool:
        """Take in the server's messages; whether one says that the graph has ended."""
        ends = False
        for message in self.events.wait(seconds):
            kind, data = message.get("type"), message["data"]
            if data.get("prompt_id") != self.prompt_id:
                continue
            self.heard = time.monotonic()
            node = data.get("display_node") or data.get("node")
            if kind == "execution_cached":
                self.done.update(str(name) for name in data.get("nodes") or [])
            elif kind == "executing" and node is not None:
                self.text, self.detail = title_of(self.prompt, str(node)), ""
            elif kind == "executed" and node is not None:
                self.done.add(str(node))
            elif kind == "progress":
                self.detail = f"{data.get('value')}/{data.get('max')}"
                self.text = title_of(self.prompt, str(node)) if node else self.text
            elif kind == "progress_state" and isinstance(data.get("nodes"), Mapping):
                states = {
                    str(name): state for name, state in data["nodes"].items() if isinstance(state, Mapping)
                }
                self.done.update(name for name, state in states.items() if state.get("state") == "finished")
            ends = ends or kind in _ENDS
        self.done &= self.prompt.keys()
        return ends

    def _ask(self) -> dict[str, Any] | None:
        """The prompt's entry once it has ended; takes in its place in the queue before that."""
        try:
            entry = self.client.history(self.prompt_id)
            if entry is None:
                position = self.client.queue_position(self.prompt_id)
                # it may have ended between the two questions
                entry = self.client.history(self.prompt_id) if position is None else None
                if entry is None and position is None:
                    raise GraphFailed("the graph is gone: somebody took it out of the server's queue")
                if position != self.position:
                    self.position, self.heard = position, time.monotonic()
                    self.text, self.detail = f"{position} in the queue" if position else "running", ""
        except ServerError:
            if time.monotonic() - self.answered > min(self.timeout, _UNREACHABLE):
                raise
            return None
        self.answered = time.monotonic()
        return entry


def _check_accepted(answer: Mapping[str, Any], prompt: Mapping[str, Mapping[str, Any]]) -> None:
    """A server runs what is left of a graph where some outputs are invalid: here that is a failure too."""
    lines = []
    faults = answer.get("node_errors")
    for node, fault in (faults if isinstance(faults, Mapping) else {}).items():
        for error in fault.get("errors") or []:
            extra = error.get("extra_info")
            name = extra.get("input_name") if isinstance(extra, Mapping) else None
            where = title_of(prompt, str(node)) + (f", input {name}" if name else "")
            lines.append(f"  {where}: {_joined(error)}")
    error = answer.get("error")
    if lines or error or not answer.get("prompt_id"):
        if not lines:
            lines = [f"  {_joined(error) if isinstance(error, Mapping) else error or 'it does not say why'}"]
        raise GraphFailed("the server refused the graph:\n" + "\n".join(lines))


def _joined(error: Mapping[str, Any]) -> str:
    message, details = str(error.get("message") or ""), str(error.get("details") or "")
    if not details or details in message:
        return message or "it does not say why"
    return f"{message}: {details}" if message else details


def _check_completed(entry: Mapping[str, Any], prompt: Mapping[str, Mapping[str, Any]]) -> None:
    status = entry.get("status")
    status = status if isinstance(status, Mapping) else {}
    if status.get("status_str") == "success" and status.get("completed") is True:
        return
    for message in status.get("messages") or []:
        kind, data = message[0], message[1]
        where = title_of(prompt, str(data.get("node_id")))
        if kind == "execution_error":
            reason = str(data.get("exception_message") or "").strip() or "it does not say why"
            raise GraphFailed(f"{where} failed: {data.get('exception_type') or 'error'}: {reason}")
        if kind == "execution_interrupted":
            raise GraphFailed(f"the graph was interrupted at {where}")
    raise GraphFailed(
        f"the graph did not complete; the server's status is {status.get('status_str') or 'unknown'}"
    )
