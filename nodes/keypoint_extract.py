"""KeypointExtract: the points that were drawn, read back."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.tasks import get_task
from .convert import paired, to_points_json
from .inputs import answer_inputs
from .interruption import interrupts
from .poses import to_pose
from .preview import Overlays
from .readers import read_by
from .sockets import CATEGORY, PoseKeypoint, as_instruction, found_by


class KeypointExtract(io.ComfyNode):
    """Source, edited picture and instruction to keypoints."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KeypointExtract",
            display_name="Keypoint Extract",
            category=CATEGORY,
            **found_by("pose", "openpose", "skeleton", "landmarks"),
            description="Reads the coloured discs that the model drew as points, to a fraction of a pixel.",
            inputs=[
                *answer_inputs("keypoints or align"),
                io.Float.Input(
                    "threshold",
                    default=0.2,
                    min=0.05,
                    max=0.95,
                    step=0.05,
                    tooltip="How opaque a disc must be, on the whole, for its point to count as found.",
                ),
            ],
            outputs=[
                PoseKeypoint.Output(
                    "pose_keypoint",
                    display_name="pose_keypoint",
                    tooltip=(
                        "OpenPose's 18 points, one frame a picture, for pose and ControlNet nodes; what was not asked "
                        "for is missing. Of animals AP-10K's 17 too."
                    ),
                ),
                io.String.Output(
                    "points",
                    display_name="points",
                    tooltip='JSON: [{"x", "y", "label", "score"}] in pixels; for a batch a list of such lists.',
                ),
                io.Image.Output(
                    "overlay",
                    display_name="overlay",
                    tooltip="The pictures with the points drawn on, for people.",
                ),
                io.String.Output(
                    "message", display_name="message", tooltip="What there is to say, a line a picture."
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(cls, source: Tensor, edited: Tensor, instruction: Any, threshold: float) -> io.NodeOutput:
        checked = as_instruction(instruction, read_by("KeypointExtract"))
        task: Any = get_task(checked.task)  # its decoder has options of its own
        frames, points, overlays, lines = [], [], Overlays(), []
        for before, after in zip(*paired(source, edited), strict=True):
            result = task.decode(before, after, checked, **task.decode_options(threshold=threshold))
            frames.append(to_pose(result))
            points.append(to_points_json(result))
            overlays.add(before, result, checked.colors)
            lines.append(result.message or f"found {', '.join(checked.subjects)}")
        text = points[0] if len(points) == 1 else json.dumps([json.loads(p) for p in points])
        message = "\n".join(lines)
        return io.NodeOutput(frames, text, overlays.image, message, ui=overlays.shown(cls, message))
