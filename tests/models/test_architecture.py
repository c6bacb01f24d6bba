"""New components: SD 1.5's structure at other sizes, and an input that can be widened without a trace."""

from __future__ import annotations

import pytest
import torch

from instructdiffusion.models.architecture import (
    TEXT_LENGTH,
    build_text_encoder,
    build_unet,
    build_vae,
    widen_conv_in,
)


def _seeded(build, *arguments, **keywords):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(*arguments, **keywords)


@pytest.mark.parametrize("channels", [(), (16, 32), (32, 48), (33,)])
def test_channels_that_32_groups_do_not_divide_are_refused(channels):
    for build in (build_vae, build_unet):
        with pytest.raises(ValueError, match="multiples of 32"):
            build(channels)


def test_a_unet_attends_where_asked_with_8_heads_everywhere():
    unet = build_unet((32, 64, 32), context=64, attention=(True, False, True))
    kinds = [type(block).__name__ for block in (*unet.down_blocks, *unet.up_blocks)]
    assert kinds == [
        "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D",
        "CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D",
    ]  # fmt: skip
    heads = {m.heads for name, m in unet.named_modules() if name.endswith(("attn1", "attn2"))}
    assert heads == {8}
    groups = {m.num_groups for m in unet.modules() if isinstance(m, torch.nn.GroupNorm)}
    assert groups == {32}
    assert unet.config.in_channels == 8 and unet.config.cross_attention_dim == 64
    with pytest.raises(ValueError, match="one attention flag a level"):
        build_unet((32, 64), attention=(True,))


def test_an_autoencoder_shrinks_by_two_a_level():
    vae = build_vae((32, 32, 32))
    with torch.no_grad():
        z = vae.encode(torch.zeros(1, 3, 32, 48)).latent_dist.mode()
        assert z.shape == (1, 4, 8, 12)
        assert vae.decode(z).sample.shape == (1, 3, 32, 48)


def test_a_text_encoder_reads_48_tokens_in_heads_of_64():
    encoder = build_text_encoder(300, width=128, layers=2)
    assert encoder.config.num_attention_heads == 2 and encoder.config.num_hidden_layers == 2
    ids = torch.arange(TEXT_LENGTH)[None]
    with torch.no_grad():
        assert encoder(ids).last_hidden_state.shape == (1, TEXT_LENGTH, 128)
    with pytest.raises(ValueError, match="multiple of 64"):
        build_text_encoder(300, width=96)


@pytest.mark.parametrize("channels", [(32, 32), (64, 32)])
@pytest.mark.parametrize("content", [0.0, 1.0, 1000.0])
def test_widening_keeps_the_answer_whatever_the_new_channels_hold(channels, content):
    unet = _seeded(build_unet, channels, context=64, in_channels=4)
    generator = torch.Generator().manual_seed(1)
    x, extra = torch.randn(2, 2, 4, 8, 8, generator=generator)
    words, t = torch.randn(2, 5, 64, generator=generator), torch.tensor([1, 900])
    with torch.no_grad():
        # The copy path's conv_out may already listen to what conv_in does not yet say.
        before = unet(x, t, words).sample
        assert widen_conv_in(unet) is unet
        after = unet(torch.cat([x, content * extra], 1), t, words).sample
    assert unet.config.in_channels == 8 and unet.conv_in.weight.shape[1] == 8
    assert not unet.conv_in.weight[:, 4:].any() and before.abs().max() > 0.01
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_what_is_already_wide_is_refused():
    with pytest.raises(ValueError, match="fewer than 8 input channels, got 8"):
        widen_conv_in(build_unet((32, 32), context=64))


def test_a_widened_unet_is_saved_and_loaded_as_such(tmp_path):
    from diffusers import UNet2DConditionModel

    unet = widen_conv_in(build_unet((32, 32), context=64, in_channels=4))
    unet.save_pretrained(tmp_path)
    again = UNet2DConditionModel.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert again.conv_in.in_channels == again.config.in_channels == 8
    assert torch.equal(again.conv_in.weight, unet.conv_in.weight)
