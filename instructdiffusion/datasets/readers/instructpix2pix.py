"""InstructPix2Pix's generated pairs: folders, zip shards of them, or parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .archives import Members, has_columns, parquet_file
from .image_edits import EditReader, instructions_of, place_name
from .index import Builder
from .large_json import load_json, stream_json
from .problems import Flaw, inside, relative
from .reader import first_file, naming


class InstructPix2Pix(EditReader):
    """seeds.json with <name>/prompt.json, <name>/<seed>_{0,1}.jpg, in the folder or in shard-*.zip; or *.parquet.

    Split as its authors do: 90, 5 and 5 % of seeds.json (or of the rows) in order. An optional
    filtered_ids_ip2p.json, a list of "name/seed", keeps only these.
    """

    name = "instructpix2pix"
    title = "InstructPix2Pix"
    source = (
        "http://instruct-pix2pix.eecs.berkeley.edu/clip-filtered-dataset/ or "
        "https://huggingface.co/datasets/timbrooks/instructpix2pix-clip-filtered (parquet)"
    )
    columns = ("original_image", "edited_image", "edit_prompt", "original_prompt", "edited_prompt")

    @property
    def archived(self) -> bool:  # type: ignore[override]
        """Zip shards or parquet."""
        return bool(self._archives())

    def _archives(self) -> list[Path]:
        return self._shards() or self._parquet()

    def _shards(self) -> list[Path]:
        return sorted(self.root.glob("shard-*.zip")) + sorted(self.root.glob("*/shard-*.zip"))

    def _parquet(self) -> list[Path]:
        files = sorted(self.root.glob("train-*.parquet")) or sorted(self.root.glob("data/*.parquet"))
        return files if has_columns(files, self.columns) else []  # other datasets' have such names too

    def files(self) -> list[Path]:
        """seeds.json and the shards, or the parquet files."""
        seeds = first_file(self.root, ["seeds.json", "*/seeds.json"])
        if seeds is not None:
            filter_file = first_file(self.root, ["filtered_ids_ip2p.json"])
            return [seeds, *([] if filter_file is None else [filter_file]), *self._shards()]
        files = self._parquet()
        if not files:
            if shards := self._shards():
                raise self.incomplete(shards[0], ["seeds.json"])
            candidates = ["seeds.json with <name>/prompt.json", "seeds.json with shard-*.zip"]
            candidates += [f"data/*.parquet with {', '.join(self.columns)}"]
            raise self.missing(candidates, self.split)
        return files

    def build(self, builder: Builder) -> None:
        """A row a pair; words and pictures stay where they are."""
        files = self.files()
        if files[0].suffix == ".parquet":
            parquet_rows(self, builder, files)
            return
        seeds, *others = files
        allowed = None
        with Members(builder.scratch) as members:
            for number, path in enumerate(others):
                with builder.guard(path, "the whole file"):
                    if path.suffix == ".zip":
                        members.add(number, path)
                    else:
                        allowed = frozenset(load_json(path))
            members.seal()
            chosen = self.share(sum(1 for _ in _entries(seeds)))
            for place, entry in enumerate(_entries(seeds)):
                if place in chosen:
                    label = f"{entry[0] if isinstance(entry, list) and entry else entry}"
                    with builder.guard(seeds, label):
                        self._add(builder, files, members, allowed, entry)

    def _add(
        self, builder: Builder, files: list[Path], members: Members, allowed: frozenset[str] | None, entry: Any
    ) -> None:
        name, numbers = entry
        name = inside(name)
        for seed in numbers:
            if allowed is not None and f"{name}/{seed}" not in allowed:
                builder.leave_out("not in filtered_ids_ip2p.json")
                continue
            with builder.guard(files[0], f"{name}/{seed}"):
                places = [f"{name}/{part}" for part in (f"{seed}_0.jpg", f"{seed}_1.jpg", "prompt.json")]
                members_at = [self._place(builder, files, members, p) for p in places]
                builder.add(id=f"{name}/{seed}", image=members_at[0], target=members_at[1], prompt=members_at[2])

    def _place(self, builder: Builder, files: list[Path], members: Members, name: str) -> Any:
        if there := members.find(name):
            archive, place = there
            return ["zip", relative(files[1:][archive], builder.root), *place]
        path = files[0].parent / name
        if not builder.exists(path):
            raise Flaw(f"{name} is missing" + (" in the shards" if len(members) else ""))
        return relative(path, builder.root)

    def unfolded(self, row: dict[str, Any]) -> dict[str, Any]:
        """The words of prompt.json or of the parquet row."""
        if "prompt" not in row:
            cells = {c: self.cell(row["image"], c) for c in self.columns[2:]}
            words = {"edit": cells["edit_prompt"]}
            words |= {"input": cells["original_prompt"], "output": cells["edited_prompt"]}
        else:
            place = row["prompt"]
            with naming(place_name(place)):
                words = load_json(self.path(place)) if isinstance(place, str) else self._unpacked(place)
        if not isinstance(words, dict):
            raise Flaw("prompt.json is not an object with input, edit and output")
        meta = {"caption": str(words.get("input", "")), "target_caption": str(words.get("output", ""))}
        return {
            **row,
            "instructions": instructions_of(words.get("edit")),
            "caption": meta["caption"],
            "meta": meta,
        }

    def _unpacked(self, place: Any) -> Any:
        try:
            return json.loads(self.bytes_at(place, "prompt"))
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise Flaw("prompt.json is not JSON") from None

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """Source, target and, in folders, the words."""
        more = [row["prompt"]] if isinstance(row.get("prompt"), str) else []
        return [*super().files_of(row), *more]


def _entries(path: Path) -> Iterator[Any]:
    """The entries of seeds.json, one at a time; Flaw for what is no list."""
    for key, entry in stream_json(path):
        if key:
            raise Flaw("expected a list of [name, [seed, ...]]")
        yield entry


def parquet_rows(reader: EditReader, builder: Builder, files: list[Path], shared: bool = True) -> None:
    """A row for each row of the parquet files (for its part of them, where the files are not split)."""
    groups: list[tuple[str, int, int]] = []
    for path in files:
        with builder.guard(path, "the whole file"):
            with parquet_file(path, list(reader.columns)) as table:
                for group in range(table.metadata.num_row_groups):
                    groups.append(
                        (relative(path, builder.root), group, table.metadata.row_group(group).num_rows)
                    )
    chosen = reader.share(sum(rows for _, _, rows in groups)) if shared else None
    number = 0
    for name, group, rows in groups:
        for row in range(rows):
            if chosen is None or number in chosen:
                place = ["parquet", name, group, row]
                builder.add(id=f"{Path(name).name}, row group {group}, row {row}", image=place, target=place)
            number += 1
