"""Files of weights: their layouts, the names in them, and reading them without running anything."""
