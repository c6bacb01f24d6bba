"""IEIW and editing benchmarks: lists of pairs with words, as JSON or a line a record."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..records import Record
from .image_edits import EditReader, instructions_of
from .index import Builder
from .large_json import stream_json, stream_lines
from .problems import Flaw, inside, member, regular, text
from .reader import first_file
from .referring import phrase

# What a column of a Hugging Face data set of pairs is called, the most telling name first; a file's name may stand
# under the column's with "_file_name" behind it. "image" and "file_name" are the answer to a condition named beside it.
_COLUMNS = {
    "source": ("original_image", "input_image", "source_image", "source", "input", "before", "conditioning_image"),
    "target": ("edited_image", "output_image", "target_image", "target", "output", "after", "image", "file_name"),
    "instruction": ("edit_prompt", "instruction", "edit", "prompt", "text", "caption"),
}


def renamed(entry: Any) -> dict[str, Any]:
    """An entry of metadata.jsonl in our words: source, target, instruction, and what else it holds."""
    if not isinstance(entry, dict):
        raise Flaw(f"expected an object a line, got {type(entry).__name__}")
    out = dict(entry)
    for name, columns in _COLUMNS.items():
        keys = (key for column in columns for key in (f"{column}_file_name", column))
        key = next((key for key in keys if entry.get(key) is not None), None)
        if key is not None:
            out[name] = entry[key]
    return out


def list_entries(path: Path) -> Iterator[tuple[str, Any]]:
    """(name of the place, entry or its Flaw) of a .json list, a .jsonl file or a .csv table."""
    if path.suffix == ".csv":
        with open(regular(path), encoding="utf-8-sig", newline="") as stream:
            try:
                yield from ((f"row {number}", dict(row)) for number, row in enumerate(csv.DictReader(stream), 1))
            except (csv.Error, UnicodeDecodeError) as error:
                yield "the rest", Flaw(f"not a table of comma-separated values: {error}")
        return
    if path.suffix == ".jsonl":
        for number, entry in stream_lines(path):
            yield f"line {number}", entry
        return
    count = 0
    try:
        for count, (_, entry) in enumerate(stream_json(path), 1):
            yield f"record {count - 1}", entry
    except Flaw as error:
        yield f"after record {count}", error


class Ieiw(EditReader):
    """Image editing in the wild: records.jsonl, or the authors' list meta_infov1.json.

    Ours: a line a pair, {"source", "target", "instruction" (or "instructions"), and optionally "id",
    "source_caption", "target_caption", "kind"}; with kept.txt, an id a line, only these. The authors': a list of
    {"input", "edited", "instruction"}, whose absolute paths are taken from below the folder that they share. Hugging
    Face's: metadata.jsonl (or .csv) beside the pictures or in train/, whose columns say source, target and words by the
    names that are usual there (`_COLUMNS`). Split 90, 5 and 5 % in order.
    """

    name = "ieiw"
    title = "IEIW"
    source = "not public (the paper's authors keep it); its form is records.jsonl, made by this package's construction"
    turned = True

    def files(self) -> list[Path]:
        """The list and, where it is there, the ids to keep."""
        candidates = ["records.jsonl", "meta_infov1.json", "meta_info.json"]
        path = first_file(self.root, candidates) or self._metadata()
        if path is None:
            raise self.missing([*candidates, "metadata.jsonl with columns of two images"], self.split)
        filter_file = self.root / "kept.txt"
        return [path, filter_file] if filter_file.is_file() else [path]

    def build(self, builder: Builder) -> None:
        """A row a pair."""
        path, *more = self.files()
        allowed = None
        if more:
            try:
                allowed = frozenset(more[0].read_text(encoding="utf-8-sig").split())
            except UnicodeDecodeError:
                builder.problem(more[0], "the whole file", "not a text: expected the ids to keep, in UTF-8")
                return
        count = sum(1 for _ in list_entries(path))
        chosen = self.share(count)
        if count and not chosen:  # five per cent of a few: no fault of the data set
            builder.leave_out("records, too few for a share of their own", count)
        for number, (place, entry) in enumerate(list_entries(path)):
            if isinstance(entry, Flaw):
                builder.problem(path, place, entry)
                continue
            if number not in chosen:
                continue
            with builder.guard(path, place):
                if path.stem == "metadata":
                    entry = renamed(entry)
                name = str(entry.get("id", place))
                if allowed is not None and name not in allowed:
                    builder.leave_out("not in kept.txt")
                    continue
                source = self._below(entry.get("source") or member(entry, "input"))
                target = self._below(entry.get("target") or member(entry, "edited"))
                meta = {k: entry[k] for k in ("source_caption", "target_caption", "kind") if k in entry}
                builder.add(
                    id=name,
                    image=builder.picture(path.parent, source),
                    target=builder.picture(path.parent, target),
                    instructions=instructions_of(entry.get("instruction"), entry.get("instructions")),
                    caption=str(entry.get("source_caption", "")),
                    meta=meta,
                )

    def _metadata(self) -> Path | None:
        """The list of a Hugging Face ImageFolder of pairs; other ImageFolders have such a file too, of one image."""
        for place in ("", "train/"):
            path = first_file(self.root, [f"{place}metadata.jsonl", f"{place}metadata.csv"])
            if path is not None:
                first = next((entry for _, entry in list_entries(path) if not isinstance(entry, Flaw)), None)
                if isinstance(first, dict) and {"source", "target"} <= renamed(first).keys():
                    return path
        return None

    def _below(self, name: Any) -> Any:
        """The part of the authors' absolute paths that lies below their folder: the longest that is there."""
        if not isinstance(name, str) or not name.startswith("/"):
            return name
        parts = [p for p in name.split("/") if p not in ("", ".", "..")]
        for start in range(len(parts)):
            if (self.root / "/".join(parts[start:])).is_file():
                return "/".join(parts[start:])
        return name


class EditingBenchmark(EditReader):
    """benchmark.json (a list) or benchmark.jsonl: {source, caption, instruction, target_caption, kind}.

    There is no true answer: the record's target is the source itself and its tags say "no-target", so it is
    for evaluation only. A `target` that an entry names is taken. meta: caption, target_caption, kind ("add",
    "remove", "replace", ...): what CLIP similarity and tables by kind need.
    """

    name = "editing"
    title = "editing benchmark"
    source = "your own: the paper's 1,000 samples were never released"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    turned = True

    def files(self) -> list[Path]:
        """The list."""
        candidates = ["benchmark.json", "benchmark.jsonl"]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates)
        return [path]

    def build(self, builder: Builder) -> None:
        """A row a question."""
        path = self.files()[0]
        for place, entry in list_entries(path):
            if isinstance(entry, Flaw):
                builder.problem(path, place, entry)
                continue
            with builder.guard(path, place):
                known = {
                    "source",
                    "caption",
                    "instruction",
                    "target_caption",
                    "target caption",
                    "kind",
                    "target",
                    "id",
                }
                if not isinstance(entry, dict) or set(entry) - known:
                    unknown = sorted(set(entry) - known) if isinstance(entry, dict) else type(entry).__name__
                    raise Flaw(f"expected source, caption, instruction, target_caption, kind; got {unknown}")
                after = (
                    entry["target_caption"] if "target_caption" in entry else member(entry, "target caption")
                )
                target = entry.get("target")
                builder.add(
                    id=str(entry.get("id", place)),
                    image=builder.picture(path.parent, inside(member(entry, "source"))),
                    target=None if target is None else builder.picture(path.parent, inside(target)),
                    instructions=instructions_of(member(entry, "instruction")),
                    meta={
                        "caption": text(member(entry, "caption"), "the caption"),
                        "target_caption": text(after, "the target caption"),
                        "kind": text(member(entry, "kind"), "the kind"),
                    },
                )

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The picture and what is asked of it."""
        if row["target"] is not None:
            return super().read({**row, "caption": row["meta"]["caption"]}, rng)
        image = self.load(row["image"], turned=True)
        meta = {"name": row["id"], **row["meta"]}
        words = phrase(row["instructions"][0])
        tags = frozenset({"no-target"})
        return Record(image, (words,), np.array(image), row["meta"]["caption"], tags, meta)

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """The source and, where there is one, the target."""
        return [row["image"]] if row["target"] is None else [row["image"], row["target"]]
