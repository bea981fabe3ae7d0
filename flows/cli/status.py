"""`nightreel status`: the state of every video, from storage alone."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from cyclopts import Parameter

from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from flows.cli.output import print_json, print_table, problems, say
from flows.job.output_videos import VideoStatus, not_an_output, stored_status, stored_wants
from flows.job.reviewing import usual_limits
from flows.report.wording import first_of
from infra.settings import load_settings
from infra.storage.storage import Storage
from manifests.schema import brief_frames
from manifests.schema.texts import plural
from renderers.registry import Registry

__all__ = ["status"]


def status(
    output: str,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="list finished videos too")] = False,
    json: Annotated[bool, Parameter(negative="", help="as JSON on stdout")] = False,
) -> int:
    """Say which videos are done, missing frames, or failed, and why. Example: nightreel status s3://bucket/night

    Args:
        output: the root that was rendered to.
    """
    storage, settings = Storage(output), load_settings()
    registry = Registry(settings.models_folder)
    damaged: list[str] = []
    wants = stored_wants(storage, damaged)
    found = sorted(stored_status(storage, registry, wants, usual_limits(settings)), key=lambda it: it.video_id)
    bad = wants.problems.rows
    problems(first_of(sorted(damaged)))
    if not found and not bad:
        problems([not_an_output(storage)])
        return BAD_INPUT
    counts = Counter(video.state for video in found)
    if json:
        videos = [video.to_dict() for video in found]
        print_json({
            "output": output, "counts": counts, "bad_rows": bad, "to_review": sum(bool(it.review) for it in found),
            "videos": videos,
        })  # fmt: skip
    else:
        shown = [video for video in found if all_ or video.state != "done"]
        if shown:
            print_table(("video", "state", "frames", "missing", "reason"), [_row(video) for video in shown])
        reviewed = [it for it in found if it.review]
        if reviewed:
            print_table(("video", "to review"), [(it.video_id, "; ".join(it.review)) for it in reviewed])
        problems(wants.problems.lines())
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
        states += f", {plural(bad, 'bad row')}" if bad else ""
        states += f", {len(reviewed):,} to review" if reviewed else ""
        frames, done = sum(video.frames for video in found), sum(video.done for video in found)
        say(f"{plural(len(found), 'video')}: {states.removeprefix(', ')}; {done:,} of {plural(frames, 'frame')}")
    return DONE if set(counts) == {"done"} and not bad else INCOMPLETE


def _row(video: VideoStatus) -> tuple[object, ...]:
    return (
        video.video_id,
        video.state,
        f"{video.done}/{video.frames}",
        brief_frames(video.missing),
        video.reason,
    )
