"""What becomes of drawn frames before they are encoded: which shown frames they make, and what each range of them looks
at beyond its own. Pure data.

Ranges are encoded apart, wherever they were rendered, and must give what one pass over the whole video gives. So a
range takes `reach` frames of its neighbours on either side, and its address covers theirs: a frame that changes encodes
again the ranges that looked at it, and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from infra.video.encoding import exact_rate
from manifests.schema.finish import Between
from manifests.schema.row import ManifestRow

__all__ = ["BETWEEN_REACH", "Finishing", "minterpolate"]

# What ffmpeg's minterpolate looks at beside the two frames that it goes between: the frame before them, since a cut is
# known by how much more they differ than those before did; and one after, which it waits for. Diamond and hexagon
# searches begin anew at each block, and so at each pair of frames; epzs, its default, goes on from the pair before, and
# pieces would differ from the whole for a dozen frames and more.
BETWEEN_REACH = 2

# VQGAN-CLIP's settings (nerdyrodent, generate.py, -ofps).
_MOTION = "mi_mode=mci:me=hexbs:me_mode=bidir:mc_mode=aobmc:vsbmc=1:mb_size=8:search_param=32"
_BLEND = "mi_mode=blend"


@dataclass(frozen=True)
class Finishing:
    """Frames `drawn` at one rate are `shown` at another, frames a second; `between` says what is shown where there is
    no drawn one. `smooth` frames are averaged, the middle one with the weight `centre`. `enlarged` by the net
    `upscaler` to so many times their size; 1 where that is left to the encoder. `pasted` says over how many pixels what
    a mask keeps fades in, of the picture that it is kept of; None where it is shown as it was drawn."""

    drawn: Fraction
    shown: Fraction
    between: Between = "motion"
    smooth: int = 0
    centre: float = 0.7
    upscaler: str | None = None
    enlarged: int = 1
    pasted: int | None = None

    @classmethod
    def of(cls, row: ManifestRow) -> Self:
        """What a row asks for. A still has nothing beside it, and is shown as it is."""
        finish = row.finish
        drawn = exact_rate(row.fps)
        upscaler, enlarged = (finish.upscaler, row.upscale) if finish.upscaler is not None else (None, 1)
        pasted = finish.mask_soften if finish.paste_mask else None
        if row.frames == 1:
            return cls(drawn, drawn, upscaler=upscaler, enlarged=enlarged, pasted=pasted)
        shown = drawn if finish.fps is None else exact_rate(finish.fps)
        return cls(drawn, shown, finish.between, finish.smooth, finish.smooth_centre, upscaler, enlarged, pasted)

    @property
    def ratio(self) -> Fraction:
        """How many frames are shown for each that is drawn."""
        return self.shown / self.drawn

    @property
    def interpolates(self) -> bool:
        """Whether what is shown between two drawn frames is made of both."""
        return self.ratio != 1 and self.between != "none"

    @property
    def reach(self) -> int:
        """How many frames on either side a range looks at."""
        return self.smooth // 2 + (BETWEEN_REACH if self.interpolates else 0)

    def shown_of(self, start: int, stop: int) -> range:
        """The numbers of the frames that are shown while the drawn frames `[start, stop)` are: frame n of those shown
        at n over their rate, so that every drawn frame is followed by at least one."""
        return range(_ceil(start * self.ratio), _ceil(stop * self.ratio))

    def beside(self, start: int, stop: int, frames: int, *, loop: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The numbers of the frames before and behind `[start, stop)` that it looks at, in the order in which they are
        shown: of a `loop` of so many `frames` the last ones come before the first, of another video there are none."""
        before, behind = range(start - self.reach, start), range(stop, stop + self.reach)
        if loop:
            return tuple(it % frames for it in before), tuple(it % frames for it in behind)
        return tuple(it for it in before if it >= 0), tuple(it for it in behind if it < frames)

    def settings(self, upscaler_sha256: str = "") -> dict[str, object]:
        """Return what decides what is encoded, for addresses: nothing of what changes nothing. `upscaler_sha256` is of
        the net's weights."""
        found: dict[str, object] = {}
        if self.ratio != 1:
            how = minterpolate(self) if self.interpolates else "none"
            found["between"] = {"drawn": f"{self.drawn.numerator}/{self.drawn.denominator}", "how": how}
        if self.smooth:
            found["smooth"] = {"frames": self.smooth, "centre": self.centre}
        if self.pasted is not None:  # the picture, the mask and the camera are in the frames' own addresses
            found["paste"] = {"soften": self.pasted}
        if self.upscaler is not None:
            found["upscaler"] = {"factor": self.enlarged, "sha256": upscaler_sha256}
        return found


def minterpolate(finishing: Finishing) -> str:
    """Return ffmpeg's filter that makes frames between."""
    how = _MOTION if finishing.between == "motion" else _BLEND
    return f"minterpolate=fps={finishing.shown.numerator}/{finishing.shown.denominator}:{how}"


def _ceil(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)
