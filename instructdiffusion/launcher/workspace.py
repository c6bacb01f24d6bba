"""Finding a ComfyUI on this machine, and the Python that it runs with."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_HOW = """\
To get one:
  git clone https://github.com/comfyanonymous/ComfyUI && pip install -r ComfyUI/requirements.txt
or, with comfy-cli:
  pip install comfy-cli && comfy install
Then name it with --workspace DIR or COMFYUI_PATH, or start it yourself and run this again."""


def find_workspace(option: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """The folder of a ComfyUI, the one with main.py in it.

    option: what --workspace says: that folder, or one that holds it as `ComfyUI`; then COMFYUI_PATH, read in
    the same way; then comfy-cli's default, the ComfyUI that this package lies in, comfy-cli's most recent, and
    the place where comfy-cli installs.
    FileNotFoundError where a folder that was named holds none, or none is found anywhere.
    """
    environment = os.environ if environment is None else environment
    places = [("--workspace", option), ("COMFYUI_PATH", environment.get("COMFYUI_PATH") or None)]
    for source, folder in places:
        if folder is not None:
            comfyui = _comfyui_in(Path(folder))
            if comfyui is None:
                raise FileNotFoundError(
                    f"{source} names {folder}, and there is no ComfyUI there (neither main.py nor ComfyUI/main.py)"
                )
            return comfyui
    tried = []
    for source, place in _places():
        comfyui = _comfyui_in(place)
        if comfyui is not None:
            return comfyui
        tried.append(f"{place} ({source})")
    raise FileNotFoundError(
        "no server answers and no ComfyUI was found to start: neither --workspace nor COMFYUI_PATH was given, and "
        f"there is none in {', '.join(tried)}.\n{_HOW}"
    )


def find_python(workspace: Path, environment: Mapping[str, str] | None = None) -> Path:
    """The Python that runs a ComfyUI: COMFYUI_PYTHON, else the workspace's own environment, else this one.

    FileNotFoundError where COMFYUI_PYTHON names no file.
    """
    environment = os.environ if environment is None else environment
    chosen = environment.get("COMFYUI_PYTHON")
    if chosen:
        python = Path(chosen).expanduser()
        if not python.is_file():
            raise FileNotFoundError(f"COMFYUI_PYTHON names {chosen}, and there is no such file")
        return python.absolute()
    inside = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
    places = [workspace / ".venv" / inside, workspace / "venv" / inside]
    places.append(workspace.parent / "python_embeded" / "python.exe")  # the portable build for Windows
    return next((place for place in places if place.is_file()), Path(sys.executable))


def config_file() -> Path:
    """Where comfy-cli keeps its settings on this system."""
    home = Path.home()
    if os.name == "nt":
        return home / "AppData" / "Local" / "comfy-cli" / "config.ini"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "comfy-cli" / "config.ini"
    return home / ".config" / "comfy-cli" / "config.ini"


def _places() -> Iterator[tuple[str, Path]]:
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(config_file(), encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError):
        settings = configparser.ConfigParser(interpolation=None)  # unreadable is as good as absent
    default, recent = (settings.defaults().get(f"{name}_workspace") for name in ("default", "recent"))
    if default:
        yield "comfy-cli's default", Path(default)
    for folder in Path(__file__).resolve().parents:
        if folder.name == "custom_nodes":
            yield "where this package lies", folder.parent
    if recent:
        yield "comfy-cli's most recent", Path(recent)
    documents = Path("Documents") if os.name == "nt" or sys.platform == "darwin" else Path()
    yield "where comfy-cli installs", Path.home() / documents / "comfy" / "ComfyUI"


def _comfyui_in(folder: Path) -> Path | None:
    folder = folder.expanduser()
    return next((f.resolve() for f in (folder, folder / "ComfyUI") if (f / "main.py").is_file()), None)
