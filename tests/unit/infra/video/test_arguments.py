"""Whole argument lists, asserted at once: a changed option is a changed video, so it must be seen in a review."""

import hashlib
import json
import shlex
from fractions import Fraction
from pathlib import Path

import pytest

from infra.video.arguments import concat_listing, encode_arguments, encoder_settings, join_commands
from infra.video.encoding import FORMATS
from tests.helpers.films import encoding

QUIET = shlex.split("-hide_banner -nostdin -nostats -loglevel error")
YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,format=yuv420p"
SAID = "setparams=color_primaries=bt709:color_trc=bt709"
BT709 = shlex.split("-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv")
BITEXACT = shlex.split("-map_metadata -1 -fflags +bitexact")


def test_the_whole_command_that_encodes_an_mp4_segment() -> None:
    arguments = encode_arguments(64, 48, encoding("mp4", 23.976), target=Path("/t/a.mkv"))
    assert arguments == [
        *shlex.split("-hide_banner -nostats -loglevel error"),
        *shlex.split("-f rawvideo -pixel_format rgb24 -video_size 64x48 -framerate 24000/1001 -i pipe:0 -an -vf"),
        f"{YUV},{SAID}",
        *shlex.split("-fps_mode passthrough -c:v libx264 -preset medium -crf 17 -bf 0 -g 96 -x264-params"),
        "open-gop=0:cpu-independent=1:repeat-headers=1",
        *shlex.split("-pix_fmt yuv420p"),
        *BT709,
        *shlex.split("-threads 1"),
        *BITEXACT,
        *shlex.split("-f matroska -y file:/t/a.mkv"),
    ]


def test_the_whole_command_that_encodes_an_enlarged_webm_segment_of_odd_size() -> None:
    arguments = encode_arguments(17, 33, encoding("webm", 30, 3), target=Path("/t/a.mkv"))
    assert arguments == [
        *shlex.split("-hide_banner -nostats -loglevel error"),
        *shlex.split("-f rawvideo -pixel_format rgb24 -video_size 17x33 -framerate 30/1 -i pipe:0 -an -vf"),
        "scale=iw*3:ih*3:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,"
        f"format=gbrp,pad=52:100:0:0,fillborders=left=0:top=0:right=1:bottom=1:mode=smear,{YUV},{SAID}",
        *shlex.split("-fps_mode passthrough -c:v libvpx-vp9 -crf 24 -b:v 0 -deadline good -cpu-used 3 -row-mt 0"),
        *shlex.split("-tile-columns 0 -lag-in-frames 16 -g 120 -pix_fmt yuv420p"),
        *BT709,
        *shlex.split("-threads 1"),
        *BITEXACT,
        *shlex.split("-f matroska -y file:/t/a.mkv"),
    ]


def test_the_whole_command_that_encodes_a_gif_segment_keeps_every_colour() -> None:
    arguments = encode_arguments(64, 48, encoding("gif", 12.5, 4), target=Path("/t/a.mkv"))
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
    commands = join_commands(encoding(format, fps), Path("/t/list"), work=Path("/t"), target=Path("/t/v"))
    assert list(commands) == ["joining"]
    assert commands["joining"] == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -map 0:v:0 -c copy"),
        *BT709,
        "-bsf:v",
        stamp,
        *BITEXACT,
        *shlex.split(muxer),
        *shlex.split("-y file:/t/v"),
    ]


def test_the_whole_commands_that_make_a_gif() -> None:
    commands = join_commands(encoding("gif", 29.97, 2), Path("/t/list"), work=Path("/t"), target=Path("/t/v.gif"))
    assert list(commands) == ["choosing the palette of", "joining"]
    assert commands["choosing the palette of"] == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -vf palettegen=stats_mode=full -frames:v 1 -update 1"),
        *BITEXACT,
        *shlex.split("-f image2 -c:v png -threads 1 -y file:/t/palette.png"),
    ]
    assert commands["joining"] == [
        *QUIET,
        *shlex.split("-f concat -safe 0 -i file:/t/list -i file:/t/palette.png -filter_complex_threads 1 -lavfi"),
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
    texts = {json.dumps(encoder_settings(encoding(*case)), sort_keys=True) for case in cases}
    assert len(texts) == len(cases)
    assert encoder_settings(encoding("mp4", 23.976)) == encoder_settings(encoding("mp4", 23.98))


# Of the settings at these rates, as 0.1 had them, for upscale 1 to 8: another digest means other keys, and every
# segment of every old bucket encoded again.
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
    rates = [fps for fps in PINNED_RATES if fps <= FORMATS[format].fastest]  # type: ignore[index]
    for upscale, pinned in enumerate(PINNED[format], start=1):
        settings = [encoder_settings(encoding(format, fps, upscale)) for fps in rates]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        assert digest[:16] == pinned, f"{format}, upscale {upscale}: {settings[0]}"


def test_settings_hold_the_very_options_that_are_run() -> None:
    arguments = " ".join(encode_arguments(15, 15, encoding("mp4", 24, 3), target=Path("a")))
    settings = encoder_settings(encoding("mp4", 24, 3))
    assert str(settings["codec"]) in arguments
    assert str(settings["filter"]) in arguments
