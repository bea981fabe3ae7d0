"""Many frames and many actors: planning, listing, and how busy a fleet is kept.

    python -m tests.benchmarks.bench_scale plan [--frames 1000000] [--length 1000]
    python -m tests.benchmarks.bench_scale stills [--rows 100000]
    python -m tests.benchmarks.bench_scale schedules [--frames 1000000] [--length 1000]
    python -m tests.benchmarks.bench_scale listing [--frames 1000000] [--length 1000]
    python -m tests.benchmarks.bench_scale report [--frames 400000] [--length 100]
    python -m tests.benchmarks.bench_scale busy [--actors 64] [--minutes 2]

`plan` reads a manifest of so many frames, plans every one of them against an empty output and cuts the work for 64
actors, each handoff in a process of its own, whose memory at its greatest is printed.

`stills` does the same with so many stills, each with a prompt and a seed of its own, and with 5,000 of them one by one
before and after it.

`schedules` plans so many frames with a camera that never changes, and with one of two expressions, and prints the
difference of their seconds, and of the processor's.

`listing` fills a real S3 server with an object for every frame under its right name (of one byte: listings know names)
and the plans beside them, then plans the same manifest against it, as a resumed job does, and asks for the status.

`report` makes up a finished output in a folder (a record for every segment, and for every video the one picture that
its poster is made of) and gathers its report for a job that renders a single video of its own: at first, again, and as
the page that is put.

`busy` renders videos of different lengths with actors whose steps only sleep (see tests/benchmarks/simulated.py),
through the real flow and its Prefect server, and prints the time that the steps took over actors times seconds, from
the first frame's beginning until the last video was published, and where the rest of it went.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from flows.job.job import RenderJob
from flows.job.output_videos import stored_status
from flows.job.parameters import RenderParameters
from flows.job.report_data import REPORT_PAGE, OutputReport, publish_report
from flows.job.state import VideoRun
from flows.job.storage_state import save_plan
from infra.settings import InfraSettings
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.registry import Registry
from tests.benchmarks.machine import machine
from tests.benchmarks.stills import stills
from tests.helpers.render_jobs import write_manifest
from tests.helpers.s3_server import S3Server, running_s3_server

ACTORS = 64
PUTS_AT_ONCE = 32
EXPRESSIONS = {"zoom": "1 + 0.02*sin(2*pi*t/24)", "angle": "0.5*cos(s) + where(t < max_f/2, 0, 0.1)"}


def rows_of(frames: int, length: int, **columns: Any) -> list[ManifestRow]:
    """Videos of `length` frames, `frames` together."""
    return [
        ManifestRow(
            **{"video_id": f"video-{number:06d}", "prompt": "a reef at dawn", "frames": length, "zoom": "1.01"}
            | columns
        )
        for number in range(frames // length)
    ]


def planned(manifest: str, output: str) -> RenderJob:
    """The job, read and planned, without a trace in the output."""
    job = RenderJob(RenderParameters(manifest, output), InfraSettings())
    job.read(write=False)
    if job.problems or job.refused:
        raise RuntimeError(f"rows were refused: {job.problems[:1]} {job.refused[:1]}")
    return job


def plan(frames: int, length: int) -> None:
    """Print seconds and memory of planning."""
    for label, number, long, columns in (
        ("chains", frames, length, {"handoff": "chain"}),
        ("keyframes", frames, length, {"handoff": "keyframes"}),
    ):
        with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
            manifest = write_manifest(Path(folder) / "m.parquet", rows_of(number, long, **columns))
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                seconds, megabytes, chunks = alone.apply(_plan, (manifest, str(Path(folder) / "out")))
        print(f"{number:,} frames in {number // long:,} {label}: planned in {seconds:.1f} s, cut into {chunks} chunks, "
              f"{megabytes:.0f} MB at its greatest", flush=True)  # fmt: skip


def _plan(manifest: str, output: str) -> tuple[float, float, int]:
    began = time.perf_counter()
    chunks = planned(manifest, output).chunks(ACTORS)
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(chunks)


def schedules(frames: int, length: int) -> None:
    """Print what two columns that change from frame to frame add to the seconds of planning."""
    for handoff in ("chain", "keyframes"):
        spent = {}
        for label, columns in (("constant", {}), ("two expressions", EXPRESSIONS)):
            with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
                rows = rows_of(frames, length, handoff=handoff, **columns)
                manifest = write_manifest(Path(folder) / "m.parquet", rows)
                with multiprocessing.get_context("spawn").Pool(1) as alone:
                    spent[label] = alone.apply(_seconds, (manifest, str(Path(folder) / "out")))
        (wall, cpu), (more_wall, more_cpu) = spent.values()
        print(f"{frames:,} frames, {handoff}: {wall:.1f} s ({cpu:.1f} s of a processor) with a constant camera; two "
              f"expressions add {more_wall - wall:.1f} s ({more_cpu - cpu:.1f} s)", flush=True)  # fmt: skip


def _seconds(manifest: str, output: str) -> tuple[float, float]:
    began, spent = time.perf_counter(), time.process_time()
    planned(manifest, output).chunks(ACTORS)
    return time.perf_counter() - began, time.process_time() - spent


def listing(frames: int, length: int) -> None:
    """Print the seconds that a resumed job and `status` take to see what is there."""
    rows = rows_of(frames, length)
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder, running_s3_server() as server:
        server.create_bucket("bench")
        os.environ.update(server.environment)
        manifest, output = write_manifest(Path(folder) / "m.parquet", rows), "s3://bench/out"
        storage = Storage(output)
        seconds, _ = _timed(lambda: _fill(server, storage, planned(manifest, output), Path(folder) / "out"))
        print(f"{frames:,} objects in {len(rows):,} folders, put in {seconds:.0f} s", flush=True)
        seconds, again = _timed(lambda: planned(manifest, output))
        if again.frames_to_render:
            raise RuntimeError(f"{again.frames_to_render} frames were not seen")
        print(f"a resumed job: read, listed and planned in {seconds:.1f} s", flush=True)
        del again
        seconds, statuses = _timed(lambda: list(stored_status(storage, Registry())))
        if sum(status.done for status in statuses) != len(rows) * length:
            raise RuntimeError("the status does not tell all frames")
        print(f"status: {seconds:.1f} s", flush=True)


def _fill(server: S3Server, storage: Storage, job: RenderJob, folder: Path) -> None:
    """An object for every frame of `job`, made in `folder`, and the plans."""
    for run in job.runs.values():
        for frame in run.work.frames:
            file = folder / frame_key(run.work.video_id, frame.index, frame.digest)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
    server.copy_in(folder, "bench")
    with ThreadPoolExecutor(PUTS_AT_ONCE) as threads:
        list(threads.map(lambda run: save_plan(storage, run.work), job.runs.values()))


def report(frames: int, length: int) -> None:
    """Print the seconds and the memory of gathering and putting the report of a large output, in a process alone."""
    rows = rows_of(frames, length)
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        output = str(Path(folder) / "out")
        _fill_finished(planned(write_manifest(Path(folder) / "m.parquet", rows), output))
        mine = write_manifest(Path(folder) / "mine.parquet", [ManifestRow(video_id="mine", prompt="a boat")])
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            first, again, put, megabytes, page = alone.apply(_report, (mine, output))
    print(f"{frames:,} frames in {len(rows):,} videos: gathered in {first:.1f} s, again in {again:.2f} s, page drawn "
          f"and put in {put:.1f} s; {megabytes:.0f} MB at its greatest, page of {page:.1f} MB", flush=True)  # fmt: skip


def _fill_finished(job: RenderJob) -> None:
    """What a report reads of `job`, done."""
    noise = Image.effect_noise((512, 512), 60).convert("RGB")
    stream = io.BytesIO()
    noise.save(stream, "PNG")
    picture = stream.getvalue()

    def fill(run: VideoRun) -> None:
        work, output = run.work, job.output
        for frame in work.frames:
            data = picture if frame.index == work.plan.frames // 2 else b"x"
            output.put(frame_key(work.video_id, frame.index, frame.digest), data)
        for it in work.ranges:
            known = [
                {"video_id": work.video_id, "frame": index, "loss": 0.5, "losses": [0.5] * (300 if index == 0 else 25),
                 "steps": 25, "seconds": 1.0, "total_seconds": 1.1, "worker": "actor-1", "change": 0.1}
                for index in range(it.start, it.stop)
            ]  # fmt: skip
            record = {"frames": known, "change_after": None}
            output.put(it.segment.removesuffix(".seg") + ".json", json.dumps(record).encode())
            output.put(it.segment, b"x")
        save_plan(output, work)
        output.put(f"{work.video_id}/video.mp4", b"x")
        provenance = {"video": "video.mp4", "content": work.content}
        output.put(f"{work.video_id}/provenance.json", json.dumps(provenance).encode())

    with ThreadPoolExecutor(PUTS_AT_ONCE) as threads:
        list(threads.map(fill, job.runs.values()))


def _report(manifest: str, output: str) -> tuple[float, float, float, float, float]:
    job = planned(manifest, output)
    gatherer = OutputReport(job)
    first, gathered = _timed(lambda: gatherer.gather(actors=1))
    if gathered.report.states["waiting"] != 1 or gathered.report.states["done"] != len(gathered.report.videos) - 1:
        raise RuntimeError(f"not all videos are done: {gathered.report.states}")
    again, gathered = _timed(lambda: gatherer.gather(actors=1))
    put, _ = _timed(lambda: publish_report(job.output, gathered))
    page = Path(output, REPORT_PAGE).stat().st_size / 2**20
    return first, again, put, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, page


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def busy(actors: int, minutes: float, frame_seconds: float) -> None:
    """Print how busy simulated actors are kept."""
    from flows.local.own_server import prefect_server
    from tests.benchmarks.simulated import run

    steps, wanted = 10, int(actors * 60 * minutes / frame_seconds)
    rows = list(_mixed(wanted, longest=int(30 * minutes / frame_seconds), steps=steps))
    frames = sum(row.frames for row in rows)
    with prefect_server("flows.orchestration.run"), tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        spent = run(rows, Path(folder), actors, frame_seconds / steps, chunk_seconds=20)
    print(f"{actors} actors, {frames} frames of {frame_seconds:g} s in {len(rows)} videos: {spent.seconds:.1f} s, "
          f"{spent.steps:.1%} of the actors' time in steps; {spent.before:.1%} before an actor's first frame, "
          f"{spent.between:.1%} between two, {spent.after:.1%} after its last", flush=True)  # fmt: skip


def _mixed(frames: int, longest: int, steps: int) -> Iterator[ManifestRow]:
    """Videos of chance lengths, `frames` together or a few more."""
    chance, number = random.Random(0), 0
    while frames > 0:
        length = chance.choice((1, 1, 2, 5, 10, longest))
        yield ManifestRow(
            video_id=f"video-{number:04d}", prompt="a reef", frames=length, steps=steps, steps_first=steps, width=64,
            height=64, upscale=1, handoff="chain", format="png" if length == 1 else "mp4",
        )  # fmt: skip
        frames, number = frames - length, number + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    for name, frames, length in (
        ("plan", 1_000_000, 1000),
        ("schedules", 1_000_000, 1000),
        ("listing", 1_000_000, 1000),
        ("report", 400_000, 100),
    ):
        part = what.add_parser(name)
        part.add_argument("--frames", type=int, default=frames)
        part.add_argument("--length", type=int, default=length, help="frames of each video")
    what.add_parser("stills").add_argument("--rows", type=int, default=100_000)
    fleet = what.add_parser("busy")
    fleet.add_argument("--actors", type=int, default=ACTORS)
    fleet.add_argument("--minutes", type=float, default=2)
    fleet.add_argument("--frame-seconds", type=float, default=2)
    chosen = parser.parse_args()
    print(machine())
    if chosen.what == "plan":
        plan(chosen.frames, chosen.length)
    elif chosen.what == "stills":
        stills(chosen.rows)
    elif chosen.what == "schedules":
        schedules(chosen.frames, chosen.length)
    elif chosen.what == "listing":
        listing(chosen.frames, chosen.length)
    elif chosen.what == "report":
        report(chosen.frames, chosen.length)
    else:
        busy(chosen.actors, chosen.minutes, chosen.frame_seconds)


if __name__ == "__main__":
    main()
