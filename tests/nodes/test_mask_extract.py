"""MaskExtract without ComfyUI: what it declares, and how a mask is read by either decoder."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

WORKFLOWS = Path(__file__).parents[2] / "workflows"
BEFORE = [
    "source",
    "edited",
    "instruction",
    "threshold",
    "min_area",
    "per_object",
]  # of graphs saved by users


class Kind:
    """A type of ComfyUI's as far as a schema needs it: what is declared stays as it was said."""

    @staticmethod
    def Input(name: str = "", **options: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, **options)

    Output = Input


class Preview:
    def __init__(self, pictures: Any, cls: Any) -> None:
        self.pictures = pictures

    def as_dict(self) -> dict[str, Any]:
        return {"images": []}


def comfy_api() -> ModuleType:
    """The part of comfy_api.latest that nodes/mask_extract.py stands on."""
    module: Any = ModuleType("comfy_api.latest")
    kinds = ("Image", "Float", "Int", "Boolean", "Combo", "Mask", "String")
    module.io = SimpleNamespace(
        **dict.fromkeys(kinds, Kind),
        ComfyNode=object,
        Custom=lambda name: Kind,
        Schema=lambda **said: SimpleNamespace(**said),
        NodeOutput=lambda *out, ui=None: SimpleNamespace(out=out, ui=ui),
    )
    module.ui = SimpleNamespace(PreviewImage=Preview)
    return module


@pytest.fixture(scope="module")
def masks(pack: ModuleType) -> Iterator[ModuleType]:
    """nodes/mask_extract.py."""
    names = [f"{pack.__name__}.nodes.{name}" for name in ("masks", "types")]
    with pytest.MonkeyPatch.context() as patch:
        api = comfy_api()
        patch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
        patch.setitem(sys.modules, "comfy_api.latest", api)
        yield importlib.import_module(".nodes.mask_extract", pack.__name__)
    for name in names:  # made with the stand-in: nobody else may find them
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def asked(masks: ModuleType) -> tuple[Any, Any, Any]:
    """(source, edited, instruction) of a square that was drawn faintly and with noise."""
    rng = np.random.default_rng(0)
    source = np.full((64, 64, 3), 90, np.uint8) + rng.integers(0, 20, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64, 1))
    mask[16:44, 20:50] = 0.5
    instruction = masks.get_task("segment").instruct("the square", ["red"])
    drawn = source * (1 - mask) + mask * np.asarray([255, 0, 0]) + rng.normal(0, 24, source.shape)
    return source, drawn.clip(0, 255).astype(np.uint8), instruction


def image(picture: Any) -> torch.Tensor:
    return torch.from_numpy(picture)[None].float() / 255


def test_the_decoder_comes_last_and_may_be_left_out(masks: ModuleType) -> None:
    *first, decoder = masks.MaskExtract.define_schema().inputs
    assert [i.name for i in first] == BEFORE and not any(getattr(i, "optional", False) for i in first)
    assert decoder.name == "decoder" and decoder.optional and decoder.tooltip
    assert (decoder.options, decoder.default) == (["closed", "unet"], "closed")
    with pytest.raises(ValueError, match="`decoder`: there is no 'magic'"):
        masks.MaskExtract.execute(None, None, None, 0.5, 0, False, decoder="magic")


@pytest.mark.parametrize("decoder", [None, "closed", "unet"])
def test_a_mask_is_read_as_the_task_reads_it(masks: ModuleType, asked: Any, decoder: str | None) -> None:
    source, edited, instruction = asked
    options = {} if decoder is None else {"decoder": decoder}
    made = masks.MaskExtract.execute(image(source), image(edited), instruction, 0.5, 0, False, **options)
    mask, _, count, message, pictures = made.out
    assert pictures == [0]
    task = masks.get_task("segment")
    wanted = task.decode(source, edited, instruction, threshold=0.5, guide=source, **options)
    other = "closed" if decoder == "unet" else "unet"
    otherwise = task.decode(source, edited, instruction, threshold=0.5, guide=source, decoder=other)
    assert np.array_equal(mask[0].numpy() > 0.5, wanted.union()) and count == len(wanted) > 0
    assert not np.array_equal(wanted.union(), otherwise.union()), "the two decoders cannot be told apart here"
    assert message == f"found {count}: the square"


def test_boxes_are_read_in_closed_form_whatever_is_chosen(masks: ModuleType) -> None:
    task = masks.get_task("detect")
    instruction = task.instruct("the square", ["red"])
    source = np.full((64, 64, 3), 90, np.uint8)
    boxes = masks.Boxes(np.float32([[10, 12, 40, 50]]), np.ones(1, np.float32), ("the square",), (64, 64))
    edited = task.render(source, boxes, instruction)
    found = [
        masks.MaskExtract.execute(image(source), image(edited), instruction, 0.5, 0, False, decoder).out
        for decoder in ("closed", "unet")
    ]
    assert found[0][2] == found[1][2] == 1 and torch.equal(found[0][0], found[1][0])


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_widgets_of_saved_graphs_fit(masks: ModuleType, path: Path) -> None:
    """Values are stored by place: each has to fit the widget that has its place now."""
    for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
        if node["type"] == "MaskExtract":
            threshold, min_area, per_object, *decoder = node["widgets_values"]
            assert 0.05 <= threshold <= 0.95 and type(min_area) is int and type(per_object) is bool
            assert decoder in ([], ["closed"], ["unet"])
