"""Large copies of the datasets of joints, masks, phrases and restored pictures: what an index asks for, no more."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .pieces import HEIGHT, WIDTH, jpegs, link, listed, put, tables, touch

_OUTLINE = [v + 0.25 for n in range(10) for v in (100 + 7 * n, 200 + 5 * (n % 8))]


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


def poses_of(path: str, folder: str, names: list[str], prefix: str = "") -> Callable[[Path, int], None]:
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


def referring(dataset: str, refs: str, folder: str, name: str) -> Callable[[Path, int], None]:
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


def maps(
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
    maps("VOC2010/JPEGImages", "trainval", ".mat", listing="VOC2010/ImageSets/Main/train.txt")(root, count)


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


def phrases_of(sizes: bool) -> Callable[[Path, int], None]:
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


def flat(damaged: str, clean: str) -> Callable[[Path, int], None]:
    """Two folders of pictures of the same names."""

    def write(root: Path, count: int) -> None:
        for folder in (damaged, clean):
            touch(root / folder, jpegs(count))

    return write


def clips(damaged: str, clean: str, each: int) -> Callable[[Path, int], None]:
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
