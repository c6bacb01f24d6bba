"""ask, in free words, and a command a task: questions about pictures."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.resize import RESIZE_MODES
from ..tasks import DECODERS, TASKS, Instruction, get_task
from ..utils.terminal import printable
from .answer_text import Brief, describe
from .old_flags import OldFlag
from .picture_files import Loaded, answer_stems, check_apart, find_pictures, load_batches
from .step_bar import step_bar

if TYPE_CHECKING:
    import numpy as np

    from ..inference.answer import Answer
    from ..pipeline import InstructDiffusion

    Ask = Callable[[InstructDiffusion, list[np.ndarray], dict[str, Any]], list[Answer]]

DECODER: dict[str, Any] = {
    "choices": DECODERS,
    "default": DECODERS[0],
    "help": "how masks are read from what was drawn: in closed form, or by the light U-Net; default: closed",
}
# What is wrong with one picture, rather than with all of them.
_SKIPPED = (ValueError, TypeError, OSError, FloatingPointError, MemoryError)
DTYPES = ("float32", "bfloat16", "float16")
ASK = "ask"  # free words, understood as one of the tasks
MODEL = "tiny (ships), a folder (./tiny for one of that name), a checkpoint file or a hub id"


def add_parser(commands: Any) -> None:
    """Add one command a task, and `ask`, whose words say which."""
    text = "ask in free words, as 'where is the star?' or 'remove the noise'"
    parser = commands.add_parser(ASK, help=text, description=text[0].upper() + text[1:] + ".")
    _add_picture(parser)
    _add_batches(parser)
    parser.add_argument("words", metavar="WORDS", nargs="+", help="a request or a question in English")
    add_model_arguments(parser)
    _add_output(parser)
    parser.set_defaults(run=run)
    for name, task in TASKS.items():
        text = task.summary or f"answer the task {name}"
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _add_picture(parser)
        _add_batches(parser)
        if task.max_subjects:
            count = "+" if task.max_subjects > 1 else 1
            parser.add_argument("subjects", metavar=task.subject_label, nargs=count, help="in words")
        if task.palette:
            parser.add_argument(
                "--color",
                action="append",
                dest="colors",
                metavar="NAME",
                help="the colour to draw with, once a subject (chosen to stand out where left open)",
            )
        add_model_arguments(parser)
        if len(task.decoders) > 1:
            parser.add_argument("--decoder", **DECODER)
        if task.tiled:
            parser.add_argument(
                "--upscale",
                type=float,
                help="make the picture so many times as large first, .25 to 4; default: the model's for this task",
            )
            parser.add_argument("--zoom", type=float, dest="upscale", action=OldFlag, new="--upscale")
        if task.perception:
            parser.add_argument(
                "--scales",
                type=float,
                nargs="+",
                metavar="FACTOR",
                help="see the picture at so many times the resolution, .25 to 4: above 1 for small things, where "
                "nothing was found before, below 1 for large ones, as 1 .5 2; default: the model's for this task",
            )
            parser.add_argument(
                "--windows",
                type=int,
                metavar="COUNT",
                help="where nothing was found, look at so many small squares that stand out in colour, 0 to 16; "
                "default: the model's for this task, none where --scales are given",
            )
        _add_output(parser)
        parser.set_defaults(run=run)


def _add_picture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="a picture, or a folder of pictures")


def _add_batches(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how a folder is gone through."""
    parser.add_argument(
        "--batch-size", type=int, default=8, help="pictures answered at once, fewer of large ones; default: 8"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="threads that read pictures ahead; default: one a core, at most 4",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is written, and where."""
    parser.add_argument(
        "--raw", action="store_true", help="the model's own picture, nothing of the source laid over it"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("out"), metavar="FOLDER", help="default: out"
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which model is asked, and how."""
    parser.add_argument("--model", default="tiny", help=MODEL)
    parser.add_argument("--device", help="cpu, cuda, mps; default: a GPU where there is one")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="of the networks; default: float32")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="compile the networks first: a minute or so, for many pictures; default: where it pays",
    )
    parser.add_argument("--steps", type=int, help="default: the model's for this task")
    parser.add_argument("--solver", help="euler, euler_ancestral, ddim, dpmpp_2m, ...")
    parser.add_argument("--schedule", help="trailing, native, karras, exponential")
    parser.add_argument("--guidance", type=float, nargs=2, metavar=("TEXT", "IMAGE"), help="guidance scales")
    parser.add_argument(
        "--formula",
        choices=("instructdiffusion", "instructpix2pix"),
        help="what the scales mean; default: the model's, instructdiffusion",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--resolution", type=int, help="side at which the model sees the picture, or of a tile"
    )
    parser.add_argument(
        "--resize-mode",
        choices=RESIZE_MODES,
        help="how a picture comes to that side: with its shape, its short or long side at it; squeezed to a square; "
        "or as the published checkpoints' authors have it; default: the model's",
    )


def model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of the arguments that `InstructDiffusion.run` takes."""
    guidance = None if arguments.guidance is None else tuple(arguments.guidance)
    names = ("steps", "solver", "schedule", "formula", "seed", "resolution", "resize_mode")
    own = ("decoder", "upscale", "scales", "windows")
    some = {name: getattr(arguments, name) for name in own if hasattr(arguments, name)}
    return {"guidance": guidance, **{name: getattr(arguments, name) for name in names}, **some}


def run(arguments: argparse.Namespace) -> int:
    """Answer for one picture or a folder of them; a bad picture is reported and skipped.

    The exit status: 0, 1 where a picture failed, 2 where words or options fit no picture.
    """
    from ..utils.files import WriteError, check_writable, clear_leftovers

    pictures = find_pictures(arguments.picture)
    try:  # what needs no model is checked before it is loaded
        words: str | Instruction = " ".join(getattr(arguments, "words", ()))
        if arguments.command != ASK:
            words = get_task(arguments.command).instruct(_subjects(arguments), getattr(arguments, "colors", None))
        check_apart(arguments.picture, arguments.output)
        check_resolution(arguments)
        dtype = read_dtype(arguments)
        if arguments.batch_size < 1 or arguments.workers < 1:
            raise ValueError("expected --batch-size and --workers of at least 1")
    except (ValueError, TypeError, MemoryError) as error:
        return _misused(arguments, error)
    check_writable(arguments.output)
    clear_leftovers(arguments.output)

    from tqdm import tqdm

    from ..pipeline import InstructDiffusion

    hide_loading()
    try:
        model = InstructDiffusion.from_pretrained(
            arguments.model, device=arguments.device, dtype=dtype, compiled=arguments.compile
        )
    except RuntimeError as error:  # --compile, where there is nothing to compile with
        raise ValueError(str(error)) from error
    try:  # what is wrong for every picture is said once, before any of them
        plan = model.check(words, **model_options(arguments))
    except (ValueError, TypeError, MemoryError) as error:
        return _misused(arguments, error)
    ask, brief = _ask(arguments), Brief()
    failed = 0
    single = len(pictures) == 1
    batches = load_batches(pictures, answer_stems(pictures), arguments.batch_size, arguments.workers)
    with warnings.catch_warnings(), contextlib.closing(batches):
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", module=r"PIL\b")  # as `open_image` has it, which is called in threads here
        warnings.showwarning = lambda message, *rest, **more: tqdm.write(
            printable(f"note: {brief(str(message))}"), file=sys.stderr
        )
        with tqdm(total=len(pictures), unit="picture", disable=single) as bar:
            for batch in batches:
                for loaded, answer in _answers(model, ask, batch, len(plan) if single else None):
                    name = os.fsencode(loaded.path.name).decode(errors="replace")  # not every file's name is UTF-8
                    try:
                        if isinstance(answer, Exception):
                            raise answer
                        answer.save(arguments.output, loaded.stem, name)
                        tqdm.write(printable(f"{name}: {brief(describe(answer))}"))
                    except WriteError:
                        raise  # the next picture would meet the same full or closed disk
                    except _SKIPPED as error:
                        failed += 1
                        why = str(error) or type(error).__name__
                        tqdm.write(printable(f"{name}: skipped: {why}"), file=sys.stderr)
                    bar.update()
    done = len(pictures) - failed
    text = f"{done} of {len(pictures)} answered: look in {arguments.output}" if done else "nothing was written"
    print(printable(text))
    return 1 if failed else 0


def hide_loading() -> None:
    """Have the libraries load without progress bars of their own: a command shows one, of what was asked for."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def _misused(arguments: argparse.Namespace, error: Exception) -> int:
    """Say what is wrong with words or options, as the parser does for options that it knows to be wrong."""
    said = str(error).removeprefix(f"{arguments.command}: ")
    print(printable(f"instructdiffusion {arguments.command}: {said}"), file=sys.stderr)
    return 2


def read_dtype(arguments: argparse.Namespace) -> Any:
    """The torch dtype that --dtype names; ValueError for one that is slower and coarser there than float32."""
    import torch

    from ..utils.devices import best_device

    if arguments.dtype == "float16" and (arguments.device or best_device()).partition(":")[0] == "cpu":
        raise ValueError("float16 is for GPUs, on a CPU it is slower and coarser: leave out --dtype, or say bfloat16")
    return getattr(torch, arguments.dtype)


def check_resolution(arguments: argparse.Namespace) -> None:
    """MemoryError where not even one picture fits into memory at the resolution asked for.

    Of models on a CPU whose configs lie here; of others the pipeline says so once they are loaded.
    """
    side = arguments.resolution
    if side is None or side < 1:
        return
    from ..inference.memory import fitting_batch, folder_footprint, folder_resolution
    from ..models.built_in import BUILT_IN
    from ..models.loading import find_folder
    from ..utils.devices import best_device

    if arguments.model not in BUILT_IN and not Path(arguments.model).is_dir():
        return
    folder = find_folder(arguments.model)
    footprint = folder_footprint(folder)
    if footprint is not None and (arguments.device or best_device()) == "cpu":
        fitting_batch(footprint, (side, side), 1, trained_at=folder_resolution(folder, footprint))


def _subjects(arguments: argparse.Namespace) -> str | list[str] | None:
    """The subjects; a single argument is one text, which may list several."""
    subjects = getattr(arguments, "subjects", None)
    return subjects[0] if isinstance(subjects, list) and len(subjects) == 1 else subjects


def _ask(arguments: argparse.Namespace) -> Ask:
    """The question as a function of a model, pictures and further options."""

    options = {**model_options(arguments), "preserve_source": not arguments.raw, "batch_size": arguments.batch_size}
    subjects = _subjects(arguments)
    colors = getattr(arguments, "colors", None)

    def ask(model: InstructDiffusion, images: list[np.ndarray], more: dict[str, Any]) -> list[Answer]:
        words: list[Any] = [" ".join(getattr(arguments, "words", ()))] * len(images)
        if arguments.command != ASK:
            task = get_task(arguments.command)
            words = [task.instruct(subjects, colors, picture=image) for image in images]
        answers = model.run(words, images, **options, **more)
        assert isinstance(answers, list)
        return answers

    return ask


def _answers(
    model: InstructDiffusion, ask: Ask, batch: list[Loaded], rows: int | None
) -> Iterator[tuple[Loaded, Answer | Exception]]:
    """Each picture of a batch with its answer, or what went wrong; a bar counts steps where `rows` says how many.

    Where the pictures cannot be answered together each is asked by itself, so that one costs no other its answer.
    """
    images = [loaded.image for loaded in batch if not isinstance(loaded.image, Exception)]
    answers: Iterator[Answer | Exception]
    try:
        if rows is None:
            answers = iter(ask(model, images, {}) if images else [])
        else:
            with step_bar(rows) as listeners:
                answers = iter(ask(model, images, dict(listeners)) if images else [])
    except _SKIPPED as error:
        answers = iter([error]) if len(images) == 1 else (_alone(model, ask, image) for image in images)
    for loaded in batch:
        yield loaded, loaded.image if isinstance(loaded.image, Exception) else next(answers)


def _alone(model: InstructDiffusion, ask: Ask, image: np.ndarray) -> Answer | Exception:
    try:
        return ask(model, [image], {})[0]
    except _SKIPPED as error:
        return error
