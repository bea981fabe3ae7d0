"""How one machine renders: models, prompts, camera, cutouts, losses, optimiser, the frame loop.

Importing this package is cheap; the modules that compute (`models`, `frame_renderer`) import torch, the ones that plan
(`registry`, `plan`) do not, so that a dry run of a manifest starts at once.
"""
