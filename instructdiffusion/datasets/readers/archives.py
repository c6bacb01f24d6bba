"""Files inside archives: members of zip shards by their place, cells of parquet files by row group."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .problems import Flaw

_LOCAL = struct.Struct("<4s5H3I2H")  # the header before a member's data
_STORED, _DEFLATED = 0, 8
LARGEST = 1 << 28  # bytes that a member may unpack to

Member = list[Any]  # [offset, packed size, size, method, crc]


def zip_members(path: Path) -> Iterator[tuple[str, Member]]:
    """(name, place) of the files in a zip; Flaw where it is cut off or damaged.

    The place is all that `read_member` needs: a reader then holds no directory of the archive in memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
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


def read_member(path: Path, place: Member) -> bytes:
    """The bytes of a file in a zip; Flaw where they are damaged (its checksum is looked at)."""
    offset, packed, size, method, crc = place
    if size > LARGEST:
        raise Flaw(f"a file of {size} bytes in a zip: more than {LARGEST} are not unpacked")
    try:
        with open(path, "rb") as stream:
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
            names = set(pyarrow.parquet.read_schema(path).names)
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
        found = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise Flaw(f"the parquet file is cut off or damaged: {error}") from None
    names = set(found.schema_arrow.names)
    if not set(columns) <= names:
        found.close()
        raise Flaw(f"the parquet file has the columns {sorted(names)}: expected {columns}")
    return found


def read_group(path: Path, group: int, columns: list[str]) -> Any:
    """One row group of a parquet file as a pyarrow table; Flaw."""
    import pyarrow

    with parquet_file(path, columns) as found:
        try:
            return found.read_row_group(group, columns=columns)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise Flaw(f"the parquet file is damaged: {error}") from None
