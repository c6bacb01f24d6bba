"""A model folder is loaded whole or refused with the part's name; a pickle is never opened."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from instructdiffusion.models.architecture import build_text_encoder, build_unet
from instructdiffusion.models.loading import find_folder, load_components

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(model_folder, tmp_path / "model")


def _change(path, **values):
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, **values}))


def test_a_whole_folder_is_loaded_frozen_and_ready(model_folder):
    parts = load_components(model_folder)
    assert parts.prediction_type == "v_prediction" and parts.resolution == 64 and parts.path == model_folder
    assert parts.alphas_cumprod.shape == (1000,) and parts.alphas_cumprod.dtype == np.float64
    for module in (parts.unet, parts.vae, parts.text_encoder):
        assert not module.training and not any(p.requires_grad for p in module.parameters())
        assert {p.dtype for p in module.parameters()} == {torch.float32}
    saved = load_file(model_folder / "unet" / WEIGHTS["unet"])
    assert torch.equal(parts.unet.conv_in.weight, saved["conv_in.weight"])


HUB = {
    "model_index.json", "README.md", "sd.safetensors", "safety_checker/model.safetensors", "safety_checker/config.json",
    "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors", "unet/diffusion_pytorch_model.bin", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors", "text_encoder/pytorch_model.bin", "instructdiffusion.json",
}  # fmt: skip


def test_of_a_model_on_the_hub_only_what_is_loaded_is_fetched(model_folder, monkeypatch):
    """The hub's own filter decides over the files of a repository as Stable Diffusion's is laid out."""
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    asked = []

    def fetched(name, *, allow_patterns, ignore_patterns):
        asked.append(name)
        kept = filter_repo_objects(
            sorted(HUB), allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
        assert set(kept) == {
            "model_index.json", "instructdiffusion.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json",
            "tokenizer/merges.txt", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "text_encoder/model.safetensors",
        }  # fmt: skip
        return str(model_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert load_components("somebody/something").path == model_folder and asked == ["somebody/something"]


def test_a_model_that_the_hub_does_not_give_is_named(monkeypatch):
    import huggingface_hub

    def refused(*_, **__):
        raise RuntimeError("401 Client Error. (Request ID: 1)\n\nRepository Not Found for url: ...")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(
        FileNotFoundError, match=r"'nobody/nothing' cannot be fetched .*401 .*check the name"
    ) as caught:
        find_folder("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_another_precision(model_folder):
    parts = load_components(str(model_folder), dtype=torch.bfloat16)
    assert parts.unet.dtype == parts.vae.dtype == parts.text_encoder.dtype == torch.bfloat16


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(FileNotFoundError, match=f"lacks {part}"):
        load_components(folder)


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("left", [0.0, 0.001, 0.7])
def test_truncated_weights_are_refused(folder, part, left):
    path = folder / part / WEIGHTS[part]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(ValueError, match=f"the model's {part} cannot be read"):
        load_components(folder)


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(folder, part, value):
    path = folder / part / WEIGHTS[part]
    tensors = load_file(path)
    name = sorted(n for n, t in tensors.items() if t.is_floating_point())[3]
    tensors[name].flatten()[-1] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"the model's {part} has NaN or infinite weights in .*{name[-20:]}"):
        load_components(folder)


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_weights_too_large_for_half_precision_say_so(folder, part, suffix):
    path = folder / part / WEIGHTS[part]
    tensors = load_file(path)
    name = sorted(tensors)[3]
    tensors[name].flatten()[-1] = 1e6
    save_file(tensors, path, metadata={"format": "pt"})
    if suffix == ".bin":
        _moved(folder / part, suffix)
    load_components(folder, dtype=torch.bfloat16)
    message = rf"the model's {part} has weights that do not fit torch\.float16 in .*: load with float32"
    with pytest.raises(ValueError, match=message):
        load_components(folder, dtype=torch.float16)


@pytest.mark.parametrize("part", WEIGHTS)
def test_missing_and_unknown_tensors_are_listed(folder, part):
    path = folder / part / WEIGHTS[part]
    whole = load_file(path)
    lost = [n for n in sorted(whole) if n.endswith("weight")][:2]
    tensors = {n: v for n, v in whole.items() if n not in lost}
    save_file(tensors, path, metadata={"format": "pt"})
    shown = r".*".join(name.replace(".", r"\.") for name in lost)
    with pytest.raises(ValueError, match=rf"the model's {part} has 2 missing keys \(.*{shown}"):
        load_components(folder)
    strange = {"nobody.knows": torch.zeros(1), "or.asks": torch.zeros(1)}
    save_file({**whole, **strange}, path, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=rf"the model's {part} has 2 unknown keys \(nobody\.knows, or\.asks\)"
    ):
        load_components(folder)
    save_file({**tensors, **strange}, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="2 missing keys .*; 2 unknown keys"):
        load_components(folder)


def test_of_many_missing_tensors_each_is_listed(folder):
    path = folder / "unet" / WEIGHTS["unet"]
    whole = load_file(path)
    lost = sorted(n for n in whole if n.endswith("bias"))
    save_file({n: v for n, v in whole.items() if n not in lost}, path, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=f"has {len(lost)} missing keys .* and {len(lost) - 8} more"
    ) as caught:
        load_components(folder)
    assert str(caught.value).splitlines()[2:] == [f"  {name}" for name in lost]


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_folder_with_only_a_pickle_is_refused_unopened(folder, part, tmp_path):
    (folder / part / WEIGHTS[part]).unlink()
    trace = tmp_path / "opened"

    class Trap:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin"):
        (folder / part / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"_model\.bin cannot be read safely"):
        load_components(folder)
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin"):
        torch.save(Trap(), folder / part / name)
    with pytest.raises(ValueError, match=r"_model\.bin is refused: its pickle names .*open"):
        load_components(folder)
    assert not trace.exists()


def _moved(part_folder, suffix, dtype=torch.float32):
    """A part's weights under another name, rounded, as older and smaller downloads have them."""
    path = part_folder / WEIGHTS[part_folder.name]
    tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in load_file(path).items()}
    path.unlink()
    stem = path.name.partition(".")[0]
    if suffix.endswith(".bin"):
        stem = stem if part_folder.name != "text_encoder" else "pytorch_model"
        torch.save(tensors, part_folder / (stem + suffix))
    else:
        save_file(tensors, part_folder / (stem + suffix), metadata={"format": "pt"})


@pytest.mark.parametrize("suffix", [".bin", ".fp16.safetensors", ".fp16.bin"])
def test_half_precision_variants_and_pickles_of_tensors_are_read(folder, model, suffix):
    for part in WEIGHTS:
        _moved(folder / part, suffix, torch.float16 if "fp16" in suffix else torch.float32)
    parts = load_components(folder)
    for part in WEIGHTS:
        own, whole = getattr(parts, part).state_dict(), getattr(model.components, part).state_dict()
        assert list(own) == list(whole)
        for name, value in whole.items():
            expected = value.half().float() if "fp16" in suffix and value.is_floating_point() else value
            assert torch.equal(own[name], expected), name
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    assert not [p for p in before if suffix.endswith(".bin") and p.suffix == ".safetensors"]


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_part_without_weights_says_which_files_would_do(folder, part):
    (folder / part / WEIGHTS[part]).unlink()
    message = rf"lacks the weights of {part}: .*\.safetensors, \.fp16\.safetensors or \.bin"
    with pytest.raises(FileNotFoundError, match=message):
        load_components(folder)


def test_weights_in_several_files_are_read(folder, tmp_path):
    """As large models are saved; ComfyUI's side reads the files itself."""
    from instructdiffusion.models.formats.weight_files import read_weights

    path = folder / "unet" / WEIGHTS["unet"]
    whole = load_file(path)
    names = sorted(whole)
    places = {}
    for number, some in enumerate((names[:20], names[20:])):
        shard = f"diffusion_pytorch_model-0000{number + 1}-of-00002.safetensors"
        save_file({n: whole[n] for n in some}, folder / "unet" / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(some, shard)
    path.unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "unet" / f"{WEIGHTS['unet']}.index.json").write_text(json.dumps(index))
    again = read_weights(folder / "unet")
    assert set(again) == set(whole) and all(torch.equal(again[n], whole[n]) for n in whole)
    assert torch.equal(load_components(folder).unet.conv_in.weight, whole["conv_in.weight"])


def _sharded(part_folder, weights, index):
    """The weights in two files, as the libraries call them, and an index of that name."""
    stem, variant = index.partition(".")[0], ".fp16" if "fp16" in index else ""
    names, places = sorted(weights), {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        shard = f"{stem}{variant}-0000{number}-of-00002{'.bin' if '.bin' in index else '.safetensors'}"
        state = {n: weights[n].half() if variant else weights[n] for n in some}
        if ".bin" in index:
            torch.save(state, part_folder / shard)
        else:
            save_file(state, part_folder / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(some, shard)
    (part_folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))


INDEXES = (
    ".safetensors.index.fp16.json", ".fp16.safetensors.index.json", ".bin.index.json", ".bin.index.fp16.json",
    ".fp16.bin.index.json",
)  # fmt: skip


@pytest.mark.parametrize("ending", INDEXES)
def test_indexes_of_half_precision_and_of_pickles_are_read(folder, model, ending):
    for part, name in WEIGHTS.items():
        path = folder / part / name
        stem = name.partition(".")[0]
        stem = "pytorch_model" if stem == "model" and ".bin" in ending else stem
        whole = load_file(path)
        path.unlink()
        _sharded(folder / part, whole, stem + ending)
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    parts = load_components(folder)
    for part in WEIGHTS:
        own, whole = getattr(parts, part).state_dict(), getattr(model.components, part).state_dict()
        for name, value in whole.items():
            expected = value.half().float() if "fp16" in ending and value.is_floating_point() else value
            assert torch.equal(own[name], expected), name
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("safe", [True, False])
def test_parts_that_the_libraries_saved_in_several_files_are_read(folder, model, variant, safe):
    for part in ("unet", "vae"):
        (folder / part / WEIGHTS[part]).unlink()
        module = getattr(model.components, part)
        module.save_pretrained(
            folder / part, max_shard_size="100KB", variant=variant, safe_serialization=safe
        )
    (folder / "text_encoder" / WEIGHTS["text_encoder"]).unlink()
    model.components.text_encoder.save_pretrained(
        folder / "text_encoder", max_shard_size="20KB", variant=variant
    )
    assert len(list(folder.glob("*/*.index*.json"))) == 3
    parts = load_components(folder)
    for part in WEIGHTS:
        own, whole = getattr(parts, part).state_dict(), getattr(model.components, part).state_dict()
        assert own.keys() == whole.keys() and all(torch.equal(own[n], whole[n]) for n in whole)


def test_an_index_of_pickles_is_read_as_carefully(folder, tmp_path):
    (folder / "unet" / WEIGHTS["unet"]).unlink()
    index = folder / "unet" / "diffusion_pytorch_model.bin.index.json"
    for nonsense in ("{", "[]", '{"weight_map": {"a": 3}}', '{"weight_map": 3}'):
        index.write_text(nonsense)
        with pytest.raises(
            ValueError, match=r"the index diffusion_pytorch_model\.bin\.index\.json of unet cannot"
        ):
            load_components(folder)
    outside = tmp_path / "outside.bin"
    torch.save({"a": torch.zeros(1)}, outside)
    index.write_text(json.dumps({"weight_map": {"a": f"../../{outside.name}"}}))
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*unet.outside\.bin"):
        load_components(folder)

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    torch.save({"a": Trap()}, folder / "unet" / outside.name)
    with pytest.raises(ValueError, match=r"outside\.bin is refused: its pickle names .*open"):
        load_components(folder)
    assert not (tmp_path / "opened").exists()


def test_a_unet_with_4_input_channels_is_refused(folder):
    shutil.rmtree(folder / "unet")
    build_unet((32, 32, 32), context=64, in_channels=4).save_pretrained(folder / "unet")
    with pytest.raises(ValueError, match="8 input channels.*got 4.*stage instruct"):
        load_components(folder)


def test_a_config_of_other_weights_is_refused(folder):
    _change(folder / "unet" / "config.json", layers_per_block=2)
    with pytest.raises(ValueError, match="the model's unet"):
        load_components(folder)


def test_a_text_encoder_of_another_width_is_refused(folder, model):
    shutil.rmtree(folder / "text_encoder")
    vocabulary = model.components.text_encoder.config.vocab_size
    build_text_encoder(vocabulary, width=128, layers=1).save_pretrained(folder / "text_encoder")
    with pytest.raises(ValueError, match=r"128 wide.*64: the folder mixes parts"):
        load_components(folder)


def test_a_tokenizer_with_more_words_than_the_encoder_knows_is_refused(folder):
    shutil.rmtree(folder / "text_encoder")
    build_text_encoder(300, width=64, layers=1).save_pretrained(folder / "text_encoder")
    with pytest.raises(ValueError, match="the text encoder knows 300"):
        load_components(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prediction_type": "flow"}, "'flow'"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule"),
    ],
)
def test_an_unknown_schedule_or_prediction_is_refused(folder, values, message):
    _change(folder / "scheduler" / "scheduler_config.json", **values)
    with pytest.raises(ValueError, match=message):
        load_components(folder)


def test_a_broken_config_is_refused(folder):
    (folder / "unet" / "config.json").write_text('{"in_channels": 8,')
    with pytest.raises(ValueError, match="the model's unet cannot be read"):
        load_components(folder)


def test_names_files_and_typing_errors(folder, tmp_path):
    assert find_folder("tiny").name == "tiny"
    assert find_folder(folder) == folder
    with pytest.raises(FileNotFoundError, match="there is no model 'tinny'"):
        find_folder("tinny")
    with pytest.raises(FileNotFoundError, match="there is no model"):
        find_folder(tmp_path / "nowhere" / "deep")
    single = tmp_path / "model.ckpt"
    single.write_bytes(b"")
    with pytest.raises(ValueError, match=r"the file model\.ckpt"):
        find_folder(single)


def test_a_builtins_name_is_that_model_and_a_path_a_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "tiny")
    assert find_folder("tiny").resolve() != tmp_path / "tiny"
    for given in ("./tiny", Path("tiny"), tmp_path / "tiny"):
        assert find_folder(given).resolve() == tmp_path / "tiny"


@pytest.mark.parametrize("name", ["beta_start", "beta_end", "num_train_timesteps", "beta_schedule"])
def test_a_schedule_without_a_field_names_it(name, folder):
    path = folder / "scheduler" / "scheduler_config.json"
    for bad in (None, [1], -1):
        _change(path, **{name: bad})
        with pytest.raises(
            ValueError, match=rf"{name}.*scheduler_config\.json|scheduler_config.*{name}|{name}"
        ):
            load_components(folder)
    settings = json.loads(path.read_text())
    del settings[name]
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rf"as {name} in .*scheduler_config\.json"):
        load_components(folder)


@pytest.mark.parametrize("values", [{"rescale_betas_zero_snr": True}, {"trained_betas": [0.1, 0.2]}])
def test_schedules_of_other_betas_are_refused(values, folder):
    path = folder / "scheduler" / "scheduler_config.json"
    _change(path, rescale_betas_zero_snr=False, trained_betas=None)
    load_components(folder)
    _change(path, **values)
    with pytest.raises(ValueError, match=rf"scheduler_config\.json sets {next(iter(values))}"):
        load_components(folder)


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_broken_scheduler_config_is_refused(content, folder):
    path = folder / "scheduler" / "scheduler_config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match="scheduler"):
        load_components(folder)
