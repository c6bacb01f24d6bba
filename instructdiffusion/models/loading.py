"""Loading a model: every part checked before any of it is used, nothing unpickled freely."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from ..imaging.resize import resize_mode_in
from ..sampling.schedule import PREDICTIONS
from ..utils.errors import first_line
from .built_in import ASSETS, BUILT_IN
from .components import MOST_RESOLUTION, Components, not_finite
from .formats.folder import training_alphas
from .formats.ldm_keys import odd_keys
from .formats.part_config import check_need, read_config
from .formats.safe_pickle import PICKLED, SAFE, is_checkpoint
from .formats.weight_files import count_weights, read_weights, safe_folder

if TYPE_CHECKING:
    pass

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
# How the libraries call what does not fit.
_ODD = {"missing_keys": "missing key", "unexpected_keys": "unknown key", "mismatched_keys": "misshaped key"}
T = TypeVar("T")


def find_folder(name_or_path: str | Path) -> Path:
    """The folder of a built-in model, a local one, or one fetched from the Hugging Face hub ("owner/name").

    A string that is a built-in's name means that one; a folder of the same name is written "./tiny", or
    given as a Path.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in BUILT_IN:
        return ASSETS / text
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if path.is_file():
        raise ValueError(
            f"expected a model folder in diffusers' layout, got the file {path.name}: load_components and "
            "InstructDiffusion.from_pretrained read single files"
        )
    if text.count("/") == 1 and not text.startswith((".", "/", "~")) and not is_checkpoint(path):
        return _fetched_folder(text)
    raise FileNotFoundError(
        f"there is no model {text!r}: expected {', '.join(BUILT_IN)}, a folder with model_index.json, "
        f"a file ({', '.join((*SAFE, *PICKLED))}), or a hub id owner/name"
    )


def _fetched_folder(name: str) -> Path:
    """The parts of the model called owner/name on the hub, in its cache; FileNotFoundError where they cannot be had."""
    from huggingface_hub import snapshot_download

    # Never a pickle, a whole model in one file, a safety checker, or the same weights a second time.
    parts = [f"{part}/*.{ending}" for part in _PARTS for ending in ("json", "txt", "safetensors")]
    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=["model_index.json", "instructdiffusion.json", *parts],
                ignore_patterns=["*.fp16*", "*.non_ema*"],
            )
        )
    except Exception as error:  # no such name, no right to it, offline, disk full: the advice is the same
        raise FileNotFoundError(
            f"the model {name!r} cannot be fetched from the Hugging Face hub ({first_line(error)}): check the name "
            "and the network, log in where it is not public (hf auth login), or give a folder or a file"
        ) from error


def load_components(
    name_or_path: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Components:
    """Load the model called or kept at `name_or_path`: what `find_folder` takes, or a single-file checkpoint.

    A file is read as `single_file.load_checkpoint_components` says, which has further options. A folder's weights are
    .safetensors, their fp16 variant, or .bin, of which nothing is executed. Raises FileNotFoundError for a missing
    part and ValueError for truncated weights, missing, unknown or non-finite
    tensors, a UNet without 8 input channels, or parts that do not fit each other.
    """
    if name_or_path not in BUILT_IN and Path(name_or_path).is_file():
        from .single_file import load_checkpoint_components

        return load_checkpoint_components(name_or_path, dtype, device)
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = find_folder(name_or_path)
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    if missing:
        raise FileNotFoundError(
            f"the model folder {folder} lacks {', '.join(missing)}: expected diffusers' layout with {', '.join(_PARTS)}"
        )
    _check_unet_config(folder)
    local = {"local_files_only": True}  # whatever stands in a folder, nothing is fetched
    unet = _part(folder / "unet", UNet2DConditionModel, torch_dtype=dtype, low_cpu_mem_usage=False, **local)
    vae = _part(folder / "vae", AutoencoderKL, torch_dtype=dtype, low_cpu_mem_usage=False, **local)
    text = _part(folder / "text_encoder", CLIPTextModel, dtype=dtype, **local)
    tokenizer = _guarded("tokenizer", lambda: CLIPTokenizer.from_pretrained(folder / "tokenizer", **local))
    if text.config.hidden_size != unet.config.cross_attention_dim:
        raise ValueError(
            f"the text encoder is {text.config.hidden_size} wide, the UNet attends to "
            f"{unet.config.cross_attention_dim}: the folder mixes parts of different models"
        )
    if len(tokenizer) > text.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {len(tokenizer)} entries, the text encoder knows {text.config.vocab_size}: "
            "the folder mixes parts of different models"
        )
    alphas, prediction = _read_scheduler(folder / "scheduler" / "scheduler_config.json")
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    size = unet.config.sample_size
    return Components(
        unet=unet.to(device),
        vae=vae.to(device),
        text_encoder=text.to(device),
        tokenizer=tokenizer,
        alphas_cumprod=alphas,
        prediction_type=prediction,
        resolution=_side(size, factor),
        path=folder,
        resize_mode=_folder_resize_mode(folder),
    )


def _side(size: Any, factor: int) -> int:
    """The side in pixels of a UNet's `sample_size`; ValueError for one that is none."""
    sides = size if isinstance(size, (list, tuple)) else [size]
    if not sides or not all(isinstance(s, int) and 1 <= s * factor <= MOST_RESOLUTION for s in sides):
        most = MOST_RESOLUTION // factor
        raise ValueError(f"expected a sample_size in unet/config.json of at most {most}, got {size!r}")
    return int(max(sides)) * factor


def _folder_resize_mode(folder: Path) -> str:
    """What the model's own settings say; else the authors' for a folder that diffusers wrote (its version is in it)."""

    def read(name: str) -> Any:
        path = folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    said = _guarded("instructdiffusion.json", lambda: resize_mode_in(read("instructdiffusion.json")))
    if said is not None:
        return said
    foreign = _guarded("model_index.json", lambda: "_diffusers_version" in read("model_index.json"))
    return "authors" if foreign else "shortest_edge"


def _read_scheduler(path: Path) -> tuple[np.ndarray, str]:
    """(alphas_cumprod float64, prediction_type) of a scheduler's config; ValueError names file and field."""
    config = _guarded("scheduler", lambda: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(config, dict):
        raise ValueError(f"expected an object in {path}, got {type(config).__name__}: copy the folder again")
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"expected a prediction_type of {', '.join(PREDICTIONS)}, got {prediction!r} in {path.name}"
        )
    for name in ("rescale_betas_zero_snr", "trained_betas"):
        if config.get(name):
            raise ValueError(
                f"{path} sets {name}, which is not supported: expected betas from beta_start, beta_end and "
                "beta_schedule alone"
            )
    for name, most in (("num_train_timesteps", 1e6), ("beta_start", 1.0), ("beta_end", 1.0)):
        value: Any = config.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value < most or (most > 1 and value != int(value)):
            raise ValueError(
                f"expected a number above 0 and below {most:g} as {name} in {path}, got {value!r}"
            )
    if not isinstance(config.get("beta_schedule"), str):
        raise ValueError(f"expected a name as beta_schedule in {path}, got {config.get('beta_schedule')!r}")
    return training_alphas(config).numpy(), prediction


def _check_unet_config(folder: Path) -> None:
    path = folder / "unet" / "config.json"
    channels = _guarded("unet", lambda: json.loads(path.read_text(encoding="utf-8")).get("in_channels"))
    if channels != 8:
        raise ValueError(
            f"expected a UNet with 8 input channels (noisy latents and the picture's), got {channels} in "
            f"{path.name} of {folder.name}: a text-to-image model must first be widened and trained "
            "(training/train.py, stage instruct)"
        )


def _guarded(part: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except Exception as error:  # the libraries raise many kinds; the reader needs one that names the part
        raise ValueError(
            f"the model's {part} cannot be read ({type(error).__name__}: {error}): copy the folder again"
        ) from error


def _check_part(folder: Path, kind: Any) -> None:
    """Refuse a config that is beyond all reason, or of a larger network than the weights are."""
    from accelerate import init_empty_weights

    config = read_config(folder)

    def describe() -> dict[str, tuple[int, ...]]:
        with init_empty_weights():
            if hasattr(kind, "load_config"):  # diffusers'
                module = kind.from_config(config)
            else:
                module = kind(kind.config_class.from_dict(config))
        return {name: tuple(value.shape) for name, value in module.state_dict().items()}

    try:
        held = count_weights(folder)
    except ValueError as error:
        raise ValueError(f"the model's {folder.name} cannot be read ({error}): copy the folder again") from None
    check_need(folder.name, _guarded(folder.name, describe), held)


def _part(folder: Path, kind: Any, **options: Any) -> Any:
    """The module of a part's folder, checked: all of its weights, no others, finite."""
    part = folder.name
    _check_part(folder, kind)
    with safe_folder(folder) as (place, more):
        options |= {**more, "use_safetensors": True, "output_loading_info": True}
        module, info = _guarded(part, lambda: kind.from_pretrained(place, **options))
    odd = {  # those of another shape come with their shapes
        noun: [str(key[0] if isinstance(key, tuple) else key) for key in info.get(field, ())]
        for field, noun in _ODD.items()
    }
    if any(odd.values()):
        raise odd_keys(f"the model's {part}", odd, ": its config is of other weights")
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            own = read_weights(folder)
            weights = [own[name]] if name in own else own.values()  # older files have other names
            raise not_finite(weights, value.dtype, f"the model's {part}", name)
    return module.eval().requires_grad_(False)
