"""By which formulas a video's frames are addressed, decided from keys alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from flows.planning.retakes import retake_document, retake_of
from flows.planning.stored_addresses import as_stored
from infra.storage.layout import frame_key
from renderers.errors import BadInput
from renderers.frame_plan import neutral
from renderers.frame_plan.addressing import ALGORITHM, ONE_CROP
from renderers.frame_plan.addressing_v4 import ALGORITHM as FORMER
from renderers.frame_plan.crops import CROPS
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_plan.video_plan import VideoPlan
from tests.helpers.planned_work import plan_of

NOW = plan_of("reef", 6, zoom="1.02")
THEN = replace(NOW, algorithm=FORMER)


def keys(plan: VideoPlan, frames: Iterable[int]) -> list[str]:
    return ["reef/plans/0123456789abcdef.json", *(frame_key("reef", it, plan.digests[it]) for it in frames)]


def test_a_video_without_frames_is_addressed_as_today() -> None:
    assert as_stored(NOW, []) == (NOW, set())
    assert as_stored(NOW, keys(NOW, [])) == (NOW, set())


def test_a_video_with_frames_of_0_1_goes_on_as_it_was() -> None:
    assert as_stored(NOW, keys(THEN, [0, 1, 4])) == (THEN, {0, 1, 4})


def test_a_video_with_frames_of_today_stays_as_it_is() -> None:
    assert as_stored(NOW, keys(NOW, [0, 1])) == (NOW, {0, 1})
    # of both: whose frames are more
    both = [*keys(NOW, [0, 1]), *keys(THEN, [3])]
    assert as_stored(NOW, both) == (NOW, {0, 1})
    assert as_stored(NOW, [*both, *keys(THEN, [4, 5])]) == (THEN, {3, 4, 5})
    # frames that nothing accounts for, of an earlier prompt, decide nothing
    other = plan_of("reef", 6, prompt="a storm")
    assert as_stored(NOW, keys(other, range(6))) == (NOW, set())


def test_what_0_1_could_not_say_is_addressed_as_today(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = keys(THEN, range(6))
    # as if z_decay were a setting of later days
    monkeypatch.setattr("renderers.frame_plan.addressing_v4.KNOWN", _known_without("loss.z_decay"))
    assert as_stored(NOW, stored)[0] == THEN
    pulled = plan_of("reef", 6, zoom="1.02", loss={"z_decay": 0.1})
    assert as_stored(pulled, keys(replace(pulled, algorithm=FORMER), range(6))) == (pulled, set())


def test_a_video_that_was_begun_when_one_crop_of_a_picture_was_looked_at_goes_on_with_one() -> None:
    prompts = [{"image": "a.png"}, {"image": "b.png", "aligned": True}]
    now = replace(plan_of("reef", 6, image_prompts=prompts), images={"a.png": "0" * 64, "b.png": "1" * 64})
    then = replace(now, algorithm=ONE_CROP)
    assert as_stored(now, []) == (now, set())
    assert as_stored(now, keys(then, [0, 1])) == (then, {0, 1})
    assert [[it.crops for it in next(plan.walk()).pictures] for plan in (now, then)] == [[CROPS, 1], [1, 1]]
    # of 0.1 too
    oldest = replace(plan_of("reef", 6, image_prompts=prompts[:1]), images=now.images, algorithm=FORMER)
    assert [it.crops for it in next(oldest.walk()).pictures] == [1]
    # without such a picture there is nothing to tell them apart
    assert replace(NOW, algorithm=ONE_CROP).digests == NOW.digests
    assert as_stored(NOW, keys(THEN, [0, 1]))[0] == THEN


def _known_without(name: str) -> frozenset[str]:
    from renderers.frame_plan.addressing_v4 import KNOWN

    assert name in neutral.NEUTRAL
    return KNOWN - {name}


def test_frames_of_a_newer_nightreel_are_no_guess() -> None:
    newer = replace(NOW, algorithm=ALGORITHM + 1)
    with pytest.raises(BadInput, match=rf"algorithm {ALGORITHM + 1}, .* knows {FORMER}, {ONE_CROP}, {ALGORITHM}: upg"):
        _ = newer.digests


def test_a_decision_has_names_of_its_own_in_storage() -> None:
    entry = Retake(3, "a" * 64, 7, "b" * 64, "c" * 64)
    document = retake_document(entry)
    assert document == {
        "frame": 3, "instead_of": "a" * 64, "seed": 7, "start_digest": "b" * 64, "target_digest": "c" * 64,
    }  # fmt: skip
    assert retake_of(document) == entry
    former = {"frame": 3, "instead_of": "a" * 64, "seed": 7, "parent": "b" * 64, "towards": "c" * 64}
    assert retake_of(former) == entry
    assert retake_of(former | {"parent": None, "towards": None}) == Retake(3, "a" * 64, 7)
