"""The weights of a part of a model folder (unet, vae, text_encoder), in whichever kind of file they lie."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ...utils.errors import first_line
from .safe_pickle import SAFE, read_checkpoint

# diffusers' and transformers' names; the first that is there is taken, so a pickle only where there is nothing else.
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_PLAIN = (".safetensors", ".safetensors.index.json", ".fp16.safetensors")
_ENDINGS = (
    *_PLAIN,
    *(".safetensors.index.fp16.json", ".fp16.safetensors.index.json"),  # the libraries' and an older way
    *(".bin", ".bin.index.json", ".fp16.bin", ".bin.index.fp16.json", ".fp16.bin.index.json"),
)


def find_weights(folder: Path) -> Path:
    """The file of a part's weights, or the index of several; FileNotFoundError says what is looked for."""
    for ending in _ENDINGS:
        for stem in _STEMS:
            if (folder / (stem + ending)).is_file():
                return folder / (stem + ending)
    raise FileNotFoundError(
        f"the model folder lacks the weights of {folder.name}: expected {_STEMS[0]} or {_STEMS[1]} as .safetensors, "
        f".fp16.safetensors or .bin, or the index of several such (.index.json), in {folder}; copy it again"
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """A part's tensors by name; nothing in a pickle is executed. Errors: `find_weights`', `read_checkpoint`'s."""
    path = find_weights(folder)
    files = _listed_in(path) if path.suffix == ".json" else [path]
    return {key: value for file in files for key, value in read_checkpoint(file)[0].items()}


def count_weights(folder: Path) -> int:
    """How many numbers a part's weights are; of safetensors from their heads alone. Errors: `read_weights`'."""
    path = find_weights(folder)
    total = 0
    for file in _listed_in(path) if path.suffix == ".json" else [path]:
        if file.suffix not in SAFE:
            total += sum(value.numel() for value in read_checkpoint(file)[0].values())
            continue
        read_checkpoint(file)  # says what is wrong with it
        with safe_open(file, "pt") as stream:
            total += sum(math.prod(stream.get_slice(name).get_shape()) for name in stream.keys())
    return total


def _listed_in(index: Path) -> list[Path]:
    """The files beside an index that it names; ValueError where it cannot be read."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [index.parent / Path(name).name for name in sorted(names)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the index {index.name} of {index.parent.name} cannot be read ({type(error).__name__}: "
            f"{first_line(error)}): expected which file holds which weight under weight_map; copy it again"
        ) from error


@contextmanager
def safe_folder(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(a folder, options) from which `from_pretrained` reads a part without opening a pickle.

    That is the part's own, with the variant its weights are of; where they are a pickle, or in several files that the
    libraries do not all find, one with the same weights as safetensors, which lasts as long as the context.
    """
    path = find_weights(folder)
    if path.name.endswith(_PLAIN) and not path.name.endswith(".fp16.safetensors.index.json"):
        yield folder, {"variant": "fp16"} if ".fp16." in path.name else {}
        return
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        # Cloned: safetensors holds no two names of one tensor.
        state = {key: value.clone().contiguous() for key, value in read_weights(folder).items()}
        stem = "model" if path.name.startswith("pytorch_model") else path.name.partition(".")[0]
        save_file(state, Path(temporary) / f"{stem}.safetensors", metadata={"format": "pt"})
        shutil.copy(folder / "config.json", temporary)
        yield Path(temporary), {}
