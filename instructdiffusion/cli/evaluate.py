"""evaluate: measure a model; `evaluate scenes` on made-up pictures it has never seen, the others on datasets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..utils.errors import UsageError
from .answer import DECODER, MODEL
from .old_flags import OldFlag

# As in evaluation.benchmarks, which a test holds; importing that here would make every command slow.
DATASETS = {
    "coco": "joints of people, OKS AP",
    "humanart": "joints of people in art, OKS AP",
    "ap10k": "joints of animals that people have too, OKS AP",
    "grefcoco": "phrases that mean one thing, several or none; cIoU, gIoU, N-acc, T-acc",
    "refcoco": "phrases, cIoU",
    "refcoco+": "phrases without words of place, cIoU",
    "refcocog": "long phrases (G-Ref), cIoU",
    "refclef": "phrases on photographs of places, cIoU",
    "ade20k-847": "847 classes, mcIoU",
    "pascal-context-459": "459 classes, mcIoU",
    "ade20k-150": "150 classes, mcIoU (or: ade20k)",
    "pascal-context-59": "59 classes, mcIoU (or: pascal-context)",
    "voc": "20 classes, mcIoU",
    "coco-stuff": "171 classes, mcIoU",
    "gopro": "motion blur, PSNR",
    "sidd": "camera noise, PSNR",
    "clwd": "watermarks, PSNR",
    "editing": "instructions in words, CLIP-Sim and aesthetic score",
    "coco-boxes": "boxes of 80 categories, box AP",
}
ALIASES = {
    "ade20k-150": ["ade20k"], "pascal-context-59": ["pascal-context"], "coco-stuff": ["cocostuff"],
    "refcocog": ["g-ref"],
}  # fmt: skip


def add_parser(commands: Any) -> None:
    """Add the command and what can be evaluated on."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a model",
        description="Measure a model. With several processes: accelerate launch -m instructdiffusion evaluate ... "
        "(on CPUs: torchrun --nproc_per_node N -m instructdiffusion evaluate ...).",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    scenes = kinds.add_parser("scenes", help="on made-up pictures that are kept for testing")
    _add_model(scenes)
    scenes.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all")
    scenes.add_argument("--count", type=int, default=1000, help="scenes a task; default: 1000")
    _add_asking(scenes, batch=64)
    _add_scales(scenes)
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
    scenes.add_argument(
        "--ratios", nargs="*", metavar="RATIO",
        help="also scenes of other shapes than the square, drawn so, width to height; default: 1:1 (to compare with) "
        "4:3 3:2 16:9 9:16 2:1, and none with --oracle; without a value: none",
    )  # fmt: skip
    scenes.add_argument(
        "--extents", nargs="*", type=float, metavar="SHARE",
        help="also things whose longer side is such a share of the picture's shorter one (segment, refer, detect); "
        "default: .06 .08 .12 .16 .22 .4 .69 .85 .95, and none with --oracle; without a value: none",
    )  # fmt: skip
    scenes.add_argument(
        "--ratio-count", type=int, metavar="COUNT",
        help="scenes a task and ratio, and a task and extent; default: a fifth of --count, 200",
    )  # fmt: skip
    scenes.add_argument("-o", "--output", type=Path, default=Path("out/evaluation"), metavar="FOLDER")
    scenes.set_defaults(run=run_scenes)

    every = kinds.add_parser("all", help="on every dataset that is there, with the paper's tables")
    every.add_argument("--suite", choices=("paper",), default="paper", help="the paper's tables 2 to 6")
    _add_data(every)
    every.set_defaults(run=run_datasets, names=None, split=None)
    for name, text in DATASETS.items():
        one = kinds.add_parser(name, aliases=ALIASES.get(name, []), help=text)
        one.add_argument(
            "--split", nargs="+", metavar="SPLIT", help="default: those of the paper that are there"
        )
        _add_data(one)
        one.set_defaults(run=run_datasets, names=[name])


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="tiny", help=MODEL)
    parser.add_argument("--device", help="cpu, cuda, ...; default: cuda where there is one")


def _add_asking(parser: argparse.ArgumentParser, batch: int) -> None:
    parser.add_argument("--steps", type=int, help="default: the model's for each task")
    parser.add_argument("--solver", help="default: the model's for each task")
    parser.add_argument("--schedule", help="default: the model's for each task")
    parser.add_argument("--guidance", type=float, nargs=2, metavar=("TEXT", "IMAGE"), help="guidance scales")
    parser.add_argument(
        "--batch", "--batch-size", dest="batch_size", type=int, default=batch, help=f"default: {batch}"
    )
    parser.add_argument("--decoder", **DECODER)
    parser.add_argument(
        "--upscale",
        type=float,
        help="restoration: make pictures so many times as large first, .25 to 4; default: the model's for each task",
    )
    parser.add_argument("--zoom", type=float, dest="upscale", action=OldFlag, new="--upscale")


def _add_scales(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scales", type=float, nargs="+", metavar="FACTOR",
        help="perception: see pictures at so many times the resolution, as 1 .5 2; default: the model's for each task",
    )  # fmt: skip


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the dataset's folder, or one around it"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="pictures that lie apart from the annotations"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where indices go; default: your cache folder"
    )
    _add_model(parser)
    parser.add_argument("--count", type=int, help="records a split, drawn by a fixed shuffle; default: all")
    _add_asking(parser, batch=16)
    parser.add_argument(
        "--resolution", type=int, help="side at which the model sees pictures; default: the model's"
    )
    parser.add_argument(
        "--present-only", action="store_true", help="classes: ask only for those that a picture shows"
    )
    parser.add_argument(
        "--lpips", action="store_true", help="restoration: LPIPS too (needs the package lpips)"
    )
    parser.add_argument(
        "--clip", metavar="NAME", help='editing: hub id or folder; "none" leaves CLIP-Sim out'
    )
    parser.add_argument("--aesthetic", type=Path, metavar="FILE", help="editing: LAION's predictor")
    parser.add_argument(
        "--giqa", nargs=2, metavar=("NETWORK", "REFERENCE"),
        help="editing: KNN-GIQA by a picture network (folder or hub id) to a reference (.npy or folder of pictures)",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first broken record; default: name it and go on"
    )
    parser.add_argument(
        "--cards", type=int, default=6, help="worst, best and random answers on the page; default: 6"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/evaluation"), metavar="FOLDER")


def run_scenes(arguments: argparse.Namespace) -> int:
    """Evaluate on scenes; prints a table and writes JSON, a picture sheet and a page."""
    from ..evaluation.breadth import breadth_of
    from ..evaluation.request import check_readable, check_upscale
    from ..tasks import TASKS, get_task
    from ..utils.files import check_writable

    tasks = [get_task(name).name for name in arguments.tasks or TASKS]
    if arguments.count < 1 or arguments.batch_size < 1 or arguments.seed < 0:
        raise UsageError("expected --count and --batch-size of at least 1 and --seed of at least 0")
    check_readable(tasks, arguments.decoder)
    check_upscale(tasks, arguments.upscale)
    usual: list[Any] | None = [] if arguments.oracle else None
    breadth = breadth_of(
        usual if arguments.ratios is None else arguments.ratios,
        usual if arguments.extents is None else arguments.extents,
        arguments.count,
        arguments.ratio_count,
    )
    check_writable(arguments.output)

    from ..evaluation.processes import started
    from ..evaluation.scene_benchmark import evaluate_scenes
    from ..pipeline import InstructDiffusion

    processes = started(arguments.device)
    device = arguments.device or processes.device
    model = InstructDiffusion.from_pretrained(arguments.model, device=device)
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
        decoder=arguments.decoder,
        upscale=arguments.upscale,
        scales=arguments.scales,
        breadth=breadth,
        processes=processes,
    )
    if processes.first:
        print(f"look in {arguments.output}")
    processes.close()
    return 0


def run_datasets(arguments: argparse.Namespace) -> int:
    """Evaluate on datasets; prints tables and writes JSON, Markdown and a page.

    The exit status is 1 where a record is broken or a question was not answered; with --strict the first one ends it.
    """
    from ..datasets.readers import LayoutMissing
    from ..evaluation.processes import started
    from ..evaluation.suite import Asking, evaluate_parts, find_parts, open_parts
    from ..utils.files import check_writable

    asking = Asking(
        steps=arguments.steps,
        solver=arguments.solver,
        schedule=arguments.schedule,
        guidance=None if arguments.guidance is None else tuple(arguments.guidance),
        resolution=arguments.resolution,
        decoder=arguments.decoder,
        upscale=arguments.upscale,
        count=arguments.count,
        batch_size=arguments.batch_size,
        cards=arguments.cards,
        strict=arguments.strict,
    )
    data: Path = arguments.data
    if not data.is_dir():
        raise LayoutMissing(f"there is no folder {data}: name the folder of the dataset with --data")
    whole = arguments.names is None
    parts, gaps = find_parts(data, arguments.names, arguments.images, arguments.split)
    if not parts:
        listed = "\n".join(f"  {column}: {why}" for column, why in gaps.items())
        raise LayoutMissing(f"{data} holds nothing to evaluate on:\n{listed}")
    check_writable(arguments.output)

    processes = started(arguments.device)
    device = arguments.device or processes.device
    benchmarks, more = open_parts(
        parts,
        arguments.images,
        arguments.cache,
        absent=not arguments.present_only,
        lpips=arguments.lpips,
        clip=arguments.clip,
        aesthetic=arguments.aesthetic,
        giqa=None if arguments.giqa is None else tuple(arguments.giqa),
        device=device,
        skip=whole,
        strict=arguments.strict,
    )

    from ..pipeline import InstructDiffusion

    model = InstructDiffusion.from_pretrained(arguments.model, device=device)
    outcome = evaluate_parts(
        model,
        benchmarks,
        arguments.output,
        asking,
        name=_shown(arguments),
        gaps={**gaps, **more},
        whole_tables=whole,
        processes=processes,
    )
    if processes.first:
        print(outcome.text())
        print(f"look in {arguments.output}: report.html shows answers")
    processes.close()
    return 0 if outcome.good else 1


def _shown(arguments: argparse.Namespace) -> str:
    steps = (
        "" if arguments.steps is None else f", {arguments.steps} step{'s' if arguments.steps != 1 else ''}"
    )
    some = "" if arguments.count is None else f", up to {arguments.count} records a split"
    return f"{Path(arguments.model).name}{steps}{some}"
