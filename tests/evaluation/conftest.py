"""Models whose answers are known, and made-up datasets for benchmarks."""

from __future__ import annotations

import pytest

from instructdiffusion.datasets.fixtures import write_fixture
from instructdiffusion.inference.answer import Answer
from instructdiffusion.tasks import get_task


class Drawer:
    """A model in whose place `draw(instruction, source)` answers; it counts what it was asked."""

    def __init__(self, draw):
        self.draw, self.asked = draw, []

    def run(self, instruction, image, *, seed, batch_size, **options):
        assert len(instruction) == len(image) == len(seed) <= batch_size
        self.asked += [i.text for i in instruction]
        return [self.answer(i, p) for i, p in zip(instruction, image, strict=True)]

    def answer(self, instruction, source):
        picture = self.draw(instruction, source)
        result = get_task(instruction.task).decode(source, picture, instruction)
        return Answer(instruction, result, picture, source)


@pytest.fixture(scope="session")
def drawer():
    """The class of models that draw as they are told."""
    return Drawer


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """name -> folder of the made-up dataset of that name, below one folder of all."""
    base = tmp_path_factory.mktemp("datasets")

    def get(name):
        if not (base / name).exists():
            write_fixture(name, base / name)
        return base / name

    return get
