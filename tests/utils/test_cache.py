"""What is kept, what goes first, and when all of it has to go."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from instructdiffusion.utils.cache import Cache, Weights


def asked(kept, keys):
    """(values, the numbers that had to be made) of keys whose value is ten bytes of their letter."""
    made = []

    def make(numbers):
        made.extend(numbers)
        return [np.full(10, ord(keys[n]), np.uint8) for n in numbers]

    return "".join(chr(value[0]) for value in kept.of(keys, make)), made


def test_what_is_missing_is_made_once_and_all_come_in_order():
    kept = Cache(1000)
    assert asked(kept, "abab") == ("abab", [0, 1])
    assert asked(kept, "cbca") == ("cbca", [0])
    assert asked(kept, "cba") == ("cba", []) and len(kept) == 3 and "b" in kept


def test_what_was_used_last_stays():
    kept = Cache(39)  # three values of ten bytes
    asked(kept, "abc")
    asked(kept, "a")
    asked(kept, "d")
    assert [key for key in "abcd" if key in kept] == ["a", "c", "d"]


def test_more_than_there_is_room_for_is_answered_all_the_same():
    assert asked(Cache(25), "abcd") == ("abcd", [0, 1, 2, 3])
    nothing = Cache(0)
    assert asked(nothing, "aa") == ("aa", [0]) and asked(nothing, "a") == ("a", [0])
    assert asked(Cache(5), "a") == ("a", [0])


def test_forgotten_values_are_made_anew_and_their_room_is_free():
    kept = Cache(25)
    asked(kept, "ab")
    kept.forget("a", "z")
    assert "a" not in kept and "b" in kept
    asked(kept, "c")
    assert "b" in kept and "c" in kept
    kept.forget()
    assert len(kept) == 0 and asked(kept, "ab") == ("ab", [0, 1]) and len(kept) == 2


def test_a_failure_keeps_nothing():
    kept = Cache()

    def fails(numbers):
        raise MemoryError

    with pytest.raises(MemoryError):
        kept.of("ab", fails)
    with pytest.raises(ValueError):
        kept.of("ab", lambda numbers: [np.zeros(1)])  # one value for two
    assert len(kept) == 0


@pytest.mark.parametrize("limit", [-1, 1.5, True, None])
def test_bad_limits(limit):
    with pytest.raises(ValueError, match="whole number of bytes"):
        Cache(limit)


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.ReLU())
    ).eval()


@torch.no_grad()
def write(net):
    net[0].weight[0, 0] = 7.0


def exchange(net):
    net[0].weight = torch.nn.Parameter(net[0].weight.detach().clone())


CHANGES = {
    "a write": write,
    "loaded weights": lambda net: net.load_state_dict(network().state_dict()),
    "a weight in its place": exchange,
    "a part in its place": lambda net: net.__setitem__(0, copy.deepcopy(net[0])),
    "one more part": lambda net: net.append(torch.nn.Linear(3, 3)),
    "another dtype": lambda net: net.to(torch.float64),
    "another place": lambda net: setattr(net[0].weight, "data", net[0].weight.data.clone()),
    "a part that has no weights": lambda net: net[1].__setitem__(1, torch.nn.SiLU()),
    "a write that torch does not count": lambda net: net[0].weight.data.add_(1),
    "another behind torch's back": lambda net: net[1][0].bias.data.copy_(torch.ones(3)),
    "a buffer's": lambda net: net[1][0].running_mean.add_(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_weights_is_noticed_once(change):
    net, weights = network(), Weights()
    assert weights.changed(net) and not weights.changed(net)
    net(torch.zeros(1, 2))
    assert not weights.changed(net)
    CHANGES[change](net)
    assert weights.changed(net) and not weights.changed(net)


def test_of_large_weights_the_middle_is_looked_at_and_of_channels_last_ones_too():
    net = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.Linear(50, 50)).to(
        memory_format=torch.channels_last
    )
    for part in net:
        weights = Weights()
        weights.changed(net)
        part.weight.data.mul_(1.001)
        assert weights.changed(net) and not weights.changed(net)


def test_weights_that_are_no_numbers_are_no_change():
    net, weights = network(), Weights()
    torch.nn.init.constant_(net[0].weight, float("nan"))
    assert weights.changed(net) and not weights.changed(net)


def test_another_network_thing_or_autocast_is_a_change():
    net, weights, thing = network(), Weights(), object()
    weights.changed(net, thing)
    assert not weights.changed(net, thing)
    assert weights.changed(net, object()) and weights.changed(network(), thing)
    weights.changed(net)
    with torch.autocast("cpu", torch.bfloat16):
        assert weights.changed(net) and not weights.changed(net)
    assert weights.changed(net)


def test_weights_that_do_not_count_writes_are_never_trusted():
    with torch.inference_mode():
        net = network()
    weights = Weights()
    assert weights.changed(net) and weights.changed(net)
