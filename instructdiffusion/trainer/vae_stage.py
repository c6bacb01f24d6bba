"""Stage "vae": an autoencoder for pictures and for the marks drawn on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.architecture import build_vae
from ..models.norms import VAE_SOFTNESS, harden_norms, soften_norms
from ..utils.files import whole_folder
from .config import TrainConfig
from .init import start_folder
from .randomness import entropy, step_generator


def pictures(
    config: TrainConfig, step: int, count: int, stream: str = "pictures", split: str = "train"
) -> np.ndarray:
    """The `count` pictures of a step, uint8 [count, h, w, 3]: patches, and sources and targets of scenes."""
    from ..datasets.patches import patch

    data = config.data
    rng = np.random.Generator(np.random.PCG64(entropy(data.seed, step, stream)))
    mixture = None
    if data.patches < 1.0:
        from ..datasets.mixture import Mixture

        mixture = Mixture(data.mixture)
    out: list[np.ndarray] = []
    while len(out) < count:
        seed = int(rng.integers(2**40))
        if mixture is None or rng.random() < data.patches:
            out.append(patch(seed, data.size))
            continue
        from ..datasets.synthetic.examples import make_example

        task, scene = mixture.pick(data.seed, seed)
        example = make_example(task, scene, split=split, size=data.size, level=data.level_of(scene))
        out.extend((example.target, example.source)[: count - len(out)])
    return np.stack(out)


class VaeStage(nn.Module):
    """Mean squared error of the reconstruction, plus a small KL term that keeps the latents bounded.

    PSNR is what bounds every answer read from a decoded picture, so the loss is the squared error itself.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.rank, self.world = 0, 1
        if config.init:
            from diffusers import AutoencoderKL

            folder = start_folder(config)
            self.vae = AutoencoderKL.from_pretrained(folder / "vae" if (folder / "vae").is_dir() else folder)
            soften_norms(self.vae, VAE_SOFTNESS)
            if config.model.vae_decoder_only:
                self.vae.encoder.requires_grad_(False)
                self.vae.quant_conv.requires_grad_(False)
        elif config.model.vae_decoder_only:
            raise ValueError(
                "`model.vae_decoder_only` keeps a trained encoder: set `init` to its model folder"
            )
        else:
            self.vae = build_vae(config.model.vae_channels, config.model.vae_layers)

    def maker(self) -> Any:
        """A picklable function step -> batch."""
        return partial(_batch, self.config, self.rank, self.world)

    def prepare_data(self, accelerator: Any, began: Mapping[str, Any] | None = None) -> None:
        """Learn which share of a step's pictures is this process's."""
        self.rank, self.world = accelerator.process_index, accelerator.num_processes

    def forward(self, batch: np.ndarray, step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss and figures for uint8 pictures [n, h, w, 3]."""
        x = to_tensor(batch, self.vae.device)
        posterior = self.vae.encode(x).latent_dist
        if self.config.model.vae_decoder_only:
            z = posterior.mode()  # what is decoded later; a noisy latent only bounds an encoder that learns
        else:
            z = posterior.sample(step_generator(self.config.seed, step, _stream("posterior", self.rank)))
        error = torch.mean((self.vae.decode(z).sample - x) ** 2)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        psnr = -10 * torch.log10(error.detach() / 4)
        return error + self.config.loss.kl * kl, {"psnr": float(psnr), "kl": float(kl.detach())}

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], np.ndarray]:
        """PSNR through the mode of the posterior on fixed pictures, and a sheet of them (above: original)."""
        batch = pictures(self.config, 0, self.config.validate_samples, "validation", "val")
        x = to_tensor(batch, self.vae.device)
        z = self.vae.encode(x).latent_dist.mode()
        out = self.vae.decode(z).sample.clamp(-1, 1)
        errors = torch.mean((out - x) ** 2, dim=(1, 2, 3)) / 4
        figures = {
            "psnr": float((-10 * torch.log10(errors)).mean()),
            "psnr_pooled": float(-10 * torch.log10(errors.mean())),
            "latent_std": float(z.std()),
        }
        sheet = np.concatenate([batch[:8], to_pictures(out[:8])], axis=1)
        return figures, np.concatenate(list(sheet), axis=1)

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write the autoencoder in diffusers' layout, with the measured scaling factor 1 / std(latent)."""
        x = to_tensor(pictures(self.config, 1, 512, "validation")).to(self.vae.device)
        if not self.config.model.vae_decoder_only:  # the UNet's latents keep the scale they were learned at
            z = torch.cat([self.vae.encode(part).latent_dist.mode() for part in x.split(64)])
            self.vae.register_to_config(scaling_factor=round(1.0 / float(z.std()), 5))
        harden_norms(self.vae, VAE_SOFTNESS)
        with whole_folder(folder / "vae") as temporary:
            self.vae.save_pretrained(temporary)


def _batch(config: TrainConfig, rank: int, world: int, step: int) -> np.ndarray:
    """This process's share of a step's pictures; the shares are different pictures, `batch_size` together."""
    share = len(range(rank, config.batch_size, world))
    return pictures(config, step, share, _stream("pictures", rank))


def _stream(name: str, rank: int) -> str:
    return f"{name} {rank}" if rank else name


def to_tensor(batch: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 [n, h, w, 3] -> float32 [n, 3, h, w] in -1..1, on `device`."""
    x = torch.from_numpy(np.ascontiguousarray(batch)).to(device)
    return x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def to_pictures(x: Tensor) -> np.ndarray:
    """float [n, 3, h, w] in -1..1 -> uint8 [n, h, w, 3]."""
    return x.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
