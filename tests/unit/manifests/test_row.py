import math
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from manifests.checking import check_row
from manifests.results import GoodRow, RowProblem
from manifests.schema import ManifestRow, Prompt, Scene
from manifests.schema.describe import describe_fields, known_columns


def row(**values: Any) -> ManifestRow:
    return ManifestRow(**{"video_id": "reef", "prompt": "a coral reef", **values})


def problems(**values: Any) -> list[RowProblem]:
    results = check_row({"video_id": "reef", "prompt": "a reef", **values}, file="jobs.parquet", number=41)
    assert all(isinstance(result, RowProblem) for result in results), results
    return [result for result in results if isinstance(result, RowProblem)]


def test_defaults_are_the_references():
    r = row()
    assert (r.frames, r.fps, r.width, r.height, r.seed, r.model) == (1, 24, 512, 512, 0, "embedded")
    assert (r.steps_first, r.steps, r.crossfade, r.init, r.handoff, r.upscale) == (300, 25, 12, "tokens", "auto", 1)
    assert (r.cutouts.number, r.cutouts.degrees, r.cutouts.erase_max, r.optimiser.lr, r.loss.tv) == (
        32,
        15,
        0.4,
        0.1,
        0,
    )


def test_it_tells_what_the_author_gave():
    assert row().model_fields_set == {"video_id", "prompt"}
    r = row(cutouts={"number": 8}, frames=1)
    assert r.model_fields_set == {"video_id", "prompt", "cutouts", "frames"}
    assert r.cutouts.model_fields_set == {"number"}
    assert r.loss.model_fields_set == set()


def test_a_still_is_a_png_unless_another_is_given():
    assert row().format == "png"
    assert row(frames=2).format == "mp4"
    assert row(format="webm").format == "webm"
    assert "format" not in row().model_fields_set


def test_an_init_image_implies_its_init():
    r = row(init_image="pictures/a.png")
    assert r.init == "image"
    assert "init" not in r.model_fields_set
    assert row(init_image="a.png", init="image").init == "image"


def test_scenes_from_either_form():
    night = Scene(at=24, prompts=(Prompt(text="night"),))
    dawn = Scene(at=0, prompts=(Prompt(text="dawn"), Prompt(text="fog", weight=-1)))
    assert row(prompt="dawn | fog:-1 | 24: night", frames=48).scenes == (dawn, night)
    nested = ManifestRow(video_id="reef", prompts=[night, dawn.model_dump()], frames=48)
    assert nested.scenes == (dawn, night)
    assert row().scenes == (Scene(prompts=(Prompt(text="a coral reef"),)),)


def test_frozen_equal_hashable_picklable():
    r = row(frames=48, zoom="1.02", cutouts={"number": 8})
    assert r.scenes
    copy = pickle.loads(pickle.dumps(r))
    assert copy == r
    assert hash(copy) == hash(r)
    assert copy.model_fields_set == r.model_fields_set
    with pytest.raises(ValidationError):
        r.frames = 3  # type: ignore[misc]


def test_json_round_trip_keeps_what_was_given():
    r = row(noise_prompts=[{"seed": 3}], image_prompts=[{"image": "a.png", "stop": -math.inf}])
    copy = ManifestRow.model_validate_json(r.model_dump_json(exclude_unset=True))
    assert copy == r
    assert copy.model_fields_set == r.model_fields_set


def test_numbers_and_texts_are_taken_sensibly():
    r = row(video_id=42, prompt=1984, frames=48.0, seed="7", zoom=1.02, angle=1, fps="12.5")
    assert (r.video_id, r.prompt, r.frames, r.seed, r.zoom, r.angle, r.fps) == ("42", "1984", 48, 7, "1.02", "1", 12.5)


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        ({"frames": 0}, "frames", "frames is 0; allowed: a whole number from 1 to 1,000,000"),
        ({"frames": 1.5}, "frames", "frames is 1.5; allowed: a whole number"),
        ({"frames": "many"}, "frames", "frames is 'many'; allowed: a whole number"),
        ({"fps": math.nan}, "fps", "fps is nan; allowed: a number above 0 to 240"),
        ({"seed": 2**63}, "seed", "allowed: a whole number from 0 to 9,223,372,036,854,775,807"),
        ({"optimiser": {"beta2": 1}}, "optimiser.beta2", "is 1; allowed: a number from 0 to below 1"),
        ({"video_id": "../x"}, "video_id", "video_id is '../x'; allowed: 1 to 128 letters"),
        ({"video_id": "reef\n"}, "video_id", "allowed: 1 to 128 letters"),
        ({"video_id": "a" * 129}, "video_id", "allowed: 1 to 128 letters"),
        ({"format": "avi"}, "format", "format is 'avi'; allowed: one of mp4, webm, gif, png"),
        ({"prompt": "a:b"}, "prompt", "prompt: prompt 'a:b': ':b' is not a number"),
        ({"prompt": "  "}, "prompt", "nothing stands"),
        ({"prompt": b"\xff"}, "prompt", "prompt is"),
        ({"prompt": "a", "prompts": [{"prompts": [{"text": "a"}]}]}, "prompt", "not both; here both are given"),
        ({"zoom": "1/t"}, "zoom", "zoom: expression '1/t' at frame 0, character 1: division by zero"),
        ({"zoom": 0}, "zoom", "zoom: '0' is 0 at frame 0; allowed is 0.01 to 100"),
        ({"zoom": "0:(1), 9:(-1)"}, "zoom", "is -1 at frame 9"),
        ({"angle": "1/(t-3)", "frames": 9}, "angle", "at frame 3, character 1: division by zero"),
        ({"zoom": math.inf}, "zoom", "'inf' is unknown"),
        (
            {"prompt": "0: a | 9: b", "frames": 9},
            "frames",
            "a scene starts at frame 9, but the video ends with frame 8",
        ),
        ({"init": "image"}, "init", "no init_image is given"),
        ({"init": "noise", "init_image": "a.png"}, "init", "init_image is given, but init is 'noise'"),
        ({"cutouts": {"nubmer": 3}}, "cutouts.nubmer", r"cutouts.nubmer is unknown; did you mean 'number'\?"),
        ({"cutouts": {"size_min": 1.2}}, "cutouts.size_min", "size_min 1.2 is above size_max 1"),
        ({"cutouts": 8}, "cutouts", "cutouts is 8; allowed: settings: method, number, size_min"),
        ({"optimiser": {"lr": 0}}, "optimiser.lr", "optimiser.lr is 0; allowed: a number above 0 to 10"),
        ({"image_prompts": [{"weight": 1}]}, r"image_prompts[0].image", "is missing"),
        ({"promt": "x"}, "promt", r"promt is unknown; did you mean 'prompt'\?"),
    ],
)
def test_problems_name_column_value_and_what_is_allowed(values: dict[str, Any], column: str, message: str):
    (problem,) = problems(**values)
    assert problem.column == column
    assert (problem.file, problem.row) == ("jobs.parquet", 41)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(problem))
    assert str(problem).endswith("jobs.parquet)")
    assert "row 41" in str(problem)


def test_all_problems_of_a_row_are_reported_at_once():
    assert [problem.column for problem in problems(frames=0, fps=0, format="avi")] == ["frames", "fps", "format"]


def test_neither_prompt_nor_prompts():
    (problem,) = (r for r in check_row({"video_id": "a"}, file="f", number=1) if isinstance(r, RowProblem))
    assert "neither is given" in problem.message


def test_a_strangers_text_does_not_reach_the_terminal_raw():
    (problem,) = problems(format="\x1b[2J\n")
    assert str(problem).isprintable()


def test_a_scene_list_is_checked_like_the_grammar():
    wrong = [{"at": 5, "prompts": [{"text": "a"}]}]
    (problem,) = problems(prompt=None, prompts=wrong, frames=9)
    assert problem.column == "prompts"
    assert "frames 0-4 have no prompt" in problem.message


def test_a_good_row_carries_its_place():
    (good,) = check_row({"video_id": "reef", "prompt": "a"}, file="f", number=3)
    assert isinstance(good, GoodRow)
    assert (good.row.video_id, good.file, good.number) == ("reef", "f", 3)


def test_every_field_says_what_it_is_and_what_it_allows():
    for field in describe_fields():
        assert field.description.endswith("."), field
        assert field.allowed, field
    assert {"cutouts.number", "optimiser.lr", "zoom", "loss"} <= known_columns()
    assert [field.name for field in describe_fields() if field.required] == ["video_id"]


def test_the_reports_folder_is_no_video() -> None:
    with pytest.raises(ValueError, match="'report' is the folder of the job's report"):
        ManifestRow(video_id="report", prompt="a cat")
