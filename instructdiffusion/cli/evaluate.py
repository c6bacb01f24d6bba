"""evaluate: measure a model; `evaluate scenes` on made-up pictures it has never seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the command and what can be evaluated on."""
    parser = commands.add_parser("evaluate", help="measure a model", description="Measure a model.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    scenes = kinds.add_parser("scenes", help="on made-up pictures that are kept for testing")
    scenes.add_argument(
        "--model", default="tiny", help="tiny (ships), a folder (./tiny for one of that name) or a hub id"
    )
    scenes.add_argument("--device", help="cpu, cuda, ...; default: cuda where there is one")
    scenes.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all")
    scenes.add_argument("--count", type=int, default=1000, help="scenes a task; default: 1000")
    scenes.add_argument("--steps", type=int, help="default: the model's for each task")
    scenes.add_argument("--solver", help="default: the model's for each task")
    scenes.add_argument("--schedule", help="default: the model's for each task")
    scenes.add_argument("--guidance", type=float, nargs=2, metavar=("TEXT", "IMAGE"), help="guidance scales")
    scenes.add_argument("--batch-size", type=int, default=64, help="default: 64")
    scenes.add_argument("--split", choices=("test", "val", "train"), default="test", help="default: test")
    scenes.add_argument("--seed", type=int, default=0, help="of the first scene; default: 0")
    scenes.add_argument(
        "--level", type=int, choices=range(4), default=3, help="of difficulty; default: 3, all"
    )
    scenes.add_argument(
        "--oracle",
        action="store_true",
        help="true answers through the autoencoder: what decoding alone costs",
    )
    scenes.add_argument("-o", "--output", type=Path, default=Path("out/evaluation"), metavar="FOLDER")
    scenes.set_defaults(run=run_scenes)


def run_scenes(arguments: argparse.Namespace) -> int:
    """Evaluate on scenes; prints a table and writes JSON and a picture sheet."""
    from ..files import check_writable
    from ..tasks import TASKS, get_task

    tasks = [get_task(name).name for name in arguments.tasks or TASKS]
    if arguments.count < 1 or arguments.batch_size < 1 or arguments.seed < 0:
        raise ValueError("expected --count and --batch-size of at least 1 and --seed of at least 0")
    check_writable(arguments.output)

    from ..evaluation.scenes import evaluate_scenes
    from ..pipeline import InstructDiffusion

    model = InstructDiffusion.from_pretrained(arguments.model, device=arguments.device)
    evaluate_scenes(
        model,
        tasks=tasks,
        count=arguments.count,
        output=arguments.output,
        steps=arguments.steps,
        solver=arguments.solver,
        schedule=arguments.schedule,
        guidance=None if arguments.guidance is None else tuple(arguments.guidance),
        batch_size=arguments.batch_size,
        split=arguments.split,
        seed=arguments.seed,
        level=arguments.level,
        oracle=arguments.oracle,
    )
    print(f"look in {arguments.output}")
    return 0
