"""gRefCOCO: phrases that mean one thing, several, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from .large_json import stream_json
from .referring import ReferReader


class GRefCoco(ReferReader):
    """grefs(unc).json with instances.json; `ann_id` is a list, [-1] where nothing is meant."""

    name = "grefcoco"
    title = "gRefCOCO"
    source = (
        "https://github.com/henghuiding/gRefCOCO (grefs(unc).json, instances.json) and "
        "https://cocodataset.org/#download (2014 Train images)"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "testA", "testB")

    @property
    def folder(self) -> Path:
        """root/grefcoco, or the root itself."""
        for name in ("grefcoco", "gRefCOCO"):
            if (self.root / name).is_dir():
                return self.root / name
        return self.root

    def refs_file(self) -> Path:
        """grefs(unc).json."""
        path = self.folder / "grefs(unc).json"
        if not path.is_file():
            raise self.missing([path.relative_to(self.root).as_posix()])
        return path

    def refs(self) -> Iterator[dict[str, Any]]:
        """The list, an entry at a time."""
        for _, entry in stream_json(self.refs_file()):
            yield entry
