"""What can go wrong between frames and a finished video.

VideoError                application
├── EncodingInvalid       bad input     no format holds what is asked for: its rate, enlargement or name
├── SoundInvalid          bad input     what a row names as its sound holds none, or none that can be used
├── FilmInvalid           bad input     what a row names as its film holds none, or none that can be used
├── FfmpegError           application   ffmpeg could not be run, or ended with an error (its last lines are shown)
│   └── FfmpegTooSlow     application   it was ended, since it took longer than it may
└── VideoDefect           application   a segment or a video is damaged, cut short, or of a wrong count, order, duration
"""

from __future__ import annotations

from manifests.errors import ErrorKind, NightreelError

__all__ = [
    "EncodingInvalid",
    "FfmpegError",
    "FfmpegTooSlow",
    "FilmInvalid",
    "SoundInvalid",
    "VideoDefect",
    "VideoError",
]


class VideoError(NightreelError):
    """Root of what can go wrong between frames and a finished video."""


class EncodingInvalid(VideoError, ValueError):
    """Frames can't be encoded as asked: an unknown format, or a rate or enlargement beyond what it holds."""

    kind = ErrorKind.BAD_INPUT


class SoundInvalid(VideoError, ValueError):
    """What a row names as its sound holds none that can be decoded, or too much of it."""

    kind = ErrorKind.BAD_INPUT


class FilmInvalid(VideoError, ValueError):
    """What a row names as its film holds none that can be decoded to its end, or too much of it."""

    kind = ErrorKind.BAD_INPUT


class FfmpegError(VideoError):
    """ffmpeg is missing, or ended with an error."""


class FfmpegTooSlow(FfmpegError):
    """ffmpeg was ended, since it took longer than it may."""


class VideoDefect(VideoError):
    """A segment or a video is damaged, incomplete or not as the plan says."""
