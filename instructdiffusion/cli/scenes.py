"""scenes: made-up pictures with exact truth, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..utils.errors import UsageError


def add_parser(commands: Any) -> None:
    """Add the command."""
    text = "write made-up pictures with their truth drawn on"
    parser = commands.add_parser("scenes", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--task", required=True, help="segment, refer, keypoints, detect, ...")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; default: 0")
    parser.add_argument("--count", type=int, default=1, help="how many, of consecutive seeds; default: 1")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train", help="default: train")
    parser.add_argument("--level", type=int, choices=range(4), default=3, help="of difficulty; default: 3")
    parser.add_argument("--unseen", action="store_true", help="show pairs of words that training never does")
    parser.add_argument(
        "--size", type=int, default=64, help="shorter side in pixels, at least 32; default: 64"
    )
    parser.add_argument("--ratio", default="1:1", help="width to height, as 16:9; default: 1:1")
    parser.add_argument(
        "--extent", type=float, metavar="SHARE",
        help="ask for one thing whose longer side is so much of the shorter side, .05 to .95 (segment, refer, detect)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the scenes of the seeds."""
    from ..tasks import get_task
    from ..utils.files import check_writable

    task = get_task(arguments.task).name
    if arguments.count < 1 or arguments.seed < 0 or arguments.size < 32:
        raise UsageError("expected --count of at least 1, --seed of at least 0 and --size of at least 32")
    from ..datasets.synthetic import EXTENT_TASKS, UNSEEN_TASKS, ratio_size

    if arguments.unseen and (arguments.split == "train" or task not in UNSEEN_TASKS):
        raise UsageError(
            f"--unseen pairs are for --split val and test and the tasks {', '.join(UNSEEN_TASKS)}; "
            f"got {task} and {arguments.split}"
        )
    if arguments.extent is not None and (
        task not in EXTENT_TASKS or arguments.unseen or not 0.05 <= arguments.extent <= 0.95
    ):
        raise UsageError(
            f"--extent is from .05 to .95, for the tasks {', '.join(EXTENT_TASKS)} and without --unseen; "
            f"got {arguments.extent} and {task}"
        )
    size = ratio_size(arguments.ratio, arguments.size)
    check_writable(arguments.output)

    from ..datasets.synthetic.write import write_scenes

    seeds = range(arguments.seed, arguments.seed + arguments.count)
    write_scenes(
        task,
        seeds,
        arguments.output,
        split=arguments.split,
        size=size,
        level=arguments.level,
        unseen=arguments.unseen,
        extent=arguments.extent,
    )
    print(f"{len(seeds)} scene{'s' * (len(seeds) > 1)} for {task}: look in {arguments.output}")
    return 0
