"""Pictures: loaded, resized, tiled, drawn on, and shown to people."""
