"""The extension that ComfyUI loads: which nodes there are."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .boxes import BoxFromMask
from .guider import InstructGuider
from .keypoints import KeypointExtract
from .label import ClassExtract
from .loader import InstructLoader
from .masks import MaskExtract
from .sampler import InstructSampler
from .scene import InstructScene
from .task import InstructTask


class InstructExtension(ComfyExtension):
    """Nine nodes: load, word, ask (two ways), read back (four ways), and a scene to try them on."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The node classes."""
        return [
            InstructLoader,
            InstructTask,
            InstructSampler,
            InstructGuider,
            MaskExtract,
            KeypointExtract,
            BoxFromMask,
            ClassExtract,
            InstructScene,
        ]
