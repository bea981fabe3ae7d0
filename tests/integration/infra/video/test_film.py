"""Films as people have them, and as nobody should, through the real ffmpeg."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infra.video.errors import FilmInvalid
from infra.video.film import Taken, film_pictures, look
from tests.helpers.music import convert

SIDE = 64


def made(target: Path, *arguments: str, rate: str = "24", size: str = "96x64", seconds: float = 1.0) -> Path:
    """A film of ffmpeg's moving test picture."""
    source = Path(f"testsrc2=size={size}:rate={rate}:duration={seconds}")
    return convert(source, target, *arguments, inputs=["-f", "lavfi"])


def counted(target: Path, times: list[float], clock: int = 1000) -> Path:
    """A film whose frame n is of brightness 20 n, shown from second `times[n]` on."""
    gone = "+".join(f"gte(N,{number})*({round((b - a) * clock)})" for number, (a, b) in
                    enumerate(itertools.pairwise(times), start=1))  # fmt: skip
    filters = f"geq=lum='20*N':cb=128:cr=128,settb=1/{clock},setpts='{round(times[0] * clock)}+{gone or 0}'"
    source = Path(f"color=size=32x32:rate=25:duration={len(times) / 25}")
    arguments = ["-vf", filters, "-fps_mode", "passthrough", "-enc_time_base", f"1/{clock}", "-c:v", "ffv1"]
    return convert(source, target, *arguments, "-color_range", "pc", inputs=["-f", "lavfi"])


def shown(path: Path, rate: Fraction, start: float = 0.0, most: int = 1000) -> list[int]:
    """The numbers of the frames of a `counted` film that are taken of it."""
    taken = Taken(32, 32, "stretch", start, rate, most)
    pictures = film_pictures(path, path.name, look(path, path.name), taken)
    means = np.array([float(picture.mean()) for picture in pictures])
    steps = np.unique(means.round(1))
    return [int(np.argmin(abs(steps - mean))) for mean in means]


def taken(path: Path, rate: Fraction | None = None, **more: object) -> list[np.ndarray]:
    seen = look(path, path.name)
    how = {"fit": "cover", "start": 0.0, "most": 1000} | more
    return list(film_pictures(path, path.name, seen, Taken(SIDE, SIDE, rate=rate or seen.rate, **how)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "rate", "found", "arguments"),
    [
        ("a.mp4", "24", Fraction(24), ("-pix_fmt", "yuv420p")),
        ("ntsc.mp4", "30000/1001", Fraction(30000, 1001), ("-pix_fmt", "yuv420p")),
        ("ntsc.mkv", "24000/1001", Fraction(24000, 1001), ("-pix_fmt", "yuv420p")),  # times in whole milliseconds
        ("ten.mkv", "25", Fraction(25), ("-c:v", "ffv1", "-pix_fmt", "yuv420p10le")),
        ("a.webm", "30", Fraction(30), ("-c:v", "libvpx-vp9", "-deadline", "realtime")),
        ("a.gif", "10", Fraction(10), ()),
        ("mj.avi", "15", Fraction(15), ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
    ],
)  # fmt: skip
def test_every_frame_of_a_film_is_taken_once(
    tmp_path: Path, name: str, rate: str, found: Fraction, arguments: tuple[str, ...]
) -> None:
    path = made(tmp_path / name, *arguments, rate=rate)
    seen = look(path, name)
    assert (seen.width, seen.height, seen.rate) == (96, 64, found)
    pictures = taken(path)
    assert len(pictures) == round(float(found))
    assert all(picture.shape == (SIDE, SIDE, 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_of_irregular_frames_the_last_at_or_before_each_moment_is_taken(tmp_path: Path) -> None:
    path = counted(tmp_path / "vfr.mkv", [0.0, 0.1, 0.15, 0.5, 0.6, 0.9])
    assert shown(path, Fraction(10))[:10] == [0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    assert shown(path, Fraction(5))[:5] == [0, 1, 1, 2, 2]  # of 0, 2 and 4, which are taken
    assert shown(path, Fraction(10), start=0.3, most=4) == [0, 0, 1, 2]  # of those that are taken, from 2 on


def test_another_rate_and_a_start_take_others(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mkv", "-c:v", "ffv1", rate="24", seconds=2.0)
    whole = taken(path)
    half = taken(path, Fraction(12))
    assert [it.tobytes() for it in half] == [it.tobytes() for it in whole[::2]]
    later = taken(path, start=1.0, most=5)
    assert [it.tobytes() for it in later] == [it.tobytes() for it in whole[24:29]]
    assert len(taken(path, Fraction(48))) == 96


def test_a_start_far_in_is_jumped_to_and_exact(tmp_path: Path) -> None:
    path = made(tmp_path / "long.mp4", "-g", "50", rate="10", seconds=14.0)
    whole = taken(path)
    assert [it.tobytes() for it in taken(path, start=12.5, most=3)] == [it.tobytes() for it in whole[125:128]]


def test_a_telephone_that_was_held_upright_gives_an_upright_film(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mp4", "-pix_fmt", "yuv420p")
    turned = convert(path, tmp_path / "turned.mp4", "-c", "copy", inputs=["-display_rotation", "90"])
    straight, upright = taken(path, fit="stretch")[0], taken(turned, fit="stretch")[0]
    assert abs(np.rot90(straight).astype(int) - upright).mean() < 4


def test_fits(tmp_path: Path) -> None:
    path = made(tmp_path / "wide.mkv", "-c:v", "ffv1", size="192x64")
    contained = taken(path, fit="contain")[0]
    assert not contained[:20].any()
    assert not contained[-20:].any()
    assert contained[22:42].any(axis=-1).mean() > 0.9
    assert (taken(path, fit="cover")[0].any(axis=-1)).mean() > 0.9
    anamorphic = made(tmp_path / "dv.mkv", "-vf", "setsar=2", "-c:v", "ffv1", size="32x64")  # square, as it is shown
    assert (taken(anamorphic, fit="contain")[0].any(axis=-1)).mean() > 0.9


def test_hd_without_a_word_of_its_colours_is_bt709(tmp_path: Path) -> None:
    red = Path("color=c=0xd02010:size=1280x720:rate=2:duration=1")
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    chain = ["-vf", "scale=out_color_matrix=bt709,format=yuv420p"]
    told = convert(red, tmp_path / "told.mp4", *chain, *tags, inputs=["-f", "lavfi"])
    plain = convert(red, tmp_path / "plain.mkv", *chain, "-c:v", "ffv1", "-bsf:v", "null", inputs=["-f", "lavfi"])
    for path in (told, plain):
        assert abs(taken(path)[0][32, 32].astype(int) - [0xD0, 0x20, 0x10]).max() < 6


def hostile(folder: Path, name: str) -> Path:
    path = folder / name
    if name == "audio.mp4":
        convert(Path("sine=d=1"), path, inputs=["-f", "lavfi"])
    elif name == "long.mkv":
        made(path, "-c:v", "ffv1", size="20000x20", seconds=0.1)
    elif name == "none.mp4":
        made(path, "-t", "0", "-pix_fmt", "yuv420p")
    elif name == "cut.mp4":
        whole = made(folder / "whole.mp4", "-movflags", "+faststart", "-pix_fmt", "yuv420p", seconds=2).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "cut.mkv":
        whole = made(folder / "whole.mkv", "-pix_fmt", "yuv420p", seconds=2).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "text.mp4":
        path.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n" * 20)
    elif name == "list.mp4":
        path.write_text("ffconcat version 1.0\nfile whole.mkv\n")
    else:
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("audio.mp4", "is no film: it has no video stream"),
        ("long.mkv", "20000 x 20 pixels, differ by more than 100 times: crop it"),
        ("none.mp4", "is no film"),
        ("cut.mp4", "can't be decoded to its end after frame"),
        ("cut.mkv", "can't be decoded to its end after frame"),
        ("text.mp4", "is no film that can be read"),
        ("list.mp4", "is no film that can be read"),
        ("empty.mp4", "is no film that can be read"),
    ],
)
def test_what_is_no_film_is_said_in_one_sentence_and_soon(tmp_path: Path, name: str, reason: str) -> None:
    path = hostile(tmp_path, name)
    began = time.monotonic()
    with pytest.raises(FilmInvalid) as error:
        taken(path)
    assert time.monotonic() - began < 30  # seconds, on a machine that is busy
    assert f"'{name}'" in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)


def test_a_start_behind_its_end_is_said(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mp4", "-pix_fmt", "yuv420p")
    with pytest.raises(FilmInvalid, match=r"it has no frame after source\.start 9"):
        taken(path, start=9.0)


def test_no_more_is_decoded_than_is_wanted(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.mp4", "-movflags", "+faststart", "-pix_fmt", "yuv420p", seconds=2).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    assert len(taken(path, most=5)) == 5  # its end is not there, and nobody asks for it
