"""The training loop: one stage, from its config to exported weights; killed anywhere, it resumes exactly."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..utils.errors import UsageError
from ..utils.files import check_writable, write_png
from ..utils.locks import only_writer
from .checkpoints import (
    checkpoints,
    load_checkpoint,
    newest_whole,
    read_state,
    save_checkpoint,
    set_aside,
    untrained_digest,
)
from .config import TrainConfig, to_dict
from .ema import EMA
from .init import check_size
from .optim import learning_rate, make_optimizer
from .prefetch import MakerKilled, one_ahead, prefetch
from .resume import check_begun, check_launch, check_precision, check_resumed
from .skipped import skipped_records
from .stop import Stopped, StopRequest


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
    if stop_at is not None and stop_at < 1:
        raise UsageError(f"expected --stop-at to be at least 1, got {stop_at}")
    check_size(config)
    resumable = checkpoints(output)
    if resume and not resumable:
        raise FileNotFoundError(
            f"expected a checkpoint to resume from, there is none in {output}: leave out --resume"
        )
    if resumable and not resume:
        raise FileExistsError(
            f"{output} already holds checkpoints: pass --resume to go on, or name another output"
        )
    accelerator = Accelerator()
    check_launch(accelerator, config)
    lines = [] if quiet else check_precision(config, accelerator.device.type)
    newest = output
    if resume:
        newest, broken = newest_whole(output)
        lines += broken + check_resumed(read_state(newest)["config"], config, newest.name)
    if accelerator.is_main_process:
        for line in lines:
            tqdm.write(line)
    stage = build_stage(config)
    with contextlib.ExitStack() as held:
        if accelerator.is_main_process:
            check_writable(output)
            held.enter_context(only_writer(output, "training"))
            if resume:
                set_aside(output, newest)
        accelerator.wait_for_everyone()
        _run(config, stage, accelerator, newest if resume else None, stop_at, quiet)
    if skipped is not None and getattr(stage, "pooled", False) and accelerator.is_main_process:
        from .validation import broken_in_validation

        skipped += skipped_records(stage.pool)
        skipped += broken_in_validation(config)
    return output


def _run(
    config: TrainConfig, stage: Any, accelerator: Any, newest: Path | None, stop_at: int | None, quiet: bool
) -> None:
    """The steps from checkpoint `newest` on (None: from the first), and the export after the last."""
    from tqdm import tqdm

    output = Path(config.output)
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
    if newest is not None:
        state = load_checkpoint(newest, stage, ema, optimizer)
        start, seconds = state["step"], state["seconds"]
        for line in check_begun(state, begun, newest.name):
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
    signum = 0

    def save() -> None:
        if writer:
            spent = seconds + time.perf_counter() - began
            extra = {"seconds": spent, **begun, "config": to_dict(config)}
            save_checkpoint(output, step, stage, ema, optimizer, extra, config.keep_checkpoints)

    with StopRequest() as stop:
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
                signum = stop.heard(accelerator) if step < end else 0
                if step % config.checkpoint_every == 0 or step == end or signum:
                    save()
                if signum:
                    break
        except MakerKilled:
            save()  # what was trained is whole: the next batch alone is missing
            raise
        finally:
            with contextlib.suppress(OSError):  # of a terminal that was closed
                bar.close()
            batches.close()
            if writer:
                writer.close()
    if signum:
        accelerator.wait_for_everyone()  # a launcher ends all when one ends: not while the first one writes
        raise Stopped(signum, step)
    if step == config.steps and accelerator.is_main_process:
        with ema.applied(stage):
            stage.eval()
            stage.export(output / "model")


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
        self.silenced = False
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"))
        except ImportError:
            print("note: no TensorBoard, figures go into log.jsonl alone: pip install tensorboard adds it")

    def scalars(self, kind: str, step: int, figures: dict[str, float]) -> None:
        with self._going_on():
            rounded = {k: round(v, 6) for k, v in figures.items()}
            self.lines.write(json.dumps({"kind": kind, "step": step, **rounded}) + "\n")
            if self.board is not None:
                for name, value in figures.items():
                    self.board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, step: int, sheet: np.ndarray) -> None:
        with self._going_on():
            write_png(self.folder / "validation" / f"{step:08d}.png", sheet)
            if self.board is not None:
                self.board.add_image("validation", sheet, step, dataformats="HWC")

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Figures that a full disk does not take are no reason to end a run: its checkpoints are, and they say so."""
        try:
            yield
        except OSError as error:
            if not self.silenced:
                print(f"note: figures and pictures cannot be written to {self.folder}: {error}")
            self.silenced = True

    def close(self) -> None:
        with self._going_on():
            self.lines.close()
            if self.board is not None:
                self.board.close()
