"""One attempt at a job, in a process that may be killed: what an operator's `render` is, without Prefect.

    python -m tests.chaos.job MANIFEST OUTPUT           on the Ray cluster of the settings
    python -m tests.chaos.job MANIFEST OUTPUT --alone   in this process: the undisturbed run

Its last line on stdout is JSON; the exit code is 0 if every frame and video is there.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import load_settings
from infra.workers.local_pool import LocalPool
from infra.workers.pool import Pool

# The plan cuts a video by the clock of the machine's settings; both runs must cut alike.
RANGE_FRAMES = 10


def main(manifest: str, output: str, *, alone: bool) -> int:
    settings = load_settings()
    job = RenderJob(RenderParameters(manifest, output, range_frames=RANGE_FRAMES), settings)
    job.read()
    pool: Pool | None = None
    try:
        if job.needs_workers and alone:
            pool = LocalPool(job.output)
        elif job.needs_workers:
            from infra.ray.pool import RayPool

            pool = RayPool(job.output, settings, warm="embedded")
        run_job(job, pool)
    finally:
        job.close()
    result = {
        "rendered": sum(run.rendered for run in job.runs.values()),
        "repaired": sum(len(run.repaired) for run in job.runs.values()),
        "missing": job.frames_missing[0],
        "failures": Counter(failure.kind for run in job.runs.values() for failure in run.failures),
        "reasons": sorted({run.reason for run in job.runs.values() if not run.done and run.reason}),
        "gave_up": job.gave_up,
    }
    print(json.dumps(result), flush=True)
    return 0 if job.complete else 1


if __name__ == "__main__":
    by_itself = "--alone" in sys.argv[3:]
    code = main(sys.argv[1], sys.argv[2], alone=by_itself)
    if by_itself:
        # Twice in some eighty such processes a library's thread ended them at the interpreter's exit, when all was done
        # ("terminate called without an active exception"): nothing that this run is there to say
        os._exit(code)
    sys.exit(code)
