"""Memory: what a run takes, what is free, and what is refused or made smaller before anything is allocated."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from instructdiffusion.inference import memory, tiles
from instructdiffusion.inference.memory import Footprint, fitting_batch, folder_footprint, free_memory

TINY = Path(memory.__file__).parents[1] / "assets" / "tiny"
SD = Footprint.of((320, 640, 1280, 1280), (128, 256, 512, 512))


@pytest.mark.parametrize(
    ("footprint", "side", "peak", "whole"),
    [  # measured on a CPU, in MB: the UNet's peak, the autoencoder's (docs/memory.md)
        (folder_footprint(TINY), 512, 84, 337),
        (folder_footprint(TINY), 1024, 553, 1361),
        (folder_footprint(TINY, itemsize=2), 1024, 243, 644),
        (SD, 256, 158, 375),
    ],
)
def test_estimates_lie_at_what_was_measured_or_somewhat_above(footprint, side, peak, whole):
    unet = footprint.networks((side, side), vae=False) / 1e6
    assert peak <= unet <= 1.8 * peak
    assert whole <= footprint.networks((side, side)) / 1e6 <= 1.35 * whole


def test_a_footprint_grows_with_pictures_branches_and_pixels():
    one = Footprint(encode=3, decode=4, unet=32, workspace=10, factor=4, multiple=16, itemsize=2)
    assert one.networks((16, 16), vae=False) == (16 * 32 + 10) * 2
    assert one.networks((16, 16), 3, 2, vae=False) == (16 * 32 * 6 + 10) * 2
    assert one.networks((16, 32)) == (16 * 32 * 4 + 10) * 2  # the decoder takes most


def test_what_cannot_fit_is_refused_with_what_would():
    tiny = folder_footprint(TINY)
    with pytest.raises(MemoryError) as refused:
        fitting_batch(tiny, (100000, 100000), 16, free=lambda device: 8_000_000_000)
    said = str(refused.value)
    assert "100000x100000 pixels" in said and "6,200 GB" in said and "8.0 GB are free" in said
    side = int(said.partition("a resolution of ")[2].split()[0])
    assert side % tiny.multiple == 0
    assert fitting_batch(tiny, (side, side), 1, free=lambda device: 8_000_000_000) == 1
    with pytest.raises(MemoryError):
        fitting_batch(tiny, (side + 16, side + 16), 1, free=lambda device: 8_000_000_000)


def test_the_resolution_that_fits_keeps_the_shape():
    with pytest.raises(MemoryError, match="a resolution of 512 fits"):
        fitting_batch(
            folder_footprint(TINY), (1024, 2048), 1, free=lambda device: 512 * 1024 * 630 / memory.SPARE
        )


def test_the_models_own_resolution_is_named_beside_the_largest_that_fits():
    tiny = folder_footprint(TINY)
    for own, said in ((64, "; the model was trained at 64, and is best there"), (None, "shorter side)")):
        with pytest.raises(MemoryError) as refused:
            fitting_batch(tiny, (4096, 4096), 1, free=lambda device: 10**9, trained_at=own)
        assert str(refused.value).endswith(said) and "a resolution of " in str(refused.value)


def test_an_enlargement_that_cannot_fit_is_refused_before_it_is_made(model, monkeypatch):
    """upscale=4 on 12 million pixels: the enlarged picture takes the memory, the tiles of 64 pixels hardly any."""
    source = np.zeros((300, 400, 3), np.uint8)
    monkeypatch.setattr(model.backend, "free", lambda device: 80_000_000)
    monkeypatch.setattr(tiles, "scale_image", lambda *a: pytest.fail("the picture was enlarged"))
    with pytest.raises(MemoryError) as refused:
        model.denoise(source, upscale=4)
    said = str(refused.value)
    assert "1600x1200 pixels" in said and "4 times as large" in said and "64x64" not in said
    assert "0.3 GB of memory" in said and said.endswith("upscale=1.5 fits")
    tiny = model.backend.footprint
    free = {"free": lambda device: 80_000_000, "trained_at": 64}
    assert fitting_batch(tiny, (64, 64), 1, canvas=memory.Canvas((300, 400), 1.5), **free) == 1
    with pytest.raises(MemoryError, match="times as large"):
        fitting_batch(tiny, (64, 64), 1, canvas=memory.Canvas((300, 400), 2), **free)
    with pytest.raises(MemoryError, match="pass a smaller picture"):
        fitting_batch(tiny, (64, 64), 1, canvas=memory.Canvas((3000, 4000), 4), free=lambda device: 1000)


def test_tiles_that_are_too_large_for_memory_are_what_is_named(model):
    with pytest.raises(MemoryError, match="would see 4096x4096 pixels.* a resolution of .* trained at 64"):
        fitting_batch(
            *(model.backend.footprint, (4096, 4096), 1),
            canvas=memory.Canvas((300, 400)),
            free=lambda device: 10**9,
            trained_at=64,
        )


def test_a_resolution_far_beyond_the_models_own_is_remarked_on_beforehand(model, picture):
    from instructdiffusion.imaging.resize import large_resolution

    def stop(*_):
        raise KeyboardInterrupt  # in the first step: the remark came before

    with pytest.warns(UserWarning, match="resolution 512 takes long, 64 times the work of 64, .*trained"):
        with pytest.raises(KeyboardInterrupt):
            model.segment(picture, "the star", resolution=512, on_step=stop)
    assert large_resolution(256, 64) == large_resolution(512, 512) == "" != large_resolution(272, 64)


def test_the_batch_is_made_smaller_before_anything_is_refused():
    tiny = folder_footprint(TINY)
    need = tiny.networks((512, 512), 3, vae=False) + tiny.pictures((512, 512), 3)
    with pytest.warns(UserWarning, match="16 pictures at once do not fit into memory, 2 do"):
        assert fitting_batch(tiny, (512, 512), 16, free=lambda device: need / memory.SPARE) == 2


def test_an_accelerator_counts_beside_the_host():
    tiny, room = folder_footprint(TINY), {"cuda:0": 10**9, "cpu": 10**12}
    with pytest.warns(UserWarning):
        some = fitting_batch(tiny, (1024, 1024), 4, device="cuda:0", free=room.__getitem__)
    assert some == 1
    room = {"cuda:0": 10**12, "cpu": 10**8}
    with pytest.warns(UserWarning):
        assert fitting_batch(tiny, (1024, 1024), 4, device="cuda:0", free=room.__getitem__) == 1


def test_small_runs_and_unknown_memory_are_not_held_up():
    def fails(device):
        raise AssertionError("small runs need not look")

    tiny = folder_footprint(TINY)
    assert fitting_batch(tiny, (64, 64), 16, free=fails) == 16
    assert fitting_batch(tiny, (4096, 4096), 16, free=lambda device: None) == 16


def test_free_memory_is_the_least_of_system_group_and_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 900)
    monkeypatch.setattr(memory, "_cgroup_memory", lambda: 700)
    monkeypatch.setattr(memory, "_address_space", lambda: None)
    assert free_memory("cpu") == free_memory(torch.device("cpu")) == 700
    monkeypatch.setattr(memory, "_address_space", lambda: -5)
    assert free_memory() == 0


@pytest.mark.parametrize(
    ("line", "base", "names", "no_limit"),
    [
        ("0::/a/b\n", "a", ("memory.max", "memory.current", "inactive_file"), "max"),
        (
            "4:cpu,memory:/a/b\n0::/\n",
            "memory/a",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            "9223372036854771712",
        ),
    ],
)
def test_the_limits_of_control_groups_count(tmp_path, line, base, names, no_limit):
    groups, outer = tmp_path / "cgroup", tmp_path / base
    groups.write_text(line)
    inner = outer / "b"
    inner.mkdir(parents=True)
    for folder, limit in ((outer, "1000"), (inner, no_limit)):
        (folder / names[0]).write_text(limit + "\n")
        (folder / names[1]).write_text("600\n")
        (folder / "memory.stat").write_text(f"anon 500\n{names[2]} 50\n")
    assert memory._cgroup_memory(groups, tmp_path) == 1000 - 600 + 50
    (inner / names[0]).write_text("800\n")
    assert memory._cgroup_memory(groups, tmp_path) == 250
    assert memory._cgroup_memory(tmp_path / "none", tmp_path) is None


def test_a_model_sees_what_fits_and_says_so(model, monkeypatch):
    """With little memory a batch is halved before it is begun, and the answers are those of all at once."""
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in (10, 90, 200, 250)]
    whole = model.edit(pictures, "add a red star", steps=2)
    monkeypatch.setattr(memory, "UNCHECKED", 0)
    footprint = model.backend.footprint
    room = footprint.networks((64, 64), 2, 3, vae=False) + footprint.pictures((64, 64), 2)
    monkeypatch.setattr(model.backend, "free", lambda device: room / memory.SPARE)
    shapes = []
    with pytest.warns(UserWarning, match="4 pictures at once do not fit into memory, 2 do"):
        parts = model.edit(pictures, "add a red star", steps=2, on_step=lambda i, x, _: shapes.append(len(x)))
    assert set(shapes) == {2}
    for a, b in zip(whole, parts, strict=True):
        assert np.abs(a.picture.astype(int) - b.picture).max() <= 1
    monkeypatch.setattr(model.backend, "free", lambda device: 1000)
    with pytest.raises(MemoryError, match="64x64 pixels, which takes about .* free memory"):
        model.edit(pictures, "add a red star", steps=2)
    with pytest.raises(MemoryError):
        model.check("add a red star")


def test_what_is_free_decides_whether_the_autoencoder_sees_a_picture_whole(picture, monkeypatch):
    from instructdiffusion.inference import vae_tiling
    from instructdiffusion.inference.components_backend import ComponentsBackend
    from instructdiffusion.models.loading import load_components

    large = np.asarray(Image.fromarray(picture).resize((192, 128)))
    backend = ComponentsBackend(load_components("tiny"))
    both = np.stack([large, large[::-1]])
    condition = backend.encode_image(both)
    copies = backend.decode_latents(condition)
    monkeypatch.setattr(vae_tiling, "UNCHECKED", 0)
    one = backend.footprint.decode * 128 * 192 * 4 / vae_tiling.SPARE
    sizes = []
    decode = backend.components.vae.decode
    monkeypatch.setattr(
        backend.components.vae, "decode", lambda z: sizes.append(tuple(z.shape)) or decode(z)
    )
    monkeypatch.setattr(vae_tiling, "free_memory", lambda device: 3 * one)
    assert np.array_equal(backend.decode_latents(condition), copies) and sizes.pop() == (2, 4, 32, 48)
    monkeypatch.setattr(vae_tiling, "free_memory", lambda device: 1.01 * one)
    assert np.abs(backend.decode_latents(condition) - copies).max() < 1e-3
    assert sizes == [(1, 4, 32, 48)] * 2
    sizes.clear()
    monkeypatch.setattr(vae_tiling, "free_memory", lambda device: 0.7 * one)
    tiled = backend.decode_latents(condition)
    assert set(sizes) == {(1, 4, 16, 16)} and tiled.shape == copies.shape
    assert np.abs(tiled - copies).mean() < 0.05 and not np.array_equal(tiled, copies)


def test_tiles_put_together_are_the_picture():
    """Work that looks at single cells gives the same in tiles, at any size."""
    from instructdiffusion.inference.vae_tiling import _tiled

    x = torch.rand(1, 2, 33, 50)
    enlarged = _tiled(lambda part: part.repeat_interleave(4, 2).repeat_interleave(4, 3), x, 16, 4)
    assert torch.allclose(enlarged, x.repeat_interleave(4, 2).repeat_interleave(4, 3), atol=1e-6)
    x = torch.rand(1, 2, 64, 100)
    assert torch.allclose(
        _tiled(lambda part: part[:, :, ::4, ::4], x, 32, 1 / 4), x[:, :, ::4, ::4], atol=1e-6
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
def test_the_command_refuses_what_runs_away(tmp_path):
    """`--resolution 100000` on a small picture took 22.7 GB and the machine."""
    Image.new("RGB", (48, 40), (9, 90, 200)).save(tmp_path / "small.png")
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 * 10**9,) * 2)\n"
        "from instructdiffusion.cli import main\n"
        f"sys.exit(main(['segment', {str(tmp_path / 'small.png')!r}, 'the star', '--resolution', '100000', "
        f"'--device', 'cpu', '-o', {str(tmp_path / 'out')!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "6,200 GB of memory" in done.stderr and "a resolution of " in done.stderr
    assert "the model was trained at 64" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_limit_of_address_space_is_what_is_free():
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2)\n"
        "from instructdiffusion.inference.memory import free_memory\n"
        "print(free_memory())\n"
    )
    if sys.platform != "linux":
        pytest.skip("limits of address space")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10**9 < int(done.stdout) < 2 * 10**9


def test_long_restoration_says_how_long_it_takes(monkeypatch):
    from instructdiffusion.imaging import tiling
    from instructdiffusion.imaging.tiling import Pace, duration, plan_tiles

    many = plan_tiles([(64, 64 + 48 * 1375)], 64, 16, 4)
    assert len(many) == 1376
    times = iter([0.0, 2.0, 2.5, 3.0])
    pace = Pace(many, 64, 16, lambda: next(times))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pace(16)  # the first batch has getting started in it
    with pytest.warns(UserWarning, match="about 40 s more for 1,376 tiles of 64x64 pixels"):
        pace(32)
    pace(48)  # once
    times = iter([0.0, 60.0])
    slow = Pace(many, 64, 16, lambda: next(times))
    with pytest.warns(UserWarning, match="about 85 minutes more for 1,376 tiles"):
        slow(16)
    few = Pace(many[: tiling.MANY], 64, 16)
    few(16), few(32)
    assert [duration(s) for s in (0.2, 14, 33, 89, 100, 7200)] == [
        *("about 1 s", "about 14 s", "about 30 s", "about 90 s", "about 2 minutes", "about 2 hours")
    ]
