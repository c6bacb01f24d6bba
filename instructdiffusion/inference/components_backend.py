"""ComponentsBackend: pictures of one size and their instructions through the model, once, in one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..models.compiling import Compiling
from ..sampling import AdaptiveGuidance, DeepCache, Model, OnStep, Plan, StepNoise, UNetDenoiser
from ..sampling.acceleration.cuda_graph_runner import CudaGraphRunner
from ..utils.cache import CACHE_BYTES, Cache, Weights
from ..utils.old_names import old_attribute, old_members
from ..utils.pieces import pieces
from .memory import Footprint, components_footprint, free_memory
from .vae_tiling import in_parts

if TYPE_CHECKING:
    from ..models.components import Components

# Pixels up to which edits and copies are decoded in one batch; beyond, that would save nothing and take memory.
TOGETHER = 2**16


class ComponentsBackend:
    """The components of a model, as one function from pictures and texts to edited pictures.

    graphs: whether UNet and step are replayed as CUDA graphs, True, False, or None for where they can and pay
    (`CudaGraphRunner`); False suits weights that come and go, as in training. step_backend: of the step
    outside the UNet where nothing is replayed (`sampling.sample`). compiled: whether UNet and autoencoder run
    compiled, True, False, or None for where it pays (`models.compiling.Compiling`).

    Texts that were read and pictures that were encoded and decoded are kept, the last ones, up to `cache_bytes` of each
    (`prompt_cache`, `image_cache`, `copy_cache`): the empty text is read once, and many questions about a picture pay
    for it once.
    Weights that change are noticed, but for some ways to change them (`cache.Weights` says which; on an accelerator a
    write through `weight.data` is one, as in merging a LoRA with peft): after such a change call `forget`.
    """

    def __init__(
        self,
        components: Components,
        *,
        graphs: bool | None = False,
        step_backend: str = "auto",
        compiled: bool | None = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.components = components
        self.graph_runner = CudaGraphRunner(graphs, step_backend)
        self.compiling = Compiling(compiled)
        self.prompt_cache: Cache[Tensor] = Cache(cache_bytes)  # prompt -> prompt_embeds [length, width]
        self.image_cache: Cache[Tensor] = Cache(cache_bytes)  # image -> its latents [c, h/f, w/f]
        self.copy_cache: Cache[np.ndarray] = Cache(cache_bytes)  # image -> its latents decoded, float32 [h, w, 3]
        self._text_weights, self._vae_weights = Weights(), Weights()

    def forget(self) -> None:
        """Let go of all texts, pictures and CUDA graphs that are kept."""
        for cache in (self.prompt_cache, self.image_cache, self.copy_cache, self.graph_runner):
            cache.forget()

    # What it was called one release ago.
    draw = old_attribute("draw", "generate")
    read = old_attribute("read", "encode_prompt")
    encode = old_attribute("encode", "encode_image")
    decode = old_attribute("decode", "decode_latents")
    replaying = old_attribute("replaying", "graph_runner")

    leaves_untouched = True  # `generate` has `untouched`

    @property
    def factor(self) -> int:
        """Pixels a latent cell stands for along each side."""
        factor: int = 2 ** (len(self.components.vae.config.block_out_channels) - 1)
        return factor

    @property
    def multiple(self) -> int:
        """What both sides of a picture must be a multiple of."""
        multiple: int = self.factor * 2 ** (len(self.components.unet.config.block_out_channels) - 1)
        return multiple

    @property
    def footprint(self) -> Footprint:
        """What the networks take while they run."""
        return components_footprint(self.components)

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return _place(self.components.unet)[0]

    def free(self, device: Any) -> int | None:
        """Bytes that a run may take on a device; None where that is not known."""
        return free_memory(device)

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of `size` (height, width)."""
        height, width = (side // self.factor for side in size)
        return int(self.components.vae.config.latent_channels), height, width

    @property
    def text_limit(self) -> int:
        """Tokens an instruction may have, its begin and end token included."""
        places = int(self.components.text_encoder.config.max_position_embeddings)
        return min(places, int(self.components.tokenizer.model_max_length))

    def check_text(self, text: str) -> None:
        """ValueError where the text has halves of characters, or more tokens than the model reads; it says which."""
        try:
            text.encode()
        except UnicodeEncodeError as error:  # a shell hands over bytes that are not UTF-8 as lone surrogates
            raise ValueError(
                f"the instruction {text!r} has no text at character {error.start + 1} (bytes that are not UTF-8, or "
                "half of a surrogate pair): type it again"
            ) from error
        count = len(self.components.tokenizer(text, verbose=False)["input_ids"])
        if count > self.text_limit:
            excerpt = text if len(text) <= 60 else text[:57] + "..."
            raise ValueError(
                f"the instruction {excerpt!r} has {count} tokens, the model reads at most {self.text_limit} "
                "(begin and end included): shorten it"
            )

    @torch.inference_mode()
    def encode_prompt(self, prompts: Sequence[str]) -> Tensor:
        """Prompt embeds [n, length, width] of the texts; one that is kept is not read again, equal ones once."""
        encoder, tokenizer = self.components.text_encoder, self.components.tokenizer
        if self._text_weights.changed(encoder, tokenizer):
            self.prompt_cache.forget()

        def prompt_embeds(missing: list[int]) -> list[Tensor]:
            ids = tokenizer(
                [prompts[n] for n in missing],
                padding="max_length",
                max_length=self.text_limit,
                truncation=False,
                return_tensors="pt",
            )["input_ids"]
            return [row.clone() for row in encoder(ids.to(_place(encoder)[0]))[0]]

        return torch.stack(self.prompt_cache.of(prompts, prompt_embeds))

    @torch.inference_mode()
    def encode_image(self, images: np.ndarray) -> Tensor:
        """Image latents: the mode of the posterior [n, c, h/f, w/f], unscaled, of images uint8 [n, h, w, 3].

        A picture that is kept is not encoded again, equal ones are encoded once.
        """
        return self._encode_images(images, [_key(picture) for picture in images])

    def _encode_images(self, images: np.ndarray, keys: Sequence[object]) -> Tensor:
        vae = self.components.vae
        device, dtype = _place(vae)
        if self._vae_weights.changed(vae):
            self.image_cache.forget()
            self.copy_cache.forget()

        def modes(missing: list[int]) -> list[Tensor]:
            x = torch.from_numpy(np.ascontiguousarray(images[missing])).permute(0, 3, 1, 2).to(device)
            mode = in_parts(
                lambda part: vae.encode(part).latent_dist.mode(),
                (x.float() / 127.5 - 1).to(dtype),
                self.footprint.encode,
                cell=1,
                scale=1 / self.factor,
            )
            return [row.clone() for row in mode]  # a row of its own: a view would keep the whole batch alive

        return torch.stack(self.image_cache.of(keys, modes))

    @torch.inference_mode()
    def decode_latents(self, latents: Tensor) -> np.ndarray:
        """Pictures float32 [n, h, w, 3] in 0..1 of unscaled latents; FloatingPointError if not finite."""
        vae = self.components.vae
        x = in_parts(
            lambda part: vae.decode(part).sample,
            latents.to(*_place(vae)),
            self.footprint.decode * self.factor**2,
            cell=self.factor,
            scale=self.factor,
        ).float()
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                "the autoencoder decodes to NaN or infinite values: check its weights, and in half precision "
                "whether they overflow (load with dtype float32)"
            )
        return (x / 2 + 0.5).clamp_(0, 1).permute(0, 2, 3, 1).cpu().numpy()

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
        untouched: float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As `Backend.generate`.

        untouched: of an image whose latents differ nowhere by more than that (root of the mean square over channels)
        nothing is decoded; it is then itself both.
        ValueError for cache_interval and adaptive together, or for either where graphs are forced; RuntimeError where
        graphs or compiled networks are forced and cannot be.
        """
        self.components = self.compiling(
            self.components, len(images) * plan.evaluations, images.shape[:3]
        )
        pixels = len(images) * images.shape[1] * images.shape[2]
        run = partial(
            self._generate,
            *(images, prompts, plan, initial_noise, step_noise),
            *(reconstruct, on_step, cache_interval, adaptive, untouched),
        )
        try:
            with pieces(pixels, self.device):
                return run()
        except Exception as error:  # what compilers raise is of many kinds
            plain = self.compiling.failed(error)
            if plain is None:
                raise
        self.components = plain
        with pieces(pixels, self.device):
            return run()

    def _generate(
        self,
        images: np.ndarray,
        prompts: Sequence[str],
        plan: Plan,
        initial_noise: Tensor,
        step_noise: StepNoise,
        reconstruct: bool,
        on_step: OnStep | None,
        cache_interval: int,
        adaptive: float | None,
        untouched: float,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        keys = [_key(picture) for picture in images]
        image_latents = self._encode_images(images, keys)
        components = self.components
        model = UNetDenoiser(
            *(components.unet, image_latents, self.encode_prompt(prompts), self.encode_prompt([""])),
            components.prediction_type,
        )
        x = initial_noise.to(_place(components.unet)[0], torch.float32) * plan.sigma_start
        if cache_interval == 1 and adaptive is None:
            latents = self.graph_runner(model, x, plan, step_noise, on_step)
        else:
            why = f"what runs differs from row to row with cache_interval={cache_interval}, adaptive={adaptive}"
            latents = self.graph_runner.launched(
                self._changed(model, cache_interval, adaptive), x, plan, step_noise, on_step, why
            )
        latents = latents / self._scale() + self._shift()
        if not reconstruct:
            return self.decode_latents(latents), None
        different = (latents - image_latents).square().mean(1).sqrt().amax((1, 2))
        rows = [n for n, much in enumerate(different.tolist()) if not much <= untouched]  # NaN is told, not passed over
        if not untouched or len(rows) == len(images):
            return self._decode_both(latents, image_latents, keys)
        edited = images.astype(np.float32) / 255
        copies = edited.copy()
        if rows:
            edited[rows], copies[rows] = self._decode_both(latents[rows], image_latents[rows], [keys[n] for n in rows])
        return edited, copies

    def _decode_both(
        self, latents: Tensor, image_latents: Tensor, keys: Sequence[object]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(decoded latents, decoded condition); what of the latter is not kept goes along with a small batch."""
        count, edited = len(latents), None
        pixels = latents[0, 0].numel() * self.factor**2

        def copies(missing: list[int]) -> Sequence[np.ndarray]:
            nonlocal edited
            if (count + len(missing)) * pixels > TOGETHER:
                made = self.decode_latents(image_latents[missing])
            else:
                both = self.decode_latents(torch.cat([latents.to(image_latents), image_latents[missing]]))
                edited, made = both[:count], both[count:]
            return [row.copy() for row in made]

        decoded_copies = np.stack(self.copy_cache.of(keys, copies))
        return self.decode_latents(latents) if edited is None else edited, decoded_copies

    def _changed(self, model: UNetDenoiser, cache_interval: int, adaptive: float | None) -> Model:
        """The model with what makes it cheaper row by row."""
        if self.graph_runner.graphs:
            raise ValueError(
                "graphs=True replays the whole UNet in every row; it cannot go with "
                f"cache_interval={cache_interval}, adaptive={adaptive}"
            )
        if adaptive is None:
            return DeepCache(model, cache_interval)
        if cache_interval != 1:
            raise ValueError(
                f"expected cache_interval=1 beside adaptive={adaptive}, got {cache_interval}: leave out one of them"
            )
        return AdaptiveGuidance(model, adaptive)

    def _scale(self) -> float:
        return float(self.components.vae.config.scaling_factor)

    def _shift(self) -> float:
        config: Any = self.components.vae.config
        return float(getattr(config, "shift_factor", None) or 0.0)


__getattr__ = old_members(__name__, Editor=lambda: ComponentsBackend)


def _key(picture: np.ndarray) -> tuple[object, ...]:
    """What tells a picture from all others: its size and a digest of its bytes."""
    return picture.shape, hashlib.blake2b(np.ascontiguousarray(picture), digest_size=20).digest()


def _place(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a network lies and in what precision; diffusers' own .device walks all its parts, a millisecond each."""
    first = next(module.parameters())
    return first.device, first.dtype
