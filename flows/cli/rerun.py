"""`nightreel rerun`: frames of one video once more, run to the end with progress bars."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE
from flows.cli.output import print_json, stderr
from flows.cli.render import conclude, run_flow
from flows.job.reruns import RerunParameters, rerun_job
from flows.planning.retakes import After
from infra.settings import load_settings, prefect_api_url

__all__ = ["rerun"]


def rerun(
    output: str,
    *,
    video: Annotated[str, Parameter(help="the video's id")],
    frames: Annotated[str, Parameter(help="failed, missing, all, or numbers from 0 on: 120-180,200")] = "failed",
    after: Annotated[After, Parameter(help="what becomes of frames that start from the re-run ones")] = "re-render",
    seed: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=0, lt=2**63),
            help="another seed, for other pictures; unset: the same once more; the row's own takes re-runs back",
        ),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="only say what would be rendered")] = False,
    priority: Annotated[
        int, Parameter(validator=Number(gte=-100, lte=100), help="goes before runs of lower priority on one cluster")
    ] = 10,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bars")] = False,
) -> int:
    """Render frames of one video again and publish it anew. Example: nightreel rerun out --video reef --frames 120-180

    Needs no manifest: the video's latest plan lies in the output. With another seed these frames become other
    pictures, and every later render of the same row knows them. Frames that start from them are rendered anew, too
    (re-render), or stay as they are (keep), or are rendered anew until they no longer differ (until-same).

    Args:
        output: the root that was rendered to.
    """
    settings = load_settings()
    parameters = RerunParameters.of(output, video, frames, after, seed, dry_run, priority)
    job = rerun_job(parameters, settings)
    with stderr.status("planning", spinner="dots"):
        job.read()
    if dry_run:
        if json:
            print_json({"video_id": video, "told": job.summary})
        else:
            print(job.summary)
        return DONE
    if not job.pending and prefect_api_url() is None:
        return conclude(job, None, json)
    state = run_flow(job, partial(_flow, parameters), quiet_progress=json)
    return conclude(job, state, json)


def _flow(p: RerunParameters) -> Any:
    from flows.rerun_frames import rerun_frames  # Prefect takes seconds to import

    return rerun_frames(p.output, p.video, p.frames, p.after, p.seed, p.dry_run, p.priority, return_state=True)
