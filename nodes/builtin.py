"""A model folder in ComfyUI's own UNet, VAE and CLIP classes, whatever its widths; nothing of ComfyUI is patched."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from torch import Tensor

from ..instructdiffusion.knowledge import read_knowledge
from ..instructdiffusion.models.formats.ldm_keys import (
    TEXT_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    text_to_ldm,
    unet_to_ldm,
    vae_to_ldm,
)
from ..instructdiffusion.models.formats.weight_files import read_weights
from ..instructdiffusion.models.saving import scheduler_config
from ..instructdiffusion.models.sidecar import save_tokenizer
from ..instructdiffusion.settings import read_settings
from .comfy_backend import ATTACHMENT
from .guards import guard_vae
from .model_files import folder_resize_mode

_PREDICTIONS = {
    "epsilon": comfy.model_base.ModelType.EPS,
    "v_prediction": comfy.model_base.ModelType.V_PREDICTION,
}
# diffusers' name -> ComfyUI's, which calls what is linear in the square root "linear"
_SCHEDULES = {"scaled_linear": "linear", "linear": "sqrt_linear"}


class Ratio(float):
    """A channel multiplier whose products with channels are whole, as torch's layers want them: 64 * 1.5 = 96."""

    def __mul__(self, other: Any) -> Any:
        product = float(self) * other
        return round(product) if isinstance(other, int) else product

    __rmul__ = __mul__


def load_folder(folder: Path) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE) of a model folder in diffusers' layout.

    ValueError / FileNotFoundError for a missing or truncated part, or one that is not of SD 1.5's structure.
    """
    configs = {part: _json(folder / part / "config.json") for part in ("unet", "vae", "text_encoder")}
    scheduler = _json(folder / "scheduler" / "scheduler_config.json")
    scale = float(configs["vae"].get("scaling_factor", 0.18215))
    unet = unet_to_ldm(read_weights(folder / "unet"), configs["unet"])
    vae = load_vae(vae_to_ldm(read_weights(folder / "vae"), configs["vae"]), configs["vae"])
    clip = load_clip(read_weights(folder / "text_encoder"), configs["text_encoder"], folder / "tokenizer")
    model = load_unet(unet, configs["unet"], scheduler, scale, preview_colors(vae, scale))
    attach(model, folder, _side(configs["unet"]) * vae.downscale_ratio, folder_resize_mode(folder))
    return model, clip, vae


def load_components(components: Any) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE) of a model that the package has loaded (`Components`), as from a single file of any widths.

    ValueError for a schedule that ComfyUI has not.
    """
    configs = {part: dict(getattr(components, part).config) for part in ("unet", "vae")}
    text = components.text_encoder.config.to_dict()
    scheduler = {**scheduler_config(components), "prediction_type": components.prediction_type}
    scale = float(configs["vae"]["scaling_factor"])
    vae = load_vae(vae_to_ldm(components.vae.state_dict(), configs["vae"]), configs["vae"])
    with tempfile.TemporaryDirectory() as folder:  # ComfyUI's tokenizers read a folder, once
        save_tokenizer(components.tokenizer, Path(folder))
        clip = load_clip(components.text_encoder.state_dict(), text, Path(folder))
    unet = unet_to_ldm(components.unet.state_dict(), configs["unet"])
    model = load_unet(unet, configs["unet"], scheduler, scale, preview_colors(vae, scale))
    attach(model, components.path, components.resolution, components.resize_mode)
    return model, clip, vae


def load_sd15_folder(folder: Path) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE) of a model folder of Stable Diffusion 1.5's size, by ComfyUI's loader of checkpoints.

    ComfyUI knows such a model by LDM's keys only: its loader of diffusers folders takes 4 and 9 channels. Errors
    are `load_folder`'s, RuntimeError where ComfyUI cannot load it.
    """
    configs = {part: _json(folder / part / "config.json") for part in ("unet", "vae", "text_encoder")}
    prediction = _json(folder / "scheduler" / "scheduler_config.json").get("prediction_type", "epsilon")
    if prediction != "epsilon":  # what a checkpoint's keys do not say
        return load_folder(folder)
    parts = {
        UNET_PREFIX: unet_to_ldm(read_weights(folder / "unet"), configs["unet"]),
        VAE_PREFIX: vae_to_ldm(read_weights(folder / "vae"), configs["vae"]),
        TEXT_PREFIX: text_to_ldm(read_weights(folder / "text_encoder")),
    }
    state = {prefix + key: weight for prefix, part in parts.items() for key, weight in part.items()}
    embeddings = folder_paths.get_folder_paths("embeddings")
    loaded = comfy.sd.load_state_dict_guess_config(state, embedding_directory=embeddings)
    if loaded is None:
        raise ValueError("ComfyUI finds no model of Stable Diffusion 1.5's structure in it")
    model, clip, vae = loaded[:3]
    attach(model, folder, _side(configs["unet"]) * vae.downscale_ratio, folder_resize_mode(folder))
    return model, clip, vae


def attach(model: Any, folder: Path, resolution: int, resize_mode: str) -> None:
    """Let a MODEL carry the settings of its folder, the side in pixels at which it sees pictures, how they come to
    that size (`imaging.resize.model_size`), and what the model says of itself."""
    own = {
        "settings": read_settings(folder, published=resize_mode == "authors"),
        "resolution": resolution,
        "resize_mode": resize_mode,
        "knowledge": read_knowledge(folder),
    }
    model.set_attachments(ATTACHMENT, own)


def _side(unet: dict[str, Any]) -> int:
    size = unet.get("sample_size") or 64
    return int(size if isinstance(size, int) else max(size))


def load_unet(
    weights: dict[str, Tensor],
    config: dict[str, Any],
    scheduler: dict[str, Any],
    scale: float,
    colors: list[list[float]] | None = None,
) -> Any:
    """The MODEL of LDM-keyed UNet weights; config, scheduler: diffusers' (widths, betas, prediction type)."""
    channels, layers = config["block_out_channels"], int(config["layers_per_block"])
    if config.get("in_channels") != 8:
        raise ValueError(f"expected a UNet with 8 input channels, got {config.get('in_channels')}")
    attends = [kind.startswith("CrossAttn") for kind in config["down_block_types"]]
    unet_config = {
        "image_size": 32,
        "in_channels": 8,
        "out_channels": int(config["out_channels"]),
        "model_channels": channels[0],
        "num_res_blocks": [layers] * len(channels),
        "channel_mult": [_ratio(c, channels[0]) for c in channels],
        "transformer_depth": [int(a) for a in attends for _ in range(layers)],
        "transformer_depth_output": [int(a) for a in attends for _ in range(layers + 1)],
        "transformer_depth_middle": 1,
        "context_dim": int(config["cross_attention_dim"]),
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "use_temporal_attention": False,
        "use_checkpoint": False,
        "legacy": False,
        "adm_in_channels": None,
    }
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise ValueError(f"expected a prediction_type of {' or '.join(_PREDICTIONS)}, got {prediction!r}")
    schedule = scheduler.get("beta_schedule", "scaled_linear")
    if schedule not in _SCHEDULES:
        raise ValueError(f"expected a beta_schedule of {' or '.join(_SCHEDULES)}, got {schedule!r}")
    model_config = comfy.supported_models.SD15_instructpix2pix(unet_config)
    model_config.sampling_settings = {
        "beta_schedule": _SCHEDULES[schedule],
        "linear_start": scheduler["beta_start"],
        "linear_end": scheduler["beta_end"],
        "timesteps": int(scheduler["num_train_timesteps"]),
    }
    latents = comfy.latent_formats.LatentFormat()
    latents.scale_factor, latents.latent_rgb_factors = scale, colors
    model_config.latent_format = latents
    # A model of a few million weights gains nothing from half precision, and loses digits.
    model_config.set_inference_dtype(torch.float32, None)
    offload = comfy.model_management.unet_offload_device()
    model = comfy.model_base.SD15_instructpix2pix(model_config, model_type=_PREDICTIONS[prediction])
    _load(model.diffusion_model, weights, "unet")
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model.to(offload), load_device=device, offload_device=offload)


def load_vae(weights: dict[str, Tensor], config: dict[str, Any]) -> Any:
    """The VAE of LDM-keyed autoencoder weights; config: diffusers'."""
    channels = config["block_out_channels"]
    ddconfig = {
        "double_z": True,
        "z_channels": int(config["latent_channels"]),
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": channels[0],
        "ch_mult": [_ratio(c, channels[0]) for c in channels],
        "num_res_blocks": int(config["layers_per_block"]),
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    params = {"ddconfig": ddconfig, "embed_dim": int(config["latent_channels"])}
    vae = comfy.sd.VAE(sd=dict(weights), config={"params": params}, dtype=torch.float32)
    missing = set(vae.first_stage_model.state_dict()) - set(weights)
    if missing:
        raise ValueError(
            f"the model's vae lacks {len(missing)} weights, first {sorted(missing)[0]}: copy it again"
        )
    vae.latent_channels = int(config["latent_channels"])
    vae.downscale_ratio = vae.upscale_ratio = 2 ** (len(channels) - 1)
    return guard_vae(vae)


def load_clip(weights: dict[str, Tensor], config: dict[str, Any], tokenizer: Path) -> Any:
    """The CLIP of a transformers CLIPTextModel's weights with the tokenizer folder beside it."""
    begin, end, pad = (int(config[f"{kind}_token_id"]) for kind in ("bos", "eos", "pad"))
    length, width = int(config["max_position_embeddings"]), int(config["hidden_size"])

    class Transformer(comfy.clip_model.CLIPTextModel):
        """ComfyUI's, with a vocabulary of the tokenizer's size in place of CLIP's 49,408 words."""

        def __init__(self, config_dict: Any, dtype: Any, device: Any, operations: Any) -> None:
            super().__init__(config_dict, dtype, device, operations)
            words = int(config_dict["vocab_size"])
            self.set_input_embeddings(operations.Embedding(words, width, dtype=dtype, device=device))

    class TextModel(comfy.sd1_clip.SDClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
            super().__init__(
                device=device,
                dtype=dtype,
                max_length=length,
                textmodel_json_config=dict(config),
                special_tokens={"start": begin, "end": end, "pad": pad},
                return_projected_pooled=False,
                model_class=Transformer,
                model_options=model_options or {},
            )

    class ClipModel(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
            super().__init__(
                device=device, dtype=dtype, model_options=model_options or {}, clip_model=TextModel
            )

    class WordTokenizer(comfy.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(
                tokenizer_path=str(tokenizer),
                max_length=length,
                embedding_directory=embedding_directory,
                embedding_size=width,
                tokenizer_data=tokenizer_data or {},
            )

    class Tokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {}, tokenizer=WordTokenizer)

    target = comfy.supported_models_base.ClipTarget(Tokenizer, ClipModel)
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        parameters=comfy.utils.calculate_parameters(weights),
        model_options={"dtype": torch.float32},
    )
    renamed = {
        k.removeprefix("cond_stage_model.").removeprefix("transformer."): v
        for k, v in text_to_ldm(weights).items()
    }
    renamed["text_projection.weight"] = torch.eye(width)
    _load(clip.cond_stage_model.clip_l.transformer, renamed, "text_encoder")
    return clip


@torch.no_grad()
def preview_colors(vae: Any, scale: float) -> list[list[float]]:
    """The 4 x 3 numbers that turn scaled latents into preview colours, fitted to flat pictures put through the VAE."""
    generator = torch.Generator().manual_seed(0)
    side = 4 * vae.downscale_ratio
    shades = torch.rand(64, 3, generator=generator)
    latents = (
        vae.encode(shades[:, None, None, :].expand(-1, side, side, -1)).float().cpu().mean((2, 3)) * scale
    )
    factors: list[list[float]] = torch.linalg.lstsq(latents, shades * 2 - 1).solution.tolist()
    return factors


def _ratio(channels: int, first: int) -> int | Ratio:
    return channels // first if channels % first == 0 else Ratio(channels / first)


def _load(module: torch.nn.Module, weights: dict[str, Tensor], part: str) -> None:
    try:
        missing, unknown = module.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    except RuntimeError as error:  # what torch raises for tensors of other shapes
        raise ValueError(f"the model's {part} does not fit its config: {error}") from None
    for what, keys in (("lacks", missing), ("has unknown", unknown)):
        if keys:
            raise ValueError(
                f"the model's {part} {what} {len(keys)} weights, first {keys[0]}: its config is of others"
            )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"the model folder lacks {path.parent.name}/{path.name}: copy it again")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
