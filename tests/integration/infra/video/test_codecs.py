"""Every codec at every level through the real ffmpeg: frames in order, colours right and said, sizes in their order."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.video import ffmpeg
from infra.video.arguments import encoder_settings
from infra.video.encoding import FORMATS, Encoding
from infra.video.segments import encode_segment, join_segments
from infra.video.sound import Sound
from tests.helpers.films import film
from tests.helpers.music import clicks, samples_of, write_wav

WAYS = [
    ("mp4", None, "h264"), ("mp4", "h264", "h264"), ("mp4", "h265", "hevc"), ("mp4", "av1", "av1"),
    ("webm", "vp9", "vp9"), ("webm", "av1", "av1"), ("mov", "prores", "prores"), ("webp", None, "webp_anim"),
]  # fmt: skip
FRAMES = 20

Picture = NDArray[np.uint8]


def made(folder: Path, format: str, codec: str | None, quality: str = "good", sound: Sound | None = None) -> Path:
    encoding = Encoding(format, 24, 1, codec, quality)  # type: ignore[arg-type]
    pictures = film(FRAMES, 96, 64)
    paths = []
    for number, part in enumerate((pictures[:13], pictures[13:])):
        paths.append(folder / f"{number}.seg")
        paths[-1].write_bytes(encode_segment(iter(part), encoding))
    target = folder / f"{codec}-{quality}.{format}"
    info = join_segments(paths, encoding, frames=FRAMES, target=target, sound=sound)
    assert (info.frames, info.width, info.height) == (FRAMES, 96, 64)
    return target


def psnr(a: Picture, b: Picture) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b.astype(float)) ** 2))))


@pytest.mark.parametrize(("format", "codec", "name"), WAYS)
def test_frames_are_the_pictures_in_their_order(tmp_path: Path, format: str, codec: str | None, name: str) -> None:
    target = made(tmp_path, format, codec)
    pictures = film(FRAMES, 96, 64)
    for number, frame in enumerate(ffmpeg.decode(target)):
        likeness = [psnr(frame, picture) for picture in pictures]
        assert int(np.argmax(likeness)) == number
        assert likeness[number] > 30
    assert ffmpeg.probe(target).codec == name
    assert ffmpeg.run(["-hide_banner", "-v", "warning", "-i", str(target), "-f", "null", "-"], "decoding") == b""


@pytest.mark.parametrize(("format", "codec", "name"), WAYS)
def test_levels_cost_what_they_keep(tmp_path: Path, format: str, codec: str | None, name: str) -> None:
    first = film(FRAMES, 96, 64)[7]
    sizes, likeness = [], []
    for quality in ("draft", "good", "best"):
        target = made(tmp_path, format, codec, quality)
        sizes.append(target.stat().st_size)
        likeness.append(psnr(list(ffmpeg.decode(target))[7], first))
    assert sizes == sorted(sizes)
    assert likeness == sorted(likeness)
    assert likeness[2] > (60 if format == "webp" else 37)


@pytest.mark.parametrize(("format", "codec", "name"), WAYS)
def test_colours_are_right_and_said(tmp_path: Path, format: str, codec: str | None, name: str) -> None:
    encoding = Encoding(format, 24, 1, codec, "best")  # type: ignore[arg-type]
    patches = np.zeros((64, 96, 3), np.uint8)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (16, 16, 16), (200, 120, 40)]
    for number, colour in enumerate(colours):
        patches[32 * (number // 3) :, 32 * (number % 3) : 32 * (number % 3) + 32][:32] = colour
    segment, target = tmp_path / "0.seg", tmp_path / f"v.{format}"
    segment.write_bytes(encode_segment(iter([patches] * 4), encoding))
    join_segments([segment], encoding, frames=4, target=target)
    frame = list(ffmpeg.decode(target))[-1].astype(int)
    for number, colour in enumerate(colours):
        middle = frame[32 * (number // 3) + 16, 32 * (number % 3) + 16]
        assert np.abs(middle - np.array(colour)).max() <= 4, (colour, middle)
    if format != "webp":
        log = ffmpeg.run(
            ["-hide_banner", "-i", str(target), "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"], "x"
        )
        assert log == b""
        said = _described(target)
        assert "(tv, bt709, progressive)" in said, said  # one name: primaries, transfer and matrix are the same
        assert ("hvc1" in said) == (codec == "h265")  # Apple's players show no hev1


@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_segments_that_said_less_of_their_colours_make_videos_that_say_all(tmp_path: Path, format: str) -> None:
    """Those of outputs that were made before."""
    encoding = Encoding(format, 24, 1)  # type: ignore[arg-type]
    used = encoding.codec_used
    assert used is not None
    segment, target = tmp_path / "0.seg", tmp_path / f"v.{format}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, encoding.format, replace(encoding.spec, codec=replace(used, said="")))
        before = encode_segment(iter(film(4, 96, 64)), encoding)
        segment.write_bytes(before)
        key = encoder_settings(encoding)
    assert encoder_settings(encoding) == key  # they are found where they were
    join_segments([segment], encoding, frames=4, target=target)
    assert "bt709/unknown/unknown" in _described(segment)
    assert "(tv, bt709, progressive)" in _described(target)
    assert before != encode_segment(iter(film(4, 96, 64)), encoding)


def _described(path: Path) -> str:
    arguments = ["-hide_banner", "-i", f"file:{path}", "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]
    with ffmpeg._process(arguments, stdout=-1) as (process, errors):
        assert process.stdout is not None
        process.stdout.read()
        return ffmpeg._require_success(process, errors, "describing")


@pytest.mark.parametrize(("format", "codec", "name"), WAYS)
def test_equal_pictures_give_equal_bytes(tmp_path: Path, format: str, codec: str | None, name: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    assert made(one, format, codec).read_bytes() == made(other, format, codec).read_bytes()


@pytest.mark.parametrize(("format", "codec", "name"), [it for it in WAYS if it[0] != "webp"])
def test_each_has_its_sound(tmp_path: Path, format: str, codec: str | None, name: str) -> None:
    music = write_wav(tmp_path / "song.wav", clicks(120, 2.0)[0])
    target = made(tmp_path, format, codec, sound=Sound(music, 0.0, 0.0, 2.0))
    assert len(samples_of(target)) / 22_050 == pytest.approx(FRAMES / 24, abs=0.025)
    assert re.search(r"Audio: (aac|opus|pcm_s16le)", _described(target))
    assert ffmpeg.run(["-hide_banner", "-v", "warning", "-i", str(target), "-f", "null", "-"], "decoding") == b""
