"""What the numbers for Prometheus cost a worker: on a real cluster, frames with them and without them, in turns.

    python -m tests.benchmarks.bench_metrics [--turns N] [--steps N]

One Ray actor holds a `Worker`, which renders and commits frames of the embedded model, one with the recorder and one
without, N turns of each. Printed are the seconds of a turn, the median of the ratios of neighbours (1: no cost; on a
machine that others use it scatters by some percent around that), and what the numbers of one frame take by themselves
(all that a frame says, a thousand times over) as a share of a frame.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from tests.benchmarks.machine import machine
from tests.helpers.patient_ray import running_cluster

REPEATED = 1000


def measure(turns: int, steps: int) -> dict[str, Any]:
    """In a process of a cluster: seconds of frames with and without numbers, and those of a frame's numbers alone."""
    from infra import metrics
    from infra.ray.metrics import RayRecorder
    from infra.storage.storage import Storage
    from infra.workers.tasks import FrameTask
    from infra.workers.worker import Worker
    from manifests.schema import ManifestRow
    from renderers.frame_plan.video_plan import VideoPlan
    from renderers.registry import Registry

    recorder, entry = RayRecorder(), Registry().entry("embedded")
    worker = Worker(Storage("memory://bench"), gpus=0.5)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * turns + 2):
        row = ManifestRow(video_id=f"v{turn}", prompt="a red apple", steps_first=steps, init="tokens")
        plan = VideoPlan.of(row, entry=entry)
        task = FrameTask(plan.row, {}, next(plan.walk()))
        on = turn % 2 == 0
        metrics.record_with(recorder if on else None)
        began = time.perf_counter()
        worker.render_frame(task)
        if turn >= 2:  # the first ones load the model
            taken[on].append(time.perf_counter() - began)
    metrics.record_with(recorder)
    began = time.perf_counter()
    for _ in range(REPEATED):
        metrics.count(metrics.WORKER_BUSY, 1.0)
        metrics.count(metrics.GPU_BUSY, 0.5)
        metrics.observe(metrics.STEP_SECONDS, 0.03)
        metrics.observe(metrics.PUT_SECONDS, 0.03)
        metrics.count(metrics.FRAMES_COMMITTED)  # of the driver
    return {"with": taken[True], "without": taken[False], "numbers": (time.perf_counter() - began) / REPEATED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    chosen = parser.parse_args()
    print(machine())
    with running_cluster():
        import ray

        found = ray.get(ray.remote(measure).remote(chosen.turns, chosen.steps))
    with_them, without = found["with"], found["without"]
    ratio = statistics.median(a / b for a, b in zip(with_them, without, strict=True))
    frame = statistics.median(without)
    print(
        f"frames of {chosen.steps} steps, {len(without)} turns: {frame:.2f} s without numbers, "
        f"{statistics.median(with_them):.2f} s with them, median ratio {ratio:.3f}; the numbers of a frame take "
        f"{found['numbers'] * 1e6:.0f} microseconds, {found['numbers'] / frame:.3%} of it"
    )


if __name__ == "__main__":
    main()
