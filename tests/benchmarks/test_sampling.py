"""The benchmark itself: its contenders draw the same picture, and what it counts is what happens."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from .authors import GuidedDenoiser, authors_loop, euler_ancestral, package_sampler
from .chart import COLORS
from .contenders import pix2pix_scales
from .counting import OpCounter, Shares, count_step, fused_step, idle, watch
from .ladder import STRONG, asked_in_words, make_contenders
from .quality import quality
from .report import table, targets
from .rounds import compare, timed, turn, watched
from .sampling import ask, counted, main, parse, run, works
from .together import TOGETHER, answer_together

SCALES = (1.5, 0.5)
STEPS = 4


@pytest.fixture(scope="module")
def contenders(model):
    return make_contenders(model.backend, SCALES, (STEPS, 3), ladder=True)


@pytest.fixture(scope="module")
def question(model):
    return ask(model.backend, "cpu")


def named(contenders, part):
    return next(c for c in contenders if part in c.name)


def test_contenders_that_claim_it_draw_the_same(contenders, question):
    same = compare(contenders, question)
    claimed = {c.name: same[c.name] for c in contenders if c.like is not None}
    rounded = claimed.pop("ours: the same, bfloat16")
    assert len(claimed) == 7 and max(claimed.values()) < 0.01 and 1e-4 < rounded < 0.1
    exact = [d for name, d in claimed.items() if name.startswith("ours") and "started" not in name]
    assert (
        len(exact) == 5 and max(exact) < 1e-3
    )  # the authors' own answer, or the pipeline's under another guidance


def test_a_rung_changes_one_thing(contenders):
    """The lossy rungs, as they are asked for: steps, schedule, solver and guidance, one at a time."""
    names = ("solver", "schedule", "steps", "guidance")
    asked = [
        tuple(str(c.options[n]) for n in names)
        for c in contenders
        if c.name.startswith("ours: +") and c.options
    ]
    assert len(asked) == 8  # the last is asked as the one before, in bfloat16
    changes = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in zip(asked, asked[1:])]
    assert max(changes) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_the_rungs_below_the_compiled_one_are_compiled_too(model, question, monkeypatch):
    from . import ladder

    real = ladder.speed_up
    monkeypatch.setattr(ladder, "speed_up", lambda parts, **options: real(parts, **options, backend="eager"))
    made = make_contenders(model.backend, SCALES, (STEPS,), True, compiled=True)
    theirs = [c for c in made if c.group == "diffusers"]
    made = [made[0], *(c for c in made if c.group == "ours")]
    compiled = [c.parts is not None and hasattr(c.parts.unet, "_orig_mod") for c in made]
    first = next(i for i, c in enumerate(made) if c.name == "ours: + channels_last and compiled")
    assert not any(compiled[:first]) and all(compiled[first:]) and len(made) - first == 13
    # Speeds are compared on equal terms: both guidances stand there compiled and not, of ours and of diffusers'.
    terms = {(group, scales, flag) for group in ("diffusers", "ours") for scales in (None, STRONG) for flag in (0, 1)}
    assert terms == {(c.group, c.scales, int(c.compiled)) for c in theirs + made[1:] if not c.lossy}
    assert all(c.compiled == hasattr(c.parts.unet, "_orig_mod") for c in theirs if c.parts is not None)
    try:
        plain, fast = named(made, "branches without weight"), made[first]
        rival = next(c for c in theirs if c.compiled and c.scales is None)
        found = compare([made[0], plain, fast, rival], question)
        assert max(found[fast.name], found[rival.name]) < 1e-3
        assert counted(fast, question, model.backend, "cpu") == counted(plain, question, model.backend, "cpu")
        assert watched(fast, question, model.backend, lambda: None).evaluations == 2 * STEPS
    finally:
        torch.compiler.reset()


def test_a_forward_of_its_own_comes_back_to_a_unet(model):
    unet = torch.compile(model.components.unet, backend="eager")
    before = vars(unet)["forward"]
    with idle(unet):
        assert vars(unet)["forward"] is not before
    assert vars(unet)["forward"] is before


def test_pictures_are_new_but_where_it_is_said(model, contenders, question):
    """What a model in use keeps is no part of a row, unless its name says so."""
    seen = {"read": 0, "encoded": 0}

    def count(name):
        def hook(*_):
            seen[name] += 1

        return hook

    parts = model.components
    words = [asked_in_words(parts, again=again) for again in (False, True)]
    rows = [named(contenders, "one evaluation"), named(contenders, "asked about before"), *words]
    rows += [contenders[0], named(contenders, "conditions made once")]
    for c in rows:
        c.draw(question, 1)
    handles = [parts.text_encoder.register_forward_pre_hook(count("read"))]
    handles += [parts.vae.encoder.register_forward_pre_hook(count("encoded"))]
    try:
        got = []
        for c in rows:
            seen.update(read=0, encoded=0)
            c.draw(question, 1)
            got.append((seen["read"], seen["encoded"]))
    finally:
        for handle in handles:
            handle.remove()
    assert got == [(1, 1), (1, 0), (1, 1), (1, 0), (2, 1), (1, 1)]


def test_other_noise_or_guidance_draws_something_else(model, contenders, question):
    """Agreement above is no accident of a model that ignores what it is given."""
    draw = named(contenders, "branches without weight").draw
    drawn = draw(question, STEPS)[0]
    for other in (
        replace(question, seed=8),
        replace(question, noise=question.noise.flip(3)),
    ):
        assert float((draw(other, STEPS)[0] - drawn).std() / drawn.std()) > 0.05
    strong = named(make_contenders(model.backend, (9.0, 0.5), (STEPS,), True), "branches without weight")
    assert float((strong.draw(question, STEPS)[0] - drawn).std() / drawn.std()) > 0.01


def test_evaluations_are_counted_as_they_happen(model, contenders, question):
    def evaluations(part):
        return watched(named(contenders, part), question, model.backend, lambda: None).evaluations

    assert evaluations(f"authors' loop ({_found()}), {STEPS} steps") == 3 * STEPS
    assert evaluations("diffusers, Euler") == 3 * STEPS
    assert evaluations("conditions made once") == 3 * STEPS
    assert evaluations("branches without weight") == 2 * STEPS
    assert evaluations("diffusers, Euler ancestral, 4 steps, guidance") == 3 * STEPS
    assert evaluations("the same, guidance") == 3 * STEPS
    assert evaluations("one branch") == 4 and evaluations("one evaluation") == 1


def _found():
    return "k-diffusion" if package_sampler() else "written from the published algorithm"


def test_time_is_split_among_the_networks(model, contenders, question):
    shares = watched(contenders[0], question, model.backend, lambda: None)
    assert 0.3 < shares.unet < 1 and shares.vae > 0 and shares.text > 0
    assert shares.unet + shares.vae + shares.text < 1
    assert shares.outside == pytest.approx(1 - shares.unet - shares.vae)
    unet = model.components.unet
    assert not unet._forward_hooks and not unet._forward_pre_hooks


def test_what_an_operation_counts_as():
    x = torch.zeros(10, 10)
    with OpCounter() as counter:
        y = x + x  # reads two, writes one
        y.view(100)[3:].t()
        torch.empty(5)
    assert (counter.ops, counter.bytes, counter.syncs) == (1, 3 * 400, 0)
    with OpCounter() as counter:
        y.mul_(2)
        x[:1].expand(10, 10) + 1  # an expanded row lies in memory once
    assert (counter.ops, counter.bytes) == (2, 2 * 400 + 40 + 400)
    with OpCounter() as counter:
        float(y[0, 0])
        bool(y.any())
    assert (counter.syncs, counter.ops) == (2, 1)


def test_the_fused_step_is_one_operation():
    pytest.importorskip("triton")
    step = fused_step()
    state, half = 4 * 64 * 64 * 4, 4 * 64 * 64 * 2
    assert (step.ops, step.syncs, step.bytes) == (1, 0, 2 * state + 2 * 3 * half + 1)  # a flag: is it finite
    multistep = fused_step("dpmpp_2m")
    assert (multistep.ops, multistep.syncs, multistep.bytes) == (1, 0, step.bytes + 2 * state)


def test_a_step_is_counted_without_the_unet_and_without_what_happens_once(model, contenders, question):
    steps = {
        part: counted(named(contenders, part), question, model.backend, "cpu")
        for part in ("authors", "diffusers, Euler", "branches without weight")
    }
    assert steps["authors"].ops > steps["diffusers, Euler"].ops > steps["branches without weight"].ops > 1
    assert steps["authors"].bytes > steps["branches without weight"].bytes
    assert steps["authors"].syncs == 2
    assert counted(named(contenders, "one evaluation"), question, model.backend, "cpu") is None
    assert "forward" not in vars(model.components.unet)  # it runs again as it did
    ours = named(contenders, "branches without weight")
    whole = count_step(lambda steps: ours.draw(question, steps), model.components.unet)
    assert whole == steps["branches without weight"]  # what the UNet answers has no part in it

    linear = torch.nn.Linear(3, 3)

    def draw(steps):
        torch.ones(50).sum()  # once
        for _ in range(steps):
            linear(torch.ones(3))  # one operation outside

    assert count_step(draw, linear).ops == 1


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_published_loop_is_the_packages_own(prediction_type):
    """Where k-diffusion is installed its sampler runs in the benchmark: it must give what ours does."""
    package = package_sampler()
    if package is None:
        pytest.skip("k-diffusion is not installed: pip install --no-deps k-diffusion")
    alphas = torch.linspace(0.999, 0.005, 1000)

    def unet(x, t, encoder_hidden_states, return_dict):
        return (0.1 * x[:, :4] + x[:, 4:].mean() + encoder_hidden_states.mean(),)

    conditions = torch.ones(1, 4, 8, 8), torch.ones(1, 5, 6), torch.zeros(1, 5, 6)
    denoiser = GuidedDenoiser(unet, alphas, prediction_type, conditions, (3.0, 1.5))
    noise = torch.randn(12, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x, sigmas = noise[0] * 14, denoiser.sigmas(10)
    ours, theirs = iter(noise[1:]), iter(noise[1:])
    expected = package(denoiser, x, sigmas, disable=True, noise_sampler=lambda a, b: next(theirs))
    got = euler_ancestral(denoiser, x, sigmas, lambda a, b: next(ours))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-5)


def test_the_authors_loop_takes_no_model_that_it_does_not_know():
    conditions = torch.ones(1, 4, 8, 8), torch.ones(1, 5, 6), torch.zeros(1, 5, 6)

    def unet(x, t, encoder_hidden_states, return_dict):
        return (x[:, :4],)

    denoiser = GuidedDenoiser(unet, torch.linspace(0.9, 0.1, 50), "sample", conditions, (1, 1))
    with pytest.raises(ValueError, match="'sample'"):
        authors_loop(denoiser, torch.ones(1, 4, 8, 8), 2, lambda: torch.zeros(1, 4, 8, 8))


def test_the_pipeline_is_only_compared_where_it_can_agree():
    assert pix2pix_scales((1.5, 0.5)) == (2.0, 1.0)
    with pytest.raises(ValueError, match="s_image = .5 only"):
        pix2pix_scales((1.5, 1.5))


def test_the_first_of_many_is_answered_as_it_is_alone(model, contenders):
    asked = ask(model.backend, "cpu", 3)
    assert len({q.picture.tobytes() for q in asked.first(3)}) == len({q.seed for q in asked.first(3)}) == 3
    authors, ours = answer_together(model.backend, SCALES, contenders[0], model)[:2]
    for many, alone in ((authors, contenders[0]), (ours, named(contenders, "+ one evaluation"))):
        found, picture = many.draw(asked, many.steps)
        wanted, looks = alone.draw(asked, many.steps)
        assert many.pictures == TOGETHER and found.shape == wanted.shape
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
        assert np.abs(looks.astype(int) - picture).max() <= 1
        other = alone.draw(asked.beside[0], many.steps)[0]
        assert float((other - wanted).abs().max()) > 0.1


def test_times_of_many_are_of_one_picture(contenders, question, monkeypatch):
    monkeypatch.setattr(
        "tests.benchmarks.rounds.watch", lambda draw, *_, **__: draw() or Shares(8.0, 0, 0, 0, 1)
    )
    still = replace(contenders[0], draw=lambda q, _: (q.noise, None))
    some = [replace(still, name="one"), replace(still, name="four", pictures=4)]
    ran = timed(some, question, 1, lambda: None, lambda text: None)
    assert ran.seconds == {"one": [8.0], "four": [2.0]}


@pytest.fixture(scope="module")
def results(model):
    return run(components=model.components, steps=(STEPS,), repeats=1, scenes=1, scales=SCALES)


def test_a_run_measures_every_contender(results):
    names = [r["name"] for r in results["rows"]]
    assert len(names) == len(set(names)) == 27
    assert [r["name"].partition(",")[0] for r in results["rows"] if r["scales"] == list(STRONG)] == [
        "diffusers",
        "ours: the same",
    ]
    assert [r["evaluations"] for r in results["rows"][-7:]] == [1, 1, 1, 3 * STEPS, 1, 1, 1]
    assert [r["pictures"] for r in results["rows"][-7:]] == [1, 1, 1, *4 * [TOGETHER]]
    assert all(r["median"] > 0 and len(r["seconds"]) == 1 for r in results["rows"])
    lossy = [r for r in results["rows"] if r["lossy"] and r["step"] is not None]
    assert lossy and all(np.isfinite(r["quality"]["PSNR"]) for r in lossy)
    about = results["machine"]
    assert about["torch"] == torch.__version__ and about["threads"] == torch.get_num_threads()
    json.dumps(results, allow_nan=False)


def test_the_table_has_a_line_a_contender_and_every_target(results):
    text = table(results)
    assert all(r["name"] in text for r in results["rows"])
    assert all(t["name"] in text for t in results["targets"]) and len(results["targets"]) > 2
    timed = [t for t in results["targets"] if t["reached"] is None]
    assert text.count("1 repeat: not judged") == len(timed) > 2
    assert "scales 1.5 and 0.5, in rows that say so InstructPix2Pix's with 7.5 and 1.5" in text


def test_targets_are_judged_by_the_rows():
    def row(name, group, median, **more):
        return {
            "name": name,
            "group": group,
            "median": median,
            "lossy": False,
            "same": True,
            "steps": 100,
            "evaluations": 300,
            "outside_share": 0.04,
            "scales": None,
            "pictures": 1,
            "compiled": False,
            **more,
        }

    strong = {"scales": [7.5, 1.5]}
    rows = [
        row("authors", "authors", 10.0, quality={"cIoU": 0.8}),
        row("pipeline", "diffusers", 6.0),
        row("strong pipeline", "diffusers", 7.0, **strong),
        row("compiled pipeline", "diffusers", 4.0, compiled=True),
        row("wrong", "ours", 1.0, same=False),
        row("right", "ours", 5.0),
        row("compiled", "ours", 2.5, compiled=True),  # twice as fast as diffusers' as it comes, which says nothing
        row("strong", "ours", 5.0, **strong),
        row("one", "ours", 0.05, lossy=True, evaluations=1, quality={"cIoU": 0.78}, outside_share=0.06),
        row("authors, many", "authors", 4.0, pictures=16),
        row("many", "ours", 0.05, lossy=True, evaluations=1, quality={"cIoU": 0.8}, pictures=16),
    ]
    fused = {"ops": 1, "bytes": 360_000, "syncs": 0}
    results = {"rows": rows, "fused_step": fused, "repeats": 3}
    found = {t["name"]: (t["value"], t["reached"]) for t in targets(results)}
    assert list(found.values()) == [
        (pytest.approx(1.2), False),  # the wrong one does not count
        (0.04, True),
        (pytest.approx(1.4), True),  # like with like
        (0.04, True),
        (pytest.approx(1.6), True),
        (0.04, True),
        (0.06, False),
        (pytest.approx(0.975), False),
        (pytest.approx(200), True),
        (0.04, True),
        (1, True),
        (
            pytest.approx(200),
            True,
        ),  # beside the authors' loop as it is, and as it would be with as many at once
        (pytest.approx(80), False),
        (1, True),
        (0.36, False),
        (0, True),
    ]
    few = [t["reached"] for t in targets({**results, "repeats": 2})]  # what was counted stands, times do not
    assert few == [None, None, None, None, None, None, None, False, None, None, True, None, None, True, False, True]


@pytest.mark.slow
def test_the_command(model_folder, tmp_path, capsys):
    options = ["--steps", "2", "--repeats", "1", "--scenes", "0", "--device", "cpu"]
    out = tmp_path / "docs"
    assert main(["--model", str(model_folder), *options, "--out", str(out)]) == 0
    assert "targets" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["benchmark.json", "benchmark.md", "benchmark.png"]
    written = json.loads((out / "benchmark.json").read_text())
    (found,) = written["runs"]
    assert found["model"] == str(model_folder) and "--steps 2 --repeats 1" in written["command"]
    text = (out / "benchmark.md").read_text()
    assert written["command"] in text and "(benchmark.png)" in text
    assert all(f"| {r['name']} |" in text for r in found["rows"])
    assert all(t["name"] in text for t in found["targets"])
    with Image.open(out / "benchmark.png") as image:
        pixels = np.asarray(image)
    assert (pixels == 255).all(2).mean() > 0.4  # ink on white, in the colours of all three groups
    assert all((pixels == np.array(ImageColor.getrgb(c))).all(2).any() for c in COLORS.values())
    for bad in (
        ["--repeats", "0"],
        ["--steps", "0"],
        ["--scenes", "-1"],
        ["--minutes", "0"],
        ["--large-steps", "0"],
    ):
        with pytest.raises(SystemExit):
            parse(bad)


def test_a_short_contender_is_drawn_until_its_turn_is_over():
    """On a clock of ours: the first takes three seconds, those that count a tenth of one each."""
    clock, took = [0.0], iter([3.0, *[0.1] * 9])

    def draw():
        clock[0] += next(took)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.benchmarks.counting.time.perf_counter", lambda: clock[0])
        patch.setattr("tests.benchmarks.rounds.TURN", 4.0)
        shares = turn(draw, {}, lambda: None)
        assert shares.seconds == pytest.approx((0.1 + 0.1) / 2) and clock[0] == pytest.approx(3.2)
        patch.setattr("tests.benchmarks.rounds.TURN", 0.05)
        assert turn(draw, {}, lambda: None).seconds == pytest.approx(0.1) and clock[0] == pytest.approx(3.3)


def test_rounds_end_in_time_but_one_runs(contenders, question, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.rounds.TURN", 0.0)
    some, draws = (
        [replace(c, draw=lambda q, n: (draws.append(1) or q.noise, None)) for c in contenders[:2]],
        [],
    )
    ran = timed(some, question, 3, lambda: None, lambda text: None, limit=-1.0)
    assert [len(s) for s in ran.seconds.values()] == [1, 1] and len(draws) == 2
    ran = timed(some, question, 3, lambda: None, lambda text: None)
    assert [len(s) for s in ran.seconds.values()] == [3, 3] and not any(ran.shares.values())


@pytest.mark.slow
def test_the_large_model_runs_through_the_same_contenders():
    from .models import large_model

    components = large_model("cpu", channels=(32, 32, 32, 32))
    found = run(components=components, large=True, steps=(2,), repeats=1, scenes=0)
    assert found["latents"] == [4, 64, 64] and found["picture"] == [512, 512]
    assert [r["same"] for r in found["rows"]] == [None, True, None, True, True, True, True]


def test_a_clock_stops_where_a_run_fails(model):
    def fails():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        watch(fails, {"unet": [model.components.unet], "vae": [], "text": []}, lambda: None)
    assert not model.components.unet._forward_hooks


def test_replays_of_graphs_are_clocked_and_counted_as_one_operation(monkeypatch):
    class Graph:
        def replay(self):
            torch.ones(3) + 1

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    plain = Graph.replay

    def draw(steps=2):
        for _ in range(steps):
            torch.ones(3).mul_(2)  # two operations beside the replay, which has two itself
            Graph().replay()

    shares = watch(draw, {}, lambda: None, clocked=True)
    assert 0 < shares.unet < 1 and Graph.replay is plain
    assert count_step(draw, None, "cpu", graphed=True).ops == 5


def test_a_contender_that_fails_is_left_out_unless_it_is_needed(contenders, question, capsys):
    def fails(question, steps):
        raise FloatingPointError("not finite")

    said, broken = [], replace(contenders[1], draw=fails)
    assert works(contenders[-1], question, said.append, needed=True)
    assert not works(broken, question, said.append, needed=False)
    assert len(said) == 1 and "not finite" in said[0] and broken.name in said[0]
    with pytest.raises(FloatingPointError):
        works(broken, question, said.append, needed=True)
    capsys.readouterr()


def test_quality_that_would_come_too_late_is_left_out(model, contenders):
    rows, said = [{"name": c.name} for c in contenders], []
    quality(model, contenders, rows, 1, said.append, seconds=-1.0)
    assert not any("quality" in row for row in rows)
    assert said and all(text.startswith("no time for the quality of") for text in said)


def test_what_the_profiler_counted_has_columns_of_its_own(results):
    rows = [
        {**r, "step": r["step"] and {**r["step"], "launches": 4.0, "waits": 1.0}} for r in results["rows"]
    ]
    about = {**results["machine"], "gpu": "a card", "driver": "1.2", "cuda": "13.0"}
    about["tf32"] = {"matmul": False, "convolution": True}
    text = table({**results, "rows": rows, "machine": about})
    assert "launches  waits" in text and "TF32 in: convolution" in text and "a card, driver 1.2" in text
    assert "launches" not in table(results)
