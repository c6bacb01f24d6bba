"""ask, in free words, and a command a task: questions about pictures."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.resize import RESIZE_MODES
from ..tasks import DECODERS, TASKS, Instruction, get_task
from ..utils.terminal import printable
from .old_flags import OldFlag
from .step_bar import step_bar

if TYPE_CHECKING:
    from ..inference.answer import Answer
    from ..pipeline import InstructDiffusion

DECODER: dict[str, Any] = {
    "choices": DECODERS,
    "default": DECODERS[0],
    "help": "how masks are read from what was drawn: in closed form, or by the light U-Net; default: closed",
}
LONGEST_STEM = 224  # bytes: a file has at most 255, of which "_dewatermark_overlay.png" is a part
ASK = "ask"  # free words, understood as one of the tasks
MODEL = "tiny (ships), a folder (./tiny for one of that name), a checkpoint file or a hub id"


def add_parser(commands: Any) -> None:
    """Add one command a task, and `ask`, whose words say which."""
    text = "ask in free words, as 'where is the star?' or 'remove the noise'"
    parser = commands.add_parser(ASK, help=text, description=text[0].upper() + text[1:] + ".")
    _add_picture(parser)
    parser.add_argument("words", metavar="WORDS", nargs="+", help="a request or a question in English")
    add_model_arguments(parser)
    _add_output(parser)
    parser.set_defaults(run=run)
    for name, task in TASKS.items():
        text = task.summary or f"answer the task {name}"
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _add_picture(parser)
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

    pictures = _pictures(arguments.picture)
    try:  # what needs no model is checked before it is loaded
        words: str | Instruction = " ".join(getattr(arguments, "words", ()))
        if arguments.command != ASK:
            words = get_task(arguments.command).instruct(_subjects(arguments), getattr(arguments, "colors", None))
        _check_apart(arguments.picture, arguments.output)
        check_resolution(arguments)
    except (ValueError, TypeError, MemoryError) as error:
        return _misused(arguments, error)
    check_writable(arguments.output)
    clear_leftovers(arguments.output)

    from tqdm import tqdm

    from ..pipeline import InstructDiffusion

    hide_loading()
    try:
        model = InstructDiffusion.from_pretrained(
            arguments.model, device=arguments.device, compiled=arguments.compile
        )
    except RuntimeError as error:  # --compile, where there is nothing to compile with
        raise ValueError(str(error)) from error
    try:  # what is wrong for every picture is said once, before any of them
        plan = model.check(words, **model_options(arguments))
    except (ValueError, TypeError, MemoryError) as error:
        return _misused(arguments, error)
    ask, brief = _ask(arguments), Brief()
    stems = _stems(pictures)
    failed = 0
    single = len(pictures) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *rest, **more: tqdm.write(
            printable(f"note: {brief(str(message))}"), file=sys.stderr
        )
        with tqdm(total=len(pictures), unit="picture", disable=single) as bar:
            for path, stem in zip(pictures, stems):
                name = os.fsencode(path.name).decode(errors="replace")  # not every file's name is UTF-8
                try:
                    answer = _answer(model, ask, path, len(plan) if single else None)
                    answer.save(arguments.output, stem, name)
                    tqdm.write(printable(f"{name}: {brief(describe(answer))}"))
                except WriteError:
                    raise  # the next picture would meet the same full or closed disk
                except (ValueError, TypeError, OSError, FloatingPointError, MemoryError) as error:
                    failed += 1
                    why = str(error) or type(error).__name__
                    tqdm.write(printable(f"{name}: skipped: {why}"), file=sys.stderr)
                bar.update()
    done = len(pictures) - failed
    text = f"{done} of {len(pictures)} answered: look in {arguments.output}" if done else "nothing was written"
    print(printable(text))
    return 1 if failed else 0


class Brief:
    """Texts whose long clauses are in full once: afterwards each is as far as its first colon or bracket."""

    LONG = 100  # characters

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text, as it is to be said now."""
        clauses = text.split("; ")
        for number, clause in enumerate(clauses):
            if clause in self._seen:
                clauses[number] = re.split(r" \(|: ", clause)[0] + " (as above)"
            elif len(clause) > self.LONG:
                self._seen.add(clause)
        return "; ".join(clauses)


def describe(answer: Answer) -> str:
    """An answer in a few words."""
    from ..results import Boxes, Keypoints, Label, Masks

    result, said = answer.result, answer.message
    if isinstance(result, Label):
        return "; ".join(filter(None, (result.name, said))) or "none of the categories"
    if isinstance(result, Keypoints):
        points = [
            f"{name} at ({x:.1f}, {y:.1f})"
            for row, visible in zip(result.xy, result.visible)
            for name, (x, y), there in zip(result.names, row.tolist(), visible)
            if there
        ]
        return "; ".join([*points, *([said] if said else [])]) or "nothing found"
    if not isinstance(result, (Masks, Boxes)):
        return said or "done"
    counts = [f"{result.labels.count(label)} found for '{label}'" for label in dict.fromkeys(result.labels)]
    return "; ".join(filter(None, (*(c for c in counts if c not in said), said))) or "nothing found"


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


def _check_apart(picture: Path, output: Path) -> None:
    """ValueError where answers would lie among the pictures: `a_segment.png` may be one of those."""
    folder = picture if picture.is_dir() else picture.parent
    if folder.resolve() == output.resolve():
        raise ValueError(
            f"the answers would lie among the pictures in {folder}: name another folder with -o, as -o {output / 'out'}"
        )


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


def _pictures(path: Path) -> list[Path]:
    from ..imaging.image_files import EXTENSIONS
    from ..imaging.images import list_pictures

    if not path.exists():
        raise FileNotFoundError(f"there is no picture or folder {path}")
    if not path.is_dir():
        return [path]
    paths = list_pictures(path)
    if not paths:
        raise ValueError(f"the folder {path} holds no pictures ({', '.join(sorted(EXTENSIONS))})")
    return paths


def _stems(pictures: list[Path]) -> list[str]:
    """A name for each answer: the picture's without its ending, unless two would then be the same.

    Some systems take names for one that differ in capitals or in how an accent is written only. Of names so long that
    an answer's would be too long for a file, the start, and a hash of all of it.
    """
    shared = Counter(_as_file_name(p.stem) for p in pictures)
    used: set[str] = set()
    stems = []
    for path in pictures:
        plain = [path.stem] if shared[_as_file_name(path.stem)] == 1 else []
        numbered = (f"{path.name}-{number}" for number in count(2))
        names = (_shortened(name, path) for name in chain(plain, [path.name], numbered))
        stem = next(name for name in names if _as_file_name(name) not in used)
        used.add(_as_file_name(stem))
        stems.append(stem)
    return stems


def _shortened(stem: str, path: Path) -> str:
    if len(os.fsencode(stem)) <= LONGEST_STEM:
        return stem
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    return os.fsencode(stem)[: LONGEST_STEM - 20].decode(errors="ignore") + f"-{digest}"


def _as_file_name(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _subjects(arguments: argparse.Namespace) -> str | list[str] | None:
    """The subjects; a single argument is one text, which may list several."""
    subjects = getattr(arguments, "subjects", None)
    return subjects[0] if isinstance(subjects, list) and len(subjects) == 1 else subjects


def _ask(arguments: argparse.Namespace) -> Callable[[InstructDiffusion, Any, dict[str, Any]], Answer]:
    """The question as a function of a model, a picture and further options."""

    options = {**model_options(arguments), "preserve_source": not arguments.raw}
    subjects = _subjects(arguments)
    colors = getattr(arguments, "colors", None)

    def ask(model: InstructDiffusion, picture: Any, more: dict[str, Any]) -> Answer:
        words: Any = " ".join(getattr(arguments, "words", ()))
        if arguments.command != ASK:
            words = get_task(arguments.command).instruct(subjects, colors, picture=picture)
        answer = model.run(words, picture, **options, **more)
        assert not isinstance(answer, list)
        return answer

    return ask


def _answer(model: InstructDiffusion, ask: Callable[..., Answer], path: Path, rows: int | None) -> Answer:
    """The answer for one picture; a bar counts its steps where `rows` says how many a picture or tile takes."""
    from ..imaging.images import load_picture

    picture = load_picture(path)
    if rows is None:
        return ask(model, picture, {})
    with step_bar(rows) as listeners:
        return ask(model, picture, listeners)
