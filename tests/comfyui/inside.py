"""What can be seen only from inside ComfyUI's process: run by its Python, in its folder, prints JSON.

python inside.py REPOSITORY    # `test_inside` runs it and says what the numbers have to be
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(sys.argv[1])
sys.argv = ["main.py", "--cpu", "--preview-method", "latent2rgb"]
sys.path.insert(0, str(Path.cwd()))
BEGAN = time.process_time()

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.hooks  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.patcher_extension  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402
import folder_paths  # noqa: E402
import latent_preview  # noqa: E402, F401
import torch  # noqa: E402
from comfy_api.latest import io, ui  # noqa: E402, F401
from comfy_extras.nodes_hooks import SetClipHooks  # noqa: E402

COMFYUI = time.process_time() - BEGAN  # seconds of CPU that ComfyUI's own parts took to load

OPTIONS = {
    "text": "paint the star yellow", "seed": 3, "steps": 2, "solver": "task's own", "scheduler": "task's own",
    "guidance": "none", "text_guidance": 5.0, "image_guidance": 1.25, "resolution": 0,
}  # fmt: skip
SUBJECTS: dict[str, Any] = {
    "segment": "the star", "detect": "the star", "keypoints": "the nose", "classify": ["a star", "a dog"],
}  # fmt: skip
FORMULAS = ("instructdiffusion", "instructpix2pix")


def pack() -> tuple[dict[str, Any], float]:
    """(the nodes by id, the seconds of CPU that loading them took beyond what ComfyUI had loaded)."""
    began = time.process_time()
    name = str(REPOSITORY)
    spec = importlib.util.spec_from_file_location(
        name, REPOSITORY / "__init__.py", submodule_search_locations=[name]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    kinds = asyncio.run(_kinds(module))
    return {kind.define_schema().node_id: kind for kind in kinds}, time.process_time() - began


def doubled(kinds: dict[str, Any]) -> dict[str, list[str]]:
    """Names that a node's inputs share with its outputs: ComfyUI before 0.8 refuses them, and with them the pack."""
    found = {}
    for name, kind in kinds.items():
        schema = kind.define_schema()
        found[name] = sorted({i.id for i in schema.inputs} & {o.id for o in schema.outputs if o.id})
    return {name: ids for name, ids in found.items() if ids}


async def _kinds(module: Any) -> list[Any]:
    return await (await module.comfy_entrypoint()).get_node_list()


class Counter:
    """What a MODEL's wrappers and patch saw: pictures evaluated, calls, runs, and guided predictions."""

    def __init__(self) -> None:
        self.evaluated = self.applied = self.outer = self.guided = 0

    def on(self, model: Any, patch: bool = False) -> Any:
        """A clone of the MODEL with counting wrappers; patch: also with a function that changes every prediction."""

        # Functions and not methods: ComfyUI copies a clone's options deeply, methods with the object they belong to.
        def unet(apply_model: Any, args: dict[str, Any]) -> Any:
            self.evaluated += len(args["cond_or_uncond"])
            return apply_model(args["input"], args["timestep"], **args["c"])

        def apply(executor: Any, *args: Any, **options: Any) -> Any:
            self.applied += 1
            return executor(*args, **options)

        def outer(executor: Any, *args: Any, **options: Any) -> Any:
            self.outer += 1
            return executor(*args, **options)

        def guided(args: dict[str, Any]) -> Any:
            self.guided += 1
            return args["denoised"] * 0

        clone = model.clone()
        clone.set_model_unet_function_wrapper(unet)
        kinds = comfy.patcher_extension.WrappersMP
        clone.add_wrapper_with_key(kinds.APPLY_MODEL, "test", apply)
        clone.add_wrapper_with_key(kinds.OUTER_SAMPLE, "test", outer)
        if patch:
            clone.set_model_sampler_post_cfg_function(guided)
        return clone


class Run:
    """The nodes on one model and picture."""

    def __init__(self, kinds: dict[str, Any]) -> None:
        self.kinds = kinds
        self.model, self.clip, self.vae = kinds["InstructLoader"].execute("tiny (built in)").args
        self.image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))

    def sampler(self, model: Any = None, **options: Any) -> torch.Tensor:
        """InstructSampler's picture."""
        inputs = {"model": model or self.model, "clip": self.clip, "vae": self.vae, "image": self.image}
        return self.kinds["InstructSampler"].execute(**inputs, **{**OPTIONS, **options}).args[0]

    def guider(self, model: Any, steps: int = 2, denoise_mask: Any = None, **options: Any) -> torch.Tensor:
        """The latents that a native sampler finds with InstructGuider."""
        inputs = {"model": model, "clip": self.clip, "vae": self.vae, "image": self.image}
        given = {k: OPTIONS[k] for k in ("text", "guidance", "text_guidance", "image_guidance")} | options
        guider, latent, _ = self.kinds["InstructGuider"].execute(**inputs, **given).args
        empty = latent["samples"]
        noise = torch.randn(empty.shape, generator=torch.Generator().manual_seed(3))
        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, "sgm_uniform", steps)
        euler = comfy.samplers.sampler_object("euler")
        return guider.sample(noise, empty, euler, sigmas, denoise_mask=denoise_mask, disable_pbar=True)


def evaluations(run: Run) -> dict[str, Any]:
    """Pictures evaluated in two steps, by guidance, and what wrappers and patches saw."""
    scales = {
        "none": {"guidance": "none"},
        "three branches": {"guidance": "scales"},
        "no branch without the picture": {"guidance": "scales", "image_guidance": 0.5},
        "only the full branch": {"guidance": "scales", "text_guidance": 0.5, "image_guidance": 0.5},
    }
    found: dict[str, Any] = {}
    for ask in (run.sampler, run.guider):
        for name, options in scales.items():
            counter = Counter()
            ask(counter.on(run.model), **options)
            found[f"{ask.__name__}: {name}"] = counter.evaluated
        counter = Counter()
        changed = ask(counter.on(run.model, patch=True))
        found[f"{ask.__name__}: wrappers"] = [counter.applied > 0, counter.outer, counter.guided]
        found[f"{ask.__name__}: patch"] = not torch.equal(changed, ask(run.model.clone()))
    return found


def hooked(run: Run) -> dict[str, bool]:
    """Whether a LoRA that hangs on the CLIP as a hook, and not on the MODEL, changes what each node draws."""
    file = REPOSITORY / "instructdiffusion" / "assets" / "loras" / "tiny-sepia.safetensors"
    hooks = comfy.hooks.create_hook_lora(comfy.utils.load_torch_file(str(file)), 1.0, 0.0)
    found, plain = {}, run.clip
    for ask in (run.sampler, run.guider):
        before = ask(run.model)
        (run.clip,) = SetClipHooks().apply_hooks(run.clip, False, True, hooks)
        found[ask.__name__] = not torch.equal(before, ask(run.model))
        run.clip = plain
        found[f"{ask.__name__} afterwards"] = torch.equal(before, ask(run.model))
    return found


def masked(run: Run) -> bool:
    """Whether a latent's noise mask holds still what lies outside it, with InstructGuider in a native sampler."""
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    kept, drawn = (run.guider(run.model, denoise_mask=m) for m in (mask, None))
    left, right = kept[..., :8].abs(), kept[..., 8:].abs()
    return bool(left.max() < 1e-3 < min(right.mean(), drawn[..., :8].abs().mean()))


def added(run: Run) -> dict[str, Any]:
    """A thing added to a batch of two long pictures: the shape of the LATENT, the columns between which it changed."""
    image = torch.full((2, 128, 256, 3), 0.9)
    inputs = {"model": run.model, "clip": run.clip, "vae": run.vae, "image": image}
    asked = {**OPTIONS, "text": "add a red heart on the right", "steps": 0}
    edited, latent, _ = run.kinds["InstructSampler"].execute(**inputs, **asked).args
    columns = ((edited - image).abs() > 0.02).any(dim=3).any(dim=1).nonzero()
    heart = (edited[..., 0] - edited[..., 1] > 0.3).any(dim=1).float()
    places = (heart * torch.arange(256)).sum(dim=1) / heart.sum(dim=1)
    return {
        "latent": list(latent["samples"].shape),
        "edited": list(edited.shape),
        "columns": [int(columns[:, 1].min()), int(columns[:, 1].max())],
        "places": places.tolist(),
    }


def defaults(run: Run) -> dict[str, list[Any]]:
    """[evaluations of the plan, its first row's weights, resize mode] by default: of the built-in model, of one that
    says nothing of itself (as ComfyUI's own loader gives it), and of a folder that diffusers wrote."""
    engine, builtin = (sys.modules[f"{REPOSITORY}.nodes.{name}"] for name in ("comfy_backend", "builtin"))
    sampling = sys.modules[f"{REPOSITORY}.instructdiffusion.sampling"]
    foreign, attached = run.model.clone(), run.model.clone()
    foreign.set_attachments(engine.ATTACHMENT, None)
    with tempfile.TemporaryDirectory() as folder:
        builtin.attach(attached, Path(folder), 512, "authors")
    schedule, found = sampling.Schedule.scaled_linear(), {}
    for name, model in (("built in", run.model), ("foreign", foreign), ("published", attached)):
        settings, _, resize_mode = engine.model_settings(model)
        for task in ("segment", "edit"):
            own = settings[task]
            sigmas = schedule.sigmas(own.schedule, own.steps)
            plan = sampling.make_plan(sigmas, own.solver, own.guide(), schedule)
            found[f"{name}: {task}"] = [plan.evaluations, list(plan[0].weights), resize_mode]
    return found


def known(run: Run) -> dict[str, str | None]:
    """What models call themselves: the built-in one, its clone as LoRA loaders make one, one of ComfyUI's loader."""
    engine = sys.modules[f"{REPOSITORY}.nodes.comfy_backend"]
    foreign, models = run.model.clone(), {"built in": run.model, "clone": run.model.clone()}
    foreign.set_attachments(engine.ATTACHMENT, None)
    said = {name: engine.model_knowledge(model) for name, model in {**models, "foreign": foreign}.items()}
    return {name: knowledge and knowledge.name for name, knowledge in said.items()}


def formulas(run: Run) -> dict[str, list[bool]]:
    """Whether each node draws the same with the formula left open, with the authors', and with the other; and whether
    InstructGuider left open draws the other of a model that asks for it."""
    asked, found = {"guidance": "scales", "steps": 2}, {}
    for name, ask in (("sampler", run.sampler), ("guider", partial(run.guider, run.model))):
        open_, *named = (ask(**asked), *(ask(**asked, formula=f) for f in FORMULAS))
        found[name] = [torch.equal(open_, drawn) for drawn in named]
    engine, other = sys.modules[f"{REPOSITORY}.nodes.comfy_backend"], run.model.clone()
    own, side, resize_mode = engine.model_settings(run.model)
    settings = {name: s.changed(formula=FORMULAS[1], guidance=(7.5, 1.5)) for name, s in own.items()}
    other.set_attachments(engine.ATTACHMENT, {"settings": settings, "resolution": side, "resize_mode": resize_mode})
    scales = {"text_guidance": 7.5, "image_guidance": 1.5}
    told = run.guider(run.model, **asked, **scales, formula=FORMULAS[1])
    found["the model's own"] = [
        torch.equal(told, run.guider(other, **asked, **scales)),
        torch.equal(told, run.guider(other, **{**asked, "guidance": "task"})),
    ]
    return found


def interrupted(run: Run) -> dict[str, int]:
    """Blocks that were computed after "interrupt" came in the third block of the only step."""
    seen = {"in": 0, "out": 0, "interrupted": 0}

    def block(h: torch.Tensor, transformer_options: Any) -> torch.Tensor:
        seen["in"] += 1
        if seen["in"] == 3:
            comfy.model_management.interrupt_current_processing(True)
        return h

    def up(
        h: torch.Tensor, skip: torch.Tensor, transformer_options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen["out"] += 1
        return h, skip

    model = run.model.clone()
    model.set_model_input_block_patch(block)
    model.set_model_output_block_patch(up)
    try:
        run.sampler(model, steps=1)
    except comfy.model_management.InterruptProcessingException:
        seen["interrupted"] = 1
    comfy.model_management.interrupt_current_processing(False)
    return seen


def progress(run: Run) -> dict[str, Any]:
    """What the progress bar was told in four steps: of previews their width; and in two looks of two steps."""
    told: list[tuple[int, int, int]] = []

    def hook(value: int, total: int, preview: Any = None, **_: Any) -> None:
        told.append((int(value), int(total), preview[1].width if preview else 0))

    comfy.utils.set_progress_bar_global_hook(hook)
    run.sampler(steps=4)
    steps, noise = list(told), run.image
    told.clear()
    run.image = torch.full_like(noise, 0.4)  # where there is no star, at no scale
    run.sampler(text="segment the star", scales="1, 2")
    run.image = noise
    comfy.utils.set_progress_bar_global_hook(None)
    return {"told": steps, "looks": [(done, total) for done, total, _ in told]}


def stopped(run: Run) -> dict[str, list[int]]:
    """Of every node that works on pictures: how often it asks for an interrupt, and, told of one when it had asked half
    as often and when it was nearly done, how often it had asked when it ended (0 where it did not end by that)."""
    instruct = sys.modules[f"{REPOSITORY}.instructdiffusion.tasks"].TASKS
    asked = {name: instruct[name].instruct(words) for name, words in SUBJECTS.items()}
    image = run.image
    edited = image.clone()
    edited[:, 20:40, 20:40] = 0
    small = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 2).movedim(1, -1).contiguous()
    pair = {"source": image, "edited": edited}
    plain = {"threshold": 0.45, "min_area": 0, "per_object": True}
    model = {"model": run.model, "clip": run.clip, "vae": run.vae, "image": image}
    guided = {"text": "add a star", "guidance": "none", "text_guidance": 5.0, "image_guidance": 1.25}
    boxed = {"masks_are": "a picture each", "threshold": 0.5, "min_area": 4, "padding": 0, "label": "it"}
    calls = {
        "InstructSampler": {**model, **OPTIONS},
        "InstructGuider": {**model, **guided},
        "MaskExtract": {**pair, **plain, "instruction": asked["segment"]},
        "MaskExtract of detect": {**pair, **plain, "instruction": asked["detect"]},
        "MaskExtract by the light U-Net": {**pair, **plain, "instruction": asked["segment"], "decoder": "unet"},
        "KeypointExtract": {**pair, "threshold": 0.2, "instruction": asked["keypoints"]},
        "ClassExtract": {**pair, "instruction": asked["classify"]},
        "EditExtract": {"source": image, "edited": small},
        "BoxFromMask": {**boxed, "mask": (image[..., 0] > 0.5).float(), "image": image},
        "InstructScene": {"task": "segment", "seed": 3, "count": 1, "size": 64, "background": "plain"},
    }
    own = comfy.model_management.throw_exception_if_processing_interrupted
    count, limit = [0], [0]

    def check() -> None:
        count[0] += 1
        if limit[0] and count[0] >= limit[0]:
            raise comfy.model_management.InterruptProcessingException

    def asks(node: str, inputs: dict[str, Any], most: int) -> int:
        count[0], limit[0] = 0, most
        try:
            run.kinds[node.partition(" ")[0]].execute(**inputs)
        except comfy.model_management.InterruptProcessingException:
            return count[0]
        return 0 if most else count[0]

    comfy.model_management.throw_exception_if_processing_interrupted = check
    seen = {}
    for name, inputs in calls.items():
        number = asks(name, inputs, 0)
        seen[name] = [number, asks(name, inputs, max(1, number // 2)), asks(name, inputs, max(1, number - 3))]
    comfy.model_management.throw_exception_if_processing_interrupted = own
    return seen


def unloaded(run: Run) -> dict[str, Any]:
    """Whether the models leave memory and come back with the same answer."""
    before = run.sampler()
    loaded = len(comfy.model_management.current_loaded_models)
    comfy.model_management.unload_all_models()
    left = len(comfy.model_management.current_loaded_models)
    return {"loaded": loaded, "left": left, "same": torch.equal(before, run.sampler())}


def main() -> None:
    """Print everything as one line of JSON."""
    kinds, seconds = pack()
    found: dict[str, Any] = {
        "doubled": doubled(kinds), "import": seconds / COMFYUI,
        "loaded at import": len(comfy.model_management.current_loaded_models),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        folder_paths.set_temp_directory(folder)  # where previews go
        run = Run(kinds)
        found |= {"hooks": hooked(run), "mask": masked(run), "added": added(run)}
        found |= {"evaluations": evaluations(run), "interrupt": interrupted(run)}
        found |= {"defaults": defaults(run), "formulas": formulas(run), "known": known(run)}
        found |= {"progress": progress(run), "stopped": stopped(run), "unload": unloaded(run)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
