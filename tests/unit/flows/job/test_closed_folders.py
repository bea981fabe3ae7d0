"""An output in which another account closed files and folders: what is in them is named, all else goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.job.report_data import OutputReport
from flows.runs.record import RunRecord
from flows.runs.stored import put_record
from infra.storage.layout import PROVENANCE, plan_key
from infra.storage.storage import Storage, StorageUnavailable
from tests.helpers.command_line import Said, in_this_process
from tests.helpers.finished import put_finished_still
from tests.helpers.render_jobs import planned, quick_row, write_manifest
from tests.helpers.rights import open_folder, without_rights

RUN = "20261128T154957-abcdef"


class SharedOutput:
    """An output of two finished stills, 'moor' and 'reef', that others use too; its commands, as one of them."""

    def __init__(self, folder: Path, call: Callable[..., Said]) -> None:
        self.manifest = write_manifest(folder / "m.parquet", [quick_row("moor"), quick_row("reef")])
        self.root, self.call = folder / "out", call
        self.output = Storage(str(self.root))
        put_finished_still(self.output, quick_row("moor"))
        self.plan_key = plan_key("reef", put_finished_still(self.output, quick_row("reef")).content)
        put_record(self.output, RunRecord(schema=1, run=RUN, began=datetime.now(UTC)))
        for path in (folder, *folder.rglob("*")):  # whatever this process's umask is
            path.chmod(0o777 if path.is_dir() else 0o644)
        assert [self.plan().code, self.status().code] == [0, 0]  # and all modules are there
        assert call("prune", self.root).code == 0

    def close(self, name: str) -> str:
        (self.root / name).chmod(0)
        return str(self.root / name)

    def plan(self) -> Said:
        with without_rights():
            return self.call("plan", self.manifest, "--output", self.root)

    def status(self) -> Said:
        with without_rights():
            return self.call("status", self.root)


@pytest.fixture
def shared(capsys: pytest.CaptureFixture[str]) -> Iterator[SharedOutput]:
    with open_folder() as folder:
        yield SharedOutput(folder, in_this_process(capsys))


@pytest.mark.parametrize("name", ["reef", "reef/frames", "reef/plans"])
def test_a_closed_folder_of_a_video_costs_that_video(shared: SharedOutput, name: str) -> None:
    place = shared.close(name)
    status, plan = shared.status(), shared.plan()
    assert status.code == 1
    assert f"not permitted: '{place}'" in status.out
    assert "1 done, 1 failed" in status.out
    assert plan.code == 2
    assert f"video 'reef': not permitted: '{place}': give this user" in plan.err
    assert "1 done" in plan.out
    with without_rights():
        job = planned(shared.manifest, str(shared.root))
        (report,) = [it for it in OutputReport(job).gather(actors=None).report.videos if it.video_id == "reef"]
    assert list(job.runs) == ["moor"]
    assert place in report.reason


@pytest.mark.parametrize("which", ["plan", "provenance"])
def test_a_closed_document_is_one_that_can_not_be_read(shared: SharedOutput, which: str) -> None:
    place = shared.close({"plan": shared.plan_key, "provenance": f"reef/{PROVENANCE}"}[which])
    status, plan = shared.status(), shared.plan()
    assert (status.code, plan.code) == (1, 1)
    assert f"(not permitted: '{place}')" in status.out
    assert f"(not permitted: '{place}')" in plan.err


@pytest.mark.parametrize("name", ["lost+found", ".Trash-0", "System Volume Information"])
def test_a_closed_folder_that_is_no_video_is_nothing(shared: SharedOutput, name: str) -> None:
    """An output may be the root of a disk."""
    (shared.root / name).mkdir()
    shared.close(name)
    status, plan = shared.status(), shared.plan()
    assert (status.code, status.err, plan.code) == (0, "", 0)


@pytest.mark.parametrize("name", ["", "/run.json"])
def test_what_a_run_has_left_in_a_closed_folder_is_passed_over(shared: SharedOutput, name: str) -> None:
    place = shared.close(f"report/runs/{RUN}{name}")
    status = shared.status()
    assert status.code == 0
    assert "is passed over" in status.err or "it is passed over" in status.err
    assert place in status.err


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_closed_output_is_no_output(shared: SharedOutput, mode: int) -> None:
    shared.root.chmod(mode)
    status, plan = shared.status(), shared.plan()
    assert (status.code, plan.code) == (3, 3)
    assert "not permitted" in plan.err
    with without_rights(), pytest.raises(StorageUnavailable, match="not permitted"):
        planned(shared.manifest, str(shared.root))


@pytest.mark.parametrize("name", ["reef", "reef/frames", f"report/runs/{RUN}", "lost+found"])
def test_what_can_not_be_looked_into_is_not_pruned(shared: SharedOutput, name: str) -> None:
    (shared.root / name).mkdir(exist_ok=True)
    place = shared.close(name)
    with without_rights():
        said = shared.call("prune", shared.root, "--days", 0)
    assert said.code == 0
    assert (f"not permitted: '{place}'" in said.err) == (name != "lost+found")


def test_a_plan_that_can_not_be_put_again_ends_nothing(shared: SharedOutput) -> None:
    shared.output.delete(shared.plan_key)
    (shared.root / "reef").chmod(0o555)
    (shared.root / "reef/plans").chmod(0o555)
    with without_rights():
        job = planned(shared.manifest, str(shared.root))
    assert job.complete
    (said,) = job.damaged
    assert "the plan of video 'reef' can't be put: not permitted" in said
