"""What runs are called in Prefect's lists: by what they render, and where to.

Whole URIs would be cut off there, so a name holds the ends of paths; the run's page shows the parameters in full.
"""

from prefect import runtime

from manifests.masking import address_without_secrets

__all__ = ["render_name", "rerun_name", "rerun_title", "short_place"]


def short_place(place: object, parts: int = 1) -> str:
    """The last `parts` of a path or URI."""
    place = address_without_secrets(str(place))
    names = [name for name in place.rpartition("://")[2].split("/") if name not in ("", ".")]
    return "/".join(names[-parts:]) or place


def render_name() -> str:
    """`render night.parquet to nights/2026-11-28`, and where it renders a part of it `, part 3`."""
    given = runtime.flow_run.parameters
    part = f", part {given['part']}" if given.get("part") else ""
    return f"render {short_place(given['manifest'])} to {short_place(given['output'], 2)}{part}"


def rerun_name() -> str:
    """`frames 120-180 of reef in nights/2026-11-28`."""
    given = runtime.flow_run.parameters
    return rerun_title(given["frames"], given["video"], given["output"])


def rerun_title(frames: object, video: object, output: object) -> str:
    """What a re-run is called, also before it begins."""
    return f"frames {frames} of {video} in {short_place(output, 2)}"
