"""Files of Stable Diffusion 1.5's kind through the loader: random weights, full VAE and text encoder, a narrow UNet.

ComfyUI recognises the kind by 320 channels on the first level and words of 768 numbers; its UNet may be narrower than
SD 1.5's further down, and is here, for the sake of time and memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from instructdiffusion import InstructDiffusion
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.models.formats import ldm_keys
from instructdiffusion.models.formats.safe_pickle import FACTS

from .client import Comfy
from .server import comfyui_path
from .test_nodes import SEED, asked, node, scene

pytestmark = pytest.mark.slow
SIDE = 128  # pixels at which the model sees the picture
FIRST = ldm_keys.UNET_PREFIX + "input_blocks.0.0.weight"


def filled(module: nn.Module) -> nn.Module:
    """Random half precision weights under which signals neither grow nor fade."""
    generator = torch.Generator().manual_seed(0)
    module = module.to_empty(device="cpu").requires_grad_(False)
    for name, weight in module.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        elif weight.ndim == 1:
            weight.fill_(1.0)
        else:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.7 / weight[0].numel() ** 0.5)
    return module.half()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The tensors of a checkpoint in LDM layout."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    text: dict[str, Any] = {
        "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
    }  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            in_channels=8, block_out_channels=(320,) * 4, layers_per_block=1, cross_attention_dim=768,
            attention_head_dim=8,
        )  # fmt: skip
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        )  # fmt: skip
        encoder = CLIPTextModel(CLIPTextConfig(**text))
    unet, vae, encoder = filled(unet), filled(vae), filled(encoder)
    parts = {
        ldm_keys.UNET_PREFIX: ldm_keys.unet_to_ldm(unet.state_dict(), dict(unet.config)),
        ldm_keys.VAE_PREFIX: ldm_keys.vae_to_ldm(vae.state_dict(), dict(vae.config)),
        ldm_keys.TEXT_PREFIX: ldm_keys.text_to_ldm(encoder.state_dict()),
    }
    return {p + key: weight.contiguous() for p, part in parts.items() for key, weight in part.items()}


@pytest.fixture
def file(request: pytest.FixtureRequest, comfy: Comfy, state: dict[str, Tensor]) -> Any:
    """write(state, facts) -> the file among ComfyUI's checkpoints, as safetensors or Lightning pickles; then deleted.

    facts: what a file that the package exported says of itself.
    """
    from safetensors.torch import save_file

    path: Path = comfy.base / "models" / "checkpoints" / f"sd15{request.param}"

    def write(tensors: dict[str, Tensor], facts: dict[str, Any] | None = None) -> Path:
        said = {} if facts is None else {FACTS: facts}
        if path.suffix == ".ckpt":
            beside = {"epoch": 3, "global_step": 1000, "pytorch-lightning_version": "1.4.2", "callbacks": {}}
            torch.save({**beside, **said, "state_dict": tensors}, path)
        else:
            save_file(tensors, path, {name: json.dumps(fact) for name, fact in said.items()})
        return path

    yield write
    path.unlink(missing_ok=True)
    comfy.call("/free", {"unload_models": True, "free_memory": True})


KINDS = pytest.mark.parametrize("file", [".safetensors", ".ckpt"], indirect=True)


def graph(path: Path) -> dict[str, Any]:
    """An edit in one step with the model of a file."""
    made = asked("edit", scene("edit", size=SIDE), steps=1, guidance="none", resolution=SIDE)
    return made | {"1": node("InstructLoader", {"model": path.name})}


@KINDS
def test_a_file_answers_as_the_package_does(comfy: Comfy, state: dict[str, Tensor], file: Any) -> None:
    """With averaged weights in it, which both take; here those are the plain ones with their channels turned."""
    unet = {k: v for k, v in state.items() if k.startswith(ldm_keys.UNET_PREFIX)}
    names = {k: "model_ema." + k.removeprefix("model.").replace(".", "") for k in unet}
    averages = {names[k]: v.roll(1, 0) for k, v in unet.items()}
    path = file({**state, **averages, "model_ema.decay": torch.tensor(0.9999)})
    drawn = comfy.pictures(comfy.run(graph(path)), 4)[0]
    words = path.parent / "tokenizer"  # where the package looks for it
    words.symlink_to(Path(comfyui_path() or "") / "comfy" / "sd1_tokenizer")
    try:
        model = InstructDiffusion.from_pretrained(path)
    finally:
        words.unlink()
    example = make_example("edit", SEED, split="test", size=SIDE, level=1)
    options: dict[str, Any] = {"seed": 3, "steps": 1, "guidance": "none", "resolution": SIDE}
    expected: Any = model.run(example.instruction, example.source, **options)
    assert np.abs(drawn.astype(int) - expected.picture).max() <= 2 and drawn.std() > 5


@KINDS
def test_a_text_to_image_model_is_refused(comfy: Comfy, state: dict[str, Tensor], file: Any) -> None:
    """Whichever form the file has, the words are the same."""
    path = file({**state, FIRST: state[FIRST][:, :4].clone()})
    message = comfy.fails(graph(path))
    assert "`model`" in message and path.name in message and "text-to-image model with 4" in message
    assert "8 channels" in message and "ComfyUI's own loaders" in message


@KINDS
def test_a_file_of_another_prediction_answers_as_the_package_does(
    comfy: Comfy, state: dict[str, Tensor], file: Any
) -> None:
    """The package says so in its exports, in either form; as an epsilon model the answer would be noise."""
    path = file(state, {"prediction_type": "v_prediction", "resolution": 512})
    drawn = comfy.pictures(comfy.run(graph(path)), 4)[0]
    model = InstructDiffusion.from_pretrained(path)  # with the vocabulary that ships
    assert model.components.prediction_type == "v_prediction"
    example = make_example("edit", SEED, split="test", size=SIDE, level=1)
    options: dict[str, Any] = {"seed": 3, "steps": 1, "guidance": "none", "resolution": SIDE}
    expected: Any = model.run(example.instruction, example.source, **options)
    assert np.abs(drawn.astype(int) - expected.picture).max() <= 2
