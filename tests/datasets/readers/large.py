"""Copies of the datasets with as many records as asked for, to measure what their readers need.

Pictures are empty files where an index asks only whether they are there. By hand, from the repository's folder:

    PYTHONPATH=. python tests/datasets/readers/large.py --records 1000000 --folder /somewhere/large [LAYOUT ...]
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from instructdiffusion.datasets.fixtures.edits import _object
from instructdiffusion.datasets.fixtures.pose import AIC_NAMES, AP10K_NAMES, COCO_NAMES, CROWDPOSE_NAMES
from instructdiffusion.datasets.fixtures.segmentation import write_ade20k, write_ade20k_full, write_coco_stuff

HEIGHT, WIDTH = 480, 640
_LINKS = 30_000  # to one file: a file system takes no more than some
_OUTLINE = [v + 0.25 for n in range(16) for v in (100 + 7 * n, 200 + 5 * (n % 8))]


def touch(folder: Path, names: Iterable[str]) -> None:
    """Empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=place))
    finally:
        os.close(place)


def link(folder: Path, names: Iterable[str]) -> None:
    """Links to one small picture."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    first = ""
    for number, name in enumerate(names):
        if number % _LINKS == 0:
            first = str(folder / name)
            Image.new("RGB", (WIDTH, HEIGHT)).save(first, quality=20)
        else:
            os.link(first, folder / name)


def put(path: Path, text: Iterable[str]) -> None:
    """A text file, piece by piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as stream:
        stream.writelines(text)


def listed(entries: Iterable[Any], opening: str = "[", closing: str = "]") -> Iterator[str]:
    """The pieces of a JSON list."""
    yield opening
    for number, entry in enumerate(entries):
        yield (", " if number else "") + (entry if isinstance(entry, str) else json.dumps(entry))
    yield closing


def tables(**lists: Iterable[Any]) -> Iterator[str]:
    """The pieces of a JSON object of lists."""
    yield "{"
    for number, (key, entries) in enumerate(lists.items()):
        yield from listed(entries, f'{", " * bool(number)}"{key}": [')
    yield "}"


def jpegs(count: int) -> Iterator[str]:
    """Names as COCO has them."""
    return (f"{number:012d}.jpg" for number in range(count))


def _heads(count: int, name: str = "{:012d}.jpg") -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"id": number, "file_name": name.format(number), "height": HEIGHT, "width": WIDTH}


def _things(count: int, joints: int = 0, images: int = 0, kinds: int = 1) -> Iterator[dict[str, Any]]:
    points = [v for n in range(joints) for v in (100.5 + 9 * n, 200 + n, 2)]
    more = {"keypoints": points, "num_keypoints": joints} if joints else {"segmentation": [_OUTLINE]}
    for number in range(count):
        thing = {
            "id": 1_000_000 + number,
            "image_id": number % (images or count),
            "category_id": number % kinds,
        }
        yield {**thing, "iscrowd": 0, "bbox": [90.5, 190, 250, 60.25], "area": 15062.5, **more}


def _poses(path: str, folder: str, names: list[str], prefix: str = "") -> Callable[[Path, int], None]:
    """A person a picture, in COCO's format."""

    def write(root: Path, count: int) -> None:
        touch(root / folder, jpegs(count))
        kinds = [{"id": 0, "name": "person", "keypoints": names}]
        heads, things = _heads(count, prefix + "{:012d}.jpg"), _things(count, len(names))
        put(root / path, tables(images=heads, annotations=things, categories=kinds))

    return write


def write_instances(root: Path, count: int) -> None:
    """COCO's instances, a thing a picture."""
    touch(root / "train2017", jpegs(count))
    kinds = [{"id": n, "name": f"kind {n}"} for n in range(80)]
    things = _things(count, kinds=80)
    put(
        root / "annotations" / "instances_train2017.json",
        tables(images=_heads(count), annotations=things, categories=kinds),
    )


def write_groups(root: Path, count: int) -> None:
    """COCO's instances, a thousand kinds in every picture."""
    images = max(1, count // 1000)
    touch(root / "train2017", jpegs(images))
    kinds = [{"id": n, "name": f"kind {n}"} for n in range(1000)]
    things = (
        {**thing, "category_id": n // images} for n, thing in enumerate(_things(images * 1000, images=images))
    )
    put(
        root / "annotations" / "instances_train2017.json",
        tables(images=_heads(images), annotations=things, categories=kinds),
    )


def _refs(count: int, several: bool = False) -> Iterator[dict[str, Any]]:
    """Three sentences a ref, a ref an annotation, two annotations a picture; every word an object of its own."""
    for number in range(count // 3):
        sentences = []
        for place in range(3):
            words = f"left thing of {number} number {place}"
            sentence = {"tokens": words.split(), "raw": words.capitalize(), "sent_id": 3 * number + place}
            sentences.append({**sentence, "sent": words})
        own = 1_000_000 + number
        yield {
            "sent_ids": [s["sent_id"] for s in sentences],
            "file_name": f"COCO_train2014_{number // 2:012d}_{own}.jpg",
            "ann_id": [own] if several else own,
            "ref_id": number,
            "image_id": number // 2,
            "split": "train",
            "sentences": sentences,
            "category_id": 0,
        }


def _referring(dataset: str, refs: str, folder: str, name: str) -> Callable[[Path, int], None]:
    def write(root: Path, count: int) -> None:
        things = count // 3
        images = things // 2 + 1
        touch(root / folder, (name.format(n) for n in range(images)))
        kinds = [{"id": 0, "name": "thing"}]
        own = ({**thing, "image_id": n // 2} for n, thing in enumerate(_things(things)))
        tabled = tables(images=_heads(images, name), annotations=own, categories=kinds)
        put(root / dataset / "instances.json", tabled)
        if refs.endswith(".json"):
            put(root / dataset / refs, listed(_refs(count, several=True)))
            return
        with open(root / dataset / refs, "wb") as stream:
            pickle.dump(list(_refs(count)), stream, protocol=2)

    return write


def _maps(
    pictures: str,
    labels: str,
    suffix: str = ".png",
    small: Callable[..., Any] | None = None,
    listing: str = "",
) -> Callable[[Path, int], None]:
    """Pictures with label maps; small: what writes a small copy, for its names of classes."""

    def write(root: Path, count: int) -> None:
        if small is not None:
            small(root, np.random.default_rng(0))
            for folder in {pictures, labels}:
                shutil.rmtree(root / folder)
        names = [f"2008_{number:07d}" for number in range(count)]
        touch(root / pictures, (f"{name}.jpg" for name in names))
        touch(root / labels, (f"{name}{suffix}" for name in names))
        if listing:
            put(root / listing, (f"{name}\n" for name in names))

    return write


def write_context459(root: Path, count: int) -> None:
    """Pascal Context-459: .mat files by VOC's list."""
    put(root / "labels.txt", (f"{n}: thing{n}\n" for n in range(1, 460)))
    _maps("VOC2010/JPEGImages", "trainval", ".mat", listing="VOC2010/ImageSets/Main/train.txt")(root, count)


def write_context59(root: Path, count: int) -> None:
    """Pascal Context's JSON: two regions a picture."""
    touch(root / "VOC2010" / "JPEGImages", jpegs(count))
    heads = ({"image_id": head.pop("id"), **head, "phase": "train"} for head in _heads(count))
    kinds = [
        {"category_id": n, "name": name} for n, name in ((2, "aeroplane"), (25, "bird"), (400, "tree bark"))
    ]
    rle = {"size": [HEIGHT, WIDTH], "counts": [100, 200] * 20 + [HEIGHT * WIDTH - 6000]}
    parts = (
        {"id": n, "image_id": n // 2, "category_id": 2 + 23 * (n % 2), "segmentation": rle}
        for n in range(2 * count)
    )
    # As in the download: what was drawn stands before the pictures.
    put(
        root / "VOC2010" / "trainval_merged.json",
        tables(images=heads, annos_segmentation=parts, categories=kinds),
    )


def write_mpii(root: Path, count: int) -> None:
    """MPII: a person a picture."""
    touch(root / "images", jpegs(count))
    pose = {"joints": [[100.5 + n, 200] for n in range(16)], "joints_vis": [1] * 16, "scale": 1.5}
    people = ({"image": name, "center": [300, 200.5], **pose} for name in jpegs(count))
    put(root / "annot" / "train.json", listed(people))


def write_aic(root: Path, count: int) -> None:
    """AI Challenger's raw list: two people a picture, which is opened for its size."""
    base = root / "ai_challenger_keypoint_train_20170902"
    names = [f"{number:040x}" for number in range(count // 2)]
    link(base / "keypoint_train_images_20170902", (f"{name}.jpg" for name in names))
    people = {
        "human_annotations": {f"human{n}": [10, 20, 200, 300] for n in (1, 2)},
        "keypoint_annotations": {f"human{n}": [50, 60, 1] * 14 for n in (1, 2)},
    }
    entries = ({"image_id": name, **people} for name in names)
    put(base / "keypoint_train_annotations_20170909.json", listed(entries))


def _phrases(sizes: bool) -> Callable[[Path, int], None]:
    """A phrase a picture, with the list of sizes or with pictures that are opened for them."""

    def write(root: Path, count: int) -> None:
        (touch if sizes else link)(root / "images", (f"{n}.jpg" for n in range(count)))
        if sizes:
            heads = (
                {"image_id": n, "height": HEIGHT, "width": WIDTH, "split": "train"} for n in range(count)
            )
            put(root / "image_data_split3000.json", listed(heads))
        points = [[x, y] for x, y in zip(_OUTLINE[::2], _OUTLINE[1::2])]
        drawn = {"instance_boxes": [[90, 190, 250, 60]], "Polygons": [[points]], "phrase": "left red thing"}
        tasks = ({"task_id": f"{n}__0", "image_id": n, **drawn} for n in range(count))
        put(root / "refer_train.json", listed(tasks))

    return write


def _flat(damaged: str, clean: str) -> Callable[[Path, int], None]:
    """Two folders of pictures of the same names."""

    def write(root: Path, count: int) -> None:
        for folder in (damaged, clean):
            touch(root / folder, jpegs(count))

    return write


def _clips(damaged: str, clean: str, each: int) -> Callable[[Path, int], None]:
    """Folders of `each` frames; {} is the number of the folder."""

    def write(root: Path, count: int) -> None:
        for clip in range(-(-count // each)):
            names = [f"{n:08d}.png" for n in range(min(each, count - clip * each))]
            for folder in (damaged, clean):
                touch(root / folder.format(clip), names)

    return write


def write_sidd(root: Path, count: int) -> None:
    """SIDD: two pairs a scene."""
    for scene in range(-(-count // 2)):
        names = [f"{scene:07d}_{kind}_SRGB_{n:03d}.PNG" for n in (10, 11) for kind in ("NOISY", "GT")]
        touch(root / "SIDD_Medium_Srgb" / "Data" / f"{scene:07d}_S6", names)


def write_blocks(root: Path, count: int) -> None:
    """SIDD's validation blocks, of 256 pixels' side as they are; no more than there are, 1,280."""
    from scipy.io import savemat

    count = min(count, 1280)
    blocks = np.random.default_rng(0).integers(0, 255, (count // 32, 32, 256, 256, 3), np.uint8)
    for name in ("Gt", "Noisy"):
        root.mkdir(parents=True, exist_ok=True)
        packed = {f"Validation{name}BlocksSrgb": blocks}
        savemat(root / f"Validation{name}BlocksSrgb.mat", packed, do_compression=True)


def _all(count: int) -> int:
    """How many there are where nine tenths are for training."""
    return -(-count * 10 // 9)


def _seeds(count: int, each: int) -> Iterator[tuple[str, list[str]]]:
    for number in range(-(-_all(count) // each)):
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
    each = -(-_all(count) // 4 // 30) or 1
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


def _parquet(name: str, columns: dict[str, Any], total: Callable[[int], int]) -> Callable[[Path, int], None]:
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


_CELL = {"bytes": b"\xff\xd8", "path": None}


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
    total = _all(count)
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


def _scenes(split: str) -> Callable[[Path, int], None]:
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
    total = _all(count)
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
    total = _all(count)
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


@dataclass(frozen=True)
class Layout:
    """A form of a dataset: its reader, the part that is read, what writes a copy with a number of records."""

    dataset: str
    write: Callable[[Path, int], None]
    task: str | None = None
    split: str = "train"
    most: int | None = None  # records that there are in the world


_COCO2014 = "images/mscoco/images/train2014"
_NAME2014 = "COCO_train2014_{:012d}.jpg"
LAYOUTS: dict[str, Layout] = {
    "coco": Layout(
        "coco", _poses("annotations/person_keypoints_train2017.json", "train2017", COCO_NAMES), "keypoints"
    ),
    "coco-segment": Layout("coco", write_instances, "segment"),
    "coco-detect": Layout("coco", write_groups, "detect"),
    **{
        name: Layout(name, _referring(name, refs, _COCO2014, _NAME2014))
        for name, refs in (
            ("refcoco", "refs(unc).p"),
            ("refcoco+", "refs(unc).p"),
            ("refcocog", "refs(umd).p"),
            ("grefcoco", "grefs(unc).json"),
        )
    },
    "refclef": Layout("refclef", _referring("refclef", "refs(unc).p", "images/saiapr_tc-12", "{}.jpg")),
    "coco-stuff": Layout(
        "coco-stuff", _maps("images/train2017", "annotations/train2017", small=write_coco_stuff)
    ),
    "crowdpose": Layout("crowdpose", _poses("json/crowdpose_train.json", "images", CROWDPOSE_NAMES)),
    "mpii": Layout("mpii", write_mpii),
    "aic": Layout("aic", write_aic),
    "aic-coco": Layout(
        "aic", _poses("annotations/aic_train.json", "keypoint_train_images_20170902", AIC_NAMES)
    ),
    "ade20k-150": Layout(
        "ade20k-150",
        _maps(
            "ADEChallengeData2016/images/training",
            "ADEChallengeData2016/annotations/training",
            small=write_ade20k,
        ),
    ),
    "voc": Layout(
        "voc",
        _maps(
            "VOCdevkit/VOC2012/JPEGImages",
            "VOCdevkit/VOC2012/SegmentationClass",
            listing="VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt",
        ),
    ),
    "pascal-context-59": Layout("pascal-context-59", write_context59),
    "pascal-context-59-list": Layout(
        "pascal-context-59",
        _maps(
            "VOC2010/JPEGImages",
            "VOC2010/SegmentationClassContext",
            listing="VOC2010/ImageSets/SegmentationContext/train.txt",
        ),
    ),
    "phrasecut": Layout("phrasecut", _phrases(True)),
    "phrasecut-sizes": Layout("phrasecut", _phrases(False)),
    "gopro": Layout("gopro", _clips("train/GOPR{:04d}/blur", "train/GOPR{:04d}/sharp", 100)),
    "gopro-flat": Layout("gopro", _flat("train/input", "train/target")),
    "reds": Layout("reds", _clips("train/train_blur/{:05d}", "train/train_sharp/{:05d}", 100)),
    "sidd": Layout("sidd", write_sidd),
    "sidd-cut": Layout("sidd", _flat("train/input", "train/gt")),
    "sidd-blocks": Layout("sidd", write_blocks, split="val", most=1280),
    "clwd": Layout("clwd", _flat("train/Watermarked_image", "train/Watermark_free_image")),
    "instructpix2pix": Layout("instructpix2pix", write_ip2p),
    "instructpix2pix-zip": Layout("instructpix2pix", write_ip2p_zip),
    "instructpix2pix-parquet": Layout(
        "instructpix2pix",
        _parquet(
            "train-{:05d}.parquet",
            {
                "original_prompt": "three things",
                "original_image": _CELL,
                "edit_prompt": "remove one",
                "edited_prompt": "two things",
                "edited_image": _CELL,
            },
            _all,
        ),
    ),
    "magicbrush": Layout("magicbrush", write_magicbrush),
    "magicbrush-parquet": Layout(
        "magicbrush",
        _parquet(
            "train-{:05d}.parquet",
            {
                "img_id": "7",
                "turn_index": 1,
                "source_img": _CELL,
                "instruction": "remove one",
                "target_img": _CELL,
            },
            int,
        ),
    ),
    "gier": Layout("gier", write_gier),
    "gqa-inpaint": Layout("gqa-inpaint", _scenes("train")),
    "gqa-inpaint-fixed": Layout("gqa-inpaint", _scenes("test"), split="test"),
    "ieiw": Layout("ieiw", write_ieiw),
    "ieiw-authors": Layout("ieiw", write_ieiw_authors),
    "humanart": Layout(
        "humanart",
        _poses(
            "HumanArt/annotations/training_humanart.json",
            "HumanArt/images/cartoon",
            COCO_NAMES,
            "HumanArt/images/cartoon/",
        ),
    ),
    "ap10k": Layout("ap10k", _poses("annotations/ap10k-train-split1.json", "data", AP10K_NAMES)),
    "ade20k-847": Layout(
        "ade20k-847",
        _maps(
            "ADE20K_2021_17_01/images/ADE/training/urban/street",
            "ADE20K_2021_17_01/images/ADE/training/urban/street",
            "_seg.png",
            small=write_ade20k_full,
        ),
    ),
    "pascal-context-459": Layout("pascal-context-459", write_context459),
    "editing": Layout("editing", write_editing, split="test"),
}

_INDEX = """
import json, re, sys, time
from instructdiffusion.datasets.readers import open_reader

def status(field):
    return int(re.search(field + r":\\s+(\\d+) kB", open("/proc/self/status").read()).group(1))

name, root, split, task, cache, step = sys.argv[1:]
base, start = status("VmHWM"), time.perf_counter()
reader = open_reader(name, root, split, task or None, cache=cache)
seconds, peak, anonymous = time.perf_counter() - start, status("VmHWM"), status("RssAnon")
assert all(reader.rows[i]["id"] for i in range(0, len(reader), int(step)))
found = {"records": len(reader), "problems": len(reader.problems), "fresh": reader.fresh, "seconds": seconds}
found |= {"base": base, "peak": peak, "anonymous": anonymous, "first": [str(p) for p in reader.problems[:3]]}
found |= {"folder": str(reader._index.folder)}
"""
_REPORT = "print(json.dumps(found))"
# A worker waits for the others, so that all have the index open when each looks at what it holds.
_SHARE = """
print("ready", flush=True)
sys.stdin.readline()
for place in ("index", "own"):
    found[place] = dict.fromkeys(("Rss", "Pss"), 0)
inside = False
for line in open("/proc/self/smaps"):
    key, _, value = line.partition(":")
    if "-" in line.split()[0]:
        inside = found["folder"] in line
    elif key in ("Rss", "Pss"):
        found["index" if inside else "own"][key] += int(value.split()[0])
print(json.dumps(found), flush=True)
sys.stdin.readline()
"""


def _command(layout: Layout, code: str, root: Path, cache: Path, step: int) -> list[str]:
    arguments = [layout.dataset, str(root), layout.split, layout.task or "", str(cache), str(step)]
    return [sys.executable, "-c", _INDEX + code, *arguments]


def opened(layout: Layout, root: Path, cache: Path, step: int = 997) -> dict[str, Any]:
    """What a process of its own needs to open a copy: peak, base (both kB), seconds, records, problems.

    The peak is that of making the index, or of finding that it still holds; rows are read after that, one in `step`.
    """
    done = subprocess.run(_command(layout, _REPORT, root, cache, step), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def shared(layout: Layout, root: Path, cache: Path, workers: int = 4) -> list[dict[str, Any]]:
    """What each of some processes holds that all read the rows of one index: Rss and Pss (kB) of the index and else."""
    command = _command(layout, _SHARE, root, cache, 1)
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    try:
        found = []
        for say in ("ready", "report", "end"):
            for process in running:
                if say == "ready":
                    assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
                else:
                    process.stdin.write("\n")  # type: ignore[union-attr]
                    process.stdin.flush()  # type: ignore[union-attr]
                if say == "report":
                    found.append(json.loads(process.stdout.readline()))  # type: ignore[union-attr]
        return found
    finally:
        for process in running:
            process.communicate(timeout=60)


def main() -> None:
    """Write, index, open again and share one layout after the other; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layouts", nargs="*", choices=[*LAYOUTS, []], metavar="LAYOUT")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where copies are written, and deleted again"
    )
    given = parser.parse_args()
    print(
        "layout | records | peak MiB | seconds | opened again MiB | index MiB | Pss of it in 4 workers MiB | written s"
    )
    for name in given.layouts or LAYOUTS:
        layout, root, cache = LAYOUTS[name], given.folder / "data", given.folder / "cache"
        try:
            start = time.perf_counter()
            layout.write(root, given.records)
            written = time.perf_counter() - start
            made = opened(layout, root, cache)
            again = opened(layout, root, cache)
            parts = shared(layout, root, cache)
            index = parts[0]["index"]["Rss"]
            cells = [
                name,
                made["records"],
                made["peak"] >> 10,
                round(made["seconds"], 1),
                again["peak"] >> 10,
            ]
            cells += [
                index >> 10,
                sum(p["index"]["Pss"] for p in parts) / len(parts) // 1024,
                round(written, 1),
            ]
            print(
                " | ".join(map(str, cells)),
                *made["first"][:1],
                "" if not again["fresh"] else "STALE",
                flush=True,
            )
        finally:
            shutil.rmtree(given.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
