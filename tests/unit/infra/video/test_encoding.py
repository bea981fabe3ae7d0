"""What each format holds, and what an encoding is: equal where segments fit together, refused with a reason."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.video.encoding import FORMATS, Encoding, exact_rate
from infra.video.errors import EncodingInvalid
from manifests.errors import ErrorKind, kind_of
from manifests.schema import ManifestRow
from manifests.schema.formats import VideoFormat
from tests.helpers.films import encoding


def test_the_manifest_offers_the_formats_of_the_table() -> None:
    assert tuple(FORMATS) == get_args(VideoFormat)
    assert ManifestRow.model_fields["format"].annotation == VideoFormat


def test_a_row_says_how_it_is_encoded() -> None:
    row = ManifestRow(video_id="reef", prompt="a fish", frames=8, format="webm", fps=12.5, upscale=3)
    assert Encoding.of(row) == Encoding("webm", 12.5, 3)
    assert Encoding.of(row) != Encoding("webm", 12.5, 2)


def test_encodings_of_one_exact_rate_are_equal() -> None:
    assert encoding("mp4", 23.976) == encoding("mp4", 23.98)
    assert encoding("mp4", 23.976) != encoding("mp4", 24)


@given(st.floats(0.0002, 1000, allow_nan=False))
def test_an_encoding_survives_its_seal(fps: float) -> None:
    made = encoding("mp4", fps, 2)
    assert Encoding.from_dict(made.to_dict()) == made


@dataclass(frozen=True)
class _Later(Encoding):
    """An encoding with a column that came later."""

    hue: int | None = None


def test_a_later_column_leaves_no_trace_at_its_default() -> None:
    assert _Later("mp4", 24, 1).to_dict() == encoding("mp4").to_dict()
    better = _Later("mp4", 24, 1, hue=3)
    assert better.to_dict() == {**encoding("mp4").to_dict(), "hue": 3}
    assert _Later.from_dict(better.to_dict()) == better != _Later("mp4", 24, 1)
    assert better.describe(64, 48) == "mp4 64x48 at 24 fps, upscale 1, hue 3"


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (23.9, Fraction(239, 10)),
        (0.1, Fraction(1, 10)),
        (1 / 3, Fraction(1, 3)),
        (240, Fraction(240)),
    ],
)
def test_a_rate_is_the_fraction_that_people_mean(fps: float, rate: Fraction) -> None:
    assert exact_rate(fps) == rate


@pytest.mark.parametrize("fps", [0, -1, 1001, float("nan"), float("inf"), 1e-6])
def test_a_rate_out_of_bounds_is_named(fps: float) -> None:
    with pytest.raises(EncodingInvalid, match="fps"):
        exact_rate(fps)


@pytest.mark.parametrize(
    ("format", "fps", "upscale", "message"),
    [
        ("avi", 24, 1, "format 'avi': must be one of mp4, webm, gif, png, mov, webp"),
        ("mp4", 24, 9, "upscale 9: must be 1 to 8"),
        ("gif", 60, 1, "fps 60: a gif holds at most 50 frames a second; use format mp4 or webm or mov or webp"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_words(format: str, fps: float, upscale: int, message: str) -> None:
    with pytest.raises(EncodingInvalid) as caught:
        encoding(format, fps, upscale)
    assert str(caught.value) == message
    assert kind_of(caught.value) == ErrorKind.BAD_INPUT


def test_names_and_types_of_finished_files() -> None:
    kinds = {name: encoding(name).file_type(2) for name in FORMATS}
    assert {name: kind.extension for name, kind in kinds.items()} == {
        "mp4": "mp4", "webm": "webm", "gif": "gif", "png": "zip", "mov": "mov", "webp": "webp",
    }  # fmt: skip
    assert encoding("png").file_type(1).extension == "png"
    assert encoding("png").file_type(1).mime_type == "image/png"
    assert encoding("png").file_type(2).mime_type == "application/zip"
    assert encoding("mp4").file_type(1).mime_type == "video/mp4"


def test_sizes_are_even_only_where_they_must_be() -> None:
    assert encoding("mp4").size(17, 33) == (18, 34)
    assert encoding("webm", 24, 2).size(17, 33) == (34, 66)
    assert encoding("gif", 24, 3).size(17, 33) == (51, 99)


def test_a_tile_counts_where_pictures_are_enlarged_and_nowhere_else() -> None:
    def of(**columns: Any) -> Encoding:
        return Encoding.of(ManifestRow.model_validate({"video_id": "reef", "prompt": "a fish", **columns}))

    assert of(tile="xy", upscale=2).tile == "xy"  # a still is a PNG
    for columns in ({}, {"upscale": 2, "frames": 8}, {"upscale": 2, "finish": {"upscaler": "x4"}}):
        assert of(tile="xy", **columns) == of(**columns)
    assert Encoding.from_dict(of(tile="x", upscale=2).to_dict()).tile == "x"
