"""What storage says of a video of a million frames costs what is asked, not what its plan could be made to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flows.job.output_videos import LONG, stored_status
from flows.job.storage_state import save_plan
from flows.planning.remaining import VideoWork
from flows.retry_and_quarantine.records import record_failure
from flows.watch.grid import read_grid
from infra.storage.layout import content_digest, frame_key, plan_key
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.frame_plan.addressing import CurrentAddressing
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

FRAMES = 1_000_000
Count = Callable[[], int]


@pytest.fixture
def addressed(monkeypatch: pytest.MonkeyPatch) -> Count:
    """How many frames were given a digest."""
    calls: list[int] = []
    digest = CurrentAddressing.digest

    def counting(self: CurrentAddressing, *args: Any) -> str:
        calls.append(1)
        return digest(self, *args)

    monkeypatch.setattr(CurrentAddressing, "digest", counting)
    return lambda: len(calls)


def planned(output: Storage, **columns: Any) -> VideoPlan:
    """A video's plan that lies in `output`."""
    row = ManifestRow.model_validate({"video_id": "long", "prompt": "a reef", "frames": FRAMES, **columns})
    plan = VideoPlan.of(row, entry=Registry().entry("embedded"))
    save_plan(output, VideoWork(plan, (Range(),), "c" * 64, None))  # type: ignore[arg-type]
    assert output.exists(plan_key("long", "c" * 64))
    return plan


class Range:
    start, stop = 0, 1


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_one_that_was_not_begun_is_not_planned_at_all(tmp_path: Any, addressed: Count, handoff: str) -> None:
    output = Storage(str(tmp_path))
    planned(output, handoff=handoff)
    (status,) = stored_status(output, Registry())
    assert (status.state, status.frames, status.missing) == ("missing", FRAMES, range(FRAMES))
    assert addressed() == 1


def test_one_that_was_begun_is_planned_as_far_as_it_got(tmp_path: Any, addressed: Count) -> None:
    output = Storage(str(tmp_path))
    plan = planned(output, handoff="chain")
    frames = [frame for frame, _ in zip(plan.walk(), range(40), strict=False)]
    before = addressed()
    for frame in frames:
        output.put(frame_key("long", frame.index, frame.digest), b"a picture")
    output.put(frame_key("long", 60, "a" * 64), b"of an earlier row")
    (status,) = stored_status(output, Registry())
    assert (status.done, status.missing[0], len(status.missing)) == (40, 40, FRAMES - 40)
    assert addressed() - before <= 61


def test_what_lies_beyond_its_end_costs_nothing(tmp_path: Any, addressed: Count) -> None:
    output = Storage(str(tmp_path))
    planned(output, handoff="chain")
    before = addressed()
    for key in ("frames/999999999-{}.png", "failures/999999999-{}-20261201T000000000000.json"):
        output.put("long/" + key.format("a" * 16), b"of a longer row")
    (status,) = stored_status(output, Registry())
    assert (status.state, status.done, addressed() - before) == ("missing", 0, 1)


def test_a_frame_that_failed_is_found_without_those_behind_it(tmp_path: Any, addressed: Count) -> None:
    output = Storage(str(tmp_path))
    plan = planned(output, handoff="chain")
    frames = [frame for frame, _ in zip(plan.walk(), range(4), strict=False)]
    given: dict[str, Any] = {"video": "long", "frame": 3, "attempt": 1, "worker": "actor-0", "seconds": 1.0}
    for digest, message in ((frames[3].digest, "too dark"), ("b" * 64, "of an earlier row")):
        record_failure(output, ValueError(message), digest=digest, **given)
    before = addressed()
    (status,) = stored_status(output, Registry())
    assert (status.state, status.reason) == ("failed", "too dark")
    assert addressed() - before <= 5


def test_a_long_one_is_looked_at_as_a_short_one_is(tmp_path: Any) -> None:
    for frames, handoff in ((LONG, "chain"), (LONG + 1, "chain"), (LONG + 1, "keyframes")):
        output = Storage(str(tmp_path / f"{frames}{handoff}"))
        plan = planned(output, frames=frames, handoff=handoff)
        there = {0, 8, 96, 97, frames - 1}
        for frame in there:
            output.put(frame_key("long", frame, plan.digests[frame]), b"a picture")
        (status,) = stored_status(output, Registry())
        assert set(range(frames)) - set(status.missing) == there


def test_the_grid_of_frames_that_this_version_can_not_address_shows_what_lies_there(tmp_path: Any) -> None:
    output = Storage(str(tmp_path))
    plan = planned(output, frames=4)
    output.put(frame_key("long", 1, plan.digests[1]), b"a picture")
    key = plan_key("long", "c" * 64)
    document = json.loads(output.read(key))
    output.put(key, json.dumps({**document, "algorithm": 99}).encode(), existing="replace")
    grid = read_grid(output, "long", Registry())
    assert grid is not None
    assert (grid.plan, grid.states) == (None, "md")


def test_what_all_frames_decide_is_their_digest_as_json() -> None:
    # pinned: what 0.2 made of them by one text of JSON
    digests, encoder = [f"{number:064x}" for number in range(3)], {"crf": 18, "codec": "h264"}
    assert content_digest(encoder, digests, chain=False) == (
        "f2cd8a50caa4d6ea7aa1404d6ea292b4cb1460d826944274dae2dcced4f77377"
    )
