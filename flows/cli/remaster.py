"""`nightreel remaster`: a video once more from its stored frames, in this process."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

from flows.cli.assignments import assigned
from flows.cli.options import with_help
from flows.cli.output import problems, waiting
from flows.cli.render import conclude, watching
from flows.job.dispatch import run_job
from flows.job.remastering import FINISH, Wish, remaster_job
from flows.job.report_data import OutputReport, publish_report
from flows.orchestration.forms.addresses import refuse_secrets
from flows.orchestration.forms.fields import RenderedOutput, Video
from infra.settings import load_settings
from infra.workers.local_pool import LocalPool
from renderers.registry import Registry

__all__ = ["remaster"]


@with_help
def remaster(
    output: RenderedOutput,
    *,
    video: Video,
    set: Annotated[
        list[str] | None,
        Parameter(
            name=["--set", "-s"], negative="",
            help=f"column=value: {', '.join(FINISH)}",
        ),
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bars")] = False,
) -> int:  # fmt: skip
    """Make a video again from its stored frames. Example: nightreel remaster out --video reef --set codec=h265

    Nothing is drawn, and no model, Ray or server is needed: the frames are encoded and stitched in this process, as
    another codec, at another rate or size, with frames between or smoothed, with another sound (audio=null: none). The
    video is replaced; one of another format lies beside the former. A video whose camera or prompts followed its music
    keeps the pictures that it has.
    """
    refuse_secrets(output=output)
    settings = load_settings()
    job = remaster_job(output, video, [Wish(*assigned(it, "codec=h265")) for it in set or ()], settings)
    with waiting("planning"):
        job.read()
    problems(job.warnings.lines())
    if job.pending:
        job.output.check(write=True)
        size = max(1, min((os.cpu_count() or 2) // 2, len(job.chunks(64))))
        with watching(job, disable=json) as served:
            served.set()
            registry = Registry(settings.models_folder)
            pool = LocalPool(job.output, size=size, registry=registry, reading=job.reading)
            run_job(job, pool if job.needs_workers else None)
        gathered = OutputReport(job).gather(actors=None, ended=("Completed" if job.complete else "Incomplete", ""))
        publish_report(job.output, gathered)
    return conclude(job, None, json)
