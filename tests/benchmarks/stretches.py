"""How long work goes on between two moments at which it can be stopped, on every path, for a large picture.

    python tests/benchmarks/stretches.py                       # Python and the command line
    python tests/benchmarks/stretches.py --comfyui FOLDER      # the nodes: with ComfyUI's Python, FOLDER its checkout
    python tests/benchmarks/stretches.py segment overlay       # some paths only

Two columns, in seconds of the processor: the longest stretch between two calls of the check that a host stops work by
(ComfyUI's "interrupt"), and the longest in which Python did not get to look at signals (Ctrl-C). A path in tiles runs
its networks on the first batches only, and has tiles come back as they are in the others, which are alike.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
TICK = 0.01  # seconds between the signals
DRAWN = 3  # batches of tiles that networks run on
SEEDS = {"segment": 6, "refer": 6, "detect": 6, "keypoints": 0, "align": 2}  # scenes in which the thing is found


class Watch:
    """The longest times between two checks and between two signals, and where they lay."""

    def __init__(self) -> None:
        self.check_gap = self.signal_gap = 0.0
        self.check_place = self.signal_place = ""
        self.checks = 0
        self._checked = self._signalled = time.thread_time()
        self._from: Any = None

    def check(self) -> None:
        """Called where work can be stopped."""
        self.checks += 1
        gap = time.thread_time() - self._checked
        if gap > max(self.check_gap, 0.05):
            self.check_place = f"{_lines(self._from)} .. {_lines(_frames())}"
            self.check_gap = gap
        self._from = _frames()
        self._checked = time.thread_time()

    def tick(self, number: int, frame: Any) -> None:
        """Called by a signal."""
        now = time.thread_time()
        if now - self._signalled > self.signal_gap:
            self.signal_gap = now - self._signalled
            self.signal_place = _place(frame)
        self._signalled = now

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watch]:
        """Within it signals come."""
        old = signal.signal(signal.SIGALRM, self.tick)
        self._checked = self._signalled = time.thread_time()
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        try:
            yield self
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
            self.check()


def _frames() -> list[tuple[Any, int]]:
    """(code, line) of what called the check, the innermost first."""
    frame, found = sys._getframe(2), []
    while frame is not None and len(found) < 6:
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found


def _lines(frames: list[tuple[Any, int]] | None) -> str:
    if frames is None:
        return "the beginning"
    named = [(Path(code.co_filename), line) for code, line in frames]
    passed = ("interrupts.py", "strips.py")
    own = [f"{p.name}:{n}" for p, n in named if REPOSITORY in p.parents and p.name not in passed]
    return " ".join(own[1::-1]) or f"{named[-1][0].name}:{named[-1][1]}"


def _place(frame: Any) -> str:
    """Where in this repository a frame was: the innermost lines."""
    stack = traceback.extract_stack(frame)
    own = [f for f in stack if str(REPOSITORY) in f.filename and f.filename != __file__]
    named = [f"{Path(f.filename).name}:{f.lineno}" for f in own if Path(f.filename).name != "interrupts.py"]
    return " ".join(named[-2:]) or f"{Path(stack[-1].filename).name}:{stack[-1].lineno}"


def scene(task: str, size: tuple[int, int]) -> tuple[Any, Any]:
    """(picture uint8 of `size` (height, width), the instruction about it): a made-up scene, enlarged."""
    import numpy as np
    from PIL import Image

    module = _package()
    example = module["make_example"](task, SEEDS.get(task, 3), split="test", size=128, level=0)
    image = Image.fromarray(np.asarray(example.source)).resize(size[::-1], Image.Resampling.BICUBIC)
    picture = np.asarray(image)
    if task == "denoise":
        noise = np.random.default_rng(0).normal(0, 15, picture.shape).astype(np.float32)
        picture = np.rint(np.clip(picture + noise, 0, 255)).astype(np.uint8)
    return picture, example.instruction


_NAME = ""  # under which the package is imported; the nodes' is within the pack's


def _package() -> dict[str, Any]:
    prefix = f"{_NAME}." if _NAME else ""
    example = importlib.import_module(f"{prefix}instructdiffusion.datasets.synthetic.examples")
    return {"make_example": example.make_example}


def _few_networks(backend: Any) -> None:
    """Have networks draw the first batches of tiles only."""
    import numpy as np

    draw, count = backend.generate, [0]

    def drawn(pictures: Any, *rest: Any, **more: Any) -> Any:
        count[0] += 1
        if count[0] <= DRAWN:
            return draw(pictures, *rest, **more)
        same = np.asarray(pictures, np.float32) / np.float32(255)
        return same, same.copy() if more.get("reconstruct", True) else None

    backend.generate = drawn


def python_paths(size: tuple[int, int]) -> dict[str, Callable[[], Callable[[], Any]]]:
    """name -> what gets a path ready and returns what runs it."""
    from instructdiffusion import InstructDiffusion

    model = InstructDiffusion.from_pretrained("tiny", device="cpu")

    def asking(task: str, tiled: bool = False, **options: Any) -> Callable[[], Any]:
        def ready() -> Any:
            picture, instruction = scene(task, size)
            fresh = InstructDiffusion(model.components, model.settings)
            if tiled:
                _few_networks(fresh.backend)
            return lambda: fresh.run(instruction, picture, **options)

        return ready

    def afterwards(task: str, work: Callable[[Any], Any]) -> Callable[[], Any]:
        def ready() -> Any:
            picture, instruction = scene(task, size)
            answer = model.run(instruction, picture)
            return lambda: work(answer)

        return ready

    def read(folder: str) -> Callable[[], Any]:
        from PIL import Image

        from instructdiffusion.imaging.images import load_picture

        picture, _ = scene("denoise", size)
        path = Path(folder) / "photo.jpg"
        Image.fromarray(picture).save(path)
        return lambda: load_picture(path)

    folder = tempfile.mkdtemp()
    paths: dict[str, Any] = {}
    for task in ("segment", "refer", "detect", "keypoints", "align", "classify", "edit"):
        paths[task] = asking(task)
    paths["segment, unet"] = asking("segment", decoder="unet")
    paths["edit, rules"] = asking("edit", compose="rules")
    paths["segment at 1024"] = asking("segment", resolution=1024, scales=(1,))
    for task in ("denoise", "deblur", "dewatermark"):
        paths[task] = asking(task, tiled=True, upscale=1.0)
    paths["dewatermark, rules"] = asking("dewatermark", tiled=True, upscale=1.0, compose="rules")
    paths["denoise at 2"] = asking("denoise", tiled=True, upscale=2.0)
    for task in ("segment", "keypoints", "detect"):
        paths[f"overlay {task}"] = afterwards(task, lambda answer: answer.overlay())
        paths[f"picture {task}"] = afterwards(task, lambda answer: answer.picture)
        paths[f"save {task}"] = afterwards(task, lambda answer: answer.save(folder, "photo"))
    paths["message edit"] = afterwards("edit", lambda answer: answer.message)
    paths["read a file"] = lambda: read(folder)
    return paths


def node_paths(size: tuple[int, int], watch: list[Watch]) -> dict[str, Callable[[], Callable[[], Any]]]:
    """The same of the nodes, within ComfyUI's process."""
    global _NAME
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, str(Path.cwd()))
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.model_management
    import comfy.sample
    import comfy.samplers
    import folder_paths
    import torch
    from comfy_api.latest import io  # noqa: F401

    folder_paths.set_temp_directory(tempfile.mkdtemp())
    comfy.model_management.throw_exception_if_processing_interrupted = lambda: watch[0].check()
    _NAME = "instructpack"
    spec = importlib.util.spec_from_file_location(
        _NAME, REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)

    async def listed() -> Any:
        return await (await module.comfy_entrypoint()).get_node_list()

    kinds = {kind.define_schema().node_id: kind for kind in asyncio.run(listed())}
    parts = kinds["InstructLoader"].execute("tiny (built in)").args
    model = dict(zip(("model", "clip", "vae"), parts))
    sampling = {
        "text": "", "seed": 3, "steps": 0, "solver": "task's own", "scheduler": "task's own",
        "guidance": "task's own", "text_guidance": 5.0, "image_guidance": 1.25, "resolution": 0,
    }  # fmt: skip

    def asked(task: str) -> tuple[Any, Any]:
        picture, instruction = scene(task, size)
        return torch.from_numpy(picture)[None].float() / 255, instruction

    def sampler(task: str, **options: Any) -> Callable[[], Any]:
        def ready() -> Any:
            image, instruction = asked(task)
            inputs = {**model, "image": image, **sampling, "instruction": instruction, **options}
            engine = sys.modules[f"{_NAME}.nodes.comfy_backend"]
            draw = engine.ComfyBackend.generate
            tiled = task in ("denoise", "deblur", "dewatermark")

            def run() -> Any:
                kind = engine.ComfyBackend
                if tiled:
                    made = kind.__init__

                    def init(self: Any, *rest: Any) -> None:
                        made(self, *rest)
                        _few_networks(self)

                    kind.__init__ = init
                try:
                    return kinds["InstructSampler"].execute(**inputs)
                finally:
                    kind.generate = draw
                    if tiled:
                        kind.__init__ = made

            return run

        return ready

    def extract(node: str, task: str, **options: Any) -> Callable[[], Any]:
        def ready() -> Any:
            image, instruction = asked(task)
            inputs = {**model, "image": image, **sampling, "instruction": instruction}
            edited = kinds["InstructSampler"].execute(**inputs).args[0]
            given = {"source": image, "edited": edited, "instruction": instruction, **options}
            return lambda: kinds[node].execute(**given)

        return ready

    def guider(**options: Any) -> Callable[[], Any]:
        def ready() -> Any:
            image, instruction = asked("edit")
            given = {"text": "", "guidance": "none", "text_guidance": 5.0, "image_guidance": 1.25}
            inputs = {**model, "image": image, **given, "instruction": instruction, **options}

            def run() -> Any:
                made, latent = kinds["InstructGuider"].execute(**inputs).args
                noise = comfy.sample.prepare_noise(latent["samples"], 0)
                sigmas = comfy.samplers.calculate_sigmas(
                    model["model"].get_model_object("model_sampling"), "simple", 1
                )
                drawn = made.sample(
                    noise, latent["samples"], comfy.samplers.sampler_object("euler"), sigmas, disable_pbar=True
                )
                return model["vae"].decode(drawn)

            return run

        return ready

    def home() -> Any:
        image, _ = asked("edit")
        small = torch.nn.functional.interpolate(image.movedim(-1, 1), (768, 1024), mode="area").movedim(1, -1)
        return lambda: kinds["EditExtract"].execute(image, small.contiguous())

    def masked(speckled: bool, **options: Any) -> Callable[[], Any]:
        def ready() -> Any:
            image, _ = asked("edit")
            mask = torch.zeros(1, *size)
            mask[:, 300:2000, 500:3000] = 1
            if speckled:
                mask = (torch.rand(1, *size, generator=torch.Generator().manual_seed(0)) > 0.97).float()
            given = {"masks_are": "a picture each", "threshold": 0.5, "min_area": 4, "padding": 0, "label": "it"}
            return lambda: kinds["BoxFromMask"].execute(mask, **given, image=image)

        return ready

    plain = {"threshold": 0.45, "min_area": 0, "per_object": False}
    paths: dict[str, Any] = {
        f"InstructSampler {task}": sampler(task)
        for task in ("segment", "keypoints", "classify", "edit", "denoise", "deblur", "dewatermark")
    }
    paths["InstructSampler at 1024"] = sampler("segment", resolution=1024)
    paths["MaskExtract"] = extract("MaskExtract", "segment", **plain)
    paths["MaskExtract each"] = extract("MaskExtract", "segment", **{**plain, "per_object": True})
    paths["MaskExtract unet"] = extract("MaskExtract", "segment", **plain, decoder="unet")
    paths["MaskExtract detect"] = extract("MaskExtract", "detect", **plain)
    paths["KeypointExtract"] = extract("KeypointExtract", "keypoints", threshold=0.2)
    paths["ClassExtract"] = extract("ClassExtract", "classify")
    paths["EditExtract"] = lambda: home()
    paths["BoxFromMask"] = masked(False)
    paths["BoxFromMask, speckled"] = masked(True)
    paths["guider, task's own"] = guider(resize_mode="task's own")
    paths["guider, 1024"] = guider(resize_mode="longest_edge", resolution=1024)
    return paths


def measure(paths: dict[str, Any], chosen: list[str], watch: list[Watch], check: bool) -> list[dict[str, Any]]:
    """A row a path."""
    rows = []
    for name, ready in paths.items():
        if chosen and not any(name == c or (c.endswith("*") and name.startswith(c[:-1])) for c in chosen):
            continue
        run = ready()
        watch[0] = seen = Watch()
        within: Any = contextlib.nullcontext()
        if check:
            from instructdiffusion.utils.interrupts import interruptible

            within = interruptible(seen.check)
        start = time.perf_counter()
        with within, seen.watching():
            run()
        rows.append(
            {
                "path": name, "seconds": time.perf_counter() - start, "checks": seen.checks,
                "check": seen.check_gap, "between": seen.check_place,
                "signal": seen.signal_gap, "until": seen.signal_place,
            }
        )  # fmt: skip
        print(_line(rows[-1]), flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    return (
        f"| {row['path']:26} | {row['seconds']:6.1f} | {row['check']:5.2f} | {row['signal']:5.2f} "
        f"| {row['between']} | {row['until']} |"
    )


def main() -> None:
    """Measure, print a table and, where asked, write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="some paths only; a name ending in * is a beginning")
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 3000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--comfyui", type=Path, help="a checkout of ComfyUI: its nodes are measured")
    parser.add_argument("--json", type=Path, help="where the rows go")
    arguments = parser.parse_args()
    size = (arguments.size[1], arguments.size[0])
    watch = [Watch()]
    if arguments.comfyui is not None:
        os.chdir(arguments.comfyui)
        paths = node_paths(size, watch)
    else:
        sys.path.insert(0, str(REPOSITORY))
        paths = python_paths(size)
    import torch

    torch.set_num_threads(1)
    print(f"{size[1]} x {size[0]} pixels, {torch.get_num_threads()} thread")
    print("| path | seconds | between checks | between signals | from .. to | until |\n|---|---|---|---|---|---|")
    rows = measure(paths, arguments.paths, watch, arguments.comfyui is None)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
