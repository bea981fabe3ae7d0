"""A document in an output that can't be read: `plan` and `status` name it and end alike, a render puts it right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.runs.record import RunRecord
from flows.runs.stored import put_record
from infra.storage.layout import PROVENANCE, plan_key
from infra.storage.storage import Storage
from tests.helpers.command_line import Said, in_this_process
from tests.helpers.finished import put_finished_still
from tests.helpers.render_jobs import planned, quick_row, write_manifest

OLD = "reef/plans/0123456789abcdef.json"


class Night:
    """An output that holds all objects of a finished still, and the manifest that it is of; its commands."""

    def __init__(self, folder: Path, call: Callable[..., Said]) -> None:
        self.manifest = write_manifest(folder / "m.parquet", [quick_row("reef")])
        self.output, self.call = Storage(str(folder / "out")), call
        work = put_finished_still(self.output, quick_row("reef"))
        self.own_plan, self.provenance = plan_key("reef", work.content), f"reef/{PROVENANCE}"

    def plan(self, *more: str) -> Said:
        return self.call("plan", self.manifest, "--output", self.output.root, *more)

    def status(self) -> Said:
        return self.call("status", self.output.root)


@pytest.fixture
def night(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Night:
    return Night(tmp_path, in_this_process(capsys))


def test_of_a_whole_output_both_say_done(night: Night) -> None:
    assert (night.plan().code, night.plan().err, night.status().code) == (0, "", 0)


@pytest.mark.parametrize("data", [b"", b'{"row": {"video_id": ', b"[]", b'{"name": "somebody else"}', b"\x89PNG"])
@pytest.mark.parametrize("which", ["own plan", "old plan", "provenance"])
def test_both_name_a_damaged_document_and_end_alike(night: Night, which: str, data: bytes) -> None:
    key = {"own plan": night.own_plan, "old plan": OLD, "provenance": night.provenance}[which]
    night.output.put(key, data, existing="replace")
    plan, status = night.plan(), night.status()
    assert plan.code == status.code == 1
    for said in (plan.err, status.out):
        assert f"'{key}', is damaged" in " ".join(said.split())
        assert "restore it, or delete it" in said or "render again, which writes a new one" in " ".join(said.split())
    as_json = night.plan("--json")
    assert as_json.code == 1
    (sentence,) = as_json.json["damaged"]
    assert f"'{key}', is damaged" in sentence


def test_so_they_do_with_a_rerun_that_can_not_be_read(night: Night) -> None:
    night.output.put("reef/retakes/20261128T154957885062.json", b"{")
    plan = night.plan()
    assert plan.code == night.status().code == 1
    assert plan.err.count("is damaged") == 1


@pytest.mark.parametrize("which", ["run.json", "state.json"])
def test_status_names_what_a_run_has_left_and_can_not_be_read(night: Night, which: str) -> None:
    """It may be what names bad rows; the videos are there all the same."""
    record = RunRecord(schema=1, run="20261128T154957-abcdef", began=datetime.now(UTC))
    put_record(night.output, record)
    night.output.put(f"report/runs/{record.run}/{which}", b'{"run": 3', existing="replace")
    said = night.status()
    assert said.code == 0
    assert f"'report/runs/{record.run}/{which}', is damaged" in " ".join(said.err.split())


@pytest.mark.parametrize("data", [b"{", None])
def test_a_render_puts_the_plan_of_a_finished_video_again(night: Night, data: bytes | None) -> None:
    """`status` says "delete it: the next render plans again"."""
    if data is None:
        night.output.delete(night.own_plan)
    else:
        night.output.put(night.own_plan, data, existing="replace")
    assert night.status().code != 0
    job = planned(night.manifest, night.output.root)
    assert (job.complete, job.damaged) == (True, ())
    assert night.status().code == 0


def test_a_render_names_what_it_leaves_damaged(night: Night) -> None:
    night.output.put(OLD, b"{")
    said = night.call("render", night.manifest, "--output", night.output.root)
    assert f"'{OLD}', is damaged" in said.err
    assert "nothing to do" in said.out
    assert said.code == night.plan().code == night.status().code == 1
    as_json = night.call("render", night.manifest, "--output", night.output.root, "--json")
    assert (as_json.code, len(as_json.json["damaged"])) == (1, 1)
