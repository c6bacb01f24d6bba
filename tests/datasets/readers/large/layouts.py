"""Every form of a dataset that readers know, and what writes a large copy of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instructdiffusion.datasets.fixtures.pose_sets import AIC_NAMES, AP10K_NAMES, COCO_NAMES, CROWDPOSE_NAMES
from instructdiffusion.datasets.fixtures.segmentation_sets import (
    write_ade20k,
    write_ade20k_full,
    write_coco_stuff,
)

from .annotated import (
    clips,
    flat,
    maps,
    phrases_of,
    poses_of,
    referring,
    write_aic,
    write_blocks,
    write_context59,
    write_context459,
    write_groups,
    write_instances,
    write_mpii,
    write_sidd,
)
from .edited import (
    CELL,
    all_for,
    parquet_of,
    scenes_of,
    write_editing,
    write_gier,
    write_ieiw,
    write_ieiw_authors,
    write_ip2p,
    write_ip2p_zip,
    write_magicbrush,
)


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
        "coco", poses_of("annotations/person_keypoints_train2017.json", "train2017", COCO_NAMES), "keypoints"
    ),
    "coco-segment": Layout("coco", write_instances, "segment"),
    "coco-detect": Layout("coco", write_groups, "detect"),
    **{
        name: Layout(name, referring(name, refs, _COCO2014, _NAME2014))
        for name, refs in (
            ("refcoco", "refs(unc).p"),
            ("refcoco+", "refs(unc).p"),
            ("refcocog", "refs(umd).p"),
            ("grefcoco", "grefs(unc).json"),
        )
    },
    "refclef": Layout("refclef", referring("refclef", "refs(unc).p", "images/saiapr_tc-12", "{}.jpg")),
    "coco-stuff": Layout(
        "coco-stuff", maps("images/train2017", "annotations/train2017", small=write_coco_stuff)
    ),
    "crowdpose": Layout("crowdpose", poses_of("json/crowdpose_train.json", "images", CROWDPOSE_NAMES)),
    "mpii": Layout("mpii", write_mpii),
    "aic": Layout("aic", write_aic),
    "aic-coco": Layout(
        "aic", poses_of("annotations/aic_train.json", "keypoint_train_images_20170902", AIC_NAMES)
    ),
    "ade20k-150": Layout(
        "ade20k-150",
        maps(
            "ADEChallengeData2016/images/training",
            "ADEChallengeData2016/annotations/training",
            small=write_ade20k,
        ),
    ),
    "voc": Layout(
        "voc",
        maps(
            "VOCdevkit/VOC2012/JPEGImages",
            "VOCdevkit/VOC2012/SegmentationClass",
            listing="VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt",
        ),
    ),
    "pascal-context-59": Layout("pascal-context-59", write_context59),
    "pascal-context-59-list": Layout(
        "pascal-context-59",
        maps(
            "VOC2010/JPEGImages",
            "VOC2010/SegmentationClassContext",
            listing="VOC2010/ImageSets/SegmentationContext/train.txt",
        ),
    ),
    "phrasecut": Layout("phrasecut", phrases_of(True)),
    "phrasecut-sizes": Layout("phrasecut", phrases_of(False)),
    "gopro": Layout("gopro", clips("train/GOPR{:04d}/blur", "train/GOPR{:04d}/sharp", 100)),
    "gopro-flat": Layout("gopro", flat("train/input", "train/target")),
    "reds": Layout("reds", clips("train/train_blur/{:05d}", "train/train_sharp/{:05d}", 100)),
    "sidd": Layout("sidd", write_sidd),
    "sidd-cut": Layout("sidd", flat("train/input", "train/gt")),
    "sidd-blocks": Layout("sidd", write_blocks, split="val", most=1280),
    "clwd": Layout("clwd", flat("train/Watermarked_image", "train/Watermark_free_image")),
    "instructpix2pix": Layout("instructpix2pix", write_ip2p),
    "instructpix2pix-zip": Layout("instructpix2pix", write_ip2p_zip),
    "instructpix2pix-parquet": Layout(
        "instructpix2pix",
        parquet_of(
            "train-{:05d}.parquet",
            {
                "original_prompt": "three things",
                "original_image": CELL,
                "edit_prompt": "remove one",
                "edited_prompt": "two things",
                "edited_image": CELL,
            },
            all_for,
        ),
    ),
    "magicbrush": Layout("magicbrush", write_magicbrush),
    "magicbrush-parquet": Layout(
        "magicbrush",
        parquet_of(
            "train-{:05d}.parquet",
            {
                "img_id": "7",
                "turn_index": 1,
                "source_img": CELL,
                "instruction": "remove one",
                "target_img": CELL,
            },
            int,
        ),
    ),
    "gier": Layout("gier", write_gier),
    "gqa-inpaint": Layout("gqa-inpaint", scenes_of("train")),
    "gqa-inpaint-fixed": Layout("gqa-inpaint", scenes_of("test"), split="test"),
    "ieiw": Layout("ieiw", write_ieiw),
    "ieiw-authors": Layout("ieiw", write_ieiw_authors),
    "humanart": Layout(
        "humanart",
        poses_of(
            "HumanArt/annotations/training_humanart.json",
            "HumanArt/images/cartoon",
            COCO_NAMES,
            "HumanArt/images/cartoon/",
        ),
    ),
    "ap10k": Layout("ap10k", poses_of("annotations/ap10k-train-split1.json", "data", AP10K_NAMES)),
    "ade20k-847": Layout(
        "ade20k-847",
        maps(
            "ADE20K_2021_17_01/images/ADE/training/urban/street",
            "ADE20K_2021_17_01/images/ADE/training/urban/street",
            "_seg.png",
            small=write_ade20k_full,
        ),
    ),
    "pascal-context-459": Layout("pascal-context-459", write_context459),
    "editing": Layout("editing", write_editing, split="test"),
}
