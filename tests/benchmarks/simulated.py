"""Workers whose steps only sleep: what planning, scheduling, storage and encoding cost, without a GPU for each actor.

All else is real: the frame objects that are put and read again, with a state of true size; segments; the flow on a
Prefect server of its own; the order in which chunks begin. The workers are threads of one process, not Ray actors.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.handover import handing_over
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.renderers import RendererSource
from infra.workers.worker import Worker
from manifests.schema import ManifestRow
from renderers.errors import Stopped
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRequest, RenderedFrame, StepProgress
from renderers.frame_rendering.state import FrameState, Moments
from tests.helpers.render_jobs import write_manifest

__all__ = ["Busy", "SimulatedPool", "run"]


class _SleepingRenderer:
    """Each step takes `seconds`. A frame is a grey picture of its number, its latent noise."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.spans: list[tuple[float, float]] = []
        """when each frame's steps began and ended"""

    def render_together(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        return [self._slept(request) for request in requests]

    def _slept(self, request: FrameRequest) -> RenderedFrame:
        plan, frame = request.plan, request.frame
        assert request.should_stop is not None
        assert request.on_step is not None
        began = time.perf_counter()
        for step in range(frame.steps):
            if request.should_stop():
                raise Stopped("stopped")
            # by the clock, so that the sleeps' own lateness does not add up
            time.sleep(max(0.0, began + (step + 1) * self._seconds - time.perf_counter()))
        seconds = time.perf_counter() - began
        self.spans.append((began, began + seconds))
        request.on_step(StepProgress(frame.steps, frame.steps, 0.0, seconds))
        high, wide = plan.row.height // plan.entry.downsampling, plan.row.width // plan.entry.downsampling
        chance = torch.Generator().manual_seed(frame.index)
        latent = torch.randint(0, 256, (1, 64, high, wide), generator=chance, dtype=torch.uint8)
        moments = Moments(latent.clone().view(torch.int8), torch.ones(64), torch.ones(64), frame.steps)
        state = FrameState(torch.zeros(1, high, wide, dtype=torch.int32), latent, moments)
        picture = np.full((plan.row.height, plan.row.width, 3), frame.index % 256, np.uint8)
        provenance = {"digest": frame.digest, "loss": 0.0, "losses": [], "software": {"nightreel": "simulated"}}
        return RenderedFrame(FrameObject(picture, state, provenance), (0.0,), seconds)


class SimulatedPool(LocalPool):
    """`actors` threads whose steps take `step_seconds`."""

    def __init__(self, job: RenderJob, actors: int, step_seconds: float) -> None:
        self._renderers: list[_SleepingRenderer] = []

        def make(output: Storage, _: RendererSource, **further: Any) -> Worker:
            renderer = _SleepingRenderer(step_seconds)
            self._renderers.append(renderer)
            return Worker(output, lambda model: renderer, **further)

        super().__init__(job.output, size=actors, make=make)

    @property
    def spans(self) -> list[list[tuple[float, float]]]:
        """When each actor's frames began and ended."""
        return [renderer.spans for renderer in self._renderers]


@dataclass(frozen=True)
class Busy:
    """What became of the actors' time, from the first frame's beginning until the last video was published: `seconds`
    of each, and the shares in steps, before an actor's first frame, between two, and after its last."""

    seconds: float
    steps: float
    before: float
    between: float
    after: float


def run(rows: list[ManifestRow], folder: Path, actors: int, step_seconds: float, chunk_seconds: float) -> Busy:
    """Render `rows` into `folder` with so many simulated actors, by the real flow, on the Prefect server of the
    settings."""
    from flows.render_manifest import render_manifest

    settings = InfraSettings(chunk_seconds=chunk_seconds, threads=1)
    manifest = write_manifest(folder / "m.parquet", rows)
    job = RenderJob(RenderParameters(manifest, str(folder / "out")), settings)
    job.read()
    pool = SimulatedPool(job, actors, step_seconds)
    job.pool.set_result(pool)
    p = job.parameters
    with handing_over(job):
        render_manifest(p.manifest, p.output, p.strict, p.force, p.range_frames, p.priority, return_state=True)
    if not job.complete:
        reasons = {run.reason for run in job.runs.values()}
        raise RuntimeError(f"the simulated run ended with {job.frames_missing[0]} frames missing: {reasons}")
    published = max(path.stat().st_mtime for path in (folder / "out").glob("*/video.*"))
    spans = [sorted(mine) for mine in pool.spans if mine]
    began, ended = min(mine[0][0] for mine in spans), published - (time.time() - time.perf_counter())
    whole = actors * (ended - began)
    steps = sum(stop - start for mine in spans for start, stop in mine)
    before = sum(mine[0][0] - began for mine in spans)
    after = sum(ended - mine[-1][1] for mine in spans) + (actors - len(spans)) * (ended - began)
    return Busy(ended - began, steps / whole, before / whole, (whole - steps - before - after) / whole, after / whole)
