"""The loaders of the restoration datasets pair our readers' pictures, pixel by pixel."""

from __future__ import annotations

import runpy
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's code, other people's warnings


def pixels(tensor):
    """uint8 [h, w, channels] of a tensor 0..1."""
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def as_the_authors_have_reds(folder):
    """REDS with blur/ and sharp/, and single pictures for validation, the clip in the name."""
    for split in ("train", "val"):
        for kind in ("blur", "sharp"):
            place = (folder / split / f"{split}_{kind}").rename(folder / split / kind)
            if split == "val":
                for clip in sorted(place.iterdir()):
                    for file in sorted(clip.iterdir()):
                        file.rename(place / f"{clip.name}_{file.name}")
                    clip.rmdir()


@pytest.mark.parametrize(
    ("name", "made_up", "kind", "splits"),
    [
        ("gopro", "gopro-flat", "GoPro", ("train", "test")),
        ("reds", "reds", "REDS", ("train", "val")),
        ("sidd", "sidd-cut", "SIDD", ("train", "val")),
        ("clwd", "clwd", "CLWD", ("train", "test")),
    ],
)
def test_the_authors(name, made_up, kind, splits, copied, opened, public, checkout, monkeypatch, same_window):
    """cientgu/InstructDiffusion's dataset/low_level, at the pictures' own size, so that they resize nothing."""
    folder = copied(made_up)
    if name == "reds":
        as_the_authors_have_reds(folder)
    module = public("InstructDiffusion", f"dataset.low_level.lowlevel_{name}", needs=["cv2"])
    monkeypatch.chdir(checkout("InstructDiffusion"))
    for split in splits:
        theirs = getattr(module, kind)(str(folder), split, size=120, flip_prob=0.0)
        reader = opened(name, folder, split)
        assert len(theirs) == len(reader)
        for index, record in reader.records():
            assert theirs.inp_filenames[index].endswith(reader.rows[index]["image"])
            same_window(theirs[index], record.image, record.target)


def test_wdnet(made, opened, public, tmp_path, monkeypatch):
    """MRUIL/WDNet's get_data.py, which wants dataset/CLWD/train/ where it is started, and six files a picture."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "CLWD").symlink_to(made("clwd"))
    module = public("WDNet", "get_data", needs=["cv2"])
    monkeypatch.chdir(tmp_path)
    theirs, reader = module.Getdata(), opened("clwd", made("clwd"))
    assert sorted(f"train/Watermarked_image/{n}.jpg" for n in theirs.ids) == [r["image"] for r in reader.rows]
    own = {row["image"].split("/")[-1]: record for row, (_, record) in zip(reader.rows, reader.records())}
    for index, number in enumerate(theirs.ids):
        marked, clean, *more = (pixels(tensor) for tensor in theirs[index])
        record = own[f"{number}.jpg"]
        assert (marked == record.image).all() and (clean == record.target).all()
        assert all(part.shape == record.image.shape for part in more)  # mask, balance, alpha, watermark
        changed = np.abs(marked.astype(int) - clean).max(2) > 40
        mask, _, alpha, mark = (part.max(2) > 0 for part in more)
        assert (mask | ~changed).all() and (alpha == mask).all() and (mark & mask).any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_mprnet(split, made, opened, public):
    """swz30/MPRNet's Deblurring/dataset_RGB.py."""
    module = public("MPRNet", "dataset_RGB", "Deblurring")
    folder = made("gopro-flat")
    theirs = module.DataLoaderVal(str(folder / split), {"patch_size": None})
    reader = opened("gopro", folder, split)
    assert len(theirs) == len(reader)
    for index, record in reader.records():
        clean, blurred, name = theirs[index]
        assert reader.rows[index]["image"].endswith(f"/{name}.png")
        assert (pixels(blurred) == record.image).all() and (pixels(clean) == record.target).all()


def test_mprnet_cuts_sidd(made, opened, checkout, public, tmp_path, monkeypatch):
    """swz30/MPRNet's Denoising/generate_patches_SIDD.py pairs the download's files and writes what our reader reads."""
    public("MPRNet", needs=["cv2"])
    joblib = ModuleType("joblib")
    joblib.Parallel, joblib.delayed = lambda n_jobs: list, lambda function: function
    natsort = ModuleType("natsort")
    natsort.natsorted = sorted
    for module in (joblib, natsort):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    cut = tmp_path / "cut"
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "generate_patches_SIDD.py",
            *("--src_dir", str(made("sidd") / "SIDD_Medium_Srgb" / "Data"), "--tar_dir", str(cut / "train")),
            *("--ps", "100", "--num_patches", "3", "--num_cores", "1"),
        ],
    )
    script = checkout("MPRNet") / "Denoising" / "generate_patches_SIDD.py"
    pairs = runpy.run_path(str(script), run_name="__main__")
    whole = opened("sidd", made("sidd"))
    base = made("sidd")
    assert pairs["noisy_files"] == [str(base / row["image"]) for row in whole.rows]
    assert pairs["clean_files"] == [str(base / row["target"]) for row in whole.rows]
    patches = opened("sidd", cut)
    assert len(patches) == 3 * len(whole)
    for index, record in patches.records():
        number = int(patches.rows[index]["image"].split("/")[-1].split("_")[0]) - 1
        full = whole.record(number)
        places = np.lib.stride_tricks.sliding_window_view(full.image, (100, 100, 3))[:, :, 0]
        (place,) = np.argwhere((places == record.image).all((2, 3, 4)))
        y, x = place
        assert (full.target[y : y + 100, x : x + 100] == record.target).all()
        with Image.open(patches.path(patches.rows[index]["image"])) as file:
            assert file.size == (100, 100)
