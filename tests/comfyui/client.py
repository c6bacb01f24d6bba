"""What the tests ask of a running ComfyUI, over HTTP as its page does."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_PATIENCE = 600.0  # seconds; where the machine has other work too, a graph of one takes a hundred


@dataclass(frozen=True)
class Comfy:
    """A server on a port of this machine, its folders and its log."""

    port: int
    base: Path
    log: Path

    def call(self, path: str, data: Any = None) -> Any:
        """GET, or POST of JSON; the answer as JSON ({} for an empty one), also of a refusal."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            content = error.read()
        return json.loads(content) if content else {}

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.call("/system_stats"))
        except OSError:
            return False

    def submit(self, graph: dict[str, Any]) -> str:
        """Queue a graph in API form; the prompt's id."""
        answer = self.call("/prompt", {"prompt": graph})
        assert "prompt_id" in answer, json.dumps(answer)[:2000]
        return answer["prompt_id"]

    def wait(self, prompt: str, seconds: float = _PATIENCE) -> dict[str, Any]:
        """The finished prompt's history."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            history = self.call(f"/history/{prompt}")
            if prompt in history and history[prompt]["status"].get("status_str"):
                return history[prompt]
            time.sleep(0.05)
        raise TimeoutError(f"prompt {prompt} did not end within {seconds:g} s")

    def run(self, graph: dict[str, Any]) -> dict[str, Any]:
        """Run a graph and give its outputs by node; an error of the graph is an AssertionError with its message."""
        done = self.wait(self.submit(graph))
        assert done["status"]["status_str"] == "success", self.error(done)
        return done["outputs"]

    def fails(self, graph: dict[str, Any]) -> str:
        """The message with which a graph fails when it runs."""
        done = self.wait(self.submit(graph))
        assert done["status"]["status_str"] == "error", "the graph succeeded"
        return self.error(done)

    @staticmethod
    def error(done: dict[str, Any]) -> str:
        """The exception's message in a history."""
        for kind, message in done["status"]["messages"]:
            if kind == "execution_error":
                return f"{message['node_type']}: {message['exception_message']}"
            if kind == "execution_interrupted":
                return "interrupted"
        return "no message"

    def picture(self, image: dict[str, str]) -> np.ndarray:
        """An output picture as uint8 [h, w, c]."""
        query = urllib.parse.urlencode(image)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/view?{query}", timeout=_PATIENCE
        ) as answer:
            return np.asarray(Image.open(io.BytesIO(answer.read())))

    def pictures(self, outputs: dict[str, Any], node: int | str) -> list[np.ndarray]:
        """All pictures that a node showed or saved."""
        return [self.picture(image) for image in outputs[str(node)]["images"]]
