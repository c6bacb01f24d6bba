"""Every weight has a name on both sides, and comes back from the other side bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import instructdiffusion
from instructdiffusion.models.formats import ldm_keys

TINY = Path(instructdiffusion.__file__).parent / "assets" / "tiny"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def _unet(**changes):
    from diffusers import UNet2DConditionModel

    values = {
        "sample_size": 64,
        "in_channels": 8,
        "block_out_channels": (32, 64, 96, 96),
        "layers_per_block": 2,
        "cross_attention_dim": 48,
        "attention_head_dim": 8,
    }
    return UNet2DConditionModel(**{**values, **changes})  # the remaining defaults are SD 1.5's


def _vae(**changes):
    from diffusers import AutoencoderKL

    count = len(changes.get("block_out_channels", (32, 32, 64, 64)))
    values = {
        "block_out_channels": (32, 32, 64, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
    }
    return AutoencoderKL(**{**values, **changes})


def _same(a, b):
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def _config(module, names):
    """The named settings of a module, tuples whatever they were stored as."""
    return {n: tuple(v) if isinstance(v := module.config[n], list) else v for n in names}


UNETS = {
    "SD 1.5's depth": {},
    "narrow": {
        "block_out_channels": (64, 96, 160),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "one level": {
        "block_out_channels": (32,),
        "layers_per_block": 3,
        "down_block_types": ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",),
    },
    "linear projections": {"use_linear_projection": True, "in_channels": 4},
    "two transformers a block": {"transformer_layers_per_block": 2},
}


@pytest.mark.parametrize("changes", UNETS.values(), ids=UNETS)
def test_a_unet_goes_there_and_back_and_its_config_is_read_from_the_tensors(changes):
    module = _unet(**changes)
    state = module.state_dict()
    ldm = ldm_keys.unet_to_ldm(state, module.config)
    assert len(ldm) == len(state)
    config = ldm_keys.unet_config_from_ldm(ldm)
    assert config == _config(module, config)
    assert _same(ldm_keys.unet_from_ldm(ldm, config), state)


@pytest.mark.parametrize(
    "changes", [{}, {"block_out_channels": (64, 32, 64), "layers_per_block": 1}], ids=["SD 1.5's", "narrow"]
)
def test_an_autoencoder_goes_there_and_back(changes):
    module = _vae(**changes)
    state = module.state_dict()
    ldm = ldm_keys.vae_to_ldm(state, module.config)
    assert len(ldm) == len(state)
    config = ldm_keys.vae_config_from_ldm(ldm)
    assert config == _config(module, config)
    assert _same(ldm_keys.vae_from_ldm(ldm, config), state)


def test_keys_and_shapes_are_those_of_stable_diffusion():
    unet = _unet()
    ldm = ldm_keys.unet_to_ldm(unet.state_dict(), unet.config)
    for key, module in {
        "input_blocks.0.0.weight": unet.conv_in,
        "input_blocks.3.0.op.weight": unet.down_blocks[0].downsamplers[0].conv,
        "input_blocks.11.0.out_layers.3.weight": unet.down_blocks[3].resnets[1].conv2,
        "middle_block.1.proj_in.weight": unet.mid_block.attentions[0].proj_in,
        "output_blocks.2.1.conv.weight": unet.up_blocks[0].upsamplers[0].conv,  # no attention before it
        "output_blocks.5.2.conv.weight": unet.up_blocks[1].upsamplers[0].conv,
        "output_blocks.11.0.skip_connection.weight": unet.up_blocks[3].resnets[2].conv_shortcut,
        "time_embed.2.weight": unet.time_embedding.linear_2,
        "out.2.weight": unet.conv_out,
    }.items():
        assert torch.equal(ldm[key], module.weight), key
    assert "input_blocks.10.1.norm.weight" not in ldm and "input_blocks.12.0.op.weight" not in ldm
    vae = _vae()
    ldm = ldm_keys.vae_to_ldm(vae.state_dict(), vae.config)
    assert torch.equal(
        ldm["decoder.up.3.upsample.conv.weight"], vae.decoder.up_blocks[0].upsamplers[0].conv.weight
    )
    assert torch.equal(
        ldm["decoder.up.1.block.0.nin_shortcut.weight"],
        vae.decoder.up_blocks[2].resnets[0].conv_shortcut.weight,
    )
    query = ldm["encoder.mid.attn_1.q.weight"]
    assert query.shape == (64, 64, 1, 1)
    assert torch.equal(query[:, :, 0, 0], vae.encoder.mid_block.attentions[0].to_q.weight)


def test_the_shipped_model_goes_there_and_back():
    import json

    for part, name in (("unet", WEIGHTS), ("vae", WEIGHTS)):
        state = load_file(TINY / part / name)
        config = json.loads((TINY / part / "config.json").read_text())
        there = getattr(ldm_keys, f"{part}_to_ldm")(state, config)
        read = getattr(ldm_keys, f"{part}_config_from_ldm")(there)
        assert _same(getattr(ldm_keys, f"{part}_from_ldm")(there, read), state)
        assert {k: list(v) if isinstance(v, tuple) else v for k, v in read.items()}.items() <= config.items()
    state = load_file(TINY / "text_encoder" / "model.safetensors")
    config = json.loads((TINY / "text_encoder" / "config.json").read_text())
    there = ldm_keys.text_to_ldm(state)
    assert all(key.startswith("text_model.") for key in there)
    assert ldm_keys.text_config_from_ldm(there).items() <= config.items()
    assert _same(
        ldm_keys.text_from_ldm(there, ""), {k.removeprefix("text_model."): v for k, v in state.items()}
    )


def test_the_text_encoders_keys_of_both_libraries_versions_are_taken():
    short = {"embeddings.token_embedding.weight": torch.ones(3, 64), "final_layer_norm.bias": torch.ones(64)}
    long = {f"text_model.{k}": v for k, v in short.items()}
    positions = {"text_model.embeddings.position_ids": torch.arange(4)}
    assert _same(ldm_keys.text_to_ldm(short), long) and _same(ldm_keys.text_to_ldm(long | positions), long)
    assert _same(ldm_keys.text_from_ldm(long), long) and _same(ldm_keys.text_from_ldm(long, ""), short)


def test_an_autoencoder_in_diffusers_older_names_is_taken():
    module = _vae()
    state = module.state_dict()
    old = {}
    for key, value in state.items():
        for new_name, old_name in (
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ):
            key = key.replace(f"attentions.0.{new_name}.", f"attentions.0.{old_name}.")
        old[key] = value
    assert set(old) != set(state)
    assert _same(ldm_keys.vae_to_ldm(old, module.config), ldm_keys.vae_to_ldm(state, module.config))


def test_unknown_keys_are_listed():
    module = _unet(**UNETS["narrow"])
    state = {**module.state_dict(), "label_emb.0.weight": torch.zeros(1), "conv_in": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"UNet has 2 unknown keys \(conv_in, label_emb\.0\.weight\)"):
        ldm_keys.unet_to_ldm(state, module.config)
    many = {f"strange.{i}": torch.zeros(1) for i in range(20)}
    with pytest.raises(ValueError, match=r"20 unknown keys \(strange\.0, .* and 12 more\)"):
        ldm_keys.vae_from_ldm(many, _vae().config)


def test_structures_that_are_not_stable_diffusions_are_refused():
    unet = _unet()
    ldm = ldm_keys.unet_to_ldm(unet.state_dict(), unet.config)

    def without(prefix):
        return {k: v for k, v in ldm.items() if not k.startswith(prefix)}

    with pytest.raises(ValueError, match="one kind of block in a level"):
        ldm_keys.unet_config_from_ldm(without("input_blocks.4.1."))
    with pytest.raises(ValueError, match=r"as many blocks in each level, got \[2, 2, 2, 1\]"):
        ldm_keys.unet_config_from_ldm(without("input_blocks.11."))
    with pytest.raises(ValueError, match="without a gap"):
        ldm_keys.unet_config_from_ldm(without("input_blocks.5."))
    with pytest.raises(ValueError, match=r"lacks out\.2\.weight"):
        ldm_keys.unet_config_from_ldm(without("out."))
    with pytest.raises(ValueError, match=r"the UNet lacks input_blocks\.0\.0\.weight"):
        ldm_keys.unet_config_from_ldm({})
    with pytest.raises(ValueError, match="width is a multiple of 64, got 100"):
        ldm_keys.text_config_from_ldm({"text_model.embeddings.token_embedding.weight": torch.zeros(5, 100)})
