"""A pool of samples made and encoded ahead: latents of source and target, tokens of the words.

A shard is a pure function of (data config, code of the samples, autoencoder, tokenizer, shard number) and
is written once, so the autoencoder, which costs as much as the UNet, runs once a sample and not once a
step. The posterior's mode stands for the target latent: at this autoencoder's posterior deviation (a few
hundredths) a sample of it trains no differently.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..datasets.examples import make_example
from ..datasets.mixture import Mixture
from ..datasets.sources import SourceMixture, Sources, open_sources, told
from ..files import write_json
from ..tasks import TASKS
from .config import DataConfig
from .prefetch import prefetch

SHARD = 1024
_AT_ONCE = 4  # pictures encoded together: their activations fit a core's cache, 1.4 times as fast as 64
_STALE = 3600.0  # seconds after which a half-written shard is a killed run's, not another one's at work
_BROKEN = "broken"  # where a shard's file lists the records that could not be read
_FOR_SOURCES = ("datasets/augment.py", "datasets/sources.py", "datasets/views.py")  # scenes do without
TASK_NAMES = tuple(TASKS)


def shard_length(data: DataConfig) -> int:
    """Samples a shard: `SHARD`, or all of them where the pool is smaller."""
    return min(SHARD, data.pool)


@dataclass(frozen=True)
class PoolSource:
    """What a shard depends on: the data's settings, the folder that holds vae/ and tokenizer/, opened sources."""

    data: DataConfig
    components: str
    folder: str
    sources: Sources | None = None

    def mixture(self) -> Mixture | SourceMixture:
        """What samples are dealt out along."""
        if self.sources is None:
            return Mixture(self.data.mixture)
        return SourceMixture(self.data.mixture, self.sources, self.data.scenes_share)


def marked_caption(caption: str, instruction: Any) -> str:
    """A caption of the marked picture: the paper's first stage says in words what has been drawn."""
    if not instruction.colors:
        return caption
    colors = [c.name for c in instruction.colors]
    kind = {"keypoints": "circle", "align": "circle", "detect": "box"}.get(instruction.task, "mask")
    drawn = " and ".join(f"a {color} {kind}" for color in colors[:3])
    return f"{caption or 'a picture'}, with {drawn} drawn on it"


def tokenize(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token ids int64 [n, length], padded and cut to the tokenizer's length."""
    encoded = tokenizer(texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length)
    return torch.tensor(encoded.input_ids)


@torch.no_grad()
def make_shard(source: PoolSource, number: int) -> str:
    """Make shard `number` unless it exists; returns its path."""
    from .vae_stage import to_tensor

    path = Path(source.folder) / f"shard-{number:05d}.safetensors"
    if path.is_file():
        return str(path)
    vae, tokenizer = _components(source.components, source.data.encoding)
    mixture, size = source.mixture(), source.data.size
    # CLIP's vocabulary is too large for 16 bits.
    token = torch.int16 if len(tokenizer) <= 1 << 15 else torch.int32
    broken: list[tuple[str, str]] = []
    parts: dict[str, list[Any]] = {k: [] for k in ("source", "target", "text", "caption", "marked", "task")}
    length = shard_length(source.data)
    for start in range(0, length, 64):
        examples = []
        for index in range(number * length + start, number * length + min(start + 64, length)):
            drawn, seed = mixture.pick(source.data.seed, index)
            if isinstance(drawn, str):
                examples.append(make_example(drawn, seed, size=size, level=source.data.level_of(seed)))
            else:
                examples.append(drawn.example(seed, size, broken))
        for key in ("source", "target"):
            x = to_tensor(np.stack([getattr(e, key) for e in examples])).to(vae.dtype)
            for few in x.split(_AT_ONCE):
                parts[key].append(vae.encode(few).latent_dist.mode().half())
        parts["text"].append(tokenize(tokenizer, [e.instruction.text for e in examples]).to(token))
        parts["caption"].append(tokenize(tokenizer, [e.record.caption for e in examples]).to(token))
        words = [marked_caption(e.record.caption, e.instruction) for e in examples]
        parts["marked"].append(tokenize(tokenizer, words).to(token))
        parts["task"].append(
            torch.tensor([TASK_NAMES.index(e.instruction.task) for e in examples], dtype=torch.uint8)
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    said = {_BROKEN: json.dumps(broken)} if broken else None
    save_file({k: torch.cat(v).contiguous() for k, v in parts.items()}, temporary, said)
    os.replace(temporary, path)
    return str(path)


_CACHE: dict[tuple[str, str], tuple[Any, Any]] = {}


def _components(folder: str, encoding: str) -> tuple[Any, Any]:
    """The autoencoder, in the precision `encoding`, and tokenizer of a folder, loaded once a process."""
    key = folder, encoding
    if key not in _CACHE:
        from diffusers import AutoencoderKL
        from transformers import CLIPTokenizer

        dtype = getattr(torch, encoding)
        vae = AutoencoderKL.from_pretrained(Path(folder) / "vae", torch_dtype=dtype).eval()
        _CACHE.clear()
        _CACHE[key] = vae.requires_grad_(False), CLIPTokenizer.from_pretrained(Path(folder) / "tokenizer")
    return _CACHE[key]


@cache
def code_digest(sources: bool = False) -> str:
    """A digest of the code that samples are drawn and worded by; of the readers too where `sources` are read."""
    package = Path(__file__).resolve().parent.parent
    files = [package / "color.py", package / "paint.py"]
    for folder in ("datasets", "datasets/scenes", "tasks"):  # not the readers of others' data sets
        files += (package / folder).glob("*.py")
    own = {package / name for name in _FOR_SOURCES}
    files = [*files, *(package / "datasets" / "readers").glob("*.py")] if sources else [*{*files} - own]
    digest = hashlib.sha256()
    for path in sorted(files):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()


def pool_folder(root: Path, data: DataConfig, components: Path, sources: Sources | None = None) -> Path:
    """Where the shards of these settings live; other settings, sources, weights or code, another folder."""
    mixture = list(data.mixture.items())  # in order: samples are dealt out along it
    code = code_digest() if sources is None else code_digest(True)
    settings = [mixture, list(data.levels), data.size, data.seed, shard_length(data), code]
    if data.encoding != "float32":
        settings.append(data.encoding)
    if sources is not None:
        settings += [data.scenes_share, sources.key()]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name in ("vae/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json", "tokenizer/merges.txt"):
        digest.update((components / name).read_bytes())
    return root / f"pool-{digest.hexdigest()[:12]}"


class Pool:
    """Encoded samples in memory: half-precision latents [n, 4, h, w], tokens, task numbers.

    sources: the datasets that samples come from (None: scenes only). broken: (source, what is wrong) of each
    record that could not be read when its turn came; the next one was taken.
    """

    def __init__(self, root: Path, data: DataConfig, components: Path, quiet: bool = False) -> None:
        from tqdm import tqdm

        self.sources = open_sources(data.sources) if data.sources else None
        source = PoolSource(data, str(components), "", self.sources)
        mixture = source.mixture()
        shares = mixture.shares if isinstance(mixture, SourceMixture) else {}
        if self.sources and not quiet:
            for line in [*self.sources.notes, *(f"{100 * v:5.1f} % {k}" for k, v in shares.items())]:
                tqdm.write(line)
        folder = pool_folder(root, data, components, self.sources)
        source = replace(source, folder=str(folder))
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".shard-*"):
            with contextlib.suppress(FileNotFoundError):  # its own run may rename it at any moment
                if time.time() - stale.stat().st_mtime > _STALE:
                    stale.unlink()
        if data.pool < 1:
            raise ValueError(
                f"expected `data.pool` to be at least 1 sample, got {data.pool}: set it in the config"
            )
        count = -(-data.pool // shard_length(data))
        missing = [n for n in range(count) if not (folder / f"shard-{n:05d}.safetensors").is_file()]
        needed = len(missing) * shard_length(data) * _sample_bytes(data.size, components)
        if missing and shutil.disk_usage(folder).free < needed:
            raise OSError(
                f"expected {(needed >> 20) + 1} MiB free for the pool in {folder}: make room or lower data.pool"
            )
        made = prefetch(partial(_numbered, source, missing), range(len(missing)), data.workers)
        for _ in tqdm(made, total=len(missing), desc="samples (x1024)", disable=quiet):
            pass
        shards = [load_file(folder / f"shard-{n:05d}.safetensors") for n in range(count)]
        self.broken: list[tuple[str, str]] = []
        for n in range(count if self.sources else 0):
            with safe_open(folder / f"shard-{n:05d}.safetensors", "pt") as shard:
                self.broken += [(s, t) for s, t in json.loads((shard.metadata() or {}).get(_BROKEN, "[]"))]
        for line in [] if quiet else told(self.broken):
            tqdm.write(line)
        self.parts = {k: torch.cat([s[k] for s in shards])[: data.pool] for k in shards[0]}

    def keep_sources(self, output: Path) -> None:
        """Write down which sources a run draws from; ValueError where it goes on and they are not the same any more.

        Optional data sets come and go, and a resumed run must see the samples that it began with.
        """
        from .checkpoints import checkpoints

        if self.sources is None:
            return
        path, now = output / "sources.json", self.sources.key()
        if path.is_file() and checkpoints(output):
            before = json.loads(path.read_text(encoding="utf-8"))
            if before != now:
                gone = [" ".join(map(str, s[:3])) for s in before if s not in now]
                new = [" ".join(map(str, s[:3])) for s in now if s not in before]
                raise ValueError(
                    f"the run in {output} began with other data sets; gone or changed: {', '.join(gone) or 'none'}; "
                    f"new or changed: {', '.join(new) or 'none'}. Bring them back as they were, or start anew"
                )
        elif not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != now:
            output.mkdir(parents=True, exist_ok=True)
            write_json(path, now)

    def __len__(self) -> int:
        return len(self.parts["task"])

    def take(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The samples at `indices`: latents float32, tokens int64."""
        rows = torch.from_numpy(indices)
        out = {k: v[rows] for k, v in self.parts.items()}
        return {k: v.float() if k in ("source", "target") else v.long() for k, v in out.items()}


def _sample_bytes(size: int, components: Path) -> int:
    """About what a sample takes: two latents of 4 channels in half precision, and words."""
    config = json.loads((components / "vae" / "config.json").read_text())
    side = size // 2 ** (len(config["block_out_channels"]) - 1)
    return 16 * side * side + 4096


def _numbered(source: PoolSource, missing: list[int], position: int) -> str:
    return make_shard(source, missing[position])
