"""data: datasets on disk; `data check` validates one, `data fixtures` writes made-up copies of the layouts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..utils.errors import UsageError


def add_parser(commands: Any) -> None:
    """Add the command and what can be done."""
    text = "check a dataset on disk, or write made-up ones to try"
    parser = commands.add_parser("data", help=text, description=text[0].upper() + text[1:] + ".")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")

    check = kinds.add_parser("check", help="count, validate, list what is broken, draw samples")
    check.add_argument("folder", type=Path, metavar="DIR", help="the dataset's folder")
    check.add_argument(
        "--dataset", metavar="NAME", help="refcoco, coco, ...; default: all that DIR is a layout of"
    )
    check.add_argument("--split", help="default: all that are there")
    check.add_argument("--task", help="default: all that the dataset is read for")
    check.add_argument(
        "--images", type=Path, metavar="FOLDER", help="pictures that lie apart from the annotations"
    )
    check.add_argument("--limit", type=int, help="read only so many records a part, evenly spread")
    check.add_argument("--samples", type=int, default=6, help="records a part on the sheet; default: 6")
    check.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where indices go; default: your cache folder"
    )
    check.add_argument("-o", "--output", type=Path, default=Path("out/data"), metavar="FOLDER")
    check.set_defaults(run=run_check)

    fixtures = kinds.add_parser("fixtures", help="write a tiny made-up copy of each layout")
    fixtures.add_argument("folder", type=Path, metavar="DIR", help="each layout becomes a folder in it")
    fixtures.add_argument("--dataset", metavar="NAME", help="default: all")
    fixtures.add_argument("--seed", type=int, default=0, help="default: 0")
    fixtures.set_defaults(run=run_fixtures)


def run_check(arguments: argparse.Namespace) -> int:
    """Check a dataset; the exit status is 1 where anything is broken, there by half, or there is nothing."""
    from tqdm import tqdm

    from ..datasets.readers import READERS, LayoutMissing, open_reader, reader_named
    from ..datasets.readers.check import check_part, half_report, report_table, sheet, survey
    from ..utils.files import check_writable, json_bytes, png_bytes, write_files
    from ..utils.terminal import printable

    if (arguments.limit is not None and arguments.limit < 1) or arguments.samples < 0:
        raise UsageError("expected --limit of at least 1 and --samples of at least 0")
    if not arguments.folder.is_dir():
        raise LayoutMissing(f"there is no folder {arguments.folder}: name the folder of a dataset")
    names = [arguments.dataset] if arguments.dataset else list(READERS)
    for name in names:
        reader_named(name)

    def asked(split: str, task: str) -> bool:
        return arguments.split in (None, split) and arguments.task in (None, task)

    entries = {}
    for name, (whole, half) in survey(arguments.folder, names, arguments.images).items():
        parts = [part for part in whole if asked(*part)]
        halves = [part for part in half if asked(*part[:2])]
        if parts or halves:
            entries[name] = parts, halves
    if not entries:
        if arguments.dataset:  # the reader says what it looked for
            reader = reader_named(arguments.dataset)
            split = arguments.split or reader.splits[0]
            open_reader(arguments.dataset, arguments.folder, split, arguments.task, images=arguments.images)
        raise LayoutMissing(
            f"{arguments.folder} is not laid out as any of {', '.join(READERS)}: name one with --dataset "
            "to hear what is missing"
        )
    check_writable(arguments.output)
    broken = 0
    for name, (parts, halves) in entries.items():
        reports = [half_report(arguments.folder, *half) for half in halves]
        for split, task in parts:
            options = {"images": arguments.images, "cache": arguments.cache, "remake": True}
            reader_of_part = open_reader(name, arguments.folder, split, task, **options)
            total = min(len(reader_of_part), arguments.limit or len(reader_of_part))
            with tqdm(total=total, desc=f"{name} {split} {task}", unit="record", disable=None) as bar:
                reports.append(
                    check_part(
                        reader_of_part, limit=arguments.limit, samples=arguments.samples, tick=bar.update
                    )
                )
        data = {"dataset": name, "folder": str(arguments.folder), "parts": [r.to_dict() for r in reports]}
        stem = arguments.output / name
        write_files({f"{stem}.json": json_bytes(data), f"{stem}.png": png_bytes(sheet(reports))})
        print(printable(report_table(name, arguments.folder, reports)))
        broken += sum(len(r.broken) for r in reports)
    print(f"look in {arguments.output}")
    return 1 if broken else 0


def run_fixtures(arguments: argparse.Namespace) -> int:
    """Write made-up copies."""
    from ..datasets.fixtures import FIXTURES, write_fixture

    names = [arguments.dataset] if arguments.dataset else list(FIXTURES)
    if arguments.seed < 0:
        raise UsageError("expected --seed of at least 0")
    left_out = []
    for name in names:
        try:
            counts = write_fixture(name, arguments.folder / name, arguments.seed)
        except ModuleNotFoundError as error:
            if arguments.dataset:
                raise
            left_out.append(f"{name}: left out, {error.name} is not installed")
            continue
        records = ", ".join(f"{split} {task}: {count}" for (split, task), count in counts.items())
        print(f"{arguments.folder / name}: {records}")
    for line in left_out:
        print(line)
    return 0
