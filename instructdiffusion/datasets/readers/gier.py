"""GIER: photographs edited on request by people, with what experts and amateurs say was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .image_edits import EditReader, instructions_of
from .index import Builder
from .large_json import stream_json
from .problems import Flaw, inside, member, relative
from .reader import first_file


class Gier(EditReader):
    """GIER.json, a list of {input, output, operator, expert_summary[], amateur_summary[]}, with images/.

    GIER_new.json of the paper's authors ({input, output, prompts[]}, aligned pictures in warped/) is read too.
    Split 90, 5 and 5 % in order, as they do.
    """

    name = "gier"
    title = "GIER"
    source = "https://sites.google.com/view/gierdataset"

    def files(self) -> list[Path]:
        """The list."""
        names = ("GIER.json", "GIER_new.json")
        candidates = [f"{folder}{name}" for folder in ("", "GIER_editing_data/", "GIER/") for name in names]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return [path]

    def build(self, builder: Builder) -> None:
        """A row a request."""
        path = self.files()[0]
        # Counted first: what is damaged anywhere shows before there is a row.
        chosen = self.share(sum(1 for _ in stream_json(path, parted=False)))
        for number, (_, entry) in enumerate(stream_json(path, parted=False)):
            if number not in chosen:
                continue
            with builder.guard(path, f"request {number}"):
                places = [
                    self._picture(builder, path.parent, member(entry, key)) for key in ("input", "output")
                ]
                said = [entry.get(k) for k in ("expert_summary", "amateur_summary", "prompts", "request")]
                meta: dict[str, Any] = {}
                if isinstance(entry.get("operator"), (list, dict)):
                    meta["operators"] = list(entry["operator"])
                words = instructions_of(*said[:3]) if any(said[:3]) else instructions_of(said[3])
                builder.add(
                    id=f"request {number}", image=places[0], target=places[1], instructions=words, meta=meta
                )

    def _picture(self, builder: Builder, base: Path, name: Any) -> str:
        file = inside(name)
        for folder in ("warped", "images", ""):
            if builder.exists(base / folder / file):
                return relative(base / folder / file, builder.root)
        raise Flaw(f"the picture images/{file} is missing")
