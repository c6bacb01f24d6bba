"""InstructScene: a made-up picture with a question whose answer is known, for trying graphs; or one of your own."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ..instructdiffusion.tasks import TASKS, get_task
from ..instructdiffusion.utils.interrupts import in_thread
from .convert import to_image, to_pictures
from .interruption import interrupts
from .preview import shown
from .sockets import CATEGORY, InstructionType, check_choices, found_by

LEVELS = {"plain": 0, "textured": 1, "photographic": 3}


class InstructScene(io.ComfyNode):
    """Held-out scenes: seeds of this node never train."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructScene",
            display_name="Instruct Demo Scene",
            category=CATEGORY,
            **found_by("demo", "example", "test picture"),
            description=(
                "Pictures made for a task, with an instruction about them and the true answer. The built-in model was "
                "trained on such scenes, though never on these. Pictures of your own, connected to `image`, take "
                "their place."
            ),
            inputs=[
                io.Combo.Input(
                    "task", options=list(TASKS), default="segment", tooltip="What the scene is made for."
                ),
                io.Int.Input(
                    "seed",
                    default=7,
                    min=0,
                    max=2**64 - 1,
                    tooltip="Which scene; the same seed is the same scene.",
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="How many pictures: scenes of the seeds that follow.",
                ),
                io.Int.Input(
                    "size", default=64, min=64, max=1024, step=8, tooltip="Side of the picture in pixels."
                ),
                io.Combo.Input(
                    "background",
                    options=list(LEVELS),
                    default="textured",
                    tooltip="What lies behind. photographic needs scikit-image and scikit-learn.",
                ),
                # Optional and last: graphs saved before it was there have no such slot.
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip=(
                        "Pictures of your own, in place of the made-up ones, of any size. Then count, size and "
                        "background mean nothing, and there is no truth."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="The pictures to ask about."),
                InstructionType.Output(
                    "instruction",
                    display_name="instruction",
                    tooltip="What to ask: that of the first picture.",
                ),
                io.String.Output(
                    "subject", display_name="subject", tooltip="What is asked for, a line each."
                ),
                io.Image.Output(
                    "truth", display_name="truth", tooltip="The pictures as a perfect model would draw them."
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(
        cls, task: str, seed: int, count: int, size: int, background: str, image: Tensor | None = None
    ) -> io.NodeOutput:
        check_choices(task=(task, TASKS), background=(background, LEVELS))
        if image is not None:
            return cls._own(task, seed, min(LEVELS[background], 1), image)
        # Late: starting ComfyUI shall not take what only scenes need.
        from ..instructdiffusion.datasets.synthetic.examples import make_example

        try:
            level = LEVELS[background]
            examples = [
                make_example(task, seed + i, split="test", size=size, level=level) for i in range(count)
            ]
        except ModuleNotFoundError as error:
            raise ValueError(f"`background`: {error}") from None
        first = examples[0].instruction
        sources, truths = (
            to_image([np.asarray(getattr(e, k)) for e in examples]) for k in ("source", "target")
        )
        return io.NodeOutput(
            sources,
            first,
            "\n".join(first.subjects),
            truths,
            ui=shown(in_thread(lambda: ui.PreviewImage(sources, cls=cls)), first.text),
        )

    @classmethod
    def _own(cls, task: str, seed: int, level: int, image: Tensor) -> io.NodeOutput:
        """The pictures as they came, asked what the scene of the seed would have been asked."""
        from ..instructdiffusion.datasets.synthetic.examples import make_example

        pictures = to_pictures(image)
        subjects = make_example(task, seed, split="test", size=64, level=level).instruction.subjects
        prepared = get_task(task).instruct(list(subjects) or None, picture=pictures[0])
        own = to_image(pictures)
        return io.NodeOutput(
            own,
            prepared,
            "\n".join(prepared.subjects),
            ExecutionBlocker(None),  # what would be shown of it does not run: the truth about them is not known
            ui=shown(in_thread(lambda: ui.PreviewImage(own, cls=cls)), "your own picture" + "s" * (len(pictures) > 1)),
        )
