"""The graphs in workflows/, as code: `python -m tests.comfyui.remake` writes them, and a test holds the files to it.

The scenes that they ask about lie in scenes.json, chosen by `scenes` among those that the built-in model answers well.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from instructdiffusion.datasets.synthetic.vocabulary import CATEGORIES

from .graph_files import PREVIEWED, Graph, Node
from .scenes import SIZE

__all__ = ["FOLDER", "GRAPHS", "PREVIEWED", "written"]

FOLDER = Path(__file__).resolve().parents[2] / "workflows"
_SCENES = Path(__file__).with_name("scenes.json")


def _start(task: str, note: str, seed: int, count: int = 1) -> tuple[Graph, Node, Node]:
    graph = Graph(note)
    loader = graph.add("InstructLoader", 0)
    return graph, loader, graph.add("InstructScene", 1, task=task, seed=seed, count=count, size=SIZE)


def _ready(graph: Graph, scene: Node) -> Graph:
    """The graph with what the sampler says, and a Load Image, switched off, that takes the scene's place when it is on.

    Last, so that the numbers of the other nodes stay; off, because a ComfyUI has no picture that is sure to be there.
    """
    for sampler in [node for node in graph.nodes if node.kind == "InstructSampler"][:1]:
        told = any(node.title == "Message" for node in graph.nodes)
        title, column = ("About the question", 3) if told else ("Message", 4)
        graph.add("PreviewAny", column, title, source=(sampler, 2))
    own = graph.add("LoadImage", 0, "Your picture", off=True, image=EXAMPLE)
    scene.inputs["image"] = (own, 0)
    return graph


EXAMPLE = "example.png"  # in the input folder of a new ComfyUI
_OWN = """

**Your own picture**: drop it on the purple node *Your picture*, click that node and press **Ctrl+B** to switch it on \
(the same again: off){words}, and press Run. It may have any size and shape. Without a browser: \
`comfy --workflow workflows/{name}.json --image photo.png{subject}`."""
_WORDS = ", write what you are asking for into *Instruct Task*"
_KNOWS = f"""

**What it knows**: the built-in model *tiny* has learned drawn things only: {", ".join(CATEGORIES)}, and their parts, \
and faces. It does not know what is in photographs; noise, blur and watermarks it takes out of them too, and changes \
of the whole picture ("make it darker") work on them. For things in photographs, put the checkpoint of \
InstructDiffusion or instruct-pix2pix into `models/checkpoints` and choose it in *Instruct Loader*."""


def _explained(name: str, graph: Graph) -> Graph:
    """The graph with its note told to the end."""
    tasks = [node for node in graph.nodes if node.kind == "InstructTask"]
    if tasks:
        subject = str(tasks[0].inputs["subject"]).split("\n", 1)[0]
        words = _WORDS if subject else ""
        given = f' --subject "{subject}"' if subject else ""
        graph.note += _OWN.format(name=name, words=words, subject=given)
    graph.note += _KNOWS
    return graph


def _ask(graph: Graph, loader: Node, scene: Node, task: str, subject: str) -> tuple[Node, Node]:
    words = graph.add("InstructTask", 1, task=task, subject=subject, image=(scene, 0))
    sampler = graph.add(
        "InstructSampler", 2, model=(loader, 0), clip=(loader, 1), vae=(loader, 2), image=(scene, 0),
        instruction=(words, 0),
    )  # fmt: skip
    return words, sampler


def _read(graph: Graph, kind: str, scene: Node, edited: tuple[Node, int], words: Node, **more: Any) -> Node:
    return graph.add(kind, 3, source=(scene, 0), edited=edited, instruction=(words, 0), **more)


def masks(task: str, seed: int, subject: str, note: str, count: int = 1) -> Graph:
    """Ask for a mask, read it, save it."""
    graph, loader, scene = _start(task, note, seed, count)
    words, sampler = _ask(graph, loader, scene, task, subject)
    found = _read(graph, "MaskExtract", scene, (sampler, 0), words)
    picture = graph.add("MaskToImage", 4, mask=(found, 0))
    graph.add("PreviewAny", 4, "Message", source=(found, 3))
    graph.add("SaveImage", 5, "Mask", images=(picture, 0), filename_prefix=f"{task}_mask")
    graph.add("SaveImage", 5, "Overlay", images=(found, 1), filename_prefix=f"{task}_overlay")
    return _ready(graph, scene)


def points(task: str, seed: int, subject: str, note: str) -> Graph:
    """Ask for points, read them, show them."""
    graph, loader, scene = _start(task, note, seed)
    words, sampler = _ask(graph, loader, scene, task, subject)
    found = _read(graph, "KeypointExtract", scene, (sampler, 0), words)
    graph.add("SaveImage", 4, "Overlay", images=(found, 2), filename_prefix=f"{task}_overlay")
    graph.add("PreviewAny", 5, "Points", source=(found, 1))
    graph.add("PreviewAny", 5, "Message", source=(found, 3))
    return _ready(graph, scene)


def boxes(seed: int, subject: str, note: str) -> Graph:
    """Ask for boxes, read them, cut them out."""
    graph, loader, scene = _start("detect", note, seed)
    words, sampler = _ask(graph, loader, scene, "detect", subject)
    found = _read(graph, "MaskExtract", scene, (sampler, 0), words, per_object=True)
    box = graph.add(
        "BoxFromMask", 4, mask=(found, 0), masks_are="objects of one picture", label=(words, 2), image=(scene, 0),
        pictures=(found, 4),
    )  # fmt: skip
    graph.add("SaveImage", 5, "Boxes", images=(box, 4), filename_prefix="detect_overlay")
    graph.add("PreviewImage", 5, "Cut out", images=(box, 3))
    graph.add("PreviewAny", 5, "As data", source=(box, 0))
    return _ready(graph, scene)


def label(seed: int, subject: str, note: str) -> Graph:
    """Ask which category it is."""
    graph, loader, scene = _start("classify", note, seed)
    words, sampler = _ask(graph, loader, scene, "classify", subject)
    found = _read(graph, "ClassExtract", scene, (sampler, 0), words)
    graph.add("SaveImage", 4, "Category", images=(found, 2), filename_prefix="classify_overlay")
    graph.add("PreviewAny", 5, "Category", source=(found, 0))
    graph.add("PreviewAny", 5, "Scores", source=(found, 1))
    return _ready(graph, scene)


def picture(task: str, seed: int, subject: str, note: str) -> Graph:
    """Ask for a changed picture."""
    graph, loader, scene = _start(task, note, seed)
    _, sampler = _ask(graph, loader, scene, task, subject)
    graph.add("SaveImage", 3, "Answer", images=(sampler, 0), filename_prefix=task)
    graph.add("PreviewImage", 4, "Truth", images=(scene, 3))
    return _ready(graph, scene)


def native(seed: int, subject: str, note: str) -> Graph:
    """The guider among ComfyUI's own sampling nodes."""
    graph, loader, scene = _start("segment", note, seed)
    words = graph.add("InstructTask", 1, task="segment", subject=subject, image=(scene, 0))
    guider = graph.add(
        "InstructGuider", 2, model=(loader, 0), clip=(loader, 1), vae=(loader, 2), image=(scene, 0),
        instruction=(words, 0), resize_mode="task's own",
    )  # fmt: skip
    noise = graph.add("RandomNoise", 2, noise_seed=0)
    solver = graph.add("KSamplerSelect", 2, sampler_name="euler")
    sigmas = graph.add("BasicScheduler", 2, model=(loader, 0), scheduler="sgm_uniform", steps=1)
    sampler = graph.add(
        "SamplerCustomAdvanced", 3, noise=(noise, 0), guider=(guider, 0), sampler=(solver, 0), sigmas=(sigmas, 0),
        latent_image=(guider, 1),
    )  # fmt: skip
    decoded = graph.add("VAEDecode", 3, samples=(sampler, 0), vae=(loader, 2))
    found = graph.add("MaskExtract", 4, source=(scene, 0), edited=(decoded, 0), instruction=(words, 0))
    mask = graph.add("MaskToImage", 4, mask=(found, 0))
    graph.add("SaveImage", 5, "Mask", images=(mask, 0), filename_prefix="guider_mask")
    graph.add("PreviewImage", 5, "Drawn", images=(decoded, 0))
    graph = _ready(graph, scene)
    graph.add("PreviewAny", 4, "Message", source=(guider, 2))  # last: it came last
    return graph


def styled(seed: int, subject: str, note: str) -> Graph:
    """An edit with and without a LoRA, side by side."""
    graph, loader, scene = _start("edit", note, seed)
    words = graph.add("InstructTask", 1, task="edit", subject=subject)
    lora = graph.add("LoraLoaderModelOnly", 1, model=(loader, 0), lora_name="tiny-sepia.safetensors")
    for column, (model, title) in enumerate(((loader, "Plain"), (lora, "With the LoRA"))):
        sampler = graph.add(
            "InstructSampler", 2 + column, title, model=(model, 0), clip=(loader, 1), vae=(loader, 2),
            image=(scene, 0), instruction=(words, 0),
        )  # fmt: skip
        prefix = ("lora_without", "lora_with")[column]
        graph.add("SaveImage", 4, title, images=(sampler, 0), filename_prefix=prefix)
    return _ready(graph, scene)


def own(words: str, note: str) -> Graph:
    """A picture of one's own and plain words."""
    graph = Graph(note)
    image = graph.add("LoadImage", 0, image=EXAMPLE)
    loader = graph.add("InstructLoader", 0)
    sampler = graph.add(
        "InstructSampler", 1, model=(loader, 0), clip=(loader, 1), vae=(loader, 2), image=(image, 0), text=words
    )  # fmt: skip
    graph.add("SaveImage", 2, "Answer", images=(sampler, 0), filename_prefix="own_picture")
    graph.add("PreviewAny", 3, "Message", source=(sampler, 2))
    return graph


def _made(scenes: dict[str, Any]) -> dict[str, Graph]:
    """Every graph by name. scenes: name -> (seed of the scene, what is asked about it)."""
    made: dict[str, Graph] = {
        "segment": masks("segment", *scenes["segment"], "Every pixel of what you name, as a mask."),
        "refer": masks("refer", *scenes["refer"], "The one thing that a phrase describes, as a mask."),
        "keypoints": points(
            "keypoints", *scenes["keypoints"], "Joints of people and animals, one a line, up to five at once."
        ),
        "detect": boxes(*scenes["detect"], "A box around every thing that you name, for other packs."),
        "classify": label(
            *scenes["classify"], "Which of the categories fits, one a line; each is answered in a colour."
        ),
        "align": points(
            "align", *scenes["align"], "Landmarks of a face or parts of a thing, one a line, up to five at once."
        ),
        "denoise": picture("denoise", *scenes["denoise"], "Takes the noise out of a picture, at its own size."),
        "deblur": picture("deblur", *scenes["deblur"], "Takes the blur out of a picture, at its own size."),
        "dewatermark": picture(
            "dewatermark", *scenes["dewatermark"], "Takes a watermark off a picture; what it did not cover is kept."
        ),
        "edit": picture("edit", *scenes["edit"], "Changes what you say and keeps the rest."),
        "batch": masks(
            "segment", *scenes["batch"], "Four pictures at once; where there is none, the mask is empty.", 4
        ),
        "lora": styled(
            *scenes["edit"], "A LoRA on the built-in model: every edit also turns the picture sepia."
        ),
        "guider": native(*scenes["segment"], "The guidance alone, inside ComfyUI's own sampling nodes."),
        "own_picture": own(
            "make it darker",
            "Your own picture and plain words. Choose a picture in *Load Image* or drop one there, say in *Instruct "
            "Sampler* what is to be done, and press Run; *Message* tells what came of it. Without a browser: "
            '`comfy --workflow workflows/own_picture.json --image photo.png --subject "make it darker"`.',
        ),
    }  # fmt: skip
    return {name: _explained(name, graph) for name, graph in made.items()}


GRAPHS = _made(json.loads(_SCENES.read_text(encoding="utf-8")))


def written(info: dict[str, Any]) -> dict[Path, str]:
    """Every file of workflows/ as text, for a server's /object_info."""
    files = {}
    for name, graph in GRAPHS.items():
        ui = graph.ui(info) | {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"instructdiffusion {name}"))}
        files[FOLDER / f"{name}.json"] = json.dumps(ui, indent=1) + "\n"
        files[FOLDER / "api" / f"{name}.json"] = json.dumps(graph.api(info), indent=1) + "\n"
    return files
