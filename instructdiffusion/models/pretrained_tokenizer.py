"""The tokenizer of a checkpoint in a single file, which lies beside the file or in the hub's cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import first_line

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

SD_VOCABULARY = 49408
SD_TOKENIZER = "openai/clip-vit-large-patch14"


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

    Taken from beside the file; for SD's vocabulary also from the hub (or its cache). FileNotFoundError says
    what to put where, ValueError that a tokenizer is of another model.
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
    folder = folder or _fetched_tokenizer(path.name, beside)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
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


def _fetched_tokenizer(file: str, target: Path) -> Path:
    """The folder of SD's tokenizer in the hub's cache; it is fetched where it is not there yet."""
    from huggingface_hub import snapshot_download

    needed = ("vocab.json", "merges.txt")
    patterns = [*needed, "tokenizer_config.json", "special_tokens_map.json"]
    reason = "files are missing there"
    for cached in (True, False):
        try:
            folder = Path(snapshot_download(SD_TOKENIZER, allow_patterns=patterns, local_files_only=cached))
        except Exception as error:  # offline, refused, disk full: the advice is the same
            reason = first_line(error)
            continue
        if all((folder / name).is_file() for name in needed):
            return folder
    raise FileNotFoundError(
        f"{file} needs Stable Diffusion's tokenizer, {SD_TOKENIZER}, which cannot be fetched ({reason}): allow the "
        f"download once, or put vocab.json and merges.txt into {target}"
    )
