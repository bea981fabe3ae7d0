"""Frames between: what is shown where nothing was drawn, by ffmpeg's minterpolate.

A piece of a video is interpolated by itself and gives what one pass over the whole gives, bit for bit. What that takes,
by libavfilter/vf_minterpolate.c and by trying: the filter goes between the second and the third of four frames, so
that the first pair of a stream and the last two are never shown; each piece brings `BETWEEN_REACH` frames more on
either side, at the ends of a video copies of its first and last frame. Its clock is that of the whole video, or the
times between would be rounded otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from infra.video import ffmpeg
from infra.video.errors import FfmpegError
from infra.video.finishing import BETWEEN_REACH, Finishing, minterpolate

__all__ = ["between"]

Picture = NDArray[np.uint8]

# minterpolate knows no RGB. Of the full range and with as many colours as pixels little is lost: 2 levels of 255.
_SCALE = "flags=accurate_rnd+full_chroma_int+bitexact"
_TO_YUV = f"scale=out_color_matrix=bt709:out_range=pc:{_SCALE},format=yuv444p"
_TO_RGB = f"scale=in_color_matrix=bt709:in_range=pc:{_SCALE},format=rgb24"


def between(
    pictures: Iterable[tuple[int, Picture]], finishing: Finishing, start: int, stop: int, *, frames: int, loop: bool
) -> Iterator[Picture]:
    """Yield the pictures that are shown while the drawn frames `[start, stop)` of `frames` are.

    `pictures` are those frames and what `finishing` looks at beside them, `(height, width, 3)` uint8, numbered as they
    are shown (-1 is the last frame of a loop). Where a drawn frame is due it is shown as it is.

    Raises FfmpegError, and whatever taking the pictures raised.
    """
    if not finishing.interpolates:  # every one again and again, or once
        yield from _repeated(pictures, finishing, start, stop)
        return
    first, last = start - BETWEEN_REACH, stop - 1 + BETWEEN_REACH
    stream = _padded(iter(pictures), first, last, frames, loop=loop)
    head = next(stream)
    height, width = head[1].shape[:2]
    drawn: dict[int, Picture] = {}

    def written() -> Iterator[memoryview]:
        for number, picture in itertools.chain([head], stream):
            if start <= number < stop:
                of_it = finishing.shown_of(number, number + 1)
                if number == frames - 1 and not loop:  # it stands until the end
                    drawn.update(dict.fromkeys(of_it, picture))
                elif (number * finishing.ratio).denominator == 1:
                    drawn[of_it.start] = picture
            yield np.ascontiguousarray(picture).data

    shown = finishing.shown_of(start, stop)
    arguments = _arguments(finishing, width, height, first, shown.start)
    found = ffmpeg.through(arguments, written(), "making frames between", size=width * height * 3)
    count = 0
    for data in found:
        if count < len(shown):  # one more may be due just when the next range begins
            exact = drawn.pop(shown[count], None)
            yield exact if exact is not None else np.frombuffer(data, np.uint8).reshape(height, width, 3)
        count += 1
    if count < len(shown):
        raise FfmpegError(f"ffmpeg made {count} frames of the {len(shown)} that are shown for {start} to {stop}")


def _repeated(
    pictures: Iterable[tuple[int, Picture]], finishing: Finishing, start: int, stop: int
) -> Iterator[Picture]:
    for number, picture in pictures:
        if start <= number < stop:
            for _ in finishing.shown_of(number, number + 1):
                yield picture


def _padded(
    pictures: Iterator[tuple[int, Picture]], first: int, last: int, frames: int, *, loop: bool
) -> Iterator[tuple[int, Picture]]:
    """The pictures numbered `first` to `last`: where a video has not begun its first one, where it has ended its
    last."""
    given = ((number, picture) for number, picture in pictures if first <= number <= last)
    number, picture = first - 1, None
    for number, picture in given:
        if number == 0 and not loop:
            yield from ((it, picture) for it in range(first, 0))
        yield number, picture
    assert picture is not None, "a range has frames"
    if not loop:
        yield from ((it, picture) for it in range(max(number + 1, frames), last + 1))


def _arguments(finishing: Finishing, width: int, height: int, first: int, shown_from: int) -> list[str]:
    """Frames of `width` by `height` from stdin, of which the first is drawn frame `first`, to frames on stdout, from
    the shown frame `shown_from` on."""
    ratio = finishing.ratio
    # whole periods later: no time is negative, and all are rounded as in the whole
    periods = -(-2 * BETWEEN_REACH // ratio.denominator)
    drawn = f"{finishing.drawn.denominator}/{finishing.drawn.numerator}"
    filters = [
        f"settb={drawn}", f"setpts=N+{first + periods * ratio.denominator}", _TO_YUV, minterpolate(finishing),
        f"trim=start_pts={shown_from + periods * ratio.numerator}", _TO_RGB,
    ]  # fmt: skip
    return [
        "-hide_banner", "-nostats", "-loglevel", "error",
        "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}",
        "-framerate", f"{finishing.drawn.numerator}/{finishing.drawn.denominator}", "-i", "pipe:0",
        "-an", "-filter_threads", "1", "-vf", ",".join(filters), "-fps_mode", "passthrough",
        "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip
