"""The digest chain: a frame's digest covers all that decides its picture, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.schema import CutoutSettings, LossSettings, ManifestRow, OptimiserSettings
from renderers.frame_plan.neutral import PER_FRAME
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import ModelEntry, Registry
from tests.helpers.random_model import Planner

IMAGES = {"a.png": b"a", "b.png": b"b"}


def test_a_prompt_edited_at_frame_500_keeps_frames_0_to_499(planned: Planner) -> None:
    before = planned(frames=600, prompt="0: a reef | 500: a shark").digests
    after = planned(frames=600, prompt="0: a reef | 500: a whale").digests
    assert before[:500] == after[:500]
    assert not set(before[500:]) & set(after[500:])


def test_every_frame_has_a_digest_of_its_own(planned: Planner) -> None:
    assert len(set(planned(frames=300).digests)) == 300


@given(frames=st.integers(1, 40), more=st.integers(0, 40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_longer_video_goes_on_where_the_shorter_one_ended(planned: Planner, frames: int, more: int) -> None:
    short, long = planned(frames=frames), planned(frames=frames + more)
    assert long.digests[:frames] == short.digests


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"zoom": "0:(1.02), 30:(1.02)"}, {"zoom": "0:(1.02), 30:(1.5)"}),
        ({"angle": "max(0, t - 20)"}, {"angle": "max(0, t - 20) * 2"}),
        ({"translate_x": "0:(0), 20:(0), 21:(5)"}, {"translate_x": "0:(0), 20:(0), 21:(6)"}),
        ({"translate_y": "0:(0), 20:(0), 21:(5)"}, {"translate_y": "0:(0), 20:(0), 21:(6)"}),
    ],
)
def test_a_camera_edited_later_keeps_the_frames_before(planned: Planner, one: dict, other: dict) -> None:
    before, after = planned(frames=40, **one).digests, planned(frames=40, **other).digests
    kept = sum(a == b for a, b in zip(before, after, strict=True))
    assert before[:kept] == after[:kept]
    assert 1 <= kept < 40
    if "zoom" not in one:
        assert kept == 21


# A base in which both ends of every range can move.
RANGES = {"size_min": 0.5, "size_max": 0.9, "erase_min": 0.2, "erase_max": 0.5}


def changed_settings() -> list[dict[str, Any]]:
    """One change for each of the nested settings: a setting added later is tested without being named here."""
    changes = []
    for column, model in (("cutouts", CutoutSettings), ("loss", LossSettings), ("optimiser", OptimiserSettings)):
        for name, field in model.model_fields.items():
            if f"{column}.{name}" in PER_FRAME:
                continue  # see test_weights.py
            value = RANGES.get(name, field.default) if column == "cutouts" else field.default
            others = {int: lambda it: it + 1, float: lambda it: it * 0.9 + 0.015, bool: lambda it: not it}
            if get_origin(field.annotation) is Literal:
                changes += [{column: {name: it}} for it in get_args(field.annotation) if it != value]
            else:
                changes.append({column: {name: others[field.annotation](value)}})
    return changes


PICTURES: list[dict[str, Any]] = [
    {"width": 64}, {"height": 64}, {"seed": 1}, {"init": "noise"}, {"init": "blank"}, {"steps_first": 4},
    {"init": "gradient"},
    {"prompt": "a coral reef at night"}, {"prompt": "a coral reef:0.9"}, {"prompt": "a coral reef:1:0.5"},
    {"prompt": "a coral reef | fish"}, {"init_image": "a.png"}, {"init_image": "b.png"},
    {"image_prompts": [{"image": "a.png"}]}, {"image_prompts": [{"image": "b.png"}]},
    {"image_prompts": [{"image": "a.png", "weight": 2}]}, {"image_prompts": [{"image": "a.png", "stop": 0.2}]},
    {"image_prompts": [{"image": "a.png"}, {"image": "a.png"}]},
    {"noise_prompts": [{"seed": 1}]}, {"noise_prompts": [{"seed": 2}]}, {"noise_prompts": [{"seed": 1, "weight": 2}]},
    *changed_settings(),
]  # fmt: skip


def test_everything_that_decides_the_first_picture_changes_its_digest(planned: Planner) -> None:
    digests = [planned(cutouts=RANGES).digests[0]]
    for change in PICTURES:
        cutouts = {**RANGES, **change.get("cutouts", {})}
        digests.append(planned(IMAGES, **{**change, "cutouts": cutouts}).digests[0])
    same = {digest: i for i, digest in enumerate(digests)}
    assert len(same) == len(digests), [PICTURES[i - 1] for i, digest in enumerate(digests) if same[digest] != i]


@pytest.mark.parametrize(
    "change", [{"steps": 3}, {"zoom": "1.01"}, {"angle": "1"}, {"translate_x": "1"}, {"translate_y": "1"}]
)
def test_what_decides_later_frames_leaves_the_first_alone(planned: Planner, change: dict[str, Any]) -> None:
    before, after = planned(frames=5).digests, planned(frames=5, **change).digests
    assert before[0] == after[0]
    assert not set(before[1:]) & set(after[1:])


def test_a_crossfade_decides_the_frames_that_fade_and_all_after_them(planned: Planner) -> None:
    before, after = (planned(frames=30, prompt="0: a | 9: b", crossfade=fade).digests for fade in (3, 4))
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 9 + [False] * 21


@pytest.mark.parametrize(
    "change",
    [
        {"video_id": "other"}, {"fps": 12}, {"format": "gif"}, {"format": "png"}, {"upscale": 4}, {"priority": 9},
        {"handoff": "chain"},
        # the same in other words, or what is the default anyway
        {"prompt": "0: a coral reef"}, {"prompts": [{"prompts": [{"text": "a coral reef", "weight": 1}]}]},
        {"zoom": "1.0"}, {"angle": "0:(0), 3:(0)"}, {"width": 32}, {"cutouts": {"number": 4}},
        {"seed": 0}, {"steps": 2},
    ],
)  # fmt: skip
def test_what_comes_after_the_pictures_keeps_every_digest(planned: Planner, change: dict[str, Any]) -> None:
    assert planned(frames=5, **change).digests == planned(frames=5).digests


def test_a_picture_counts_by_its_content_not_by_its_name(planned: Planner) -> None:
    one = planned({"here/a.png": b"same"}, init_image="here/a.png").digests
    assert planned({"moved/b.png": b"same"}, init_image="moved/b.png").digests == one
    assert planned({"here/a.png": b"edited"}, init_image="here/a.png").digests != one


@pytest.mark.parametrize(
    "change",
    [
        {"vqgan": {"sha256": "0" * 64}},
        {"concepts": ["apple", "cat"]},
        {"perceptors": {"templates": ["a drawing of {}"]}},
        {"perceptors": {"sha256": "0" * 64}},
    ],
)
def test_another_model_under_the_same_name_changes_every_digest(
    planned: Planner, entry: ModelEntry, change: dict[str, Any]
) -> None:
    data = entry.model_dump()
    for key, value in change.items():
        if key == "vqgan":
            data[key] |= value
        elif key == "perceptors":
            data[key] = [data[key][0] | value]
        else:
            data[key] = value
    plan, other = planned(frames=3), Planner(ModelEntry.model_validate(data))(frames=3)
    assert not set(plan.digests) & set(other.digests)


def test_a_digest_does_not_hang_on_the_process() -> None:
    code = (
        "from renderers.frame_plan.video_plan import VideoPlan; from manifests.schema import ManifestRow; "
        "from renderers.registry import Registry; entry = Registry().entry('embedded'); "
        "print(*VideoPlan.of(ManifestRow(video_id='a', prompt='an apple', frames=3), entry=entry).digests)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row = ManifestRow(video_id="a", prompt="an apple", frames=3)
    here = VideoPlan.of(row, entry=Registry().entry("embedded"))
    assert run.stdout.split() == list(here.digests)
