"""Rows that go on from a frame of another row."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.schema import ManifestRow
from manifests.schema.continues import Continued, continued


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reef@119", ("reef", 119)),
        (" reef @ 119 ", ("reef", 119)),
        ("reef@0", ("reef", 0)),
        ("reef", ("reef", None)),
        ("a.b-c_2@7", ("a.b-c_2", 7)),
    ],
)
def test_a_frame_of_another_video_is_named(text: str, expected: Continued) -> None:
    found = continued(text)
    assert found == expected
    assert continued(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "@3", "reef@", "reef@-1", "reef@last", "a/b@3", "reef@1@2", "reef@12345678", "é@1"]
)
def test_what_names_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValidationError, match="reef@119"):
        row(continues=text)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"continues": "night@3"}, "of this very video"),
        ({"init_image": "a.png"}, "init_image is given too"),
        ({"candidates": 4}, "candidates is 4"),
    ],
)
def test_what_does_not_go_with_it_is_named(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        row(**columns)


def row(**columns: Any) -> ManifestRow:
    return ManifestRow.model_validate(
        {"video_id": "night", "prompt": "a reef at night", "continues": "reef@119", **columns}
    )
