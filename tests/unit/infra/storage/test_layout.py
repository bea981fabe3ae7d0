"""Keys: what they look like, and that they are read back as they were made."""

from __future__ import annotations

import hashlib

import pytest

from infra.storage.layout import (
    LAYOUT,
    content_digest,
    failure_key,
    frame_key,
    frames_present,
    is_folder,
    is_ours,
    ours_in,
    plan_key,
    record_key,
    segment_digest,
    segment_key,
    video_key,
)

DIGESTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(12)]
ENCODER: dict[str, object] = {"format": "mp4", "rate": "24/1"}


def test_keys_sort_as_people_count_and_carry_sixteen_digits_of_the_digest() -> None:
    digest = "0123456789abcdef" + "f" * 48
    assert [
        frame_key("reef", 7, digest), segment_key("reef", 0, 120, digest), record_key("reef", 0, 120, digest),
        plan_key("reef", digest), failure_key("reef", 7, digest, "20261122T101112"),
        failure_key("reef", None, digest, "20261122T101112"), video_key("reef", "mp4"),
    ] == [
        "reef/frames/000007-0123456789abcdef.png", "reef/segments/000000-000120-0123456789abcdef.seg",
        "reef/segments/000000-000120-0123456789abcdef.json", "reef/plans/0123456789abcdef.json",
        "reef/failures/000007-0123456789abcdef-20261122T101112.json",
        "reef/failures/video-0123456789abcdef-20261122T101112.json", "reef/video.mp4",
    ]  # fmt: skip


def test_frames_are_present_under_the_right_number_and_the_right_digest_only() -> None:
    keys = [
        frame_key("reef", 0, DIGESTS[0]),
        frame_key("reef", 3, DIGESTS[3]),
        frame_key("reef", 4, DIGESTS[5]),  # of an earlier plan
        frame_key("reef", 12, DIGESTS[0]),  # beyond the end
        frame_key("reef", 6, DIGESTS[6]) + ".tmp",
        frame_key("reef", 7, DIGESTS[7]).replace("/frames/", "/old-frames/"),
        segment_key("reef", 8, 9, DIGESTS[8]),
    ]
    assert frames_present(keys, DIGESTS) == {0, 3}


@pytest.mark.parametrize("index", [0, 999_999, 1_000_000])
def test_a_frame_of_any_number_is_found_again(index: int) -> None:
    digests = [DIGESTS[0]] * (index + 1)
    assert frames_present([frame_key("frames", index, DIGESTS[0])], digests) == {index}


def test_a_segment_hangs_on_its_encoder_its_frames_and_their_order() -> None:
    base = segment_digest(ENCODER, DIGESTS[:3])
    others = [
        segment_digest({**ENCODER, "rate": "25/1"}, DIGESTS[:3]), segment_digest(ENCODER, DIGESTS[:4]),
        segment_digest(ENCODER, DIGESTS[1:4]), segment_digest(ENCODER, DIGESTS[2::-1]),
    ]  # fmt: skip
    assert len({base, *others}) == 5
    assert segment_digest(dict(reversed(ENCODER.items())), tuple(DIGESTS[:3])) == base


def test_a_video_hangs_on_its_encoder_its_length_and_the_end_of_its_chain() -> None:
    base = content_digest(ENCODER, DIGESTS[:3])
    others = [content_digest({**ENCODER, "format": "webm"}, DIGESTS[:3]), content_digest(ENCODER, DIGESTS[:4]),
              content_digest(ENCODER, [*DIGESTS[:2], DIGESTS[5]])]  # fmt: skip
    assert len({base, *others}) == 4


@pytest.mark.parametrize(
    ("folder", "ours"),
    [
        ("reef", True), ("reef/frames", True), ("reef/pictures", True), ("report", True), ("report/runs", True),
        ("report/runs/1", True), ("report/runs/1/requests", True), ("", True), ("reef/way", False),
        ("reef/frames/way", False), ("report/runs/1/way", False), ("report/runs/1/requests/way", False),
    ],
)  # fmt: skip
def test_where_an_output_has_folders(folder: str, ours: bool) -> None:
    assert is_folder(folder) == ours


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        *((key.replace("<", "x").replace(">", ""), True) for key, _ in LAYOUT),
        ("reef/video.webm", True), ("reef/frames/anything", True),
        ("reef/holiday.jpg", False), ("reef/videos.txt", False), ("reef/frames/way/a.png", False),
        ("reef/src/main.c", False), ("manifest.parquet", False), ("reef/provenance.json.bak", False),
    ],
)  # fmt: skip
def test_which_keys_may_be_ours(key: str, ours: bool) -> None:
    assert is_ours(key) == ours
    if key.count("/"):
        assert any(key.startswith(begin) for begin in ours_in(key.split("/")[0])) >= ours
