"""Model files on disk: found once, dated, and looked into without being loaded."""

from __future__ import annotations

import importlib
import json
import os
import struct
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def files(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.model_files", pack.__name__)


def model(folder: Path) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "unet" / "config.json").write_text("{}")
    return folder


def test_folders_are_found_by_their_path_below_the_root(files: ModuleType, tmp_path: Path) -> None:
    for name in ("a", "b/c", "a/inside"):
        model(tmp_path / "root" / name)
    assert files.find_folders([tmp_path / "root", tmp_path / "missing"]) == ["a", os.path.join("b", "c")]


def test_links_are_followed_and_a_ring_of_them_ends(files: ModuleType, tmp_path: Path) -> None:
    model(tmp_path / "elsewhere" / "m")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "ring").symlink_to(root)
    assert files.find_folders([root]) == [os.path.join("linked", "m")]


def test_a_fingerprint_changes_with_a_file_inside_a_folder(files: ModuleType, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    before = files.fingerprint(folder)
    assert files.fingerprint(folder) == before
    (folder / "unet" / "config.json").write_text('{"in_channels": 8}')
    assert files.fingerprint(folder) != before


def test_the_channels_are_read_from_the_header(files: ModuleType, tmp_path: Path) -> None:
    key = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({key: torch.zeros(32, 8, 3, 3)}, tmp_path / "m.SafeTensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "lora.sft")
    (tmp_path / "m.ckpt").write_bytes(b"")
    assert files.input_channels(files.read_header(tmp_path / "m.SafeTensors")) == 8
    assert files.input_channels(files.read_header(tmp_path / "lora.sft")) is None
    assert files.read_header(tmp_path / "m.ckpt") == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"<html>not found</html>", struct.pack("<Q", 4) + b"{{{{", struct.pack("<Q", 2) + b"[]"],
)
def test_what_is_no_safetensors_file_is_said(files: ModuleType, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="download it again"):
        files.read_header(tmp_path / "m.safetensors")


@pytest.mark.parametrize("header", [{}, {"model.diffusion_model.input_blocks.0.0.weight": {"shape": "x"}}])
def test_a_strange_header_is_no_crash(files: ModuleType, tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    assert files.input_channels(files.read_header(tmp_path / "m.safetensors")) is None


def test_what_the_package_wrote_about_a_checkpoint_is_read(files: ModuleType, tmp_path: Path) -> None:
    said = {"prediction_type": "v_prediction", "resolution": 256}
    save_file(
        {"x": torch.zeros(1)}, tmp_path / "m.safetensors", metadata={"instructdiffusion": json.dumps(said)}
    )
    save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors", metadata={"instructdiffusion": "{"})
    assert files.facts(files.read_header(tmp_path / "m.safetensors")) == said
    assert files.facts(files.read_header(tmp_path / "bad.safetensors")) == files.facts({}) == {}


def test_published_models_see_pictures_as_the_authors_show_them(files: ModuleType, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    assert files.folder_fit(folder) == "stretch"
    (folder / "model_index.json").write_text('{"_diffusers_version": "0.30"}')
    assert files.folder_fit(folder) == "authors"
    (folder / "instructdiffusion.json").write_text('{"fit": "aspect"}')
    assert files.folder_fit(folder) == "aspect"
    assert files.file_fit({}) == "authors"
    assert files.file_fit({"resolution": 256}) == "stretch" and files.file_fit({"fit": "aspect"}) == "aspect"
