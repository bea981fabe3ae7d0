"""A chaos run: a job in a process of its own, started again until it is complete, and a killer that works meanwhile.

What is asserted at the end is in tests/chaos/result.py.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flows.doctor.findings import repair_all
from flows.doctor.storage import check_storage, damage
from infra.storage.storage import Storage, disconnect
from manifests.schema import ManifestRow
from tests.chaos.cluster import ChaosCluster, chaos_cluster
from tests.chaos.counting_proxy import CountingProxy
from tests.chaos.result import ChaosResult, compare, count
from tests.chaos.schedule import Fault, FaultSchedule
from tests.helpers.fault_proxy import FaultPlan
from tests.helpers.render_jobs import quick_row, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.s3_server import running_s3_server

__all__ = ["chaos_rows", "run_chaos"]

NODES = 2
FRAMES_PER_FAULT = 4
ALWAYS, BURST = 0.02, 0.3  # the share of requests to storage that fail, and in a burst
BURST_REQUESTS = 40
POLL_SECONDS = 0.05
# Attempts in a row that end by themselves without a new frame: then nothing will come of it any more.
FRUITLESS = 4
LENGTHS = (1, 12, 1, 30, 1, 8, 20)  # frames, in turn
PROMPTS = ("a red apple", "a fish", "a boat", "a blue bird", "a house", "the moon", "a green tree")


def chaos_rows(frames: int) -> list[ManifestRow]:
    """Stills and short videos of at least so many `frames` together, all different, in several formats, chains and
    keyframes."""
    rows, formats = list[ManifestRow](), itertools.cycle(("mp4", "gif", "mp4", "webm"))
    for number, length in enumerate(itertools.cycle(LENGTHS)):
        if sum(row.frames for row in rows) >= frames:
            return rows
        settings: dict[str, Any] = {"format": "png"} if length == 1 else {"format": next(formats), "frames": length}
        if length == max(LENGTHS):
            settings |= {"handoff": "keyframes", "keyframe_every": 3}
        prompt = PROMPTS[number % len(PROMPTS)]
        rows.append(quick_row(f"video-{number:03d}", prompt, seed=number, steps_first=2, steps=1, **settings))
    raise AssertionError("unreachable")


def run_chaos(
    seed: int, faults: int, folder: Path, say: Callable[[str], None] = lambda _: None, *, seconds: float = math.inf
) -> ChaosResult:
    """Render a job undisturbed, and once more while `faults` faults strike; compare. `folder` is for its files; none
    strikes after so many `seconds`."""
    began = time.monotonic()
    rows = chaos_rows(max(60, faults * FRAMES_PER_FAULT))
    frames = sum(row.frames for row in rows)
    schedule = FaultSchedule.of(seed, faults, frames)
    result = ChaosResult(seed, faults, frames, len(rows))
    manifest = write_manifest(folder / "chaos.parquet", rows)
    environment = _environment(folder)
    with ExitStack() as stack:
        quiet = _Process(folder, "undisturbed", [manifest, str(folder / "undisturbed"), "--alone"], environment)
        stack.callback(quiet.kill)
        server = stack.enter_context(running_s3_server())
        server.create_bucket("chaos")
        proxy = stack.enter_context(CountingProxy(server.url, FaultPlan.all_ways(seed, ALWAYS)))
        # for this process, and for those that Ray starts; put back by whoever runs this as a process of its own
        os.environ.update({**server.environment, "AWS_ENDPOINT_URL": proxy.url})
        disconnect()
        cluster = stack.enter_context(chaos_cluster(NODES))
        code = quiet.process.wait()
        if code:
            raise RuntimeError(f"the undisturbed run ended with {code}:\n{quiet.said()}")
        say(f"{frames} frames undisturbed, {time.monotonic() - began:.0f} s")

        environment = {**environment, **server.environment, "AWS_ENDPOINT_URL": proxy.url}
        environment["NIGHTREEL_RAY_ADDRESS"] = cluster.address
        quietly = Storage("s3://chaos/out", {"endpoint_url": server.url})
        chaos = _Chaos(schedule, manifest, folder, environment, cluster, proxy, quietly, result, say)
        chaos.until = began + seconds
        stack.callback(chaos.end)
        chaos.run()
        proxy.plan = FaultPlan()
        compare(result, Storage(str(folder / "undisturbed")), quietly)
        count(result, proxy, chaos.taken_away)
        chaos.end()
        result.left = [*cluster.returned(), *cluster.shut_down()]
    result.seconds = time.monotonic() - began
    return result


class _Process:
    """One attempt."""

    def __init__(self, folder: Path, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._out, self._err = folder / f"{name}.stdout", folder / f"{name}.stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.job", *arguments], cwd=ROOT, env=dict(environment),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def report(self) -> dict[str, Any]:
        """Its last word, empty if it had none."""
        lines = self._out.read_text().splitlines()
        return dict(json.loads(lines[-1])) if lines and lines[-1].startswith("{") else {}

    def said(self) -> str:
        return self._out.read_text()[-2000:] + self._err.read_text()[-4000:]


class _Chaos:
    """The job under way, and the killer."""

    def __init__(
        self, schedule: FaultSchedule, manifest: str, folder: Path, environment: Mapping[str, str],
        cluster: ChaosCluster, proxy: CountingProxy, quietly: Storage, result: ChaosResult, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.schedule, self.manifest, self.folder, self.environment = schedule, manifest, folder, environment
        self.cluster, self.proxy, self.quietly, self.result, self.say = cluster, proxy, quietly, result, say
        self.taken_away: Counter[str] = Counter()
        self.due = list(schedule.faults)
        self.job: _Process | None = None
        self.burst_ends: int | None = None
        self.fruitless = 0
        self.frames_at_start = 0
        self.until = math.inf

    def end(self) -> None:
        if self.job is not None:
            self.job.kill()
            self.job = None

    def run(self) -> None:
        """Until the job is complete and the doctor finds nothing, or nothing will come of it any more."""
        while not self.result.incomplete:
            complete = self._attempt()
            if complete and not self._doctor():
                return

    def _attempt(self) -> bool:
        """Start the job and strike until it ends; gives whether it is complete."""
        self.result.attempts += 1
        self.frames_at_start = len(self.proxy.committed)
        self.job = job = _Process(
            self.folder, f"attempt-{self.result.attempts}", [self.manifest, "s3://chaos/out"], self.environment
        )
        looked = 0.0
        while job.process.poll() is None:
            self._strike()
            if time.monotonic() - looked > 1:
                self.cluster.look()
                looked = time.monotonic()
            time.sleep(POLL_SECONDS)
        report = job.report()
        self.result.failures.update(report.get("failures", {}))
        self.say(f"attempt {self.result.attempts}: exit {job.process.returncode}, {len(self.proxy.committed)} frames "
                 f"committed, {self.result.struck} faults {report}")  # fmt: skip
        if job.process.returncode == 0:
            return True
        if job.process.returncode > 0:  # by itself
            self.fruitless = 0 if len(self.proxy.committed) > self.frames_at_start else self.fruitless + 1
            if self.fruitless >= FRUITLESS:
                self.result.incomplete = job.said()
        return False

    def _doctor(self) -> bool:
        """Have damaged frames taken away that no job has noticed; gives whether there were any."""
        before = {info.key for info in self.quietly.list() if "/frames/" in info.key}
        list(repair_all(list(check_storage("s3://chaos/out", deep=True))))
        gone = before - {info.key for info in self.quietly.list()}
        self.taken_away.update(gone)
        self.result.repaired_by_doctor += len(gone)
        return bool(gone)

    def _strike(self) -> None:
        """Whatever is due and finds a victim."""
        if self.burst_ends is not None and self.proxy.counts["requests"] >= self.burst_ends:
            self.proxy.plan, self.burst_ends = FaultPlan.all_ways(self.schedule.seed, ALWAYS), None
        committed = self.proxy.committed
        if not self.due or self.due[0].after > len(committed) or time.monotonic() > self.until:
            return
        for fault in itertools.takewhile(lambda it: it.after <= len(committed), list(self.due)):
            if self._struck(fault, committed):
                self.due.remove(fault)
                self.result.faults[fault.kind] += 1
                self.say(f"{len(committed)} frames: {fault.kind}")
                return

    def _struck(self, fault: Fault, committed: list[str]) -> bool:
        if fault.kind in ("actor killed", "fair share killed"):
            found = self.cluster.actors("_Actor" if fault.kind == "actor killed" else "_FairShareActor")
            if found:
                self.cluster.kill(found[int(fault.chance * len(found))])
            return bool(found)
        if fault.kind == "storage burst":
            if self.burst_ends is not None:
                return False
            self.proxy.plan = FaultPlan.all_ways(fault.after, BURST)
            self.burst_ends = self.proxy.counts["requests"] + BURST_REQUESTS
            return True
        if fault.kind == "node replaced":
            self.cluster.replace_node(fault.chance)
            return True
        if fault.kind == "driver killed":
            # one that has done nothing yet is no victim: the job must get on between two deaths
            if self.job is None or len(committed) <= self.frames_at_start:
                return False
            self.job.kill()
            return True
        return self._damage(fault, committed)

    def _damage(self, fault: Fault, committed: list[str]) -> bool:
        """A flipped bit or a lost end, in a frame that was put a moment ago: one that may be needed yet."""
        dice = random.Random(fault.chance)
        key = dice.choice(committed[-8:])
        data = bytearray(self.quietly.read(key))
        if dice.random() < 0.5:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        else:
            del data[dice.randrange(len(data)) :]
        if not damage(key, bytes(data)):  # a bit that decides nothing; the comparison at the end would mind it
            return False
        self.quietly.put(key, bytes(data), existing="replace")
        self.result.damaged += 1
        return True


def _environment(folder: Path) -> dict[str, str]:
    """This process's, less what its user has set for other purposes."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTREEL_", "AWS_"))}
    (folder / "tmp").mkdir(exist_ok=True)
    # NIGHTREEL_DEVICE stays `auto`: `cpu` would mean that actors take no (logical) GPU
    return {**clean, "NIGHTREEL_CHUNK_SECONDS": "1", "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
