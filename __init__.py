"""ComfyUI's way into this folder: everything is imported when ComfyUI asks for the nodes, not before."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> Any:
    """The extension with this pack's nodes (ComfyUI's V3 node API)."""
    from .nodes.extension import InstructExtension

    return InstructExtension()
