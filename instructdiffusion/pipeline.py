"""InstructDiffusion: an instruction and a picture in; masks, keypoints, boxes, a label or a picture out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .imaging.images import load_pictures
from .imaging.resize import large_resolution, model_size
from .inference.answer import Answer
from .inference.backend import Editor
from .inference.inputs import (
    as_instruction,
    as_instructions,
    as_seeds,
    as_starts,
    as_steps,
    check_options,
    given_resize_mode,
    paired,
    split_noise,
)
from .inference.memory import fitting_batch
from .inference.options import RunOptions as RunOptions
from .inference.runner import Job, Question, decode_options, get_ready
from .inference.task_methods import TaskMethods
from .knowledge import read_knowledge
from .sampling import Guidance, OnStep, Plan, Schedule, check_seeds, make_plan
from .settings import Settings, read_settings
from .tasks import Instruction, get_task
from .utils.devices import best_device as best_device
from .utils.devices import checked_device

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .inference.task_methods import Answers
    from .models.loading import Components


class InstructDiffusion(TaskMethods):
    """A model that follows instructions on pictures.

        model = InstructDiffusion.from_pretrained("tiny")
        answer = model.segment("photo.png", "the red star")
        answer.result      # Masks at the photo's own size
        answer.save("out", "photo")

    A picture is a path, PIL image, array or tensor (`imaging.images.load_picture`); a list of them, of any sizes,
    gives a list of answers in the same order.
    """

    def __init__(
        self,
        components: Components,
        settings: Mapping[str, Settings] | None = None,
        *,
        graphs: bool | None = None,
        compiled: bool | None = None,
    ) -> None:
        self.components = components
        self.editor = Editor(components, graphs=graphs, compiled=compiled)
        self.editor.compiling.check(components)
        self.schedule = Schedule(components.alphas_cumprod)
        if settings is None:  # published checkpoints are known by how pictures come to their size
            settings = read_settings(components.path, published=components.resize_mode == "authors")
        self.settings = dict(settings)
        self.knowledge = read_knowledge(components.path)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] = "tiny",
        *,
        device: str | None = None,
        dtype: Any = None,
        graphs: bool | None = None,
        compiled: bool | None = None,
    ) -> InstructDiffusion:
        """Load a model: "tiny" (which ships), a folder in diffusers' layout, a checkpoint file, or a hub id owner/name.

        A folder that is itself called "tiny" is written with a slash ("./tiny"), or given as a Path. instruct-pix2pix's
        single file looks like the authors': its calls need formula="instructpix2pix", guidance=(7.5, 1.5).
        device: None takes a CUDA device where there is one, else Apple's (mps), else the CPU. dtype: a torch dtype,
        None for float32. graphs: whether UNet and step are replayed as CUDA graphs: None where they can and pay, else
        True or False; calls raise RuntimeError where True cannot be, and `editor.replaying.reason` says why a call was
        not replayed. compiled: whether UNet and autoencoder are compiled, which takes a minute or so for every size and
        pays for many pictures: None off unless it pays (`models.compiling.Compiling`), else True, RuntimeError where
        that cannot be, or False; `editor.compiling.reason` says why a call ran as it is. ValueError for a device that
        is not there, TypeError for a dtype that is none, and what `models.loading.load_components` raises for missing,
        truncated or unfitting weights.
        """
        import torch

        from .models.loading import load_components

        device = checked_device(device)
        if dtype is None:
            dtype = torch.float32
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise TypeError(
                f"expected a floating-point torch dtype, as torch.float16, got {dtype!r}: None for float32"
            )
        name = name_or_path if isinstance(name_or_path, str) else Path(name_or_path)
        return cls(load_components(name, dtype=dtype, device=device), graphs=graphs, compiled=compiled)

    def run(
        self,
        instruction: str | Instruction | Sequence[str | Instruction],
        image: Any,
        *,
        task: str | None = None,
        steps: int | None = None,
        solver: str | None = None,
        schedule: str | None = None,
        guidance: tuple[float, float] | str | Guidance | None = None,
        noise: str | np.ndarray | Mapping[str, Any] | None = None,
        seed: int | Sequence[int] = 0,
        resolution: int | None = None,
        resize_mode: str | None = None,
        batch_size: int = 16,
        on_step: OnStep | None = None,
        on_answer: Callable[[int, Answer], None] | None = None,
        decode: Mapping[str, Any] | None = None,
        reuse: int = 1,
        adaptive: float | None = None,
        decoder: str = "closed",
        on_tile: Callable[[int, int], None] | None = None,
        formula: str | None = None,
        keep: bool = True,
        zoom: float | None = None,
        compose: str | None = None,
        scales: Sequence[float] | None = None,
        fit: str | None = None,
        windows: int | None = None,
    ) -> Answers:
        """Follow an instruction on a picture; lists of either give a list of answers.

        instruction: an `Instruction` (made by a task's `instruct`), or free words, which are understood as the task
        that they are ("where is the star?", `tasks.understanding`); `answer.message` says as what. task: the task of
        the words where it is known; "edit" takes them as they are. Published checkpoints take all words as an edit.
        steps, solver, schedule: the plan's (`sampling`). guidance: (text, image) scales, "none", or a
        function sigma -> weights. noise: "seed", "zero", or unit noise [c, h, w] (or [n, c, h, w]) at latent
        size; {"initial": any of these, "steps": a list of such noise, one a row that adds noise} gives the fresh
        noise too, so that another sampler's run can be repeated; what is left out comes from the seed. Of a picture
        that is worked on in tiles the latent size is that of all of it, enlarged by `zoom` and padded; of one that
        a thing is added to with "shortest_edge" ("add a star on the left") it is that of the square drawn in.
        What is None comes from `settings[task]`, or suits the steps (`Settings.changed`): steps=1 is one
        evaluation without guidance, unless that is given.
        seed: one for all, or one a picture; the same seed gives the same answer but for rounding, in any batch.
        resolution: side at which the model sees the picture, or of its tiles (None: the one it was trained
        at; beyond four times that a warning says that it takes long).
        resize_mode: "shortest_edge", "longest_edge", "stretch" or "authors" (`resize.model_size`), None for the
        model's own: the authors' for published checkpoints, "shortest_edge" for others; `fit` is its old name.
        batch_size: squares that go through at once; where they do not fit into memory they are halved until they do,
        with a warning that says how many do.
        on_step(i, x, denoised): after every row of the plan; may raise to stop. on_answer(number, answer):
        as soon as an answer is ready. on_tile(done, tiles): before the first and after each batch of tiles, of tasks
        that run at the picture's own size; a picture of very many tiles gives a warning, too.
        decode: options of the task's `decode`. reuse: how many rows of the plan share
        the UNet's deep features (`sampling.DeepCache`): an approximation; 3 halves the work of a UNet of SD 1.5's size.
        adaptive: branches of guidance are left out of a picture's later rows once they differ from the full one by at
        most this share (`sampling.AdaptiveGuidance`), .05 say; None evaluates them all. Not together with reuse.
        decoder: how masks are read, "closed" or "unet" (`light_unet`); other tasks have the closed form only.
        formula: what the two scales of guidance mean, "instructdiffusion" or "instructpix2pix", whose own checkpoint
        wants the latter (7.5, 1.5 there). keep: what a task did not mean to change is the source's; False gives the
        model's own picture, decoded and brought to the source's size, as its authors show it. zoom: how many times as
        large a picture that is worked on in tiles (denoise, deblur, dewatermark) is made first, .25 to 4; the answer
        has the picture's own size, the tiles are about zoom^2 times as many. It means nothing to any other task, nor to
        a published checkpoint, which sees whole pictures. compose: how an edit is laid on its source, where keep is
        True: by the "rules" of `compose`, or "learned" (`learned`); to tasks that draw marks it means nothing.
        scales: at how many times the resolution a task that perceives sees the picture, .25 to 4: at the first of them,
        at each further one above 1 only where nothing was found yet, and at those below 1 to see large things whole
        (`Settings.scales`); (1,) looks once. Where noise is given the first is the only one. windows: at how many small
        squares that stand out in colour segment, detect and refer look by themselves where they found nothing, 0 to 16;
        None for the model's own, or for none where scales are given.

        ValueError / TypeError for bad input, FloatingPointError where the model gives NaN, MemoryError where
        not even one picture fits.
        """
        pictures, one_picture = load_pictures(image)
        given, one_text = as_instructions(instruction)
        pictures, given = paired(pictures, given, one_picture, one_text)
        verbatim = self._verbatim
        texts = [as_instruction(t, task, p, verbatim) for t, p in zip(given, pictures, strict=True)]
        check_options(
            batch_size, reuse, adaptive, decode, on_step=on_step, on_answer=on_answer, on_tile=on_tile
        )
        for instructed in texts:
            self._check_text(instructed)
        mode = given_resize_mode(resize_mode, fit) or self.components.resize_mode
        decode = decode_options(decode, decoder, [t.task for t in texts])
        initial, fresh = split_noise(noise)
        named = initial if isinstance(initial, str) else None
        starts = (
            [None] * len(texts) if initial is None or named is not None else as_starts(initial, len(texts))
        )
        steps_noise = as_steps(fresh, len(texts))
        questions = [
            Question(*fields)
            for fields in zip(texts, pictures, as_seeds(seed, len(texts)), starts, steps_noise, strict=True)
        ]

        answers: dict[int, Answer] = {}
        for name in dict.fromkeys(t.task for t in texts):
            settings = self.settings[name].changed(
                steps=steps,
                solver=solver,
                schedule=schedule,
                guidance=guidance,
                noise=named,
                formula=formula,
                zoom=zoom,
                compose=compose,
                scales=scales,
                windows=windows,
            )
            side = self.components.resolution if resolution is None else resolution
            model_size((1, 1), side, self.editor.multiple, mode)  # what is none is refused before it is remarked on
            if remark := large_resolution(side, self.components.resolution):
                warnings.warn(remark, stacklevel=2)
            plan = self._plan(settings)
            if fresh is not None and len(fresh) < plan.draws:
                raise ValueError(
                    f"this run adds noise in {plan.draws} rows ({plan.title}); noise has {len(fresh)} steps"
                )
            job = Job(
                *(get_task(name), settings, plan, side, mode, batch_size, on_step, decode),
                *(reuse, adaptive, keep, on_tile, self.knowledge, self.components.resolution),
            )
            chosen = [i for i, t in enumerate(texts) if t.task == name]
            for number, answer in job.answers(self.editor, [questions[i] for i in chosen]):
                answers[chosen[number]] = answer
                if on_answer is not None:
                    on_answer(chosen[number], answer)
        return answers[0] if one_picture and one_text else [answers[i] for i in range(len(texts))]

    def stream(
        self, instruction: Any, images: Iterable[Any], **options: Unpack[RunOptions]
    ) -> Iterator[Answer]:
        """Answer many pictures one after the other; only those of a batch are in memory.

            for answer in model.stream(lambda p: TASKS["segment"].instruct("the star", picture=p), paths):
                answer.save("out", ...)

        Args:
            instruction: As in `run`, one for all or a list, one a picture; or a function from the picture, uint8
                [h, w, 3], to its instruction.
            images: Pictures as in `run`, in a list or an iterator. Those of a list that are paths must exist.
            options: As in `run`, but for noise, which is "seed" or "zero". on_answer is called for each as well.

        Returns:
            An iterator of answers in the order of the pictures. Up to `batch_size` pictures, or 17 million pixels, are
            loaded at once; an answer is let go once the next is taken.

        Raises:
            TypeError / ValueError / FileNotFoundError: At once for what fits no picture, while iterating for a picture.
        """
        from .inference.streaming import stream

        return stream(self.run, instruction, images, dict(options))

    def check(
        self,
        instruction: str | Instruction,
        *,
        task: str | None = None,
        steps: int | None = None,
        solver: str | None = None,
        schedule: str | None = None,
        guidance: tuple[float, float] | str | Guidance | None = None,
        seed: int = 0,
        resolution: int | None = None,
        resize_mode: str | None = None,
        decoder: str = "closed",
        formula: str | None = None,
        zoom: float | None = None,
        compose: str | None = None,
        scales: Sequence[float] | None = None,
        fit: str | None = None,
        windows: int | None = None,
    ) -> Plan:
        """The plan of a run; raises what `run` would for these words and options whatever the picture.

        MemoryError for a resolution at which no picture fits into memory.
        """
        asked = as_instruction(instruction, task, verbatim=self._verbatim)
        self._check_text(asked)
        decode_options(None, decoder, [asked.task])
        settings = self.settings[asked.task].changed(
            steps=steps,
            solver=solver,
            schedule=schedule,
            guidance=guidance,
            formula=formula,
            zoom=zoom,
            compose=compose,
            scales=scales,
            windows=windows,
        )
        get_ready(get_task(asked.task), settings)
        plan = self._plan(settings)
        side = self.components.resolution if resolution is None else resolution
        mode = given_resize_mode(resize_mode, fit) or self.components.resize_mode
        size = model_size((side, side), side, self.editor.multiple, mode)
        branches = max(len(row.branches) for row in plan)
        fitting_batch(
            *(self.editor.footprint, size, 1, branches, self.editor.device),
            free=self.editor.free,
            trained_at=self.components.resolution,
        )
        check_seeds(seed)
        return plan

    @property
    def _verbatim(self) -> bool:
        """Whether free words are an edit whatever they say: published checkpoints read them as they are."""
        return self.components.resize_mode == "authors"

    def _check_text(self, instruction: Instruction) -> None:
        """ValueError for a question that the model cannot read; `Editor.check_text`."""
        for question in get_task(instruction.task).questions(instruction):
            self.editor.check_text(question.text)

    def _plan(self, settings: Settings) -> Plan:
        sigmas = self.schedule.sigmas(settings.schedule, settings.steps)
        return make_plan(sigmas, settings.solver, settings.guide(), self.schedule)
