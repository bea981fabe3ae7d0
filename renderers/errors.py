"""What can go wrong while rendering, as a person should read it.

RenderError
├── UnknownModel       the registry has no such name
├── ModelFilesBroken   weights or config are missing, damaged or of a layout that is not known
│   ├── CheckpointUnsafe   a checkpoint tries to run code; it was refused
│   └── FetchFailed        a model's files can't be fetched; the message says where to put them
├── BadInput           the row asks for something that can't be done; trying again changes nothing
├── NonFiniteLoss      the optimisation left the realm of numbers
├── OutOfMemory        the frame does not fit into memory as it is rendered
├── FrameCorrupt       a frame object is damaged or is not one of ours
├── TrainingBroken     a training can't go on: its folder, its data or its numbers are no good
└── Stopped            the render was asked to stop between two steps
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "CheckpointUnsafe",
    "FetchFailed",
    "FrameCorrupt",
    "ModelFilesBroken",
    "NonFiniteLoss",
    "OutOfMemory",
    "RenderError",
    "Stopped",
    "TrainingBroken",
    "UnknownModel",
]


class RenderError(Exception):
    """Base of every error that `renderers` raises on purpose."""


class UnknownModel(RenderError):
    """The registry has no model of that name."""


class ModelFilesBroken(RenderError):
    """A model's files are missing, damaged, or of a layout that is not known."""


class CheckpointUnsafe(ModelFilesBroken):
    """A checkpoint tries to run code, or names what no checkpoint needs. Nothing of it was run."""


class FetchFailed(ModelFilesBroken):
    """Files of a model can't be fetched, or have not been. The message says which to put where."""


class BadInput(RenderError):
    """The row asks for something that can't be done. Never retried."""


class NonFiniteLoss(RenderError):
    """The loss became infinite or not a number."""


class OutOfMemory(RenderError):
    """A frame does not fit into the device's memory; with fewer cutouts at once it may."""


class FrameCorrupt(RenderError):
    """A stored frame object can't be trusted; `frame` is its number, where whoever read it knew that."""

    def __init__(self, message: str, frame: int | None = None) -> None:
        super().__init__(message, frame)  # all arguments: the error travels between processes
        self.frame = frame

    def __str__(self) -> str:
        return str(self.args[0])


class TrainingBroken(RenderError):
    """A training can't start or go on."""


class Stopped(RenderError):
    """The render was asked to stop; nothing of the frame in progress is kept."""
