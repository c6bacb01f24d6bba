"""Jobs: questions of one task on pictures of any sizes, put through the editor in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..compositing.rules import (
    add_difference,
    join_drawings,
    keep_detail,
    keep_unchanged,
    replace_changed,
    sharpen_blurred,
    to_uint8,
)
from ..compositing.watermarks import keep_unmarked
from ..imaging.resize import (
    content_size,
    model_size,
    pad_edge,
    resize_field,
    resize_picture,
    zoom_picture,
    zoomed,
)
from ..imaging.tiling import Blend, Pace, Tile, cut_tiles, overlap_of, pad_for_tiles, padded_size, plan_tiles
from ..knowledge import Knowledge
from ..results import Boxes, Keypoints, Masks
from ..sampling import GivenNoise, OnStep, Plan, SeededNoise, StepNoise, initial_noise
from ..settings import LEARNED, Settings
from ..tasks import Instruction, Task, check_decoder, get_task
from ..utils.batching import in_batches
from ..utils.cache import Kept
from ..utils.interrupts import check_interrupt
from .answer import Answer
from .backend import Editor
from .located import located_sketches
from .memory import Canvas, fitting_batch
from .scales import scaled_sketches
from .tile_noise import TileNoise, check_steps

Drawing = tuple[np.ndarray, np.ndarray | None]  # what the model drew, and the autoencoder's copy of the source
KEPT = 2**28  # bytes of step noise that the tiles of a run keep for one another
# Tasks whose edit itself stands where it changed something, and what counts as that (`rules.replace_changed`);
# chosen on 400 (edit) and 240 validation scenes. A watermark is faint all over, a thing that comes or goes has a core.
CHANGED = {"edit": (0.04, 0.12), "dewatermark": (0.06, 0.06)}


@dataclass(frozen=True)
class Question:
    """An instruction on a picture uint8 [h, w, 3] with the seed of its noise.

    start: unit noise [c, h, w] at latent size to begin with (in tiles: that of the picture as enlarged and padded; of
    what is added to a long picture: that of the square drawn in, `Task.window`),
    steps: the same for each row that adds noise; None for what the seed gives. All questions of a run have steps, or
    none.
    """

    instruction: Instruction
    picture: np.ndarray
    seed: int
    start: Tensor | None = None
    steps: tuple[Tensor, ...] | None = None


@dataclass(frozen=True)
class Job:
    """How questions of one task are to be answered; the fields are `InstructDiffusion.run`'s."""

    task: Task
    settings: Settings
    plan: Plan
    resolution: int
    resize_mode: str = "shortest_edge"
    batch_size: int = 16
    on_step: OnStep | None = None
    decode: Mapping[str, Any] = field(default_factory=dict)
    reuse: int = 1
    adaptive: float | None = None
    keep: bool = True
    on_tile: Callable[[int, int], None] | None = None
    knowledge: Knowledge | None = None  # what answers say of the model
    trained_at: int | None = None  # the model's own resolution, which refusals name
    scale: float = 1.0
    untouched: float = 0.0  # `Editor.draw`'s

    def __post_init__(self) -> None:
        get_ready(self.task, self.settings)

    def answers(self, editor: Editor, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """(number of the question, its answer), in the order in which they become ready."""
        for number, drawings in self._drawings(editor, questions):
            yield number, self._answer(questions[number], drawings)

    def drawn(self, editor: Editor, questions: Sequence[Question]) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the question, what the model drew: uint8 at the picture's own size), nothing read back."""
        for number, drawings in self._drawings(editor, questions):
            yield number, self._whole(questions[number], *_joined(drawings))

    def _drawings(self, editor: Editor, questions: Sequence[Question]) -> Iterator[tuple[int, list[Drawing]]]:
        """(number of the question, a drawing for each of what the model was asked for it: several subjects have one
        each, as if each had been asked alone)."""
        parts = [self.task.questions(q.instruction) for q in questions]
        asked = [(i, k) for i, p in enumerate(parts) for k in range(len(p))]
        rounds = [asked]
        if getattr(editor, "one_text", False):  # all questions of a batch must have one text
            rounds = [[a for a in asked if a[1] == k] for k in range(max(map(len, parts), default=0))]
        drawings: dict[int, dict[int, Drawing]] = {}
        for places in rounds:
            singles = [replace(self._part(questions[i]), instruction=parts[i][k]) for i, k in places]
            for number, edited, copy in self.sketches(editor, singles):
                i, k = places[number]
                drawings.setdefault(i, {})[k] = (edited, copy)
                if len(drawings[i]) == len(parts[i]):
                    done = drawings.pop(i)
                    yield i, [done[k] for k in range(len(parts[i]))]

    def _window(self, question: Question) -> tuple[slice, slice] | None:
        """(rows, columns) of the square of a question's picture that the model is shown; None where that is all of it.

        Models that have only seen squares know where "on the left" is in those.
        """
        height, width = question.picture.shape[:2]
        if self.resize_mode != "shortest_edge" or height == width:
            return None
        corner = self.task.window(question.instruction, (height, width))
        if corner is None:
            return None
        (y, x), side = corner, min(height, width)
        return slice(y, y + side), slice(x, x + side)

    def _part(self, question: Question) -> Question:
        """The question on what of its picture the model is shown."""
        window = self._window(question)
        return question if window is None else replace(question, picture=question.picture[window])

    def _whole(self, question: Question, edited: np.ndarray, copy: np.ndarray | None) -> np.ndarray:
        """The edit of a whole picture from that of the part that the model was shown; the rest is the source."""
        window = self._window(question)
        if window is None:
            return self._picture(question.picture, edited, copy)
        whole = question.picture.copy()
        whole[window] = self._picture(question.picture[window], edited, copy)
        return whole

    def sketches(
        self, editor: Editor, questions: Sequence[Question]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """(number of the question, what the model drew, the autoencoder's copy of the source, or None where none is
        needed): float32 [h, w, 3] in 0..1 at the size at which the model saw the picture, nothing laid on the source.
        """
        if is_tiled(self.task.name, self.resize_mode):
            return self._draw_tiles(editor, questions)
        if self.task.perception and self._looks_again:
            return located_sketches(self, editor, questions)
        return self.draw_whole(editor, questions)

    def scaled(
        self, editor: Editor, questions: Sequence[Question]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """`sketches` of a task that perceives, every question as it is, at the scales of the settings."""
        return (scaled_sketches if self._looks_again else Job.draw_whole)(self, editor, questions)

    @property
    def _looks_again(self) -> bool:
        """Whether a picture may be looked at more than once for a question."""
        return self.settings.scales != (1.0,) or bool(self.settings.windows)

    @property
    def _compares(self) -> bool:
        """Whether the autoencoder's copy of the source is needed: to read marks against, or to keep the rest."""
        return self.task.local and (self.keep or self.task.perception)

    def draw_whole(self, editor: Editor, questions: Sequence[Question]) -> Iterator[tuple[int, Any, Any]]:
        """Every picture resized to the model, at the job's scale; pictures of one model size share batches."""
        seen = [self._sizes(q, editor.multiple) for q in questions]
        sizes = [whole for _, whole in seen]
        for size in dict.fromkeys(sizes):
            same = [i for i, s in enumerate(sizes) if s == size]
            edit = partial(self._edit, editor, questions, size)
            batch = self._fitting(editor, size, min(len(same), self.batch_size))
            for _, numbers, (edited, copies) in in_batches(same, batch, edit):
                for row, number in enumerate(numbers):
                    h, w = seen[number][0]
                    yield number, edited[row][:h, :w], None if copies is None else copies[row][:h, :w]

    def _fitting(
        self, editor: Editor, size: tuple[int, int], count: int, canvas: Canvas | None = None
    ) -> int:
        """How many of `count` pictures (or tiles) of `size` may go through at once; MemoryError for none.

        canvas: the largest of the pictures that are put together of their tiles.
        """
        branches = max(len(row.branches) for row in self.plan)
        return fitting_batch(
            *(editor.footprint, size, count, branches, editor.device),
            free=editor.free,
            canvas=canvas,
            trained_at=self.trained_at,
        )

    def _sizes(self, question: Question, multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(size of the picture itself, that with its padding) as it goes through the model, at the job's scale.

        Enlarged, it has a larger resolution; made smaller, it is a part of a canvas as large as without.
        """
        size, side = question.picture.shape[:2], self.resolution
        if self.scale > 1:
            side = round(side * self.scale / multiple) * multiple
        shape = (side, multiple, self.resize_mode)
        content = content_size(size, *shape)
        return zoomed(content, min(1.0, self.scale)), model_size(size, *shape)

    def _edit(
        self, editor: Editor, questions: Sequence[Question], size: tuple[int, int], numbers: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What the editor draws for the questions of these numbers, whose pictures the model sees at `size`."""
        batch, shape = [questions[i] for i in numbers], editor.latent_shape(size)
        pictures = []
        for q in batch:
            content, _ = self._sizes(q, editor.multiple)
            seen = resize_picture(q.picture, content, sharp=self.resize_mode == "authors")
            pictures.append(pad_edge(seen, size))
        more: dict[str, Any] = {}
        if self.untouched and getattr(editor, "leaves_untouched", False):
            more["untouched"] = self.untouched
        return editor.draw(
            np.stack(pictures),
            [q.instruction.text for q in batch],
            self.plan,
            torch.stack([self._start(q, shape) for q in batch]),
            _step_noise(batch, shape),
            reconstruct=self._compares,
            on_step=self.on_step,
            reuse=self.reuse,
            adaptive=self.adaptive,
            **more,
        )

    def _draw_tiles(self, editor: Editor, questions: Sequence[Question]) -> Iterator[tuple[int, Any, Any]]:
        """Every picture at its own size times the settings' zoom, in tiles; tiles of different pictures share batches.

        The noise of a picture is one field that its tiles are cut from: where tiles overlap they start from
        the same noise, and a picture of one tile is answered as it would be without tiles.
        """
        tile, grid = model_size((1, 1), self.resolution, editor.multiple)[0], editor.factor
        overlap = overlap_of(tile)
        zoom = self.settings.zoom
        sizes = [q.picture.shape[:2] for q in questions]
        tiles = plan_tiles([padded_size(zoomed(s, zoom), tile, grid) for s in sizes], tile, overlap, grid)
        # Before anything is enlarged, which alone takes seconds.
        canvas = max((Canvas(s, zoom) for s in sizes), key=Canvas.bytes, default=None)
        at_once = self._fitting(editor, (tile, tile), min(len(tiles), self.batch_size), canvas)
        padded = []
        for question in questions:
            check_interrupt()
            padded.append(pad_for_tiles(zoom_picture(question.picture, zoom), tile, grid))
        if self.on_tile is not None:
            self.on_tile(0, len(tiles))
        last = {t.picture: i for i, t in enumerate(tiles)}
        kept_noise: Kept[Tensor] = Kept(KEPT)
        canvases: dict[int, tuple[Blend, Blend | None, Tensor]] = {}

        def edit(batch: Sequence[Tile]) -> tuple[np.ndarray, np.ndarray | None]:
            for number in {t.picture for t in batch} - set(canvases):
                size = padded[number].shape[:2]
                copy = Blend(size, tile, overlap) if self._compares else None
                field_ = self._start(questions[number], editor.latent_shape(size))
                canvases[number] = Blend(size, tile, overlap), copy, field_
            cut = tile // grid
            start = [canvases[t.picture][2][:, t.y // grid :, t.x // grid :][:, :cut, :cut] for t in batch]
            fields = [(questions[t.picture].seed, canvases[t.picture][2].shape) for t in batch]
            return editor.draw(
                cut_tiles(padded, batch, tile),
                [questions[t.picture].instruction.text for t in batch],
                self.plan,
                torch.stack(start),
                TileNoise(batch, fields, grid, [questions[t.picture].steps for t in batch], kept_noise),
                reconstruct=self._compares,
                on_step=self.on_step,
                reuse=self.reuse,
                adaptive=self.adaptive,
            )

        pace = Pace(tiles, tile, at_once)
        for first, batch, (edited, copies) in in_batches(tiles, at_once, edit):
            check_interrupt()
            for row, t in enumerate(batch):
                drawn, copy, _ = canvases[t.picture]
                drawn.add(t.y, t.x, edited[row])
                if copy is not None and copies is not None:
                    copy.add(t.y, t.x, copies[row])
                if last[t.picture] == first + row:
                    h, w = zoomed(questions[t.picture].picture.shape[:2], zoom)
                    kept = None if copy is None else copy.result()[:h, :w]
                    yield t.picture, drawn.result()[:h, :w], kept
                    del canvases[t.picture]
            pace(first + len(batch))
            if self.on_tile is not None:
                self.on_tile(first + len(batch), len(tiles))

    def _start(self, question: Question, shape: tuple[int, int, int]) -> Tensor:
        if question.start is not None:
            if tuple(question.start.shape) != shape:
                raise ValueError(f"noise must have shape {list(shape)}, got {list(question.start.shape)}")
            return question.start
        if self.settings.noise == "zero":
            return torch.zeros(shape)
        return initial_noise(question.seed, shape)[0]

    def _answer(self, question: Question, drawings: Sequence[Drawing]) -> Answer:
        source, instruction = question.picture, question.instruction
        settings = {**self.settings.to_dict(), "seed": question.seed, "resolution": self.resolution}
        if self.reuse > 1:
            settings["reuse"] = self.reuse
        if self.adaptive is not None:
            settings["adaptive"] = self.adaptive
        if not self.keep:
            settings["keep"] = False
        if self.decode.get("decoder", "closed") != "closed":
            settings["decoder"] = str(self.decode["decoder"])
        check_interrupt()
        if not self.task.perception:
            picture = self._whole(question, *_joined(drawings))
            result = self.task.decode(source, picture, instruction, **self.decode)
            return Answer(instruction, result, result, source, settings, self.knowledge)
        options = dict(self.decode)
        if self.task.name in ("segment", "refer"):
            options["guide"] = source  # masks come back along the edges of the picture itself
        results = []
        for part, (edited, copy) in zip(self.task.questions(instruction), drawings, strict=True):
            reference = copy if copy is not None else resize_picture(source, edited.shape[:2]) / np.float32(255)
            check_interrupt()
            result = self.task.decode(reference, edited, part, **options)
            check_interrupt()
            if isinstance(result, (Boxes, Keypoints, Masks)) and result.canvas_size != source.shape[:2]:
                result = result.resize(*source.shape[:2])
            results.append(result)
        # What was drawn is small, and a part of its batch, which is let go.
        edited, copy = _joined(drawings)
        compose: Any = partial(self._picture, source, edited.copy(), None if copy is None else copy.copy())
        return Answer(instruction, self.task.join(results, instruction), compose, source, settings, self.knowledge)

    def _picture(self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray | None) -> np.ndarray:
        """The edit at the source's size; laid on the source where there is the autoencoder's copy to compare with."""
        check_interrupt()
        tiled = is_tiled(self.task.name, self.resize_mode)  # rules of our own restoration, not of published models
        if self.task.name == "denoise" and self.keep and tiled:
            return keep_detail(source, edited)
        if copy is None or not self.keep:
            return resize_picture(to_uint8(edited), source.shape[:2], sharp=self.resize_mode == "authors")
        if self.task.name == "deblur":
            return (sharpen_blurred if tiled else add_difference)(source, edited, copy)
        if is_learned(self.task, self.settings):
            from ..compositing.learned import lay

            laid = lay(self.task.name, source, edited, copy)
        elif self.task.name in CHANGED:
            laid = replace_changed(source, edited, copy, *CHANGED[self.task.name])
        else:
            return keep_unchanged(source, edited, copy)
        return keep_unmarked(source, laid) if self.task.name == "dewatermark" and tiled else laid


def _joined(drawings: Sequence[Drawing]) -> Drawing:
    """The drawings of several subjects as one, at the largest of their sizes."""
    if len(drawings) == 1:
        return drawings[0]
    largest, copy = max(drawings, key=lambda d: d[0].size)
    if copy is None:
        return largest, None
    changes = [edited - (copy if other is None else other) for edited, other in drawings]
    return join_drawings(copy, [copy + resize_field(c, copy.shape[:2]) for c in changes]), copy


def is_learned(task: Task, settings: Settings) -> bool:
    """Whether answers to the task are laid on their sources by the compositor, where they are laid on them at all."""
    return settings.compose == "learned" and task.name in LEARNED


def get_ready(task: Task, settings: Settings) -> None:
    """Load what answers to the task need beside the model, so that a run without it ends before anything is asked.

    Raises what `compositing.learned.load_compositor` does.
    """
    if is_learned(task, settings):
        from ..compositing.learned import shipped_compositor

        shipped_compositor()


def is_tiled(task: str, resize_mode: str) -> bool:
    """Whether pictures are worked on in tiles: restoration by models that have only seen squares of one size.

    Published checkpoints see whole pictures, whatever the task, as their authors show them.
    """
    return get_task(task).tiled and resize_mode in ("stretch", "shortest_edge")


def decode_options(decode: Mapping[str, Any] | None, decoder: str, tasks: Sequence[str]) -> dict[str, Any]:
    """What `Task.decode` of the tasks is told: `decode`, and the decoder where it is not the closed form.

    ValueError, before anything is asked, for a decoder that there is not or that one of the tasks does not have;
    what `decoding.light_unet.load_refiner` raises where its weights cannot be had.
    """
    for name in dict.fromkeys(tasks):
        check_decoder(get_task(name), decoder)
    options = dict(decode or {})
    if decoder != "closed":
        from ..decoding.light_unet import shipped_refiner

        shipped_refiner()
        options["decoder"] = decoder
    return options


def _step_noise(batch: Sequence[Question], shape: tuple[int, int, int]) -> StepNoise:
    """The step noise of whole pictures: the given one, or their seeds'."""
    given = [q.steps for q in batch]
    if any(steps is None for steps in given):
        return SeededNoise([q.seed for q in batch])
    for steps in given:
        check_steps(steps, shape)
    return GivenNoise([torch.stack(row) for row in zip(*(s for s in given if s is not None), strict=True)])
