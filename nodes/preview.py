"""What a node shows in itself: a picture and a line of text."""

from __future__ import annotations

from typing import Any


def shown(picture: Any, message: str) -> dict[str, Any]:
    """A ui.PreviewImage and a message as one dictionary for NodeOutput's `ui`."""
    return {**picture.as_dict(), "text": (message,)}
