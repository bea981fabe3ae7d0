"""A bad night: 200 videos, 5 % of them poisoned, an actor killed every 20 s, 2 % of all requests to storage failing.

Through `nightreel up` and its deployment `nightly`, against a real S3 server behind the fault proxy. Run as
`python -m tests.end_to_end.night --record infra/docs/night.md` it keeps its figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import InfraSettings
from infra.storage.storage import Storage, disconnect
from manifests.schema import ManifestRow
from tests.helpers.fault_proxy import FaultPlan, FaultProxy
from tests.helpers.render_jobs import quick_row, write_manifest
from tests.helpers.s3_server import running_s3_server
from tests.helpers.up import ENDED, RunningUp, running_up

__all__ = ["NightResult", "night_rows", "run_night"]

VIDEOS = 200
ACTORS = 2
CHUNK_SECONDS = 3.0
KILL_SECONDS = 20.0
STORAGE_FAULTS = 0.02
DATE = "2026-11-23"
LENGTHS = (1, 1, 8, 1, 5, 1, 12)  # frames, in turn
PROMPTS = ("a red apple", "a fish", "a boat", "a blue bird", "a house", "the moon", "a green tree")
# Of a machine that is busy elsewhere; an idle one needs some minutes.
NIGHT_SECONDS = 5400.0


@dataclass
class NightResult:
    """What a night has shown; the lists of `lost` and `unlisted` hold video ids."""

    state: str = ""
    message: str = ""
    attempts: int = 0
    videos: int = 0
    frames: int = 0
    poisoned: int = 0
    lost: list[str] = field(default_factory=list)
    """good videos that are not there, or not whole"""
    unlisted: list[str] = field(default_factory=list)
    """poisoned rows of which the report, or `status`, says nothing"""
    wrongly_listed: list[str] = field(default_factory=list)
    """good videos that the report calls failed"""
    kills: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    storage_faults: int = 0
    chunks: int = 0
    task_runs: int = 0
    stitches: int = 0
    repeated: list[str] = field(default_factory=list)
    """chunks with more task runs than the run had attempts"""
    running: list[str] = field(default_factory=list)
    """task runs that the server still shows as Running or Pending after the end"""
    list_seconds: list[float] = field(default_factory=list)
    """answers to the request by which the UI lists task runs, during the night"""
    list_seconds_after: list[float] = field(default_factory=list)
    seconds: float = 0.0


def night_rows(folder: Path, videos: int = VIDEOS) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """Good rows and poisoned ones, together `videos`: one in twenty fails when it is planned or rendered."""
    picture, broken = folder / "start.png", folder / "broken.png"
    Image.effect_noise((48, 48), 60).convert("RGB").save(picture)
    Image.effect_noise((48, 48), 60).save(broken)
    broken.write_bytes(broken.read_bytes()[:-500])  # its head, which is all that a plan looks at, is whole
    good, poisoned = list[ManifestRow](), list[ManifestRow]()
    poisons: tuple[dict[str, Any], ...] = (
        {"init_image": str(folder / "gone.png")}, {"init_image": str(broken)}, {"width": 33},
    )  # fmt: skip
    for number in range(videos):
        prompt = PROMPTS[number % len(PROMPTS)]
        if number % 20 == 7:
            poison = poisons[len(poisoned) % len(poisons)]
            frames = 1 + 3 * (len(poisoned) % 2)
            poisoned.append(quick_row(f"bad-{number:03d}", prompt, seed=number, frames=frames, **poison))
            continue
        start = {"init_image": str(picture)} if number % 11 == 3 else {}
        frames = LENGTHS[number % len(LENGTHS)]
        good.append(quick_row(f"reel-{number:03d}", prompt, seed=number, frames=frames, **start))
    return good, poisoned


def run_night(folder: Path, videos: int = VIDEOS, say: Callable[[str], None] = lambda _: None) -> NightResult:
    """Run the night to its end. It is for a process of its own: the environment is changed."""
    good, poisoned = night_rows(folder, videos)
    result = NightResult(videos=videos, poisoned=len(poisoned), frames=sum(row.frames for row in (*good, *poisoned)))
    rows = sorted((*good, *poisoned), key=lambda row: row.video_id.rpartition("-")[2])
    write_manifest(folder / f"night-{DATE}.parquet", rows)
    with (
        running_s3_server() as server,
        FaultProxy(server.url, FaultPlan.all_ways(20, STORAGE_FAULTS)) as proxy,
    ):
        server.create_bucket("nights")
        environment = {**server.environment, "AWS_ENDPOINT_URL": proxy.url}
        os.environ.update(environment)
        disconnect()
        environment |= {"NIGHTREEL_ACTORS": str(ACTORS), "NIGHTREEL_CHUNK_SECONDS": str(CHUNK_SECONDS)}
        # on a machine that has other work, actors would hardly get on
        environment["RAY_worker_niceness"] = "0"
        with running_up(folder, environment) as up:
            began = time.monotonic()
            run = up.start_run(
                "nightly", manifest=str(folder / "night-{date}.parquet"), output="s3://nights/{date}", date=DATE
            )
            _through_the_night(up, run, result, say)
            result.seconds = time.monotonic() - began
            result.requests, result.storage_faults = proxy.counts["requests"], proxy.faults
            proxy.plan = FaultPlan()
            for _ in range(5):
                result.list_seconds_after.append(_list_task_runs(up, run))
            _ask_the_server(up, run, result, str(folder / f"night-{DATE}.parquet"))
            _look(result, Storage(f"s3://nights/{DATE}"), good, poisoned)
    return result


def _through_the_night(up: RunningUp, run: str, result: NightResult, say: Callable[[str], None]) -> None:
    """Kill an actor every now and then, and look at the list as somebody does who cannot sleep."""
    kill_at = time.monotonic() + KILL_SECONDS

    def over() -> bool:
        nonlocal kill_at
        if time.monotonic() >= kill_at:
            kill_at = time.monotonic() + KILL_SECONDS
            found = up.actors()
            if found:
                os.kill(found[result.kills % len(found)], signal.SIGKILL)
                result.kills += 1
            result.list_seconds.append(_list_task_runs(up, run))
            say(f"{result.kills} actors killed, list in {result.list_seconds[-1]:.2f} s")
        shown = up.run(run)
        result.state, result.message = shown["state_name"], shown["state"]["message"] or ""
        result.attempts = shown["run_count"]
        return shown["state_type"] in ("COMPLETED", "FAILED", "CANCELLED")  # a crashed one is begun again

    up.wait_until(over, NIGHT_SECONDS, "the end of the night")


def _list_task_runs(up: RunningUp, run: str) -> float:
    """Seconds for what the UI's list of task runs asks for."""
    began = time.monotonic()
    chosen = {"flow_runs": {"id": {"any_": [run]}}}
    up.post("/task_runs/paginate", page=1, limit=100, sort="EXPECTED_START_TIME_DESC", **chosen)
    up.post("/task_runs/count", **chosen)
    return time.monotonic() - began


def _ask_the_server(up: RunningUp, run: str, result: NightResult, manifest: str) -> None:
    """Task runs by chunk. The server hears of them a moment late, so wait until their number stays."""
    settings = InfraSettings(chunk_seconds=CHUNK_SECONDS)
    job = RenderJob(RenderParameters(manifest, "memory://night-plan"), settings)
    job.read(write=False)
    chunks = {chunk.name for chunk in job.chunks(ACTORS)}
    result.chunks = len(chunks)
    seen: list[tuple[str, str]] = []
    while True:
        time.sleep(5)
        before, seen = seen, _task_runs(up, run)
        if seen == before:
            break
    names = Counter(name for name, _ in seen)
    result.task_runs = names.total()
    result.stitches = sum(times for name, times in names.items() if name.endswith(" stitch"))
    result.running = [name for name, state in seen if state not in ENDED]
    # what follows a first attempt is cut again, from what is left: names of its own, but no more than once an attempt
    result.repeated = [name for name, times in names.items() if times > result.attempts]
    if result.attempts == 1:
        result.repeated += [name for name in names if name not in chunks and not name.endswith(" stitch")]


def _task_runs(up: RunningUp, run: str) -> list[tuple[str, str]]:
    """Name and type of state of every task run."""
    found: list[tuple[str, str]] = []
    for offset in range(0, 10_000, 200):
        chosen = {"flow_runs": {"id": {"any_": [run]}}, "limit": 200, "offset": offset, "sort": "ID_DESC"}
        page = up.post("/task_runs/filter", **chosen)
        found += [(it["name"], it["state_type"]) for it in page]
        if len(page) < 200:
            return found
    raise AssertionError("more than ten thousand task runs")


def _look(result: NightResult, output: Storage, good: list[ManifestRow], poisoned: list[ManifestRow]) -> None:
    """What lies in storage, and what the report says."""
    for row in good:
        try:
            provenance = json.loads(output.read(f"{row.video_id}/provenance.json"))
            data = output.read(f"{row.video_id}/{provenance['video']}")
            whole = provenance["frames"] == row.frames and hashlib.sha256(data).hexdigest() == provenance["sha256"]
            frames = [info.key for info in output.list(f"{row.video_id}/frames")]
            whole = whole and len(frames) == row.frames
        except Exception as error:
            whole = False
            print(f"{row.video_id}: {error}", file=sys.stderr)
        if not whole:
            result.lost.append(row.video_id)
    summary = json.loads(output.read("report/summary.json"))
    listed = json.dumps([summary["incomplete"], summary["problems"]])
    result.failures.update({kind: counts["attempts"] for kind, counts in summary["failures"].items()})
    result.unlisted = [row.video_id for row in poisoned if f'"{row.video_id}"' not in listed]
    result.wrongly_listed = [row.video_id for row in good if f'"{row.video_id}"' in listed]


def markdown(result: NightResult) -> str:
    """The figures for people: infra/docs/night.md."""
    lists = result.list_seconds or result.list_seconds_after
    rows = [
        ("date", f"{datetime.now(UTC):%Y-%m-%d}"),
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, {ACTORS} actors, embedded model at 32 px"),
        ("videos, frames", f"{result.videos}, {result.frames}"),
        ("poisoned rows", f"{result.poisoned}, {len(result.unlisted)} of them not listed as failed"),
        ("the run ended by itself", f"{result.state}: {result.message}"),
        ("good videos that are not there and whole", len(result.lost)),
        ("actors killed", result.kills),
        ("requests to storage that failed", f"{result.storage_faults} of {result.requests}"),
        ("failures recorded, by class", ", ".join(f"{k} {n}" for k, n in result.failures.items())),
        ("chunks, attempts of the run", f"{result.chunks}, {result.attempts}"),
        ("task runs on the server", f"{result.task_runs}, {result.stitches} of them stitches"),
        ("chunks with more than one task run an attempt", len(result.repeated)),
        ("task runs left Running or Pending", len(result.running)),
        ("list of task runs (the UI's two requests), during the night",
         f"median {statistics.median(lists):.2f} s, slowest {max(lists):.2f} s"),
        ("after it", f"{min(result.list_seconds_after):.2f}-{max(result.list_seconds_after):.2f} s"),
        ("seconds", f"{result.seconds:.0f}"),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# A bad night: the last result

Written by `python -m tests.end_to_end.night --record infra/docs/night.md`: `nightreel up`, its deployment `nightly`, a
real S3 server behind a proxy that fails 2 % of all requests, an actor killed every {KILL_SECONDS:.0f} s, and one row in
twenty that can't be rendered (its start picture is missing, or is no picture, or its size is not allowed).

| | |
|---|---|
{table}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.night", description=__doc__)
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--record", type=Path, help="Markdown file for the figures")
    parser.add_argument("--json", action="store_true", help="the figures on stdout, as JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nr-night-") as folder:
        result = run_night(Path(folder), chosen.videos, lambda line: print(line, file=sys.stderr, flush=True))
    text = markdown(result)
    print(text, file=sys.stderr)
    if chosen.json:
        print(json.dumps(vars(result)))
    if chosen.record:
        chosen.record.write_text(text, encoding="utf-8")
    broken = (result.lost, result.unlisted, result.wrongly_listed, result.repeated, result.running)
    return 1 if any(broken) else 0


if __name__ == "__main__":
    sys.exit(main())
