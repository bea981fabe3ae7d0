"""Published checkpoints, read without running anything, and converted once to safetensors."""
