"""InstructDiffusion: an instruction and a picture in; masks, keypoints, boxes, a label or a picture out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .imaging.resize import large_resolution, model_size
from .inference.answer import Answer
from .inference.components_backend import ComponentsBackend
from .inference.inputs import as_instruction
from .inference.job import Job
from .inference.options import Callbacks, SamplingOptions
from .inference.options import RunOptions as RunOptions
from .inference.options import SamplingKeywords as SamplingKeywords
from .inference.request import check_instruction, check_step_noise, make_requests
from .inference.runner import Runner
from .inference.task_methods import TaskMethods
from .knowledge import read_knowledge
from .sampling import OnStep, Plan, Schedule, check_seeds
from .settings import Settings, read_settings
from .tasks import Instruction, get_task
from .utils.devices import best_device as best_device
from .utils.devices import checked_device
from .utils.old_names import old_attribute

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .inference.task_methods import Answers
    from .models.components import Components


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
        self.backend = ComponentsBackend(components, graphs=graphs, compiled=compiled)
        self.backend.compiling.check(components)
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
        True or False; calls raise RuntimeError where True cannot be, and `backend.graph_runner.reason` says why a call
        was not replayed. compiled: whether UNet and autoencoder are compiled, which takes a minute or so for every size
        and pays for many pictures: None off unless it pays (`models.compiling.Compiling`), else True, RuntimeError
        where that cannot be, or False; `backend.compiling.reason` says why a call ran as it is. ValueError for a device
        that is not there, TypeError for a dtype that is none, and what `models.loading.load_components` raises for
        missing, truncated or unfitting weights.
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
        seed: int | Sequence[int] = 0,
        noise: str | np.ndarray | Mapping[str, Any] | None = None,
        options: SamplingOptions | None = None,
        on_step: OnStep | None = None,
        on_answer: Callable[[int, Answer], None] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
        **changes: Unpack[SamplingKeywords],
    ) -> Answers:
        """Follow an instruction on an image; lists of either give a list of answers.

        Args:
            instruction: An `Instruction` (made by a task's `instruct`), or free words, which are understood as the task
                that they are ("where is the star?", `tasks.understanding`); `answer.message` says as what.
            image: A path, PIL image, array or tensor (`imaging.images.load_picture`).
            task: The task of the words where it is known; "edit" takes them as they are. Published checkpoints take all
                words as an edit.
            seed: One for all, or one an image; the same seed gives the same answer but for rounding, in any batch.
            noise: "seed", "zero", or unit noise [c, h, w] (or [n, c, h, w]) at latent size; {"initial": any of these,
                "steps": a list of such noise, one a row that adds noise} gives the fresh noise too, so that another
                sampler's run can be repeated; what is left out comes from the seed. Of an image that is worked on in
                tiles the latent size is that of all of it, enlarged by `upscale` and padded; of one that a thing is
                added to with "shortest_edge" ("add a star on the left") it is that of the square drawn in.
            options: How it is answered; None for the model's settings for each task.
            on_step, on_answer, on_tile: What is called meanwhile (`inference.options.Callbacks`).
            changes: Fields of `SamplingOptions` by name: steps, solver, guidance, resolution, ...; they change
                `options`.

        Returns:
            An `Answer`, or a list of them.

        Raises:
            ValueError, TypeError: For bad input.
            FloatingPointError: Where the model gives NaN.
            MemoryError: Where not even one image fits.
        """
        if isinstance(noise, str):
            changes["noise"] = noise  # type: ignore[typeddict-unknown-key]
        settled = SamplingOptions.of(options, changes)
        callbacks = Callbacks(on_step, on_answer, on_tile)
        requests, single = make_requests(
            instruction,
            image,
            settled,
            task=task,
            seed=seed,
            noise=None if isinstance(noise, str) else noise,
            verbatim=self._verbatim,
            check_text=self.backend.check_text,
        )
        answers: dict[int, Answer] = {}
        for name in dict.fromkeys(r.instruction.task for r in requests):
            chosen = [i for i, r in enumerate(requests) if r.instruction.task == name]
            job = self.job(name, settled, callbacks)
            check_step_noise(job.plan, [requests[i] for i in chosen])
            for number, answer in Runner(job, self.backend).answers([requests[i] for i in chosen]):
                answers[chosen[number]] = answer
                if on_answer is not None:
                    on_answer(chosen[number], answer)
        return answers[0] if single else [answers[i] for i in range(len(requests))]

    def job(self, task: str, options: SamplingOptions, callbacks: Callbacks | None = None) -> Job:
        """Make the job that answers requests of a task.

        Args:
            task: The task's name.
            options: How they are answered; what is None comes from the model's settings.
            callbacks: What is called meanwhile.

        Returns:
            A `Job` for `Runner`, with the plan of the run.

        Raises:
            ValueError: For a task, setting, resolution or resize_mode that there is not.
        """
        settings = options.settings(self.settings[get_task(task).name])
        side = self.components.resolution if options.resolution is None else options.resolution
        mode = options.resize_mode or self.components.resize_mode
        model_size((1, 1), side, self.backend.multiple, mode)  # what is none is refused before it is remarked on
        if remark := large_resolution(side, self.components.resolution):
            warnings.warn(remark, stacklevel=3)
        return Job(
            *(get_task(task), settings, settings.plan(self.schedule), side, mode),
            options=options,
            callbacks=callbacks or Callbacks(),
            knowledge=self.knowledge,
            trained_at=self.components.resolution,
        )

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
        seed: int = 0,
        options: SamplingOptions | None = None,
        **changes: Unpack[SamplingKeywords],
    ) -> Plan:
        """Refuse what `run` would for these words and options, whatever the image.

        Args:
            instruction, task, seed, options, changes: As in `run`.

        Returns:
            The plan of the run.

        Raises:
            ValueError, TypeError: As `run` would.
            MemoryError: For a resolution at which no image fits into memory.
        """
        settled = SamplingOptions.of(options, changes)
        one = as_instruction(instruction, task, verbatim=self._verbatim)
        check_instruction(one, settled, self.backend.check_text)
        job = self.job(one.task, settled)
        size = model_size((job.resolution, job.resolution), job.resolution, self.backend.multiple, job.resize_mode)
        job.fitting(self.backend, size, 1)
        check_seeds(seed)
        return job.plan

    editor = old_attribute("editor", "backend")

    @property
    def _verbatim(self) -> bool:
        """Whether free words are an edit whatever they say: published checkpoints read them as they are."""
        return self.components.resize_mode == "authors"
