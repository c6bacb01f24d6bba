"""InstructLoader: the built-in model, or an instruction model among the user's files."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import comfy.diffusers_load
import comfy.sd
import comfy.utils
import folder_paths
from comfy_api.latest import io

from .engine import check_model
from .types import CATEGORY

BUILT_IN = "tiny (built in)"
_FOLDER = " (folder)"
_ASSETS = Path(__file__).resolve().parent.parent / "instructdiffusion" / "assets"


class InstructLoader(io.ComfyNode):
    """MODEL, CLIP and VAE of an instruction model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructLoader",
            display_name="Instruct Loader",
            category=CATEGORY,
            description=(
                "Loads an instruction model: the small one that comes with this pack, "
                "or one of Stable Diffusion 1.5's size "
                "from models/checkpoints or models/diffusers."
            ),
            inputs=[
                io.Combo.Input(
                    "model",
                    options=model_names(),
                    default=BUILT_IN,
                    tooltip=(
                        "tiny is part of this pack and needs no download. A file must be an instruction model: "
                        "InstructDiffusion's or instruct-pix2pix's checkpoint, whose UNet takes 8 channels."
                    ),
                )
            ],
            outputs=[
                io.Model.Output(
                    tooltip="For InstructSampler or InstructGuider; LoRA nodes and KSampler take it too."
                ),
                io.Clip.Output(tooltip="The text encoder."),
                io.Vae.Output(tooltip="The autoencoder."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str) -> bool | str:
        """A name that is not in the list any more is explained rather than refused with a bare list."""
        if model not in model_names():
            return f"`model`: there is no {model!r}; choose {BUILT_IN!r}, or put the file into models/checkpoints"
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str) -> str:
        """Loaded anew only where the file has changed."""
        path = model_path(model)
        return f"{model} {os.path.getmtime(path)}" if path and path.exists() else model

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        bar = comfy.utils.ProgressBar(2)
        bar.update_absolute(0, 2)
        parts = load_model(model)
        bar.update_absolute(2, 2)
        return io.NodeOutput(*parts)


def model_names() -> list[str]:
    """The built-in model, the checkpoint files, and the diffusers folders."""
    return [BUILT_IN, *folder_paths.get_filename_list("checkpoints"), *(f + _FOLDER for f in _folders())]


def _folders() -> list[str]:
    found = set()
    for root in folder_paths.get_folder_paths("diffusers"):
        if os.path.isdir(root):
            for place, _, files in os.walk(root, followlinks=True):
                if "model_index.json" in files:
                    found.add(os.path.relpath(place, root))
    return sorted(found)


def model_path(name: str) -> Path | None:
    """Where a model of the list lies; None where it is gone."""
    if name == BUILT_IN:
        return _ASSETS / "tiny"
    if name.endswith(_FOLDER):
        for root in folder_paths.get_folder_paths("diffusers"):
            if (Path(root) / name.removesuffix(_FOLDER) / "model_index.json").is_file():
                return Path(root) / name.removesuffix(_FOLDER)
        return None
    path = folder_paths.get_full_path("checkpoints", name)
    return Path(path) if path else None


def load_model(name: str) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE); ValueError / FileNotFoundError naming the input and the remedy."""
    path = model_path(name)
    if path is None:
        raise FileNotFoundError(
            f"`model`: {name!r} is not there any more; refresh the list (R) and choose another"
        )
    try:
        if path.is_dir():
            return _load_folder(path)
        return _load_file(path)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"`model`: {name}: {error}") from error


def _load_folder(path: Path) -> tuple[Any, Any, Any]:
    from .builtin import load_folder

    config = path / "unet" / "config.json"
    unet = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    if unet.get("in_channels") != 8:
        raise ValueError(
            f"expected an instruction model, whose UNet takes 8 channels, got one with {unet.get('in_channels')}: "
            "use ComfyUI's own loaders for it"
        )
    if tuple(unet.get("block_out_channels", ())) != (320, 640, 1280, 1280):
        return load_folder(path)
    embeddings = folder_paths.get_folder_paths("embeddings")
    return comfy.diffusers_load.load_diffusers(
        str(path), output_vae=True, output_clip=True, embedding_directory=embeddings
    )


def _load_file(path: Path) -> tuple[Any, Any, Any]:
    channels = _input_channels(path)
    if channels not in (None, 8):
        kind = {4: "a text-to-image model", 9: "an inpainting model"}.get(channels, "another kind of model")
        raise ValueError(
            f"expected an instruction model, whose UNet takes 8 channels, got {kind} with {channels}: "
            "use ComfyUI's own loaders for it, or download instruct-pix2pix or InstructDiffusion"
        )
    try:
        model, clip, vae = comfy.sd.load_checkpoint_guess_config(
            str(path),
            output_vae=True,
            output_clip=True,
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
        )[:3]
    except RuntimeError as error:  # what ComfyUI raises for a file that holds no model it knows
        raise ValueError(f"ComfyUI finds no model in it ({error})") from error
    check_model(model)
    return model, clip, vae


def _input_channels(path: Path) -> int | None:
    """The UNet's input channels, read from a safetensors header alone; None for other kinds of files."""
    if path.suffix != ".safetensors":
        return None
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= size <= min(path.stat().st_size - 8, 100_000_000):
            raise ValueError("the file is cut off or no safetensors file: download it again")
        header = json.loads(file.read(size))
    shape = header.get("model.diffusion_model.input_blocks.0.0.weight", {}).get("shape")
    return int(shape[1]) if shape else None
