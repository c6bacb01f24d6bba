"""Other people's loaders, run on the made-up copies: what they read and what our readers read must be the same.

PUBLIC_LOADERS names a folder of checkouts, each under the name that it has in `ADDRESSES` (a part of them will do: the
tests of the others are skipped). Their code is never part of this project. What they import and this project does not
is taken from the folder `site` in it, made by

    pip install --target $PUBLIC_LOADERS/site --no-deps einops opencv-python-headless h5py pandas python-dateutil six
    pip install --target $PUBLIC_LOADERS/site --no-deps mmengine addict yapf termcolor rich platformdirs json_tricks
    pip install --target $PUBLIC_LOADERS/site --no-deps munkres datasets dill xxhash multiprocess aiohttp

where it is not installed. Packages that a loader imports for what is not asked of it here (plots, networks) are stood
in for; so is torchvision where it is not installed, of which crops, mirroring and the step to a tensor are used.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import ImageFile

from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.datasets.readers import open_reader

ADDRESSES = {
    "InstructDiffusion": "https://github.com/cientgu/InstructDiffusion",
    "MPRNet": "https://github.com/swz30/MPRNet",
    "MagicBrush": "https://github.com/OSU-NLP-Group/MagicBrush",
    "MaskFormer": "https://github.com/facebookresearch/MaskFormer",
    "PhraseCutDataset": "https://github.com/ChenyunWu/PhraseCutDataset",
    "ReLA": "https://github.com/henghuiding/ReLA",
    "T2ONet": "https://github.com/jshi31/T2ONet",
    "WDNet": "https://github.com/MRUIL/WDNet",
    "detail-api": "https://github.com/zhanghang1989/detail-api",
    "gRefCOCO": "https://github.com/henghuiding/gRefCOCO",
    "inst-inpaint": "https://github.com/abyildirim/inst-inpaint",
    "instruct-pix2pix": "https://github.com/timothybrooks/instruct-pix2pix",
    "mmpose": "https://github.com/open-mmlab/mmpose",
    "refer": "https://github.com/lichengunc/refer",
}
UNASKED = (  # imported at the head of a loader, and not used by what is run of it
    *("matplotlib", "matplotlib.pyplot", "matplotlib.collections", "matplotlib.patches", "matplotlib.colors"),
    *("k_diffusion", "omegaconf", "stable_diffusion", "stable_diffusion.ldm", "stable_diffusion.ldm.util"),
    *("clip", "pyiqa", "pyiqa.utils", "pyiqa.utils.img_util", "gdown", "natsort"),
    *("fvcore", "fvcore.common", "fvcore.common.timer"),
    *("detectron2", "detectron2.structures", "detectron2.utils", "detectron2.utils.file_io"),
)


class RandomCrop:
    """torchvision's, always of the upper left."""

    def __init__(self, size):
        self.size = size

    def __call__(self, picture):
        return picture[..., : self.size, : self.size]


class RandomHorizontalFlip:
    """torchvision's, where nothing is mirrored."""

    def __init__(self, share):
        assert share == 0

    def __call__(self, picture):
        return picture


def to_tensor(picture):
    """A picture as a float tensor [channels, h, w], 0..1."""
    import torch

    values = np.array(picture)
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1) / 255


def transforms() -> dict[str, ModuleType]:
    """torchvision with the few transforms that the loaders use."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    top, middle, functional = (ModuleType(name) for name in names)
    functional.to_tensor = to_tensor
    middle.functional, middle.transforms = functional, middle
    middle.RandomCrop, middle.RandomHorizontalFlip = RandomCrop, RandomHorizontalFlip
    middle.ToTensor = lambda: to_tensor
    middle.Compose = lambda steps: steps[0]
    top.transforms, top.datasets = middle, None
    top.__spec__ = importlib.machinery.ModuleSpec("torchvision", None)
    return {**dict(zip(names, (top, middle, functional))), "torchvision.transforms.transforms": middle}


@pytest.fixture
def checkout():
    """name -> the folder of a checkout; the test is skipped where it is not there."""

    def get(name):
        if "PUBLIC_LOADERS" not in os.environ:
            pytest.skip("PUBLIC_LOADERS names no folder of checkouts")
        folder = Path(os.environ["PUBLIC_LOADERS"]).absolute() / name
        if not folder.is_dir():
            pytest.skip(f"PUBLIC_LOADERS holds no {name}, a checkout of {ADDRESSES[name]}")
        return folder

    return get


@pytest.fixture
def public(checkout, monkeypatch):
    """(checkout, module, folder below it, packages needed) -> the module (if any), forgotten after the test."""
    known, theirs, drawn = set(sys.modules), [], np.random.get_state()
    # What some of them set for the whole process is set back.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)

    def load(name, module=None, below="", needs=()):
        folder = checkout(name)
        monkeypatch.setattr(sys, "path", [str(folder / below), *sys.path, str(folder.parent / "site")])
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        for package in needs:
            pytest.importorskip(package, reason=f"{package}, which {name} imports, is not installed")
        stand_ins = {unasked: MagicMock() for unasked in UNASKED}
        if importlib.util.find_spec("torchvision") is None:
            stand_ins |= transforms()
        for package, stand_in in stand_ins.items():
            monkeypatch.setitem(sys.modules, package, stand_in)
        return module and importlib.import_module(module)

    yield load
    np.random.set_state(drawn)
    gc.collect()  # files that they leave open, while their warnings are ignored
    base = Path(os.environ.get("PUBLIC_LOADERS", ".")).absolute()
    folders = tuple(f"{base / name}/" for name in ADDRESSES)
    for name, found in [(n, vars(sys.modules[n])) for n in set(sys.modules) - known]:
        places = [found.get("__file__"), *list(found.get("__path__") or [])]
        # mmengine remembers what mmpose registers
        if any(f"{place}/".startswith(folders) for place in places) or name.startswith("mmengine"):
            theirs.append(name)
    for name in theirs:
        del sys.modules[name]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """name -> the folder of a made-up copy, written once."""
    base, known = tmp_path_factory.mktemp("published"), set()

    def get(name):
        if name not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "fsync", lambda descriptor: None)
                write_fixture(name, base / name)
            known.add(name)
        return base / name

    return get


@pytest.fixture
def copied(made, tmp_path):
    """name -> a copy of its own of a made-up copy, to change or for a loader that writes into it."""

    def get(name):
        return Path(shutil.copytree(made(name), tmp_path / "copy" / name))

    return get


@pytest.fixture
def opened(tmp_path):
    """(dataset, folder, split, task, options) -> our reader, without problems."""

    def get(name, folder, split="train", task=None, **options):
        reader = open_reader(name, folder, split, task, cache=tmp_path / "cache", **options)
        assert len(reader) and not reader.problems
        return reader

    return get


@pytest.fixture
def same_but_for_outlines():
    """(mask, mask): they differ at most by the pixels on either side of the outline, where rasterisers differ."""

    def check(one, other):
        from scipy.ndimage import binary_dilation, binary_erosion

        one, other = np.asarray(one) > 0, np.asarray(other) > 0
        assert one.shape == other.shape and one.any() == other.any()
        around = np.ones((3, 3), bool)
        sure, possible = binary_erosion(other, around), binary_dilation(other, around)
        assert (one | ~sure).all() and (possible | ~one).all()

    return check


@pytest.fixture
def same_window():
    """(sample of a loader, picture, target): the sample's square is a window of both, at the same place."""

    def check(sample, picture, target):
        got = [
            (sample_part.permute(1, 2, 0).numpy() * 127.5 + 127.5).round().astype(np.uint8)
            for sample_part in (sample["edit"]["c_concat"], sample["edited"])
        ]
        side = got[0].shape[0]
        found = [
            (y, x)
            for y in range(picture.shape[0] - side + 1)
            for x in range(picture.shape[1] - side + 1)
            if all(
                (part == whole[y : y + side, x : x + side]).all()
                for part, whole in zip(got, (picture, target))
            )
        ]
        assert len(found) == 1, found
        y, x = found[0]
        return slice(y, y + side), slice(x, x + side)

    return check


class _Text(importlib.abc.InspectLoader):
    """A loader of a module whose text is in hand, and not that of its file."""

    def __init__(self, text):
        self.text = text

    def get_source(self, fullname):
        return self.text


@pytest.fixture
def load_text():
    """load_text(module, text): run a module's text in it, under the names that it has already."""
    return lambda module, text: _Text(text).exec_module(module)
