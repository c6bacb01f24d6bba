"""A model in one file is the model it was; a file that is damaged, foreign or hides code says so and does nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import sys
import tarfile
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from instructdiffusion import InstructDiffusion
from instructdiffusion.models.architecture import build_text_encoder, build_unet, build_vae
from instructdiffusion.models.formats import ldm_keys
from instructdiffusion.models.formats.folder import training_alphas
from instructdiffusion.models.formats.safe_pickle import read_checkpoint
from instructdiffusion.models.loading import load_components
from instructdiffusion.models.saving import export_checkpoint, save_pretrained
from instructdiffusion.models.single_file import load_checkpoint_components
from instructdiffusion.settings import FILE, read_settings

PARTS = ("unet", "vae", "text_encoder")
UNET = ldm_keys.UNET_PREFIX
SUFFIXES = (".safetensors", ".ckpt")


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """The random model as a single .safetensors file, its tokenizer beside it."""
    return export_checkpoint(model.components, tmp_path_factory.mktemp("single") / "model.safetensors")


@pytest.fixture
def file(exported, tmp_path):
    """A copy that a test may break."""
    shutil.copytree(exported.with_suffix(""), tmp_path / "model")
    return Path(shutil.copy(exported, tmp_path / exported.name))


def _write(path, state, **beside):
    """The tensors in place of the file, in the form that its name says, as another program would write them."""
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, **beside}, path)
    return path


def _asked(parts):
    """How a model is asked that lies where these components do."""
    return read_settings(parts.path, published=parts.resize_mode == "authors")


def _assert_same(a, b):
    for part in PARTS:
        one, other = getattr(a, part).state_dict(), getattr(b, part).state_dict()
        assert list(one) == list(other)
        assert all(torch.equal(one[k], other[k]) and one[k].dtype == other[k].dtype for k in one), part
    assert np.array_equal(a.alphas_cumprod, b.alphas_cumprod)
    assert (a.prediction_type, a.resolution, a.resize_mode) == (b.prediction_type, b.resolution, b.resize_mode)
    assert _asked(a) == _asked(b)
    assert a.vae.config.scaling_factor == b.vae.config.scaling_factor
    for text in ("Segment the red star.", "", "xyzzy é"):
        assert a.tokenizer(text)["input_ids"] == b.tokenizer(text)["input_ids"]
    assert a.tokenizer.model_max_length == b.tokenizer.model_max_length


@pytest.mark.parametrize("suffix", [".safetensors", ".sft", ".ckpt", ".BIN"])
def test_a_model_in_one_file_is_the_same_model(model, tmp_path, suffix):
    path = export_checkpoint(model.components, tmp_path / "deep" / f"model.v1{suffix}")
    parts = load_components(path)
    _assert_same(parts, model.components)
    for part in PARTS:
        module = getattr(parts, part)
        assert not module.training and not any(p.requires_grad for p in module.parameters())
        assert not any(t.is_meta for t in (*module.parameters(), *module.buffers()))
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(
        [path.name, "model.v1"]
    )  # nothing temporary


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_precision_goes_round_and_is_loaded_where_asked(model_folder, tmp_path, suffix):
    half = load_components(model_folder, dtype=torch.float16)
    path = export_checkpoint(half, tmp_path / f"half{suffix}")
    state, _ = read_checkpoint(path)
    assert state[UNET + "out.2.weight"].dtype == torch.float16
    _assert_same(load_components(path, dtype=torch.float16), half)
    assert load_components(path).unet.dtype == torch.float32
    assert load_components(path, dtype=torch.bfloat16).text_encoder.dtype == torch.bfloat16


def test_a_file_saved_as_a_folder_is_the_same_model(model, exported, tmp_path):
    folder = save_pretrained(load_components(exported), tmp_path / "deep" / "folder")
    again = load_components(folder)
    _assert_same(again, model.components)
    _assert_same(load_components(export_checkpoint(again, tmp_path / "again.ckpt")), model.components)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["folder"]
    assert "_name_or_path" not in "".join(p.read_text() for p in folder.rglob("config.json"))
    for module, config in (("unet", again.unet.config), ("vae", again.vae.config)):
        original = getattr(model.components, module).config
        ours = {k: v for k, v in config.items() if not k.startswith("_")}
        assert ours == {k: v for k, v in original.items() if not k.startswith("_")}
    text, original = (m.text_encoder.config.to_dict() for m in (again, model.components))
    assert {k: v for k, v in text.items() if k != "_name_or_path"} == {
        k: v for k, v in original.items() if k != "_name_or_path"
    }


def test_a_model_of_stable_diffusions_depth_goes_round(model, tmp_path):
    unet = build_unet((32, 64, 64, 64), layers=2, context=64, attention=(True, True, True, False))
    vae = build_vae((32, 32, 64, 64), layers=2)
    deep = dataclasses.replace(model.components, unet=unet.eval(), vae=vae.eval(), resolution=512)
    path = export_checkpoint(deep, tmp_path / "deep.safetensors")
    _assert_same(load_components(path), deep)
    _write(path, load_file(path))  # without what the file said of itself
    assert load_components(path).resolution == 512


def test_a_folder_that_is_no_model_is_not_replaced(model, tmp_path):
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("dear")
    with pytest.raises(ValueError, match="a new or empty folder"):
        save_pretrained(model.components, letters)
    with pytest.raises(ValueError, match="a new or empty folder"):
        save_pretrained(model.components, letters / "dear.txt")
    assert (letters / "dear.txt").read_text() == "dear"
    folder = save_pretrained(model.components, tmp_path / "model")
    (folder / "old").write_text("")
    save_pretrained(load_components(folder), folder)  # onto itself
    assert not (folder / "old").exists()
    _assert_same(load_components(folder), model.components)


def test_the_shipped_model_in_a_file_gives_the_same_answers(tmp_path, picture):
    folder = InstructDiffusion.from_pretrained("tiny", device="cpu")
    for suffix in SUFFIXES:
        path = export_checkpoint(folder.components, tmp_path / f"tiny{suffix}")
        _assert_same(load_components(path), folder.components)
    single = InstructDiffusion.from_pretrained(str(path), device="cpu")
    assert single.settings == folder.settings
    a, b = (m.segment(picture, "the red square") for m in (folder, single))
    assert np.array_equal(a.picture, b.picture) and np.array_equal(a.result.data, b.result.data)


def _averages(state, prefix="model_ema."):
    """Other weights for the UNet, under the names that an average of LatentDiffusion.model has, dotless."""
    unet = {k.removeprefix("model."): v for k, v in state.items() if k.startswith(UNET)}
    return {prefix + name.replace(".", ""): value + 1 for name, value in unet.items()}


@pytest.mark.parametrize(("suffix", "dots"), [(".safetensors", True), (".ckpt", False)])
def test_averaged_weights_are_preferred_whichever_way_they_are_named(file, suffix, dots):
    state = load_file(file)
    averaged = _averages(state)
    assert "model_ema.diffusion_modelinput_blocks00weight" in averaged
    if dots:
        averaged = {
            "model_ema" + k.removeprefix("model"): v + 1 for k, v in state.items() if k.startswith(UNET)
        }
        assert "model_ema.diffusion_model.input_blocks.0.0.weight" in averaged
    counters = {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(7)}
    path = _write(file.with_suffix(suffix), {**state, **averaged, **counters})
    plain = load_checkpoint_components(path, ema=False).unet.state_dict()
    assert torch.equal(plain["conv_out.weight"], state[UNET + "out.2.weight"])
    _assert_moved(load_components(path), plain)
    only = {k: v for k, v in {**state, **averaged}.items() if not k.startswith(UNET)}
    _assert_moved(load_components(_write(path, only)), plain)
    lost = next(iter(averaged))
    _write(path, {**state, **{k: v for k, v in averaged.items() if k != lost}})
    with pytest.raises(ValueError, match="1 missing key .* among its averaged weights"):
        load_components(path)
    _write(path, {**state, **averaged, "model_ema.diffusion_modelnobody": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"1 unknown key \(model_ema\.diffusion_modelnobody\)"):
        load_components(path)


def _assert_moved(parts, plain):
    state = parts.unet.state_dict()
    assert all(torch.equal(state[name], plain[name] + 1) for name in plain)


def test_averages_that_a_training_loop_keeps_in_a_dict_of_their_own_are_found(file):
    state = load_file(file)
    averaged = {**_averages(state, "model"), "decay": torch.tensor(0.9), "num_updates": torch.tensor(7)}
    path = file.with_suffix(".pth")
    torch.save({"model": state, "model_ema": averaged, "epoch": 200}, path)
    _assert_moved(load_components(path), load_checkpoint_components(path, ema=False).unet.state_dict())


@pytest.mark.parametrize("attention", [(True, True, True, False), (False, True)])
def test_names_without_dots_are_told_apart_in_deep_models(attention, file):
    state = {k: v for k, v in load_file(file).items() if not k.startswith(UNET)}
    channels = (32, 64, 64, 64)[: len(attention)]
    unet = build_unet(channels, layers=2 if len(channels) == 4 else 5, context=64, attention=attention)
    ldm = ldm_keys.unet_to_ldm(unet.state_dict(), unet.config)
    averaged = {"model_ema.diffusion_model" + k.replace(".", ""): v for k, v in ldm.items()}
    assert len(averaged) == len(ldm)
    parts = load_components(_write(file, {**state, **averaged}))
    again = parts.unet.state_dict()
    assert all(torch.equal(v, again[k]) for k, v in unet.state_dict().items())


def test_what_training_leaves_beside_the_weights_does_no_harm(model, file):
    state = load_file(file)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    extras = {
        "betas": betas.float(),
        "alphas_cumprod": torch.cumprod(1 - betas, 0).half(),
        "sqrt_alphas_cumprod": torch.ones(1000),
        "scale_factor": state["scale_factor"],
        "logvar": torch.zeros(1000),
        "first_stage_model.loss.logvar": torch.zeros(1),
        "first_stage_model.loss.discriminator.main.0.weight": torch.zeros(1),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(48)[None],
    }
    _write(file, {**state, **extras})
    parts = load_checkpoint_components(file, prediction_type="v_prediction", resolution=64)
    # The schedule too, though its values were stored in half precision; only where it comes from is not said.
    _assert_same(parts, dataclasses.replace(model.components, resize_mode="authors"))


def test_what_the_file_does_not_say_is_stable_diffusions(model, file):
    state = {k: v for k, v in load_file(file).items() if k not in ("alphas_cumprod", "scale_factor")}
    parts = load_components(_write(file, state))
    assert parts.prediction_type == "epsilon" and parts.vae.config.scaling_factor == 0.18215
    assert parts.resolution == 64 * 4 and parts.unet.config.sample_size == 64
    assert np.array_equal(parts.alphas_cumprod, training_alphas().numpy())
    _write(file, {**state, "scale_factor": torch.tensor(0.18215).half()})
    assert load_components(file).vae.config.scaling_factor == 0.18215
    other = training_alphas({**_scheduler(), "beta_end": 0.02})
    _write(file, {**state, "alphas_cumprod": other.float()})
    assert np.array_equal(load_components(file).alphas_cumprod, other.float().double().numpy())


def test_published_checkpoints_see_pictures_in_the_authors_sizes(model, file, tmp_path):
    """Which a file of ours does not, and which goes round; a folder that diffusers wrote is a published one too."""
    assert load_components(file).resize_mode == "shortest_edge"
    theirs = load_components(_write(file, load_file(file)))
    assert theirs.resize_mode == "authors"
    folder = save_pretrained(theirs, tmp_path / "folder")
    assert load_components(folder).resize_mode == "authors"
    assert load_components(export_checkpoint(theirs, tmp_path / "again.ckpt")).resize_mode == "authors"
    assert not (save_pretrained(model.components, tmp_path / "ours") / "instructdiffusion.json").exists()
    index = tmp_path / "ours" / "model_index.json"
    assert load_components(index.parent).resize_mode == "shortest_edge"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_diffusers_version": "0.12.0"}))
    assert load_components(index.parent).resize_mode == "authors"
    (index.parent / "instructdiffusion.json").write_text('{"resize_mode": "longest_edge"}')
    assert load_components(index.parent).resize_mode == "longest_edge"
    (index.parent / "instructdiffusion.json").write_text('{"resize_mode": "crop"}')
    with pytest.raises(ValueError, match="unknown resize_mode 'crop': choose one of shortest_edge, longest_edge"):
        load_components(index.parent)

    asked = InstructDiffusion(theirs)
    seen, draw = [], asked.backend.generate
    asked.backend.generate = lambda pictures, *a, **k: seen.append(pictures.shape[1:3]) or draw(pictures, *a, **k)
    wide = np.zeros((100, 300, 3), np.uint8)
    answer = asked.segment(wide, "the red star", resolution=64, steps=1)
    asked.segment(wide, "the red star", resolution=64, steps=1, resize_mode="stretch")
    assert seen == [(32, 96), (64, 64)] and answer.picture.shape == wide.shape


@pytest.mark.parametrize("said", [None, {"defaults": {"edit": {"guidance": [3, 1]}}, "by": "hand"}])
def test_instruct_pix2pix_is_asked_by_its_own_formula_wherever_it_is_saved(model_folder, tmp_path, said):
    folder = shutil.copytree(model_folder, tmp_path / "theirs")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_diffusers_version": "0.12.0"}))
    if said:
        (folder / FILE).write_text(json.dumps(said))
    theirs = load_components(folder)
    asked = _asked(theirs)["edit"]
    assert asked.formula == "instructpix2pix" and asked.guidance == ((3.0, 1.0) if said else (7.5, 1.5))
    saved = save_pretrained(theirs, tmp_path / "folder")
    _assert_same(load_components(saved), theirs)
    assert not said or json.loads((saved / FILE).read_text())["by"] == "hand"
    file = load_components(export_checkpoint(theirs, tmp_path / "model.safetensors"))
    _assert_same(file, theirs)
    _assert_same(load_components(save_pretrained(file, tmp_path / "again")), theirs)
    onto = save_pretrained(load_components(saved), saved)
    _assert_same(load_components(onto), theirs)


def test_a_file_that_may_be_instruct_pix2pix_says_once_how_it_is_guided(file, caplog):
    theirs = _write(file, load_file(file))
    load_components(theirs)
    assert not caplog.records  # the authors' file looks the same
    named = shutil.copy(theirs, theirs.with_name("instruct-pix2pix-00-22000.safetensors"))
    shutil.copytree(theirs.with_suffix(""), named.with_suffix(""))
    load_components(named)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert 'formula="instructpix2pix", guidance=(7.5, 1.5)' in caplog.text
    (named.with_suffix("") / FILE).write_text("{}")
    load_components(named)
    assert len(caplog.records) == 1


def test_a_resize_mode_that_was_changed_is_kept(model, tmp_path):
    long = load_components(
        save_pretrained(dataclasses.replace(model.components, resize_mode="longest_edge"), tmp_path / "a")
    )
    assert long.resize_mode == "longest_edge"
    changed = dataclasses.replace(long, resize_mode="stretch")
    assert load_components(save_pretrained(changed, tmp_path / "b")).resize_mode == "stretch"
    assert load_components(export_checkpoint(changed, tmp_path / "c.ckpt")).resize_mode == "stretch"


@pytest.mark.parametrize(("old", "new"), [("aspect", "longest_edge"), ("stretch", "stretch"), ("authors", "authors")])
def test_the_old_key_of_a_models_settings_is_read_and_saved_anew(model, tmp_path, old, new):
    folder = save_pretrained(model.components, tmp_path / "a")
    (folder / FILE).write_text(json.dumps({"fit": old, "by": "hand"}))
    with pytest.warns(DeprecationWarning, match='the key "fit" is now called "resize_mode"'):
        parts = load_components(folder)
    assert parts.resize_mode == new
    with pytest.warns(DeprecationWarning, match="Components.fit is now called resize_mode"):
        assert parts.fit == new
    again = save_pretrained(parts, tmp_path / "b")
    assert json.loads((again / FILE).read_text()) == {"by": "hand", "resize_mode": new}
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        assert load_components(again).resize_mode == new


@pytest.mark.parametrize(("old", "new"), [("aspect", "longest_edge"), ("stretch", "shortest_edge")])
def test_a_checkpoint_of_the_release_before_gets_the_new_default_where_nobody_chose(file, old, new):
    """Its "fit": "stretch" was written whatever the model."""
    facts = {"prediction_type": "epsilon", "resolution": 64, "fit": old}
    save_file(load_file(file), file, metadata={"instructdiffusion": json.dumps(facts)})
    with pytest.warns(DeprecationWarning, match='the key "fit" is now called "resize_mode"'):
        assert load_components(file).resize_mode == new


def test_components_take_the_old_names_for_one_more_release(model):
    with pytest.warns(DeprecationWarning, match="'aspect' is now called 'longest_edge'"):
        assert dataclasses.replace(model.components, resize_mode="aspect").resize_mode == "longest_edge"
    with pytest.warns(DeprecationWarning, match="fit is now called resize_mode"):
        assert dataclasses.replace(model.components, fit="stretch").resize_mode == "stretch"


def test_settings_that_lie_among_checkpoints_are_not_a_files_own(file, tmp_path):
    """Only the folder of the file's name is: a file in a folder of many knows nothing of the others' settings."""
    theirs = _write(file, load_file(file))
    settings = {"defaults": {"segment": {"steps": 3, "solver": "ddim"}}}
    (tmp_path / "instructdiffusion.json").write_text(json.dumps(settings))
    assert InstructDiffusion(load_components(theirs)).settings["segment"].steps == 100
    (tmp_path / "model" / "instructdiffusion.json").write_text(json.dumps(settings))
    asked = InstructDiffusion(load_components(theirs))
    assert asked.settings["segment"].steps == 3 and asked.settings["edit"].solver == "euler_ancestral"


def _scheduler():
    from instructdiffusion.models.formats.folder import SCHEDULER

    return SCHEDULER


def test_other_schedules_go_round(model, tmp_path):
    for changes in ({"beta_end": 0.02}, {"beta_schedule": "linear", "num_train_timesteps": 500}):
        alphas = training_alphas({**_scheduler(), **changes}).numpy()
        parts = dataclasses.replace(model.components, alphas_cumprod=alphas, path=tmp_path)
        path = export_checkpoint(parts, tmp_path / "model.safetensors")
        assert np.array_equal(load_components(path).alphas_cumprod, alphas)
        folder = save_pretrained(parts, tmp_path / "folder")
        assert np.array_equal(load_components(folder).alphas_cumprod, alphas)
    bent = dataclasses.replace(parts, alphas_cumprod=np.linspace(0.9, 0.1, 50))
    assert np.array_equal(load_components(export_checkpoint(bent, path)).alphas_cumprod, bent.alphas_cumprod)
    with pytest.raises(ValueError, match="neither linear nor scaled linear"):
        save_pretrained(bent, tmp_path / "folder")
    assert np.array_equal(load_components(tmp_path / "folder").alphas_cumprod, alphas)  # still the one before


@pytest.mark.parametrize("values", [[0.5, 0.6], [0.9, float("nan")], [0.9, 0.0], [1.5, 0.5], [0.5, 0.5]])
def test_a_schedule_that_does_not_fall_is_refused(file, values):
    state = load_file(file)
    _write(file, {**state, "alphas_cumprod": torch.tensor(values)})
    with pytest.raises(ValueError, match="alphas_cumprod"):
        load_components(file)


@pytest.mark.parametrize(
    ("part", "suffix"),
    [(UNET, ".safetensors"), (ldm_keys.VAE_PREFIX, ".ckpt"), (ldm_keys.TEXT_PREFIX, ".safetensors")],
)
def test_missing_unknown_and_misshaped_tensors_are_listed(file, part, suffix):
    state = load_file(file)
    lost, bent = [k for k in state if k.startswith(part) and k.endswith("bias")][:2]
    bent_state = {**state, bent: torch.zeros(5)}
    del bent_state[lost]
    path = _write(file.with_suffix(suffix), bent_state)
    with pytest.raises(ValueError) as caught:
        load_components(path)
    assert "1 missing key " in str(caught.value) and lost in str(caught.value)
    assert "1 misshaped key " in str(caught.value) and bent in str(caught.value)
    _write(path, {**state, part + "nobody.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="1 unknown key .*nobody"):
        load_components(path)
    _write(path, {k: v for k, v in state.items() if not k.startswith(part)})
    with pytest.raises(ValueError, match="holds no "):
        load_components(path)


def test_foreign_tensors_are_listed(file):
    state = load_file(file)
    _write(file, {**state, "nobody.knows": torch.zeros(1), "control_model.a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"2 unknown keys \(control_model\.a, nobody\.knows\)"):
        load_components(file)


def test_of_many_odd_tensors_each_is_listed_below_the_first_line(file):
    state = load_file(file)
    lost = sorted(k for k in state if k.startswith(ldm_keys.VAE_PREFIX) and k.endswith("norm1.weight"))
    strange = [f"nobody.{n}" for n in range(8)]
    whole = {k: v for k, v in state.items() if k not in lost}
    with pytest.raises(ValueError) as caught:
        load_components(_write(file, whole))
    first, head, *below = str(caught.value).splitlines()
    assert len(lost) > 8 and f"{len(lost)} missing keys ({lost[0]}, " in first and lost[7] in first
    assert f" and {len(lost) - 8} more): it is damaged" in first and lost[8] not in first
    assert head == f"The {len(lost)} missing keys:" and below == [f"  {key}" for key in lost]
    with pytest.raises(ValueError) as caught:
        load_components(_write(file, {**state, **{k: torch.zeros(1) for k in strange}}))
    assert str(caught.value).count("\n") == 0 and ", ".join(strange) in str(caught.value)


@pytest.mark.parametrize(("suffix", "value"), [(".safetensors", float("nan")), (".ckpt", float("inf"))])
def test_weights_that_are_not_numbers_are_refused(file, suffix, value):
    state = load_file(file)
    state[UNET + "middle_block.1.proj_in.weight"].flatten()[5] = value
    path = _write(file.with_suffix(suffix), state)
    with pytest.raises(
        ValueError, match=r"NaN or infinite weights in model\..*middle_block\.1\.proj_in\.weight"
    ):
        load_components(path)


def test_weights_too_large_for_half_precision_say_so(file):
    state = load_file(file)
    state[UNET + "out.2.bias"][0] = 1e6
    _write(file, state)
    load_components(file)
    with pytest.raises(ValueError, match=r"do not fit torch\.float16 .*out\.2\.bias: load with float32"):
        load_components(file, dtype=torch.float16)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("left", [0.0, 0.0001, 0.5, 0.999])
def test_a_truncated_file_is_refused(file, suffix, left):
    path = _write(file.with_suffix(suffix), load_file(file))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(ValueError, match=f"checkpoint model{suffix} (is empty|is truncated|cannot be read)"):
        load_components(path)


@pytest.mark.parametrize(
    ("channels", "kind"), [(4, "text-to-image model.*stage instruct"), (9, "inpainting"), (5, "another kind")]
)
def test_a_unet_without_the_pictures_channels_is_refused_with_what_it_is(file, channels, kind):
    state = {k: v for k, v in load_file(file).items() if not k.startswith(UNET)}
    unet = build_unet((32, 32, 32), context=64, in_channels=channels)
    state |= {
        UNET + k: v.contiguous() for k, v in ldm_keys.unet_to_ldm(unet.state_dict(), unet.config).items()
    }
    _write(file, state)
    with pytest.raises(ValueError, match=f"8 input channels, got {channels} .*{kind}"):
        load_components(file)
    assert load_checkpoint_components(file, in_channels=None).unet.conv_in.in_channels == channels


def test_parts_of_different_models_are_refused(file):
    state = {k: v for k, v in load_file(file).items() if not k.startswith(UNET)}
    unet = build_unet((32, 32, 32), context=128)
    state |= {UNET + k: v for k, v in ldm_keys.unet_to_ldm(unet.state_dict(), unet.config).items()}
    with pytest.raises(ValueError, match="64 wide, the UNet attends to 128"):
        load_components(_write(file, state))


class _Trap:
    """What a pickle may do to whoever opens it: here, write a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


@pytest.mark.parametrize("where", ["beside", "among the weights", "alone", "as the state"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_hides_code_is_refused_and_nothing_runs(file, tmp_path, where, zipped):
    state, trap = load_file(file), _Trap(tmp_path / "trace")
    content = {
        "beside": {"callbacks": trap, "state_dict": state},
        "among the weights": {"state_dict": {**state, "x": trap}},
        "alone": trap,
        "as the state": {"state_dict": trap},
    }[where]
    path = file.with_suffix(".ckpt")
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="open" if zipped else "cannot be read safely"):
        load_components(path)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="cannot be read safely"):
        load_components(path)
    assert not trap.trace.exists()


@pytest.fixture
def lightning(monkeypatch):
    """Classes as a training framework leaves them in its checkpoints; they tell when they come to life."""
    alive = []

    class Callback:
        def __setstate__(self, state):
            alive.append(state)

    class Settings(dict):
        def __setitem__(self, key, value):
            alive.append(key)

    def scalar(value):
        alive.append(value)

    class Score:
        def __reduce__(self):
            return (scalar, (3,))

    module = types.ModuleType("pytorch_lightning.callbacks")
    for item, name in ((Callback, "Callback"), (Settings, "Settings"), (scalar, "scalar")):
        item.__module__, item.__qualname__ = module.__name__, name
        setattr(module, name, item)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", types.ModuleType("pytorch_lightning"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    callback, settings = Callback(), Settings()
    callback.best, callback.path = torch.ones(3), Path("somewhere")
    dict.__setitem__(settings, "lr", 1e-4)
    leftovers = {
        "epoch": 3,
        "callbacks": {Callback: callback, "score": Score()},
        "hyper_parameters": settings,
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2), "kind": torch.float32}}}],
        "best": np.float64(0.5),
        "plain": [{"a", "b"}, range(3), slice(1, 2), complex(1, 2), object()],
    }
    return leftovers, alive


def test_a_training_frameworks_leftovers_are_passed_over_and_never_come_to_life(model, file, lightning):
    leftovers, alive = lightning
    state = load_file(file)
    state[UNET + "out.2.weight"] = torch.nn.Parameter(state[UNET + "out.2.weight"])
    facts = {"instructdiffusion": {"prediction_type": "v_prediction", "resolution": 64}}
    path = _write(file.with_suffix(".ckpt"), state, **leftovers, **facts)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    _assert_same(load_components(path), model.components)
    assert not alive


def test_a_placeholder_among_the_weights_is_refused_by_name(file, lightning):
    leftovers, alive = lightning
    path = _write(file.with_suffix(".ckpt"), {**load_file(file), "odd": leftovers["hyper_parameters"]})
    with pytest.raises(ValueError, match=r"of which 1 are none \(odd\)"):
        load_components(path)
    assert not alive


def test_a_forged_or_damaged_tensor_is_refused(file, lightning):
    """Records of the archive exchanged behind the pickle's back, where the tensors are read one by one."""
    leftovers, _ = lightning
    path = _write(file.with_suffix(".ckpt"), load_file(file), **leftovers)
    forged = path.with_name("model.pt")
    for compress, keep in ((zipfile.ZIP_STORED, 2), (zipfile.ZIP_DEFLATED, None)):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
            for record in old.infolist():
                data = old.read(record)
                touched = "/data/" in record.filename
                new.writestr(record.filename, data[:keep] if touched else data, compress if touched else None)
        with pytest.raises(ValueError, match="the tensor .* cannot be read .*damaged|compressed records"):
            load_components(forged)


@pytest.mark.parametrize(
    "content", [{}, {"state_dict": {}}, {"state_dict": {"a": 3}}, [torch.zeros(2)], {3: torch.zeros(2)}]
)
def test_an_archive_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="expected named tensors"):
        load_components(tmp_path / "model.ckpt")


def test_files_that_are_no_checkpoints_say_what_is_wrong(tmp_path):
    for name, content, message in (
        ("a.txt", b"x", r"expected a checkpoint named .*\.safetensors.*got a\.txt"),
        ("b.ckpt", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("c.ckpt", b"<html>not found</html>", "an HTML page"),
        ("d.safetensors", b"<html>not found</html>", "an HTML page"),
        ("g.safetensors", b"", "is empty"),
        ("h.safetensors", b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_components(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "e.ckpt", "w") as archive:
        archive.writestr("letter.txt", "dear")
    with pytest.raises(ValueError, match="not one that torch.save wrote"):
        load_components(tmp_path / "e.ckpt")
    with tarfile.open(tmp_path / "f.ckpt", "w") as archive:
        archive.add(tmp_path / "a.txt", "pickle")
    with pytest.raises(ValueError, match="cannot be read safely: .*a tar archive"):
        load_components(tmp_path / "f.ckpt")
    for missing in (tmp_path / "none.ckpt", "models/none.safetensors"):
        with pytest.raises(FileNotFoundError, match="there is no model"):
            load_components(missing)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_the_tokenizer_is_found_beside_the_file_or_asked_for(model, file):
    shutil.move(file.parent / "model" / "tokenizer", file.parent / "tokenizer")
    _assert_same(load_components(file), model.components)
    shutil.rmtree(file.parent / "tokenizer")
    with pytest.raises(FileNotFoundError, match=r"vocabulary of its own \(\d+ entries\).*model/tokenizer"):
        load_components(file)


def _with_vocabulary(file, entries):
    state = load_file(file)
    key = ldm_keys.TEXT_PREFIX + "text_model.embeddings.token_embedding.weight"
    return _write(file, {**state, key: torch.zeros(entries, 64)})


def test_a_tokenizer_of_another_model_is_refused(file):
    for entries in (300, 49408):
        with pytest.raises(ValueError, match=f"knows {entries}: it is another model's"):
            load_components(_with_vocabulary(file, entries))


def test_stable_diffusions_tokenizer_ships(file, monkeypatch):
    shutil.rmtree(file.parent / "model")
    _with_vocabulary(file, 49408)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("something was fetched"))
    tokenizer = load_components(file).tokenizer
    assert len(tokenizer) == 49408 and tokenizer.model_max_length == 77
    # as CLIP's own code has them
    ids = tokenizer("A photo of an Astronaut, naïve 星 2024!!").input_ids
    assert ids[:6] == [49406, 320, 1125, 539, 550, 18376] and ids[-1] == 49407
    assert tokenizer.decode(ids, skip_special_tokens=True).strip().startswith("a photo of an astronaut")


def test_a_file_exported_beside_another_models_folder_leaves_that_alone(model, tmp_path):
    other = save_pretrained(model.components, tmp_path / "model")
    (other / "tokenizer" / "vocab.json").write_text(json.dumps({"other": 0}))
    with pytest.raises(ValueError, match="a model with another tokenizer"):
        export_checkpoint(model.components, tmp_path / "model.ckpt")
    assert json.loads((other / "tokenizer" / "vocab.json").read_text()) == {"other": 0}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def _wordy(model, tmp_path):
    """The model with Stable Diffusion's number of words."""
    from transformers import CLIPTokenizer

    folder = tmp_path / "words"
    folder.mkdir()
    words = ["<|startoftext|>", "<|endoftext|>", *(f"w{i}</w>" for i in range(49406))]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = build_text_encoder(49408, width=64, layers=1).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    return dataclasses.replace(
        model.components, text_encoder=text, tokenizer=tokenizer, path=tmp_path / "nowhere"
    )


def test_a_former_models_tokenizer_and_settings_do_not_stay(model, model_folder, tmp_path):
    asked = shutil.copytree(model_folder, tmp_path / "asked")
    (asked / FILE).write_text('{"defaults": {"edit": {"steps": 1}}}')
    path = export_checkpoint(load_components(asked), tmp_path / "out" / "model.safetensors")
    (tmp_path / "out" / "model" / "letter.txt").write_text("dear")
    assert _asked(load_components(path))["edit"].steps == 1
    export_checkpoint(model.components, path)
    _assert_same(load_components(path), model.components)
    wordy = _wordy(model, tmp_path)
    export_checkpoint(wordy, path)
    _assert_same(load_components(path), wordy)
    (tmp_path / "out" / "model" / FILE).write_text('{"defaults": {"edit": {"steps": 3}}}')
    again = load_components(path)
    export_checkpoint(again, path)  # onto itself: its settings are its own
    assert _asked(load_components(path))["edit"].steps == 3
    assert sorted(p.name for p in path.parent.iterdir()) == ["model", "model.safetensors"]
    assert sorted(p.name for p in (path.parent / "model").iterdir()) == [FILE, "letter.txt", "tokenizer"]


def test_stable_diffusions_tokenizer_is_written_where_another_would_be_taken(model, model_folder, tmp_path):
    wordy = _wordy(model, tmp_path)
    (tmp_path / "out").mkdir()
    shutil.copytree(model_folder / "tokenizer", tmp_path / "out" / "tokenizer")
    _assert_same(load_components(export_checkpoint(wordy, tmp_path / "out" / "model.ckpt")), wordy)
    export_checkpoint(wordy, tmp_path / "alone" / "model.ckpt")
    assert [p.name for p in (tmp_path / "alone").iterdir()] == ["model.ckpt"]


def test_a_model_of_the_same_name_is_not_changed(model, model_folder, tmp_path):
    """Be it a folder, or a file with another ending."""
    asked = shutil.copytree(model_folder, tmp_path / "model")
    (asked / FILE).write_text('{"defaults": {"edit": {"steps": 1}}}')
    with pytest.raises(
        ValueError, match="model is a model with other settings: give the file a name of its own"
    ):
        export_checkpoint(model.components, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="model is a model with another tokenizer"):
        export_checkpoint(_wordy(model, tmp_path), tmp_path / "model.ckpt")
    assert not (tmp_path / "model.ckpt").exists()
    (asked / "model_index.json").unlink()  # it can be loaded without
    before = sorted(asked.rglob("*"))
    theirs = load_components(asked)
    _assert_same(load_components(export_checkpoint(theirs, tmp_path / "model.ckpt")), theirs)
    assert sorted(asked.rglob("*")) == before
    export_checkpoint(theirs, tmp_path / "one.ckpt")
    export_checkpoint(theirs, tmp_path / "one.safetensors")
    with pytest.raises(ValueError, match=r"also those of one\.ckpt, and this model has others"):
        export_checkpoint(model.components, tmp_path / "one.safetensors")
    _assert_same(load_components(tmp_path / "one.safetensors"), theirs)


@pytest.mark.parametrize("place", ["tokenizer/unet/config.json", "tokenizer/weights.bin", FILE + "/a"])
def test_what_is_no_tokenizer_is_not_deleted(model, tmp_path, place):
    path = tmp_path / "model" / place
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ValueError, match="expected nothing but a tokenizer and settings"):
        export_checkpoint(model.components, tmp_path / "model.ckpt")
    assert path.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("former", [True, False])
def test_an_export_that_fails_at_the_end_leaves_what_was_beside(
    model, model_folder, tmp_path, monkeypatch, former
):
    path = tmp_path / "model.ckpt"
    if former:
        asked = shutil.copytree(model_folder, tmp_path / "asked")
        (asked / FILE).write_text('{"defaults": {"edit": {"steps": 1}}}')
        export_checkpoint(load_components(asked), path)
        shutil.rmtree(asked)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    replace = os.replace

    def full(source, target):
        if Path(target) == path:
            raise OSError("no space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        export_checkpoint(model.components, path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert former or not list(tmp_path.iterdir())


def test_what_the_layout_cannot_hold_is_not_exported(model, tmp_path):
    unet = model.components.unet
    with pytest.raises(ValueError, match="expected a name that ends in"):
        export_checkpoint(model.components, tmp_path / "model.onnx")
    twin = type(unet)(**{**unet.config, "attention_head_dim": 4})
    twin.load_state_dict(unet.state_dict())
    with pytest.raises(ValueError, match="cannot hold this unet: its attention_head_dim is 4"):
        export_checkpoint(dataclasses.replace(model.components, unet=twin), tmp_path / "model.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("unet", "norm_eps", 1e-3),
        ("unet", "flip_sin_to_cos", False),
        ("unet", "freq_shift", 1),
        ("unet", "act_fn", "gelu"),
        ("unet", "mid_block_scale_factor", 2),
        ("unet", "upcast_attention", True),
        ("unet", "center_input_sample", True),
        ("unet", "time_embedding_dim", 64),
        ("vae", "act_fn", "relu"),
        ("vae", "use_quant_conv", False),
        ("vae", "use_post_quant_conv", False),
        ("vae", "shift_factor", 0.1),
        ("text_encoder", "layer_norm_eps", 1e-3),
        ("text_encoder", "hidden_act", "gelu"),
    ],
)
def test_a_setting_that_tensors_do_not_tell_is_not_exported(model, tmp_path, part, name, value):
    theirs = getattr(model.components, part)
    values = theirs.config.to_dict() if part == "text_encoder" else dict(theirs.config)
    values = {**values, name: value}
    other = type(theirs)(type(theirs.config)(**values)) if part == "text_encoder" else type(theirs)(**values)
    components = dataclasses.replace(model.components, **{part: other})
    with pytest.raises(
        ValueError, match=f"cannot hold this {part}: its {name} is {value}, read back it would be"
    ):
        export_checkpoint(components, tmp_path / "model.ckpt")
    assert not list(tmp_path.iterdir())
    again = load_components(save_pretrained(components, tmp_path / "folder"))
    assert getattr(getattr(again, part).config, name) == value


def test_settings_that_mean_the_same_are_exported(model, tmp_path):
    unet, vae = model.components.unet, model.components.vae
    levels = {
        "attention_head_dim": (8,) * 3,
        "layers_per_block": (1,) * 3,
        "only_cross_attention": (False,) * 3,
    }
    said = {
        "time_embedding_dim": 128,
        "mid_block_only_cross_attention": False,
        "act_fn": "swish",
        "dropout": 0.1,
    }
    unet = type(unet)(**{**unet.config, **levels, **said, "sample_size": 99}).eval()
    vae = type(vae)(**{**vae.config, "shift_factor": 0.0, "force_upcast": False, "sample_size": 99}).eval()
    components = dataclasses.replace(model.components, unet=unet, vae=vae)
    _assert_same(load_components(export_checkpoint(components, tmp_path / "model.ckpt")), components)


def test_an_export_that_fails_leaves_the_former_file(model, file, monkeypatch):
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="no space"):
        export_checkpoint(model.components, file)
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == ["model", "model.safetensors"]


def test_loading_draws_no_random_numbers(exported):
    before = torch.random.get_rng_state()
    load_components(exported)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "facts",
    ["[]", "{", '{"resolution": 63}', '{"resolution": "big"}', '{"prediction_type": 3}', '{"resize_mode": "crop"}'],
)
def test_a_file_that_says_nonsense_of_itself_is_refused(file, facts):
    save_file(load_file(file), file, metadata={"instructdiffusion": facts})
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_components(file)
