"""What can go wrong between frames and a finished video.

VideoError
├── FfmpegError    ffmpeg could not be run, or ended with an error (its last lines are in the message)
└── VideoDefect    a segment or a video is not what it must be: damaged, cut short, wrong count, order or duration
"""

from __future__ import annotations

from manifests.errors import NightreelError

__all__ = ["FfmpegError", "VideoDefect", "VideoError"]


class VideoError(NightreelError):
    """Root of what can go wrong between frames and a finished video."""


class FfmpegError(VideoError):
    """ffmpeg is missing, or ended with an error."""


class VideoDefect(VideoError):
    """A segment or a video is damaged, incomplete or not as the plan says."""
