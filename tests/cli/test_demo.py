"""The demo runs every task and writes one sheet."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.cli import main
from instructdiffusion.tasks import TASKS


@pytest.fixture(scope="module")
def shown(model_folder, tmp_path_factory):
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    from instructdiffusion.cli import demo
    from instructdiffusion.pipeline import InstructDiffusion
    from instructdiffusion.settings import Settings

    out = tmp_path_factory.mktemp("demo")
    real = InstructDiffusion.from_pretrained.__func__

    def quick(cls, *arguments, **options):
        model = real(cls, *arguments, **options)
        model.settings = {name: Settings(steps=1, solver="euler") for name in TASKS}
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InstructDiffusion, "from_pretrained", classmethod(quick))
        patch.setattr(demo, "SIDE", 128)
        told = io.StringIO()
        patch.setattr("sys.stdout", told)
        status = main(["demo", "-o", str(out), "--model", str(model_folder), "--scenes", "1"])
    assert status == 0
    return out, told.getvalue()


def test_one_sheet_with_a_row_an_answer(shown):
    out, _ = shown
    sheet = np.asarray(Image.open(out / "sheet.png"))
    assert sheet.shape[2] == 3 and sheet.shape[0] > 13 * 100 and sheet.std() > 10


def test_every_answer_has_its_files(shown):
    out, _ = shown
    stems = {p.stem for p in (out / "answers").glob("*.json")}
    assert stems == {f"scene_0_{name}" for name in TASKS} | {
        f"photograph_{n}" for n in ("denoise", "deblur", "dewatermark")
    }
    assert not list(out.rglob("*.tmp"))


def test_it_ends_by_saying_where_to_look(shown):
    out, told = shown
    lines = told.splitlines()
    assert lines[-1] == f"look at {out / 'sheet.png'}"
    assert sum(line.startswith("photograph, ") and " dB" in line for line in lines) == 3
