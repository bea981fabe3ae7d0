"""`nightreel plan`: a dry run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from flows.cli.options import with_help
from flows.cli.output import damage_lines, duration, print_json, print_table, problems, row_lines, say
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.forms.fields import Manifest, RangeFrames
from flows.planning.chunks import Chunk
from infra.settings import load_settings
from manifests.masking import address_without_secrets
from manifests.problems import LISTED
from manifests.schema import brief_frames
from manifests.schema.texts import plural

__all__ = ["plan"]


@with_help
def plan(
    manifest: Manifest,
    *,
    output: Annotated[
        str, Parameter(name=["--output", "-o"], help="where it would be rendered to: what is there counts as done")
    ],
    range_frames: RangeFrames = None,
    force: Annotated[bool, Parameter(negative="", help="as if videos of other settings were to be replaced")] = False,
    json: Annotated[bool, Parameter(negative="", help="as JSON on stdout")] = False,
) -> int:
    """Say what a render would do, without doing it. Example: nightreel plan night.parquet --output s3://bucket/night

    Exit codes: 0 all rows can be rendered, 1 a document in the output is damaged (`status` says the same), 2 a row is
    bad.
    """
    settings = load_settings()
    job = RenderJob(RenderParameters(manifest, output, force=force, range_frames=range_frames), settings)
    job.read(write=False)
    actors = settings.actors or 1
    chunks = job.chunks(actors)
    seconds = sum(work.seconds for work in job.pending)
    bad = row_lines(job)
    # by the rule of `status` and the report: a row that can't be rendered is a video, and all its frames are missing
    planned = sum(work.settings.frames for work in job.works)
    frames, done = job.frames_missing[1], planned - job.frames_to_render
    summary = {
        "manifest": address_without_secrets(manifest),
        "output": output,
        "videos": len(job.runs) + len(job.refused),
        "videos_failed": len(job.refused),
        "videos_to_do": len(job.pending),
        "frames": frames,
        "frames_done": done,
        "frames_to_render": job.frames_to_render,
        "actor_seconds": round(seconds, 1),
        "chunks": [
            {"name": chunk.name, "seconds": round(chunk.seconds, 1), "after": chunk.after, "needs": list(chunk.needs),
             "parents": [f"{video}@{frame}" for video, frame in chunk.parents],
             "parts": [{"video": part.video, "range": part.index, "frames": list(part.frames)}
                       for part in chunk.parts]}
            for chunk in chunks
        ],
        "bad_rows": bad,
        "damaged": job.damaged[:LISTED],
        "warnings": job.warnings.first,
        "warning_kinds": job.warnings.kinds,
    }  # fmt: skip
    # as `status` ends for such an output: a video with a damaged document is not done
    refused = {reason for _, reason in job.refused}
    only_damaged = not job.problems and refused <= set(job.damaged)
    code = INCOMPLETE if job.damaged and only_damaged else BAD_INPUT if bad else DONE
    if not json:
        problems(bad)
        problems(damage_lines(job))
    problems(job.warnings.lines())
    if json:
        print_json(summary)
        return code
    print_table(
        ("task run", "estimate", "starts after"), [(c.name, duration(c.seconds), _after(c)) for c in chunks[:50]]
    )
    if len(chunks) > 50:
        say(f"... and {len(chunks) - 50} more task runs (--json lists all)")
    lost = [f"{plural(len(job.refused), 'video')} can't be rendered"] if job.refused else []
    lost += [plural(job.bad_rows, "bad row")] if job.bad_rows else []
    say(
        f"{plural(len(job.runs) + len(job.refused), 'video')}, {plural(frames, 'frame')}: {done:,} done, "
        f"{job.frames_to_render:,} to render in {plural(len(chunks), 'task run')}"
        f"{''.join(f', {it}' for it in lost)}; "
        f"about {duration(seconds)} of one actor (the registry's figure, not this machine's)"
    )
    return code


def _after(chunk: Chunk) -> str:
    """What a chunk waits for, as people say it."""
    if chunk.after is None and not chunk.needs:
        return ", ".join(f"{video} {frame}" for video, frame in chunk.parents[:3]) + (
            ", …" if chunk.parents[3:] else ""
        )
    return chunk.after or f"frames {brief_frames(chunk.needs)}"
