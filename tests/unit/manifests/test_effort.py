"""What all expressions of a row may cost."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.checking import check_row
from manifests.results import GoodRow, RowProblem
from manifests.schema import ManifestRow

NOISE = "+".join(["noise(t)"] * 100)  # 899 characters


def row(**columns: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "v", "prompt": "a reef", **columns})


def test_a_long_video_with_short_expressions_is_planned() -> None:
    row(frames=1_000_000, zoom="1+.01*sin(t/24)", angle="where(t<9,1,2)", prompt="a:(sin(t/99))|b:(2)")
    row(frames=100_000, zoom=f"1+.0001*({NOISE})")
    row(frames=1_000_000, zoom="1", prompt="a reef " * 500)


def test_numbers_at_many_keys_cost_nothing() -> None:
    keys = ", ".join(f"{frame}:({1 + frame % 3 / 100})" for frame in range(0, 9_000, 2))
    row(frames=1_000_000, zoom=keys)


@pytest.mark.parametrize(("columns", "column"), [
    ({"frames": 1_000_000, "zoom": f"1+.0001*({NOISE})"}, "zoom"),
    ({"frames": 1_000_000, "angle": "sin(t)", "prompt": f"a:({NOISE})"}, "prompt"),
    ({"frames": 1_000_000, "image_prompts": [{"image": "a.png", "weight": NOISE}]}, "image_prompts"),
    ({"frames": 250_000, "prompt": f"a:({NOISE})|b"}, "prompt"),
    ({"frames": 30_000, "prompt": "|".join(f"p{number}:({NOISE})" for number in range(9))}, "prompt"),
    ({"frames": 1_000_000, "zoom": f"0:(1), 9:({NOISE}), 10:(1)"}, "zoom"),
])  # fmt: skip
def test_one_that_would_take_minutes_is_refused_in_its_column(columns: dict[str, Any], column: str) -> None:
    (problem,) = check_row({"video_id": "v", "prompt": "a reef", **columns}, file="m.yaml", number=1)
    assert isinstance(problem, RowProblem), problem if isinstance(problem, GoodRow) else ""
    assert problem.column == column
    assert "characters times frames; allowed are 200,000,000: write it shorter" in problem.message


def test_a_scene_counts_with_the_frames_that_show_it() -> None:
    scenes = "|".join(f"{at}: a:({NOISE})" for at in range(0, 200_000, 20_000))
    row(frames=200_000, prompt=scenes, crossfade=0)
    with pytest.raises(ValidationError, match="characters times frames"):
        row(frames=250_000, prompt=scenes, crossfade=0)
