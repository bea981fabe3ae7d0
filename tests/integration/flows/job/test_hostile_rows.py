"""A job of a hundred rows, thirty of them hostile: the others are rendered, in bounded time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.api.jobs import run_job
from infra.settings import load_settings
from tests.helpers.command_line import in_this_process
from tests.helpers.commands import Commands
from tests.helpers.hostile_manifest import GOOD, HOSTILE, hostile_manifest
from tests.helpers.render_jobs import quick_row

#: As an operator would set it who has a server of pictures on this machine.
ENVIRONMENT = {"NIGHTREEL_READ_PRIVATE_HOSTS": "127.0.0.1", "NIGHTREEL_READ_SECONDS": "10"}
MEMORY = 1_000_000_000
A_MINUTE = 60.0


def planned(manifest: str, output: Path) -> dict[str, Any]:
    """What a process says that plans the manifest; it has no more address space than four gigabytes."""
    command = [sys.executable, "-m", "tests.helpers.hostile_manifest", manifest, str(output)]
    limited = ["bash", "-c", 'ulimit -v 4000000; exec "$@"', "bash", *command]
    done = subprocess.run(limited, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def check(found: dict[str, Any]) -> None:
    assert len(found["good"]) == GOOD
    assert all(name.startswith("good-") for name in found["good"])
    assert len(found["bad"]) == HOSTILE
    for name, reason in found["bad"].items():
        number = int(name.removeprefix("bad-")) + 1
        assert re.search(rf"\brow {number}\b", reason), reason
        assert len(reason) < 1_000
    assert found["planner"] < MEMORY


def test_planning_costs_a_minute_at_most_and_names_thirty_places(tmp_path: Path, cases: Path) -> None:
    with hostile_manifest(tmp_path, cases) as manifest:
        began = time.monotonic()
        check(planned(manifest, tmp_path / "out"))
        assert time.monotonic() - began < 60


@pytest.mark.minutes
@pytest.mark.alone
def test_the_other_rows_are_rendered_by_the_command(tmp_path: Path, cases: Path) -> None:
    nightreel = Commands(tmp_path, {**ENVIRONMENT, "NIGHTREEL_ACTORS": "1"})
    with hostile_manifest(tmp_path, cases) as manifest:
        running = nightreel.start("render", manifest, "--output", tmp_path / "out")
        peak, until = 0, time.monotonic() + 500
        while running.process.poll() is None and time.monotonic() < until:
            peak = max(peak, peak_of(running.process.pid))
            time.sleep(0.5)
        said = running.wait(1)
    assert said.code == 1
    assert len(set(re.findall(r"\brow (\d+)\b", said.err))) == HOSTILE
    assert 0 < peak < MEMORY
    assert len(list((tmp_path / "out").glob("good-*/video.*"))) == GOOD


@pytest.mark.minutes
@pytest.mark.alone
def test_they_cost_the_others_a_minute_at_most(tmp_path: Path, cases: Path, operators_settings: None) -> None:
    """Both jobs whole, in this process: no server and no cluster, whose starts take longer than that on a busy day."""
    assert run_job([quick_row("first")], tmp_path / "first").complete  # what is imported and loaded once, is by now
    with hostile_manifest(tmp_path, cases) as manifest:
        table = pq.read_table(manifest)
        pq.write_table(table.filter(pc.starts_with(table["video_id"], "good-")), tmp_path / "good.parquet")
        alone = run_job(tmp_path / "good.parquet", tmp_path / "alone", workers=2)
        together = run_job(manifest, tmp_path / "together", workers=2)
    assert (alone.complete, together.complete) == (True, False)
    assert sum(video.state == "done" for video in together.videos) == GOOD
    assert len([it for it in together.videos if it.state == "failed"]) + together.problems.rows == HOSTILE
    print(f"the good rows alone {alone.seconds:.1f} s, all rows {together.seconds:.1f} s")
    assert together.seconds < alone.seconds + A_MINUTE


@pytest.fixture
def operators_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def peak_of(pid: int) -> int:
    """The most bytes of memory that a process, which plans and drives, has had; 0 once it is gone."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def test_the_command_says_thirty_places(
    tmp_path: Path, cases: Path, operators_settings: None, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NIGHTREEL_READ_SECONDS", "1")
    load_settings.cache_clear()
    with hostile_manifest(tmp_path, cases) as manifest:
        said = in_this_process(capsys)("plan", manifest, "--output", tmp_path / "out")
    assert len(set(re.findall(r"\brow (\d+)\b", said.err))) == HOSTILE
    assert len(said.err) < 30_000
    assert said.code == 2
