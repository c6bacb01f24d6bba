"""A process alone, and one among several."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from instructdiffusion.evaluation.processes import started


def test_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    one = started()
    one.meet()
    one.close()
    assert (one.rank, one.count, one.first, one.device) == (0, 1, True, None)


@pytest.fixture
def accelerate(monkeypatch):
    """A stand-in of which this is the second of three processes."""
    calls = []
    state = SimpleNamespace(
        process_index=1, num_processes=3, device="cpu", wait_for_everyone=lambda: calls.append("meet"),
        destroy_process_group=lambda: calls.append("close"),
    )  # fmt: skip
    fake = ModuleType("accelerate")
    fake.PartialState = lambda cpu: calls.append(f"cpu {cpu}") or state
    monkeypatch.setitem(sys.modules, "accelerate", fake)
    return calls


def test_one_of_three(monkeypatch, accelerate):
    monkeypatch.setenv("WORLD_SIZE", "3")
    second = started("cpu")
    second.meet()
    second.close()
    assert (second.rank, second.count, second.first, second.device) == (1, 3, False, "cpu")
    assert accelerate == ["cpu True", "meet", "close"]


def test_processes_that_do_not_see_each_other_are_stopped(monkeypatch, accelerate):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="4 processes were started, accelerate sees 3"):
        started("cpu")
