"""Single-file checkpoints in the LDM layout: Stable Diffusion's, InstructPix2Pix's and the authors' own.

A file holds model.diffusion_model.*, first_stage_model.*, cond_stage_model.transformer.* and, after training,
an averaged UNet as model_ema.*, its names written without dots. Widths and depths are read from the tensors.
What the tensors cannot say stands beside them, written by `saving.export_checkpoint`: prediction type and
resolution inside the file; the tokenizer and the model's settings in a folder with the file's name (for
model.safetensors: model/tokenizer, model/instructdiffusion.json).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..imaging.resize import resize_mode_in
from ..sampling.schedule import PREDICTIONS
from ..settings import FILE
from .built_in import model_of_shape
from .components import MOST_RESOLUTION, Components, not_finite
from .formats import ldm_keys
from .formats.ema_keys import AVERAGES, COUNTERS, averages_among, find_averages
from .formats.folder import training_alphas
from .formats.ldm_keys import TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX, odd_keys
from .formats.safe_pickle import read_checkpoint
from .pretrained_tokenizer import companion, load_tokenizer, tokenizer_folder

SD_SCALE = 0.18215  # SD 1.5's factor on latents, where a file does not say its own
LATENT_SIDE = 64  # cells a side of SD 1.5's latents: 512 pixels with its autoencoder

# What training code keeps beside the weights, and nothing here needs.
_HARMLESS = frozenset(
    "betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod "
    "log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance "
    "posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2 lvlb_weights logvar scale_factor "
    "cond_stage_model.logit_scale cond_stage_model.transformer.text_projection.weight v_pred ztsnr".split()
)
# Without numbers: ComfyUI's CheckpointSave writes these beside models that are no epsilon models.
V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
_HARMLESS_PREFIXES = ("loss.", VAE_PREFIX + "loss.")

_log = logging.getLogger(__name__)


class _Weights(NamedTuple):
    unet: dict[str, Tensor]
    vae: dict[str, Tensor]
    text: dict[str, Tensor]


def load_checkpoint_components(
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    *,
    ema: bool = True,
    prediction_type: str | None = None,
    resolution: int | None = None,
    in_channels: int | None = 8,
) -> Components:
    """Load a single file (.safetensors, .ckpt, .pt, .pth, .bin) in the LDM layout.

    ema: take the averaged UNet where the file has one. prediction_type, resolution: None takes what the file
    says, else epsilon and 64 latent cells (512 px with SD 1.5's autoencoder). in_channels: what the UNet must
    have, None for any. Nothing in the file is executed. Raises ValueError for a file that is truncated,
    hides code, lacks tensors or has unknown ones (they are listed) or ones that are not finite, or whose
    UNet has another number of inputs; FileNotFoundError where the tokenizer is not to be found.

    instruct-pix2pix's own file is laid out as the authors' is, so that it is guided by their formula unless its
    settings say otherwise (`settings.Settings.formula`); where its name gives it away, that is logged (at warning).
    """
    path = Path(path)
    state, facts = read_checkpoint(path)
    weights = _split(state, ema, path.name)
    unet_config = ldm_keys.unet_config_from_ldm(weights.unet)
    if in_channels is not None and unet_config["in_channels"] != in_channels:
        raise ValueError(_wrong_inputs(unet_config["in_channels"], in_channels, path.name))
    vae_config = ldm_keys.vae_config_from_ldm(weights.vae)
    text_config = ldm_keys.text_config_from_ldm(weights.text)
    if text_config["hidden_size"] != unet_config["cross_attention_dim"]:
        raise ValueError(
            f"the text encoder is {text_config['hidden_size']} wide, the UNet attends to "
            f"{unet_config['cross_attention_dim']}: {path.name} mixes parts of different models"
        )
    factor = 2 ** (len(vae_config["block_out_channels"]) - 1)
    # ComfyUI's CheckpointSave of the model that ships, or of a merge of it, says nothing of tokenizer and resolution.
    kin = None if facts or tokenizer_folder(path) else model_of_shape(unet_config, vae_config, text_config)
    if resolution is None:
        resolution = facts.get("resolution", LATENT_SIDE * factor if kin is None else kin.resolution)
    resolution = _resolution(resolution, factor, path.name)
    if ZERO_SNR in state:
        raise ValueError(
            f"{path.name} is of a schedule with zero terminal signal ({ZERO_SNR}), which is not supported: take another"
        )
    marked = "v_prediction" if V_PREDICTION in state else None
    prediction = prediction_type or facts.get("prediction_type") or marked or "epsilon"
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"expected a prediction_type of {', '.join(PREDICTIONS)}, got {prediction!r} for {path.name}"
        )
    try:
        mode = resize_mode_in(facts, written=True)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    alphas = _alphas(state, path.name)
    tokenizer = load_tokenizer(path if kin is None else kin.folder / "x", text_config["vocab_size"])
    ends = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("bos", "eos", "pad")}
    unet_config["sample_size"] = resolution // factor
    scale = kin.scale if kin is not None and "scale_factor" not in state else _scale(state, path.name)
    vae_config |= {"sample_size": resolution, "scaling_factor": scale}

    unet, vae, text_encoder = empty_modules(unet_config, vae_config, text_config | ends)
    prefix = "text_model." if next(iter(text_encoder.state_dict())).startswith("text_model.") else ""
    renamed = (
        ldm_keys.unet_from_ldm(weights.unet, unet_config),
        ldm_keys.vae_from_ldm(weights.vae, vae_config),
        ldm_keys.text_from_ldm(weights.text, prefix),
    )
    if not facts and "pix2pix" in path.stem.lower() and not (companion(path) / FILE).is_file():
        _log.warning(
            "%s does not say how it is guided, and is asked by InstructDiffusion's formula and scales: if it is "
            'instruct-pix2pix, say formula="instructpix2pix", guidance=(7.5, 1.5)',
            path.name,
        )
    del weights  # each is let go once the module has it: a large file is not held twice
    for module, new in zip((unet, vae, text_encoder), renamed, strict=True):
        _fill(module, new, path.name, dtype, device)
    return Components(
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        alphas_cumprod=alphas,
        prediction_type=prediction,
        resolution=resolution,
        path=companion(path) if kin is None else kin.folder,
        # What says nothing of itself is not ours.
        resize_mode=mode or ("shortest_edge" if facts or kin else "authors"),
    )


def _split(state: Mapping[str, Tensor], ema: bool, file: str) -> _Weights:
    """The weights of the three parts, without their prefixes; ValueError lists what belongs to none."""
    unet = {k.removeprefix(UNET_PREFIX): k for k in state if k.startswith(UNET_PREFIX)}
    averages = averages_among(state)
    unknown: list[str] = []
    if averages and (ema or not unet):
        unet, unknown = find_averages(list(unet), averages, file)
    vae = {k.removeprefix(VAE_PREFIX): k for k in state if k.startswith(VAE_PREFIX)}
    vae = {short: k for short, k in vae.items() if not k.startswith(_HARMLESS_PREFIXES)}
    text = {k.removeprefix(TEXT_PREFIX): k for k in state if k.startswith(TEXT_PREFIX + "text_model.")}
    for part, names, prefix in (
        ("UNet", unet, UNET_PREFIX),
        ("autoencoder", vae, VAE_PREFIX),
        ("CLIP text encoder", text, TEXT_PREFIX + "text_model."),
    ):
        if not names:
            first = ", ".join(sorted(state)[:3])
            raise ValueError(
                f"{file} holds no {part} ({prefix}*), its keys begin with {first}: expected a whole model in "
                "Stable Diffusion 1's layout"
            )
    known = {*unet.values(), *vae.values(), *text.values(), *_HARMLESS, *COUNTERS}
    prefixes = (*_HARMLESS_PREFIXES, UNET_PREFIX, AVERAGES)
    unknown += [k for k in state if k not in known and not k.startswith(prefixes)]
    if unknown:
        raise odd_keys(file, {"unknown key": unknown}, ": expected a model in Stable Diffusion 1's layout")
    return _Weights(*({short: state[k] for short, k in part.items()} for part in (unet, vae, text)))


def empty_modules(unet: dict[str, Any], vae: dict[str, Any], text: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The three modules without storage for their weights: nothing is drawn at random only to be replaced."""
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with init_empty_weights(include_buffers=False):
        return UNet2DConditionModel(**unet), AutoencoderKL(**vae), CLIPTextModel(CLIPTextConfig(**text))


def _fill(
    module: Any, new: dict[str, Tensor], file: str, dtype: torch.dtype, device: str | torch.device
) -> None:
    """Give the module its weights; ValueError lists those that are missing, unknown, misshaped or not finite."""
    own = module.state_dict()
    every = {**own, **new}
    names = dict(zip(every, ldm_keys.module_to_ldm(module, every), strict=True))  # as the file calls them
    odd = {
        "missing key": own.keys() - new.keys(),
        "unknown key": new.keys() - own.keys(),
        "misshaped key": {k for k in own.keys() & new.keys() if own[k].shape != new[k].shape},
    }
    if any(odd.values()):
        called = {noun: [names[key] for key in keys] for noun, keys in odd.items()}
        raise odd_keys(file, called, ": it is damaged, or another structure than SD 1.5's")
    filled = {}
    del every
    for key in list(new):
        value = new.pop(key)
        cast = value.to(device=device, dtype=dtype, copy=True).contiguous()
        if not bool(torch.isfinite(cast).all()):
            raise not_finite([value], dtype, file, names[key])
        filled[key] = cast
    module.load_state_dict(filled, assign=True)
    module.to(device).eval().requires_grad_(False)


def _alphas(state: Mapping[str, Tensor], file: str) -> np.ndarray:
    """alphas_cumprod float64 [steps] of the file, SD 1.5's where it has none.

    Files hold them in single or half precision; where they are SD 1.5's but for that rounding, the exact
    ones are taken.
    """
    exact = training_alphas().numpy()
    if "alphas_cumprod" not in state:
        return exact
    stored = state["alphas_cumprod"]
    values = stored.double().numpy()
    if stored.is_floating_point() and stored.dtype != torch.float64 and values.shape == exact.shape:
        if np.allclose(values, exact, rtol=4 * torch.finfo(stored.dtype).eps, atol=0):
            return exact
    sound = stored.is_floating_point() and values.ndim == 1 and len(values) > 1
    sound = sound and bool(np.isfinite(values).all())
    if not sound or values.min() <= 0 or values.max() >= 1 or (np.diff(values) > 0).any():
        raise ValueError(
            f"expected alphas_cumprod in {file} to fall within (0, 1), got {list(values.shape)} values that do "
            "not: a schedule with zero terminal signal is not supported"
        )
    if (np.diff(values) == 0).any():
        raise ValueError(
            f"alphas_cumprod in {file} are stored as {stored.dtype}, too coarse to tell the steps apart: take a "
            "checkpoint with float32 schedule, or remove the entry for Stable Diffusion's own schedule"
        )
    return values


def _scale(state: Mapping[str, Tensor], file: str) -> float:
    """What latents are multiplied with, rounded as in `_alphas`."""
    if "scale_factor" not in state:
        return SD_SCALE
    stored = state["scale_factor"]
    value = float(stored.double()) if stored.is_floating_point() and stored.numel() == 1 else float("nan")
    if not 0 < value < float("inf"):
        raise ValueError(f"expected a number above 0 as scale_factor in {file}, got {stored}")
    rounded = stored.dtype != torch.float64 and abs(value / SD_SCALE - 1) < 4 * torch.finfo(stored.dtype).eps
    return SD_SCALE if rounded else value


def _resolution(value: Any, factor: int, file: str) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not factor <= value <= MOST_RESOLUTION or value % factor:
        raise ValueError(
            f"expected a resolution that is a multiple of {factor}, at most {MOST_RESOLUTION}, got {value!r} for {file}"
        )
    return int(value)


def _wrong_inputs(got: int, expected: int, file: str) -> str:
    kinds = {
        4: "a text-to-image model, which must first be widened and trained: name it as `init` of training/train.py, "
        "stage instruct",
        9: "an inpainting model, which this method has no use for",
        8: "a model that is already widened",
    }
    return (
        f"expected a UNet with {expected} input channels, got {got} in {file}: "
        f"it is {kinds.get(got, 'another kind of model')}"
    )
