"""What a run looks like while it trains: answers to held-out scenes, scored, and pictures of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.records import Example
from ..datasets.sources import Source, held_out
from ..datasets.synthetic.examples import make_example
from ..evaluation.metrics import match_boxes
from ..inference.components_backend import ComponentsBackend
from ..models.components import Components
from ..results import Boxes, Keypoints, Label, Masks
from ..sampling import Schedule, SeededNoise, initial_noise, make_plan
from ..sampling.guidance import cfg, none
from ..tasks import get_task
from .config import TrainConfig
from .pool import marked_caption, tokenize
from .vae_stage import to_pictures


@lru_cache(maxsize=2)
def held_out_examples(tasks: tuple[str, ...], count: int, size: int, level: int) -> tuple[Example, ...]:
    """The first `count` validation scenes of each task."""
    return tuple(
        make_example(t, seed, split="val", size=size, level=level) for t in tasks for seed in range(count)
    )


@lru_cache(maxsize=2)
def held_out_records(
    sources: tuple[Source, ...], count: int, size: int, on_broken: str = "skip"
) -> tuple[dict[str, tuple[Example, ...]], tuple[tuple[str, str], ...]]:
    """(the first `count` draws of each source's held-out split, (source, what is wrong) of its broken records).

    Sources without such a split on disk are named once, as are broken records.
    """
    from tqdm import tqdm

    broken: list[tuple[str, str]] = []
    examples, notes = held_out(sources, count, size, on_broken, broken)
    for line in notes:
        tqdm.write(line)
    return examples, tuple(broken)


def broken_in_validation(config: TrainConfig) -> tuple[tuple[str, str], ...]:
    """(source, what is wrong) of the records that validation goes without; none in stages that do not ask."""
    data = config.data
    if config.stage in ("generator", "marks") or not data.sources:
        return ()
    return held_out_records(data.sources, config.validate_samples, data.size, data.on_broken)[1]


def score_answers(parts: tuple[Any, ...], config: TrainConfig) -> tuple[dict[str, float], np.ndarray]:
    """One-evaluation answers to `validate_samples` scenes a task, and records a source: figures, and a sheet.

    Masks: IoU summed over scenes (cIoU); points: share found within 3 % of the side; boxes: share of scenes
    whose boxes all match at IoU .5; classes: accuracy; pictures: PSNR to the target.
    """
    unet, text_encoder, tokenizer, vae, alphas = parts
    data, count = config.data, config.validate_samples
    groups = {t: held_out_examples((t,), count, data.size, max(data.levels)) for t in data.mixture}
    groups |= held_out_records(data.sources, count, data.size, data.on_broken)[0]
    prediction_type, size, where = config.loss.prediction, config.data.size, Path(config.output)
    components = Components(unet, vae, text_encoder, tokenizer, alphas.numpy(), prediction_type, size, where)
    backend = ComponentsBackend(components)
    # Instructions of data sets may be longer than the model reads; asked for an answer, it refuses them.
    readable = {name: tuple(e for e in part if _is_read(backend, e)) for name, part in groups.items()}
    groups = {name: part for name, part in readable.items() if part}
    examples = [e for part in groups.values() for e in part]
    if not examples:  # the sources have no held-out split on disk
        return {}, np.zeros((data.size, data.size, 3), np.uint8)
    schedule = Schedule(components.alphas_cumprod)
    plan = make_plan(schedule.sigmas("trailing", 1), "euler", none(), schedule)
    edited, plain = [], []
    for start in range(0, len(examples), 64):
        group = examples[start : start + 64]
        sources = np.stack([e.source for e in group])
        seeds = list(range(start, start + len(group)))
        noise = initial_noise(seeds, backend.latent_shape(sources.shape[1:3]))
        images, rebuilt = backend.generate(
            sources, [e.instruction.text for e in group], plan, noise, SeededNoise(seeds)
        )
        assert rebuilt is not None
        edited.extend(images)
        plain.extend(rebuilt)
    figures: dict[str, float] = {}
    cells, first = [], 0
    for name, part in groups.items():
        rows, task = range(first, first + len(part)), get_task(part[0].instruction.task)
        first += len(part)
        # Masks are read along the picture's own edges, as users see them.
        answers = [
            task.decode(plain[i], edited[i], examples[i].instruction, **task.decode_options(guide=examples[i].source))
            for i in rows
        ]
        figures[name] = _score([examples[i] for i in rows], answers, [edited[i] for i in rows])
        for i in rows[:3]:
            images = np.rint(edited[i] * 255).astype(np.uint8)
            cells.append(np.concatenate([examples[i].source, images, examples[i].target]))
    return figures, np.concatenate(cells, axis=1)


def _is_read(backend: ComponentsBackend, example: Example) -> bool:
    try:
        backend.check_text(example.instruction.text)
    except ValueError:
        return False
    return True


def _score(examples: list[Example], answers: list[Any], edited: list[np.ndarray]) -> float:
    truths = [e.record.target for e in examples]
    if isinstance(truths[0], Masks):
        h, w = examples[0].source.shape[:2]
        pairs = [(_union(t, h, w), _union(a, h, w)) for t, a in zip(truths, answers, strict=True)]
        iou: float = sum((t & a).sum() for t, a in pairs) / max(1, sum((t | a).sum() for t, a in pairs))
        return iou
    if isinstance(truths[0], Keypoints):
        hits = total = 0
        for truth, answer in zip(truths, answers, strict=True):
            if not len(truth):
                continue
            total += int(truth.visible[0].sum())
            if len(answer):
                near = np.hypot(*(answer.xy[0] - truth.xy[0]).T) <= 0.03 * len(examples[0].source)
                hits += int((near & answer.visible[0] & truth.visible[0]).sum())
        return hits / max(1, total)
    if isinstance(truths[0], Boxes):
        return float(np.mean([_boxes_match(t, a) for t, a in zip(truths, answers, strict=True)]))
    if isinstance(truths[0], tuple) and isinstance(truths[0][0], Label):
        return float(np.mean([t[0].name == a.name for t, a in zip(truths, answers, strict=True)]))
    errors = [np.mean((e.target / 255 - out) ** 2) for e, out in zip(examples, edited, strict=True)]
    return float(np.mean(-10 * np.log10(np.maximum(errors, 1e-10))))


def _union(masks: Masks, h: int, w: int) -> np.ndarray:
    return masks.union() if len(masks) else np.zeros((h, w), bool)


def _boxes_match(truth: Boxes, answer: Boxes) -> bool:
    hits = match_boxes(answer.xyxy, answer.scores, truth.xyxy, 0.5)
    return len(truth) == len(answer) and bool(hits.all())


def sample_pictures(parts: tuple[Any, ...], config: TrainConfig) -> np.ndarray:
    """A row of pictures generated from validation captions: 20 steps, guidance 3."""
    from ..sampling import sample

    unet, text_encoder, tokenizer, vae, alphas = parts
    scenes = tuple(config.data.mixture) or tuple(config.data.tasks)  # of sources there are no captions
    examples = held_out_examples(scenes, 1, config.data.size, max(config.data.levels))[:8]
    captions = [
        e.record.caption if config.stage == "generator" else marked_caption(e.record.caption, e.instruction)
        for e in examples
    ]
    states = text_encoder(tokenize(tokenizer, captions).to(unet.device)).last_hidden_state
    null = text_encoder(tokenize(tokenizer, [""]).to(unet.device)).last_hidden_state
    schedule = Schedule(alphas.numpy())
    plan = make_plan(schedule.sigmas("trailing", 20), "dpmpp_2m", cfg(3.0), schedule)
    seeds = list(range(len(examples)))
    side = config.data.size // 2 ** (len(vae.config.block_out_channels) - 1)
    start = initial_noise(seeds, (4, side, side)).to(unet.device) * plan.sigma_start
    latents = sample(
        _TextToImage(unet, states, null, config.loss.prediction), start, plan, SeededNoise(seeds)
    )
    return np.concatenate(
        list(to_pictures(vae.decode((latents / vae.config.scaling_factor).to(vae.device)).sample)), axis=1
    )


class _TextToImage:
    """A 4-channel UNet under the branches of classifier-free guidance: "full" has the text, the other none."""

    def __init__(self, unet: Any, states: torch.Tensor, null: torch.Tensor, prediction_type: str) -> None:
        self.unet, self.prediction_type = unet, prediction_type
        self.states = {"full": states, "unconditional": null.expand_as(states)}

    def predict(self, x_scaled: torch.Tensor, row: Any, branches: tuple[str, ...]) -> torch.Tensor:
        states = torch.cat([self.states[b] for b in branches])
        x = x_scaled.repeat(len(branches), 1, 1, 1)
        out = self.unet(
            x, torch.full((len(x),), row.t, device=x.device), encoder_hidden_states=states, return_dict=False
        )[0]
        predictions: torch.Tensor = out.unflatten(0, (len(branches), -1))
        return predictions
