"""The tokenizer of a checkpoint in a single file: the one beside the file, or CLIP's, whose vocabulary ships."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import first_line
from .tokenizer import BEGIN, END, byte_letters, write_files_of_tokenizer

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

SD_VOCABULARY = 49408
VOCABULARY = Path(__file__).resolve().parent.parent / "assets" / "clip"


def companion(path: str | Path) -> Path:
    """The folder of a file's tokenizer and settings: the file's name without its ending."""
    return Path(path).with_suffix("")


def tokenizer_folder(path: str | Path) -> Path | None:
    """Where the tokenizer of a checkpoint lies: NAME/tokenizer, tokenizer beside the file, or beside it loose."""
    path = Path(path)
    for folder in (companion(path) / "tokenizer", path.parent / "tokenizer", path.parent):
        whole = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
        if whole or (folder / "tokenizer.json").is_file():
            return folder
    return None


def load_tokenizer(path: str | Path, vocabulary: int) -> CLIPTokenizer:
    """The tokenizer of a checkpoint whose text encoder knows `vocabulary` entries.

    Taken from beside the file; for SD's vocabulary else the one that ships. FileNotFoundError says what to put where,
    ValueError that a tokenizer is of another model.
    """
    from transformers import CLIPTokenizer

    path = Path(path)
    beside = companion(path) / "tokenizer"
    folder = tokenizer_folder(path)
    if folder is None and vocabulary != SD_VOCABULARY:
        raise FileNotFoundError(
            f"the text encoder of {path.name} has a vocabulary of its own ({vocabulary} entries): put its "
            f"tokenizer (vocab.json, merges.txt, tokenizer_config.json) into {beside}"
        )
    try:
        with nullcontext(folder) if folder is not None else clip_tokenizer_folder() as place:
            tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=True)
    except Exception as error:  # the libraries raise many kinds
        raise ValueError(
            f"the tokenizer {folder} cannot be read ({first_line(error)}): copy it again"
        ) from error
    fits = len(tokenizer) == vocabulary if vocabulary == SD_VOCABULARY else len(tokenizer) <= vocabulary
    if not fits:
        raise ValueError(
            f"the tokenizer {folder} has {len(tokenizer)} entries, the text encoder of {path.name} knows "
            f"{vocabulary}: it is another model's, put the right one into {beside}"
        )
    return tokenizer


@contextmanager
def clip_tokenizer_folder() -> Iterator[Path]:
    """Write CLIP's tokenizer, which all of Stable Diffusion 1 shares, from the vocabulary that ships.

    Yields:
        A folder that `CLIPTokenizer.from_pretrained` reads; it lasts as long as the context.
    """
    text = (VOCABULARY / "merges.txt").read_text(encoding="utf-8")
    letters = byte_letters()
    # In CLIP's order the printable bytes come first.
    letters = [x for x in letters if ord(x) < 256] + [x for x in letters if ord(x) >= 256]
    words = ["".join(line.split()) for line in text.splitlines()[1:] if line]
    entries = [*letters, *(x + "</w>" for x in letters), *words, BEGIN, END]
    with tempfile.TemporaryDirectory() as temporary:
        write_files_of_tokenizer(Path(temporary), entries, text, 77)
        yield Path(temporary)
