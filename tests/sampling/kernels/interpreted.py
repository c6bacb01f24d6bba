"""The Triton kernel against the reference on the CPU, in Triton's interpreter.

Run by test_kernels_interpreted.py in a process of its own: the interpreter has to be chosen (TRITON_INTERPRET=1)
before triton is imported, and then holds for the whole process.
"""

import math

import pytest
import torch

from instructdiffusion.sampling import (
    BRANCHES,
    SOLVERS,
    SeededNoise,
    StepCoefs,
    cfg,
    initial_noise,
    input_scale,
    instructdiffusion,
    instructpix2pix,
    make_plan,
    none,
    sample,
)
from instructdiffusion.sampling.kernels import step, why_not

COEFS = StepCoefs(
    weights=(3.0, -2.5, 1.25, -0.75),
    skip=0.1,
    out=-0.9,
    x=0.5,
    d=(0.75, -0.25, 0.5, -0.125),
    saved=0.2,
    noise=1.5,
    next_scale=0.7,
)
# 1 value, less than a block, exactly a block (512), a block and a tail, odd everything, more than 4 dimensions
SHAPES = [(1, 1, 1, 1), (2, 4, 3, 5), (1, 2, 16, 16), (3, 4, 13, 11), (1, 5, 1, 129), (2, 3, 2, 5, 7), (2, 6)]
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FORMATS = [torch.contiguous_format, torch.channels_last]


def four_branches(sigma):
    return (3.0, -1.5, -1.0, 0.5)


GUIDANCES = {1: none(), 2: cfg(3), 3: instructdiffusion(5, 1.25), 4: four_branches}


def random(shape, seed, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def arguments(shape, branches=2, past=1, saved=True, noise=True, dtype=torch.float32):
    x = random(shape, 0)
    coefs = COEFS._replace(
        weights=COEFS.weights[:branches],
        d=COEFS.d[: past + 1],
        saved=COEFS.saved if saved else 0.0,
        noise=COEFS.noise if noise else 0.0,
    )
    return dict(
        x=x,
        predictions=random((branches, *shape), 1, dtype),
        coefs=coefs,
        history=tuple(random(shape, 2 + k) for k in range(past)),
        saved=random(shape, 8) if saved else None,
        noise=random(shape, 9) if noise else None,
    )


def both(kwargs, batch=None, **options):
    """(the kernel's, the reference's) answers, each with a batch and flags of its own."""
    answers = []
    for backend in ("triton", "reference"):
        extra = {} if batch is None else {"batch": batch.clone()}
        finite = torch.ones(len(kwargs["x"]), dtype=torch.bool)
        out = step(**kwargs, **extra, **options, finite=finite, backend=backend)
        answers.append((out, finite))
    return answers


def assert_same(kwargs, batch=None, **options):
    (mine, flags), (true, true_flags) = both(kwargs, batch, **options)
    for name, a, b in zip(mine._fields, mine, true, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            assert a.dtype == b.dtype and a.shape == b.shape, name
            spacing = torch.finfo(a.dtype).eps  # a value may round to its neighbour in the batch's dtype
            torch.testing.assert_close(a, b, rtol=max(4e-6, spacing), atol=4e-6, msg=lambda m: f"{name}: {m}")  # noqa: B023
    assert torch.equal(flags, true_flags) and flags.all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("branches", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_shape_branch_count_and_dtype(shape, branches, dtype):
    batch = torch.zeros(branches, *shape, dtype=dtype)
    assert_same(arguments(shape, branches, dtype=dtype), batch)


@pytest.mark.parametrize("past", [0, 1, 2, 3])
@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_any_terms(past, saved, noise, keep):
    kwargs = arguments((2, 4, 3, 5), past=past, saved=saved, noise=noise)
    assert_same(kwargs, keep=keep)
    more = (*kwargs["history"], random((2, 4, 3, 5), 7))  # older than the row looks back
    assert_same({**kwargs, "history": more}, keep=keep)


@pytest.mark.parametrize("copies", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_the_next_input_goes_into_the_first_channels_of_the_unets_batch(form, dtype, copies):
    n, b, c, h, w = copies, 2, 4, 7, 5
    whole = torch.full((n * b, 2 * c, h, w), 77.0, dtype=dtype).to(memory_format=form)
    kwargs = arguments((b, c, h, w), branches=3, dtype=dtype)
    kwargs = {k: v.to(memory_format=form) if k in ("x", "saved") else v for k, v in kwargs.items()}
    kwargs["history"] = tuple(h.to(memory_format=form) for h in kwargs["history"])
    out = step(**kwargs, batch=whole[:, :c].unflatten(0, (n, b)), backend="triton")
    true = step(**kwargs, backend="reference")
    assert out.scaled.data_ptr() == whole.data_ptr() and (whole[:, c:] == 77).all()
    for image in whole[:, :c].unflatten(0, (n, b)):
        torch.testing.assert_close(
            image.float(), true.scaled, rtol=max(4e-6, torch.finfo(dtype).eps), atol=4e-6
        )


@pytest.mark.parametrize("state", FORMATS, ids=str)
@pytest.mark.parametrize("predictions", FORMATS, ids=str)
@pytest.mark.parametrize("noise", FORMATS, ids=str)
def test_contiguous_and_channels_last_in_any_mixture(state, predictions, noise):
    kwargs = arguments((2, 4, 6, 7), branches=3, dtype=torch.float16)
    kwargs["x"] = kwargs["x"].to(memory_format=state)
    kwargs["saved"] = kwargs["saved"].to(memory_format=state)
    kwargs["history"] = tuple(h.to(memory_format=state) for h in kwargs["history"])
    kwargs["noise"] = kwargs["noise"].to(memory_format=noise)
    flat = kwargs["predictions"].flatten(0, 1).to(memory_format=predictions)
    kwargs["predictions"] = flat.unflatten(0, (3, 2))
    assert_same(kwargs)
    assert step(**kwargs, backend="triton").x.is_contiguous(memory_format=state)


def test_views_with_gaps_between_pictures_branches_and_channels():
    kwargs = arguments((2, 4, 6, 7), branches=2)
    wide = random((2, 4, 9, 6, 7), 3)
    kwargs["predictions"] = wide[:, 1:3, 2:6]
    kwargs["noise"] = random((4, 9, 6, 7), 4)[::2, ::2][:, :4]
    assert_same(kwargs)


def test_inputs_are_left_unchanged():
    kwargs = arguments((3, 4, 13, 11))
    tensors = [v for v in kwargs.values() if isinstance(v, torch.Tensor)] + list(kwargs["history"])
    before = [t.clone() for t in tensors]
    step(**kwargs, backend="triton")
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


def test_terms_of_coefficient_zero_are_not_read():
    kwargs = arguments((2, 4, 3, 5), past=2)
    nan = torch.full((2, 4, 3, 5), math.nan)
    coefs = kwargs["coefs"]._replace(
        weights=(1.5, 0.0), x=0.0, d=(1.0, 0.0, 0.5), saved=0.0, noise=0.0, skip=0.0
    )
    kwargs["predictions"][1] = math.nan
    kwargs.update(x=nan, coefs=coefs, history=(nan, kwargs["history"][1]), saved=nan, noise=nan)
    assert_same(kwargs)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_pictures_that_are_not_finite_are_flagged(bad):
    kwargs = arguments((4, 4, 13, 11))
    kwargs["predictions"][1, 1, 3, 12, 10] = bad
    kwargs["predictions"][0, 3, 0, 0, 0] = bad
    for _, finite in both(kwargs):
        assert finite.tolist() == [True, False, True, False]


def test_a_picture_does_not_depend_on_its_batch():
    kwargs = arguments((3, 4, 13, 11), branches=3, dtype=torch.float16)
    together = step(**kwargs, backend="triton")
    for i in range(3):
        one = {k: v[i : i + 1] if k in ("x", "saved", "noise") else v for k, v in kwargs.items()}
        one["predictions"] = kwargs["predictions"][:, i : i + 1]
        one["history"] = tuple(h[i : i + 1] for h in kwargs["history"])
        alone = step(**one, backend="triton")
        assert torch.equal(alone.x[0], together.x[i]) and torch.equal(alone.denoised[0], together.denoised[i])


class Rounded:
    """A model whose predictions come in a half-precision dtype, and that takes its input in place."""

    def __init__(self, model, shape, dtype, in_place):
        self.model, self.prediction_type, self.dtype = model, model.prediction_type, dtype
        if in_place:
            batch, channels = shape[:2]
            self.buffer = torch.zeros(len(BRANCHES), batch, 2 * channels, *shape[2:], dtype=dtype)
            self.input_batch = lambda branches: self.buffer[: len(branches), :, :channels]

    def predict(self, x_scaled, row, branches):
        if hasattr(self, "buffer"):
            assert x_scaled.data_ptr() == self.buffer.data_ptr() and len(x_scaled) == len(branches)
            assert torch.equal(x_scaled, x_scaled[:1].expand_as(x_scaled))
            x_scaled = x_scaled[0]
        return self.model.predict(x_scaled.to(self.dtype).float(), row, branches).to(self.dtype)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("branches", GUIDANCES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_prediction_kind_and_branch_count(solver, branches, prediction_type, schedule, gaussian):
    plan = make_plan(schedule.sigmas("trailing", 4), solver, GUIDANCES[branches], schedule)
    assert {len(row.branches) for row in plan} == {branches}
    x = initial_noise([1, 2], (4, 9, 7)) * plan.sigma_start
    ends = []
    for backend in ("triton", "reference"):
        steps = []
        model = Rounded(gaussian(prediction_type), x.shape, torch.float32, in_place=backend == "triton")
        end = sample(
            *(model, x, plan, SeededNoise([1, 2])),
            on_step=lambda i, x, d, steps=steps: steps.append(torch.stack([x, d])),
            backend=backend,
        )
        ends.append(torch.stack([*steps, torch.stack([end, end])]))
    spread = float(ends[1][-1].std())
    assert float((ends[0] - ends[1]).abs()[-1].max()) < 1e-5 * max(spread, 1.0)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-4)  # on the way x is up to sigma 15 large


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_half_precision_models_end_alike(solver, dtype, schedule, gaussian):
    plan = make_plan(schedule.sigmas("karras", 4), solver, instructpix2pix(4, 1.5), schedule)
    x = initial_noise([3], (4, 5, 5)) * plan.sigma_start
    # One input that rounds to its neighbour moves a prediction by the dtype's spacing, and the rest with it.
    spacing = torch.finfo(dtype).eps * plan.sigma_start
    ends = [
        sample(Rounded(gaussian(), x.shape, dtype, in_place), x, plan, SeededNoise([3]), backend=backend)
        for backend, in_place in (("triton", True), ("triton", False), ("reference", False))
    ]
    for end in ends[:2]:
        torch.testing.assert_close(end, ends[2], rtol=0, atol=4 * spacing)


class Still:
    """A model that has its predictions ready, so that what is counted is the sampler's."""

    prediction_type = "v_prediction"

    def __init__(self, shape):
        self.ready = random((len(BRANCHES), *shape), 1)
        self.buffer = torch.zeros(len(BRANCHES), *shape)

    def input_batch(self, branches):
        return self.buffer[: len(branches)]

    def predict(self, x_scaled, row, branches):
        return self.ready[: len(branches)]


@pytest.mark.parametrize("solver", ["euler", "ddim", "dpmpp_2m", "unipc"])
def test_a_row_is_one_launch_and_nothing_else(solver, schedule, monkeypatch):
    """Six rows less four, so that what happens once a run cancels; flags are read once, as they are on a device."""
    from instructdiffusion.sampling import sampler
    from tests.benchmarks.counting import OpCounter, recorded_launches

    monkeypatch.setattr(sampler, "check_finite", lambda *_: None)
    model, x = Still((2, 4, 9, 7)), random((2, 4, 9, 7), 0)

    def counts(rows):
        plan = make_plan(schedule.sigmas("trailing", rows), solver, instructdiffusion(5, 1.25), schedule)
        assert len(plan) == rows and {len(row.branches) for row in plan} == {3}
        with recorded_launches(run=False) as recorder, OpCounter() as counter:
            sample(model, x, plan, backend="triton")
        return recorder.launches, counter.ops, counter.syncs

    few, many = counts(4), counts(6)
    assert few[0] == 4 and tuple(b - a for a, b in zip(few, many, strict=True)) == (2, 0, 0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_in_place_with_a_table_a_whole_plan_gives_the_same(solver, schedule, gaussian):
    from instructdiffusion.sampling.kernels import fused

    plan = make_plan(schedule.sigmas("karras", 4), solver, instructdiffusion(5, 1.25), schedule)
    model, noise = gaussian("v_prediction"), SeededNoise([4, 5])
    start = initial_noise([4, 5], (4, 9, 7)) * plan.sigma_start
    nan = torch.full_like(start, math.nan)  # what no row reads may hold anything
    x, history, saved, fresh = start.clone(), [nan.clone() for _ in range(3)], nan.clone(), nan.clone()
    batch = (start * input_scale(plan.sigma_start)).repeat(3, 1, 1, 1, 1)
    finite, draws = torch.ones(2, dtype=torch.bool), 0
    for row, coefs in zip(plan, plan.coefs(model.prediction_type), strict=True):
        if coefs.noise != 0.0:
            fresh.copy_(noise.step(draws, x))
            draws += 1
        table_row = torch.tensor([*fused.scalars(coefs), float(row.save)])
        predictions = model.predict(batch[0], row, row.branches)
        fused.launch_in_place(x, predictions, table_row, history, saved, fresh, batch, finite)
    end = sample(model, start, plan, noise, backend="triton")
    assert torch.equal(x, end) and torch.equal(batch, x.expand_as(batch)) and finite.all()
    assert torch.equal(history[0], x)  # every plan ends at sigma 0, in its last denoised latent


def test_in_place_the_longest_history_and_the_saved_x_move_on():
    from instructdiffusion.sampling.kernels import fused

    shape = (2, 4, 3, 5)
    x, held = random(shape, 0), [random(shape, 1 + k) for k in range(3)]
    saved, noise = random(shape, 4), random(shape, 5)
    mine = [t.clone() for t in (x, *held, saved)]
    for i in range(6):
        predictions, save = random((2, *shape), 10 + i), i in (1, 2, 4)
        coefs = COEFS._replace(weights=COEFS.weights[:2], x=0.3 + 0.1 * i)
        row = torch.tensor([*fused.scalars(coefs), float(save)])
        fused.launch_in_place(mine[0], predictions, row, mine[1:4], mine[4], noise)
        out = step(x, predictions, coefs, tuple(held), saved, noise, backend="reference")
        saved = x if save else saved
        x, held = out.x, [out.denoised, *held[:2]]
        for a, b in zip(mine, (x, *held, saved), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"x": torch.zeros(2, 4, 3, 5, dtype=torch.float64)}, "state in float32, the state is float64"),
        ({"saved": torch.zeros(2, 4, 3, 5, dtype=torch.float64)}, "the saved x is float64"),
        ({"history": (torch.zeros(2, 4, 3, 5, dtype=torch.float16),)}, "the history is float16"),
        ({"predictions": torch.zeros(2, 2, 4, 3, 5, dtype=torch.float64)}, "the prediction is float64"),
        ({"noise": torch.zeros(2, 4, 3, 5, dtype=torch.float64)}, "the noise is float64"),
        ({"batch": torch.zeros(2, 2, 4, 3, 5, dtype=torch.int32)}, "the batch is int32"),
        ({"x": torch.zeros(2, 4, 5, 3).transpose(2, 3)}, "contiguous or channels_last"),
        ({"x": torch.zeros(2, 8, 3, 5)[:, :4]}, "contiguous or channels_last"),
        ({"saved": torch.zeros(2, 3, 5, 4).permute(0, 3, 1, 2)}, "saved x must be contiguous as the state"),
        ({"history": (torch.zeros(2, 4, 5, 3).transpose(2, 3),)}, "the history must be contiguous"),
        ({"noise": torch.zeros(2, 4, 3, 9)[..., :5]}, "pixels of the noise must have one stride"),
        ({"predictions": torch.zeros(2, 2, 4, 3, 9)[..., :5]}, "pixels of the prediction"),
        ({"batch": torch.zeros(1, 2, 4, 3, 5).expand(2, -1, -1, -1, -1)}, "overlap"),
        ({"finite": torch.ones(4, dtype=torch.bool)[::2]}, "flags must be contiguous"),
        ({"noise": torch.zeros(2, 4, 3, 5, device="meta")}, "the noise is on meta, x on cpu"),
        ({"x": torch.zeros(2, 4, 3, 5, requires_grad=True)}, "requires grad"),
        ({"coefs": COEFS._replace(weights=(1.0, 2.0), d=(1.0,) * 5)}, "looks back 3 rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_kernel_cannot_take_is_refused_with_the_reason(change, reason):
    kwargs = {**arguments((2, 4, 3, 5)), **change}
    kwargs["history"] = (*kwargs["history"], *[torch.zeros(2, 4, 3, 5)] * 4)
    assert reason in why_not(**kwargs)
    with pytest.raises(RuntimeError, match="backend='triton' cannot run this step"):
        step(**kwargs, backend="triton")


def test_five_branches_and_no_values_are_refused():
    five = arguments((2, 4, 3, 5), branches=4)
    five["predictions"] = torch.zeros(5, 2, 4, 3, 5)
    five["coefs"] = five["coefs"]._replace(weights=(1.0,) * 5)
    assert "1 to 4 branches, the row has 5" in why_not(**five)
    assert "got (0, 4, 3, 5)" in why_not(**arguments((0, 4, 3, 5)))


def test_tensors_beyond_32_bit_offsets_are_refused():
    x = torch.empty(1, 4, 2**14, 2**13, device="meta")
    three, four = (torch.empty(n, *x.shape, device="meta", dtype=torch.float16) for n in (3, 4))
    coefs = COEFS._replace(d=(1.0,), saved=0.0, noise=0.0)
    assert why_not(x, three, coefs) is None
    assert "at most 2^31 - 1 values a tensor; the prediction is (4, 1" in why_not(x, four, coefs)


def test_auto_never_takes_the_interpreter(monkeypatch):
    from instructdiffusion.sampling.kernels import fused

    monkeypatch.setattr(fused, "launch", lambda *args: pytest.fail("auto ran the interpreter"))
    kwargs = arguments((2, 4, 3, 5))
    assert torch.equal(step(**kwargs).x, step(**kwargs, backend="reference").x)


def test_gradients_are_no_reason_where_none_are_kept():
    kwargs = arguments((2, 4, 3, 5))
    kwargs["x"].requires_grad_()
    with torch.no_grad():
        assert why_not(**kwargs) is None
