"""Whole argument lists, asserted at once: a changed option is a changed video, so it must be seen in a review."""

import hashlib
import json
import shlex
from fractions import Fraction
from pathlib import Path

import pytest

from infra.video.format import (
    concat_listing,
    encode_arguments,
    encoder_settings,
    exact_rate,
    extension,
    gif_arguments,
    join_arguments,
    mime_type,
    padded_size,
    palette_arguments,
)

QUIET = shlex.split("-hide_banner -nostdin -nostats -loglevel error")
YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,format=yuv420p"
BT709 = shlex.split("-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv")
BITEXACT = shlex.split("-map_metadata -1 -fflags +bitexact")


def test_the_whole_command_that_encodes_an_mp4_segment() -> None:
    arguments = encode_arguments(64, 48, format="mp4", fps=23.976, upscale=1, target=Path("/t/a.mkv"))
    assert arguments == [
        *shlex.split("-hide_banner -nostats -loglevel error"),
        *shlex.split("-f rawvideo -pixel_format rgb24 -video_size 64x48 -framerate 24000/1001 -i pipe:0 -an -vf"),
        YUV,
        *shlex.split("-fps_mode passthrough -c:v libx264 -preset medium -crf 17 -bf 0 -g 96 -x264-params"),
        "open-gop=0:cpu-independent=1:repeat-headers=1",
        *shlex.split("-pix_fmt yuv420p"),
        *BT709,
        *shlex.split("-threads 1"),
        *BITEXACT,
        *shlex.split("-f matroska -y file:/t/a.mkv"),
    ]


def test_the_whole_command_that_encodes_an_enlarged_webm_segment_of_odd_size() -> None:
    arguments = encode_arguments(17, 33, format="webm", fps=30, upscale=3, target=Path("/t/a.mkv"))
    assert arguments == [
        *shlex.split("-hide_banner -nostats -loglevel error"),
        *shlex.split("-f rawvideo -pixel_format rgb24 -video_size 17x33 -framerate 30/1 -i pipe:0 -an -vf"),
        "scale=iw*3:ih*3:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,"
        f"format=gbrp,pad=52:100:0:0,fillborders=left=0:top=0:right=1:bottom=1:mode=smear,{YUV}",
        *shlex.split("-fps_mode passthrough -c:v libvpx-vp9 -crf 24 -b:v 0 -deadline good -cpu-used 3 -row-mt 0"),
        *shlex.split("-tile-columns 0 -lag-in-frames 16 -g 120 -pix_fmt yuv420p"),
        *BT709,
        *shlex.split("-threads 1"),
        *BITEXACT,
        *shlex.split("-f matroska -y file:/t/a.mkv"),
    ]


def test_the_whole_command_that_encodes_a_gif_segment_keeps_every_colour() -> None:
    arguments = encode_arguments(64, 48, format="gif", fps=12.5, upscale=4, target=Path("/t/a.mkv"))
    assert arguments == [
        *shlex.split("-hide_banner -nostats -loglevel error"),
        *shlex.split("-f rawvideo -pixel_format rgb24 -video_size 64x48 -framerate 25/2 -i pipe:0 -an"),
        *shlex.split("-fps_mode passthrough -c:v ffv1 -level 3 -g 1 -slicecrc 1 -pix_fmt bgr0 -threads 1"),
        *BITEXACT,
        *shlex.split("-f matroska -y file:/t/a.mkv"),
    ]


@pytest.mark.parametrize(
    ("format", "fps", "stamp", "muxer"),
    [
        (
            "mp4",
            24,
            "setts=pts=N*512:dts=N*512:duration=512:time_base=1/12288:prescale=1",
            "-video_track_timescale 12288 -movflags +faststart -f mp4",
        ),
        (
            "mp4",
            23.976,
            "setts=pts=N*1001:dts=N*1001:duration=1001:time_base=1/24000:prescale=1",
            "-video_track_timescale 24000 -movflags +faststart -f mp4",
        ),
        ("webm", 12.5, "setts=pts=N*1024:dts=N*1024:duration=1024:time_base=1/12800:prescale=1", "-f webm"),
    ],
)
def test_the_whole_command_that_joins_is_a_stream_copy(format: str, fps: float, stamp: str, muxer: str) -> None:
    arguments = join_arguments(Path("/t/list"), format=format, fps=fps, target=Path("/t/v"))  # type: ignore[arg-type]
    assert arguments == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -map 0:v:0 -c copy -bsf:v"),
        stamp,
        *BITEXACT,
        *shlex.split(muxer),
        *shlex.split("-y file:/t/v"),
    ]


def test_the_whole_commands_that_make_a_gif() -> None:
    assert palette_arguments(Path("/t/list"), palette=Path("/t/p.png")) == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -vf palettegen=stats_mode=full -frames:v 1 -update 1"),
        *BITEXACT,
        *shlex.split("-f image2 -c:v png -threads 1 -y file:/t/p.png"),
    ]
    arguments = gif_arguments(Path("/t/list"), palette=Path("/t/p.png"), fps=29.97, upscale=2, target=Path("/t/v.gif"))
    assert arguments == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -i file:/t/p.png -filter_complex_threads 1 -lavfi"),
        "[0:v]settb=1001/30000,setpts=N,scale=iw*2:ih*2:flags=lanczos+accurate_rnd+bitexact,format=rgb24[v];"
        "[v][1:v]paletteuse=dither=bayer:bayer_scale=3",
        *shlex.split("-fps_mode passthrough -enc_time_base 1001/30000 -c:v gif -threads 1"),
        *BITEXACT,
        *shlex.split("-loop 0 -f gif -y file:/t/v.gif"),
    ]


def test_the_listing_survives_any_file_name() -> None:
    listing = concat_listing([Path("/t/it's 5%.seg"), Path("/t/-b")], [Fraction(1, 3), Fraction(2)])
    assert listing == (
        "ffconcat version 1.0\n"
        "file 'file:/t/it'\\''s 5%.seg'\nduration 0.333333\n"
        "file 'file:/t/-b'\nduration 2.000000\n"
    )


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
    with pytest.raises(ValueError, match="fps"):
        exact_rate(fps)


def test_settings_are_json_and_tell_apart_what_gives_other_bytes() -> None:
    cases = [
        ("mp4", 24, 1),
        ("mp4", 25, 1),
        ("mp4", 24, 2),
        ("webm", 24, 1),
        ("gif", 24, 1),
        ("gif", 24, 3),
        ("png", 24, 1),
    ]
    texts = {json.dumps(encoder_settings(*case), sort_keys=True) for case in cases}  # type: ignore[arg-type]
    assert len(texts) == len(cases)
    assert encoder_settings("mp4", 23.976, 1) == encoder_settings("mp4", 23.98, 1)


# Of the settings at these rates, as 0.1 had them, for upscale 1 to 8: another digest means other keys, and every segment
# of every old bucket encoded again.
PINNED_RATES = (
    0.0001, 0.5, 8, 10, 12, 12.5, 15, 16.67, 23.976, 23.98, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 119.88, 120, 240,
)  # fmt: skip
PINNED = {
    "mp4": (
        "3ddec18ff1f5f4ef", "196e2d5ae16be4ae", "250040f2b0192515", "bb9b545b1040cb48",
        "bb867080331faca6", "69010e6aebc77c4a", "f075744e3d86f6e3", "49b6677bb0a21a1c",
    ),
    "webm": (
        "5c52e5f0501de051", "2f70aefb15cf2c22", "3847a651bc894a46", "65f2e41e9fe2f2d7",
        "356f8f13333ae096", "eb03b0431df911fe", "67cf4776349e7d96", "232eb857ae2aab95",
    ),
    "gif": (
        "83e7a21a69236594", "43ee24cd9910660e", "6acfda7e1df15455", "d8841277a7981c84",
        "a75ed58f793f6e0d", "e536ec1668ffa3a1", "cee55c402a37d56b", "ce6be5062542a750",
    ),
    "png": (
        "dcfc00dd1853e548", "1ee421033d9daea3", "ed921f0bd2bc40ff", "90386df72e0a9276",
        "0ed6a0cdd7260765", "6b736bf052d9dfe3", "d89eb707552de0f9", "72c27fcdd7b2a807",
    ),
}  # fmt: skip


@pytest.mark.parametrize("format", PINNED)
def test_segments_of_old_buckets_keep_their_keys(format: str) -> None:
    rates = [fps for fps in PINNED_RATES if format != "gif" or fps <= 50]
    for upscale, pinned in enumerate(PINNED[format], start=1):
        settings = [encoder_settings(format, fps, upscale) for fps in rates]  # type: ignore[arg-type]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        assert digest[:16] == pinned, f"{format}, upscale {upscale}: {settings[0]}"


def test_settings_hold_the_very_options_that_are_run() -> None:
    arguments = " ".join(encode_arguments(15, 15, format="mp4", fps=24, upscale=3, target=Path("a")))
    settings = encoder_settings("mp4", 24, 3)
    assert str(settings["codec"]) in arguments
    assert str(settings["filter"]) in arguments


@pytest.mark.parametrize(
    ("format", "fps", "upscale", "message"),
    [
        ("avi", 24, 1, "format 'avi': must be one of mp4, webm, gif, png"),
        ("mp4", 24, 9, "upscale 9: must be 1 to 8"),
        ("gif", 60, 1, "fps 60: a gif holds at most 50 frames a second; use format mp4 or webm"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_words(format: str, fps: float, upscale: int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        encoder_settings(format, fps, upscale)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_names_and_types_of_finished_files() -> None:
    assert [extension(format, 2) for format in ("mp4", "webm", "gif", "png")] == ["mp4", "webm", "gif", "zip"]
    assert extension("png", 1) == "png"
    assert mime_type("png", 1) == "image/png"
    assert mime_type("png", 2) == "application/zip"
    assert mime_type("mp4", 1) == "video/mp4"


def test_sizes_are_even_only_where_they_must_be() -> None:
    assert padded_size(17, 33, format="mp4", upscale=1) == (18, 34)
    assert padded_size(17, 33, format="webm", upscale=2) == (34, 66)
    assert padded_size(17, 33, format="gif", upscale=3) == (51, 99)
