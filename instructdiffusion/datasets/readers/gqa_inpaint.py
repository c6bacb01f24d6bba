"""GQA-Inpaint: things taken out of (or put into) photographs, asked for by their relations in the scene graph."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any, ClassVar

from .image_edits import EditReader, instructions_of
from .index import Builder
from .large_json import load_json, stream_json
from .problems import Flaw, inside, member
from .reader import first_file


class GqaInpaint(EditReader):
    """{train,test}_scenes.json, images/<image>.jpg, images_inpainted/<image>/<object>.jpg.

    The record takes the object out: the source is the photograph, the target the inpainted picture. Its words are
    made from the scene graph: the object with one of its attributes, and where it is: one of its relations to
    something that is alone of its name, its side of the picture, or nothing. As in the public loader, of two
    of one name each must be on a side of its own, and more than two are left out. The test split takes
    test_instructions.json where it is there. Objects that are not `bidirected` have no inpainted picture.
    """

    name = "gqa-inpaint"
    title = "GQA-Inpaint"
    source = "https://github.com/abyildirim/inst-inpaint (dataset), photographs of https://cs.stanford.edu/people/dorarad/gqa/"
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    version: ClassVar[int] = 2

    @property
    def folder(self) -> Path:
        """gqa-inpaint below the root, or the root."""
        below = self.root / "gqa-inpaint"
        return below if below.is_dir() else self.root

    def files(self) -> list[Path]:
        """The scenes and, for test, the fixed instructions."""
        path = first_file(self.folder, [f"{self.split}_scenes.json"])
        if path is None:
            raise self.missing([f"{self.split}_scenes.json"])
        for name in ("images", "images_inpainted"):
            if not (self.folder / name).is_dir() and not (name == "images" and self.images):
                raise self.incomplete(path, [f"{name}/"], "pictures")
        fixed = self.folder / "test_instructions.json"
        return [path, fixed] if self.split == "test" and fixed.is_file() else [path]

    def build(self, builder: Builder) -> None:
        """A row an object that was taken out."""
        path, *fixed_files = self.files()
        fixed: dict[str, Any] = {}
        for file in fixed_files:
            with builder.guard(file, "the whole file"):
                fixed = load_json(file)
        count = 0
        try:
            for image, scene in stream_json(path):
                with builder.guard(path, f"image {image}"):
                    objects = member(scene, "objects")
                    for number, entry in objects.items():
                        if not entry.get("bidirected"):
                            builder.leave_out("without inpainted picture")
                            continue
                        if not _named(scene, objects, number):
                            builder.leave_out("not told apart from others of its name")
                            continue
                        name = f"i{image}-o{number}"
                        with builder.guard(path, name):
                            row = self._words(scene, objects, number, name, fixed)
                            source = builder.picture(
                                self.images or self.folder / "images", f"{inside(image)}.jpg"
                            )
                            place = f"{inside(image)}/{inside(number)}.jpg"
                            target = builder.picture(self.folder / "images_inpainted", place)
                            builder.add(id=name, image=source, target=target, **row)
                count += 1
        except Flaw as error:
            builder.problem(path, f"after image {count}", error)

    def _words(
        self, scene: Any, objects: dict[str, Any], number: str, name: str, fixed: dict[str, Any]
    ) -> dict[str, Any]:
        if fixed:
            return {"instructions": instructions_of(member(fixed, name))}
        entry = objects[number]
        own = member(entry, "name")
        sides = scene.get("image_relative_positions", {})
        side = [_at(sides[number])] if sides.get(number) else []
        if _count(objects, own) > 1:  # of two, only the side tells which
            places = side
        else:
            others = [(r["name"], objects.get(r["object"])) for r in entry.get("relations", [])]
            places = [
                f"{_at(how)} the {o['name']}" for how, o in others if o and _count(objects, o["name"]) == 1
            ]
            places = [*(places or side), ""]
        return {"object": own, "attributes": list(entry.get("attributes") or []), "places": places}

    def read(self, row: dict[str, Any], rng: random.Random) -> Any:
        """The pair with words drawn by `rng`."""
        if "instructions" not in row:
            kind = " ".join([*([rng.choice(row["attributes"])] if row["attributes"] else []), row["object"]])
            row = {**row, "instructions": [f"remove the {kind} {rng.choice(row['places'])}".strip()]}
        return super().read(row, rng)


def _at(place: Any) -> str:
    """ "to the left of" as a thing there is named: "remove the ball to the left of the cup" would move it."""
    return re.sub(r"^to the (left|center|right)\b", r"at the \1", str(place))


def _count(objects: dict[str, Any], name: Any) -> int:
    return sum(entry.get("name") == name for entry in objects.values())


def _named(scene: dict[str, Any], objects: dict[str, Any], number: str) -> bool:
    """Whether words can tell an object from the others of its name."""
    alike = [n for n, entry in objects.items() if entry.get("name") == objects[number].get("name")]
    sides = scene.get("image_relative_positions", {})
    return len(alike) == 1 or (len(alike) == 2 and len({sides.get(n) for n in alike}) == 2)
