"""A downloaded folder's configs ask for nothing beyond their weights, and have nothing imported or fetched."""

from __future__ import annotations

import json
import shutil
import tracemalloc

import pytest

from instructdiffusion.models.loading import load_components


def changed(folder, tmp_path, part, **values):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    path = copy / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    "part, values, words",
    [
        ("unet", {"layers_per_block": 100_000}, "layers_per_block"),
        ("unet", {"block_out_channels": [32] * 1000}, "block_out_channels"),
        ("unet", {"sample_size": 10**9}, "sample_size"),
        ("vae", {"block_out_channels": [10**9, 32, 32]}, "block_out_channels"),
        ("vae", {"block_out_channels": [16384, 16384, 16384]}, "million weights"),
        ("text_encoder", {"num_hidden_layers": 100_000}, "num_hidden_layers"),
        ("text_encoder", {"intermediate_size": 65536, "num_hidden_layers": 128}, "million weights"),
        ("text_encoder", {"_attn_implementation": "someone/kernel"}, "someone/kernel"),
        ("text_encoder", {"attn_implementation": "flash_attention_2"}, "flash_attention_2"),
        ("text_encoder", {"quantization_config": {"quant_method": "bitsandbytes"}}, "quantized"),
        ("unet", {"quantization_config": {"quant_method": "torchao"}}, "quantized"),
    ],
)
def test_a_config_beyond_its_weights_is_refused_before_memory_is_taken(part, values, words, model_folder, tmp_path):
    copy = changed(model_folder, tmp_path, part, **values)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words):
            load_components(copy)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_an_adapter_fetches_nothing(model_folder, tmp_path):
    copy = changed(model_folder, tmp_path, "text_encoder")
    (copy / "text_encoder" / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}', encoding="utf-8")
    with pytest.raises(ValueError, match="adapter"):
        load_components(copy)


@pytest.mark.parametrize("content", ["[]", "7", "{", "[" * 100_000, ""])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_config_that_is_none_names_its_part(part, content, model_folder, tmp_path):
    copy = changed(model_folder, tmp_path, part)
    (copy / part / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=part):
        load_components(copy)
