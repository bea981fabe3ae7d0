"""A plan is data: what it resolves to, and what it says of rows that can't be rendered."""

from __future__ import annotations

import gc
import math
import pickle
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.schema import CutoutSettings, ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import FramePlan, WeightedPrompt
from renderers.frame_plan.handoff import Place
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan, json_safe
from renderers.registry import ModelEntry, Registry
from tests.helpers.random_model import Planner

STORY = "0: dawn | 10: noon:2 | 20: night:-1:0.5"
IMAGES = {"a.png": b"a", "b.png": b"b"}


# --- resolving --------------------------------------------------------------------------------------------------------


def test_the_row_goes_before_the_model_and_the_model_before_the_schema(planned: Planner) -> None:
    row = planned(width=64, cutouts={"noise": 0.3}).row
    assert row.width == 64  # the row's
    assert row.height == 32  # the model's
    assert row.crossfade == 12  # the schema's
    assert row.cutouts == CutoutSettings(number=4, noise=0.3)  # all three, in one nested column
    assert planned(cutouts={"number": 7}).row.cutouts.number == 7


def test_a_value_that_equals_the_schemas_default_still_goes_before_the_models(planned: Planner) -> None:
    assert planned(width=512, steps=25).row.width == 512
    assert planned(width=512, steps=25).row.steps == 25


def test_resolving_twice_is_resolving_once(planned: Planner, entry: ModelEntry) -> None:
    """The driver sends resolved rows to the workers, and each plans again from what it got."""
    for columns in (
        {},
        {"frames": 4, "prompt": "0: a | 2: b"},
        {"init_image": "a.png", "image_prompts": [{"image": "b.png"}]},
    ):
        plan = planned(IMAGES, **columns)
        there = pickle.loads(pickle.dumps(plan.row))
        assert resolve(there, entry) == plan.row
        assert VideoPlan(resolve(there, entry), entry, plan.images).digests == plan.digests


def test_a_picture_given_goes_before_the_models_usual_start(entry: ModelEntry) -> None:
    blank = ModelEntry.model_validate(entry.model_dump() | {"defaults": {**entry.defaults, "init": "blank"}})
    assert resolve(ManifestRow(video_id="a", prompt="x"), blank).init == "blank"
    assert resolve(ManifestRow(video_id="a", prompt="x", init="noise"), blank).init == "noise"
    assert resolve(ManifestRow(video_id="a", prompt="x", init_image="a.png"), blank).init == "image"


def test_a_still_is_a_png_and_a_video_is_not(planned: Planner) -> None:
    assert planned().row.format == "png"
    assert planned(frames=2).row.format == "mp4"
    assert planned(format="webm").row.format == "webm"


@pytest.mark.parametrize(
    ("column", "size", "near"), [("width", 66, 64), ("height", 67, 68), ("width", 50, 48), ("height", 17, 16)]
)
def test_a_size_between_tokens_is_refused_with_the_nearest_one(
    planned: Planner, column: str, size: int, near: int
) -> None:
    with pytest.raises(BadInput, match=rf"{column} {size} of video 'reef' .* multiple of 4, .* 'random': take {near}$"):
        planned(**{column: size})


def test_a_value_that_does_not_go_with_the_models_is_bad_input(entry: ModelEntry) -> None:
    small = ModelEntry.model_validate(
        entry.model_dump() | {"defaults": {"cutouts": {"size_min": 0.3, "size_max": 0.6}}}
    )
    row = ManifestRow(video_id="reef", prompt="x", cutouts={"size_min": 0.9})
    with pytest.raises(BadInput, match=r"video 'reef' .* model 'random': .*size_min 0.9 is above size_max 0.6"):
        resolve(row, small)


def test_of_resolves_the_row_with_its_models_entry() -> None:
    row = ManifestRow(video_id="a", prompt="an apple")
    plan = VideoPlan.of(row, entry=Registry().entry(row.model))
    assert plan.entry.name == "embedded"
    assert (plan.row.width, plan.video_id, plan.frames) == (64, "a", 1)


def test_planning_does_not_load_torch() -> None:
    code = "import sys, renderers.frame_plan.video_plan, renderers.registry; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_infinities_are_written_as_text() -> None:
    assert json_safe({"a": [(math.inf, -math.inf), 1.5, None, "x", 3]}) == {"a": [["inf", "-inf"], 1.5, None, "x", 3]}


# --- frames -----------------------------------------------------------------------------------------------------------


def test_a_whole_plan(planned: Planner) -> None:
    plan = planned(
        frames=3, prompt="0: dawn:0.5 | 1: night", crossfade=1, zoom="0:(1), 2:(1.2)", angle="t", translate_x="-2"
    )
    digests = plan.digests
    assert tuple(plan.walk()) == (
        FramePlan(
            place=Place(0, None),
            prompts=(WeightedPrompt("dawn", 0.5, -math.inf),),
            steps=3,
            motion=STILL,
            digest=digests[0],
        ),
        FramePlan(
            place=Place(1, 0),
            prompts=(WeightedPrompt("dawn", 0.25, -math.inf), WeightedPrompt("night", 0.5, -math.inf)),
            steps=2,
            motion=Homography.of(zoom=1.1, angle=1.0, translate_x=-2.0),
            digest=digests[1],
            start_digest=digests[0],
            needs=(0,),
        ),
        FramePlan(
            place=Place(2, 1),
            prompts=(WeightedPrompt("night", 1.0, -math.inf),),
            steps=2,
            motion=Homography.of(zoom=1.2, angle=2.0, translate_x=-2.0),
            digest=digests[2],
            start_digest=digests[1],
            needs=(1,),
        ),
    )
    assert all(len(digest) == 64 for digest in digests)


def test_the_first_frame_does_not_move(planned: Planner) -> None:
    plan = planned(frames=2, zoom="1.5", angle="10")
    assert plan.camera(0).still
    assert not plan.camera(1).still


def test_a_camera_without_a_value_at_some_frame_is_bad_input(planned: Planner) -> None:
    """Validation looks at a sample of a long video's frames; the frame itself tells."""
    plan = planned(frames=5000, zoom="1 + 1/(t - 2001) * 0.1")
    with pytest.raises(BadInput, match=r"zoom of video 'reef' at frame 2001"):
        plan.camera(2001)
    plan = planned(frames=5000, zoom="1 - 2*max(0, 1 - abs(t - 2001))")
    with pytest.raises(BadInput, match=r"zoom .* of video 'reef' is -1 at frame 2001: it must be positive"):
        plan.camera(2001)
    assert plan.camera(2000).still


# --- prompts ----------------------------------------------------------------------------------------------------------


def shares(plan: VideoPlan) -> list[dict[str, float]]:
    return [{prompt.text: prompt.weight for prompt in plan.prompts(index)} for index in range(plan.frames)]


def test_a_scene_fades_in_over_crossfade_frames_from_its_key(planned: Planner) -> None:
    found = shares(planned(frames=8, prompt="0: a | 3: b", crossfade=3))
    assert (
        found
        == [{"a": 1}] * 3 + [{"a": 0.75, "b": 0.25}, {"a": 0.5, "b": 0.5}, {"a": 0.25, "b": 0.75}] + [{"b": 1}] * 2
    )


def test_a_crossfade_of_zero_cuts(planned: Planner) -> None:
    assert shares(planned(frames=4, prompt="0: a | 2: b", crossfade=0)) == [{"a": 1}, {"a": 1}, {"b": 1}, {"b": 1}]


def test_a_scene_shorter_than_the_fade_cuts_it_short(planned: Planner) -> None:
    found = shares(planned(frames=12, prompt="0: a | 2: b | 4: c", crossfade=5))
    assert found[2] == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert found[3] == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert found[4] == pytest.approx({"b": 5 / 6, "c": 1 / 6})
    assert found[9] == {"c": 1}


@given(
    keys=st.lists(st.integers(1, 39), unique=True, max_size=6), crossfade=st.integers(0, 50), weight=st.floats(-3, 3)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_sum_to_the_scenes_own_at_every_frame(
    planned: Planner, keys: list[int], crossfade: int, weight: float
) -> None:
    scenes = [
        {"at": at, "prompts": [{"text": f"{at} one", "weight": weight}, {"text": f"{at} two", "weight": 2}]}
        for at in [0, *keys]
    ]
    plan = planned(frames=40, prompts=scenes, crossfade=crossfade)
    last: float = 0
    for index in range(40):
        prompts = plan.prompts(index)
        assert len({prompt.text for prompt in prompts}) == len(prompts) in (2, 4)
        assert sum(prompt.weight for prompt in prompts) == pytest.approx(weight + 2)
        # within a scene its share never falls, and it begins above nothing
        current = max(at for at in [0, *keys] if at <= index)
        share = next(prompt.weight / 2 for prompt in prompts if prompt.text == f"{current} two")
        assert 0 < share <= 1
        assert current == index or share >= last
        last = share


def test_stops_and_signs_come_through_a_fade(planned: Planner) -> None:
    plan = planned(frames=30, prompt=STORY, crossfade=1)
    assert plan.prompts(20) == (WeightedPrompt("noon", 1.0, -math.inf), WeightedPrompt("night", -0.5, 0.5))


# --- estimates --------------------------------------------------------------------------------------------------------


def test_seconds_count_the_steps_of_the_range(planned: Planner) -> None:
    plan = planned(frames=10, steps_first=20, steps=4)  # half a second a step
    assert plan.seconds(0, 1) == 10
    assert plan.seconds(1, 2) == 2
    assert plan.seconds(0, 10) == plan.seconds(0, 4) + plan.seconds(4, 10) == 28
    assert plan.seconds(0, 0) == plan.seconds(5, 5) == 0


def test_seconds_grow_with_the_picture(planned: Planner) -> None:
    assert planned(width=64, height=64).seconds(0, 1) == 4 * planned().seconds(0, 1)
    assert planned(width=16).seconds(0, 1) == planned().seconds(0, 1)  # the perceptor costs what it costs


def test_seconds_of_a_model_without_a_size_of_its_own_are_at_the_schemas(entry: ModelEntry) -> None:
    bare = Planner(ModelEntry.model_validate(entry.model_dump() | {"defaults": {"height": 256}}))
    assert bare(steps_first=2).seconds(0, 1) == 1
    assert bare(steps_first=2, width=1024).seconds(0, 1) == 2


def test_garbage_is_collected_again_after_a_plan_whether_it_was_made_or_not(planned: Planner) -> None:
    assert gc.isenabled()
    assert planned(frames=3).frame_plans
    with pytest.raises(BadInput):
        _ = planned(frames=5000, zoom="1 + 1/(t - 2001) * 0.1").frame_plans
    assert gc.isenabled()
    gc.disable()
    try:
        assert planned(frames=3).frame_plans
        assert not gc.isenabled()
    finally:
        gc.enable()
