"""Prompts in time: what each frame is drawn towards, and how it is addressed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.checking import check_row
from manifests.results import GoodRow, RowProblem
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import FramePlan
from tests.helpers.random_model import Planner

IMAGES = {"a.png": b"a", "b.png": b"b"}


def weights(frame: FramePlan) -> dict[str, float]:
    return {prompt.text: prompt.weight for prompt in frame.prompts}


# --- weights and stops ------------------------------------------------------------------------------------------------


def test_a_weight_and_a_stop_are_what_their_expression_comes_to(planned: Planner) -> None:
    plan = planned(frames=30, prompt="reef | fog:(2*sin(t/8)):(-.9 + t/100)")
    for frame in plan.walk():
        fog = [prompt for prompt in frame.prompts if prompt.text == "fog"]
        if frame.index:
            assert fog[0].weight == float(f"{2 * math.sin(frame.index / 8):.12g}")
            assert fog[0].stop == pytest.approx(-0.9 + frame.index / 100)
        assert weights(frame)["reef"] == 1


def test_a_changing_weight_fades_with_its_scene(planned: Planner) -> None:
    plan = planned(frames=20, prompt="0: dawn:(1 + t) | 10: night:(t/10)", crossfade=3)
    found = [weights(frame) for frame in plan.walk()]
    assert found[9] == {"dawn": 10}
    assert found[10] == {"dawn": pytest.approx(11 * 0.75), "night": pytest.approx(0.25)}
    assert found[13] == {"night": pytest.approx(1.3)}


def test_pictures_and_noise_change_in_time_too(planned: Planner) -> None:
    plan = planned(
        IMAGES, frames=9, prompt="reef",
        image_prompts=[{"image": "a.png", "weight": "t/8", "stop": "t"}, {"image": "b.png"}],
        noise_prompts=[{"seed": 3, "weight": "where(t < 4, 0, .5)"}],
    )  # fmt: skip
    frames = list(plan.walk())
    assert [[it.weight for it in frame.pictures] for frame in (frames[0], frames[4])] == [[1], [0.5, 1]]
    assert frames[4].pictures[0].stop == 4
    assert [len(frame.noise) for frame in frames] == [0] * 4 + [1] * 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"prompt": "reef:1"}, {"prompt": "reef:(1)"}),
        ({"prompt": "reef:(t*.1)"}, {"prompt": "reef:(t/10)"}),
        ({"prompt": "reef:2:(.1+.2)"}, {"prompt": "reef:2:.3"}),
        ({"prompt": "reef:(s)", "fps": 10.0}, {"prompt": "reef:(t/10)"}),
        ({"prompt": "reef:(b)", "bpm": 60.0, "fps": 10.0}, {"prompt": "reef:(0:(0), 8:(.8))"}),
        ({"prompt": "reef | fog:(t < 0)"}, {"prompt": "reef"}),
        ({"prompts": [{"prompts": [{"text": "reef", "weight": "2*1"}]}]}, {"prompt": "reef:2"}),
        ({"noise_prompts": [{"seed": 1, "weight": "1/2"}]}, {"noise_prompts": [{"seed": 1, "weight": 0.5}]}),
        ({"image_prompts": [{"image": "a.png", "weight": "(1)"}]}, {"image_prompts": [{"image": "a.png"}]}),
    ],
)
def test_two_spellings_of_a_weight_are_one_frame(planned: Planner, one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = (planned(IMAGES, frames=9, **{"prompt": "reef", **columns} if "prompts" not in columns else columns)
            for columns in (one, other))  # fmt: skip
    assert a.digests == b.digests
    assert [(frame.prompts, frame.pictures, frame.noise) for frame in a.walk()] == [
        (frame.prompts, frame.pictures, frame.noise) for frame in b.walk()
    ]


def test_a_weight_that_changes_later_keeps_the_frames_before(planned: Planner) -> None:
    alone = planned(frames=30, prompt="reef").digests
    fog = planned(frames=30, prompt="reef | fog:(where(t < 20, 0, 1))").digests
    thicker = planned(frames=30, prompt="reef | fog:(where(t < 20, 0, where(t < 25, 1, 2)))").digests
    assert [a == b for a, b in zip(alone, fog, strict=True)] == [True] * 20 + [False] * 10
    assert [a == b for a, b in zip(fog, thicker, strict=True)] == [True] * 25 + [False] * 5
    assert planned(frames=60, prompt="reef | fog:(where(t < 20, 0, 1))").digests[:30] == fog


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        ({"prompt": "fog:(t*9)"}, "prompt", r"weight of 'fog': 't\*9' is 1008 at frame 112; allowed is -1000 to 1000"),
        ({"prompt": "0: a | 50: fog:(1/(t-60))"}, "prompt", "'fog' in the scene at frame 50: .* at frame 60"),
        ({"prompt": "fog:1:(b)"}, "prompt", "stop of 'fog': .*beats.*bpm"),
        ({"prompts": [{"prompts": [{"text": "fog", "weight": "t*9"}]}]}, "prompts", "is 1008 at frame 112"),
        ({"prompt": "a", "noise_prompts": [{"seed": 4, "weight": "t*9"}]}, "noise_prompts", "noise 4: .*1008"),
        ({"prompt": "a", "image_prompts": [{"image": "a.png", "weight": "t*9"}]}, "image_prompts", "a.png': .*1008"),
    ],
)  # fmt: skip
def test_a_weight_out_of_range_names_column_value_frame_and_range(
    columns: dict[str, Any], column: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        ManifestRow(video_id="a", frames=200, **columns)
    (problem,) = caught.value.errors()
    assert problem["ctx"]["error"].column == column


def test_a_weight_need_have_a_value_only_where_its_scene_is_shown() -> None:
    ManifestRow(video_id="a", frames=200, prompt="0: fog:(t*9) | 90: b", crossfade=12)
    with pytest.raises(ValidationError, match="at frame 112"):
        ManifestRow(video_id="a", frames=200, prompt="0: fog:(t*9) | 101: b", crossfade=12)


def test_in_a_long_video_a_frame_between_those_looked_at_is_refused_by_the_plan(planned: Planner) -> None:
    plan = planned(frames=5000, prompt="a | fog:(where(t == 4321, 2000, 1))")
    with pytest.raises(BadInput, match=r"weight of prompt 'fog' .* is 2000 at frame 4321; allowed is -1000"):
        _ = plan.digests
    assert plan.story.prompts(4320).texts[1].weight == 1


# --- pictures and noise of scenes -------------------------------------------------------------------------------------

GALLERY = [
    {"at": 0, "prompts": [{"text": "reef"}], "noise": [{"seed": 1, "weight": 0.5}]},
    {"at": 10, "images": [{"image": "a.png", "weight": 2, "stop": 0.3}]},
    {"at": 20, "prompts": [{"text": "storm"}], "images": [{"image": "b.png", "weight": "t/10"}], "crossfade": 0},
]


def drawn_towards(frame: FramePlan) -> dict[str | int, float]:
    pictures = {it.prompt.image: it.weight for it in frame.pictures}
    return {**weights(frame), **pictures, **{it.prompt.seed: it.weight for it in frame.noise}}


def test_pictures_and_noise_of_a_scene_fade_with_it(planned: Planner) -> None:
    plan = planned(IMAGES, frames=30, prompts=GALLERY, crossfade=3)
    frames = list(plan.walk())
    assert drawn_towards(frames[9]) == {"reef": 1, 1: 0.5}
    assert drawn_towards(frames[10]) == {"reef": 0.75, 1: 0.375, "a.png": 0.5}
    assert drawn_towards(frames[13]) == drawn_towards(frames[19]) == {"a.png": 2}
    assert drawn_towards(frames[20]) == {"storm": 1, "b.png": 2}
    assert drawn_towards(frames[29]) == {"storm": 1, "b.png": 2.9}
    assert frames[15].pictures[0].stop == 0.3


def test_pictures_and_noise_of_the_row_hold_throughout(planned: Planner) -> None:
    plan = planned(
        IMAGES, frames=30, prompts=GALLERY, crossfade=3, image_prompts=[{"image": "b.png", "weight": 0.2}],
        noise_prompts=[{"seed": 7}],
    )  # fmt: skip
    frames = list(plan.walk())
    for frame in frames:
        assert (frame.pictures[0].prompt.image, frame.pictures[0].weight) == ("b.png", 0.2)
        assert frame.noise[0].prompt.seed == 7
    assert [it.weight for it in frames[20].pictures] == [0.2, 2]


def test_pictures_travel_as_texts_do(planned: Planner) -> None:
    scenes = [{"at": 0, "images": [{"image": "a.png"}]}, {"at": 8, "images": [{"image": "b.png", "weight": -1}]},
              {"at": 16, "noise": [{"seed": 3}]}]  # fmt: skip
    frames = list(planned(IMAGES, frames=17, prompts=scenes, travel=True).walk())
    assert drawn_towards(frames[0]) == {"a.png": 1}
    assert drawn_towards(frames[2]) == {"a.png": 0.75, "b.png": -0.25}
    assert drawn_towards(frames[8]) == {"b.png": -1}
    assert drawn_towards(frames[15]) == {"b.png": -0.125, 3: 0.875}


def test_a_picture_edited_in_a_later_scene_keeps_the_frames_before(planned: Planner) -> None:
    one, other = (
        planned(
            IMAGES, frames=30, prompts=[*GALLERY[:2], {"at": 20, "images": [{"image": image}]}], crossfade=3
        ).digests
        for image in ("a.png", "b.png")
    )
    assert [a == b for a, b in zip(one, other, strict=True)] == [True] * 20 + [False] * 10


def test_prompts_of_one_scene_are_those_of_the_row(planned: Planner) -> None:
    """Which of the two says it decides nothing, for a video of one scene."""
    pictures, noise = [{"image": "a.png", "weight": 2}], [{"seed": 4, "weight": "t/8"}]
    scene = planned(IMAGES, frames=9, prompts=[{"prompts": [{"text": "reef"}], "images": pictures, "noise": noise}])
    row = planned(IMAGES, frames=9, prompt="reef", image_prompts=pictures, noise_prompts=noise)
    assert scene.digests == row.digests
    assert row.expressible(4) is scene.expressible(4) is False  # a weight in time
    assert planned(IMAGES, prompt="reef", image_prompts=pictures).expressible(4)
    assert not planned(IMAGES, prompts=[{"prompts": [{"text": "reef"}], "images": pictures}]).expressible(4)


def test_what_a_row_adds_to_its_scenes_goes_to_texts_and_beside_pictures(planned: Planner) -> None:
    plan = planned(IMAGES, frames=30, prompts=GALLERY, crossfade=0, suffix="in oil | fog:-1")
    frames = list(plan.walk())
    assert drawn_towards(frames[0]) == {"reef, in oil": 1, "fog": -1, 1: 0.5}
    assert drawn_towards(frames[10]) == {"a.png": 2, "fog": -1}


def test_not_aligned_is_what_was_before_there_was_such_a_word(planned: Planner) -> None:
    plain, said, aligned = (
        planned(IMAGES, prompt="reef", image_prompts=[{"image": "a.png"} | more])
        for more in ({}, {"aligned": False}, {"aligned": True})
    )
    assert plain.digests == said.digests != aligned.digests
    assert said.expressible(4)
    assert not aligned.expressible(4)


@pytest.mark.parametrize(
    ("scene", "column", "message"),
    [
        ({"at": 4}, "prompts[1].prompts", r"frame 4 has no prompts; give it texts \(prompts\), images or noise"),
        ({"at": 4, "prompts": [], "images": []}, "prompts[1].prompts", "scene at frame 4 has no prompts"),
        ({"at": 4, "images": [{"weight": 2}]}, "prompts[1].images[0].image", "is missing"),
        ({"at": 4, "images": [{"image": "a", "aligned": "x"}]}, "prompts[1].images[0].aligned", "true or false"),
        ({"at": 4, "images": [{"image": "a", "wieght": 1}]}, "prompts[1].images[0].wieght", "did you mean 'weight'"),
        ({"at": 4, "noise": [{"seed": -1}]}, "prompts[1].noise[0].seed", "seed is -1; allowed: a whole number from 0"),
        ({"at": 4, "images": [{"image": "a", "weight": "t*200"}]}, "prompts",
         "weight of 'a' in the scene at frame 4: 't.200' is 1200 at frame 6; allowed is -1000 to 1000"),
        ({"at": 4, "noise": [{"seed": 3, "weight": "t*200"}]}, "prompts", "noise 3 in the scene at frame 4: .*frame 6"),
        ({"at": 4, "images": [{"image": "a", "weight": 0}]}, "prompts", "scene at frame 4 have the weight 0"),
    ],
)  # fmt: skip
def test_a_scene_that_can_not_be_names_itself(scene: dict[str, Any], column: str, message: str) -> None:
    values = {"video_id": "a", "frames": 20, "prompts": [{"prompts": [{"text": "reef"}]}, scene]}
    (problem,) = check_row(values, file="jobs.parquet", number=3)
    assert isinstance(problem, RowProblem)
    assert problem.column == column
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(problem))


def test_a_scene_of_nothing_but_noise_or_pictures_is_one() -> None:
    for scene in ({"images": [{"image": "a.png"}]}, {"noise": [{"seed": 1}]}):
        values = {"video_id": "a", "prompts": [scene]}
        assert isinstance(check_row(values, file="jobs.parquet", number=3)[0], GoodRow)


@given(
    st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=5),
    st.builds(lambda fade: {"crossfade": fade}, st.integers(0, 40))
    | st.builds(lambda hold: {"travel": True, "travel_hold": hold}, st.floats(0, 1) | st.sampled_from([0, 0.5, 1])),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shares_come_to_one_and_scenes_are_shown_where_they_say(
    planned: Planner, starts: list[int], fades: dict[str, Any]
) -> None:
    story = " | ".join(f"{at}: s{at}" for at in sorted([0, *starts]))
    plan = planned(frames=80, prompt=story, **fades)
    shown = [plan.row.fades.shown(number, 80) for number in range(len(plan.row.scenes))]
    for index in range(80):
        shares = plan.story.shares(index)
        assert sum(share for _, share in shares) == pytest.approx(1)
        assert [number for number, _ in shares] == [number for number, it in enumerate(shown) if index in it]


# --- crossfades -------------------------------------------------------------------------------------------------------


def story(*scenes: tuple[int, int | None]) -> list[dict[str, Any]]:
    """Scenes that begin at a frame and have a crossfade; their texts are `s` and that frame."""
    return [{"at": at, "prompts": [{"text": f"s{at}"}]} | ({} if fade is None else {"crossfade": fade})
            for at, fade in scenes]  # fmt: skip


def test_a_scene_may_have_a_crossfade_of_its_own(planned: Planner) -> None:
    plan = planned(frames=40, prompts=story((0, None), (10, 4), (20, None), (30, 0)), crossfade=1)
    found = [weights(frame) for frame in plan.walk()]
    assert found[10] == {"s0": 0.8, "s10": 0.2}
    assert found[14] == {"s10": 1}
    assert found[20] == {"s10": 0.5, "s20": 0.5}  # the row's
    assert found[29:31] == [{"s20": 1}, {"s30": 1}]


def test_a_crossfade_of_a_scene_that_is_the_rows_is_the_rows(planned: Planner) -> None:
    own = planned(frames=40, prompts=story((0, None), (10, 4), (20, 4)), crossfade=9)
    rows = planned(frames=40, prompts=story((0, 7), (10, None), (20, None)), crossfade=4)
    assert own.digests == rows.digests
    assert rows.digests == planned(frames=40, prompt="0: s0 | 10: s10 | 20: s20", crossfade=4).digests
    assert not own.expressible(4)


# --- travel -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=5), st.floats(0, 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_travel_is_even_and_continuous_and_each_scene_stands_alone_at_its_key(
    planned: Planner, starts: list[int], hold: float
) -> None:
    keys = sorted([0, *starts])
    plan = planned(frames=80, prompt=" | ".join(f"{at}: s{at}" for at in keys), travel=True, travel_hold=hold)
    for number, (one, other) in enumerate(pairwise(keys)):
        wait = hold * (other - one)
        for index in range(one, other + 1):
            shares = dict(plan.story.shares(index))
            # share = clamp((t - k0 - h) / (k1 - k0 - h), 0, 1)
            going = other - one - wait
            share = min(1.0, max(0.0, (index - one - wait) / going)) if going > 1e-9 else float(index == other)
            assert shares.get(number + 1, 0.0) == pytest.approx(share, abs=1e-6)
            assert sum(shares.values()) == pytest.approx(1)
    assert plan.story.shares(79) == ((len(keys) - 1, 1.0),)
    assert all(dict(plan.story.shares(key)) == {number: 1.0} for number, key in enumerate(keys))


def test_travel_changes_weights_and_no_scene_is_a_cut_for_keyframes(planned: Planner) -> None:
    plan = planned(frames=41, prompt="0: a:2 | 20: b | 40: c", travel=True)
    found = [weights(frame) for frame in plan.walk()]
    assert (found[0], found[5], found[20], found[30]) == (
        {"a": 2},
        {"a": 1.5, "b": 0.25},
        {"b": 1},
        {"b": 0.5, "c": 0.5},
    )
    keyframes = planned(frames=41, prompt="0: a | 20: b | 40: c", travel=True, handoff="keyframes", keyframe_every=8)
    assert {place.index for place in keyframes.places() if place.level == 0} == {0, 32, 40}


def test_what_travel_does_not_reach_keeps_its_frames(planned: Planner) -> None:
    story = planned(frames=41, prompt="0: a | 20: b | 40: c", travel=True, travel_hold=0.5).digests
    assert planned(frames=41, prompt="0: a", crossfade=3).digests[:11] == story[:11]
    edited = planned(frames=41, prompt="0: a | 20: b | 40: d", travel=True, travel_hold=0.5).digests
    assert [one == other for one, other in zip(story, edited, strict=True)] == [True] * 31 + [False] * 10


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        ({"prompt": "a", "travel": True}, "travel", "there is one scene"),
        (
            {"prompt": "0: a | 9: b", "travel": True, "crossfade": 3},
            "travel",
            "travel and crossfade exclude each other",
        ),
        ({"prompts": story((0, None), (9, 3)), "travel": True}, "travel", "travel and crossfade exclude each other"),
        ({"prompt": "0: a | 9: b", "travel_hold": 0.5}, "travel_hold", "travel, which is off"),
    ],
)
def test_travel_that_can_not_be_is_refused(columns: dict[str, Any], column: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        ManifestRow(video_id="a", frames=20, **columns)
    assert caught.value.errors()[0]["ctx"]["error"].column == column


def test_a_models_crossfade_says_nothing_of_a_row_that_travels(planned: Planner) -> None:
    entry = planned.entry.model_copy(update={"defaults": {**planned.entry.defaults, "crossfade": 5}})
    plan = Planner(entry)(frames=20, prompt="0: a | 10: b", travel=True)
    assert plan.digests == planned(frames=20, prompt="0: a | 10: b", travel=True).digests


# --- prefix and suffix ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "same"),
    [
        ({"suffix": "in oil"}, "0: a, in oil:2 | b:-1 | 9: c, in oil"),
        ({"prefix": "oil of"}, "0: oil of, a:2 | b:-1 | 9: oil of, c"),
        ({"suffix": "| text:-1:-.9"}, "0: a:2 | b:-1 | text:-1:-.9 | 9: c | text:-1:-.9"),
        ({"prefix": "| text:-1"}, "0: text:-1 | a:2 | b:-1 | 9: text:-1 | c"),
        ({"prefix": "text:-1 |"}, "0: text:-1 | a:2 | b:-1 | 9: text:-1 | c"),
        ({"prefix": "text:-1 | oil of", "suffix": r"12\:00 | d:(t)"},
         r"0: text:-1 | oil of, a, 12\:00:2 | b:-1 | d:(t) | 9: text:-1 | oil of, c, 12\:00 | d:(t)"),
    ],
)  # fmt: skip
def test_prefix_and_suffix_are_as_if_each_scene_said_them(planned: Planner, columns: dict[str, str], same: str) -> None:
    assert (
        planned(frames=20, prompt="0: a:2 | b:-1 | 9: c", **columns).digests == planned(frames=20, prompt=same).digests
    )


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        ({"suffix": "oil:2"}, "suffix", "'oil' is joined to texts, which have weights of their own: begin with '|'"),
        ({"prefix": "0: oil"}, "prefix", "can't have scenes of its own"),
        ({"prefix": ""}, "prefix", "nothing stands"),
        ({"suffix": "| oil:heavy"}, "suffix", "':heavy' is not a number"),
        ({"suffix": "| oil:(t*999)"}, "prompt", "weight of 'oil'.* allowed is -1000 to 1000"),
        ({"prompt": "x" * 9_999, "suffix": "oil"}, "suffix", "a text of 10004 characters"),
    ],
)
def test_a_prefix_that_can_not_be_is_refused(columns: dict[str, Any], column: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        ManifestRow(**{"video_id": "a", "frames": 20, "prompt": "a", **columns})
    (problem,) = caught.value.errors()
    assert column in (*problem["loc"], getattr(problem["ctx"]["error"], "column", ""))
