"""Make anew what is made from the nodes and from the model's answers, with a real ComfyUI (`server` says which).

python -m tests.comfyui.remake                       # the graphs of workflows/, and their thumbnails
python -m tests.comfyui.remake --scenes              # first choose the scenes (after the model was replaced)
python -m tests.comfyui.remake --docs segment keypoints guider    # and docs/NAME.jpg: the canvas after Run
python -m tests.comfyui.remake --snapshot            # and object_info.json (after a node's interface was changed)

--docs needs Chromium, its driver and selenium.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .client import Comfy
from .server import REPOSITORY, running

_WIDTH = 1600  # pixels of a picture in docs/


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", action="store_true")
    parser.add_argument("--candidates", type=int, default=64, help="scenes a task to choose from")
    parser.add_argument("--snapshot", action="store_true")
    parser.add_argument("--docs", nargs="+", metavar="NAME", default=[])
    options = parser.parse_args()
    if options.scenes:
        from . import scenes

        scenes.main(options.candidates)
    previews = ("--preview-method", "latent2rgb")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "comfyui", *previews) as comfy:
        write_graphs(comfy, options.snapshot)
        write_thumbnails(comfy)
        if options.docs:
            write_docs(comfy, options.docs, Path(folder) / "chromium")


def write_graphs(comfy: Comfy, snapshot: bool = False) -> None:
    """workflows/NAME.json and workflows/api/NAME.json; snapshot: object_info.json too."""
    from .graphs import written  # reads scenes.json, which may have been written just now
    from .snapshot import SNAPSHOT, ours

    info = comfy.call("/object_info")
    files = written(info)
    if snapshot:
        files[SNAPSHOT] = json.dumps(ours(info), indent=1) + "\n"
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(REPOSITORY), flush=True)


def write_thumbnails(comfy: Comfy) -> None:
    """workflows/NAME.jpg for every graph."""
    from .graphs import FOLDER, GRAPHS
    from .thumbnails import thumbnail

    for name in GRAPHS:
        graph = json.loads((FOLDER / "api" / f"{name}.json").read_text(encoding="utf-8"))
        file = FOLDER / f"{name}.jpg"
        thumbnail(comfy, graph).save(file, quality=88)
        print(file.relative_to(REPOSITORY), flush=True)


def write_docs(comfy: Comfy, names: Sequence[str], profile: Path) -> None:
    """docs/NAME.jpg: the page with the whole graph after Run."""
    from ..browser.canvas import drop, open_page, picture, press_run, window
    from .graphs import GRAPHS, PREVIEWED

    with window(profile) as browser:
        open_page(browser, comfy)
        for name in names:
            # Of a graph that it ran already ComfyUI shows the last nodes only: it has to forget the thumbnails.
            comfy.call("/free", {"unload_models": True, "free_memory": True})
            time.sleep(1.0)
            drop(browser, name)
            press_run(browser, previews=sum(node.kind in PREVIEWED for node in GRAPHS[name].nodes))
            page = picture(browser)
            height = round(page.height * _WIDTH / page.width)
            file = REPOSITORY / "docs" / f"{name}.jpg"
            file.parent.mkdir(exist_ok=True)
            page.resize((_WIDTH, height), Image.Resampling.LANCZOS).save(file, quality=85)
            print(file.relative_to(REPOSITORY), flush=True)


if __name__ == "__main__":
    main()
