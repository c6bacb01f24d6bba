"""Large copies of the editing datasets: what an index asks for, no more."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from instructdiffusion.datasets.fixtures.edit_sets import _object

from .pieces import HEIGHT, WIDTH, jpegs, listed, put, touch


def all_for(count: int) -> int:
    """How many there are where nine tenths are for training."""
    return -(-count * 10 // 9)


def _seeds(count: int, each: int) -> Iterator[tuple[str, list[str]]]:
    for number in range(-(-all_for(count) // each)):
        yield f"{number:07d}", [str(1_000_000 + n) for n in range(each)]


def _kept(root: Path, count: int, each: int) -> None:
    names = (f"{name}/{seed}" for name, seeds in _seeds(count, each) for seed in seeds)
    put(root / "filtered_ids_ip2p.json", listed(json.dumps(name) for name in names))


def write_ip2p(root: Path, count: int) -> None:
    """InstructPix2Pix as folders of four pairs, all of them in the list of those to keep."""
    for name, seeds in _seeds(count, 4):
        touch(root / name, [f"{seed}_{n}.jpg" for seed in seeds for n in (0, 1)] + ["prompt.json"])
    put(root / "seeds.json", listed(_seeds(count, 4)))
    _kept(root, count, 4)


def write_ip2p_zip(root: Path, count: int) -> None:
    """InstructPix2Pix in 30 zips, all of it in the list of those to keep."""
    root.mkdir(parents=True)
    seeds = _seeds(count, 4)
    each = -(-all_for(count) // 4 // 30) or 1
    shard = 0
    while block := list(islice(seeds, each)):
        with zipfile.ZipFile(root / f"shard-{shard:02d}.zip", "w") as archive:
            for name, listed_seeds in block:
                for seed in listed_seeds:
                    archive.writestr(zipfile.ZipInfo(f"{name}/{seed}_0.jpg"), b"")
                    archive.writestr(zipfile.ZipInfo(f"{name}/{seed}_1.jpg"), b"")
                archive.writestr(zipfile.ZipInfo(f"{name}/prompt.json"), b"{}")
        shard += 1
    put(root / "seeds.json", listed(_seeds(count, 4)))
    _kept(root, count, 4)


def parquet_of(
    name: str, columns: dict[str, Any], total: Callable[[int], int]
) -> Callable[[Path, int], None]:
    """Parquet files of 10,000 rows in groups of 100."""

    def write(root: Path, count: int) -> None:
        import pyarrow
        import pyarrow.parquet

        (root / "data").mkdir(parents=True)
        left, number = total(count), 0
        while left:
            rows = min(left, 10_000)
            table = pyarrow.table({key: [value] * rows for key, value in columns.items()})
            pyarrow.parquet.write_table(table, root / "data" / name.format(number), row_group_size=100)
            left, number = left - rows, number + 1

    return write


CELL = {"bytes": b"\xff\xd8", "path": None}


def write_magicbrush(root: Path, count: int) -> None:
    """MagicBrush: sessions of two turns, a folder each."""

    def sessions() -> Iterator[str]:
        for number in range(-(-count // 2)):
            names = [f"{number}-{kind}.png" for kind in ("input", "output1", "output2")]
            touch(root / "train" / "images" / str(number), names)
            turns = [{"input": a, "mask": "m.png", "output": b} for a, b in zip(names, names[1:])]
            yield f'"{number}": ' + json.dumps(
                [{**turn, "instruction": "Take it away, please."} for turn in turns]
            )

    put(root / "train" / "edit_sessions.json", listed(sessions(), "{", "}"))


def write_gier(root: Path, count: int) -> None:
    """GIER: requests with all that its file says of them."""
    total = all_for(count)
    touch(root / "images", (f"{n}_{kind}.jpg" for n in range(total) for kind in ("in", "out")))
    said = {
        "request": "Could somebody take the thing on the right out of this? Thanks!",
        "detailed_request": "No additional information",
        "dataset": "zhopped",
        "workerId": "A1",
        "operator": {"inpaint_obj": {"local": True, "ids": [2, 5]}, "contrast": {"local": False, "ids": []}},
        "expert_summary": ["Remove the thing on the right.", "Take the right thing out."],
        "amateur_summary": ["take out the last thing", "delete the right one"],
    }
    entries = ({"input": f"{n}_in.jpg", "output": f"{n}_out.jpg", **said} for n in range(total))
    put(root / "GIER.json", listed(entries))


def scenes_of(split: str) -> Callable[[Path, int], None]:
    """GQA-Inpaint: two objects a photograph, each with a picture without it."""

    def write(root: Path, count: int) -> None:
        def scenes() -> Iterator[str]:
            for image in range(count // 2):
                numbers = [str(10_000_000 + 2 * image + n) for n in range(2)]
                touch(root / "images_inpainted" / str(image), (f"{number}.jpg" for number in numbers))
                relations = [{"name": "to the right of", "object": numbers[1]}]
                objects = {
                    numbers[0]: _object("ball", "yellow", [110, 30, 155, 85], relations),
                    numbers[1]: _object("cup", "blue", [60, 30, 100, 85]),
                }
                sides = dict(zip(numbers, ("to the right", "to the center")))
                scene = {
                    "width": WIDTH,
                    "height": HEIGHT,
                    "objects": objects,
                    "image_relative_positions": sides,
                }
                yield f'"{image}": ' + json.dumps(scene)

        touch(root / "images", (f"{n}.jpg" for n in range(count // 2)))
        put(root / f"{split}_scenes.json", listed(scenes(), "{", "}"))
        if split == "test":
            words = (
                f'"i{n // 2}-o{10_000_000 + n}": "remove the ball at the right of {n}"' for n in range(count)
            )
            put(root / "test_instructions.json", listed(words, "{", "}"))

    return write


def write_ieiw(root: Path, count: int) -> None:
    """IEIW: a line a pair, all of them in the list of those to keep."""
    total = all_for(count)
    touch(root / "pictures", (f"{n}_{kind}.png" for n in range(total) for kind in ("source", "target")))
    said = {
        "instruction": "Remove the red thing.",
        "source_caption": "three things",
        "target_caption": "two things",
    }
    lines = (
        json.dumps({"id": f"pair-{n}", **{k: f"pictures/{n}_{k}.png" for k in ("source", "target")}, **said})
        + "\n"
        for n in range(total)
    )
    put(root / "records.jsonl", lines)
    put(root / "kept.txt", (f"pair-{n}\n" for n in range(total)))


def write_ieiw_authors(root: Path, count: int) -> None:
    """IEIW's list by its authors."""
    total = all_for(count)
    touch(root / "set", (f"{n}_{kind}.png" for n in range(total) for kind in ("input", "edited")))
    entries = ({k: f"/somewhere/set/{n}_{k}.png" for k in ("input", "edited")} for n in range(total))
    put(
        root / "meta_infov1.json",
        listed({**entry, "instruction": "Remove the red thing."} for entry in entries),
    )


def write_editing(root: Path, count: int) -> None:
    """An editing benchmark."""
    touch(root / "pictures", jpegs(count))
    said = {
        "caption": "three things",
        "instruction": "Remove one.",
        "target_caption": "two things",
        "kind": "remove",
    }
    put(root / "benchmark.json", listed({"source": f"pictures/{name}", **said} for name in jpegs(count)))
