"""How a row moves and what it shows when, drawn in seconds and without a model."""
