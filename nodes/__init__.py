"""The nodes: thin adapters between ComfyUI and the package beside them; `convert` alone changes layouts."""
