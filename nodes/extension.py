"""The extension that ComfyUI loads: which nodes there are."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

from .box_from_mask import BoxFromMask
from .class_extract import ClassExtract
from .edit_extract import EditExtract
from .instruct_detector import InstructDetector
from .instruct_guider import InstructGuider
from .instruct_loader import InstructLoader
from .instruct_sampler import InstructSampler
from .instruct_scene import InstructScene
from .instruct_task import InstructTask
from .keypoint_extract import KeypointExtract
from .mask_extract import MaskExtract

_LORAS = Path(__file__).resolve().parent.parent / "instructdiffusion" / "assets" / "loras"


class InstructExtension(ComfyExtension):
    """Eleven nodes: load, word, ask (three ways), read back (five ways), and a scene to try them on."""

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
            InstructDetector,
        ]
