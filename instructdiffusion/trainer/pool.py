"""A pool of samples made and encoded ahead: latents of source and target, tokens of the words.

A shard is a pure function of (data config, version of the samples, autoencoder, tokenizer, shard number) and
is written once, so the autoencoder, which costs as much as the UNet, runs once a sample and not once a
step. The posterior's mode stands for the target latent: at this autoencoder's posterior deviation (a few
hundredths) a sample of it trains no differently.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..datasets.mixture import Mixture
from ..datasets.readers import BrokenRecord, Problem
from ..datasets.records import Example
from ..datasets.sources import SourceMixture, Sources, open_sources, told
from ..datasets.synthetic.examples import closer, make_example
from ..tasks import TASKS
from ..tasks.wordings import reworded
from ..utils.files import write_json
from .config import DataConfig
from .pool_folder import check_began, pool_folder, shard_length
from .prefetch import prefetch

_AT_ONCE = 4  # pictures encoded together: their activations fit a core's cache, 1.4 times as fast as 64
_AT_ONCE_ON_DEVICE = 512
_STALE = 3600.0  # seconds after which a half-written shard is a killed run's, not another one's at work
_BROKEN = "broken"  # where a shard's file lists the records that could not be read
TASK_NAMES = tuple(TASKS)


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
    mark = TASKS[instruction.task].mark
    marks = " and ".join(f"a {color} {mark}" for color in colors[:3])
    return f"{caption or 'a picture'}, with {marks} drawn on it"


def tokenize(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token ids int64 [n, length], padded and cut to the tokenizer's length."""
    encoded = tokenizer(texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length)
    return torch.tensor(encoded.input_ids)


def make_shard(source: PoolSource, number: int) -> str:
    """Make shard `number` unless it exists; returns its path."""
    path = _path(source, number)
    if not path.is_file():
        vae, _ = _components(source.components, source.data.encoding)
        _write(path, *_encoded(vae, *draw_shard(source, number)))
    return str(path)


def draw_shard(source: PoolSource, number: int) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """Shard `number` before it is encoded: source and target uint8 [n, h, w, 3], tokens, tasks; what was broken."""
    _, tokenizer = _components(source.components, source.data.encoding)
    mixture, size = source.mixture(), source.data.size
    # CLIP's vocabulary is too large for 16 bits.
    token = np.int16 if len(tokenizer) <= 1 << 15 else np.int32
    broken: list[tuple[str, str]] = []
    length = shard_length(source.data)
    examples, others = [], []
    for index in range(number * length, (number + 1) * length):
        source_or_task, seed = mixture.pick(source.data.seed, index)
        if isinstance(source_or_task, str):
            level, absent = source.data.level_of(seed), source.data.lacks(source_or_task, seed)
            example = make_example(source_or_task, seed, size=size, level=level, absent=absent)
            examples.append(closer(example, seed) if source.data.zooms(source_or_task, seed) else example)
        else:
            examples.append(source_or_task.example(seed, size, broken))
    words = {
        "text": [e.instruction.text for e in examples],
        "caption": [e.record.caption for e in examples],
        "marked": [marked_caption(e.record.caption, e.instruction) for e in examples],
    }
    parts = {key: np.stack([getattr(e, key) for e in examples]) for key in ("source", "target")}
    parts |= {key: tokenize(tokenizer, texts).numpy().astype(token) for key, texts in words.items()}
    for n in range(1, source.data.wordings):
        texts = [
            _reworded(e, tokenizer, f"{source.data.seed} {number} {k} {n}") for k, e in enumerate(examples)
        ]
        others.append(tokenize(tokenizer, texts).numpy().astype(token))
    if others:
        parts["others"] = np.stack(others, axis=1)
    parts["task"] = np.array([TASK_NAMES.index(e.instruction.task) for e in examples], np.uint8)
    return parts, broken


def _reworded(example: Example, tokenizer: Any, seed: str) -> str:
    """The example's instruction in other words; as it is, where those are more than the model reads."""
    instruction = example.instruction
    text = reworded(TASKS[instruction.task], instruction, random.Random(f"words {seed}"))
    fits = len(tokenizer(text, verbose=False).input_ids) <= tokenizer.model_max_length
    return text if fits else instruction.text


@torch.no_grad()
def _encoded(
    vae: Any, parts: dict[str, np.ndarray], broken: list[tuple[str, str]]
) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """A drawn shard with latents in the place of its pictures."""
    from .vae_stage import to_tensor

    out = {key: torch.from_numpy(value) for key, value in parts.items()}
    few = _AT_ONCE if vae.device.type == "cpu" else _AT_ONCE_ON_DEVICE
    for key in ("source", "target"):
        latents = []
        for start in range(0, len(parts[key]), few):
            x = to_tensor(parts[key][start : start + few], vae.device).to(vae.dtype)
            latents.append(vae.encode(x).latent_dist.mode().half())
        out[key] = torch.cat(latents).cpu()
    return out, broken


def _write(path: Path, parts: dict[str, Tensor], broken: list[tuple[str, str]]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    said = {_BROKEN: json.dumps(broken)} if broken else None
    save_file({k: v.contiguous() for k, v in parts.items()}, temporary, said)
    os.replace(temporary, path)


def _path(source: PoolSource, number: int) -> Path:
    return Path(source.folder) / f"shard-{number:05d}.safetensors"


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


class Pool:
    """Encoded samples in memory: half-precision latents [n, 4, h, w], tokens [n, length], those of other words for the
    same [n, wordings - 1, length] (`others`, where there are some), task numbers.

    sources: the datasets that samples come from (None: scenes only). broken: (source, what is wrong) of each
    record that could not be read when its turn came; the next one was taken.
    device: where the samples are encoded and kept; on a CPU the workers encode, else this process does.
    run: the output folder of the run they are for (`keep_sources`). began: what a resumed run's checkpoint says
    of its pool (`check_began`).
    """

    def __init__(
        self,
        root: Path,
        data: DataConfig,
        components: Path,
        quiet: bool = False,
        device: torch.device | str = "cpu",
        run: Path | None = None,
        began: Mapping[str, Any] | None = None,
    ) -> None:
        from tqdm import tqdm

        device = torch.device(device)

        self.sources = open_sources(data.sources, data.on_broken) if data.sources else None
        source = PoolSource(data, str(components), "", self.sources)
        mixture = source.mixture()
        shares = mixture.shares if isinstance(mixture, SourceMixture) else {}
        if self.sources and not quiet:
            for line in [*self.sources.notes, *(f"{100 * v:5.1f} % {k}" for k, v in shares.items())]:
                tqdm.write(line)
        if run is not None:
            self.keep_sources(run)
        check_began(began or {}, data, components, self.sources)
        folder = pool_folder(root, data, components, self.sources, device.type)
        self.name = folder.name
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
        for _ in tqdm(self._made(source, missing, device), "samples (x1024)", len(missing), disable=quiet):
            pass
        shards = [load_file(folder / f"shard-{n:05d}.safetensors") for n in range(count)]
        self.broken: list[tuple[str, str]] = []
        for n in range(count if self.sources else 0):
            with safe_open(folder / f"shard-{n:05d}.safetensors", "pt") as shard:
                self.broken += [(s, t) for s, t in json.loads((shard.metadata() or {}).get(_BROKEN, "[]"))]
        if self.broken and data.on_broken == "raise":  # in shards that were made while they were skipped
            label, text = self.broken[0]
            raise BrokenRecord(Problem(label, "", text))
        for line in [] if quiet else told(self.broken):
            tqdm.write(line)
        self.parts = {k: torch.cat([s[k] for s in shards])[: data.pool] for k in shards[0]}
        self.device = device
        if device.type != "cpu":  # what is asked for by rows is asked on the CPU
            self.parts = {k: v if k == "task" else v.to(device) for k, v in self.parts.items()}

    @staticmethod
    def _made(source: PoolSource, missing: list[int], device: torch.device) -> Iterator[None]:
        """Make the missing shards, one an item."""
        numbers, workers = range(len(missing)), source.data.workers
        if not missing:
            return
        if device.type == "cpu":
            for _ in prefetch(partial(_numbered, make_shard, source, missing), numbers, workers):
                yield
            return
        vae, _ = _components(source.components, source.data.encoding)
        vae.to(device)
        shards = prefetch(partial(_numbered, draw_shard, source, missing), numbers, workers)
        for number, (parts, broken) in zip(missing, shards, strict=True):
            _write(_path(source, number), *_encoded(vae, parts, broken))
            yield
        vae.cpu()

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
        there = rows.to(self.device)
        out = {k: v[rows if k == "task" else there] for k, v in self.parts.items()}
        return {k: v.float() if k in ("source", "target") else v.long() for k, v in out.items()}


def _sample_bytes(size: int, components: Path) -> int:
    """About what a sample takes: two latents of 4 channels in half precision, and words."""
    config = json.loads((components / "vae" / "config.json").read_text(encoding="utf-8"))
    side = size // 2 ** (len(config["block_out_channels"]) - 1)
    return int(16 * side * side + 4096)


def _numbered(make: Callable[..., Any], source: PoolSource, missing: list[int], position: int) -> Any:
    return make(source, missing[position])
