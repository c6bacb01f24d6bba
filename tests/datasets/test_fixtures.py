"""The made-up copies have the form in which the datasets are published.

What stands here was written down from other people's records and loaders, named with each, and never from our
readers: a field that only our reader and our copy know would be found. The loaders themselves run in public_loaders/.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.datasets.readers import open_reader

NUMBER, LIST = (int, float), list
COCO_JOINTS = [
    *(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
    ),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
]
CROWDPOSE_JOINTS = [
    *(
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
    ),
    *("right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck"),
]
AIC_JOINTS = [
    *(
        "Right Shoulder",
        "Right Elbow",
        "Right Wrist",
        "Left Shoulder",
        "Left Elbow",
        "Left Wrist",
        "Right Hip",
    ),
    *("Right Knee", "Right Ankle", "Left Hip", "Left Knee", "Left Ankle", "Head top", "Neck"),
]
AP10K_JOINTS = [
    *(
        "left_eye",
        "right_eye",
        "nose",
        "neck",
        "root_of_tail",
        "left_shoulder",
        "left_elbow",
        "left_front_paw",
    ),
    *("right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw"),
    *("right_hip", "right_knee", "right_back_paw"),
]
IMAGE = {"id": int, "file_name": str, "height": int, "width": int}
PERSON = {
    "id": int,
    "image_id": int,
    "category_id": int,
    "bbox": LIST,
    "keypoints": LIST,
    "num_keypoints": int,
}
CATEGORY = {"id": int, "name": str, "supercategory": str, "keypoints": LIST, "skeleton": LIST}

# fixture and file -> fields of images, annotations and categories as they are in mmpose's tests/data (read at 759b39c)
POSE = {
    ("coco", "annotations/person_keypoints_*.json"): (  # coco/test_coco.json
        IMAGE, {**PERSON, "iscrowd": int, "area": NUMBER, "segmentation": LIST}, COCO_JOINTS,
    ),
    ("crowdpose", "json/*.json"): (  # crowdpose/test_crowdpose.json: no areas
        {**IMAGE, "crowdIndex": NUMBER}, {**PERSON, "iscrowd": int}, CROWDPOSE_JOINTS,
    ),
    ("aic", "annotations/*.json"): (IMAGE, PERSON, AIC_JOINTS),  # aic/test_aic.json: neither areas nor crowds
    ("ap10k", "annotations/*.json"): (  # ap10k/test_ap10k.json
        IMAGE, {**PERSON, "iscrowd": int, "area": NUMBER}, AP10K_JOINTS,
    ),
    ("humanart", "HumanArt/annotations/*.json"): (  # humanart/test_humanart.json: 21 names, 17 of them in `keypoints`
        IMAGE,
        {**PERSON, "iscrowd": int, "area": NUMBER, "keypoints_21": LIST, "num_keypoints_21": int},
        [*COCO_JOINTS, "left_finger", "right_finger", "left_toe", "right_toe"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base, done = tmp_path_factory.mktemp("published"), set()

    def get(name):
        if name not in done:
            write_fixture(name, base / name)
            done.add(name)
        return base / name

    return get


def assert_form(entry, fields):
    """The entry has these fields, of these kinds, and no other."""
    assert set(entry) == set(fields), set(entry) ^ set(fields)
    for name, kind in fields.items():
        assert isinstance(entry[name], kind), (name, entry[name])


@pytest.mark.parametrize(("name", "files"), list(POSE))
def test_pose(name, files, made):
    images, annotations, joints = POSE[name, files]
    found = sorted(made(name).glob(files))
    assert found
    for path in found:
        data = json.loads(path.read_text())
        for entry in data["images"]:
            assert_form(entry, images)
        for entry in data["annotations"]:
            assert_form(entry, annotations)
            assert len(entry["keypoints"]) == 3 * (17 if name == "humanart" else len(joints))
            assert len(entry["bbox"]) == 4
            assert entry["num_keypoints"] == sum(v > 0 for v in entry["keypoints"][2::3])
        for entry in data["categories"]:
            assert_form(entry, CATEGORY)
            assert entry["keypoints"] == joints
        if name == "humanart":
            assert all(entry["file_name"].startswith("HumanArt/images/") for entry in data["images"])
            assert all(len(entry["keypoints_21"]) == 63 for entry in data["annotations"])


def test_mpii(made):
    """mmpose's tests/data/mpii/test_mpii.json, which is HRNet's form."""
    for path in made("mpii").glob("annot/*.json"):
        for entry in json.loads(path.read_text()):
            assert_form(
                entry, {"image": str, "center": LIST, "scale": float, "joints": LIST, "joints_vis": LIST}
            )
            assert np.shape(entry["joints"]) == (16, 2) and set(entry["joints_vis"]) <= {0, 1}
            assert all(p == [-1, -1] for p, v in zip(entry["joints"], entry["joints_vis"]) if not v)


def test_ai_challenger(made):
    """The example of the competition's description (challenger.ai, keypoint): boxes are corners, flags 1, 2 and 3."""
    path = next(made("aic").rglob("keypoint_train_annotations_20170909.json"))
    for entry in json.loads(path.read_text()):
        assert_form(entry, {"image_id": str, "human_annotations": dict, "keypoint_annotations": dict})
        assert set(entry["human_annotations"]) == set(entry["keypoint_annotations"]) == {"human1", "human2"}
        for human, (x1, y1, x2, y2) in entry["human_annotations"].items():
            joints = np.reshape(entry["keypoint_annotations"][human], (14, 3))
            assert x1 < x2 and y1 < y2 and set(joints[:, 2]) <= {1, 2, 3}
            assert (joints[joints[:, 2] == 3, :2] == 0).all()


REF = {
    "ref_id": int,
    "image_id": int,
    "split": str,
    "file_name": str,
    "sent_ids": LIST,
    "sentences": LIST,
}
SENTENCE = {"sent_id": int, "sent": str, "raw": str, "tokens": LIST}
INSTANCE = {
    "id": int, "image_id": int, "category_id": int, "iscrowd": int, "bbox": LIST, "area": NUMBER, "segmentation": LIST,
}  # fmt: skip


@pytest.mark.parametrize("name", ["refcoco", "refcoco+", "refcocog", "refclef", "grefcoco"])
def test_expressions(name, made):
    """lichengunc/refer's README and refer.py; henghuiding/gRefCOCO's grefer.py: `ann_id` a list, [-1] for nothing."""
    folder = made(name) / name
    found = [pickle.loads(path.read_bytes()) for path in folder.glob("refs(*).p")]
    found += [json.loads(path.read_text()) for path in folder.glob("grefs(unc).json")]
    kind = LIST if name == "grefcoco" else int
    own = {**REF, "ann_id": kind, "category_id": kind} | ({"no_target": bool} if name == "grefcoco" else {})
    data = json.loads((folder / "instances.json").read_text())
    places = {"refclef": "images/saiapr_tc-12", "grefcoco": "images/train2014"}  # the APIs' IMAGE_DIR
    pictures = folder.parent / places.get(name, "images/mscoco/images/train2014")
    assert all((pictures / entry["file_name"]).is_file() for entry in data["images"])
    known = {entry["id"] for entry in data["annotations"]}
    assert found
    for ref in (entry for some in found for entry in some):
        assert_form(ref, own)
        for sentence in ref["sentences"]:
            assert_form(sentence, SENTENCE)
        assert [s["sent_id"] for s in ref["sentences"]] == ref["sent_ids"]
        numbers = ref["ann_id"] if name == "grefcoco" else [ref["ann_id"]]
        assert numbers == [-1] or set(numbers) <= known
    for entry in data["annotations"]:
        assert_form(entry, INSTANCE)
        # refer.py: polygons, or for RefClef a list of one compressed mask
        assert isinstance(entry["segmentation"][0], dict if name == "refclef" else list)


def test_phrases(made):
    """PhraseCutDataset's README: boxes xywh, Polygons[instance][polygon][point]."""
    fields = {
        "task_id": str, "image_id": int, "ann_ids": LIST, "instance_boxes": LIST, "Polygons": LIST, "phrase": str,
        "phrase_structure": dict,
    }  # fmt: skip
    for path in made("phrasecut").glob("refer_*.json"):
        for entry in json.loads(path.read_text()):
            assert_form(entry, fields)
            assert len(entry["Polygons"]) == len(entry["instance_boxes"])
            assert all(len(p) == 2 for some in entry["Polygons"] for polygon in some for p in polygon)
            parts = {
                "name": str,
                "attributes": LIST,
                "relation_ids": LIST,
                "relation_descriptions": LIST,
                "type": str,
            }
            assert_form(entry["phrase_structure"], parts)
            assert entry["phrase_structure"]["type"] in ("name", "attribute", "relation", "verbose")

    counted = json.loads((made("phrasecut") / "name_att_rel_count.json").read_text())
    assert_form(counted, {"cat": LIST, "att": LIST, "rel": LIST})  # phrase_handler.py
    fields = {"image_id": int, "coco_id": (int, type(None)), "flickr_id": (int, type(None))}
    for entry in json.loads((made("phrasecut") / "image_data_split.json").read_text()):  # file_paths.py
        assert_form(entry, {**fields, "width": int, "height": int, "url": str, "split": str})


def test_index_of_ade20k(made):
    """MaskFormer's prepare_ade20k_full_sem_seg.py: lists of files and of their folders, and its number of wall."""
    index = pickle.loads((made("ade20k-847") / "ADE20K_2021_17_01" / "index_ade20k.pkl").read_bytes())
    assert_form(index, {"filename": LIST, "folder": LIST})
    for name, folder in zip(index["filename"], index["folder"], strict=True):
        assert re.fullmatch(r"ADE_(?:train|val)_\d{8}\.jpg", name)
        assert (made("ade20k-847") / folder / name).is_file()
        with Image.open(made("ade20k-847") / folder / name.replace(".jpg", "_seg.png")) as file:
            values = np.asarray(file).astype(int)
        assert 2978 in values[..., 0] // 10 * 256 + values[..., 1]


def test_lists_of_classes(made):
    """nightrome/cocostuff labels.txt: 0 to 182; CSAILVision's objectInfo150.txt: tabs; 459 lines of Pascal Context."""
    lines = (made("coco-stuff") / "labels.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(n) for n in range(183)]
    assert lines[0] == "0: unlabeled" and lines[1] == "1: person" and lines[12] == "12: street sign"
    table = (made("ade20k-150") / "ADEChallengeData2016" / "objectInfo150.txt").read_text().splitlines()
    assert table[0].split("\t") == ["Idx", "Ratio", "Train", "Val", "Stuff", "Name"] and len(table) == 151
    assert len((made("pascal-context-459") / "labels.txt").read_text().splitlines()) == 459


def test_context59(made):
    """zhanghang1989/detail-api's detail/__init__.py: keys of trainval_merged.json, and ids among the 459."""
    data = json.loads((made("pascal-context-59") / "VOC2010" / "trainval_merged.json").read_text())
    wanted = {"images", "categories", "annos_segmentation", "annos_occlusion", "annos_boundary", "parts"}
    assert wanted <= set(data)
    assert {"image_id", "file_name", "phase", "height", "width"} <= set(data["images"][0])
    assert {"id", "image_id", "category_id", "segmentation", "parts"} <= set(data["annos_segmentation"][0])
    names = {entry["category_id"]: entry["name"] for entry in data["categories"]}
    assert names[2] == "aeroplane" and names[420] == "track"  # `eval_orders` has 2 and 420 among its 59


def test_edits(made):
    """instruct-pix2pix's edit_dataset.py and prompt.json; inst-inpaint's gqa_inpaint.py."""
    folder = made("instructpix2pix")
    for name, seeds in json.loads((folder / "seeds.json").read_text()):
        assert_form(
            json.loads((folder / name / "prompt.json").read_text()),
            {"input": str, "edit": str, "output": str},
        )
        assert all((folder / name / f"{seed}_{part}.jpg").is_file() for seed in seeds for part in (0, 1))
    folder = made("gqa-inpaint")
    fixed = json.loads((folder / "test_instructions.json").read_text())
    for image, scene in json.loads((folder / "test_scenes.json").read_text()).items():
        assert {"width", "height", "objects", "image_relative_positions"} <= set(scene)
        for number, entry in scene["objects"].items():
            assert_form(
                entry, {"name": str, "attributes": LIST, "bbox": LIST, "relations": LIST, "bidirected": bool}
            )
            assert scene["image_relative_positions"][number] in (
                "to the left",
                "to the center",
                "to the right",
            )
            if entry["bidirected"]:
                for place in ("images_inpainted", "masks"):
                    path = folder / place / image / f"{number}.jpg"
                    there = path.is_file()
                    if there:
                        with Image.open(path) as picture:
                            assert picture.mode == ("L" if place == "masks" else "RGB")
                    assert there == (f"i{image}-o{number}" in fixed)


def test_parquet(made):
    """The columns of the dataset cards timbrooks/instructpix2pix-clip-filtered and osunlp/MagicBrush."""
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, columns in {
        "instructpix2pix": {
            "original_image", "edited_image", "edit_prompt", "original_prompt", "edited_prompt",
        },
        "magicbrush": {"img_id", "turn_index", "source_img", "mask_img", "instruction", "target_img"},
    }.items():  # fmt: skip
        for path in made(f"{name}-parquet").rglob("*.parquet"):
            schema = parquet.read_schema(path)
            assert set(schema.names) == columns
            kinds = {"turn_index": "int32"}
            for column in (c for c in columns if not c.endswith(("_image", "_img"))):
                assert str(schema.field(column).type) == kinds.get(column, "string")
            for column in (
                c for c in columns if c.endswith(("_image", "_img"))
            ):  # as `datasets` stores pictures
                kinds = {field.name: str(field.type) for field in schema.field(column).type}
                assert kinds == {"bytes": "binary", "path": "string"}
                features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
                assert features[column] == {"_type": "Image"}


def test_instances(made):
    """cocodataset/cocoapi's pycocotools/coco.py: `annToRLE` takes polygons, or run lengths with their size."""
    for path in made("coco").glob("annotations/instances_*.json"):
        data = json.loads(path.read_text())
        sizes = {entry["id"]: [entry["height"], entry["width"]] for entry in data["images"]}
        for entry in data["images"]:
            assert_form(entry, IMAGE)
        for entry in data["categories"]:
            assert_form(entry, {"id": int, "name": str, "supercategory": str})
        for entry in data["annotations"]:
            found = entry["segmentation"]
            assert_form(entry, {**INSTANCE, "segmentation": (list, dict)})
            if isinstance(found, dict):
                assert_form(found, {"counts": LIST, "size": LIST})
                assert found["size"] == sizes[entry["image_id"]]
            else:
                assert not entry["iscrowd"] and all(len(p) % 2 == 0 and len(p) >= 6 for p in found)


def test_voc(made):
    """VOCdevkit's VOCinit.m and VOClabelcolormap.m: a palette whose colours are the bits of the number; 255 is void."""
    base = made("voc") / "VOCdevkit" / "VOC2012"
    for split in ("train", "val"):
        for name in (base / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split():
            assert re.fullmatch(r"\d{4}_\d{6}", name)
            with Image.open(base / "SegmentationClass" / f"{name}.png") as labels:
                with Image.open(base / "JPEGImages" / f"{name}.jpg") as picture:
                    assert picture.size == labels.size
                assert labels.mode == "P" and set(np.unique(labels)) <= {*range(21), 255}
                colors = np.reshape(labels.getpalette(), (-1, 3)).tolist()
            # torchvision's, gluoncv's and mmsegmentation's lists of VOC's colours
            assert colors[1] == [128, 0, 0] and colors[15] == [192, 128, 128] and colors[20] == [0, 64, 128]
            assert colors[0] == [0, 0, 0] and colors[255] == [224, 224, 192]


PAIRS = {  # fixture -> (damaged, clean, folders beside, names): places of files, with * for one part
    # SeungjunNah/DeepDeblur-PyTorch's README: GOPRO_Large/train/GOPR0372_07_00/, REDS/train/train_blur/000/
    "gopro": ("*/GOPR*/blur/*", "*/GOPR*/sharp/*", ("blur_gamma",), r"GOPR\d{4}_\d\d_\d\d/\w+/\d{6}\.png"),
    "reds": ("*/*_blur/*/*", "*/*_sharp/*/*", (), r"(?:train|val)_\w+/\d{3}/\d{8}\.png"),
    # the authors' dataset/low_level/lowlevel_*.py: the folders' pictures in the order of their names
    "gopro-flat": ("*/input/*", "*/target/*", (), r"(?:input|target)/.*\.png"),
    "sidd-cut": ("*/input/*", "*/gt/*", (), r"(?:input|gt)/.*\.png"),
    # WDNet's get_data.py and the authors' lowlevel_clwd.py
    "clwd": (
        "*/Watermarked_image/*", "*/Watermark_free_image/*", ("Mask", "Loss_balance", "Alpha", "Watermark"),
        r"\w+/\d+\.jpg",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name, made):
    folder = made(name)
    damaged, clean, beside, pattern = PAIRS[name]
    found, partners = (sorted(folder.glob(places)) for places in (damaged, clean))
    assert [p.name for p in found] == [p.name for p in partners] and found
    for path, partner in zip(found, partners):
        for file in (path, partner):
            assert re.search(f"/{pattern}$", file.as_posix())
        with Image.open(path) as one, Image.open(partner) as other:
            assert one.size == other.size and one.mode == other.mode == "RGB"
        for more in beside:
            (file,) = (path.parents[1] / more).glob(f"{path.stem}.*")
            with Image.open(file) as picture:
                assert picture.mode == "RGB"


def test_noise(made):
    """SIDD's ReadMe_sRGB.txt, two pairs a scene; NAFNet's scripts/data_preparation/sidd.py, blocks [n, m, h, w, 3]."""
    from scipy.io import loadmat

    folder = made("sidd")
    scenes = sorted((folder / "SIDD_Medium_Srgb" / "Data").iterdir())
    for scene in scenes:  # instance, scene, phone, ISO, shutter, temperature, light
        assert re.fullmatch(r"\d{4}_\d{3}_(?:GP|IP|S6|N6|G4)_\d{5}_\d{5}_\d{4}_[LNH]", scene.name)
        number = scene.name[:4]
        assert {p.name for p in scene.iterdir()} == {
            f"{number}_{kind}_SRGB_{shot}.PNG" for kind in ("NOISY", "GT") for shot in ("010", "011")
        }
    shapes = set()
    for name in ("ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb"):
        blocks = loadmat(folder / f"{name}.mat")[name]
        assert blocks.dtype == np.uint8 and blocks.ndim == 5 and blocks.shape[4] == 3
        shapes.add(blocks.shape)
    assert len(shapes) == 1


def test_sessions(made):
    """MagicBrush's edit_sessions.json as public evaluations walk it: images/<id>/<file>, a turn follows on the last."""
    for split in ("train", "dev", "test"):
        folder = made("magicbrush") / split
        for session, turns in json.loads((folder / "edit_sessions.json").read_text()).items():
            for place, turn in enumerate(turns):
                assert_form(turn, {"input": str, "mask": str, "output": str, "instruction": str})
                assert turn["input"] == (turns[place - 1]["output"] if place else f"{session}-input.png")
                assert turn["output"] == f"{session}-output{place + 1}.png"
                assert turn["input"].split("-")[0] == session
                assert all(
                    (folder / "images" / session / turn[k]).is_file() for k in ("input", "mask", "output")
                )


def test_requests(made):
    """jshi31/T2ONet's data/GIER/splits/val_sess_3.json, whose records are GIER.json's."""
    fields = {
        "input": str, "output": str, "segment": str, "palette": str, "request": str, "detailed_request": (str, float),
        "dataset": str, "workerId": str, "operator": dict, "expert_summary": LIST, "amateur_summary": LIST,
    }  # fmt: skip
    entries = json.loads((made("gier") / "GIER.json").read_text())
    for entry in entries:
        assert_form(entry, fields)
        assert isinstance(entry["detailed_request"], str) or np.isnan(entry["detailed_request"])
        assert entry["dataset"] in ("reddit", "zhopped")
        masks = json.loads((made("gier") / "masks" / f"{Path(entry['input']).stem}_mask.json").read_text())
        assert all(set(mask) == {"size", "counts"} for mask in masks)
        assert all(n < len(masks) for operator in entry["operator"].values() for n in operator["ids"])
        for operator in entry["operator"].values():
            assert_form(operator, {"local": bool, "ids": LIST})
            assert operator["local"] == bool(operator["ids"])
    kinds = {(bool(e["expert_summary"]), bool(e["amateur_summary"])) for e in entries}
    assert kinds == {
        (True, True),
        (False, True),
        (True, False),
    }  # the three there are among the 6,179 published
    assert any(isinstance(e["detailed_request"], float) for e in entries)


def test_requests_that_nobody_summarised_are_read_by_their_own_words(made, tmp_path):
    shutil.copytree(made("gier"), tmp_path / "gier")
    entries = json.loads((tmp_path / "gier" / "GIER.json").read_text())
    entries[2]["amateur_summary"].append("")
    entries[3]["expert_summary"] = []
    (tmp_path / "gier" / "GIER.json").write_text(json.dumps(entries))
    reader = open_reader("gier", tmp_path / "gier", cache=tmp_path)
    assert not reader.problems
    assert reader.rows[2]["instructions"] == ["take out the last thing"]
    assert reader.rows[3]["instructions"][0].startswith("Could somebody take the thing")
    assert reader.rows[0]["meta"]["operators"] == ["inpaint_obj", "contrast"]


def test_the_authors_list_of_edits_in_the_wild(made):
    """cientgu/InstructDiffusion's edit_zip_dataset.py, `IEIWDataset`: paths below one folder of another machine."""
    folder = made("ieiw-authors")
    entries = json.loads((folder / "meta_infov1.json").read_text())
    shared = os.path.commonpath([entry[key] for entry in entries for key in ("input", "edited")])
    for entry in entries:
        assert_form(entry, {"input": str, "edited": str, "instruction": str})
        for key in ("input", "edited"):
            below = Path(entry[key]).relative_to(Path(shared).parent)
            assert entry[key].startswith("/") and (folder / below).is_file()
