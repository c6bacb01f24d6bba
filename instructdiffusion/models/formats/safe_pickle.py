"""Tensors out of a single file (.safetensors, .ckpt, .pt, .pth, .bin), nothing that is written in it run.

A torch archive's pickle is read by an unpickler that knows nothing but how to describe a tensor. Checkpoints of
training frameworks also hold callbacks, optimizers and configurations as pickled objects: every other class of a known
framework becomes an inert placeholder, and any other name (a function of the system, say) is an error. torch's old
format, which is no archive, is looked over so, and then read by torch.load(weights_only=True).
"""

from __future__ import annotations

import io
import json
import math
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ...utils.errors import first_line
from ...utils.file_kinds import describe_content
from ...utils.pickles import BoundedUnpickler

SAFE, PICKLED = (".safetensors", ".sft"), (".ckpt", ".pt", ".pth", ".bin")
FACTS = "instructdiffusion"  # the entry with what tensors cannot say: prediction_type, resolution

# Where the objects come from that training code leaves in its checkpoints. None of them is imported or
# called: the list only tells a training framework's leftovers from code that has no business there.
_FRAMEWORKS = frozenset(
    "pytorch_lightning lightning lightning_fabric lightning_utilities lightning_lite omegaconf antlr4 "
    "torch torchmetrics numpy collections typing argparse datetime enum pathlib copyreg copy_reg _codecs deepspeed "
    "accelerate ldm taming main __main__".split()
)
_PLAIN_TYPES = frozenset(
    "object dict list set frozenset tuple int float complex str bytes bytearray bool slice range "
    "xrange long unicode".split()
)
_BUILTINS = ("builtins", "__builtin__")  # the second is how torch's protocol 2 spells it, as Python 2 did
# Where Lightning, DeepSpeed and plain training loops put the weights.
_NESTS = ("state_dict", "module", "model")


def is_checkpoint(path: str | Path) -> bool:
    """Whether the name is that of a single-file checkpoint."""
    return Path(path).suffix.lower() in (*SAFE, *PICKLED)


def read_checkpoint(path: str | Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """(tensors by name, what the file says of itself: prediction_type, resolution; often nothing).

    Tensors of a large file are read when they are asked for. FileNotFoundError; ValueError as in
    `read_archive` for what is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if not is_checkpoint(path):
        raise ValueError(f"expected a checkpoint named {', '.join((*SAFE, *PICKLED))}, got {path.name}")
    if path.suffix.lower() in PICKLED:
        state, beside = read_archive(path)
        return state, _facts(beside.get(FACTS, {}), path.name)
    from safetensors import SafetensorError, safe_open

    _check_content(path)
    try:
        file = safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"the checkpoint {path.name} cannot be read ({first_line(error)}): it is truncated or no "
            "safetensors file, copy or download it again"
        ) from error
    try:
        said = json.loads((file.metadata() or {}).get(FACTS, "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the entry {FACTS!r} in the header of {path.name} is not JSON: {error}") from error
    return LazyState(file.keys(), file.get_tensor, path.name), _facts(said, path.name)


def read_archive(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """(weights, what stands beside them) of a torch archive; the weights may be nested under state_dict.

    ValueError for a file that is truncated, no torch archive, holds anything but tensors among its
    weights, or names code that no training framework leaves there.
    """
    head = _check_content(path)
    zipped = zipfile.is_zipfile(path)
    if head.startswith(b"PK") and not zipped:
        raise ValueError(f"the checkpoint {path.name} is truncated: copy or download it again")
    if zipped:
        _check_archive(path)
    if not zipped and tarfile.is_tarfile(path):  # old torch read these freely, whatever weights_only said
        raise ValueError(
            f"the checkpoint {path.name} cannot be read safely: it is in torch's oldest format, a tar archive; "
            "save it anew as .safetensors"
        )
    if zipped:
        return _weights(_describe(path), path)
    try:
        _look_over(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, and the reasons differ
        raise ValueError(
            f"the checkpoint {path.name} cannot be read safely ({first_line(error)}): it is truncated, or "
            "holds more than tensors in torch's old format; save it anew as .safetensors"
        ) from error
    return _weights(content, path)


def _check_content(path: Path) -> bytes:
    """The first bytes of a checkpoint; ValueError says what a file is that is none."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        raise ValueError(f"the checkpoint {path.name} is empty: copy or download it again")
    kind = describe_content(head)
    zipped = kind == "a zip archive"  # what torch writes
    if kind == "a Git LFS pointer":
        raise ValueError(
            f"the checkpoint {path.name} is a Git LFS pointer, not the weights: fetch it with git lfs pull"
        )
    if kind and not (zipped and path.suffix.lower() in PICKLED):
        hint = "name it .ckpt" if zipped else "download it again, from the link of the file itself"
        raise ValueError(f"the checkpoint {path.name} is no checkpoint but {kind}: {hint}")
    return head


def _check_archive(path: Path) -> None:
    """ValueError for an archive whose records would take more memory than it has bytes: torch compresses none."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"the checkpoint {path.name} is damaged ({first_line(error)}): copy it again") from error
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError(f"the checkpoint {path.name} holds compressed records, which torch never writes: save it anew")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise ValueError(f"the checkpoint {path.name} says that it holds more than it does: it is damaged or forged")


def _weights(content: Any, path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    if not isinstance(content, Mapping):
        raise ValueError(f"expected named tensors in {path.name}, got a {type(content).__name__}")
    beside: Mapping[str, Any] = {}
    if nest := next((n for n in _NESTS if isinstance(content.get(n), Mapping)), None):
        beside, content = content, content[nest]
    if isinstance(averaged := beside.get("model_ema"), Mapping):  # a training state of the authors' own code
        content = {**content, **{f"model_ema.{key}": value for key, value in averaged.items()}}
    odd = [
        str(key)[:80]
        for key, value in content.items()
        if not isinstance(key, str) or not isinstance(value, (Tensor, _Described))
    ]
    if odd or not content:
        raise ValueError(
            f"expected named tensors in {path.name}, got {len(content)} entries, of which {len(odd)} are none "
            f"({', '.join(odd[:8])})"
        )
    lazy = any(isinstance(value, _Described) for value in content.values())
    return (_lazy(path, content) if lazy else content), beside


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


@dataclass(frozen=True)
class _Described:
    """A tensor as the pickle describes it, not read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class LazyState(Mapping[str, Tensor]):
    """Named tensors, each read when it is asked for: a checkpoint may hold far more than is wanted of it."""

    def __init__(self, names: Iterable[str], read: Callable[[str], Tensor], file: str) -> None:
        self._names = dict.fromkeys(names)
        self._read = read
        self._file = file

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._names:
            raise KeyError(key)
        try:
            return self._read(key)
        except Exception as error:  # what a damaged or forged description leads to
            raise ValueError(
                f"the tensor {key} in {self._file} cannot be read ({first_line(error)}): the file is damaged, "
                "copy or download it again"
            ) from error

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _lazy(path: Path, described: Mapping[str, Any]) -> LazyState:
    archive = zipfile.ZipFile(path)
    root = _root(archive)

    def read(key: str) -> Tensor:
        entry = described[key]
        return entry if isinstance(entry, Tensor) else _read_tensor(archive, root, entry)

    return LazyState(described, read, path.name)


def _read_tensor(archive: zipfile.ZipFile, root: str, entry: _Described) -> Tensor:
    record = archive.getinfo(f"{root}data/{entry.storage.key}")
    if record.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its data is compressed, which torch never writes")
    if math.prod(entry.size) == 0:
        return torch.empty(entry.size, dtype=entry.storage.dtype)
    data = bytearray(archive.read(record))  # checks the record's sum
    flat = torch.frombuffer(data, dtype=entry.storage.dtype)
    return flat.as_strided(entry.size, entry.stride, entry.offset)  # refuses to reach beyond the data


def _look_over(path: Path) -> None:
    """Read the pickles of torch's old format (magic number, version, system, content) within bounds, for no result."""
    with path.open("rb") as stream:
        for _ in range(4):
            _Unpickler(stream).load()


def _describe(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return _Unpickler(io.BytesIO(archive.read(f"{_root(archive)}data.pkl"))).load()
    except _ForbiddenName as error:
        raise ValueError(
            f"the checkpoint {path.name} is refused: its pickle names {error}, which is code and not weights. "
            "Nothing of it was run. If you trust its source, load it there and save the tensors alone as "
            ".safetensors"
        ) from error
    except Exception as error:  # a damaged pickle fails in any way
        raise ValueError(
            f"the checkpoint {path.name} cannot be read ({type(error).__name__}: {first_line(error)}): "
            "it is truncated or damaged, copy or download it again"
        ) from error


def _root(archive: zipfile.ZipFile) -> str:
    """The folder inside the archive that torch's records stand in ("archive/", or the file's name)."""
    names = [n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("it is a zip file, but not one that torch.save wrote")
    return names[0].removesuffix("data.pkl")


def _facts(said: Any, file: str) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise ValueError(f"expected an object as {FACTS!r} in {file}, got {type(said).__name__}")
    return said


class _ForbiddenName(Exception):
    pass


class _Inert:
    """Stands for an object of a framework: takes whatever the pickle does with it, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def __setstate__(self, _: Any) -> None: ...
    def __setitem__(self, _: Any, __: Any) -> None: ...
    def append(self, _: Any) -> None: ...
    def extend(self, _: Any) -> None: ...
    def add(self, _: Any) -> None: ...


class _Tensor(_Inert):  # classes, not functions: a pickle cannot set attributes on what it is given
    def __new__(cls, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
        if not isinstance(storage, _Storage):
            return _Inert()
        return _Described(storage, offset, tuple(size), tuple(stride))


class _Parameter(_Inert):
    def __new__(cls, data: Any, *_: Any) -> Any:
        return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    **{
        ("torch", f"{name}Storage"): dtype
        for name, dtype in {
            "Double": torch.float64,
            "Float": torch.float32,
            "Half": torch.float16,
            "BFloat16": torch.bfloat16,
            "Long": torch.int64,
            "Int": torch.int32,
            "Short": torch.int16,
            "Char": torch.int8,
            "Byte": torch.uint8,
            "Bool": torch.bool,
        }.items()
    },
}


class _Unpickler(BoundedUnpickler):
    """Builds plain containers, descriptions of tensors and placeholders; imports nothing."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.partition(".")[0] in _FRAMEWORKS or (module in _BUILTINS and name in _PLAIN_TYPES):
            return _Inert
        raise _ForbiddenName(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown record {kind!r}")
        return _Storage(str(key), dtype) if isinstance(dtype, torch.dtype) else _Inert()
