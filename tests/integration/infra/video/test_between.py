"""Frames between, through the real ffmpeg: pieces equal one pass over the whole, whatever the rates, and the whole is
what minterpolate makes of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infra.video import ffmpeg
from infra.video.between import between
from infra.video.errors import FfmpegError
from infra.video.finishing import Finishing

Picture = NDArray[np.uint8]

CUTS = (6, 11)
MOTION = "mi_mode=mci:me=hexbs:me_mode=bidir:mc_mode=aobmc:vsbmc=1:mb_size=8:search_param=32"


def moving(count: int, width: int = 96, height: int = 64) -> list[Picture]:
    """A window that wanders over soft spots, with cuts to others."""
    chance = np.random.default_rng(0)
    grounds = [
        np.asarray(Image.fromarray(chance.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((3 * width, 3 * height)))
        for _ in range(len(CUTS) + 1)
    ]
    found = []
    for number in range(count):
        ground = grounds[sum(number >= cut for cut in CUTS)]
        top, left = int(number * 1.7) % height, int(number * 3.3) % width
        found.append(ground[top : top + height, left : left + width].copy())
    return found


def piece(pictures: list[Picture], finishing: Finishing, start: int, stop: int, *, loop: bool = False) -> list[Picture]:
    """What a worker gets of the frames `[start, stop)`, and makes of them."""
    count = len(pictures)
    before, behind = finishing.beside(start, stop, count, loop=loop)
    numbers = range(start - len(before), stop + len(behind))
    numbered = ((number, pictures[number % count]) for number in numbers)
    return list(between(numbered, finishing, start, stop, frames=count, loop=loop))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("way", ["motion", "blend", "none"])
@pytest.mark.parametrize(
    ("drawn", "shown"),
    [
        (Fraction(24), Fraction(60)), (Fraction(30000, 1001), Fraction(60)), (Fraction(15), Fraction(60000, 1001)),
        (Fraction(8), Fraction(44, 5)), (Fraction(1, 2), Fraction(7)),
    ],
)  # fmt: skip
def test_pieces_equal_one_pass(drawn: Fraction, shown: Fraction, way: str, loop: bool) -> None:
    pictures, finishing = moving(16), Finishing(drawn, shown, way)  # type: ignore[arg-type]
    whole = piece(pictures, finishing, 0, 16, loop=loop)
    edges = [0, 5, 6, 7, 12, 16]  # ranges of one frame, before, at and behind a cut
    parts = list(chain.from_iterable(piece(pictures, finishing, a, b, loop=loop) for a, b in pairwise(edges)))
    assert len(parts) == len(whole) == len(finishing.shown_of(0, 16))
    assert all(map(np.array_equal, parts, whole))


@pytest.mark.parametrize("size", [(33, 47), (17, 16)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_frames_and_odd_sizes(count: int, size: tuple[int, int]) -> None:
    pictures, finishing = moving(count, *size), Finishing(Fraction(24), Fraction(60))
    whole = piece(pictures, finishing, 0, count)
    assert len(whole) == -(-count * 5 // 2)
    assert np.array_equal(whole[0], pictures[0])
    assert np.array_equal(whole[-1], pictures[-1])  # it stands until the next would come
    parts = chain.from_iterable(piece(pictures, finishing, index, index + 1) for index in range(count))
    assert all(map(np.array_equal, parts, whole))


def test_the_whole_is_what_minterpolate_makes_of_it() -> None:
    """Its own pass over the same frames, without what pieces need; it makes none at the ends."""
    pictures = moving(16)
    found = piece(pictures, Finishing(Fraction(24), Fraction(60)), 0, 16)
    flags = "flags=accurate_rnd+full_chroma_int+bitexact"
    filters = (
        f"scale=out_color_matrix=bt709:out_range=pc:{flags},format=yuv444p,minterpolate=fps=60:{MOTION},"
        f"scale=in_color_matrix=bt709:in_range=pc:{flags},format=rgb24"
    )
    plain = list(
        ffmpeg.through(
            ["-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", "96x64", "-framerate",
             "24", "-i", "pipe:0", "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"],
            (picture.data for picture in pictures), "interpolating", size=96 * 64 * 3,
        )
    )  # fmt: skip
    numbers = [number for number in range(5, len(plain) - 1) if (number * Fraction(2, 5)).denominator != 1]
    assert len(numbers) > 15
    for number in numbers:
        assert np.array_equal(np.frombuffer(plain[number], np.uint8).reshape(64, 96, 3), found[number]), number


def test_at_a_cut_nothing_is_mixed() -> None:
    pictures, finishing = moving(16), Finishing(Fraction(24), Fraction(72), "blend")
    whole = piece(pictures, finishing, 0, 16)
    for cut in CUTS:
        for shown in (3 * cut - 2, 3 * cut - 1):  # between the frame before it and the cut
            likeness = [np.abs(whole[shown].astype(int) - pictures[it]).mean() for it in (cut - 1, cut)]
            assert min(likeness) < 2


def test_the_last_frame_of_a_loop_leads_back_to_the_first() -> None:
    pictures = [np.full((32, 32, 3), 40 + 2 * min(it, 10 - it), np.uint8) for it in range(10)]
    finishing = Finishing(Fraction(10), Fraction(20), "blend")
    looped, plain = (piece(pictures, finishing, 0, 10, loop=it)[-1].mean() for it in (True, False))
    assert (round(looped), round(plain)) == (41, 42)


def test_an_error_of_who_gives_the_pictures_is_raised_as_it_is() -> None:
    finishing = Finishing(Fraction(24), Fraction(60))

    def torn() -> object:
        yield from enumerate(moving(4))
        raise OSError("the bucket is gone")

    with pytest.raises(OSError, match="the bucket is gone"):
        list(between(torn(), finishing, 0, 16, frames=16, loop=False))  # type: ignore[arg-type]
    with pytest.raises(FfmpegError, match="ffmpeg ended with"):
        list(ffmpeg.through(["-i", "/nowhere"], iter([memoryview(b"x" * 1_000_000)] * 9), "trying", size=1))
    some = between(enumerate(moving(16)), finishing, 0, 16, frames=16, loop=False)
    next(some)
    some.close()  # whoever wants no more leaves no ffmpeg behind
