"""What is known of a finished file, and whether its packets are the frames that were promised: count, order, times.

Pure, on ffmpeg's listing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from infra.video.encoding import Encoding
from infra.video.errors import FfmpegError, VideoDefect

__all__ = ["Packets", "VideoInfo", "parse_packets", "require_regular"]


@dataclass(frozen=True)
class VideoInfo:
    """A finished file, as read back from it.

    `duration` in seconds; `fps` in frames per second (0.0 where the file holds no time: a single PNG);
    `width` and `height` in pixels as stored, padding to even sizes included; `codec` by ffmpeg's name; `sound`: how
    many seconds its sound lasts, None where it was not asked for.
    """

    frames: int
    fps: float
    duration: float
    width: int
    height: int
    codec: str
    sound: float | None = None


@dataclass(frozen=True)
class Packets:
    """The packets of one video stream. `times` and `durations` count ticks of `tick` seconds."""

    tick: Fraction
    times: list[int]
    durations: list[int]
    width: int
    height: int
    codec: str
    header_seconds: float | None  # what the container's header promises, to 1/100 s; None where it says nothing

    @property
    def seconds(self) -> Fraction:
        """From the first frame's beginning to the last one's end."""
        return (self.times[-1] + self.durations[-1] - self.times[0]) * self.tick if self.times else Fraction(0)


def parse_packets(listing: str, log: str, name: str) -> Packets:
    """Read the output of `-c copy -f framecrc` and the log that ffmpeg wrote beside it.

    Raises FfmpegError, with `name`, if the listing is not of one video stream.
    """
    head = dict(re.findall(r"^#(\w+) 0: (\S+)$", listing, re.MULTILINE))
    try:
        rows = [line.split(",", 4) for line in listing.splitlines() if line[:1].isdigit()]
        width, height = (int(number) for number in head["dimensions"].split("x"))
        clock = re.search(r"^ *Duration: (\d+):(\d+):(\d+\.\d+)", log, re.MULTILINE)
        return Packets(
            tick=Fraction(head["tb"]),
            times=[int(row[2]) for row in rows],
            durations=[int(row[3]) for row in rows],
            width=width,
            height=height,
            codec=head["codec_id"],
            header_seconds=int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else None,
        )
    except (KeyError, ValueError, IndexError) as error:
        raise FfmpegError(f"'{name}': ffmpeg's list of packets cannot be understood: {listing[:200]!r}") from error


def require_regular(packets: Packets, encoding: Encoding, *, name: str, frames: int) -> None:
    """Raise VideoDefect unless frame n of `frames` is shown at n/rate seconds, and the last one ends at frames/rate."""
    rate, merges = encoding.rate, encoding.spec.merges
    if len(packets.times) != frames and not (merges and 0 < len(packets.times) < frames):
        raise VideoDefect(f"video '{name}' holds {len(packets.times)} frames, must hold {frames}")
    slack = 0 if encoding.spec.exact_times else 1  # ticks; errors never add up
    ticks = 1 / (rate * packets.tick)  # of one frame
    for number, time in enumerate([] if merges else packets.times):
        if number and time <= packets.times[number - 1]:
            raise VideoDefect(f"video '{name}': frame {number} does not come after frame {number - 1}")
        # abs(time - number * ticks) > slack, in whole numbers: ten times as quick as fractions
        if abs(time * ticks.denominator - number * ticks.numerator) > slack * ticks.denominator:
            found, due = float(time * packets.tick), float(number / rate)
            raise VideoDefect(f"video '{name}': frame {number} is shown at {found:.4f} s, must be at {due:.4f} s")
    if merges and len(packets.times) == 1:
        return  # nothing moves: a still, which has no length
    wanted = float(frames / rate)
    found = float(packets.seconds)
    for seconds in (found, found if packets.header_seconds is None else packets.header_seconds):
        if abs(seconds - wanted) > max(0.5 / float(rate), 0.011):
            raise VideoDefect(f"video '{name}' lasts {seconds:.3f} s, must last {wanted:.3f} s")
