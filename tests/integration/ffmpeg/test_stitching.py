"""Segments and their joins through the real ffmpeg; all claims are checked on decoded frames or on file bytes."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infra.ffmpeg import (
    FfmpegError,
    VideoDefect,
    VideoInfo,
    check,
    decode,
    encode_segment,
    extension,
    ffmpeg_version,
    join_segments,
    probe,
)

Picture = NDArray[np.uint8]
FORMATS = ("mp4", "webm", "gif", "png")
COPIED = ("mp4", "webm", "png")  # a GIF is encoded anew, with one palette


def film(count: int, width: int = 48, height: int = 32, *, start: int = 0) -> list[Picture]:
    """Moving gradients whose brightness tells the frame number; no two of them are alike."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(start, start + count):
        planes = (128 + 90 * np.sin((x + 3 * t) / 9), 128 + 90 * np.cos((y - 2 * t) / 7), (x + y + 9 * t) % 256)
        frames.append(np.stack(planes, -1).clip(0, 255).astype(np.uint8))
    return frames


def split(pictures: Sequence[Picture], lengths: Sequence[int]) -> list[list[Picture]]:
    edges = np.cumsum([0, *lengths])
    return [list(pictures[a:b]) for a, b in itertools.pairwise(edges)]


def write_segments(
    folder: Path, parts: list[list[Picture]], *, format: str, fps: float, upscale: int = 1
) -> list[Path]:
    paths = []
    for number, part in enumerate(parts):
        paths.append(folder / f"it's range {number} 100%.seg")  # names that a listing could trip over
        paths[-1].write_bytes(encode_segment(iter(part), format=format, fps=fps, upscale=upscale))  # type: ignore[arg-type]
    return paths


def join(paths: list[Path], target: Path, *, format: str, fps: float, frames: int, upscale: int = 1) -> VideoInfo:
    return join_segments(paths, format=format, fps=fps, upscale=upscale, frames=frames, target=target)  # type: ignore[arg-type]


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
    paths[1].write_bytes(encode_segment(again, format=format, fps=24, upscale=1))  # type: ignore[arg-type]
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


def test_an_mp4_starts_fast_and_runs_at_a_constant_rate(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, split(film(30), [13, 17]), format="mp4", fps=23.976)
    join(paths, tmp_path / "v.mp4", format="mp4", fps=23.976, frames=30)
    data = (tmp_path / "v.mp4").read_bytes()
    boxes = top_level_boxes(data)
    assert boxes.index("moov") < boxes.index("mdat")
    # stts: one entry for all frames is what "constant frame rate" means in an mp4; ctts and edits would move frames.
    place = data.index(b"stts") + 8
    entries, count, ticks = (int.from_bytes(data[place + 4 * n : place + 4 * n + 4], "big") for n in range(3))
    assert (entries, count, ticks) == (1, 30, 1001)
    timescale = data.index(b"mdhd") + 4 + 12
    assert int.from_bytes(data[timescale : timescale + 4], "big") == 24000
    assert b"ctts" not in data
    # The one edit, if any, must begin at the first frame.
    if (edit := data.find(b"elst")) >= 0:
        assert int.from_bytes(data[edit + 8 : edit + 12], "big") == 1
        assert int.from_bytes(data[edit + 16 : edit + 20], "big", signed=True) == 0
    assert b"Lavf" not in data  # no tag of the tool's version, no date


def top_level_boxes(data: bytes) -> list[str]:
    names, place = [], 0
    while place < len(data):
        names.append(data[place + 4 : place + 8].decode())
        place += int.from_bytes(data[place : place + 4], "big")
    assert place == len(data)
    return names


@pytest.mark.parametrize(("format", "codec"), [("mp4", "h264"), ("webm", "vp9"), ("gif", "gif"), ("png", "png")])
@pytest.mark.parametrize(
    ("width", "height", "upscale"), [(16, 16, 1), (64, 64, 4), (17, 33, 1), (17, 33, 3), (18, 33, 2)]
)
def test_sizes(tmp_path: Path, format: str, codec: str, width: int, height: int, upscale: int) -> None:
    pictures = film(3, width, height)
    paths = write_segments(tmp_path, split(pictures, [2, 1]), format=format, fps=24, upscale=upscale)
    target = tmp_path / "video"
    info = join(paths, target, format=format, fps=24, frames=3, upscale=upscale)
    full = (width * upscale, height * upscale)
    even = (full[0] + full[0] % 2, full[1] + full[1] % 2) if format in ("mp4", "webm") else full
    assert (info.width, info.height, info.codec) == (*even, codec)
    frame = next(decode(target))
    assert frame.shape == (even[1], even[0], 3)
    # Enlarging keeps the picture where it is: shrunk again, it is the one given.
    shrunk = Image.fromarray(frame[: full[1], : full[0]]).resize((width, height), Image.Resampling.BOX)
    assert np.abs(np.asarray(shrunk).astype(int) - pictures[0]).mean() < 9
    if even != full and format == "mp4":  # the padding repeats the edge
        assert np.abs(frame[:, -1].astype(int) - frame[:, full[0] - 1]).mean() < 9


def test_a_gif_has_one_palette_even_delays_and_loops(tmp_path: Path) -> None:
    pictures = film(48)
    pictures[20] = pictures[21]  # a frame like the one before must not be dropped
    paths = write_segments(tmp_path, split(pictures, [20, 28]), format="gif", fps=24)
    join(paths, tmp_path / "v.gif", format="gif", fps=24, frames=48)
    with Image.open(tmp_path / "v.gif") as image:
        assert image.n_frames == 48
        assert image.info["loop"] == 0
        delays = []
        for number in range(image.n_frames):
            image.seek(number)
            delays.append(image.info["duration"])
    assert set(delays) <= {40, 50}
    assert sum(delays) == 2000
    tables = local_colour_tables((tmp_path / "v.gif").read_bytes())
    assert len(tables) == 48
    assert not any(tables)


def local_colour_tables(data: bytes) -> list[bool]:
    """For each picture of a GIF whether it brings its own palette; walks the blocks of GIF89a."""
    assert data[10] & 0x80, "no global palette"
    place, found = 13 + 3 * 2 ** ((data[10] & 7) + 1), []
    while data[place] != 0x3B:
        if data[place] == 0x21:
            place += 2
        else:
            assert data[place] == 0x2C
            flags = data[place + 9]
            found.append(bool(flags & 0x80))
            place += 10 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0) + 1
        while data[place]:
            place += 1 + data[place]
        place += 1
    return found


def test_a_png_sequence_is_a_zip_of_the_very_pictures(tmp_path: Path) -> None:
    pictures = film(7)
    paths = write_segments(tmp_path, split(pictures, [3, 4]), format="png", fps=24)
    join(paths, tmp_path / "v.zip", format="png", fps=24, frames=7)
    with zipfile.ZipFile(tmp_path / "v.zip") as archive:
        assert archive.namelist() == [f"{number:06d}.png" for number in range(7)]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for number, name in enumerate(archive.namelist()):
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))), pictures[number])
    assert probe(tmp_path / "v.zip") == VideoInfo(7, 24.0, 7 / 24, 48, 32, "png")


def test_one_frame_of_png_is_a_png(tmp_path: Path) -> None:
    assert extension("png", 1) == "png"
    paths = write_segments(tmp_path, [film(1)], format="png", fps=24, upscale=2)
    join(paths, tmp_path / "still.png", format="png", fps=24, frames=1, upscale=2)
    with Image.open(tmp_path / "still.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (96, 64))
    assert probe(tmp_path / "still.png").frames == 1


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
    paths[2].write_bytes(encode_segment(film(3, 64, 64), format="mp4", fps=24, upscale=1))
    with pytest.raises(VideoDefect, match=r"range 2 .* is mp4 64x64 at 24 fps, upscale 1; the video is mp4 48x32"):
        join(paths, tmp_path / "v.mp4", format="mp4", fps=24, frames=9)
    assert not (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_check_finds_what_is_wrong_with_a_finished_video(tmp_path: Path, format: str) -> None:
    paths = write_segments(tmp_path, split(film(12), [5, 7]), format=format, fps=24)
    target = tmp_path / "video"
    join(paths, target, format=format, fps=24, frames=12)
    with pytest.raises(VideoDefect, match="holds 12 frames, must hold 13"):
        check(target, format=format, fps=24, frames=13)  # type: ignore[arg-type]
    if format != "png":
        with pytest.raises(VideoDefect, match=r"frame \d is shown at 0\.\d+ s, must be at"):
            check(target, format=format, fps=20, frames=12)  # type: ignore[arg-type]
    data = target.read_bytes()
    target.write_bytes(data[: len(data) // 2])
    with pytest.raises((VideoDefect, FfmpegError)):
        check(target, format=format, fps=24, frames=12)  # type: ignore[arg-type]


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
        check(target, format="mp4", fps=24, frames=12)


def test_the_tail_of_a_long_video_is_decoded_from_its_own_frame_on(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, split(film(60), [25, 25, 10]), format="mp4", fps=23.976)
    target = tmp_path / "v.mp4"
    join(paths, target, format="mp4", fps=23.976, frames=60)
    assert check(target, format="mp4", fps=23.976, frames=60, decode_from=50).frames == 60
    assert check(target, format="mp4", fps=23.976, frames=60, decode_from=37).frames == 60


@pytest.mark.parametrize("format", FORMATS)
def test_a_video_too_long_to_decode_whole_is_joined_and_its_tail_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr("infra.ffmpeg.FULL_DECODE_FRAMES", 20)
    paths = write_segments(tmp_path, split(film(30), [12, 11, 7]), format=format, fps=29.97)
    assert join(paths, tmp_path / "video", format=format, fps=29.97, frames=30).frames == 30


def test_bad_pictures_are_named_and_leave_no_process(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        encode_segment([], format="mp4", fps=24, upscale=1)
    with pytest.raises(ValueError, match=r"picture 0 is \(4, 4, 3\) float64"):
        encode_segment([np.zeros((4, 4, 3))], format="mp4", fps=24, upscale=1)  # type: ignore[list-item]
    with pytest.raises(
        ValueError, match=r"picture 2 is \(16, 48, 3\) uint8; the pictures of this segment are \(32, 48"
    ):
        encode_segment([*film(2), *film(1, 48, 16)], format="mp4", fps=24, upscale=1)


def test_a_generator_that_fails_is_not_swallowed() -> None:
    def pictures():  # type: ignore[no-untyped-def]
        yield from film(3)
        raise RuntimeError("the renderer fell over")

    with pytest.raises(RuntimeError, match="the renderer fell over"):
        encode_segment(pictures(), format="webm", fps=24, upscale=1)


def test_far_more_pictures_than_a_pipe_holds_go_through() -> None:
    data = encode_segment((picture for picture in film(40, 512, 512)), format="mp4", fps=24, upscale=1)
    assert len(data) > 10_000


def test_a_reader_may_stop_early(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, [film(30, 256, 256)], format="mp4", fps=24)
    stream = decode(paths[0])
    assert next(stream).shape == (256, 256, 3)
    stream.close()  # type: ignore[attr-defined]


def test_what_is_no_video_is_refused_with_ffmpegs_own_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a video")
    with pytest.raises(FfmpegError, match=r"notes\.txt(.|\n)*Invalid data"):
        probe(tmp_path / "notes.txt")
    with pytest.raises(FfmpegError, match=r"gone\.mp4"):
        probe(tmp_path / "gone.mp4")


def test_the_version_is_known() -> None:
    assert any(character.isdigit() for character in ffmpeg_version())
