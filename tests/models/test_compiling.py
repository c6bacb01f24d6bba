"""Whether networks run compiled: when it is asked for, when it pays, and what is said where it cannot be."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import instructdiffusion
from instructdiffusion import InstructDiffusion
from instructdiffusion.cli import main
from instructdiffusion.models import compiling
from instructdiffusion.models.compiling import PAYS, Compiling, why_not_compiled


@pytest.fixture
def own(model):
    """Components whose networks are nobody else's."""
    parts = model.components
    return dataclasses.replace(parts, unet=copy.deepcopy(parts.unet), vae=copy.deepcopy(parts.vae))


@pytest.fixture
def calls(monkeypatch):
    """What was compiled, without compiling it."""
    made = []

    def speed_up(components, **options):
        made.append(options)
        return dataclasses.replace(components)

    monkeypatch.setattr(compiling, "speed_up", speed_up)
    monkeypatch.setattr(compiling, "why_not_compiled", lambda device: None)
    return made


def test_where_it_is_left_open_it_is_off_until_it_pays(own, calls):
    choose = Compiling()
    assert choose.reason == "nothing has run yet"
    assert choose(own, PAYS - 5) is own and not calls
    assert choose.reason.startswith(f"less than {PAYS} evaluations of the UNet at one size do not pay")
    fast = choose(own, 5)
    assert fast is not own and choose.reason is None
    assert calls == [{"channels_last": True, "compiled": True, "backend": "inductor"}]
    assert choose(fast, 1) is fast and choose(own, 1) is fast and len(calls) == 1
    other = dataclasses.replace(own)
    assert choose(other, 1) not in (own, fast, other) and len(calls) == 2  # another model: its own


def test_it_is_forced_and_forbidden(own, calls):
    never, always = Compiling(False), Compiling(True)
    assert never(own, 10 * PAYS) is own and never.reason == "compiled=False"
    assert always(own, 1) is not own and always.reason is None and len(calls) == 1
    with pytest.raises(ValueError, match="None, True or False"):
        Compiling("yes")


def test_without_a_compiler_the_reason_is_said(own, monkeypatch, tmp_path, picture, model_folder, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert "no C++ compiler 'no-such-compiler -O2'" in why_not_compiled("cpu")
    choose = Compiling()
    assert choose(own, PAYS) is own and "no-such-compiler" in choose.reason
    with pytest.raises(RuntimeError, match="cannot be compiled: there is no C\\+\\+ compiler"):
        InstructDiffusion(own, compiled=True)
    from PIL import Image

    Image.fromarray(picture).save(tmp_path / "a.png")
    asked = ["denoise", str(tmp_path / "a.png"), "--model", str(model_folder), "-o", str(tmp_path / "out")]
    assert main([*asked, "--compile", "--device", "cpu"]) == 1
    assert "cannot be compiled: there is no C++ compiler" in capsys.readouterr().err


def test_other_reasons(monkeypatch):
    assert "not for mps" in why_not_compiled("mps")
    monkeypatch.setenv("CXX", "python3")
    monkeypatch.setattr(compiling.sysconfig, "get_paths", lambda: {"include": "nowhere"})
    assert "Python.h is missing" in why_not_compiled("cpu")
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: None)
    assert "triton is not installed" in why_not_compiled("cuda")


def _compile_to(forward, monkeypatch):
    """Let the compiler be asked at once, and make of any UNet one that runs `forward`."""

    def speed_up(components, **options):
        unet = copy.deepcopy(components.unet)
        unet.forward = forward
        return dataclasses.replace(components, unet=unet)

    monkeypatch.setattr(compiling, "speed_up", speed_up)
    monkeypatch.setattr(compiling, "PAYS", 1)


def test_a_compiler_that_fails_unasked_is_passed_over(own, picture, calls, monkeypatch, caplog):
    from torch._dynamo.exc import TorchDynamoException

    expected = InstructDiffusion(own).edit(picture, "add a red star", steps=2)

    def fail(*arguments, **options):
        raise TorchDynamoException("cannot\nat all")

    _compile_to(fail, monkeypatch)
    model = InstructDiffusion(own)
    with caplog.at_level(logging.WARNING):
        answer = model.edit(picture, "add a red star", steps=2)
    assert "the compiler failed: TorchDynamoException: cannot" in caplog.text
    assert np.abs(answer.picture.astype(int) - expected.picture).max() <= 1
    assert model.backend.components is own and model.backend.compiling.reason.startswith("the compiler failed")
    model.edit(picture, "add a red star", steps=2)
    forced = InstructDiffusion(own, compiled=True)
    with pytest.raises(TorchDynamoException):
        forced.edit(picture, "add a red star", steps=2)


@pytest.fixture
def broken(own, monkeypatch):
    """A choice whose first run fails, and its answer to that run."""
    from torch._dynamo.exc import TorchDynamoException

    monkeypatch.setattr(compiling, "speed_up", lambda components, **_: dataclasses.replace(components))
    monkeypatch.setattr(compiling, "why_not_compiled", lambda device: None)
    choose = Compiling()
    fast = choose(own, PAYS)
    assert fast is not own and choose.failed(TorchDynamoException("cannot")) is own
    return choose, fast


def test_only_a_size_that_is_asked_often_is_compiled(own, monkeypatch):
    """For each size networks are compiled anew: many pictures of many sizes took longer than without."""
    monkeypatch.setattr(compiling, "speed_up", lambda components, **_: dataclasses.replace(components))
    monkeypatch.setattr(compiling, "why_not_compiled", lambda device: None)
    choose = Compiling()
    for height in range(64, 64 + 16 * 40, 16):
        assert choose(own, PAYS // 30, (1, height, 64)) is own
    assert "at one size" in choose.reason
    fast = choose(own, PAYS, (16, 64, 64))
    assert fast is not own and choose(fast, 1, (16, 64, 64)) is fast
    assert choose(fast, 1, (1, 64, 64)) is own


def test_runs_that_fail_together_all_go_on_without(broken, own, caplog):
    from torch._dynamo.exc import TorchDynamoException

    choose, fast = broken
    with caplog.at_level(logging.WARNING):
        assert choose.failed(TorchDynamoException("cannot either")) is own
    assert not caplog.records and choose.reason.endswith("TorchDynamoException: cannot")
    assert choose(fast, 1) is own  # a run that was about to begin
    assert choose(own, 1) is own


def test_threads_that_meet_the_same_failure_both_answer(own, picture, calls, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from torch._dynamo.exc import TorchDynamoException

    expected = InstructDiffusion(own).edit(picture, "add a red star", steps=2)
    both = Barrier(2)

    def fail(*arguments, **options):
        both.wait(60)
        raise TorchDynamoException("cannot")

    _compile_to(fail, monkeypatch)
    model = InstructDiffusion(own)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(model.edit, picture, "add a red star", steps=2) for _ in range(2)]
        answers = [run.result() for run in runs]
    for answer in answers:
        assert np.abs(answer.picture.astype(int) - expected.picture).max() <= 1


def test_runs_that_begin_together_get_the_same_networks(own, monkeypatch):
    import time
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(compiling, "why_not_compiled", lambda device: None)
    monkeypatch.setattr(
        compiling, "speed_up", lambda parts, **_: time.sleep(0.2) or dataclasses.replace(parts)
    )
    choose = Compiling()
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: choose(own, PAYS), range(2))
    assert one is other is not own and choose(one, 1) is one


def _chained(outer, inner, cause):
    try:
        try:
            raise inner
        except Exception as error:
            if cause:
                raise outer from error
            raise outer  # noqa: B904
    except Exception as error:
        return error


@pytest.mark.parametrize("cause", [True, False])
def test_the_compilers_errors_are_known_bare_and_wrapped(own, calls, cause):
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler, LoweringException

    def lower():
        """What cannot be lowered."""

    bare = CppCompileError(["c++"], "cannot"), LoweringException(ValueError("odd"), lower, [], {})
    for error in (*bare, InvalidCxxCompiler()):
        choose = Compiling()
        choose(own, PAYS)
        assert choose.failed(ValueError("another")) is None and choose.failed(error) is own
        choose = Compiling()
        choose(own, PAYS)
        assert choose.failed(_chained(RuntimeError("stopped"), error, cause)) is own
    choose = Compiling()
    choose(own, PAYS)
    ring = ValueError("a")
    ring.__context__ = KeyError("b")
    ring.__context__.__context__ = ring
    assert choose.failed(ring) is None


def test_other_errors_of_a_compiled_run_are_handed_on(own, picture, calls, monkeypatch):
    monkeypatch.setattr(compiling, "PAYS", 1)

    def stop(*state):
        raise RuntimeError("stopped by the caller")

    model = InstructDiffusion(own)
    with pytest.raises(RuntimeError, match="stopped by the caller"):
        model.edit(picture, "add a red star", steps=2, on_step=stop)
    assert model.backend.compiling.reason is None and len(calls) == 1


def test_from_pretrained_and_the_shell_hand_it_on(model_folder, monkeypatch, picture, tmp_path):
    from PIL import Image

    assert InstructDiffusion.from_pretrained(model_folder, device="cpu").backend.compiling.compiled is None
    kept = InstructDiffusion.from_pretrained(model_folder, device="cpu", compiled=False)
    assert kept.backend.compiling.compiled is False
    seen, real = [], InstructDiffusion.from_pretrained.__func__

    def watched(cls, *arguments, compiled=None, **options):
        seen.append(compiled)
        return real(cls, *arguments, **options)

    monkeypatch.setattr(InstructDiffusion, "from_pretrained", classmethod(watched))
    Image.fromarray(picture).save(tmp_path / "a.png")
    asked = ["edit", str(tmp_path / "a.png"), "add a star", "--steps", "1", "--model", str(model_folder)]
    for more in ([], ["--compile"], ["--no-compile"]):
        assert main([*asked, *more, "--device", "cpu", "-o", str(tmp_path / "out")]) == 0
    assert seen == [None, True, False]


@pytest.mark.slow
@pytest.mark.skipif(why_not_compiled("cpu") is not None, reason=str(why_not_compiled("cpu")))
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_a_model_that_is_compiled_answers_the_same(own, model, picture):
    fast = InstructDiffusion(own, compiled=True)
    try:
        answer = fast.edit(picture, "add a red star", steps=2)
        assert fast.backend.compiling.reason is None and hasattr(fast.backend.components.unet, "_orig_mod")
        expected = model.edit(picture, "add a red star", steps=2)
        assert np.abs(answer.picture.astype(int) - expected.picture).max() <= 1
        reused = fast.edit(picture, "add a red star", steps=2, cache_interval=2)
        plain = model.edit(picture, "add a red star", steps=2, cache_interval=2)
        assert np.abs(reused.picture.astype(int) - plain.picture).max() <= 1
    finally:
        torch.compiler.reset()


_WITHOUT = """
import logging, sys
import numpy as np
from instructdiffusion import InstructDiffusion
from instructdiffusion.models import compiling

compiling.PAYS = 1
logging.basicConfig()
model = InstructDiffusion.from_pretrained(sys.argv[1], device="cpu")
picture = np.load(sys.argv[2])
answer = model.edit(picture, "add a red star", steps=1)
again = model.edit(picture, "add a red star", steps=1)
assert np.array_equal(answer.picture, again.picture)
print(model.backend.compiling.reason)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a compiler that fails is a shell script here")
def test_a_compiler_that_cannot_compile_is_passed_over(model_folder, tmp_path, picture):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho it cannot >&2\nexit 1\n")
    compiler.chmod(0o755)
    np.save(tmp_path / "picture.npy", picture)
    places = {"CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    arguments = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        _WITHOUT,
        str(model_folder),
        str(tmp_path / "picture.npy"),
    ]
    paths = [str(Path(instructdiffusion.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, **places, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("the compiler failed: ")
    assert done.stderr.count("networks are not compiled: the compiler failed: ") == 1
