"""The flow `nightly` with a real server and real actors: which night a run is for, and what it says when it can't."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.helpers.flow_runs import FlowRun, latest_run, server
from tests.helpers.render_jobs import quick_row, write_manifest

pytestmark = pytest.mark.usefixtures("prefect_server")


def scheduled_run(when: datetime, parameters: dict[str, Any]) -> UUID:
    """A run of a deployment of `nightly`, as its schedule makes it."""
    from prefect.states import Scheduled

    with server() as client:
        flow = client.create_flow_from_name("nightly")
        deployment = client.create_deployment(flow_id=flow, name="nightly", enforce_parameter_schema=False)
        run = client.create_flow_run_from_deployment(
            deployment, parameters=parameters, state=Scheduled(scheduled_time=when)
        )
    return UUID(str(run.id))


def start(run: UUID) -> Any:
    """One attempt at it, in this process, as a runner makes it; gives the state and the run's name."""
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    from flows.nightly import nightly

    with server() as client:
        client.set_flow_run_state(run, Pending())
        found = client.read_flow_run(run)
    state = run_flow(nightly, flow_run=found, parameters=found.parameters, return_type="state")
    with server() as client:
        return state, client.read_flow_run(run).name


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("ray_cluster")
def test_a_late_and_retried_run_is_for_the_night_that_it_was_scheduled_for(tmp_path: Path) -> None:
    from prefect.states import AwaitingRetry

    patterns = {"manifest": f"{tmp_path}/{{date}}.parquet", "output": f"{tmp_path}/{{date:%Y/%m/%d}}"}
    run = scheduled_run(datetime(2026, 1, 9, 23, 30, tzinfo=UTC), {**patterns, "time_zone": "Europe/Berlin"})

    called = "night 2026-01-10: 2026-01-10.parquet to 01/10"
    state, name = start(run)
    assert (state.type.value, state.name, name) == ("FAILED", "ManifestMissing", called)
    assert state.message.startswith(f"the night of 2026-01-10: no manifest at '{tmp_path}/2026-01-10.parquet'")
    assert state.message.endswith("Press Retry once it is there")

    write_manifest(tmp_path / "2026-01-10.parquet", [
        quick_row("apple"), quick_row("pear", "a green pear", review={"sharpness_below": 1_000_000}),
    ])  # fmt: skip
    with server() as client:
        client.set_flow_run_state(run, AwaitingRetry())  # what the UI's Retry does
    state, name = start(run)
    assert (state.name, name) == ("Completed", called), state.message
    output = tmp_path / "2026" / "01" / "10"
    assert (output / "apple" / "video.png").exists()

    summary = json.loads((output / "report" / "summary.json").read_text())
    assert summary["complete"] is True
    assert summary["frames"] == {"wanted": 2, "done": 2, "missing": 0, "rendered": 2, "kept": 0}
    assert {it["video_id"] for it in summary["slowest"]} == {"apple", "pear"}
    assert summary["render_seconds"] > 0
    assert (summary["to_review"], summary["review"][0]["video_id"]) == (1, "pear")
    told = latest_run().artifacts()["summary"]
    assert "| to review | 1 video |" in told
    assert "## 1 video to review" in told
    assert "Slowest videos" in (output / "report" / "index.html").read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "message", "name"),
    [
        ({"time_zone": "Europe/Berlinn"}, "did you mean 'Europe/Berlin'", "night of an unknown date"),
        ({"date": "2026-02-30"}, "date '2026-02-30' is no day", "night of an unknown date"),
        ({"manifest": "{day}.parquet", "date": "2026-02-03"}, "unknown placeholder {day}", "night 2026-02-03"),
    ],
)
def test_wrong_input_is_refused_with_a_sentence(tmp_path: Path, wrong: dict[str, str], message: str, name: str) -> None:
    from flows.nightly import nightly

    run = FlowRun(nightly, **{"manifest": "{date}.parquet", "output": str(tmp_path / "out"), **wrong})
    assert (run.state.type.value, run.state.name) == ("FAILED", "InputInvalid")
    assert message in run.state.message
    assert run.name == name
    assert not (tmp_path / "out").exists()
