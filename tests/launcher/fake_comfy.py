"""A server that answers like ComfyUI, as far as the launcher asks; also the main.py of workspaces in tests."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OBJECT_INFO = {
    "EmptyImage": {
        "input": {
            "required": {
                "width": ["INT", {"default": 512, "min": 1, "max": 16384}],
                "color": ["INT", {"default": 0}],
            }
        },
        "input_order": {"required": ["width", "color"]},
        "display_name": "EmptyImage",
    },
    "LoadImage": {
        "input": {"required": {"image": [["example.png", "other.png"], {"image_upload": True}]}},
        "input_order": {"required": ["image"]},
        "display_name": "Load Image",
    },
    "SaveImage": {
        "input": {
            "required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
            "hidden": {"prompt": "PROMPT"},
        },
        "input_order": {"required": ["images", "filename_prefix"], "hidden": ["prompt"]},
        "display_name": "Save Image",
    },
    "PreviewAny": {
        "input": {"required": {"source": ["*", {}]}},
        "input_order": {"required": ["source"]},
        "display_name": "Preview Any",
        "output_node": True,
    },
    "Draw": {
        "input": {
            "required": {
                "image": ["IMAGE", {}],
                "seed": ["INT", {"default": 0, "min": 0, "control_after_generate": True}],
                "solver": ["COMBO", {"options": ["euler", "heun"], "default": "euler"}],
                "strength": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}],
                "tiled": ["BOOLEAN", {"default": False}],
            },
            "optional": {
                "words": ["STRING", {"default": "", "forceInput": True}],
                "name": ["STRING", {"default": "x"}],
            },
        },
        "input_order": {
            "required": ["image", "seed", "solver", "strength", "tiled"],
            "optional": ["words", "name"],
        },
        "display_name": "Draw it",
    },
}
ERROR = {
    "node_id": "2",
    "exception_type": "ValueError",
    "exception_message": "the colour is in the picture already\n",
}
INVALID = {
    "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
    "node_errors": {
        "2": {
            "class_type": "SaveImage",
            "dependent_outputs": ["2"],
            "errors": [
                {
                    "type": "required_input_missing",
                    "message": "Required input is missing",
                    "details": "images",
                    "extra_info": {"input_name": "images"},
                }
            ],
        }
    },
}


class FakeComfy:
    """One server; `behaviour` is success, error, interrupted, incomplete, invalid, partly (invalid), gone or hang."""

    def __init__(self, port=0, behaviour="success"):
        self.behaviour = behaviour
        self.polls = 2  # questions after which a prompt has ended
        self.object_info = json.loads(json.dumps(OBJECT_INFO))
        self.files = {"a_00001_.png": b"first", "b_00001_.png": b"second"}
        self.outputs = {
            "2": {
                "images": [{"filename": "a_00001_.png", "subfolder": "", "type": "output"}],
                "text": ["2 masks"],
            }
        }
        self.frames = None  # what the websocket sends; None: there is none
        self.prompts, self.uploads, self.posts, self.asked = [], [], [], 0
        self.view_length = None
        self.authorization, self.prefix = None, ""  # the header that every request needs; what paths begin with
        self.slow_posts = 0.0  # seconds before an answer, of posts other than prompts
        fake = self

        class Handler(_Handler):
            server_fake = fake

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def start(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def ended(self):
        return self.behaviour not in ("hang", "gone") and self.prompts and self.asked > self.polls

    def entry(self):
        status = {"status_str": "success", "completed": True, "messages": [["execution_start", {}]]}
        if self.behaviour in ("error", "interrupted"):
            kind = "execution_error" if self.behaviour == "error" else "execution_interrupted"
            status = {"status_str": "error", "completed": False, "messages": [[kind, ERROR]]}
        if self.behaviour == "incomplete":
            status["completed"] = False
        return {"outputs": self.outputs, "status": status}


class _Handler(BaseHTTPRequestHandler):
    server_fake: FakeComfy

    def log_message(self, *_):
        pass

    def answer(self, data, status=200, length=None):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def parse_request(self):
        """As ever, and as a proxy before the server: who does not say who is asking is sent away."""
        if not super().parse_request():
            return False
        fake = self.server_fake
        if fake.authorization is not None and self.headers.get("Authorization") != fake.authorization:
            self.answer({}, 401)
            return False
        if not self.path.startswith(fake.prefix + "/"):
            self.answer({}, 404)
            return False
        self.path = self.path[len(fake.prefix) :]
        return True

    def do_GET(self):
        fake, url = self.server_fake, urllib.parse.urlparse(self.path)
        if url.path == "/system_stats":
            self.answer({"system": {"comfyui_version": "0"}, "devices": []})
        elif url.path == "/object_info":
            self.answer(fake.object_info)
        elif url.path.startswith("/history/"):
            fake.asked += 1
            self.answer({fake.prompts[-1]["prompt_id"]: fake.entry()} if fake.ended else {})
        elif url.path == "/queue":
            waits = fake.prompts and not fake.ended and fake.behaviour != "gone"
            running = [[0, fake.prompts[-1]["prompt_id"], {}, {}, []]] if waits else []
            self.answer({"queue_running": running, "queue_pending": []})
        elif url.path == "/view":
            name = urllib.parse.parse_qs(url.query)["filename"][0]
            known = name in fake.files
            self.answer(fake.files.get(name, b""), 200 if known else 404, fake.view_length)
        elif url.path == "/ws" and fake.frames is not None:
            self.websocket(fake.frames)
        else:
            self.answer({}, 404)

    def do_POST(self):
        fake = self.server_fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake.posts.append((self.path, body))
        if self.path == "/prompt":
            if fake.behaviour == "invalid":
                return self.answer(INVALID, 400)
            data = json.loads(body)
            fake.prompts.append(data)
            faults = INVALID["node_errors"] if fake.behaviour == "partly" else {}
            return self.answer({"prompt_id": data["prompt_id"], "number": 1, "node_errors": faults})
        if self.path == "/upload/image":
            fake.uploads.append(body)
            return self.answer({"name": "photo (1).png", "subfolder": "", "type": "input"})
        time.sleep(fake.slow_posts)
        return self.answer(b"")

    def websocket(self, frames):
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
        self.end_headers()
        for frame in frames:
            self.wfile.write(frame)
        self.wfile.flush()
        self.server_fake.heard = self.rfile.read1(64)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    behaviour = os.environ.get("FAKE_COMFY", "success")
    with open(os.path.join(here, "started.json"), "w") as stream:
        json.dump({"pid": os.getpid(), "arguments": arguments}, stream)
    print("loading nodes", flush=True)
    if behaviour == "broken":
        raise SystemExit("ModuleNotFoundError: No module named 'einops'")
    if behaviour == "silent":
        time.sleep(60)
    if behaviour == "stubborn":
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        behaviour = "success"
    server = FakeComfy(int(arguments[arguments.index("--port") + 1]), behaviour)
    if behaviour == "dies":
        server.behaviour = "hang"
        threading.Thread(
            target=lambda: (time.sleep(1.5), print("out of memory", flush=True), os._exit(3))
        ).start()
    server.server.serve_forever(0.02)
