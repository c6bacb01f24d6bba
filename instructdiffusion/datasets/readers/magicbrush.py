"""MagicBrush: edits made by hand, in sessions of several turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from .archives import has_columns
from .image_edits import EditReader, instructions_of
from .index import Builder
from .instructpix2pix import parquet_rows
from .large_json import stream_json
from .problems import Flaw, inside, member
from .reader import first_file, first_folder

_FOLDERS = {"train": ("train",), "val": ("dev", "val"), "test": ("test",)}


class MagicBrush(EditReader):
    """[{train,dev,test}/]edit_sessions.json with images/<id>/<id>-{input,output1,...}.png; or parquet files.

    The authors of the paper repacked it as magic_train.json, a list of {input, edited, instruction}: that is
    read too. val is what MagicBrush calls dev.
    """

    name = "magicbrush"
    title = "MagicBrush"
    source = (
        "https://osu-nlp-group.github.io/MagicBrush/ or "
        "https://huggingface.co/datasets/osunlp/MagicBrush (parquet)"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    columns = ("source_img", "target_img", "instruction", "img_id", "turn_index")

    @property
    def archived(self) -> bool:  # type: ignore[override]
        """Parquet files."""
        return self.files()[0].suffix == ".parquet"

    def files(self) -> list[Path]:
        """edit_sessions.json, magic_train.json, or the parquet files of the split."""
        names = _FOLDERS[self.split]
        candidates = [f"{name}/edit_sessions.json" for name in names]
        candidates += [f"data/{name}/edit_sessions.json" for name in names]
        if self.split == "train":
            candidates += ["edit_sessions.json", "magic_train.json"]
        path = first_file(self.root, candidates)
        if path is not None:
            return [path]
        parquet = [
            p
            for name in names
            for folder in ("data/", "")
            for p in self.root.glob(f"{folder}{name}-*.parquet")
        ]
        if not has_columns(parquet, self.columns):  # other datasets' have such names too
            candidates += [f"data/{name}-*.parquet with {', '.join(self.columns)}" for name in names]
            raise self.missing(candidates, self.split)
        return sorted(parquet)

    def build(self, builder: Builder) -> None:
        """A row a turn."""
        files = self.files()
        if files[0].suffix == ".parquet":
            parquet_rows(self, builder, files, shared=False)
            return
        path, count, session, number = files[0], 0, "", 0
        folder = first_folder(path.parent, ["images", ""]) or path.parent
        try:
            for key, value in stream_json(path, empty={}):
                # The turns of a session come one by one, under its key.
                session, number = key, number + 1 if key == session else 1
                name = f"{key}, turn {number}" if key else f"record {count}"
                with builder.guard(path, name):
                    self._add(builder, folder if key else path.parent, value, name, bool(key))
                count += 1
        except Flaw as error:
            builder.problem(path, f"after record {count}", error)

    def _add(self, builder: Builder, folder: Path, turn: dict[str, Any], name: str, raw: bool) -> None:
        places = []
        for key in ("input", "output" if raw else "edited"):
            file = inside(member(turn, key))
            # 139306-input.png lies in the folder 139306
            below = f"{file.split('-')[0]}/{file}" if raw and "/" not in file else file
            places.append(builder.picture(folder, below))
        words = instructions_of(member(turn, "instruction"))
        builder.add(id=name, image=places[0], target=places[1], instructions=words)

    def unfolded(self, row: dict[str, Any]) -> dict[str, Any]:
        """The words of a parquet row."""
        if "instructions" in row:
            return row
        place = row["image"]
        meta = {"session": str(self.cell(place, "img_id")), "turn": int(self.cell(place, "turn_index"))}
        return {**row, "instructions": instructions_of(self.cell(place, "instruction")), "meta": meta}
