"""Rows as Python gives them: mistakes are found before any model is loaded."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from flows.api.rendering import checked_row, prepare, render
from manifests.schema import ManifestRow
from renderers.errors import BadInput, UnknownModel
from tests.helpers.frames import picture_bytes


@pytest.mark.parametrize(("columns", "said"), [
    ({"widht": 64}, "widht is unknown; did you mean 'width'?"),
    ({"width": 3}, r"width is 3 .*allowed: a whole number from 16 to 4,096"),
    ({"cutouts": {"number": 0}}, "cutouts.number is 0"),
    ({"frames": 2, "prompt": "0: a | 9: b"}, "a scene starts at frame 9"),
    ({"width": 17}, "width 17 of video 'picture' is not a multiple of"),
    ({"init_image": "no/such.png"}, "init_image 'no/such.png' of video 'picture' does not exist"),
])  # fmt: skip
def test_a_mistake_says_what_is_allowed_before_a_model_is_loaded(
    columns: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "renderers.frame_rendering.renderer", None)  # importing it raises
    with pytest.raises(BadInput, match=said):
        render(**{"prompt": "a red apple", **columns})  # type: ignore[arg-type]


def test_an_unknown_model_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UnknownModel, match="embedded"):
        render("a red apple", model="nope")


def test_a_row_is_prepared_with_the_bytes_of_its_pictures(tmp_path: Path) -> None:
    for name, seed in (("a.png", 0), ("b.png", 1)):
        (tmp_path / name).write_bytes(picture_bytes(seed=seed))
    first, second = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    row = ManifestRow(video_id="v", prompt="a reef", init_image=first, image_prompts=[{"image": second}])
    prepared = prepare(row)
    assert prepared.images == {first: picture_bytes(seed=0), second: picture_bytes(seed=1)}
    assert prepared.plan.images == {uri: hashlib.sha256(data).hexdigest() for uri, data in prepared.images.items()}
    assert prepared.plan.row.init == "image"
    assert checked_row({"video_id": "v", "prompt": "a reef"}).prompt == "a reef"
