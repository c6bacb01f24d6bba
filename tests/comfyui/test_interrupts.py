"""Interrupts within long operations, and what cannot fit into memory, on a real ComfyUI."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from instructdiffusion.inference.memory import free_memory

from .client import Comfy
from .test_nodes import LOADER, asked, node, upload


def guided(comfy: Comfy, size: tuple[int, int]) -> dict:
    """A picture through InstructGuider, SamplerCustomAdvanced and VAEDecode."""
    return {
        "1": LOADER,
        "2": upload(comfy, "wide.png", Image.effect_noise(size, 40).convert("RGB")),
        "3": node(
            "InstructGuider",
            {
                "model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "image": ["2", 0],
                "text": "add a red star", "guidance": "none", "text_guidance": 5.0, "image_guidance": 1.25,
            },
        ),
        "4": node("RandomNoise", {"noise_seed": 3}),
        "5": node("KSamplerSelect", {"sampler_name": "euler"}),
        "6": node(
            "BasicScheduler", {"model": ["1", 0], "scheduler": "simple", "steps": 3, "denoise": 1.0}
        ),
        "7": node(
            "SamplerCustomAdvanced",
            {
                "noise": ["4", 0], "guider": ["3", 0], "sampler": ["5", 0],
                "sigmas": ["6", 0], "latent_image": ["3", 1],
            },
        ),
        "8": node("VAEDecode", {"samples": ["7", 0], "vae": ["1", 2]}),
        "9": node("PreviewImage", {"images": ["8", 0]}),
    }


def interrupted_after(comfy: Comfy, graph: dict, seconds: float) -> float:
    """Seconds from an interrupt to the end of the prompt, which comes so long after its beginning."""
    prompt = comfy.submit(graph)
    time.sleep(seconds)
    comfy.call("/interrupt", {})
    start = time.monotonic()
    assert comfy.error(comfy.wait(prompt, 120)) == "interrupted"
    return time.monotonic() - start


@pytest.mark.parametrize("seconds", [1.5, 4.0, 9.0])
def test_a_large_picture_through_the_guider_can_be_interrupted(comfy: Comfy, seconds: float) -> None:
    """It took 10.9 GB, and ended a minute after the interrupt."""
    took = interrupted_after(comfy, guided(comfy, (1024, 768)), seconds)
    assert took < 10


@pytest.mark.parametrize("seconds", [3.0, 12.0])
def test_a_large_resolution_can_be_interrupted(comfy: Comfy, seconds: float) -> None:
    """At 4096 the sampler node was deaf for eight minutes."""
    took = interrupted_after(comfy, asked("segment", resolution=1536, seed=int(seconds)), seconds)
    assert took < 10


def test_what_cannot_fit_is_refused_and_the_server_lives_on(comfy: Comfy) -> None:
    if (free_memory() or 0) > 40e9:
        pytest.skip("16384x4096 pixels fit into this machine's memory")
    picture = upload(comfy, "wide.png", Image.new("RGB", (1000, 250), "red"))
    graph = asked("segment", picture, resolution=4096, instruction=None, text="make it darker")
    del graph["3"]["inputs"]["instruction"]
    said = comfy.fails(graph)
    assert "which takes about" in said and "fits" in said
    comfy.run(asked("segment", seed=101))
