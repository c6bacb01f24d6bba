"""The light U-Net: any size, each picture by itself, blind to the colour; and the weights that ship."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from instructdiffusion.cli import build_parser
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.decoding import light_unet as module
from instructdiffusion.decoding.light_unet import (
    FEATURES,
    SHARPNESS,
    SHIPPED,
    Refiner,
    load_refiner,
    refine_mask,
    refiner_features,
    refiner_hash,
    shipped_refiner,
)
from instructdiffusion.imaging.colors import MASK_COLORS
from instructdiffusion.pipeline import InstructDiffusion
from instructdiffusion.results import Masks
from instructdiffusion.tasks import DECODERS, TASKS, check_decoder, get_task


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def examples(task: str = "segment", size: int = 64, count: int = 12):
    """Scenes that show what is asked for, large enough that a pixel of the edge does not decide."""
    made = (make_example(task, seed, split="val", size=size) for seed in range(100))
    return [e for e in made if e.record.target.union().sum() > 0.02 * size * size][:count]


@pytest.fixture()
def stirred() -> Refiner:
    """A refiner of random weights, none of which is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        refiner = Refiner()
        for parameter in refiner.parameters():
            nn.init.normal_(parameter, 0, 0.1)
    return refiner.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 64), (37, 90)])
def test_any_size_goes_through(size, stirred):
    features = torch.rand(2, FEATURES, *size)
    logits = stirred(features)
    assert logits.shape == (2, *size) and bool(torch.isfinite(logits).all())


def test_untrained_it_is_the_closed_reading():
    features = torch.rand(1, FEATURES, 9, 9)
    assert torch.equal(Refiner()(features), SHARPNESS * (features[:, 0] - 0.5))


def test_each_picture_is_read_by_itself(stirred):
    features = torch.rand(5, FEATURES, 24, 32)
    together = stirred(features)
    for row in range(5):
        torch.testing.assert_close(stirred(features[row : row + 1])[0], together[row], rtol=1e-4, atol=1e-4)


def test_what_is_far_away_does_not_count(stirred):
    """No statistics over the picture: beyond the reach of the convolutions nothing changes."""
    small = torch.rand(1, FEATURES, 64, 64)
    large = torch.cat([small, torch.rand(1, FEATURES, 64, 192)], dim=3)
    torch.testing.assert_close(stirred(large)[..., :8], stirred(small)[..., :8], rtol=1e-4, atol=1e-4)


def test_features_do_not_know_the_colour():
    """Where colour and picture differ enough, the reading of the drawing is the same in any colour."""
    example = examples(count=1)[0]
    source = np.full_like(example.source, 90).astype(np.float32) / 255
    truth, read = example.record.target.union(), []
    for color in MASK_COLORS[:5]:
        covered = source + 0.5 * truth[..., None] * (color.array - source)
        read.append(refiner_features(source, covered, color.array, source)[:4])
    for other in read[1:]:
        np.testing.assert_allclose(other, read[0], atol=0.02)


@pytest.mark.parametrize("size", [64, 96, 160])
@pytest.mark.parametrize("task", ["segment", "refer"])
def test_what_is_rendered_is_read_back(task, size):
    """At cIoU .98, or as well as the closed form: along a guide it too loses pixels of small things at 64 px."""
    read = {decoder: np.zeros(2) for decoder in DECODERS}
    for example in examples(task, size, count=24):
        truth = example.record.target.union()
        for decoder, sums in read.items():
            found = get_task(task).decode(
                example.source, example.target, example.instruction, guide=example.source, decoder=decoder
            )
            sums += (found.union() & truth).sum(), (found.union() | truth).sum()
    closed, unet = (both / either for both, either in (read["closed"], read["unet"]))
    assert unet >= min(0.98, closed - 0.005)


def test_the_answer_does_not_hang_on_the_colour():
    for example in examples(count=6):
        task, seen = get_task("segment"), []
        for color in ("red", "blue", "yellow", "white"):
            asked = task.instruct("the thing", [color])
            drawn = task.render(example.source, example.record.target, asked)
            seen.append(task.decode(example.source, drawn, asked, decoder="unet").union())
        truth = example.record.target.union()
        assert np.mean([iou(mask, truth) for mask in seen]) >= 0.96


@pytest.mark.parametrize("task", ["segment", "refer"])
def test_nothing_drawn_is_nothing_found(task):
    for example in examples(task, count=6):
        answer = get_task(task).decode(
            example.source, example.source, example.instruction, guide=example.source, decoder="unet"
        )
        assert len(answer) == 0 and "nothing found" in answer.message


def test_a_larger_guide_gives_masks_of_its_size():
    large = examples(size=128, count=4)
    for example in large:
        small, drawn = example.source[::2, ::2], example.target[::2, ::2]
        answer = get_task("segment").decode(
            small, drawn, example.instruction, guide=example.source, decoder="unet"
        )
        assert answer.canvas_size == (128, 128)
        assert iou(answer.union(), example.record.target.union()) > 0.8


def test_masks_that_are_off_by_strength_are_mended():
    """An answer painted half as strongly as it should be: the closed form drops it."""
    closed, unet = [], []
    for example in examples(count=10):
        asked, truth = example.instruction, example.record.target.union()
        faint = (example.source * 0.56 + example.target * 0.44).round().astype(np.uint8)
        task = get_task("segment")
        closed.append(iou(task.decode(example.source, faint, asked).union(), truth))
        unet.append(iou(task.decode(example.source, faint, asked, decoder="unet").union(), truth))
    assert np.mean(unet) >= np.mean(closed)


def test_the_closed_form_is_what_it_was():
    for task in ("segment", "refer"):
        for example in examples(task, count=3):
            given = (example.source, example.target, example.instruction)
            plain, named = get_task(task).decode(*given), get_task(task).decode(*given, decoder="closed")
            np.testing.assert_array_equal(plain.data, named.data)
            np.testing.assert_array_equal(plain.scores, named.scores)


def test_a_refiner_of_ones_own_may_read(stirred):
    example = examples(count=1)[0]
    given = (example.source, example.target, example.instruction)
    own = get_task("segment").decode(*given, decoder=Refiner().eval())
    assert isinstance(own, Masks) and len(own)
    chance = refine_mask(example.source, example.target, example.instruction.colors[0].array, refiner=stirred)
    assert chance.shape == example.source.shape[:2] and chance.dtype == np.float32
    assert 0 <= chance.min() and chance.max() <= 1


def test_which_tasks_can_be_read():
    assert {name for name, task in TASKS.items() if "unet" in task.decoders} == {"segment", "refer"}
    for task in TASKS.values():
        assert check_decoder(task, "closed") == "closed" and set(task.decoders) <= set(DECODERS)
    with pytest.raises(ValueError, match="expected a decoder, one of closed, unet; got 'magic'"):
        check_decoder(get_task("segment"), "magic")
    with pytest.raises(ValueError, match="reads masks, and 'denoise' answers with none"):
        check_decoder(get_task("denoise"), "unet")
    example = examples(count=1)[0]
    with pytest.raises(ValueError, match="got 'magic'"):
        get_task("segment").decode(example.source, example.target, example.instruction, decoder="magic")
    with pytest.raises(ValueError, match="threshold is a share"):
        get_task("segment").decode(
            example.source, example.target, example.instruction, decoder="unet", threshold=1.5
        )


@pytest.fixture(scope="module")
def model(model_folder):
    return InstructDiffusion.from_pretrained(model_folder, device="cpu")


def test_a_run_reads_with_it(model, monkeypatch):
    pictures, asked = [e.source for e in examples(count=3)], []
    monkeypatch.setattr(module, "shipped_refiner", lambda: asked.append(1) or Refiner().eval())
    closed = model.segment(pictures, "the red star")
    assert not asked and all("decoder" not in answer.settings for answer in closed)
    read = model.segment(pictures, "the red star", decoder="unet")
    assert len(asked) == 1 + 3 and all(answer.settings["decoder"] == "unet" for answer in read)
    for a, b in zip(closed, read, strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)


def test_a_run_refuses_what_it_cannot_read(model, monkeypatch, tmp_path):
    picture = examples(count=1)[0].source
    with pytest.raises(ValueError, match="expected a decoder"):
        model.segment(picture, "the red star", decoder="magic")
    with pytest.raises(ValueError, match="'edit' answers with none"):
        model.edit(picture, "add a red star", decoder="unet")
    question = get_task("segment").instruct("the red star")
    with pytest.raises(ValueError, match="expected a decoder"):
        model.check(question, decoder="magic")
    model.check(question, decoder="unet")
    monkeypatch.setattr(module, "shipped_refiner", lambda: load_refiner(tmp_path / "gone.safetensors"))
    for ask in (
        lambda: model.run(question, picture, decoder="unet"),
        lambda: model.check(question, decoder="unet"),
    ):
        with pytest.raises(FileNotFoundError, match="no refiner's weights"):
            ask()


def test_the_commands_know_it():
    parser = build_parser()
    for command in (
        ["segment", "a.png", "the star"],
        ["evaluate", "scenes"],
        ["evaluate", "voc", "--data", "x"],
    ):
        assert parser.parse_args(command).decoder == "closed"
        assert parser.parse_args([*command, "--decoder", "unet"]).decoder == "unet"
    with pytest.raises(SystemExit):
        parser.parse_args(["denoise", "a.png", "--decoder", "unet"])


def test_what_ships_is_small_and_whole():
    assert SHIPPED.stat().st_size <= 500_000
    weights = load_file(SHIPPED)
    assert all(w.dtype == torch.float16 for w in weights.values())
    assert shipped_refiner() is shipped_refiner() and not shipped_refiner().training
    assert len(refiner_hash()) == 16 == len(set(refiner_hash()) | set("0123456789abcdef"))


def test_weights_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "refiner.safetensors"
    with pytest.raises(FileNotFoundError, match=r"no refiner's weights .*training/refiner.py"):
        load_refiner(path)
    whole = SHIPPED.read_bytes()
    for cut in (whole[: len(whole) // 2], whole[:5], b""):
        path.write_bytes(cut)
        with pytest.raises(ValueError, match="cannot be read as safetensors"):
            load_refiner(path)
    weights = load_file(SHIPPED)
    save_file({**weights, "head.weight": torch.zeros(1, 3, 1, 1)}, path)
    with pytest.raises(ValueError, match=r"expected head.weight of \(1, 16, 1, 1\), got \(1, 3, 1, 1\)"):
        load_refiner(path)
    save_file({k: v for k, v in weights.items() if k != "head.bias"}, path)
    with pytest.raises(ValueError, match=r"expected head.bias of \(1,\), got nothing"):
        load_refiner(path)
    save_file({**weights, "head.bias": torch.full((1,), torch.nan, dtype=torch.float16)}, path)
    with pytest.raises(ValueError, match="NaN"):
        load_refiner(path)
    path.write_bytes(whole)
    assert refiner_hash(path) == refiner_hash()
    for name, weight in load_refiner(path).state_dict().items():
        torch.testing.assert_close(weight, weights[name].float())


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "refiner.safetensors"
    torch.save({"head.bias": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_refiner(path)
    assert module.SHIPPED.suffix == ".safetensors"
