"""The pipeline around a model with random weights: what goes in, what comes out, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from instructdiffusion import TASKS, Instruction
from instructdiffusion.compositing.rules import to_uint8
from instructdiffusion.inference.answer import Answer
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.sampling import SOLVERS

RNG = np.random.default_rng(3)


def photo(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


CALLS = {
    "segment": (lambda m, p, **o: m.segment(p, "the red star", **o), Masks),
    "refer": (lambda m, p, **o: m.refer(p, "the red star", color="blue", **o), Masks),
    "keypoints": (lambda m, p, **o: m.keypoints(p, ["the nose", "the left eye"], **o), Keypoints),
    "align": (lambda m, p, **o: m.align(p, "the left eye", colors=["cyan"], **o), Keypoints),
    "detect": (lambda m, p, **o: m.detect(p, "the stars", **o), Boxes),
    "classify": (lambda m, p, **o: m.classify(p, ["a star", "a circle"], **o), Label),
    "denoise": (lambda m, p, **o: m.denoise(p, **o), np.ndarray),
    "deblur": (lambda m, p, **o: m.deblur(p, **o), np.ndarray),
    "dewatermark": (lambda m, p, **o: m.remove_watermark(p, **o), np.ndarray),
    "edit": (lambda m, p, **o: m.edit(p, "add a red star", **o), np.ndarray),
}


@pytest.mark.parametrize("size", [(64, 64), (48, 100)])
@pytest.mark.parametrize("name", TASKS)
def test_every_task_answers_at_the_pictures_own_size(name, size, model):
    call, kind = CALLS[name]
    source = photo(*size)
    answer = call(model, source, steps=1)
    assert isinstance(answer, Answer) and answer.task == name and isinstance(answer.result, kind)
    assert answer.picture.shape == source.shape and answer.picture.dtype == np.uint8
    assert np.array_equal(answer.source, source)
    if isinstance(answer.result, (Masks, Keypoints, Boxes)):
        assert tuple(answer.result.canvas_size) == size
    if kind is np.ndarray:
        assert np.array_equal(answer.result, answer.picture)
    assert set(CALLS) == set(TASKS)


def test_pictures_of_different_sizes_keep_their_order(model):
    sizes = [(64, 64), (30, 90), (64, 64), (100, 20)]
    pictures = [photo(*s) for s in sizes]
    answers = model.segment(pictures, "the red star", batch_size=3)
    assert [a.source.shape[:2] for a in answers] == sizes
    alone = model.segment(pictures[1], "the red star")
    assert np.abs(alone.picture.astype(int) - answers[1].picture).max() <= 1


@pytest.mark.parametrize("solver", ["dpmpp_2m", "euler_ancestral"])
@pytest.mark.parametrize("name", ["edit", "denoise"])
def test_a_batch_answers_as_its_pictures_alone_do(name, solver, model):
    pictures = [photo(64, 64), photo(80, 64), photo(64, 64)]
    call = CALLS[name][0]
    options = {"steps": 3, "solver": solver}
    together = call(model, pictures, seed=[5, 6, 5], batch_size=4, **options)
    for picture, seed, answer in zip(pictures, (5, 6, 5), together, strict=True):
        alone = call(model, picture, seed=seed, batch_size=1, **options)
        assert np.abs(alone.picture.astype(int) - answer.picture).max() <= 1


def test_the_seed_decides_and_nothing_else(model, picture):
    first, again, other = (model.edit(picture, "add a red star", steps=2, seed=s).picture for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_global_generator_is_left_alone(model, picture):
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    model.edit(picture, "add a red star", steps=2, solver="euler_ancestral")
    assert torch.equal(torch.rand(3), expected)


def test_what_a_picture_is_given_as_does_not_matter(model, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    given = [picture, Image.fromarray(picture), tensor, tensor.float() / 255, tmp_path / "a.png"]
    answers = [model.detect(g, "the stars").picture for g in given]
    assert all(np.array_equal(a, answers[0]) for a in answers)
    batch = model.detect(torch.stack([tensor, tensor]), "the stars")
    assert len(batch) == 2 and np.abs(batch[1].picture.astype(int) - answers[0]).max() <= 1


def test_perception_takes_one_evaluation(model, picture):
    seen = []
    model.segment(picture, "the red star", on_step=lambda i, x, denoised: seen.append(i))
    model.edit(picture, "add a red star", steps=4, on_step=lambda i, x, denoised: seen.append(i))
    assert seen == [0, 0, 1, 2, 3]


def test_on_step_may_stop_the_run(model, picture):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.edit(picture, "add a red star", steps=2, on_step=stop)


def test_zero_and_given_noise(model, picture):
    shape = (4, 16, 16)
    zero = model.edit(picture, "add a red star", steps=2, noise="zero")
    assert np.array_equal(
        zero.picture, model.edit(picture, "add a red star", steps=2, noise=np.zeros(shape)).picture
    )
    assert np.array_equal(
        zero.picture, model.edit(picture, "add a red star", steps=2, seed=9, noise="zero").picture
    )
    with pytest.raises(ValueError, match="noise must"):
        model.edit(picture, "add a red star", noise=np.zeros((4, 8, 8)))
    with pytest.raises(ValueError, match="unknown noise 'pink'"):
        model.edit(picture, "add a red star", noise="pink")


@pytest.mark.parametrize("name", ["edit", "denoise"])  # whole pictures, and tiles
def test_given_initial_and_step_noise(name, model):
    from instructdiffusion.sampling import SeededNoise, initial_noise

    call, steps, seeds = CALLS[name][0], 3, [5, 6]
    pictures = [photo(64, 64), photo(64, 64)]
    options = {"steps": steps, "solver": "euler_ancestral"}
    initial = initial_noise(seeds, model.backend.latent_shape((64, 64)))
    fresh = [SeededNoise(seeds).step(k, initial) for k in range(steps - 1)]

    def pixels(**noise):
        return np.stack([a.picture for a in call(model, pictures, **options, **noise)])

    expected = pixels(seed=seeds)
    assert np.array_equal(pixels(noise={"initial": initial, "steps": fresh}), expected)
    assert np.array_equal(pixels(noise={"steps": torch.stack(fresh)}, seed=seeds), expected)
    assert np.array_equal(pixels(noise={"initial": initial.numpy()}, seed=seeds), expected)
    assert not np.array_equal(pixels(noise={"initial": initial, "steps": fresh[::-1]}), expected)
    quiet = [np.zeros(initial.shape[1:])] * (steps - 1)  # one for all pictures, as a list of arrays
    assert not np.array_equal(pixels(noise={"initial": initial, "steps": quiet}), expected)


@pytest.mark.parametrize("name", ["edit", "denoise"])
def test_step_noise_that_does_not_fit_is_refused(name, model, picture):
    shape = model.backend.latent_shape((64, 64))
    bad = [
        ({"steps": [np.zeros(shape)]}, ValueError, "adds noise in 2 rows .* has 1 steps"),
        ({"steps": [np.zeros(shape), np.zeros((4, 8, 8))]}, ValueError, "noise of step 1 must have shape"),
        ({"steps": [np.zeros(shape), np.full(shape, np.nan)]}, ValueError, "noise has NaN"),
        ({"initial": np.full(shape, np.inf)}, ValueError, "noise has NaN or infinite"),
        ({"start": np.zeros(shape)}, ValueError, "'initial' and 'steps', got 'start'"),
        ({"steps": "seed"}, TypeError, "'steps' is a list"),
    ]
    for noise, error, message in bad:
        with pytest.raises(error, match=message):
            CALLS[name][0](model, picture, steps=3, solver="euler_ancestral", noise=noise)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 2.5}, ValueError, "steps"),
        ({"guidance": (float("nan"), 1.0)}, ValueError, "guidance"),
        ({"guidance": (5.0, float("inf"))}, ValueError, "guidance"),
        ({"guidance": lambda sigma: (float("nan"), 0.0, 0.0, 1.0)}, ValueError, "finite weights"),
        ({"seed": 2**64}, ValueError, r"2\^64"),
        ({"seed": [1, -1]}, ValueError, r"2\^64"),
        ({"seed": 0.5}, TypeError, "whole number"),
        ({"solver": "dpm"}, ValueError, "unknown solver"),
        ({"schedule": "linear"}, ValueError, "unknown schedule"),
    ],
)
def test_sampling_options_that_make_no_sense_are_refused(options, error, message, model, picture):
    with pytest.raises(error, match=message):
        model.edit(picture, "add a red star", **{"steps": 2, **options})


@pytest.mark.parametrize("device", ["nonsense", "cuda:77", "", "meta"])
def test_a_device_that_is_not_there_is_named(device, model_folder):
    from instructdiffusion import InstructDiffusion

    with pytest.raises(ValueError, match=f"the device '{device}' cannot be used here .*cuda:1, mps"):
        InstructDiffusion.from_pretrained(model_folder, device=device)


@pytest.mark.parametrize("dtype", ["float16", np.float32, torch.int8])
def test_a_dtype_that_is_none_is_refused(dtype, model_folder):
    from instructdiffusion import InstructDiffusion

    with pytest.raises(TypeError, match="floating-point torch dtype, as torch.float16"):
        InstructDiffusion.from_pretrained(model_folder, device="cpu", dtype=dtype)


def test_words_that_are_no_text_are_refused(model, picture):
    with pytest.raises(ValueError, match=r"'add a \\udcff star' has no text at character 7"):
        model.edit(picture, "add a \udcff star")


def test_resolution(model, picture):
    small = model.segment(picture, "the red star", resolution=32)
    assert small.picture.shape == picture.shape and small.settings["resolution"] == 32
    with pytest.raises(ValueError, match="multiple of 16"):
        model.segment(picture, "the red star", resolution=50)
    oblong = photo(40, 80)
    wide = model.segment(oblong, "the red star", resize_mode="longest_edge")
    assert wide.result.canvas_size == (40, 80)
    with pytest.warns(DeprecationWarning, match="fit is now called resize_mode"):
        same = model.segment(oblong, "the red star", fit="longest_edge")
    assert np.array_equal(same.picture, wide.picture)
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="fit is the old name"):
        model.check(same.instruction, fit="stretch", resize_mode="stretch")


def test_large_pictures_are_restored_in_tiles_without_seams(model, monkeypatch):
    """Tiles that come back brighter or darker by up to .1 on a flat picture: the borders stay invisible."""
    rng, sizes = np.random.default_rng(0), []

    def draw(pictures, *_, **__):
        sizes.extend(p.shape for p in pictures)
        return pictures / np.float32(255) + rng.uniform(-0.1, 0.1, (len(pictures), 1, 1, 1)), None

    monkeypatch.setattr(model.backend, "generate", draw)
    monkeypatch.setattr("instructdiffusion.tasks.catalog.denoise.keep_detail", lambda _, drawn: to_uint8(drawn))
    flat = np.full((160, 200, 3), 128, np.uint8)
    drawn = model.denoise(flat, steps=1).picture.astype(int)
    assert drawn.shape == flat.shape and len(sizes) == 12 and set(sizes) == {(64, 64, 3)}
    assert drawn.max() - drawn.min() > 20  # the tiles do differ: edge to edge they would show steps of that
    assert max(np.abs(np.diff(drawn, axis=0)).max(), np.abs(np.diff(drawn, axis=1)).max()) <= 6


def test_an_untouched_watermark_free_picture_is_kept(model, monkeypatch):
    """Where the edit equals the reconstruction, the photograph comes back bit for bit."""
    source = photo(100, 150)
    real = model.backend.generate

    def nothing_changes(*args, **kwargs):
        _, copies = real(*args, **kwargs)
        return copies, copies

    monkeypatch.setattr(model.backend, "generate", nothing_changes)
    assert np.array_equal(model.remove_watermark(source, steps=1).picture, source)
    answer = model.segment(source, "the red star")
    assert np.array_equal(answer.picture, source) and len(answer.result) == 0
    assert answer.message == "nothing found for 'the red star'"


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_a_mask_that_the_model_draws_is_read_at_the_pictures_size(model, monkeypatch, size):
    """The model's part is played by the task's own drawing; sizes, colours and edges are the pipeline's."""
    h, w = size
    source = np.full((h, w, 3), 90, np.uint8)
    region = np.zeros(size, bool)
    region[h // 4 : h // 2, w // 4 : 3 * w // 4] = True
    source[region] = (60, 140, 60)

    def draw(pictures, texts, plan, start, noise, *, reconstruct=True, on_step=None, cache_interval=1, adaptive=None):
        copies = pictures.astype(np.float32) / 255
        marked = copies.copy()
        green = np.abs(copies - np.float32([60, 140, 60]) / 255).max(3) < 0.1
        color = np.float32([1, 0, 0])
        marked[green] = 0.5 * marked[green] + 0.5 * color
        return marked, copies

    monkeypatch.setattr(model.backend, "generate", draw)
    answer = model.segment(source, "the box", color="red")
    found = answer.result.union()
    assert (found & region).sum() / (found | region).sum() > 0.98
    box = answer.result.boxes().xyxy[0]
    assert np.abs(box - (w // 4, h // 4, 3 * w // 4, h // 2)).max() <= 1


def test_instructions_and_lists(model, picture):
    other = photo(40, 40)
    asked = [
        TASKS["segment"].instruct("the red star", ["red"]),
        TASKS["detect"].instruct("the stars", ["blue"]),
    ]
    answers = model.run(asked, [picture, other])
    assert [a.task for a in answers] == ["segment", "detect"] and answers[1].source.shape == (40, 40, 3)
    assert [a.task for a in model.run(asked, picture)] == ["segment", "detect"]
    assert [a.source.shape[0] for a in model.run(asked[0], [picture, other])] == [64, 40]
    assert model.run("add a red star", picture, steps=1).task == "edit"
    assert model.run("clean it", picture, task="denoise", steps=1).instruction.text == "clean it"
    assert model.run(asked[0], []) == []


@pytest.mark.parametrize(
    ("instruction", "options", "error", "message"),
    [
        ("", {}, ValueError, "empty"),
        ("  \n", {}, ValueError, "empty"),
        ("red star " * 5000, {}, ValueError, r"has \d{5} tokens, the model reads at most 48"),
        (7, {}, TypeError, "an instruction"),
        ([7], {}, TypeError, "words or an Instruction"),
        ("sing", {"task": "sing"}, ValueError, "unknown task 'sing'"),
        (Instruction("a", "sing"), {}, ValueError, "unknown task"),
        (Instruction("a", "edit"), {"task": "denoise"}, ValueError, "task 'edit'"),
        (["add a star", "add a circle"], {"image": 3}, ValueError, "3 pictures came with 2"),
        ("add a star", {"steps": 0}, ValueError, "steps"),
        ("add a star", {"solver": "magic"}, ValueError, "unknown solver"),
        ("add a star", {"schedule": "magic"}, ValueError, "unknown schedule"),
        ("add a star", {"guidance": 7.5}, ValueError, "two finite numbers"),
        ("add a star", {"seed": -1}, ValueError, "seed"),
        ("add a star", {"seed": 1.5}, TypeError, "seed"),
        ("add a star", {"seed": [1, 2]}, ValueError, "one seed"),
        ("add a star", {"batch_size": 0}, ValueError, "batch_size"),
        ("add a star", {"resolution": 0}, ValueError, "multiple of 16"),
        ("add a star", {"seed": b"a"}, TypeError, "seed must be a whole number"),
        ("add a star", {"adaptive": "1"}, ValueError, "adaptive is a share"),
        ("add a star", {"decode": "x"}, TypeError, "decode is a dict of options"),
        ("add a star", {"noise": b"a"}, TypeError, "noise is unit noise as an array or tensor, got bytes"),
        ("add a star", {"noise": [["a"]]}, TypeError, "noise is unit noise as an array or tensor, got list"),
        ("add a star", {"on_step": 5}, TypeError, "on_step is a function, or None for none; got 5"),
        ("add a star", {"on_answer": "x"}, TypeError, "on_answer is a function"),
        ("add a star", {"resize_mode": "crop"}, ValueError, "unknown resize_mode"),
    ],
)
def test_bad_input_is_refused_in_words(instruction, options, error, message, model, picture):
    options = dict(options)
    count = options.pop("image", 0)
    with pytest.raises(error, match=message):
        model.run(instruction, [picture] * count if count else picture, **options)


@pytest.mark.parametrize("name", ["segment", "refer", "keypoints", "align", "detect", "classify", "edit"])
@pytest.mark.parametrize("given", [5, b"a star", [["a"]], [None], {"a": 1}, iter("a")])
def test_what_is_no_text_is_named_by_every_method(name, given, model, picture):
    with pytest.raises(TypeError, match=f"^{name}: expected words, as '.*; got .*"):
        getattr(model, name)(picture, given)


def test_unknown_colours_and_misspelt_options(model, picture):
    with pytest.raises(ValueError, match="unknown colour 'octarine'.*red.*purple"):
        model.segment(picture, "the red star", color="octarine")
    with pytest.raises(TypeError, match="stepz"):
        model.segment(picture, "the red star", stepz=3)
    with pytest.raises(TypeError, match="thresh"):
        model.segment(picture, "the red star", decode={"thresh": 3})


@pytest.mark.parametrize(
    "decode, expected",
    [
        ({"threshold": "x"}, "threshold is a share from 0 to 1, as 0.5, got 'x'"),
        ({"threshold": None}, "threshold is a share"),
        ({"min_area": "9"}, "min_area is a number of pixels"),
        ({"min_area": True}, "min_area is a number of pixels"),
        ({"max_boxes": 2.5}, "max_boxes is a whole number"),
        ({"score": [0.5]}, "score is a share"),
    ],
)
def test_decode_options_say_what_they_are_before_anything_is_asked(decode, expected, model, picture, monkeypatch):
    monkeypatch.setattr(model.backend, "generate", lambda *a, **k: pytest.fail("the model was asked"))
    with pytest.raises(TypeError, match=expected):
        (model.detect if "score" in decode else model.segment)(picture, "the red star", decode=decode)


def test_decode_options_may_be_numbers_of_any_kind(model, picture):
    odd = model.segment(picture, "the red star", decode={"threshold": np.float32(0.5), "min_area": None}).result
    assert np.array_equal(odd.data, model.segment(picture, "the red star", decode={"threshold": 0.5}).result.data)
    odd = model.detect(picture, "the red star", decode={"max_boxes": np.int64(2)}).result
    assert np.array_equal(odd.xyxy, model.detect(picture, "the red star", decode={"max_boxes": 2}).result.xyxy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_nan_weights_are_an_error(part, model, picture):
    module = getattr(model.components, part)
    name = {"unet": "conv_out.bias", "vae": "decoder.conv_out.bias"}.get(part)
    weight = (
        module.get_parameter(name) if name else next(p for n, p in module.named_parameters() if "norm" in n)
    )
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight[0] = float("nan")
        with pytest.raises((FloatingPointError, ValueError), match="NaN"):
            model.segment(picture, "the red star")
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def test_answers_come_one_by_one(model):
    ready = []
    model.denoise([photo(64, 64), photo(100, 100)], steps=1, on_answer=lambda i, a: ready.append((i, a.task)))
    assert ready == [(0, "denoise"), (1, "denoise")]


def test_the_models_own_defaults(model_folder, model):
    from instructdiffusion.pipeline import InstructDiffusion
    from instructdiffusion.settings import Settings

    mine = InstructDiffusion(model.components, {**model.settings, "edit": Settings(steps=2, solver="euler")})
    seen = []
    mine.edit(photo(64, 64), "add a red star", on_step=lambda i, *_: seen.append(i))
    assert seen == [0, 1] and model.settings["edit"].steps == 20


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ("star " * 100, {}, "the model reads at most 48"),
        ("add a star", {"steps": 0}, "steps is a whole number"),
        ("add a star", {"solver": "magic"}, "unknown solver"),
        ("add a star", {"resolution": 50}, "resolution must be a multiple"),
        ("add a star", {"resize_mode": "wide"}, "unknown resize_mode"),
        ("add a star", {"upscale": 4.5}, "upscale is a number from 0.25 to 4, got 4.5"),
        ("add a star", {"upscale": "2"}, "upscale is a number from 0.25 to 4, got '2'"),
        ("add a star", {"seed": -1}, "seed"),
    ],
)
def test_what_fits_no_picture_is_known_before_any(words, options, message, model, picture):
    for ask in (lambda: model.check(words, **options), lambda: model.run(words, picture, **options)):
        with pytest.raises(ValueError, match=message):
            ask()
    model.check("add a star", steps=3)


def test_one_step_of_an_edit_is_one_evaluation_and_many_of_a_mask_are_second_order(model, picture):
    one = model.edit(picture, "add a red star", steps=1).settings
    assert (one["steps"], one["solver"], one["guidance"]) == (1, "euler", None)
    many = model.segment(picture, "the red star", steps=2).settings
    assert (many["steps"], many["solver"], many["guidance"]) == (2, "dpmpp_2m", None)


@pytest.mark.parametrize("name", ["edit", "denoise"])  # whole pictures, and tiles
def test_rows_may_share_the_unets_deep_features(name, model, picture, monkeypatch):
    """The UNet's middle runs in every third row only; the answer comes near that of the whole UNet."""
    monkeypatch.setattr("instructdiffusion.tasks.catalog.denoise.keep_detail", lambda _, drawn: to_uint8(drawn))
    ran = []
    handle = model.components.unet.mid_block.register_forward_hook(lambda *_: ran.append(1))
    call = CALLS[name][0]

    def ask(**options):
        return call(model, picture, **options)

    try:
        whole = ask(steps=6, guidance="none")
        assert len(ran) == 6 and "cache_interval" not in whole.settings
        shared = ask(steps=6, guidance="none", cache_interval=3)
        assert len(ran) == 6 + 2 and shared.settings["cache_interval"] == 3
    finally:
        handle.remove()
    near = np.abs(shared.picture.astype(int) - whole.picture).mean()
    assert near < np.abs(ask(steps=6, guidance="none", seed=9).picture.astype(int) - whole.picture).mean()
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="cache_interval is a whole number"):
            ask(cache_interval=bad)


@pytest.mark.parametrize("name", ["edit", "denoise"])  # whole pictures, and tiles
def test_branches_that_agree_may_be_left_out(name, model, picture):
    seen = []
    handle = model.components.unet.conv_in.register_forward_hook(lambda _, args, out: seen.append(len(out)))
    call, options = CALLS[name][0], {"steps": 4, "guidance": (3.0, 1.5)}
    try:
        whole = call(model, picture, **options)
        every = sum(seen)
        same = call(model, picture, adaptive=0.0, **options)
        assert sum(seen) == 2 * every and np.abs(same.picture.astype(int) - whole.picture).max() <= 1
        seen.clear()
        fewer = call(model, picture, adaptive=1e6, **options)
        assert sum(seen) * 2 == every  # three branches in the first row, then one
        assert fewer.settings["adaptive"] == 1e6 and "adaptive" not in whole.settings
    finally:
        handle.remove()
    for bad in (-1, True, float("nan")):
        with pytest.raises(ValueError, match="adaptive is a share of at least 0"):
            call(model, picture, adaptive=bad, **options)
    with pytest.raises(ValueError, match="leave out one of them"):
        call(model, picture, adaptive=0.1, cache_interval=2, **options)


def test_no_device_named_is_the_best_there_is(monkeypatch):
    from instructdiffusion.pipeline import best_device

    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert best_device() == expected


class _NoDoubles(TorchDispatchMode):
    """Fails where an operation takes or gives float64, which Apple's GPUs do not have."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        doubles = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        assert not any(t.dtype == torch.float64 for t in doubles), f"{function} meets float64"
        return out


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_in_single_precision_holds_no_double(solver, model, picture):
    options = {"steps": 3, "solver": solver, "guidance": (3.0, 1.5), "seed": 4}
    with _NoDoubles():
        model.edit(picture, "add a red star", **options)
        model.denoise(picture, **options)
    with pytest.raises(AssertionError, match="meets float64"), _NoDoubles():
        torch.zeros(1).double()


def test_a_mask_is_found_without_doubles(model, picture):
    with _NoDoubles():
        model.segment(picture, "the red star", steps=2, adaptive=0.1)
        model.keypoints(picture, "the nose", steps=3, cache_interval=2)
