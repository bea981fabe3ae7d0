"""What a finished video is as a file: an mp4's boxes, a GIF's palette, a zip's entries, and every size."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.video.check import VideoInfo
from infra.video.ffmpeg import decode, probe
from tests.helpers.films import encoding, film, join, split, write_segments


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
    assert encoding("png").file_type(1).extension == "png"
    paths = write_segments(tmp_path, [film(1)], format="png", fps=24, upscale=2)
    join(paths, tmp_path / "still.png", format="png", fps=24, frames=1, upscale=2)
    with Image.open(tmp_path / "still.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (96, 64))
    assert probe(tmp_path / "still.png").frames == 1
