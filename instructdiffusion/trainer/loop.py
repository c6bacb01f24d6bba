"""The training loop: one stage, from its config to exported weights; killed anywhere, it resumes exactly."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models.optimization import slow_at_bfloat16
from ..utils.files import write_png
from .checkpoints import checkpoints, load_checkpoint, read_state, save_checkpoint, untrained_digest
from .config import TrainConfig, to_dict
from .ema import EMA
from .optim import learning_rate, make_optimizer
from .prefetch import one_ahead, prefetch
from .skipped import skipped_records


def build_stage(config: TrainConfig) -> Any:
    """The module of the stage a config names; its new weights are drawn from the config's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.stage == "vae":
            from .vae_stage import VaeStage

            return VaeStage(config)
        if config.stage == "distill":
            from .distill_stage import DistillStage

            return DistillStage(config)
        from .diffusion_stage import DiffusionStage

        return DiffusionStage(config)


# What a resumed run may have changed: where things lie and how often it looks; the samples it sees, the
# loss and the optimiser must be the checkpoint's. Steps and decay are the schedule, which may be cut short.
_FREE = frozenset(
    "output init keep_checkpoints checkpoint_every validate_every validate_samples data.workers "
    "data.on_broken".split()
)
_SCHEDULE = frozenset({"steps", "decay_fraction"})


def check_resumed(saved: dict[str, Any], config: TrainConfig, name: str) -> list[str]:
    """Lines to tell about a schedule other than that of checkpoint `name`, whose config `saved` is.

    ValueError names the first field that must not differ and does. A field the checkpoint does not know,
    because it is older, is not compared.
    """
    before, now = _flat(saved), _flat(json.loads(json.dumps(to_dict(config))))
    differences = []
    for field in now:
        if field in _FREE or field not in before or before[field] == now[field]:
            continue
        if field not in _SCHEDULE:
            raise ValueError(
                f"{name} is of {field} {before[field]!r}, the config says {now[field]!r}: resume with the "
                "checkpoint's value, or start anew in another output"
            )
        differences.append(f"note: `{field}` was {before[field]} in {name}, and is {now[field]} from here on")
    return differences


def check_begun(saved: dict[str, Any], now: dict[str, Any], name: str) -> list[str]:
    """A line where checkpoint `name` (its state `saved`) is of another `device` or number of `processes` than `now`.

    It may go on there, but not to the last bit: devices round otherwise, and each process draws noise of its own.
    ValueError where the weights that it does not hold (`untrained`) are others. What an older checkpoint does not
    say is not compared.
    """
    if saved.get("untrained", now["untrained"]) != now["untrained"]:
        raise ValueError(
            f"{name} was trained beside other weights than `init` holds now (of the autoencoder or a teacher, which "
            "checkpoints leave out): set `init` to the model that the run began with, or start anew in another output"
        )
    differ = [k for k in ("device", "processes") if saved.get(k, now[k]) != now[k]]
    return [
        f"note: `{key}` was {saved[key]} in {name}, and is {now[key]} from here on: the weights will not be those of "
        "an unbroken run to the last bit"
        for key in differ
    ]


def check_precision(config: TrainConfig, device: str) -> list[str]:
    """A line where bfloat16 is asked of a CPU that is slow at it."""
    halved = [
        f"--set {name}=float32"
        for name, value in (("precision", config.precision), ("data.encoding", config.data.encoding))
        if value == "bfloat16"
    ]
    if not halved or device != "cpu" or not slow_at_bfloat16():
        return []
    return [
        f"note: this CPU has no instructions for bfloat16 and is tens of times slower at it: {' '.join(halved)}"
    ]


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """Nested fields by dotted names; a mixture keeps its order, in which samples are dealt out."""
    out: dict[str, Any] = {}
    for name, value in config.items():
        if name in ("model", "data", "loss", "distill"):
            out |= {f"{name}.{key}": v for key, v in value.items()}
        else:
            out[name] = value
    if isinstance(out.get("data.mixture"), dict):
        out["data.mixture"] = list(out["data.mixture"].items())
    return out


def train(
    config: TrainConfig,
    resume: bool = False,
    stop_at: int | None = None,
    quiet: bool = False,
    skipped: list[tuple[str, str]] | None = None,
) -> Path:
    """Run a stage to its last step and export its weights; returns the output folder.

    resume: continue from the newest checkpoint in `config.output` (an error if there is none, if the config
    differs from the checkpoint's in more than places, intervals and the schedule, or if the pool would hold other
    samples or `init` other weights).
    stop_at: end early after that many steps with a checkpoint, exporting nothing (for tests and for
    machines that are only lent for a while).
    skipped: (source, what is wrong) of each record that the run went without is added to it, in the main process
    alone: another one's end must not hang on it, while the main one may still be writing.
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    output = Path(config.output)
    resumable = checkpoints(output)
    if resume and not resumable:
        raise FileNotFoundError(
            f"expected a checkpoint to resume from, there is none in {output}: leave out --resume"
        )
    if resumable and not resume:
        raise FileExistsError(
            f"{output} already holds checkpoints: pass --resume to go on, or name another output"
        )
    if resume:
        for line in check_resumed(read_state(resumable[-1])["config"], config, resumable[-1].name):
            tqdm.write(line)
    accelerator = Accelerator()
    if config.batch_size < accelerator.num_processes:
        raise ValueError(
            f"expected `batch_size` to be at least the number of processes, {accelerator.num_processes}, "
            f"got {config.batch_size}"
        )
    if accelerator.is_main_process and not quiet:
        for line in check_precision(config, accelerator.device.type):
            tqdm.write(line)
    stage = build_stage(config)
    model = accelerator.prepare(stage)  # on its device before the optimiser and the averages take hold of it
    optimizer = make_optimizer(config.optimizer, stage, config.learning_rate, config.weight_decay)
    ema = EMA(stage, config.ema_decay)
    start, seconds = 0, 0.0
    state: dict[str, Any] = {}
    begun: dict[str, Any] = {
        "device": accelerator.device.type,
        "processes": accelerator.num_processes,
        "untrained": untrained_digest(stage, getattr(stage, "frozen", {})),
    }
    if resume:
        state = load_checkpoint(resumable[-1], stage, ema, optimizer)
        start, seconds = state["step"], state["seconds"]
        for line in check_begun(state, begun, resumable[-1].name):
            if accelerator.is_main_process:
                tqdm.write(line)
    optimizer = accelerator.prepare(optimizer)
    stage.prepare_data(accelerator, state)
    if pooled := getattr(stage, "pooled", False):
        begun["pool"] = stage.pool.name
    end = min(config.steps, config.steps if stop_at is None else stop_at)
    writer = _Log(output) if accelerator.is_main_process else None
    if pooled and accelerator.device.type != "cpu":
        batches = one_ahead(stage.maker(), range(start, end))
    else:
        batches = prefetch(stage.maker(), range(start, end), 0 if pooled else config.data.workers)
    silent = quiet or not accelerator.is_main_process
    bar = tqdm(batches, initial=start, total=config.steps, disable=silent, smoothing=0.05)
    began = time.perf_counter()
    step = start
    try:
        for batch in bar:
            rate = learning_rate(
                config.learning_rate, step, config.steps, config.warmup, config.decay_fraction
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss, figures = model(batch, step)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} at step {step}: lower `learning_rate` or set `gradient_clip`"
                )
            accelerator.backward(loss)
            if config.gradient_clip:
                accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.update(stage)
            step += 1
            figures["loss"] = float(loss.detach())
            bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)
            if writer and step % 20 == 0:
                writer.scalars("train", step, figures | {"lr": rate})
            if writer and (step % config.validate_every == 0 or step == config.steps):
                _validate(stage, ema, writer, step, seconds + time.perf_counter() - began)
            if writer and (step % config.checkpoint_every == 0 or step == end):
                spent = seconds + time.perf_counter() - began
                extra = {"seconds": spent, **begun, "config": to_dict(config)}
                save_checkpoint(output, step, stage, ema, optimizer, extra, config.keep_checkpoints)
    finally:
        bar.close()
        batches.close()
        if writer:
            writer.close()
    if step == config.steps and accelerator.is_main_process:
        with ema.applied(stage):
            stage.eval()
            stage.export(output / "model")
    if skipped is not None and pooled and accelerator.is_main_process:
        from .validation import broken_in_validation

        skipped += skipped_records(stage.pool)
        skipped += broken_in_validation(config)
    return output


def _validate(stage: Any, ema: EMA, writer: _Log, step: int, seconds: float) -> None:
    with ema.applied(stage):
        stage.eval()
        figures, sheet = stage.validate()
        stage.train()
    writer.scalars("validation", step, figures | {"hours": seconds / 3600})
    writer.picture(step, sheet)


class _Log:
    """TensorBoard where it is installed, and always one line of JSON an entry in log.jsonl."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lines = (folder / "log.jsonl").open("a", buffering=1, encoding="utf-8")
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"))
        except ImportError:
            print("note: no TensorBoard, figures go into log.jsonl alone: pip install tensorboard adds it")

    def scalars(self, kind: str, step: int, figures: dict[str, float]) -> None:
        rounded = {k: round(v, 6) for k, v in figures.items()}
        self.lines.write(json.dumps({"kind": kind, "step": step, **rounded}) + "\n")
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, step: int, sheet: np.ndarray) -> None:
        write_png(self.folder / "validation" / f"{step:08d}.png", sheet)
        if self.board is not None:
            self.board.add_image("validation", sheet, step, dataformats="HWC")

    def close(self) -> None:
        self.lines.close()
        if self.board is not None:
            self.board.close()
