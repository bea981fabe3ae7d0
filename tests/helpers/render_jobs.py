"""What tests of render jobs share: small rows on the embedded model, and whole jobs on a `LocalPool`.

Run as `python -m tests.helpers.render_jobs MANIFEST OUTPUT` it is a whole process to kill.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.job.report_data import GatheredReport, OutputReport
from flows.job.reruns import RerunParameters, rerun_job
from flows.planning.retakes import After
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.worker import Worker
from manifests.schema import ManifestRow, rows_to_table

# Tokens 4 x 4 and two cutouts: a step takes hundredths of a second, and every part of the code runs.
# The high rate makes two steps show in the picture.
QUICK: dict[str, Any] = {
    "width": 32, "height": 32, "upscale": 1, "steps_first": 4, "steps": 2, "cutouts": {"number": 2},
    "optimiser": {"lr": 1.0, "lr_final": 1.0, "latent_noise": 0.4},
}  # fmt: skip


def quick_row(video_id: str, prompt: str | None = "a red apple", **settings: Any) -> ManifestRow:
    """A row that renders in moments; several frames get a camera that moves."""
    moving = {"zoom": "1.03", "angle": "2"} if settings.get("frames", 1) > 1 else {}
    return ManifestRow.model_validate({"video_id": video_id, "prompt": prompt, **QUICK, **moving, **settings})


def gather_report(job: RenderJob, *, actors: int | None) -> GatheredReport:
    """Return the report of a job's output as it stands when the job has ended."""
    ended = ("Completed" if job.complete else "Incomplete", "")
    return OutputReport(job).gather(actors=actors, ended=ended)


def write_manifest(path: Path, rows: Iterable[ManifestRow]) -> str:
    pq.write_table(rows_to_table(list(rows)), path)
    return str(path)


def planned(manifest: str, output: str, settings: InfraSettings | None = None, **parameters: Any) -> RenderJob:
    """A job that has read its manifest."""
    job = RenderJob(RenderParameters(manifest, output, **parameters), settings or InfraSettings())
    job.read()
    return job


def render(
    manifest: str, output: str, *, workers: int = 1, settings: InfraSettings | None = None,
    make: Callable[..., Worker] = Worker, **parameters: Any,
) -> RenderJob:  # fmt: skip
    """Plan and run a whole job on a `LocalPool`."""
    job = planned(manifest, output, settings, **parameters)
    run_job(
        job, LocalPool(Storage(output), size=workers, reading=job.reading, make=make) if job.needs_workers else None
    )
    return job


def rerun(output: str, video: str, frames: str, after: After = "re-render", seed: int | None = None) -> RenderJob:
    """Plan and run a re-run on a `LocalPool`."""
    job = rerun_job(RerunParameters.of(output, video, frames, after, seed, False, 0), InfraSettings())
    job.read()
    run_job(job, LocalPool(Storage(output)) if job.needs_workers else None)
    return job


def frame_objects(output: str | Storage) -> dict[str, bytes]:
    """Every frame object below an output root, by key."""
    storage = output if isinstance(output, Storage) else Storage(output)
    return {info.key: storage.read(info.key) for info in storage.list() if "/frames/" in info.key}


def frame_files(output: str, video_id: str) -> list[Path]:
    """A local video's frame files, in order."""
    return sorted(Path(output, video_id, "frames").glob("*.png"))


if __name__ == "__main__":
    sys.exit(0 if render(sys.argv[1], sys.argv[2], range_frames=5).complete else 1)
