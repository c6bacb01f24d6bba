"""InstructDiffusion: an instruction and a picture in; masks, keypoints, boxes, a label or a picture out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from .answer import Answer
from .editor import Editor
from .images import load_pictures
from .jobs import Job, Question, decode_options
from .resize import model_size
from .sampling import Guidance, OnStep, Plan, Schedule, check_seeds, make_plan
from .settings import Settings, read_settings
from .tasks import Instruction, get_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .models.loading import Components

    Answers = Answer | list[Answer]


class RunOptions(TypedDict, total=False):
    """What every call takes beside its question; see `InstructDiffusion.run`."""

    steps: int | None
    solver: str | None
    schedule: str | None
    guidance: tuple[float, float] | str | Guidance | None
    noise: str | np.ndarray | Mapping[str, Any] | None
    seed: int | Sequence[int]
    resolution: int | None
    fit: str | None
    batch_size: int
    on_step: OnStep | None
    on_answer: Callable[[int, Answer], None] | None
    decode: Mapping[str, Any] | None
    reuse: int
    adaptive: float | None
    decoder: str


class InstructDiffusion:
    """A model that follows instructions on pictures.

        model = InstructDiffusion.from_pretrained("tiny")
        answer = model.segment("photo.png", "the red star")
        answer.result      # Masks at the photo's own size
        answer.save("out", "photo")

    A picture is a path, PIL image, array or tensor (`images.load_picture`); a list of them, of any sizes,
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
        self.settings = dict(settings) if settings is not None else read_settings(components.path)

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

        A folder that is itself called "tiny" is written with a slash ("./tiny"), or given as a Path.
        device: None takes a CUDA device where there is one. dtype: a torch dtype, None for float32. graphs: whether
        UNet and step are replayed as CUDA graphs: None where they can and pay, else True or False; calls raise
        RuntimeError where True cannot be, and `editor.replaying.reason` says why a call was not replayed.
        compiled: whether UNet and autoencoder are compiled, which takes a minute or so for every size and pays for
        many pictures: None off unless it pays (`models.compiling.Compiling`), else True, RuntimeError where that
        cannot be, or False; `editor.compiling.reason` says why a call ran as it is. Raises what
        `models.loading.load_components` does for missing, truncated or unfitting weights.
        """
        import torch

        from .models.loading import load_components

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        name = name_or_path if isinstance(name_or_path, str) else Path(name_or_path)
        parts = load_components(name, dtype=dtype or torch.float32, device=device)
        return cls(parts, graphs=graphs, compiled=compiled)

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
        fit: str | None = None,
        batch_size: int = 16,
        on_step: OnStep | None = None,
        on_answer: Callable[[int, Answer], None] | None = None,
        decode: Mapping[str, Any] | None = None,
        reuse: int = 1,
        adaptive: float | None = None,
        decoder: str = "closed",
    ) -> Answers:
        """Follow an instruction on a picture; lists of either give a list of answers.

        instruction: an `Instruction` (made by a task's `instruct`), or plain words; words are an edit,
        unless `task` names one of the other tasks that answer with a picture.
        steps, solver, schedule: the plan's (`sampling`). guidance: (text, image) scales, "none", or a
        function sigma -> weights. noise: "seed", "zero", or unit noise [c, h, w] (or [n, c, h, w]) at latent
        size; {"initial": any of these, "steps": a list of such noise, one a row that adds noise} gives the fresh
        noise too, so that another sampler's run can be repeated; what is left out comes from the seed.
        What is None comes from `settings[task]`, or suits the steps (`Settings.changed`): steps=1 is one
        evaluation without guidance, unless that is given.
        seed: one for all, or one a picture; the same seed gives the same answer whatever the batch.
        resolution: side at which the model sees the picture, or of its tiles (None: the one it was trained
        at). fit: "stretch", "aspect" or "authors" (`resize.model_size`), None for the model's own: the authors'
        for published checkpoints. batch_size: squares that go through at once;
        where they do not fit into memory they are halved until they do, with a warning that says how many do.
        on_step(i, x, denoised): after every row of the plan; may raise to stop. on_answer(number, answer):
        as soon as an answer is ready. decode: options of the task's `decode`. reuse: how many rows of the plan share
        the UNet's deep features (`sampling.DeepCache`): an approximation; 3 halves the work of a UNet of SD 1.5's size.
        adaptive: branches of guidance are left out of a picture's later rows once they differ from the full one by at
        most this share (`sampling.AdaptiveGuidance`), .05 say; None evaluates them all. Not together with reuse.
        decoder: how masks are read, "closed" or "unet" (`decoding.refiner`); other tasks have the closed form only.

        ValueError / TypeError for bad input, FloatingPointError where the model gives NaN, MemoryError where
        not even one picture fits.
        """
        pictures, one_picture = load_pictures(image)
        texts, one_text = _as_instructions(instruction, task)
        pictures, texts = _paired(pictures, texts, one_picture, one_text)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
        if isinstance(reuse, bool) or not isinstance(reuse, int) or reuse < 1:
            raise ValueError(f"reuse is a whole number of rows of at least 1, got {reuse!r}")
        if adaptive is not None and (isinstance(adaptive, bool) or not 0 <= adaptive < float("inf")):
            raise ValueError(f"adaptive is a share of at least 0, or None for none; got {adaptive!r}")
        for text in dict.fromkeys(t.text for t in texts):
            self.editor.check_text(text)
        decode = decode_options(decode, decoder, [t.task for t in texts])
        initial, fresh = _split_noise(noise)
        named = initial if isinstance(initial, str) else None
        starts = (
            [None] * len(texts) if initial is None or named is not None else _as_starts(initial, len(texts))
        )
        steps_noise = _as_steps(fresh, len(texts))
        questions = [
            Question(*fields)
            for fields in zip(texts, pictures, _as_seeds(seed, len(texts)), starts, steps_noise, strict=True)
        ]

        answers: dict[int, Answer] = {}
        for name in dict.fromkeys(t.task for t in texts):
            settings = self.settings[name].changed(
                steps=steps, solver=solver, schedule=schedule, guidance=guidance, noise=named
            )
            side = self.components.resolution if resolution is None else resolution
            fit = self.components.fit if fit is None else fit
            plan = self._plan(settings)
            if fresh is not None and len(fresh) < plan.draws:
                raise ValueError(
                    f"this run adds noise in {plan.draws} rows ({plan.title}); noise has {len(fresh)} steps"
                )
            job = Job(
                *(get_task(name), settings, plan, side, fit, batch_size, on_step, decode),
                *(reuse, adaptive),
            )
            chosen = [i for i, t in enumerate(texts) if t.task == name]
            for number, answer in job.answers(self.editor, [questions[i] for i in chosen]):
                answers[chosen[number]] = answer
                if on_answer is not None:
                    on_answer(chosen[number], answer)
        return answers[0] if one_picture and one_text else [answers[i] for i in range(len(texts))]

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
        fit: str | None = None,
        decoder: str = "closed",
    ) -> None:
        """Raise what `run` would for these words and options whatever the picture, before any is read."""
        asked = _as_instruction(instruction, task)
        self.editor.check_text(asked.text)
        decode_options(None, decoder, [asked.task])
        settings = self.settings[asked.task].changed(
            steps=steps, solver=solver, schedule=schedule, guidance=guidance
        )
        self._plan(settings)
        side = self.components.resolution if resolution is None else resolution
        model_size((side, side), side, self.editor.multiple, self.components.fit if fit is None else fit)
        check_seeds(seed)

    def _plan(self, settings: Settings) -> Plan:
        sigmas = self.schedule.sigmas(settings.schedule, settings.steps)
        return make_plan(sigmas, settings.solver, settings.guide(), self.schedule)

    def _ask(self, task: str, image: Any, subjects: Any, colors: Any, options: Any) -> Answers:
        pictures, single = load_pictures(image)
        colors = [colors] if isinstance(colors, str) else colors
        questions = [get_task(task).instruct(subjects, colors, picture=p) for p in pictures]
        return self.run(questions[0] if single else questions, pictures[0] if single else pictures, **options)

    def segment(
        self, image: Any, subject: str, *, color: str | None = None, **options: Unpack[RunOptions]
    ) -> Answers:
        """Masks of everything that the subject names, one a connected region; empty where there is none.

        color: the word for the colour drawn with, None for one far from the picture's colours. options: as
        in `run`, here and in all the methods below.
        """
        return self._ask("segment", image, subject, color, options)

    def refer(
        self, image: Any, phrase: str, *, color: str | None = None, **options: Unpack[RunOptions]
    ) -> Answers:
        """Masks with the one thing that the phrase describes ("the small star left of the circle")."""
        return self._ask("refer", image, phrase, color, options)

    def keypoints(
        self, image: Any, names: str | Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Keypoints of the named joints ("the left shoulder", "the nose of the man"), best 1 to 5 at once."""
        return self._ask("keypoints", image, names, colors, options)

    def align(
        self, image: Any, names: str | Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Keypoints of the named landmarks of a face or parts of a thing ("the left eye")."""
        return self._ask("align", image, names, colors, options)

    def detect(
        self, image: Any, subject: str, *, color: str | None = None, **options: Unpack[RunOptions]
    ) -> Answers:
        """Boxes of every thing that the subject names, the surest first."""
        return self._ask("detect", image, subject, color, options)

    def classify(
        self, image: Any, categories: Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """The Label that fits among the categories ("a dog", "a cat"), or Label(None)."""
        return self._ask("classify", image, categories, colors, options)

    def denoise(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its noise, at its own size."""
        return self._ask("denoise", image, None, None, options)

    def deblur(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its blur, at its own size."""
        return self._ask("deblur", image, None, None, options)

    def remove_watermark(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its watermark, at its own size; what the mark did not cover is kept."""
        return self._ask("dewatermark", image, None, None, options)

    def edit(self, image: Any, words: str, **options: Unpack[RunOptions]) -> Answers:
        """The picture changed as the words say ("add a red star on the left"); the rest is kept."""
        return self._ask("edit", image, words, None, options)


def _as_instructions(given: Any, task: str | None) -> tuple[list[Instruction], bool]:
    """(instructions, whether a single one came)."""
    if isinstance(given, (str, Instruction)):
        return [_as_instruction(given, task)], True
    if not isinstance(given, Sequence):
        raise TypeError(
            f"expected an instruction as words or Instruction, or a list, got {type(given).__name__}"
        )
    return [_as_instruction(g, task) for g in given], False


def _as_instruction(given: Any, task: str | None) -> Instruction:
    if isinstance(given, Instruction):
        if task not in (None, given.task):
            raise ValueError(
                f"the instruction is one of task {given.task!r}, but task={task!r} was asked for"
            )
        get_task(given.task)
        return given
    if not isinstance(given, str):
        raise TypeError(f"an instruction is words or an Instruction, got {type(given).__name__}")
    if not given.strip():
        raise ValueError("the instruction is empty: say what to do, as in 'add a red star on the left'")
    asked = get_task(task or "edit")
    if asked.palette:
        raise ValueError(
            f"plain words do not say in which colour the answer of {asked.name!r} is drawn: "
            f"pass TASKS[{asked.name!r}].instruct(subject), or call the method of that name"
        )
    if asked.max_subjects == 0:
        return Instruction(" ".join(given.lower().split()), asked.name)
    return asked.instruct(given)


def _paired(
    pictures: list[np.ndarray], texts: list[Instruction], one_picture: bool, one_text: bool
) -> tuple[list[np.ndarray], list[Instruction]]:
    """One instruction a picture; a single one of either is used for all of the other."""
    if one_text and not one_picture:
        return pictures, texts * len(pictures)
    if one_picture and not one_text:
        return pictures * len(texts), texts
    if len(pictures) != len(texts):
        raise ValueError(f"{len(pictures)} pictures came with {len(texts)} instructions: give one a picture")
    return pictures, texts


def _as_seeds(seed: int | Sequence[int], count: int) -> list[int]:
    seeds = check_seeds(seed) if count else ()
    if isinstance(seed, (int, np.integer)):
        return list(seeds) * count
    if len(seeds) != count:
        raise ValueError(f"expected one seed, or one a picture ({count}), got {len(seeds)}")
    return list(seeds)


def _split_noise(noise: Any) -> tuple[Any, Sequence[Any] | None]:
    """(initial, steps) of what `run` takes as noise; None for what comes from the seed."""
    if not isinstance(noise, Mapping):
        return noise, None
    unknown = sorted(set(map(str, noise)) - {"initial", "steps"})
    if unknown:
        raise ValueError(f"noise has 'initial' and 'steps', got {unknown[0]!r}")
    steps = noise.get("steps")
    if isinstance(steps, (str, Mapping)) or not (steps is None or hasattr(steps, "__len__")):
        raise TypeError(f"noise 'steps' is a list of unit noise, one a row that adds noise, got {steps!r}")
    return noise.get("initial"), steps


def _as_steps(steps: Sequence[Any] | None, count: int) -> list[tuple[Any, ...] | None]:
    """The fresh noise of every picture, a tensor a row that adds noise; None where the seed gives it."""
    if steps is None:
        return [None] * count
    rows = [_as_starts(row, count) for row in steps]
    return [tuple(row[i] for row in rows) for i in range(count)]


def _as_starts(noise: Any, count: int) -> list[Any]:
    """Unit noise [c, h, w] for all, or [n, c, h, w] one a picture, as tensors."""
    import torch

    tensor = torch.as_tensor(noise, dtype=torch.float32).cpu()
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("noise has NaN or infinite values")
    if tensor.ndim == 3:
        return [tensor] * count
    if tensor.ndim != 4 or len(tensor) != count:
        raise ValueError(f"noise must be [c, h, w] or [{count}, c, h, w], got {list(tensor.shape)}")
    return list(tensor)
