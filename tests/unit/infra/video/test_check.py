from dataclasses import replace
from fractions import Fraction

import pytest

from infra.video.check import Packets, parse_packets, require_regular
from infra.video.encoding import Encoding
from infra.video.errors import FfmpegError, VideoDefect

LISTING = """#extradata 0:       46, 0x11360e1c
#software: Lavf63.1.102
#tb 0: 1/12288
#media_type 0: video
#codec_id 0: h264
#dimensions 0: 64x48
#sar 0: 0/1
0,          0,          0,      512,     1616, 0x8db755bb
0,        512,        512,      512,       86, 0x8fcd2872, F=0x0
0,       1024,       1024,      512,       78, 0xebc02305, F=0x0
"""
LOG = "Input #0, mov,mp4, from 'x':\n  Duration: 00:00:00.13, start: 0.000000, bitrate: 97 kb/s\n"
MP4 = Encoding("mp4", 24, 1)
GOOD = Packets(Fraction(1, 12288), [0, 512, 1024], [512, 512, 512], 64, 48, "h264", 0.13)


def test_ffmpegs_listing_is_read() -> None:
    assert parse_packets(LISTING, LOG, "v.mp4") == GOOD


def test_a_listing_without_a_video_stream_is_refused() -> None:
    with pytest.raises(FfmpegError, match=r"'v\.mp4'"):
        parse_packets("#software: Lavf\n", "", "v.mp4")


def test_a_regular_video_passes() -> None:
    require_regular(GOOD, MP4, name="v", frames=3)


@pytest.mark.parametrize(
    ("packets", "message"),
    [
        (replace(GOOD, times=[0, 512]), "holds 2 frames, must hold 3"),
        (replace(GOOD, times=[0, 512, 512]), "frame 2 does not come after frame 1"),
        (replace(GOOD, times=[0, 1024, 512]), r"frame 1 is shown at 0\.0833 s, must be at 0\.0417 s"),
        (replace(GOOD, times=[0, 512, 1025]), r"frame 2 is shown at 0\.0834 s"),
        (replace(GOOD, times=[512, 1024, 1536]), r"frame 0 is shown at 0\.0417 s, must be at 0\.0000 s"),
        (replace(GOOD, durations=[512, 512, 900]), r"lasts 0\.157 s, must last 0\.125 s"),
        (replace(GOOD, header_seconds=0.17), r"lasts 0\.170 s, must last 0\.125 s"),
        (replace(GOOD, times=[], durations=[]), "holds 0 frames"),
    ],
)
def test_each_irregularity_is_named(packets: Packets, message: str) -> None:
    with pytest.raises(VideoDefect, match=message):
        require_regular(packets, MP4, name="v", frames=3)


def test_a_coarse_clock_may_round_each_time_but_not_drift() -> None:
    encoding = Encoding("gif", 24, 1)
    rounded = [round(number * 100 / encoding.rate) for number in range(240)]
    gif = Packets(Fraction(1, 100), rounded, [4] * 240, 64, 48, "gif", 10.0)
    require_regular(gif, encoding, name="v", frames=240)
    drifting = replace(gif, times=[4 * number for number in range(240)])
    with pytest.raises(VideoDefect, match="frame 7 is shown at"):
        require_regular(drifting, encoding, name="v", frames=240)
