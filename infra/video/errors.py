"""What can go wrong between frames and a finished video.

VideoError                application
├── EncodingInvalid       bad input     no format holds what is asked for: its rate, enlargement or name
├── FfmpegError           application   ffmpeg could not be run, or ended with an error (its last lines are shown)
└── VideoDefect           application   a segment or a video is damaged, cut short, or of a wrong count, order, duration
"""

from __future__ import annotations

from manifests.errors import ErrorKind, NightreelError

__all__ = ["EncodingInvalid", "FfmpegError", "VideoDefect", "VideoError"]


class VideoError(NightreelError):
    """Root of what can go wrong between frames and a finished video."""


class EncodingInvalid(VideoError, ValueError):
    """Frames can't be encoded as asked: an unknown format, or a rate or enlargement beyond what it holds."""

    kind = ErrorKind.BAD_INPUT


class FfmpegError(VideoError):
    """ffmpeg is missing, or ended with an error."""


class VideoDefect(VideoError):
    """A segment or a video is damaged, incomplete or not as the plan says."""
