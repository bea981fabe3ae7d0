"""`nightreel rerun`: frames of one video once more, run to the end with progress bars."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from flows.cli.errors import DONE
from flows.cli.options import with_help
from flows.cli.output import print_json, say, waiting
from flows.cli.render import conclude, run_flow
from flows.job.reruns import RerunParameters, rerun_job
from flows.orchestration.forms.addresses import refuse_secrets
from flows.orchestration.forms.fields import After, DryRun, Frames, OtherSeed, Priority, RenderedOutput, Video
from infra.environment import prefect_api_url
from infra.settings import load_settings

__all__ = ["rerun"]


@with_help
def rerun(
    output: RenderedOutput,
    *,
    video: Video,
    frames: Frames = "failed",
    after: After = "re-render",
    seed: OtherSeed = None,
    dry_run: Annotated[DryRun, Parameter(negative="")] = False,
    priority: Priority = 10,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bars")] = False,
) -> int:
    """Render frames of one video again and publish it. Example: nightreel rerun out --video reef --frames 120-180

    Frames are numbers, ranges, or ranges with a step: 0-100x10 is every tenth.

    Needs no manifest: the video's latest plan lies in the output. With another seed these frames become other
    pictures, and every later render of the same row knows them.
    """
    refuse_secrets(output=output)
    settings = load_settings()
    parameters = RerunParameters.of(output, video, frames, after, seed, dry_run, priority)
    job = rerun_job(parameters, settings)
    with waiting("planning"):
        job.read()
    if dry_run:
        if json:
            print_json({"video_id": video, "message": job.summary})
        else:
            say(job.summary)
        return DONE
    if not job.pending and prefect_api_url() is None:
        return conclude(job, None, json)
    state = run_flow(job, partial(_flow, parameters), quiet_progress=json)
    return conclude(job, state, json)


def _flow(p: RerunParameters) -> Any:
    from flows.rerun_frames import rerun_frames  # Prefect takes seconds to import

    return rerun_frames(p.output, p.video, p.frames, p.after, p.seed, p.dry_run, p.priority, return_state=True)
