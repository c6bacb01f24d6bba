"""Model files on disk: found once, and dated without being loaded."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest


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


def test_published_models_see_pictures_as_the_authors_show_them(files: ModuleType, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    assert files.folder_resize_mode(folder) == "shortest_edge"
    (folder / "model_index.json").write_text('{"_diffusers_version": "0.30"}')
    assert files.folder_resize_mode(folder) == "authors"
    (folder / "instructdiffusion.json").write_text('{"resize_mode": "longest_edge"}')
    assert files.folder_resize_mode(folder) == "longest_edge"
    assert files.file_resize_mode({}) == "authors"
    assert files.file_resize_mode({"resolution": 256}) == "shortest_edge"
    assert files.file_resize_mode({"resize_mode": "stretch"}) == "stretch"


def test_the_old_key_of_the_release_before_is_read(files: ModuleType, tmp_path: Path) -> None:
    """A checkpoint's "fit": "stretch" was written whatever the model, in a folder's settings it was chosen."""
    folder = model(tmp_path / "m")
    with pytest.warns(DeprecationWarning, match="resize_mode"):
        assert files.file_resize_mode({"fit": "aspect"}) == "longest_edge"
        assert files.file_resize_mode({"fit": "stretch"}) == "shortest_edge"
        (folder / "instructdiffusion.json").write_text('{"fit": "stretch"}')
        assert files.folder_resize_mode(folder) == "stretch"
