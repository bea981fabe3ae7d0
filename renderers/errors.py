"""What can go wrong while rendering, as a person should read it.

RenderError
├── UnknownModel       the registry has no such name
├── ModelFilesBroken   weights or config are missing, damaged or of a layout that is not known
├── BadInput           the row asks for something that can't be done; trying again changes nothing
├── NonFiniteLoss      the optimisation left the realm of numbers
├── FrameCorrupt       a frame object is damaged or is not one of ours
└── Stopped            the render was asked to stop between two steps
"""

from __future__ import annotations

__all__ = ["BadInput", "FrameCorrupt", "ModelFilesBroken", "NonFiniteLoss", "RenderError", "Stopped", "UnknownModel"]


class RenderError(Exception):
    """Base of every error that `renderers` raises on purpose."""


class UnknownModel(RenderError):
    """The registry has no model of that name."""


class ModelFilesBroken(RenderError):
    """A model's files are missing, damaged, or of a layout that is not known."""


class BadInput(RenderError):
    """The row asks for something that can't be done. Never retried."""


class NonFiniteLoss(RenderError):
    """The loss became infinite or not a number."""


class FrameCorrupt(RenderError):
    """A stored frame object can't be trusted."""


class Stopped(RenderError):
    """The render was asked to stop; nothing of the frame in progress is kept."""
