"""A manifest that is rendered in parts, with a real server and real actors: the runs that it becomes, the one that
began them, and how it ends."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows.job.output_videos import stored_wants
from infra.storage.storage import Storage
from tests.helpers.flow_runs import FlowRun, server
from tests.helpers.render_jobs import quick_row, write_manifest

pytestmark = [pytest.mark.usefixtures("prefect_server", "ray_cluster"), pytest.mark.timeout(600)]


def deployed_run(flow: str = "render-manifest", **parameters: Any) -> UUID:
    """A run of a deployment; that of `render-manifest`, of which parts are runs, is there as well."""
    with server() as client:
        for name in {"render-manifest", flow}:
            deployment = client.create_deployment(
                flow_id=client.create_flow_from_name(name), name=name, enforce_parameter_schema=False
            )
        found = client.read_deployment_by_name(f"{flow}/{flow}")
        assert deployment
        return UUID(str(client.create_flow_run_from_deployment(found.id, parameters=parameters).id))


def attempt(run: UUID, *, scheduled: Any = None) -> Any:
    """One attempt, in this process, as a worker makes it; what the server says of the run afterwards."""
    from prefect.exceptions import Abort
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    from flows.nightly import nightly
    from flows.render_manifest import render_manifest

    with server() as client:
        if scheduled is not None:
            client.set_flow_run_state(run, scheduled, force=True)
        client.set_flow_run_state(run, Pending(), force=True)
        found = client.read_flow_run(run)
        flow = {"nightly": nightly, "render-manifest": render_manifest}[client.read_flow(found.flow_id).name]
    with suppress(Abort):  # it waits for its parts
        run_flow(flow, flow_run=found, parameters=found.parameters, return_type="state")
    return read(run)


def read(run: UUID) -> Any:
    with server() as client:
        return client.read_flow_run(run)


def parts_of(run: UUID) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    chosen = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    with server() as client:
        return sorted(client.read_flow_runs(flow_run_filter=chosen), key=lambda it: it.parameters["part"])


def waits(run: UUID) -> timedelta:
    """For how long a run that waits is still to wait."""
    found = read(run)
    assert (found.state.type.value, found.state.name) == ("SCHEDULED", "AwaitingParts")
    return found.state.state_details.scheduled_time - datetime.now(UTC)


def summary(run: UUID) -> str:
    seen = FlowRun.__new__(FlowRun)
    seen.id = run
    return str(seen.artifacts()["summary"])


@pytest.mark.minutes
def test_a_manifest_becomes_runs_of_its_parts_and_a_summary(tmp_path: Path) -> None:
    from prefect.states import AwaitingRetry

    rows = [quick_row("a"), quick_row("b"), quick_row("c"), quick_row("d", continues="a", frames=2)]
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), tmp_path / "out"
    run = deployed_run(manifest=manifest, output=str(output), videos_per_run=2)

    attempt(run)
    assert timedelta(minutes=4) < waits(run) < timedelta(minutes=5)
    parts = parts_of(run)
    assert [(it.parameters["part"], it.state.name) for it in parts] == [(1, "Scheduled"), (2, "Scheduled")]
    assert not output.exists() or not list(output.glob("*/frames")), "it renders nothing itself"

    ended = attempt(parts[1].id)
    assert (ended.state.name, ended.name) == (
        "Completed",
        "render m.parquet to " + "/".join(output.parts[-2:]) + ", part 2",
    )
    assert sorted(it.parent.name for it in output.glob("*/video.*")) == ["b", "c"]
    assert waits(run) > timedelta(minutes=1), "another is not over"
    assert attempt(parts[0].id).state.name == "Completed"
    assert waits(run) < timedelta(0), "the last one has it look, before runs that came later than it"

    whole = attempt(run)
    assert (whole.state.name, whole.state.message) == (
        "Completed", "5 frames, 4 videos in 2 parts; 5 frames rendered by this run",
    )  # fmt: skip
    assert "| 2 | render m.parquet" in summary(run)
    assert "3 of 3 | 2 of 2" in summary(run)

    # Retry in the UI: all parts are begun again, and look for what is missing
    (output / "b" / "video.png").unlink()
    attempt(run, scheduled=AwaitingRetry())
    assert [it.state.name for it in parts_of(run)] == ["AwaitingRetry", "AwaitingRetry"]
    for part in parts_of(run):
        assert attempt(part.id).state.name == "Completed"
    assert attempt(run).state.name == "Completed"
    assert (output / "b" / "video.png").exists()


@pytest.mark.minutes
def test_a_night_says_which_of_its_parts_went_wrong(tmp_path: Path) -> None:
    rows = [quick_row("a"), quick_row("b", init_image=str(tmp_path / "nowhere.png")), quick_row("c")]
    write_manifest(tmp_path / "2026-01-10.parquet", rows)
    patterns = {"manifest": f"{tmp_path}/{{date}}.parquet", "output": f"{tmp_path}/{{date}}"}
    run = deployed_run("nightly", **patterns, date="2026-01-10", videos_per_run=1)

    attempt(run)
    waits(run)
    assert {it.parameters["priority"] for it in parts_of(run)} == {-10}
    for part in parts_of(run):
        attempt(part.id)
    whole = attempt(run)

    assert (whole.state.type.value, whole.state.name) == ("FAILED", "FramesMissing")
    assert whole.state.message.startswith(
        "1/3 frames missing; 1 of 3 parts not complete: part 2: FramesMissing (1/1 fr"
    )
    assert whole.state.message.endswith("; 2 frames rendered by this run")


@pytest.mark.minutes
def test_a_retry_after_rows_were_taken_out_counts_the_parts_that_there_are(tmp_path: Path) -> None:
    from prefect.states import AwaitingRetry

    rows = [quick_row("a"), quick_row("b"), quick_row("c", init_image=str(tmp_path / "nowhere.png"))]
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), tmp_path / "out"
    run = deployed_run(manifest=manifest, output=str(output), videos_per_run=1)
    attempt(run)
    for part in parts_of(run):
        attempt(part.id)
    assert attempt(run).state.name == "FramesMissing"

    write_manifest(tmp_path / "m.parquet", rows[:2])
    attempt(run, scheduled=AwaitingRetry())
    for part in parts_of(run)[:2]:
        attempt(part.id)
    assert waits(run) < timedelta(0), "the third is a part no more"
    whole = attempt(run)
    assert (whole.state.name, whole.state.message) == (
        "Completed", "2 frames, 2 videos in 2 parts; 2 frames rendered by this run",
    )  # fmt: skip
    found = stored_wants(Storage(str(output)))
    assert (set(found.frames), found.refused) == ({"a", "b"}, {})


def test_a_part_by_no_cut_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("b")])
    run = deployed_run(manifest=manifest, output=str(tmp_path / "out"), part=2)

    state = attempt(run).state
    assert state.name == "InputInvalid"
    assert "part 2 of '" in state.message
    assert "no part without videos_per_run" in state.message


def test_what_is_no_more_than_a_run_may_have_is_rendered_by_it(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("b")])
    run = deployed_run(manifest=manifest, output=str(tmp_path / "out"), videos_per_run=2)

    assert attempt(run).state.name == "Completed"
    assert parts_of(run) == []


def test_a_part_that_is_no_longer_there_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("b")])
    run = deployed_run(manifest=manifest, output=str(tmp_path / "out"), videos_per_run=1, part=3)

    state = attempt(run).state
    assert state.name == "InputInvalid"
    assert "has no part 3: cut into parts of 1 video it has 2" in state.message


def test_thousands_of_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.orchestration.parts.MOST_PARTS", 2)
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row(name) for name in "abc"])
    run = deployed_run(manifest=manifest, output=str(tmp_path / "out"), videos_per_run=1)

    state = attempt(run).state
    assert state.name == "InputInvalid"
    assert "would be 3 runs of up to 1 video; at most 2 are allowed" in state.message
    assert parts_of(run) == []
