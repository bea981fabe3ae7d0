"""Render text prompts into pictures and videos: nightreel in Python.

    >>> import nightreel
    >>> nightreel.render("a red apple", seed=2)                     # a picture, as a PIL.Image
    >>> renderer = nightreel.Renderer()                             # a model, loaded once
    >>> row = nightreel.ManifestRow(video_id="reef", prompt="a coral reef", frames=24, zoom="1.02")
    >>> pictures = [frame.image for frame in renderer.frames(row)]  # a video, frame by frame
    >>> print(nightreel.run_job([row], "out"))                      # a manifest: videos and a report in a folder
    >>> nightreel.status("out")

manifests/examples/first_steps.ipynb shows all of it. Each name is imported when it is first used: `import nightreel`
itself loads neither torch nor Ray nor Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.api.jobs import JobSummary, VideoSummary, run_job, status
    from flows.api.manifest import Manifest, read_manifest
    from flows.api.rendering import Renderer, render
    from flows.job.job import JobProgress
    from flows.job.output_videos import VideoStatus
    from manifests.schema import ManifestRow
    from renderers.frame_rendering.video import VideoFrame, VideoProgress

__all__ = [
    "JobProgress",
    "JobSummary",
    "Manifest",
    "ManifestRow",
    "Renderer",
    "VideoFrame",
    "VideoProgress",
    "VideoStatus",
    "VideoSummary",
    "read_manifest",
    "render",
    "run_job",
    "status",
]

_ROOMS = {
    "flows.api.jobs": ("JobSummary", "VideoSummary", "run_job", "status"),
    "flows.api.manifest": ("Manifest", "read_manifest"),
    "flows.api.rendering": ("Renderer", "render"),
    "flows.job.job": ("JobProgress",),
    "flows.job.output_videos": ("VideoStatus",),
    "manifests.schema": ("ManifestRow",),
    "renderers.frame_rendering.video": ("VideoFrame", "VideoProgress"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import `name` from its room."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'nightreel' has no attribute '{name}': it has {', '.join(__all__)}")
    return getattr(import_module(_ROOM_OF[name]), name)


def __dir__() -> list[str]:
    """The names for completion, whether they were used or not."""
    return __all__
