"""A ComfyUI model as a backend of the package: the same jobs, tiles and plans through ComfyUI's model classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_management
import comfy.samplers
import numpy as np
import torch
from torch import Tensor

from ..instructdiffusion.inference.memory import Footprint
from ..instructdiffusion.knowledge import Knowledge
from ..instructdiffusion.sampling import OnStep, Plan, StepNoise, sample
from ..instructdiffusion.settings import Settings, read_settings
from .guards import free_on, guard_vae, vae_footprint
from .instruct_guider import BranchGuider, conditions, interruptible, needed
from .model_files import file_resize_mode

ATTACHMENT = "instructdiffusion"  # under this name a MODEL carries what this pack knows about it


class ComfyBackend:
    """What `Job` asks of a backend, on top of a MODEL, CLIP and VAE.

    MODEL may carry LoRAs, hooks, patches and wrappers: everything goes through ComfyUI's own guider, so they
    count as they do in KSampler.
    """

    one_text = True  # ComfyUI's conditions are for a whole batch

    def __init__(self, model: Any, clip: Any, vae: Any) -> None:
        check_model(model)
        if not callable(getattr(clip, "tokenize", None)):
            raise ValueError(
                "`clip`: expected a text encoder, got none: the model file lacks one, load it with CLIPLoader"
            )
        if vae is None or getattr(vae, "first_stage_model", vae) is None:
            raise ValueError(
                "`vae`: expected an autoencoder, got none: the model file lacks one, load it with VAELoader"
            )
        self.model, self.clip, self.vae = interruptible(model), clip, guard_vae(vae)
        self._read: dict[str, Any] = {}
        self.latents: list[Tensor] = []  # every batch's answer, unscaled, as LATENT nodes pass them

    @property
    def factor(self) -> int:
        """Pixels a latent cell stands for along each side."""
        return int(self.vae.spacial_compression_encode())

    @property
    def multiple(self) -> int:
        """What both sides of a picture must be a multiple of."""
        mult = self.model.model.model_config.unet_config["channel_mult"]
        return int(self.factor * 2 ** (len(mult) - 1))

    @property
    def footprint(self) -> Footprint:
        """What the networks take while they run."""
        config = self.model.model.model_config.unet_config
        channels = [config["model_channels"] * mult for mult in config["channel_mult"]]
        return vae_footprint(self.vae, channels, comfy.model_management.dtype_size(self.model.model_dtype()))

    @property
    def device(self) -> torch.device:
        """Where the UNet runs."""
        device: torch.device = self.model.load_device
        return device

    def free(self, device: Any) -> int | None:
        """Bytes that a run may take on a device; None where that is not known."""
        return free_on(device)

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of `size` (height, width)."""
        height, width = (side // self.factor for side in size)
        return int(self.model.model.latent_format.latent_channels), height, width

    def encode_prompt(self, text: str) -> Any:
        """The CONDITIONING of an instruction, encoded once however many batches ask for it."""
        if text not in self._read:
            # An instruction is words, not a prompt with weights in parentheses.
            tokens = self.clip.tokenize(text, disable_weights=True)
            self._read[text] = self.clip.encode_from_tokens_scheduled(tokens)
        return self._read[text]

    @torch.inference_mode()
    def encode_image(self, images: np.ndarray) -> Tensor:
        """The condition [n, c, h/f, w/f], unscaled, of pictures uint8 [n, h, w, 3]."""
        latents: Tensor = self.vae.encode(torch.from_numpy(np.ascontiguousarray(images)).float().div_(255))
        return latents

    @torch.inference_mode()
    def decode_latents(self, latents: Tensor) -> np.ndarray:
        """Pictures float32 [n, h, w, 3] in 0..1 of unscaled latents."""
        images = self.vae.decode(latents).float()
        if not bool(torch.isfinite(images).all()):
            raise FloatingPointError(
                "the VAE decodes to NaN or infinite values: start ComfyUI with --fp32-vae, or check the VAE's weights"
            )
        return images.clamp_(0, 1).cpu().numpy()

    @torch.inference_mode()
    def generate(
        self,
        images: np.ndarray,
        prompts: Sequence[str],
        plan: Plan,
        initial_noise: Tensor,
        step_noise: StepNoise,
        *,
        reconstruct: bool = True,
        on_step: OnStep | None = None,
        cache_interval: int = 1,
        adaptive: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As `Backend.generate`; all prompts of a batch must be one: ComfyUI's conditions are for a whole batch.

        ValueError for a `cache_interval` and for `adaptive` guidance: here those are a patch's to do, on the MODEL.
        """
        if cache_interval != 1 or adaptive is not None:
            raise ValueError(
                f"expected cache_interval=1 and adaptive=None, got {cache_interval} and {adaptive}: patch the MODEL "
                "with a node that caches features or skips guidance"
            )
        (text,) = set(prompts)
        image_latents = self.encode_image(images)
        guider = BranchGuider(self.model)
        branches = needed(self.model, plan.branches)
        guider.set_branches(conditions(self.encode_prompt, text, image_latents, branches), None)
        sampler = PlanSampler(plan, step_noise, on_step)
        sigmas = torch.tensor([*(row.sigma for row in plan), plan[-1].sigma_next], dtype=torch.float32)
        empty = torch.zeros_like(initial_noise)
        latents = guider.sample(initial_noise, empty, sampler, sigmas, disable_pbar=True)
        edited, copy = self.decode_latents(latents), self.decode_latents(image_latents) if reconstruct else None
        self.latents.append(latents.cpu())  # last: a batch that memory is too small for comes again in halves
        return edited, copy


class PlanSampler(comfy.samplers.Sampler):
    """A plan of the package as a ComfyUI sampler: ComfyUI gives denoised latents, the plan's rows the steps."""

    def __init__(self, plan: Plan, noise: StepNoise, on_step: OnStep | None = None) -> None:
        self.plan, self.noise, self.on_step = plan, noise, on_step

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Callable[..., Any] | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Run the plan from unit `noise`; denoise masks and partial denoising are KSampler's, not a plan's."""
        denoiser = _Denoiser(model_wrap, extra_args)
        device = noise.device

        def after(i: int, x: Tensor, denoised: Tensor) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            if callback is not None:
                callback(i, denoised, x, len(self.plan))
            if self.on_step is not None:
                self.on_step(i, x, denoised)

        x = noise.to(device, torch.float32) * self.plan.sigma_start
        return sample(denoiser, x, self.plan, self.noise, after)


class _Denoiser:
    """ComfyUI's guided model as the sampler's: one branch, whose prediction is the denoised latent itself."""

    prediction_type = "sample"

    def __init__(self, model_wrap: Any, extra_args: dict[str, Any]) -> None:
        self.model_wrap, self.extra_args = model_wrap, extra_args

    def predict(self, x_scaled: Tensor, row: Any, branches: tuple[str, ...]) -> Tensor:
        self.model_wrap.row = row
        x = x_scaled * (1 + row.sigma**2) ** 0.5
        sigma = torch.full((len(x),), row.sigma, device=x.device, dtype=torch.float32)
        options = {k: self.extra_args.get(k) for k in ("model_options", "seed")}
        denoised = self.model_wrap(x, sigma, **options)
        predictions: Tensor = denoised[None].expand(len(branches), *denoised.shape)
        return predictions


def check_model(model: Any, name: str = "model") -> None:
    """ValueError unless the MODEL takes 8 input channels: noisy latents and the picture's."""
    config = getattr(getattr(model, "model", None), "model_config", None)
    unet = getattr(config, "unet_config", {})
    channels = unet.get("in_channels")
    if channels != 8 or "channel_mult" not in unet:
        what = (
            f"a {type(model.model).__name__} with {channels} input channels"
            if config
            else "no diffusion MODEL"
        )
        raise ValueError(
            f"`{name}`: expected an instruction model with 8 input channels (InstructLoader gives one), got {what}"
        )


def model_settings(model: Any) -> tuple[dict[str, Settings], int, str]:
    """(settings of every task, resolution in pixels, resize_mode) of a MODEL: its own where InstructLoader gave it."""
    known = model.get_attachment(ATTACHMENT) or {}
    resize_mode = known.get("resize_mode") or file_resize_mode({})
    settings = known.get("settings") or read_settings(None, published=resize_mode == "authors")
    return settings, int(known.get("resolution") or 512), resize_mode


def model_knowledge(model: Any) -> Knowledge | None:
    """What a MODEL says of itself where it came from InstructLoader; None where it says nothing."""
    return (model.get_attachment(ATTACHMENT) or {}).get("knowledge")
