"""What can go wrong while rendering, as a person should read it, and of which kind it is.

RenderError                    application
├── UnknownModel               bad input       the registry has no such name
├── ModelFilesBroken           environment     weights or config are missing, damaged or of an unknown layout
│   ├── CheckpointUnsafe       environment     a checkpoint tries to run code; it was refused
│   ├── FetchFailed            environment     a model's files can't be fetched; the message says where to put them
│   └── OpenCVMissing          environment     a film can't be followed: the extra `video` is not installed
├── BadInput                   bad input       the row asks for something that can't be done
├── NonFiniteLoss              non-finite      the loss or the latent overflowed
├── OutOfMemory                out of memory   the frame does not fit into memory as it is rendered
├── FrameCorrupt               corrupt         a frame object is damaged or is not one of ours
├── TrainingBroken             bad input       a training can't go on from its folder, data or settings
└── Stopped                    cancelled       the render was asked to stop between two steps
"""

from __future__ import annotations

from manifests.errors import ErrorKind, NightreelError

__all__ = [
    "BadInput",
    "CheckpointUnsafe",
    "FetchFailed",
    "FrameCorrupt",
    "ModelFilesBroken",
    "NonFiniteLoss",
    "OpenCVMissing",
    "OutOfMemory",
    "RenderError",
    "Stopped",
    "TrainingBroken",
    "UnknownModel",
]


class RenderError(NightreelError):
    """Base of every error that `renderers` raises on purpose."""


class UnknownModel(RenderError):
    """The registry has no model of that name."""

    kind = ErrorKind.BAD_INPUT


class ModelFilesBroken(RenderError):
    """A model's files are missing, damaged, or of a layout that is not known."""

    kind = ErrorKind.ENVIRONMENT


class CheckpointUnsafe(ModelFilesBroken):
    """A checkpoint tries to run code, or names what no checkpoint needs. Nothing of it was run."""


class FetchFailed(ModelFilesBroken):
    """Files of a model can't be fetched, or have not been. The message says which to put where."""


class OpenCVMissing(ModelFilesBroken):
    """OpenCV is not installed, by which frames follow a film."""


class BadInput(RenderError):
    """The row asks for something that can't be done."""

    kind = ErrorKind.BAD_INPUT


class NonFiniteLoss(RenderError):
    """The loss or the latent became infinite or not a number."""

    kind = ErrorKind.NON_FINITE


class OutOfMemory(RenderError):
    """A frame does not fit into the device's memory; with fewer cutouts at once it may."""

    kind = ErrorKind.OUT_OF_MEMORY


class FrameCorrupt(RenderError):
    """A stored frame object can't be trusted; `frame` is its number, where whoever read it knew that."""

    kind = ErrorKind.CORRUPT

    def __init__(self, message: str, frame: int | None = None) -> None:
        super().__init__(message, frame)  # all arguments: the error travels between processes
        self.frame = frame

    def __str__(self) -> str:
        return str(self.args[0])


class TrainingBroken(RenderError):
    """A training can't start or go on with the folder, the data or the settings that it was given."""

    kind = ErrorKind.BAD_INPUT


class Stopped(RenderError):
    """The render was asked to stop; nothing of the frame in progress is kept."""

    kind = ErrorKind.CANCELLED
