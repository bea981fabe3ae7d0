"""Damaged segments, finished videos that are off, bad pictures: each is named, and nothing is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.video.errors import FfmpegError, VideoDefect
from infra.video.ffmpeg import check, probe
from infra.video.segments import encode_segment
from tests.helpers.films import FORMATS, encoding, film, join, split, write_segments


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_bad_segment_is_named_and_nothing_is_published(tmp_path: Path, format: str, damage: str) -> None:
    paths = write_segments(tmp_path, split(film(9), [3, 3, 3]), format=format, fps=24)
    data = bytearray(paths[1].read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0x10
    paths[1].write_bytes(data[: {"cut": len(data) - 300, "empty": 0}.get(damage, len(data))])
    if damage == "gone":
        paths[1].unlink()
    target = tmp_path / "video"
    target.write_bytes(b"the video of yesterday")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(VideoDefect, match="segment 'it's range 1 100%"):
        join(paths, target, format=format, fps=24, frames=9)
    assert target.read_bytes() == b"the video of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_missing_range_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, split(film(9), [3, 3, 3]), format="mp4", fps=24)
    with pytest.raises(VideoDefect, match="the segments hold 6 frames, the video must have 9"):
        join([paths[0], paths[2]], tmp_path / "v.mp4", format="mp4", fps=24, frames=9)
    paths[2].write_bytes(encode_segment(film(3, 64, 64), encoding("mp4")))
    with pytest.raises(VideoDefect, match=r"range 2 .* is mp4 64x64 at 24 fps, upscale 1; the video is mp4 48x32"):
        join(paths, tmp_path / "v.mp4", format="mp4", fps=24, frames=9)
    assert not (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_check_finds_what_is_wrong_with_a_finished_video(tmp_path: Path, format: str) -> None:
    paths = write_segments(tmp_path, split(film(12), [5, 7]), format=format, fps=24)
    target = tmp_path / "video"
    join(paths, target, format=format, fps=24, frames=12)
    fewer = "holds 12 frames, must hold 13" if format != "webp" else "lasts 0.499 s, must last 0.542 s"
    with pytest.raises(VideoDefect, match=fewer):
        check(target, encoding(format), frames=13)
    if format not in ("png", "webp"):  # frames alike are one there
        with pytest.raises(VideoDefect, match=r"frame \d is shown at 0\.\d+ s, must be at"):
            check(target, encoding(format, 20), frames=12)
    data = target.read_bytes()
    target.write_bytes(data[: len(data) // 2])
    with pytest.raises((VideoDefect, FfmpegError)):
        check(target, encoding(format), frames=12)


def test_check_decodes_and_not_only_counts(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, split(film(12), [12]), format="mp4", fps=24)
    target = tmp_path / "v.mp4"
    join(paths, target, format="mp4", fps=24, frames=12)
    data = bytearray(target.read_bytes())
    # The last frames; the index, which comes first, still counts twelve. (Smaller damage may decode to garbage without
    # an error in any H.264 decoder: that is what the seals are for.)
    data[-300:] = b"\xff" * 300
    target.write_bytes(data)
    assert probe(target).frames == 12
    with pytest.raises(VideoDefect, match=r"'v\.mp4'.* (decode|decoded)"):
        check(target, encoding("mp4"), frames=12)


def test_bad_pictures_are_named_and_leave_no_process(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        encode_segment([], encoding("mp4"))
    with pytest.raises(ValueError, match=r"picture 0 is \(4, 4, 3\) float64"):
        encode_segment([np.zeros((4, 4, 3))], encoding("mp4"))  # type: ignore[list-item]
    with pytest.raises(
        ValueError, match=r"picture 2 is \(16, 48, 3\) uint8; the pictures of this segment are \(32, 48"
    ):
        encode_segment([*film(2), *film(1, 48, 16)], encoding("mp4"))


def test_a_generator_that_fails_is_not_swallowed() -> None:
    def pictures():  # type: ignore[no-untyped-def]
        yield from film(3)
        raise RuntimeError("the renderer fell over")

    with pytest.raises(RuntimeError, match="the renderer fell over"):
        encode_segment(pictures(), encoding("webm"))


def test_what_is_no_video_is_refused_with_ffmpegs_own_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a video")
    with pytest.raises(FfmpegError, match=r"notes\.txt(.|\n)*Invalid data"):
        probe(tmp_path / "notes.txt")
    with pytest.raises(FfmpegError, match=r"gone\.mp4"):
        probe(tmp_path / "gone.mp4")
