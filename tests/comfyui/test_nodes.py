"""What the nodes give, against the package by itself and against ComfyUI's own nodes; bad input; queue and memory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns, rmtree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from instructdiffusion import InstructDiffusion
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.models.saving import export_checkpoint

from .client import Comfy
from .test_graphs import LORA

TINY = LORA.parents[1] / "tiny"


def node(kind: str, inputs: dict) -> dict:
    """A node in API form."""
    return {"class_type": kind, "inputs": inputs}


SEED = 7
LOADER = node("InstructLoader", {"model": "tiny (built in)"})
SAMPLER = {
    "model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "image": ["2", 0], "text": "", "seed": 3, "steps": 0,
    "solver": "task's own", "scheduler": "task's own", "guidance": "task's own", "text_guidance": 5.0,
    "image_guidance": 1.25, "resolution": 0,
}  # fmt: skip


def scene(task: str, **more) -> dict:
    inputs = {"task": task, "seed": SEED, "count": 1, "size": 64, "background": "textured", **more}
    return {"class_type": "InstructScene", "inputs": inputs}


def save(source: str, output: int = 0) -> dict:
    return node("SaveImage", {"images": [source, output], "filename_prefix": "test"})


def asked(task: str, source: dict | None = None, **options) -> dict:
    """Loader 1, picture 2, sampler 3 with the scene's own instruction, result 4."""
    sampler = node("InstructSampler", {**SAMPLER, "instruction": ["2", 1], **options})
    return {"1": LOADER, "2": source or scene(task), "3": sampler, "4": save("3")}


def refusal(comfy: Comfy, graph: dict) -> str:
    """What a graph is refused with before it runs; with a choice that is none a ComfyUI before 0.8 lets it run, and
    the node refuses it."""
    answer = comfy.call("/prompt", {"prompt": graph})
    if answer.get("node_errors") or "prompt_id" not in answer:
        return json.dumps(answer)
    return comfy.error(comfy.wait(answer["prompt_id"]))


def upload(comfy: Comfy, name: str, picture: Image.Image) -> dict:
    """A LoadImage node of a picture put into the server's input folder."""
    picture.save(comfy.base / "input" / name)
    return node("LoadImage", {"image": name})


@pytest.mark.parametrize(
    "task", ["segment", "keypoints", "detect", "classify", "denoise", "dewatermark", "edit"]
)
def test_the_sampler_draws_what_the_package_draws(comfy: Comfy, tiny: InstructDiffusion, task: str) -> None:
    drawn = comfy.pictures(comfy.run(asked(task)), 4)[0]
    example = make_example(task, SEED, split="test", size=64, level=1)
    expected = tiny.run(example.instruction, example.source, seed=3).picture
    assert np.abs(drawn.astype(int) - expected).max() <= 2


def test_many_steps_with_guidance_are_the_package_s_too(comfy: Comfy, tiny: InstructDiffusion) -> None:
    drawn = comfy.pictures(comfy.run(asked("edit", steps=6, guidance="scales")), 4)[0]
    example = make_example("edit", SEED, split="test", size=64, level=1)
    expected = tiny.run(example.instruction, example.source, seed=3, steps=6, guidance=(5.0, 1.25)).picture
    assert np.abs(drawn.astype(int) - expected).max() <= 2


def test_a_zoom_is_the_package_s_and_0_the_task_s_own(comfy: Comfy, tiny: InstructDiffusion) -> None:
    example = make_example("denoise", SEED, split="test", size=64, level=1)
    for zoom in (0.0, 2.0):
        drawn = comfy.pictures(comfy.run(asked("denoise", zoom=zoom)), 4)[0]
        expected = tiny.run(example.instruction, example.source, seed=3, upscale=zoom or None).picture
        assert np.abs(drawn.astype(int) - expected).max() <= 2
    plain = tiny.run(example.instruction, example.source, seed=3).picture
    assert np.abs(expected.astype(int) - plain).max() > 2  # of zoom 2, which is not the task's own


@pytest.mark.parametrize(
    "decoder", [{}, {"decoder": "closed"}, {"decoder": "unet"}]
)  # {}: a graph from before it
def test_masks_are_the_package_s(comfy: Comfy, tiny: InstructDiffusion, decoder: dict) -> None:
    graph = asked("segment")
    extract = {
        "source": ["2", 0],
        "edited": ["3", 0],
        "instruction": ["2", 1],
        "threshold": 0.5,
        "min_area": 0,
    }
    graph["5"] = node("MaskExtract", {**extract, "per_object": False, **decoder})
    graph["6"] = node("MaskToImage", {"mask": ["5", 0]})
    graph["7"] = save("6")
    mask = comfy.pictures(comfy.run(graph), 7)[0][..., 0] > 127
    example = make_example("segment", SEED, split="test", size=64, level=1)
    expected = tiny.run(example.instruction, example.source, seed=3, **decoder).result.union()
    both = (mask & expected).sum() / max(1, (mask | expected).sum())
    assert both > 0.9 or not (mask | expected).any()


def test_sampler_guider_and_the_stock_guider_agree(comfy: Comfy) -> None:
    """At an image scale of .5 the authors' guidance is two-branch guidance of scale text + .5, which
    DualCFGGuider can do too."""
    graph = asked(
        "edit", steps=4, solver="euler", scheduler="trailing", guidance="scales", image_guidance=0.5
    )
    graph["3"]["inputs"]["text_guidance"] = 2.0
    common = {"noise": ["10", 0], "sampler": ["11", 0], "sigmas": ["12", 0]}
    guider = {
        "model": ["1", 0],
        "clip": ["1", 1],
        "vae": ["1", 2],
        "image": ["2", 0],
        "text": "",
        "guidance": "scales",
    }
    text = make_example("edit", SEED, split="test", size=64, level=1).instruction.text
    pixels = {"positive": ["20", 0], "negative": ["21", 0], "vae": ["1", 2], "pixels": ["2", 0]}
    stock = {"model": ["1", 0], "cond1": ["22", 0], "cond2": ["22", 1], "negative": ["21", 0]}
    stock |= {"cfg_conds": 2.5, "cfg_cond2_negative": 1.0, "style": "regular"}
    graph |= {
        "10": node("RandomNoise", {"noise_seed": 3}),
        "11": node("KSamplerSelect", {"sampler_name": "euler"}),
        "12": node("BasicScheduler", {"model": ["1", 0], "scheduler": "sgm_uniform", "steps": 4, "denoise": 1.0}),
        "13": node("InstructGuider", {**guider, "text_guidance": 2.0, "image_guidance": 0.5, "instruction": ["2", 1]}),
        "14": node("SamplerCustomAdvanced", {**common, "guider": ["13", 0], "latent_image": ["13", 1]}),
        "15": node("VAEDecode", {"samples": ["14", 0], "vae": ["1", 2]}),
        "16": save("15"),
        "20": node("CLIPTextEncode", {"clip": ["1", 1], "text": text}),
        "21": node("CLIPTextEncode", {"clip": ["1", 1], "text": ""}),
        "22": node("InstructPixToPixConditioning", pixels),
        "23": node("DualCFGGuider", stock),
        "24": node("SamplerCustomAdvanced", {**common, "guider": ["23", 0], "latent_image": ["22", 2]}),
        "25": node("VAEDecode", {"samples": ["24", 0], "vae": ["1", 2]}),
        "26": save("25"),
        "30": node("VAEDecode", {"samples": ["3", 1], "vae": ["1", 2]}),
        "31": save("30"),
    }  # fmt: skip
    outputs = comfy.run(graph)
    ours, guided, native = (comfy.pictures(outputs, node)[0].astype(float) for node in (31, 16, 26))
    assert np.abs(guided - native).max() <= 1
    # ComfyUI scales its first noise by sqrt(1 + sigma^2), the authors by sigma: .2 % apart.
    assert np.abs(ours - guided).mean() < 2


def guided(task: str, source: dict, **options) -> dict:
    """Loader 1, picture 2, guider 13 with the words of 5, drawn 15, the mask saved by 7."""
    inputs = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "image": ["2", 0], "text": ""}
    inputs |= {"guidance": "none", "text_guidance": 5.0, "image_guidance": 1.25, "instruction": ["5", 0], **options}
    words = {"task": task, "subject": "the circle", "color": "blue", "words": ""}
    extract = {"source": ["2", 0], "edited": ["15", 0], "instruction": ["5", 0], "threshold": 0.45, "min_area": 0}
    sigmas = {"model": ["1", 0], "scheduler": "sgm_uniform", "steps": 1, "denoise": 1.0}
    sampler = {"noise": ["10", 0], "sampler": ["11", 0], "sigmas": ["12", 0], "guider": ["13", 0]}
    return {
        "1": LOADER,
        "2": source,
        "5": node("InstructTask", words),
        "10": node("RandomNoise", {"noise_seed": 3}),
        "11": node("KSamplerSelect", {"sampler_name": "euler"}),
        "12": node("BasicScheduler", sigmas),
        "13": node("InstructGuider", inputs),
        "14": node("SamplerCustomAdvanced", {**sampler, "latent_image": ["13", 1]}),
        "15": node("VAEDecode", {"samples": ["14", 0], "vae": ["1", 2]}),
        "16": node("MaskExtract", {**extract, "per_object": False}),
        "17": node("MaskToImage", {"mask": ["16", 0]}),
        "7": save("17"),
        "18": save("15"),
        "19": node("EditExtract", {"source": ["2", 0], "edited": ["15", 0]}),
        "20": save("19"),
    }


def circle(height: int, width: int) -> tuple[Image.Image, np.ndarray]:
    """(an orange circle at the lower right of a gray picture with a square at its left, where the circle is)."""
    y, x = np.mgrid[:height, :width] + 0.5
    side = min(height, width)
    inside = np.hypot(y - 0.6 * height, x - 0.7 * width) < 0.22 * side
    picture = np.full((height, width, 3), 200, np.uint8)
    picture[np.maximum(np.abs(y - 0.3 * height), np.abs(x - 0.22 * width)) < 0.15 * side] = (40, 155, 60)
    picture[inside] = (250, 140, 25)
    return Image.fromarray(picture), inside


@pytest.mark.parametrize(
    ("size", "seen", "options"),
    [
        ((61, 97), (64, 112), {}),
        ((97, 61), (112, 64), {}),
        ((79, 95), (80, 96), {}),
        ((61, 97), (64, 112), {"resize_mode": "shortest_edge"}),
        ((300, 400), (64, 96), {"resize_mode": "task's own"}),
        ((300, 400), (96, 128), {"resize_mode": "shortest_edge", "resolution": 96}),
        ((768, 1024), (64, 64), {"resize_mode": "stretch"}),
    ],
)
def test_what_the_guider_pads_or_resizes_leads_home(comfy: Comfy, size, seen, options) -> None:
    """Nothing of the picture is cut off, and the mask lies where the circle is."""
    picture, truth = circle(*size)
    graph = guided("segment", upload(comfy, f"circle{size[0]}.png", picture), **options)
    outputs = comfy.run(graph)
    assert comfy.pictures(outputs, 18)[0].shape[:2] == seen
    assert comfy.pictures(outputs, 20)[0].shape[:2] == size
    mask = comfy.pictures(outputs, 7)[0][..., 0] > 127
    assert mask.shape == size
    overlap = float((mask & truth).sum() / (mask | truth).sum())
    assert overlap > 0.8


def test_a_resolution_that_means_nothing_or_fits_nothing_is_refused(comfy: Comfy) -> None:
    graph = guided("segment", upload(comfy, "circle.png", circle(61, 97)[0]), resolution=64)
    assert "`resolution`: 64 means nothing" in comfy.fails(graph)
    for resolution, near in ((72, 64), (90, 96)):
        graph = guided("segment", graph["2"], resolution=resolution, resize_mode="stretch")
        assert f"`resolution`: resolution must be a multiple of 16, got {resolution}: try {near}" in comfy.fails(graph)
        words = comfy.fails(asked("segment", resolution=resolution))
        assert f"`resolution`: resolution must be a multiple of 16, got {resolution}: try {near}" in words
    assert "resize_mode" in refusal(comfy, asked("segment", resize_mode="fit"))


@pytest.mark.parametrize("mode", ["shortest_edge", "longest_edge", "stretch", "authors"])
def test_a_resize_mode_is_the_package_s(comfy: Comfy, tiny: InstructDiffusion, mode: str) -> None:
    picture, _ = circle(80, 120)
    words = node("InstructTask", {"task": "segment", "subject": "the circle", "color": "blue", "words": ""})
    graph = asked("segment", upload(comfy, "wide.png", picture), instruction=["5", 0], resize_mode=mode)
    drawn = comfy.pictures(comfy.run(graph | {"5": words}), 4)[0]
    expected = tiny.segment(picture, "the circle", color="blue", seed=3, resize_mode=mode).picture
    assert np.abs(drawn.astype(int) - expected).max() <= 2


def test_scales_are_the_package_s(comfy: Comfy, tiny: InstructDiffusion) -> None:
    """A circle of a tenth of the side is found at twice the size."""
    y, x = np.mgrid[:96, :96] + 0.5
    picture = np.full((96, 96, 3), 200, np.uint8)
    picture[np.hypot(y - 30, x - 60) < 5] = (250, 140, 25)
    image, words = Image.fromarray(picture), {"task": "segment", "subject": "the circle", "color": "blue", "words": ""}
    graph = asked("segment", upload(comfy, "small.png", image), instruction=["5", 0])
    graph["5"] = node("InstructTask", words)
    for text, scales in (("1", (1,)), ("1, 2", (1, 2))):
        graph["3"]["inputs"]["scales"] = text
        drawn = comfy.pictures(comfy.run(graph), 4)[0]
        expected = tiny.segment(image, "the circle", color="blue", seed=3, scales=scales).picture
        assert np.abs(drawn.astype(int) - expected).max() <= 2


def test_the_sampler_says_what_was_asked_and_what_is_beyond_the_model(comfy: Comfy) -> None:
    graph = asked("segment")
    outputs = comfy.run(graph | {"9": node("PreviewAny", {"source": ["3", 2]})})
    text = outputs["9"]["text"][0]
    assert text.startswith("segment: ") and "MaskExtract reads it" in text and "does not know" not in text
    assert outputs["3"]["text"] == outputs["9"]["text"]

    words = {"task": "segment", "subject": "the zebra", "color": "blue", "words": ""}
    photo = upload(comfy, "photo.png", Image.open(comfy.base / "input" / "example.png"))
    graph = asked("segment", photo, instruction=["5", 0]) | {"5": node("InstructTask", words)}
    text = comfy.run(graph)["3"]["text"][0]
    assert "tiny does not know 'zebra'" in text

    graph = asked("segment", text="where is the zebra?")
    del graph["3"]["inputs"]["instruction"]
    text = comfy.run(graph)["3"]["text"][0]
    assert "understood as" in text.splitlines()[0] and "tiny does not know 'zebra'" in text

    graph = asked("edit", text="remove the mushroom")
    graph["2"] = node("EmptyImage", {"width": 64, "height": 64, "batch_size": 2, "color": 0x808080})
    del graph["3"]["inputs"]["instruction"]
    text = comfy.run(graph)["3"]["text"][0]
    assert "was changed" in text or "visibly changed" in text


def test_a_batch_gives_each_picture_what_it_gets_alone(comfy: Comfy) -> None:
    task = node("InstructTask", {"task": "denoise", "subject": "", "color": "automatic", "words": ""})
    one, many = scene("denoise", seed=SEED + 2), scene("denoise", count=4)
    graphs = [asked("denoise", source, instruction=["5", 0]) | {"5": task} for source in (one, many)]
    alone, four = comfy.pictures(comfy.run(graphs[0]), 4)[0], comfy.pictures(comfy.run(graphs[1]), 4)
    assert len(four) == 4
    assert np.abs(four[2].astype(int) - alone).max() <= 1


@pytest.mark.parametrize("size", [(97, 61), (200, 133), (8, 300)])
def test_pictures_of_odd_sizes_keep_their_size(comfy: Comfy, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    graph = asked("denoise", upload(comfy, f"odd{size[0]}.png", Image.fromarray(noise)))
    task = {"task": "denoise", "subject": "", "color": "automatic", "words": ""}
    graph["5"] = {"class_type": "InstructTask", "inputs": task}
    graph["3"]["inputs"]["instruction"] = ["5", 0]
    assert comfy.pictures(comfy.run(graph), 4)[0].shape[:2] == size


def test_a_picture_with_alpha_is_taken(comfy: Comfy) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 4), np.uint8), "RGBA")
    graph = asked("edit", upload(comfy, "alpha.png", picture))
    graph["3"]["inputs"] |= {"text": "paint the star yellow"}
    del graph["3"]["inputs"]["instruction"]
    assert comfy.pictures(comfy.run(graph), 4)[0].shape == (64, 64, 3)


def test_two_prompts_in_the_queue_both_end(comfy: Comfy) -> None:
    prompts = [comfy.submit(asked("segment", seed=seed)) for seed in (11, 12)]
    assert [comfy.wait(p)["status"]["status_str"] for p in prompts] == ["success", "success"]


def test_interrupt_stops_a_long_run_and_the_next_one_works(comfy: Comfy) -> None:
    prompt = comfy.submit(
        asked("edit", scene("edit", count=8, size=64), steps=900, guidance="scales", seed=99)
    )
    end = time.monotonic() + 30
    while not comfy.call("/queue")["queue_running"] and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1.0)
    comfy.call("/interrupt", {})
    began = time.monotonic()
    assert comfy.error(comfy.wait(prompt)) == "interrupted"
    assert time.monotonic() - began < 10
    comfy.run(asked("segment", seed=100))


def test_unloaded_models_come_back(comfy: Comfy) -> None:
    before = comfy.pictures(comfy.run(asked("segment", seed=21)), 4)[0]
    comfy.call("/free", {"unload_models": True, "free_memory": True})
    time.sleep(1.0)
    after = comfy.pictures(comfy.run(asked("segment", seed=21)), 4)[0]
    assert np.array_equal(before, after)


def test_a_lora_of_the_user_s_own_changes_the_answer(comfy: Comfy) -> None:
    """ComfyUI's own LoRA loader finds the model's layers by diffusers' names."""
    copyfile(LORA, comfy.base / "models" / "loras" / "mine.safetensors")
    plain = comfy.pictures(comfy.run(asked("edit")), 4)[0]
    graph = asked("edit")
    lora = {"model": ["1", 0], "lora_name": "mine.safetensors", "strength_model": 1.0}
    graph["9"] = node("LoraLoaderModelOnly", lora)
    graph["3"]["inputs"]["model"] = ["9", 0]
    assert np.abs(comfy.pictures(comfy.run(graph), 4)[0].astype(int) - plain).mean() > 5
    assert "lora key not loaded" not in comfy.log.read_text()


def test_bad_input_is_named_and_the_server_lives_on(comfy: Comfy) -> None:
    no_words = asked("edit")
    del no_words["3"]["inputs"]["instruction"]
    assert "`text`" in comfy.fails(no_words)

    no_color = asked("edit")
    extract = {
        "source": ["2", 0],
        "edited": ["3", 0],
        "instruction": ["2", 1],
        "threshold": 0.5,
        "min_area": 0,
    }
    no_color["5"] = node("MaskExtract", {**extract, "per_object": False})
    no_color["6"] = node("MaskToImage", {"mask": ["5", 0]})
    no_color["7"] = save("6")
    assert "`instruction`" in comfy.fails(no_color)

    other_size = asked("segment")
    other_size["8"] = upload(comfy, "whole.png", circle(64, 96)[0])
    cut = {"image": ["8", 0], "upscale_method": "area", "width": 64, "height": 64, "crop": "center"}
    other_size["2"] = node("ImageScale", cut)  # the model sees the middle only
    words = {"task": "segment", "subject": "the circle", "color": "blue", "words": ""}
    other_size["9"] = node("InstructTask", words)
    other_size["3"]["inputs"]["instruction"] = ["9", 0]
    other_size["5"] = {
        "class_type": "MaskExtract",
        "inputs": {**extract, "source": ["8", 0], "instruction": ["9", 0], "per_object": False},
    }
    other_size["6"] = node("MaskToImage", {"mask": ["5", 0]})
    other_size["7"] = save("6")
    assert "64 x 64" in comfy.fails(other_size)

    mask_of_another_size = {"1": scene("segment", size=96), "2": scene("segment")}
    mask_of_another_size["3"] = node("ImageToMask", {"image": ["1", 0], "channel": "red"})
    box = {"mask": ["3", 0], "masks_are": "a picture each", "threshold": 0.5, "min_area": 4, "padding": 0}
    mask_of_another_size["4"] = node("BoxFromMask", {**box, "label": "", "image": ["2", 0]})
    mask_of_another_size["5"] = save("4", 4)
    message = comfy.fails(mask_of_another_size)
    assert "`mask`" in message and "96 x 96" in message and "64 x 64" in message

    red = upload(comfy, "red.png", Image.new("RGB", (64, 64), (255, 0, 0)))
    words = {"task": "segment", "subject": "the circle", "color": "red", "words": "", "image": ["2", 0]}
    there_already = asked("segment", red, instruction=["5", 0]) | {"5": node("InstructTask", words)}
    message = comfy.fails(there_already)
    assert "`color`" in message and "choose" in message

    missing = comfy.call(
        "/prompt", {"prompt": {**asked("segment"), "1": {**LOADER, "inputs": {"model": "gone.ckpt"}}}}
    )
    assert "prompt_id" not in missing and "gone.ckpt" in json.dumps(missing)
    assert "solver" in refusal(comfy, asked("segment", solver="magic"))
    zoom = comfy.call("/prompt", {"prompt": asked("denoise", zoom=0.1)})
    assert "prompt_id" not in zoom and "`zoom`: expected 0.25 to 4" in json.dumps(zoom)
    no_color["5"]["inputs"]["decoder"] = "magic"
    assert "decoder" in refusal(comfy, no_color)  # the other outputs of this graph do run
    comfy.run(asked("segment", seed=31))


def test_a_folder_without_its_weights_is_refused_with_what_is_missing(comfy: Comfy) -> None:
    folder = comfy.base / "models" / "diffusers" / "broken"
    copytree(TINY, folder, ignore=ignore_patterns("diffusion_pytorch_model.safetensors"))
    graph = asked("segment")
    graph["1"] = node("InstructLoader", {"model": "broken (folder)"})
    message = comfy.fails(graph)
    assert "`model`" in message and "lacks the weights of unet" in message and "copy it again" in message
    rmtree(folder)


def test_a_model_of_another_kind_is_refused_with_what_it_is(comfy: Comfy) -> None:
    path = Path(comfy.base / "models" / "checkpoints" / "plain.safetensors")
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}, path)
    graph = asked("segment")
    graph["1"] = node("InstructLoader", {"model": "plain.safetensors"})
    message = comfy.fails(graph)
    assert "`model`" in message and "text-to-image" in message and "8 channels" in message
    path.unlink()


def test_what_checkpointsave_writes_is_loaded_here_and_in_the_package(comfy: Comfy, tiny: InstructDiffusion) -> None:
    """The built-in model through CheckpointSave, read by InstructLoader and by `from_pretrained`."""
    saved = node(
        "CheckpointSave", {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "filename_prefix": "copy/of"}
    )
    comfy.run({"1": LOADER, "2": saved})
    (path,) = (comfy.base / "output" / "copy").glob("of*.safetensors")
    copyfile(path, comfy.base / "models" / "checkpoints" / "copy_of_tiny.safetensors")
    loader = node("InstructLoader", {"model": "copy_of_tiny.safetensors"})
    expected, got = (comfy.pictures(comfy.run({**asked("segment"), "1": one}), 4)[0] for one in (LOADER, loader))
    assert np.abs(expected.astype(int) - got.astype(int)).max() <= 1
    export_checkpoint(tiny.components, comfy.base / "models" / "checkpoints" / "exported.safetensors")
    exported = {**asked("segment"), "1": node("InstructLoader", {"model": "exported.safetensors"})}
    assert np.abs(expected.astype(int) - comfy.pictures(comfy.run(exported), 4)[0].astype(int)).max() <= 1
    copy = InstructDiffusion.from_pretrained(path, device="cpu")
    example = make_example("segment", SEED, size=64, level=1)
    answers = [model.run(example.instruction, example.source) for model in (tiny, copy)]
    assert np.array_equal(answers[0].picture, answers[1].picture)
    assert copy.components.prediction_type == "v_prediction" and copy.components.resolution == 64
