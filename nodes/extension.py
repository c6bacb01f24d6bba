"""The extension that ComfyUI loads: which nodes there are."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

from .boxes import BoxFromMask
from .edits import EditExtract
from .guider import InstructGuider
from .keypoints import KeypointExtract
from .label import ClassExtract
from .loader import InstructLoader
from .masks import MaskExtract
from .sampler import InstructSampler
from .scene import InstructScene
from .task import InstructTask

_LORAS = Path(__file__).resolve().parent.parent / "instructdiffusion" / "assets" / "loras"


class InstructExtension(ComfyExtension):
    """Ten nodes: load, word, ask (two ways), read back (five ways), and a scene to try them on."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The node classes. The LoRAs of the built-in model join ComfyUI's list, as a folder of extra models does."""
        folder_paths.add_model_folder_path("loras", str(_LORAS))
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
            EditExtract,
        ]
