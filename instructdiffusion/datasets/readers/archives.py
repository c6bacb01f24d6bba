"""Files inside archives: members of zip shards by their place, cells of parquet files by row group."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .problems import Flaw, regular

_LOCAL = struct.Struct("<4s5H3I2H")  # the header before a member's data
_STORED, _DEFLATED = 0, 8
LARGEST = 1 << 28  # bytes that a member may unpack to

Member = list[Any]  # [offset, packed size, size, method, crc]
_MEMBER = np.dtype(
    [("key", "<u8"), ("check", "<u8"), ("archive", "<i4"), ("offset", "<i8"), ("packed", "<i8"), ("size", "<i8"),
     ("method", "<u2"), ("crc", "<u4")]
)  # fmt: skip
_BLOCK = 1 << 14


def zip_members(path: Path) -> Iterator[tuple[str, Member]]:
    """(name, place) of the files in a zip; Flaw where it is cut off or damaged.

    The place is all that `read_member` needs: a reader then holds no directory of the archive in memory.
    """
    try:
        with zipfile.ZipFile(regular(path)) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    place = [
                        info.header_offset,
                        info.compress_size,
                        info.file_size,
                        info.compress_type,
                        info.CRC,
                    ]
                    yield info.filename, place
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise Flaw(f"the zip is cut off or damaged: {error}") from None


class Members:
    """Where the files of many zips lie, by name, in files of a scratch folder: a million of them take no memory.

    Names are told apart by 128 bits of their hash. First `add` each zip, then `seal`, then look up; of a name that
    comes twice the last one counts.
    """

    def __init__(self, folder: Path) -> None:
        self._spool, self._sorted = folder / "members.spool", folder / "members.sorted"
        self._keys: Any = np.zeros(0, np.uint64)
        self._table: Any = np.zeros(0, _MEMBER)
        self._count = 0
        self._spool.touch()

    def __len__(self) -> int:
        return self._count

    def add(self, archive: int, path: Path) -> None:
        """The files of a zip, which is the caller's number `archive`; Flaw where it is cut off or damaged."""
        with open(self._spool, "ab") as stream:
            entries = zip_members(path)
            while block := list(islice(entries, _BLOCK)):
                rows = [(*_hashes(name), archive, *place) for name, place in block]
                stream.write(np.array(rows, _MEMBER).tobytes())
                self._count += len(rows)

    def seal(self) -> None:
        """Sort what was added, so that it can be looked up."""
        if not self._count:
            return
        spool = np.memmap(self._spool, _MEMBER, "r")
        order = np.argsort(spool["key"], kind="stable")
        with open(self._sorted, "wb") as stream:
            for start in range(0, len(order), _BLOCK):
                stream.write(spool[order[start : start + _BLOCK]].tobytes())
        self._table = np.memmap(self._sorted, _MEMBER, "r")
        self._keys = np.ascontiguousarray(self._table["key"])  # 8 bytes each: what is searched

    def find(self, name: str) -> tuple[int, Member] | None:
        """(number of the zip, place in it) of a file; None where no zip has it."""
        key, check = _hashes(name)
        row = int(np.searchsorted(self._keys, np.uint64(key), "right")) - 1
        while row >= 0 and int(self._keys[row]) == key:
            _, other, archive, *place = self._table[row].tolist()
            if other == check:
                return archive, place
            row -= 1
        return None

    def close(self) -> None:
        """Let the files go."""
        self._table, self._keys = np.zeros(0, _MEMBER), np.zeros(0, np.uint64)
        for path in (self._spool, self._sorted):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Members:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _hashes(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def read_member(path: Path, place: Member) -> bytes:
    """The bytes of a file in a zip; Flaw where they are damaged (its checksum is looked at)."""
    offset, packed, size, method, crc = place
    if size > LARGEST:
        raise Flaw(f"a file of {size} bytes in a zip: more than {LARGEST} are not unpacked")
    try:
        with open(regular(path), "rb") as stream:
            stream.seek(offset)
            head = stream.read(_LOCAL.size)
            if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
                raise Flaw("the zip is damaged: there is no file where its directory says")
            name, extra = _LOCAL.unpack(head)[9:11]
            stream.seek(offset + _LOCAL.size + name + extra)
            data = stream.read(packed)
    except OSError as error:
        raise Flaw(f"the zip cannot be read: {error}") from None
    if method == _DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        except zlib.error as error:
            raise Flaw(f"the zip is damaged: {error}") from None
    elif method != _STORED:
        raise Flaw(f"the zip is packed by method {method}: expected stored or deflated")
    if len(data) != size or zlib.crc32(data) != crc:
        raise Flaw("the zip is damaged: a checksum is wrong")
    return data


def has_columns(paths: Sequence[Path], columns: Sequence[str]) -> bool:
    """Whether one of the parquet files has the columns; also where none can be read, so that its reader says why."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        return bool(paths)
    others = 0
    for path in paths:
        try:
            names = set(pyarrow.parquet.read_schema(regular(path)).names)
        except (pyarrow.ArrowException, OSError, ValueError):
            continue
        if names.issuperset(columns):
            return True
        others += 1
    return bool(paths) and not others


def parquet_file(path: Path, columns: list[str]) -> Any:
    """A pyarrow.parquet.ParquetFile that has the columns; Flaw where it is damaged or has others.

    ModuleNotFoundError names what to install where pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"expected pyarrow, to read {path.name}, and did not find it: pip install pyarrow"
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(regular(path))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise Flaw(f"the parquet file is cut off or damaged: {error}") from None
    names = set(table.schema_arrow.names)
    if not set(columns) <= names:
        table.close()
        raise Flaw(f"the parquet file has the columns {sorted(names)}: expected {columns}")
    return table


def read_group(path: Path, group: int, columns: list[str]) -> Any:
    """One row group of a parquet file as a pyarrow table; Flaw."""
    import pyarrow

    with parquet_file(path, columns) as table:
        try:
            return table.read_row_group(group, columns=columns)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise Flaw(f"the parquet file is damaged: {error}") from None
