"""One step of the optimiser: cutouts, guidance by prompts, the terms of the loss, Adam."""
