"""Digests outlive new settings: a setting that nobody uses is not in them, whether the code knows it or not."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from manifests.building import build
from manifests.results import GoodRow
from manifests.schema import (
    CutoutSettings,
    HoldSettings,
    ImagePrompt,
    LossSettings,
    ManifestRow,
    NoisePrompt,
    OptimiserSettings,
    RenewSettings,
    ReviewSettings,
    SourceSettings,
    WarmSettings,
)
from manifests.schema.camera import DepthSettings
from manifests.schema.finish import FinishSettings
from manifests.schema.scenes import Prompt, Scene
from renderers.frame_plan import addressing, addressing_v4, camera_path, neutral
from renderers.frame_plan.addressing import ALGORITHM, ONE_CROP
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import ModelEntry, PerceptorEntry, Registry, VQGANEntry
from renderers.registry import digest as model_digest
from tests.helpers.random_model import Planner, sha256
from tests.helpers.root import ROOT

PINNED = Path(__file__).with_name("pinned_digests.json")
PINNED_NEUTRAL = Path(__file__).with_name("pinned_neutral.json")  # a new column's value is added, none ever changed
ROWS: list[dict[str, Any]] = [
    {"video_id": "story", "prompt": "0: dawn:0.5 | 10: noon:2:-.9 | fog | 14: night", "frames": 20, "crossfade": 5},
    {
        "video_id": "keys", "prompt": "0: a reef | 20: a storm", "frames": 70, "handoff": "keyframes",
        "keyframe_every": 3, "zoom": "1+.02*sin(t/9)", "angle": "t/7", "translate_y": "-2", "steps": 7,
        "steps_keyframe": 11,
    },
    {
        "video_id": "steady", "prompt": "a reef", "frames": 40, "handoff": "keyframes", "zoom": "1.02", "angle": "1",
        "translate_x": ".5",
    },
    {
        "video_id": "prompts", "prompt": "a reef", "frames": 3, "init_image": "a.png",
        "noise_prompts": [{"seed": 3, "weight": 0.5}, {"seed": 4}],
        "image_prompts": [{"image": "a.png"}, {"image": "b.png", "weight": -2, "stop": 0.3}],
        "cutouts": {"number": 8, "noise": 0.3}, "loss": {"tv": 0.01}, "optimiser": {"lr": 0.3},
    },
]  # fmt: skip
IMAGES = {name: hashlib.sha256(name[:1].encode()).hexdigest() for name in ("a.png", "b.png")}


def pinned_rows() -> Iterator[ManifestRow]:
    with (ROOT / "manifests" / "demo.yaml").open(encoding="utf-8") as source:
        for result in build(source, "yaml"):
            assert isinstance(result, GoodRow)
            yield result.row
    yield from map(ManifestRow.model_validate, ROWS)


@pytest.mark.parametrize("algorithm", [ALGORITHM, ONE_CROP, addressing_v4.ALGORITHM])
def test_digests_are_what_they_were(algorithm: int) -> None:
    """First and last frame of each video, and all of them together. Those of 4 were computed by nightreel 0.1, those of
    5 by 0.2.

    When this fails, every frame that was ever rendered would be rendered again. If that is meant (a change of code
    changes the pictures that the same settings give), raise `ALGORITHM` and keep the former formulas as those of 4 are.
    """
    found = {}
    for row in pinned_rows():
        digests = VideoPlan.of(row, IMAGES, entry=Registry().entry(row.model), algorithm=algorithm).digests
        every = hashlib.sha256("".join(digests).encode()).hexdigest()
        found[row.video_id] = [digests[0], digests[-1], every]
    assert found == json.loads(PINNED.read_text())[str(algorithm)]


def test_several_crops_of_a_picture_move_those_frames_only_that_are_drawn_towards_one() -> None:
    pinned = json.loads(PINNED.read_text())
    moved = {name for name, digests in pinned[str(ALGORITHM)].items() if digests != pinned[str(ONE_CROP)][name]}
    assert moved == {"prompts"}


# --- settings of later days -------------------------------------------------------------------------------------------


class RowWithColumn(ManifestRow):
    swirl: float = 0.0


class RowWithAxis(ManifestRow):
    roll: str = "0"


def today(planned: Planner) -> VideoPlan:
    """A plan with every kind of setting."""
    return planned(
        {"a.png": b"a"}, prompt="a coral reef", frames=6, zoom="1.02", angle="t",
        image_prompts=[{"image": "a.png", "weight": 2}], noise_prompts=[{"seed": 3}], cutouts={"number": 7},
        loss={"tv": 0.1}, optimiser={"lr": 0.2},
    )  # fmt: skip


def later(planned: Planner, path: str, value: float) -> VideoPlan:
    """The same with a setting that does not exist today at `value`."""

    def swirling(old: BaseModel) -> BaseModel:
        return create_model("Later", __base__=type(old), swirl=(float, 0.0))(**old.model_dump(), swirl=value)

    plan, kind = today(planned), path.split(".")[0]
    columns = {name: getattr(plan.row, name) for name in ManifestRow.model_fields}
    if path == "swirl":
        row = RowWithColumn.model_construct(**columns, swirl=value)
    elif path == "roll":
        row = RowWithAxis.model_construct(**columns, roll=str(value))
    elif kind == "prompt":
        prompts = tuple(swirling(prompt) for prompt in plan.row.scenes[0].prompts)
        row = ManifestRow.model_construct(**columns)
        row.__dict__["scenes"] = (Scene.model_construct(at=0, prompts=prompts),)
    elif kind in ("image_prompt", "noise_prompt"):
        (old,) = columns[f"{kind}s"]
        row = ManifestRow.model_construct(**columns | {f"{kind}s": (swirling(old),)})
    else:
        row = ManifestRow.model_construct(**columns | {kind: swirling(columns[kind])})
    return VideoPlan(row, plan.entry, plan.images)


def with_neutral(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Give `path` a neutral value of 0."""
    values = {**neutral.NEUTRAL, path: 0.0}
    for module in (neutral, addressing, camera_path):
        monkeypatch.setattr(module, "NEUTRAL", values)


PATHS = [
    "swirl", "cutouts.swirl", "loss.swirl", "optimiser.swirl", "prompt.swirl", "image_prompt.swirl",
    "noise_prompt.swirl",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("algorithm", [ALGORITHM, addressing_v4.ALGORITHM])
def test_a_new_setting_at_its_neutral_value_leaves_every_digest(
    planned: Planner, monkeypatch: pytest.MonkeyPatch, path: str, algorithm: int
) -> None:
    before = replace(today(planned), algorithm=algorithm).digests
    with_neutral(monkeypatch, path)
    at_rest, used = later(planned, path, 0.0), later(planned, path, 0.5)
    assert replace(at_rest, algorithm=algorithm).digests == before
    # it is in all digests where it is used, and 0.1 has no address for that; a text's reaches no frame yet
    assert path == "prompt.swirl" or not set(used.digests) & set(at_rest.digests)
    assert at_rest.expressible(addressing_v4.ALGORITHM)
    assert not used.expressible(addressing_v4.ALGORITHM)


def test_a_new_setting_without_a_neutral_value_is_in_every_digest(planned: Planner) -> None:
    """Whoever forgets it pays with frames rendered again, not with frames that are wrong."""
    one, other = (later(planned, "cutouts.swirl", value).digests for value in (0.0, 0.5))
    assert not set(one) & set(other)


def test_a_new_axis_of_the_camera_at_rest_leaves_every_digest(
    planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = today(planned).digests

    def motion(values: dict[str, float], width: float, height: float, shape: str, model: str) -> Homography:
        tilt = Homography((1, 0, 0, 0, 1, 0, values.pop("roll", 0) / 1000, 0, 1))
        return Homography.of(**values).compose(tilt)

    with_neutral(monkeypatch, "roll")
    axes = (*neutral.CAMERA_AXES, "roll")
    monkeypatch.setattr(neutral, "SCHEDULED", (*neutral.SCHEDULED, "roll"))
    monkeypatch.setattr(neutral, "PER_FRAME", neutral.PER_FRAME | set(axes))
    for module in (neutral, camera_path):
        monkeypatch.setattr(module, "CAMERA_AXES", axes)
    monkeypatch.setattr(camera_path, "camera_motion", motion)
    at_rest, used = later(planned, "roll", 0.0), later(planned, "roll", 0.5)
    assert at_rest.digests == before
    assert at_rest.expressible(addressing_v4.ALGORITHM)
    assert used.digests[0] == before[0]  # nothing moves to the first frame
    assert not set(used.digests[1:]) & set(before)
    assert not used.expressible(addressing_v4.ALGORITHM)


@pytest.mark.parametrize("part", ["entry", "vqgan", "perceptor"])
def test_a_new_field_of_a_models_entry_at_its_neutral_value_leaves_its_digest(
    entry: ModelEntry, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    kinds = {"entry": ModelEntry, "vqgan": VQGANEntry, "perceptor": PerceptorEntry}
    wider = create_model("Later", __base__=kinds[part], swirl=(float, 0.0))

    def with_swirl(value: float) -> ModelEntry:
        if part == "entry":
            return wider(**entry.model_dump(), swirl=value)  # type: ignore[return-value]
        old = entry.vqgan if part == "vqgan" else entry.perceptors[0]
        new = wider(**old.model_dump(), swirl=value)
        return entry.model_copy(update={"vqgan": new} if part == "vqgan" else {"perceptors": (new,)})

    path = "swirl" if part == "entry" else f"{part}.swirl"
    monkeypatch.setattr(model_digest, "NEUTRAL", {**model_digest.NEUTRAL, path: 0.0})
    assert with_swirl(0.0).digest == entry.digest
    assert with_swirl(0.5).digest != entry.digest
    row = ManifestRow(video_id="a", prompt="a reef")
    assert addressing_v4.expressible(row, with_swirl(0.0))
    assert not addressing_v4.expressible(row, with_swirl(0.5))


# --- nobody forgets a value ------------------------------------------------------------------------------------------

ALWAYS = {"prompt.text", "image_prompt.image", "noise_prompt.seed", "scene.at", "scene.prompts"}
CLASSES: dict[str, type[BaseModel]] = {
    "": ManifestRow, "cutouts.": CutoutSettings, "loss.": LossSettings, "optimiser.": OptimiserSettings,
    "warm.": WarmSettings, "finish.": FinishSettings,
    "renew.": RenewSettings, "source.": SourceSettings,
    "hold.": HoldSettings,
    "depth.": DepthSettings,
    "review.": ReviewSettings,
    "prompt.": Prompt, "scene.": Scene, "image_prompt.": ImagePrompt, "noise_prompt.": NoisePrompt,
}  # fmt: skip


@pytest.mark.parametrize("prefix", CLASSES)
def test_every_setting_has_its_neutral_value(prefix: str) -> None:
    kind = CLASSES[prefix]
    known = {*neutral.NEUTRAL, *neutral.NOT_IN_PICTURES, *ALWAYS}
    nested = {column.rstrip(".") for column in CLASSES}
    forgotten = [prefix + name for name in kind.model_fields if prefix + name not in known | (nested - {""})]
    assert not forgotten, (
        f"{forgotten} of {kind.__name__}: write `Neutral(value)` into its annotation, the value at which it changes no "
        "picture, which must never change afterwards (with in_time=True, if it may change in time; NO_PICTURE, if it "
        "decides none). Otherwise every frame in storage would be rendered again"
    )


def test_neutral_values_are_what_they_were() -> None:
    """They stand beside the defaults, which may change: whoever changes both is told here."""
    # what is not JSON is the one value that stands for "never"
    found = {name: value if value != -math.inf else "-inf" for name, value in neutral.NEUTRAL.items()}
    frozen = json.loads(PINNED_NEUTRAL.read_text())
    assert {name: found.get(name) for name in frozen} == frozen


def test_every_nested_group_of_settings_is_looked_at() -> None:
    groups = {f"{name}." for name, field in ManifestRow.model_fields.items() if isinstance(field.default, BaseModel)}
    assert groups <= set(CLASSES), f"add {groups - set(CLASSES)} to CLASSES above"


@pytest.mark.parametrize(("prefix", "kind"), [("", ModelEntry), ("vqgan.", VQGANEntry), ("perceptor.", PerceptorEntry)])
def test_every_field_of_a_models_entry_has_its_neutral_value(prefix: str, kind: type[BaseModel]) -> None:
    known = {*model_digest.NEUTRAL, *model_digest.NOT_IN_PICTURES, "vqgan", "perceptors"}
    forgotten = [prefix + name for name in kind.model_fields if prefix + name not in known]
    assert not forgotten, (
        f"{forgotten} of {kind.__name__}: write into NEUTRAL of renderers/registry/digest.py the value at which each "
        "changes no picture, or its name into NOT_IN_PICTURES, if it decides none"
    )


def test_every_axis_that_has_limits_moves_the_camera() -> None:
    from manifests.schema.camera import CAMERA_LIMITS

    assert set(CAMERA_LIMITS) == set(neutral.CAMERA_AXES)


# --- one value, one frame ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"zoom": "1.02"}, {"zoom": "0:(1.02)"}),
        ({"zoom": "1.02"}, {"zoom": "1 + 0.01*2"}),
        ({"angle": "0.1+0.2"}, {"angle": "0.3"}),
        ({"translate_x": "t*0.1"}, {"translate_x": "t/10"}),
        ({"angle": "sin(t*pi)"}, {"angle": "0"}),
        ({"angle": "s", "fps": 10.0}, {"angle": "t/10"}),
        ({"angle": "b", "bpm": 60.0, "fps": 10.0, "beat_offset": 0.5}, {"angle": "t/10 - .5", "bpm": 100.0}),
        ({"angle": "0:(0), max_f:(8)"}, {"angle": "t"}),
        ({"zoom": "where(t > 3, 1.02, 1)"}, {"zoom": "1.02 if t >= 4 else 1"}),
        ({"zoom": "1", "bpm": 90.0}, {}),
        ({"prompt": f"a reef:{0.1 + 0.2!r}"}, {"prompt": "a reef:0.3"}),
        ({"prompt": "a reef:1:-inf"}, {"prompt": "a reef"}),
    ],
)
@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_two_spellings_of_a_value_are_one_frame(
    planned: Planner, one: dict[str, Any], other: dict[str, Any], handoff: str
) -> None:
    a, b = (planned(frames=9, handoff=handoff, keyframe_every=2, **columns) for columns in (one, other))
    assert a.digests == b.digests
    # and they are drawn alike: the numbers are rounded before anything uses them
    assert [frame.prompts for frame in a.walk()] == [frame.prompts for frame in b.walk()]
    assert [frame.motion for frame in a.walk()] == [frame.motion for frame in b.walk()]


def test_a_longer_video_keeps_its_frames_unless_it_says_how_long_it_is(planned: Planner) -> None:
    for angle, kept in (("noise(s) + rand(t, seed)", True), ("t/max_f", False)):
        short, long = (planned(frames=frames, angle=angle, seed=4).digests for frames in (6, 9))
        assert (long[1:6] == short[1:6]) is kept


def test_a_weight_edited_later_keeps_the_frames_before(planned: Planner) -> None:
    one = planned(frames=20, prompt="0: a:1 | 10: b:1", crossfade=2).digests
    other = planned(frames=20, prompt="0: a:1 | 10: b:0.5", crossfade=2).digests
    assert [a == b for a, b in zip(one, other, strict=True)] == [True] * 10 + [False] * 10


def test_a_model_is_one_by_what_is_in_its_files(entry: ModelEntry, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.yaml"
    copy.write_bytes(entry.vqgan.config_path.read_bytes())
    moved = entry.model_copy(update={"vqgan": entry.vqgan.model_copy(update={"config": copy})})
    assert sha256(copy) == sha256(entry.vqgan.config_path)
    assert moved.digest == entry.digest
