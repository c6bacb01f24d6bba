"""InstructLoader: the built-in model, or an instruction model among the user's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io
from safetensors import SafetensorError

from ..instructdiffusion.models.formats.ema_keys import with_averages
from ..instructdiffusion.models.formats.ldm_keys import UNET_PREFIX
from ..instructdiffusion.models.formats.safe_pickle import read_checkpoint
from ..instructdiffusion.models.single_file import V_PREDICTION, load_checkpoint_components
from .comfy_backend import check_model
from .model_files import file_resize_mode, find_folders, fingerprint
from .sockets import CATEGORY, found_by

BUILT_IN = "tiny (built in)"
_FOLDER = " (folder)"
_SD15 = (320, 640, 1280, 1280)
_ASSETS = Path(__file__).resolve().parent.parent / "instructdiffusion" / "assets"


class InstructLoader(io.ComfyNode):
    """MODEL, CLIP and VAE of an instruction model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructLoader",
            display_name="Instruct Loader",
            category=CATEGORY,
            **found_by("edit", "pose", "denoise", "watermark", "instruct pix2pix", "checkpoint"),
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
    def validate_inputs(cls, model: str | None) -> bool | str:
        """A name that is not in the list any more is explained rather than refused with a bare list."""
        if model is not None and model not in model_names():  # None: linked, not known yet
            return f"`model`: there is no {model!r}; choose {BUILT_IN!r}, or put the file into models/checkpoints"
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str | None) -> str:
        """Loaded anew only where a file of the model has changed."""
        path = None if model is None else model_path(model)
        return f"{model} {fingerprint(path)}" if path else str(model)

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
    return find_folders(folder_paths.get_folder_paths("diffusers"))


def model_path(name: str) -> Path | None:
    """Where a model of the list lies; None where it is gone."""
    if name == BUILT_IN:
        return _ASSETS / "tiny"
    if name.endswith(_FOLDER):
        place = name.removesuffix(_FOLDER)
        if place in _folders():  # a name from a link could lead anywhere
            for root in folder_paths.get_folder_paths("diffusers"):
                if (Path(root) / place / "model_index.json").is_file():
                    return Path(root) / place
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
        return _load_folder(path) if path.is_dir() else _load_file(path)
    except (torch.cuda.OutOfMemoryError, MemoryError):
        raise
    except (ValueError, OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"`model`: {name}: {error}") from error


def _load_folder(path: Path) -> tuple[Any, Any, Any]:
    from .builtin import load_folder, load_sd15_folder

    config = path / "unet" / "config.json"
    unet = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    _check_channels(unet.get("in_channels"))
    if tuple(unet.get("block_out_channels", ())) == _SD15 and unet.get("cross_attention_dim") == 768:
        return load_sd15_folder(path)
    return load_folder(path)


def _load_file(path: Path) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE) of a single file, with the weights that the package takes: averaged ones where it has them."""
    from .builtin import attach, load_components

    state, known = read_checkpoint(path)
    keys = with_averages(state, path.name)
    first = keys.get(UNET_PREFIX + "input_blocks.0.0.weight")
    _check_channels(None if first is None else int(state[first].shape[1]))
    marked = "v_prediction" if V_PREDICTION in state else "epsilon"
    prediction = known.get("prediction_type", marked)
    # ComfyUI knows single files of Stable Diffusion 1.5's widths alone, and these as epsilon models.
    if first is not None and (prediction != "epsilon" or int(state[first].shape[0]) != _SD15[0]):
        return load_components(load_checkpoint_components(path))
    embeddings = folder_paths.get_folder_paths("embeddings")
    weights = {key: state[stored] for key, stored in keys.items()}
    loaded = comfy.sd.load_state_dict_guess_config(weights, embedding_directory=embeddings)
    if loaded is None:
        raise ValueError("ComfyUI finds no model of Stable Diffusion 1.5's structure in it")
    model, clip, vae = loaded[:3]
    check_model(model)
    resolution = known.get("resolution")
    # The folder of the file's name holds its settings, where the package exported it.
    side = resolution if isinstance(resolution, int) else 512
    attach(model, path.with_suffix(""), side, file_resize_mode(known))
    return model, clip, vae


def _check_channels(channels: int | None) -> None:
    """ValueError for a UNet that takes other than 8 channels, or does not say how many (None)."""
    if channels != 8:
        kinds = {4: "a text-to-image model", 9: "an inpainting model"}
        got = "one that does not say how many"
        if channels is not None:
            got = f"{kinds.get(channels, 'another kind of model')} with {channels}"
        raise ValueError(
            f"expected an instruction model, whose UNet takes 8 channels, got {got}: "
            "use ComfyUI's own loaders for it, or download instruct-pix2pix or InstructDiffusion"
        )
