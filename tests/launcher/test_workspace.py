"""Which ComfyUI is started, and with which Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from instructdiffusion.launcher.workspace import config_file, find_python, find_workspace


def make(folder):
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("")
    return folder.resolve()


def configure(**settings):
    config_file().parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
    config_file().write_text(f"[DEFAULT]\n{lines}\n")


def test_what_is_named_comes_first(tmp_path):
    one, two, three = (make(tmp_path / name) for name in ("one", "two", "three"))
    configure(default_workspace=three)
    assert find_workspace(one, {"COMFYUI_PATH": str(two)}) == one
    assert find_workspace(None, {"COMFYUI_PATH": str(two)}) == two
    assert find_workspace(None, {"COMFYUI_PATH": ""}) == three


def test_the_folder_may_hold_it(tmp_path):
    inner = make(tmp_path / "ws" / "ComfyUI")
    assert find_workspace(tmp_path / "ws", {}) == inner


@pytest.mark.parametrize("by", ["--workspace", "COMFYUI_PATH"])
def test_a_wrong_name_is_an_error_even_where_another_is_there(by, tmp_path):
    configure(default_workspace=make(tmp_path / "there"))
    given = tmp_path / "not there"
    with pytest.raises(FileNotFoundError, match=f"{by} names .*not there"):
        find_workspace(
            given if by == "--workspace" else None,
            {"COMFYUI_PATH": str(given)} if by != "--workspace" else {},
        )


def test_comfy_clis_settings_in_their_order(tmp_path):
    configure(default_workspace=tmp_path / "deleted", recent_workspace=make(tmp_path / "50%"))
    assert find_workspace(None, {}) == tmp_path / "50%"
    configure(default_workspace=make(tmp_path / "default"), recent_workspace=tmp_path / "50%")
    assert find_workspace(None, {}) == tmp_path / "default"


def test_broken_settings_are_passed_over_and_it_is_said_how_to_get_one():
    config_file().parent.mkdir(parents=True)
    config_file().write_text("nonsense")
    with pytest.raises(FileNotFoundError) as error:
        find_workspace(None, {})
    assert "git clone" in str(error.value) and "--workspace" in str(error.value)


def test_where_comfy_cli_installs(tmp_path):
    documents = Path("Documents") if sys.platform in ("win32", "darwin") else Path()
    place = make(Path.home() / documents / "comfy" / "ComfyUI")
    assert find_workspace(None, {}) == place


def test_the_python(tmp_path):
    inside = Path("Scripts/python.exe") if sys.platform == "win32" else Path("bin/python")
    assert find_python(tmp_path, {}) == Path(sys.executable)
    for name in ("venv", ".venv"):
        python = tmp_path / name / inside
        python.parent.mkdir(parents=True)
        python.write_text("")
        assert find_python(tmp_path, {}) == python
    assert find_python(tmp_path, {"COMFYUI_PYTHON": sys.executable}) == Path(sys.executable)
    with pytest.raises(FileNotFoundError, match="COMFYUI_PYTHON"):
        find_python(tmp_path, {"COMFYUI_PYTHON": str(tmp_path / "none")})
