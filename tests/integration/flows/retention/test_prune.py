"""`nightreel prune` on outputs that were really rendered: what goes, what stays, and what a person does next."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.job.output_videos import stored_status
from flows.job.storage_state import save_plan
from flows.runs.record import RunRecord, RunState, RunVideo
from flows.runs.stored import put_record, put_state
from infra.storage.storage import Storage, StorageError
from renderers.registry import Registry
from tests.helpers.command_line import Said, in_this_process
from tests.helpers.render_jobs import planned, quick_row, render, rerun, write_manifest

FRAMES = 6


class Output:
    """An output with a video of six frames, and the commands that are given it."""

    def __init__(self, folder: Path, call: Callable[..., Said]) -> None:
        self.folder, self.root, self.call = folder, str(folder / "out"), call
        self.manifest = self.of()

    def of(self, **settings: Any) -> str:
        row = quick_row("reef", frames=FRAMES, **settings)
        return write_manifest(self.folder / f"{len(settings)}.parquet", [row])

    def prune(self, *more: object, days: int = 0) -> dict[str, Any]:
        time.sleep(0.01)  # what is put now is older than a cut that is made now
        said = self.call("prune", self.root, "--days", days, "--json", *more)
        assert said.code == 0, said.err
        return dict(said.json)

    def kinds(self, *more: object) -> dict[str, int]:
        return {kind: it["objects"] for kind, it in self.prune(*more)["kinds"].items() if it["objects"]}

    def bytes(self) -> dict[str, bytes]:
        root = Path(self.root)
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def status(self) -> list[tuple[str, str, int]]:
        return [(it.video_id, it.state, it.done) for it in stored_status(Storage(self.root), Registry())]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a finished video, for each test to copy."""
    folder = tmp_path_factory.mktemp("rendered")
    manifest = write_manifest(folder / "m.parquet", [quick_row("reef", frames=FRAMES)])
    assert render(manifest, str(folder / "out"), range_frames=2).complete
    return folder / "out"


@pytest.fixture
def output(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Output:
    shutil.copytree(rendered, tmp_path / "out")
    return Output(tmp_path, in_this_process(capsys))


def test_without_delete_nothing_is_changed_and_young_objects_are_not_named(output: Output) -> None:
    before = output.bytes()
    assert output.kinds() == {"segments": 3}, "the published video is made of its frames again where that is needed"
    assert output.prune(days=1)["keys"] == []
    assert output.bytes() == before


def test_what_another_plan_has_followed_goes_and_the_video_is_the_same(output: Output) -> None:
    assert rerun(output.root, "reef", "3-4", "re-render", seed=7).complete
    before, video = output.bytes(), Path(output.root, "reef/video.mp4").read_bytes()
    kinds = output.kinds("--delete")
    # frames 3 to 5 of before; two ranges of before with their records, and the segments of now
    assert kinds == {"plans": 1, "segments": 4 + 3, "frames": 3}
    assert output.status() == [("reef", "done", FRAMES)]
    job = planned(output.manifest, output.root)
    assert (job.complete, job.pending, job.needs_workers) == (True, [], False), "a render of the row finds all"
    after = output.bytes()
    assert after.items() <= before.items()
    assert after["reef/video.mp4"] == video
    assert output.kinds() == {}, "a second look finds nothing"


def test_a_re_run_after_it_gives_the_same_video_as_one_without_it(output: Output, rendered: Path) -> None:
    assert rerun(output.root, "reef", "3-4", "keep", seed=7).complete
    output.prune("--delete")
    assert rerun(output.root, "reef", "1", "re-render", seed=9).complete
    pruned = output.bytes()["reef/video.mp4"]

    folder = output.folder / "untouched"
    shutil.copytree(rendered, folder / "out")
    untouched = Output(folder, output.call)
    assert rerun(untouched.root, "reef", "3-4", "keep", seed=7).complete
    assert rerun(untouched.root, "reef", "1", "re-render", seed=9).complete
    assert untouched.bytes()["reef/video.mp4"] == pruned


def test_frames_that_a_kept_frame_starts_from_stay_although_no_video_shows_them(output: Output) -> None:
    """Frame 5 was kept when frame 4 was taken again: it goes on from the first take of 4, and needs it to be made."""
    assert rerun(output.root, "reef", "4", "keep", seed=7).complete
    assert "frames" not in output.kinds("--delete")
    frame = next(Path(output.root, "reef/frames").glob("000005-*"))
    data = frame.read_bytes()
    frame.unlink()
    assert render(output.manifest, output.root, range_frames=2).complete
    assert frame.read_bytes() == data


def test_a_changed_row_that_is_not_rendered_yet_costs_nothing_of_the_published_video(output: Output) -> None:
    job = planned(output.of(seed=5), output.root, force=True)
    save_plan(Storage(output.root), job.runs["reef"].work)
    assert output.kinds("--delete") == {}, "its frames, segments and plan are what is shown"
    assert render(output.of(seed=5), output.root, force=True, range_frames=2).complete
    assert output.kinds("--delete", "--only", "frames", "--only", "plans") == {"frames": FRAMES, "plans": 1}
    assert output.status() == [("reef", "done", FRAMES)]


def test_what_is_not_ours_and_what_can_not_be_read_stays(output: Output) -> None:
    for name in ("reef/notes.txt", "reef/frames/000000.png", "reef/failures/mine.json", "other/frames/a.png"):
        path = Path(output.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    output.prune("--delete")
    assert {"reef/notes.txt", "reef/frames/000000.png", "reef/failures/mine.json", "other/frames/a.png"} <= set(
        output.bytes()
    )
    assert rerun(output.root, "reef", "0", "re-render", seed=3).complete
    plan = next(Path(output.root, "reef/plans").iterdir())
    plan.write_text("{")
    found = output.prune("--delete")
    assert found["keys"] == []
    (passed_over,) = found["passed_over"]
    assert passed_over["name"] == "reef"
    assert f"'reef/plans/{plan.name}', is damaged" in passed_over["reason"]


def a_run(output: Output, name: str, manifest: str, ago: timedelta, **state: Any) -> None:
    at = datetime.now(UTC) - ago
    videos = (RunVideo(video_id="reef", frames=FRAMES),)
    put_record(Storage(output.root), RunRecord(schema=1, run=name, manifest=manifest, began=at, videos=videos))
    put_state(Storage(output.root), RunState(schema=1, run=name, updated=at, **state))


def test_of_runs_the_latest_of_each_manifest_stays(output: Output) -> None:
    old = timedelta(days=40)
    a_run(output, "20261001T000000-a", "night.parquet", old, phase="ended")
    a_run(output, "20261002T000000-b", "night.parquet", old, phase="rendering")  # it died
    a_run(output, "20261003T000000-c", "night.parquet", old, phase="ended")
    a_run(output, "20261004T000000-d", "other.parquet", old, phase="ended")
    keys = output.prune("--delete", "--only", "runs")["keys"]
    assert sorted(keys) == [
        f"report/runs/{run}/{name}.json"
        for run in ("20261001T000000-a", "20261002T000000-b")
        for name in ("run", "state")
    ]
    left = sorted(path.name for path in Path(output.root, "report/runs").iterdir() if any(path.iterdir()))
    assert left == ["20261003T000000-c", "20261004T000000-d"]


def test_a_video_at_which_a_run_is_at_work_is_passed_over(output: Output) -> None:
    a_run(output, "20261128T000000-a", output.manifest, timedelta(seconds=2), phase="rendering")
    found = output.prune("--delete")
    assert (found["keys"], found["passed_over"]) == ([], [{"name": "reef", "reason": "a run is at work on it"}])


@pytest.mark.parametrize("linked", ["reef", "reef/frames", "reef/segments", "reef/plans", "a file", "files"])
def test_a_link_leads_prune_to_nothing_outside_of_the_output(output: Output, linked: str) -> None:
    """A folder that somebody linked into an output was emptied, wherever it was."""
    assert rerun(output.root, "reef", "3-4", "re-render", seed=7).complete
    outside = output.folder / "outside"
    outside.mkdir()
    root = Path(output.root)
    superfluous = [root / key for key in output.prune()["keys"]]
    places = {"a file": superfluous[:1], "files": superfluous}.get(linked, [root / linked])
    for place in places:
        moved = outside / place.name
        place.rename(moved)
        place.symlink_to(moved)
    for loop in (root / "loop", root / "reef/frames/loop", root / "reef/segments/loop"):
        loop.symlink_to(loop.parent)
    (root / "reef/frames/gone.png").symlink_to("nowhere")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file() and "loop" not in str(path)}
    links = {path for path in root.rglob("*") if path.is_symlink()}
    found = output.prune("--delete")
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in root.rglob("*") if path.is_symlink()} == links
    behind = {str(place.relative_to(root)) for place in places}
    assert [key for key in found["keys"] if any(f"{key}/".startswith(f"{it}/") for it in behind)] == []
    reasons = {it["name"]: it["reason"] for it in found["passed_over"]}
    assert "link" in reasons["reef"]
    assert len(found["keys"]) == {"reef": 0, "files": 0}.get(linked, len(found["keys"]))
    assert output.status() == [("reef", "done", FRAMES)]


def test_runs_behind_a_link_stay(output: Output) -> None:
    for number in (1, 2):
        a_run(output, f"2026100{number}T000000-a", "night.parquet", timedelta(days=40), phase="ended")
    runs = Path(output.root, "report/runs")
    outside = output.folder / "outside"
    runs.rename(outside)
    runs.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    found = output.prune("--delete", "--only", "runs")
    assert found["keys"] == []
    assert "links such as 'report/runs'" in found["passed_over"][0]["reason"]
    assert sorted(outside.rglob("*")) == before


def test_a_link_that_is_made_while_prune_deletes_is_not_followed(output: Output) -> None:
    storage, outside = Storage(output.root), output.folder / "outside"
    Path(output.root, "reef/frames").rename(outside)
    Path(output.root, "reef/frames").symlink_to(outside)
    frame = next(outside.iterdir())
    Path(output.root, "reef/link.png").symlink_to(frame)
    for key in (f"reef/frames/{frame.name}", "reef/link.png"):
        with pytest.raises(StorageError):
            storage.delete(key, own=True)
    assert frame.exists()
    storage.delete("reef/none.png", own=True)
    storage.delete("none/none.png", own=True)
    storage.put("reef/own.png", b"")
    storage.delete("reef/own.png", own=True)
    assert not storage.exists("reef/own.png")
