"""curve: quality against UNet evaluations for every task, and the defaults that follow from it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from ..utils.errors import UsageError
from .answer import MODEL


def add_parser(commands: Any) -> None:
    """Add the command."""
    text = "measure quality against UNet evaluations, and find the cheapest good settings of every task"
    parser = commands.add_parser("curve", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--model", default="tiny", help=MODEL)
    parser.add_argument("--device", help="cpu, cuda, ...; default: cuda where there is one")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all")
    parser.add_argument("--count", type=int, default=100, help="scenes a task; default: 100")
    parser.add_argument("--steps", type=int, nargs="+", metavar="N", help="default: 1 to 100, nine of them")
    parser.add_argument("--branches", type=int, nargs="+", choices=(1, 2, 3), help="default: all")
    parser.add_argument("--solvers", nargs="+", metavar="SOLVER", help="default: all of the curve")
    parser.add_argument(
        "--scales",
        nargs="+",
        metavar="TEXT,IMAGE",
        help='guidance scales, or "authors" for what they recommend for the task; default: 1.5,1',
    )
    parser.add_argument("--schedule", default="trailing", help="default: trailing")
    parser.add_argument("--split", choices=("test", "val", "train"), default="val", help="default: val")
    parser.add_argument("--seed", type=int, default=0, help="of the first scene; default: 0")
    parser.add_argument("--batch-size", type=int, default=64, help="default: 64")
    parser.add_argument(
        "--minutes",
        type=float,
        help="stop in time, the most telling cells first; run again to go on. Default: until all is measured",
    )
    parser.add_argument(
        "--journal", type=Path, metavar="FOLDER", help="keeps measured cells; default: the output folder"
    )
    parser.add_argument(
        "--keep", action="store_true", help="also take cells that another version of the code measured"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/curve"), metavar="FOLDER")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; writes curve.json, curve.md, curve.png and prints the defaults."""
    from ..tasks import TASKS, get_task

    tasks = [get_task(name).name for name in arguments.tasks or TASKS]
    scales = _scales(arguments.scales)
    if arguments.count < 1 or arguments.batch_size < 1 or arguments.seed < 0:
        raise UsageError("expected --count and --batch-size of at least 1 and --seed of at least 0")
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise UsageError("expected --minutes above 0")

    from ..evaluation.sweep import sweep as curves
    from ..evaluation.sweep.tables import summary, write_curve
    from ..pipeline import InstructDiffusion
    from ..utils.files import check_writable

    check_writable(arguments.output)
    model = InstructDiffusion.from_pretrained(arguments.model, device=arguments.device)
    curve = curves.measure_curve(
        model,
        arguments.journal or arguments.output,
        tasks,
        steps=arguments.steps or curves.STEPS,
        branches=arguments.branches or curves.BRANCHES,
        solvers=arguments.solvers,
        scales=curves.SCALES if scales is None else scales,
        schedule=arguments.schedule,
        count=arguments.count,
        batch_size=arguments.batch_size,
        split=arguments.split,
        seed=arguments.seed,
        minutes=arguments.minutes,
        keep=arguments.keep,
    )
    write_curve(curve, arguments.output, _command(arguments))
    print(summary(curve))
    print(f"look at {arguments.output / 'curve.png'}")
    return 0


def _command(arguments: argparse.Namespace) -> str:
    """The command line with every option that was given."""
    names = ("model", "tasks", "count", "steps", "branches", "solvers", "scales", "schedule", "split", "seed")
    words = ["instructdiffusion", "curve"]
    for name in (*names, "batch_size", "minutes", "journal", "output"):
        value = getattr(arguments, name)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
            words += [f"--{name.replace('_', '-')}", *texts]
    return shlex.join(words)


def _scales(texts: list[str] | None) -> list[Any] | None:
    """Pairs of numbers and "authors"; None where none were given."""
    if texts is None:
        return None
    out: list[Any] = []
    for text in texts:
        parts = text.split(",")
        try:
            out.append(text if text == "authors" else (float(parts[0]), float(parts[1])))
            if text != "authors" and len(parts) != 2:
                raise ValueError
        except (ValueError, IndexError):
            raise UsageError(f'expected --scales like 1.5,1 or "authors", got {text!r}') from None
    return out
