"""Tiles and mirror images go with some cameras only, and say so."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.checking import check_row
from manifests.results import RowProblem
from manifests.schema import ManifestRow


def row(**values: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "frames": 8, **values})


def problem(**values: Any) -> RowProblem:
    (found,) = check_row({"video_id": "reef", "prompt": "a reef", "frames": 8, **values}, file="a.yaml", number=4)
    assert isinstance(found, RowProblem), found
    return found


def test_a_tile_that_moves_is_wrapped() -> None:
    assert row(tile="x").border == "reflect"  # nothing moves
    assert row(tile="x", translate_x="sin(t)").border == "wrap"
    assert row(tile="x", translate_x="2", border="wrap").border == "wrap"
    assert "border" not in row(tile="x", translate_x="2").model_fields_set
    assert row(tile="x", border="black", translate_x="0:(0)").border == "black"


@pytest.mark.parametrize(
    ("values", "column", "said"),
    [
        ({"tile": "x", "translate_x": "2", "border": "reflect"}, "border", ("tile x", "translate_x '2'", "give wrap")),
        ({"tile": "xy", "zoom": "1.02"}, "tile", ("zoom '1.02'", "it may only shift")),
        ({"tile": "y", "angle": "sin(t)"}, "tile", ("angle 'sin(t)'",)),
        ({"tile": "x", "translate_x": "2", "depth": {"shape": "tunnel"}}, "tile", ("depth.shape tunnel",)),
        ({"tile": "x", "source": {"video": "a.mp4"}}, "tile", ("source.video",)),
        ({"tile": "z"}, "tile", ("'z'",)),
        ({"symmetry": "x", "translate_x": "2"}, "symmetry", ("translate_x '2'", "may only zoom")),
        ({"symmetry": "y", "centre_x": "0:(.5), 7:(.6)", "zoom": "2"}, "symmetry", ("centre_x",)),
        ({"symmetry": "both", "dolly": "2", "depth": {"shape": "sphere"}}, "symmetry", ("depth.shape sphere",)),
        ({"symmetry": "x", "source": {"video": "a.mp4"}}, "symmetry", ("source.video",)),
        ({"symmetry": "x", "init_image": "a.png", "mask": "b.png"}, "symmetry", ("mask",)),
    ],
)
def test_what_does_not_go_with_a_form_is_refused_by_both_names(
    values: dict[str, Any], column: str, said: tuple[str, ...]
) -> None:
    found = problem(**values)
    assert found.column == column
    for words in said:
        assert words in found.message
    form = next(name for name in ("tile", "symmetry") if name in values)
    assert form in found.message


@pytest.mark.parametrize("camera", [{}, {"zoom": "1.02"}, {"zoom_x": "1.1", "dolly": "3"}, {"angle": "0:(0), 4:(0)"}])
def test_mirror_images_may_be_zoomed(camera: dict[str, str]) -> None:
    assert row(symmetry="both", **camera).symmetry == "both"


def test_a_tile_may_be_a_mirror_image() -> None:
    assert row(tile="x", symmetry="x").tile == "x"
