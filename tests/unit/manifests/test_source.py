"""Rows that are drawn over a film."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.schema import ManifestRow
from manifests.schema.describe import wrong_in
from manifests.schema.source import FoundSource

FOUND = {"fps": 29.97, "frames": "".join(f"{number:016x}" for number in range(9))}


def row(source: dict[str, Any] | None = None, **columns: Any) -> ManifestRow:
    source = {"video": "film.mp4", "found": FOUND} | (source or {})
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "source": source} | columns)


def test_a_video_is_as_long_and_as_quick_as_its_film() -> None:
    assert (row().frames, row().fps) == (9, 29.97)
    assert (row(frames=4).frames, row(frames=4, fps=12).fps) == (4, 12)
    assert row(seconds="0.2").frames == 6
    assert row(frames=1).format == "png"
    found = FoundSource.model_validate(FOUND)
    assert (found.count, found.hash_of(8)) == (9, f"{8:016x}")


def test_before_the_film_is_prepared_nobody_knows_how_long_that_is() -> None:
    unknown = row({"found": None})
    assert unknown.length_unknown
    assert unknown.length_of_film
    assert unknown.format == "mp4"  # not a still
    assert row({"found": None}, prompt="0: a reef | 90: a storm").scenes[1].at == 90
    assert not row({"found": None}, frames=3).length_unknown
    assert row({"found": None}, seconds="2").length_unknown  # of how many frames each, the film says
    assert not row({"found": None}, seconds="2", fps=10).length_unknown
    assert not ManifestRow(video_id="a", prompt="a").length_unknown


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"frames": 10},
            "frames: frames is 10, but the film 'film.mp4' has 9 from source.start 0 on, at 29.97 a second",
        ),
        ({"init_image": "a.png"}, "init_image: init_image and source.video exclude each other"),
        ({"init": "noise"}, "init: init and source.video"),
        ({"continues": "other@3"}, "continues: "),
        ({"candidates": 3}, "candidates: "),
        ({"loop": True, "frames": 9, "handoff": "keyframes", "keyframe_every": 2}, "loop: "),
        ({"handoff": "keyframes"}, "handoff: "),
        ({"finish": {"smooth": 3}}, "finish.smooth: finish.smooth and source.video exclude each other"),
        ({"zoom": "1.02"}, "zoom: zoom and source.video exclude each other: the film moves it, and no camera"),
        ({"angle": "sin(t)"}, "angle: "),
        ({"warm": {"start": "codes"}}, "warm.start: "),
        (
            {"source": {"mode": "each"}},
            "source.mode: source.mode says something of a film, but source.video names none",
        ),
        ({"source": {"blend": ".5"}}, "source.blend: "),
        ({"source": {"picture": 3}}, "source.picture: source.picture says something of a film"),
    ],
)
def test_what_does_not_go_with_a_film_is_refused_by_both_names(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        row(**columns) if "source" not in columns else ManifestRow(video_id="reef", prompt="a reef", **columns)
    assert reason in wrong_in(error.value)


def test_neutral_columns_beside_a_film_are_none() -> None:
    assert row(zoom="1", angle="0:(0), 9:(0)", init="tokens", candidates=1).source.video == "film.mp4"
    assert ManifestRow(video_id="reef", prompt="a reef", source={"mode": "flow", "blend": "0.05"}).source.video is None


@pytest.mark.parametrize("weights", [{}, {"picture": 0}, {"picture": "0:(0), 9:(0)", "edges": "0", "meaning": 0.0}])
def test_who_follows_a_film_is_pulled_to_it(weights: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        row({"mode": "follow"} | weights)
    assert wrong_in(error.value).startswith("source.mode: source.mode follow starts from the frame before as it was")
    assert "source.picture, source.edges or source.meaning a weight above 0" in wrong_in(error.value)


@pytest.mark.parametrize("name", ["picture", "edges", "meaning"])
def test_each_of_the_weights_is_a_pull(name: str) -> None:
    assert row({"mode": "follow", name: "where(t < 3, 300, 20)"}).source.mode == "follow"
    for wrong, reason in (("t - 1", "'t - 1' is -1 at frame 0"), ("0:(0), 8:(1001)", "1001 at frame 8")):
        with pytest.raises(ValidationError) as error:
            row({name: wrong})
        assert wrong_in(error.value).startswith(f"source.{name}: ")
        assert f"{reason}; allowed is 0 to 1000" in wrong_in(error.value)


def test_values_in_time_are_looked_at_where_they_are_wrong() -> None:
    with pytest.raises(ValidationError, match=r"1\.5 at frame 8"):
        row({"blend": "0:(0), 8:(1.5)"})
    with pytest.raises(ValidationError, match="no hashes that a plan has written"):
        row({"found": {"fps": 24, "frames": "12"}})
