"""Segments and their joins through the real ffmpeg; all claims are checked on decoded frames or on file bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from infra.video.ffmpeg import check, decode, ffmpeg_version, probe
from infra.video.segments import encode_segment
from tests.helpers.films import COPIED, FORMATS, Picture, encoding, film, join, split, write_segments


def differing(a: Sequence[Picture], b: Sequence[Picture]) -> list[int]:
    assert len(a) == len(b)
    return [number for number, (x, y) in enumerate(zip(a, b, strict=True)) if not np.array_equal(x, y)]


@pytest.mark.parametrize("format", COPIED)
def test_a_join_of_unequal_segments_decodes_to_the_frames_of_its_segments(tmp_path: Path, format: str) -> None:
    lengths = [5, 1, 12, 2, 7]
    paths = write_segments(tmp_path, split(film(27), lengths), format=format, fps=24)
    target = tmp_path / "video"
    join(paths, target, format=format, fps=24, frames=27)
    apart = [picture for path in paths for picture in decode(path)]
    assert differing(list(decode(target)), apart) == []


@pytest.mark.parametrize(("format", "limit"), [("mp4", 4.0), ("webm", 5.0), ("gif", 9.0), ("png", 0.0)])
def test_the_frames_look_like_the_pictures_in_order_and_colour(tmp_path: Path, format: str, limit: float) -> None:
    pictures = film(9)
    paths = write_segments(tmp_path, split(pictures, [4, 5]), format=format, fps=24)
    join(paths, tmp_path / "video", format=format, fps=24, frames=9)
    for number, frame in enumerate(decode(tmp_path / "video")):
        distances = [np.abs(frame.astype(int) - picture).mean() for picture in pictures]
        assert int(np.argmin(distances)) == number
        assert distances[number] <= limit
        # A wrong colour matrix or range shows as a shift of a channel's mean. (255 colours for two full gradients do
        # the same to a GIF.)
        assert format == "gif" or np.abs((frame.astype(int) - pictures[number]).mean((0, 1))).max() <= 1.5


@pytest.mark.parametrize("format", FORMATS)
def test_equal_pictures_give_equal_bytes(tmp_path: Path, format: str) -> None:
    results = []
    for run in ("one", "two"):
        folder = tmp_path / run
        folder.mkdir()
        paths = write_segments(folder, split(film(11), [4, 7]), format=format, fps=23.976)
        join(paths, folder / "video", format=format, fps=23.976, frames=11)
        results.append(([path.read_bytes() for path in paths], (folder / "video").read_bytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("format", FORMATS)
def test_a_replaced_middle_segment_changes_only_its_own_frames(tmp_path: Path, format: str) -> None:
    parts = split(film(18), [6, 5, 7])
    paths = write_segments(tmp_path, parts, format=format, fps=24)
    join(paths, tmp_path / "before", format=format, fps=24, frames=18)
    # Rolled, so that a GIF's palette sees the same colours as often as before.
    again = [np.roll(picture, 16, axis=1) for picture in parts[1]]
    paths[1].write_bytes(encode_segment(again, encoding(format)))
    join(paths, tmp_path / "after", format=format, fps=24, frames=18)
    changed = differing(list(decode(tmp_path / "before")), list(decode(tmp_path / "after")))
    assert changed == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [40, 1, 9]])
@pytest.mark.parametrize("fps", [24, 23.976, 12.5, 30])
@pytest.mark.parametrize("format", ["mp4", "webm", "gif"])
def test_count_and_duration_are_exact(tmp_path: Path, format: str, fps: float, lengths: list[int]) -> None:
    frames, rate = sum(lengths), 24000 / 1001 if fps == 23.976 else fps
    paths = write_segments(tmp_path, split(film(frames, 16, 16), lengths), format=format, fps=fps)
    claimed = join(paths, tmp_path / "video", format=format, fps=fps, frames=frames)
    assert claimed.frames == frames
    assert claimed.duration == pytest.approx(frames / rate, rel=1e-12)
    found = probe(tmp_path / "video")
    # The container's clock in seconds; WebM rounds the last frame's time and its length, to 1/1000 each.
    clock = {"mp4": 0.0, "webm": 0.002, "gif": 0.01}[format]
    assert found.frames == frames == len(list(decode(tmp_path / "video")))
    assert found.duration == pytest.approx(frames / rate, abs=clock + 1e-9)
    if format == "mp4":
        assert found.fps == pytest.approx(rate, rel=1e-12)


def test_the_tail_of_a_long_video_is_decoded_from_its_own_frame_on(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, split(film(60), [25, 25, 10]), format="mp4", fps=23.976)
    target = tmp_path / "v.mp4"
    join(paths, target, format="mp4", fps=23.976, frames=60)
    assert check(target, encoding("mp4", 23.976), frames=60, decode_from=50).frames == 60
    assert check(target, encoding("mp4", 23.976), frames=60, decode_from=37).frames == 60


@pytest.mark.parametrize("format", FORMATS)
def test_a_video_too_long_to_decode_whole_is_joined_and_its_tail_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr("infra.video.segments.FULL_DECODE_FRAMES", 20)
    paths = write_segments(tmp_path, split(film(30), [12, 11, 7]), format=format, fps=29.97)
    assert join(paths, tmp_path / "video", format=format, fps=29.97, frames=30).frames == 30


def test_far_more_pictures_than_a_pipe_holds_go_through() -> None:
    data = encode_segment((picture for picture in film(40, 512, 512)), encoding("mp4"))
    assert len(data) > 10_000


def test_a_reader_may_stop_early(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, [film(30, 256, 256)], format="mp4", fps=24)
    stream = decode(paths[0])
    assert next(stream).shape == (256, 256, 3)
    stream.close()  # type: ignore[attr-defined]


def test_the_version_is_known() -> None:
    assert any(character.isdigit() for character in ffmpeg_version())
