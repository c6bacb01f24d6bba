"""LoRA: nothing at first, only its own weights trained, and names that ComfyUI's loader maps to the right layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from instructdiffusion.models.architecture import build_unet
from instructdiffusion.trainer.lora import add_lora, lora_layers, lora_state


@pytest.fixture()
def unet() -> nn.Module:
    torch.manual_seed(0)
    unet = build_unet((32, 64), 1, 64, sample_size=8)
    for parameter in unet.parameters():  # its convolutions start at zero, and nothing would pass through them
        nn.init.normal_(parameter, 0, 0.05)
    return unet.eval()


def answer(unet: nn.Module) -> torch.Tensor:
    x, states = torch.ones(2, 8, 8, 8) / 3, torch.ones(2, 5, 64) / 7
    return unet(x, torch.tensor([999, 3]), encoder_hidden_states=states, return_dict=False)[0]


def test_an_untrained_lora_changes_nothing_and_the_model_is_frozen(unet: nn.Module) -> None:
    before = answer(unet)
    weights = add_lora(unet, rank=2)
    assert torch.equal(answer(unet), before)
    assert {id(p) for p in unet.parameters() if p.requires_grad} == {id(p) for p in weights}


def test_a_trained_lora_is_the_low_rank_sum_that_loaders_compute(unet: nn.Module) -> None:
    """Adding alpha / rank * up @ down to the plain layers, as loaders do, gives the same answer."""
    before = answer(unet).detach()
    plain = {name: value.clone() for name, value in unet.state_dict().items()}
    weights = add_lora(unet, rank=2)
    optimizer = torch.optim.SGD(weights, lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        answer(unet).square().mean().backward()
        optimizer.step()
    trained, state = answer(unet).detach(), lora_state(unet, torch.float32)
    merged = build_unet((32, 64), 1, 64, sample_size=8).eval()
    for name, value in plain.items():
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        if name.endswith(".weight") and f"{key}.alpha" in state:
            down, up = state.pop(f"{key}.lora_down.weight"), state.pop(f"{key}.lora_up.weight")
            scale = float(state.pop(f"{key}.alpha")) / len(down)
            value += scale * (up.flatten(1) @ down.flatten(1)).reshape(value.shape)
    assert not state, f"no layer is called {next(iter(state))}"
    merged.load_state_dict(plain)
    assert not torch.allclose(trained, before)
    torch.testing.assert_close(answer(merged), trained, rtol=1e-4, atol=1e-5)


def test_every_layer_of_the_list_has_one(unet: nn.Module) -> None:
    add_lora(unet, rank=1)
    names = [name for name, _ in lora_layers(unet)]
    assert "conv_out" in names and any(n.endswith("attn2.to_k") for n in names)
    assert any(n.endswith("conv1") for n in names)


@pytest.mark.parametrize(("module", "rank"), [(nn.Linear(2, 2), 4), (nn.Sequential(), 4)])
def test_a_module_without_such_layers_is_refused(module: nn.Module, rank: int) -> None:
    with pytest.raises(ValueError, match="to_q"):
        add_lora(module, rank)


def test_a_rank_below_one_is_refused(unet: nn.Module) -> None:
    with pytest.raises(ValueError, match="rank"):
        add_lora(unet, 0)
