"""The sentences a new tokenizer is learned from: instructions and captions of training scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..datasets.synthetic.examples import make_example
from ..models.tokenizer import write_tokenizer
from ..tasks import TASKS
from ..utils.files import whole_folder
from .config import DataConfig
from .pool import marked_caption

_PER_TASK = 500


def training_sentences(data: DataConfig) -> Iterator[str]:
    """Instructions and captions of the first training scenes of every task (held-out words never occur)."""
    for task in TASKS:
        for seed in range(_PER_TASK):
            example = make_example(task, seed, size=data.size, level=max(data.levels))
            yield example.instruction.text
            yield marked_caption(example.record.caption, example.instruction)


def ensure_tokenizer(folder: Path, data: DataConfig) -> None:
    """Learn and write `folder`/tokenizer unless there is one."""
    if not (folder / "tokenizer" / "vocab.json").is_file():
        with whole_folder(folder / "tokenizer") as temporary:
            write_tokenizer(training_sentences(data), temporary)
