"""How a picture moves from one frame to another, as pure numbers: no tensors, no pictures.

A camera that zooms, turns, shifts, or looks aside moves a picture as a *homography*, a 3 x 3 matrix. Homographies can
be composed and taken back, so that a leap over many frames is one motion, and one resampling; keyframes hang on that. A
kind of motion that can't be composed, such as one that depends on the picture's depth, is a `Motion` too: its videos
are chains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

__all__ = ["STILL", "Homography", "Motion"]

# Entries are rounded to this many significant digits, those of the largest entry of their kind (see `Homography`).
DIGITS = 12
# The largest shift (pixels) and the largest tilt (1 / pixel) that are taken for the largest of their kind if it is
# smaller: what is left of sums that come to nothing must not be taken for digits.
LEAST_SHIFT, LEAST_TILT = 1.0, 1e-3

NO_MOTION = "the picture vanishes, or grows beyond all numbers"

Entries = tuple[float, float, float, float, float, float, float, float, float]


class Motion(Protocol):
    """What moves a picture; `renderers.frame_rendering.warp.warp_of` knows how, for each kind. Motions are hashable."""

    def __hash__(self) -> int: ...

    @property
    def composable(self) -> bool:
        """Whether motions of this kind can be composed, and taken back: if not, its videos are chains."""

    @property
    def still(self) -> bool:
        """Whether nothing moves."""

    @property
    def text(self) -> str:
        """Canonical JSON, for a digest: the same for equal motions, another for others."""


@dataclass(frozen=True, slots=True, init=False)
class Homography:
    """A 3 x 3 matrix, row by row. A point `(x, y)` of the earlier picture, in pixels from its centre with y down, goes
    to `(X / w, Y / w)` where `(X, Y, w)` is the matrix times `(x, y, 1)`; what has no positive `w` is not seen.

    Of all positive multiples of the matrix, which move alike, it is the one whose last entry is 1 or -1, or, where it
    is not affine, whose largest of those that turn and zoom is; rounded to 12 digits, so that machines whose sines
    differ in the last bit agree.

    Raises:
        ValueError: entries are not finite, or nothing is left of the picture.
    """

    entries: Entries
    composable: ClassVar[bool] = True

    def __init__(self, entries: Entries) -> None:
        object.__setattr__(self, "entries", _normal(entries))

    @classmethod
    def of(
        cls, zoom: float = 1.0, angle: float = 0.0, translate_x: float = 0.0, translate_y: float = 0.0
    ) -> Homography:
        """A factor, degrees counter-clockwise as seen, and then pixels to the right and down."""
        turn = math.radians(angle)
        cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
        # y points down: what turns counter-clockwise as seen turns clockwise by the usual formulas
        return cls((cos, sin, translate_x, -sin, cos, translate_y, 0.0, 0.0, 1.0))

    @property
    def still(self) -> bool:
        return self.entries == STILL.entries

    @property
    def affine(self) -> bool:
        """Whether parallels stay parallel."""
        return self.entries[6:] == (0.0, 0.0, 1.0)

    @property
    def size(self) -> float:
        """How many times as large it makes what lies in the picture's middle; 0 where that is not seen."""
        a, b, c, d, e, f, g, h, i = self.entries
        determinant = a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g)
        return math.sqrt(abs(determinant) / i**3) if i > 0.0 else 0.0

    @property
    def text(self) -> str:
        """The entries as JSON; of an affine matrix without its last row."""
        a, b, c, d, e, f, g, h, i = self.entries
        one, other = repr(a), repr(b)
        if e == a and d == -b and b and i == 1.0 and g == h == 0.0:
            return f"[{one},{other},{c!r},{other[1:] if b < 0.0 else '-' + other},{one},{f!r}]"
        rest = "" if g == h == 0.0 and i == 1.0 else f",{g!r},{h!r},{i!r}"
        return f"[{one},{other},{c!r},{d!r},{e!r},{f!r}{rest}]"

    def compose(self, later: Homography) -> Homography:
        """This motion, and then the `later` one."""
        return Homography.through([self, later])

    @classmethod
    def through(cls, motions: Iterable[Homography]) -> Homography:
        """All of `motions`, one after the other."""
        return cls(_product(motions))

    @classmethod
    def back_through(cls, motions: Iterable[Homography]) -> Homography:
        """The motion that undoes all of `motions`."""
        return cls(_inverse(_product(motions)))

    def enlarged(self, factor: float) -> Homography:
        """The same motion of pictures `factor` times as large."""
        a, b, c, d, e, f, g, h, i = self.entries
        return Homography((a, b, c * factor, d, e, f * factor, g / factor, h / factor, i))

    def inverse(self) -> Homography:
        """The motion that undoes this one."""
        return Homography(_inverse(self.entries))


def _product(motions: Iterable[Homography]) -> Entries:
    # in plain numbers: a plan of a million frames composes ten million motions
    a, b, c, d, e, f, g, h, i = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
    for motion in motions:
        j, k, m, n, o, p, q, r, s = motion.entries
        if q == r == g == h == 0.0:  # affine, as most are: the last row stays as it is
            a, d = j * a + k * d, n * a + o * d
            b, e = j * b + k * e, n * b + o * e
            c, f = j * c + k * f + m * i, n * c + o * f + p * i
            i = s * i
        else:
            a, d, g = j * a + k * d + m * g, n * a + o * d + p * g, q * a + r * d + s * g
            b, e, h = j * b + k * e + m * h, n * b + o * e + p * h, q * b + r * e + s * h
            c, f, i = j * c + k * f + m * i, n * c + o * f + p * i, q * c + r * f + s * i
    return a, b, c, d, e, f, g, h, i


def _inverse(entries: Entries) -> Entries:
    """The inverse, or a positive multiple of it."""
    a, b, c, d, e, f, g, h, i = entries
    p, q, r = e * i - f * h, f * g - d * i, d * h - e * g
    # the scale of the adjugate, which is the determinant, does not matter; its sign does
    s = -1.0 if a * p + b * q + c * r < 0.0 else 1.0
    return (
        s * p, s * (c * h - b * i), s * (b * f - c * e),
        s * q, s * (a * i - c * g), s * (c * d - a * f),
        s * r, s * (b * g - a * h), s * (a * e - b * d),
    )  # fmt: skip


def _normal(entries: Entries) -> Entries:
    """The one matrix that stands for all positive multiples of `entries`, rounded."""
    a, b, c, d, e, f, g, h, i = entries
    affine = g == h == 0.0
    if affine and 0.0 < i < math.inf and e == a and d == -b:
        # what a camera that zooms and turns gives, and whatever is composed of it: to the last bit what comes below,
        # in half the time, since a plan may have millions
        if i != 1.0:
            a, b, c, f = a / i, b / i, c / i, f / i
        linear = _decimals(max(abs(a), abs(b)))
        a, b = round(a, linear) + 0.0, round(b, linear) + 0.0
        if c or f:
            shift = _decimals(max(abs(c), abs(f), LEAST_SHIFT))
            c, f = round(c, shift) + 0.0, round(f, shift) + 0.0
        else:
            c = f = 0.0
        return a, b, c, 0.0 - b, a, f, 0.0, 0.0, 1.0
    scale = abs(i) if affine else max(abs(a), abs(b), abs(d), abs(e))
    if scale != 1.0:
        if not 0.0 < scale < math.inf:
            raise ValueError(NO_MOTION)
        a, b, c, d, e, f, g, h, i = (entry / scale for entry in (a, b, c, d, e, f, g, h, i))
    linear = _decimals(max(abs(a), abs(b), abs(d), abs(e)))
    shift = _decimals(max(abs(c), abs(f), LEAST_SHIFT))
    # + 0.0: there is one zero
    a, b, d, e = round(a, linear) + 0.0, round(b, linear) + 0.0, round(d, linear) + 0.0, round(e, linear) + 0.0
    c, f = round(c, shift) + 0.0, round(f, shift) + 0.0
    if affine:
        return a, b, c, d, e, f, 0.0, 0.0, 1.0 if i > 0.0 else -1.0
    tilt = _decimals(max(abs(g), abs(h), LEAST_TILT))
    return a, b, c, d, e, f, round(g, tilt) + 0.0, round(h, tilt) + 0.0, round(i, _decimals(max(1.0, abs(i)))) + 0.0


def _decimals(largest: float) -> int:
    """The decimals that leave a number as large as `largest` 12 significant digits."""
    if 1.0 <= largest < 10.0:
        return DIGITS - 1
    if not 0.0 < largest < math.inf:
        raise ValueError(NO_MOTION)
    return DIGITS - 1 - math.floor(math.log10(largest))


STILL = Homography((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
