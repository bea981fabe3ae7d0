"""Films as they are planned: what decides a frame, and what follows what."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from manifests.schema import ManifestRow
from manifests.schema.source import SOURCE_HOLDS
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.documents import plan_document
from renderers.frame_plan.part import part_plans
from renderers.frame_plan.source import SourceFrame
from renderers.frame_plan.video_plan import VideoPlan
from tests.helpers.random_model import Planner

HASHES = [f"{number + 1:016x}" for number in range(6)]


def film(*changed: int, frames: int = 6, **source: Any) -> dict[str, Any]:
    """A film, of which some frames are `changed`."""
    found = "".join(("f" * 16 if number in changed else it) for number, it in enumerate(HASHES[:frames]))
    return {"source": {"video": "film.mp4", "found": {"fps": 12, "frames": found}, **source}}


def equal(plan: VideoPlan, other: VideoPlan) -> list[bool]:
    return [a == b for a, b in zip(plan.digests, other.digests, strict=False)]


def test_along_the_flow_a_frame_hangs_on_its_own_and_the_one_before(planned: Planner) -> None:
    plan = planned(**film())
    assert plan.handoff == "chain"
    assert [frame.source for frame in plan.walk()] == [
        SourceFrame(HASHES[0]),
        *(SourceFrame(now, before) for before, now in itertools.pairwise(HASHES)),
    ]
    assert equal(plan, planned(**film(4))) == [True] * 4 + [False] * 2
    assert equal(plan, planned(**film(frames=4))) == [True] * 4  # a film that was cut at its end
    assert equal(plan, planned(**film(blend="0:(.05), 3:(.05), 4:(.2)"))) == [True] * 4 + [False] * 2
    assert equal(plan, planned(**film(blend="0.05", occluded="source"))) == [True] * 6
    assert equal(plan, planned(**film(occluded="moved"))) == [True] + [False] * 5


def test_each_frame_alone_hangs_on_its_own(planned: Planner) -> None:
    plan = planned(**film(mode="each"), steps=7, steps_first=90)
    assert plan.handoff == "single"
    assert all(frame.start_digest is None and not frame.needs for frame in plan.walk())
    assert [frame.steps for frame in plan.walk()] == [7] * 6  # all alike: the first one would be another picture
    assert equal(plan, planned(**film(4, mode="each"), steps=7)) == [True] * 4 + [False, True]
    assert equal(plan, planned(**film(mode="each", blend=".7"), steps=7)) == [True] * 6  # it says nothing there
    assert plan.all_seconds() == pytest.approx(6 * 7 * plan.step_seconds)


def test_neither_the_name_nor_the_way_to_the_pixels_decides(planned: Planner) -> None:
    plan = planned(**film())
    for same in ({"video": "other.mp4"}, {"start": 2.0}, {"fit": "contain"}, {"fps": 12.0}):
        assert planned(**film(**same)).digests == plan.digests


def test_a_film_that_nobody_has_prepared_has_no_frames_to_address(planned: Planner) -> None:
    with pytest.raises(BadInput, match="which a job prepares"):
        _ = planned(frames=3, source={"video": "film.mp4"}).digests


def test_workers_get_a_row_without_what_each_frame_has_of_its_own(planned: Planner) -> None:
    plan = planned(**film())
    row = plan.row_of_frames
    assert (row.source.found, row.frames, row.fps) == (None, 6, 12)
    again = VideoPlan.of(row, entry=plan.entry)
    assert (again.frames, again.handoff, again.row.fps) == (6, "chain", 12)


def test_a_stored_plan_gives_the_digests_without_the_film(planned: Planner) -> None:
    plan = planned(**film(mode="each"))
    document = plan_document(plan)
    again = VideoPlan.of(ManifestRow.model_validate(document["row"]), document["images"], entry=plan.entry)
    assert again.digests == plan.digests
    assert "found" not in plan_document(plan, heard=False)["row"]["source"]


@pytest.mark.parametrize("name", SOURCE_HOLDS)
@pytest.mark.parametrize("mode", ["flow", "each"])
def test_a_weight_decides_the_frames_that_have_it_and_those_after(planned: Planner, mode: str, name: str) -> None:
    at_rest = planned(**film(mode=mode))
    for nothing in ("0", "0:(0), 5:(0)", "t*0", 0.0):
        assert planned(**film(mode=mode, **{name: nothing})).digests == at_rest.digests
    plan = planned(**film(mode=mode, **{name: "where(t < 3, 0, .1+.2)"}))
    assert [frame.source and frame.source.holds for frame in plan.walk()] == [()] * 3 + [((name, 0.3),)] * 3
    assert equal(at_rest, plan) == [True] * 3 + [False] * 3
    assert plan.digests == planned(**film(mode=mode, **{name: "where(t < 3, 0, .3)"})).digests  # rounded
    once = planned(**film(mode=mode, **{name: "where(t == 3, 2, 0)"}))
    assert equal(at_rest, once) == [True] * 3 + [False] + [mode == "each"] * 2
    assert not plan.expressible(addressing_v4.ALGORITHM)


def test_a_frame_that_follows_hangs_on_the_frame_before_and_on_its_own_of_the_film(planned: Planner) -> None:
    plan = planned(**film(mode="follow", picture=300), steps=7, steps_first=90)
    assert plan.handoff == "chain"
    assert [frame.source for frame in plan.walk()] == [SourceFrame(it, holds=(("picture", 300.0),)) for it in HASHES]
    assert [frame.steps for frame in plan.walk()] == [90] + [7] * 5
    assert all(frame.start_digest for frame in list(plan.walk())[1:])
    changed = planned(**film(4, mode="follow", picture=300), steps=7, steps_first=90)
    assert equal(plan, changed) == [True] * 4 + [False] * 2
    flow = planned(**film(picture=300), steps=7, steps_first=90)
    assert equal(plan, flow) == [True] + [False] * 5  # the first one is the same frame


def test_a_part_of_it_begins_with_the_film(planned: Planner) -> None:
    first, second = part_plans(planned(**film()), range(3, 5))
    assert first.source == SourceFrame(HASHES[3])
    assert first.start_digest is None
    assert second.source == SourceFrame(HASHES[4], HASHES[3])
    for mode in ("flow", "follow"):
        first, _ = part_plans(planned(**film(mode=mode, edges="t")), range(3, 5))
        assert first.source == SourceFrame(HASHES[3], holds=(("edges", 3.0),))
