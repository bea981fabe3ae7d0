"""`nightreel finetune` from outside: a worker killed, the whole command killed, and the result rendered by its name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.blueprints import write_blueprints
from tests.helpers.commands import Commands, Running, descendants, running_prefect_server, wait_until_gone
from tests.helpers.render_jobs import quick_row, write_manifest

STEPS = 200


def wait_for(condition: Callable[[], bool], running: Running, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert running.process.poll() is None, running.err.read_text()[-3000:]
        assert time.monotonic() < deadline, running.err.read_text()[-3000:]
        time.sleep(0.05)


@pytest.mark.slow  # five minutes, most of which Ray Train takes to start, three times
def test_a_new_domain_through_two_kills_to_a_rendered_frame(tmp_path: Path) -> None:
    write_blueprints(tmp_path / "pictures", 50)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    folder, checkpoint = tmp_path / "blueprint", tmp_path / "blueprint" / "training" / "checkpoint.pt"
    written_to = folder / "training" / "progress.json"

    def progress() -> dict[str, float]:
        try:
            return dict(json.loads(written_to.read_text()))
        except (OSError, ValueError):
            return {}

    with running_prefect_server(tmp_path) as url:
        environment = {"PREFECT_API_URL": url, "NIGHTREEL_MODELS_FOLDER": str(tmp_path / "models")}
        nightreel = Commands(tmp_path, environment)
        command = ("finetune", tmp_path / "pictures", "-o", folder, "--steps", STEPS, "--json")

        running = nightreel.start(*command)
        wait_for(lambda: checkpoint.exists() and progress().get("step", 0) > 55, running, 240)
        lost = int(progress()["process"])
        os.kill(lost, signal.SIGKILL)
        # Ray Train starts the worker again, and it goes on from step 50, not from 0.
        wait_for(lambda: progress().get("process", lost) != lost and progress().get("step", 0) > 70, running, 180)
        assert progress()["step"] < STEPS
        everything = descendants(running.process.pid)
        running.kill()
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert wait_until_gone(everything, 20) == []
        assert not (folder / "report.json").exists()

        ended = nightreel(*command, seconds=300)
        assert ended.code == 0, ended.err
        assert "broken.png" in ended.err
        report = ended.json
        assert report["steps"] == STEPS
        assert report["psnr_after"] > report["psnr_before"] + 0.5
        lines = (folder / "training" / "curves.csv").read_text().splitlines()
        steps = [float(line.split(",")[0]) for line in lines[1:]]
        assert steps == sorted(set(steps))  # no line twice, though the same steps were run again
        assert (folder / "before-after.png").stat().st_size > 1000

        again = nightreel(*command)
        assert (again.code, again.json["trained"]) == (0, False)

        write_manifest(tmp_path / "m.parquet", [quick_row("plan", "a house", model="blueprint")])
        rendered = nightreel("render", tmp_path / "m.parquet", "--output", tmp_path / "out", "--json")
        assert rendered.code == 0, rendered.err
        shown = nightreel("status", tmp_path / "out", "--json")
        assert shown.code == 0, shown.err
    provenance = json.loads((tmp_path / "out" / "plan" / "provenance.json").read_text())
    assert "blueprint" in json.dumps(provenance["model"])
