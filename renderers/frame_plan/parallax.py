"""A camera that goes among things of which some are nearer than others: what is near passes by faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from renderers.canonical import canonical, rounded
from renderers.frame_plan.motion import Homography, Motion

__all__ = ["FARTHEST", "Parallax", "asked_depth"]

FARTHEST = 10.0
"""Nothing is farther away, in distances of a picture's plane."""


@dataclass(frozen=True, slots=True)
class Parallax:
    """The camera moves, and then `view` does to what it sees what a homography does.

    `shape` says how far away is what each place of the picture shows, after the move and before `view`
    (`renderers.frame_rendering.depth.DEPTHS`); or it is "model", and the depth model of digest `model` says it of the
    picture before the move. `shift` is what the picture itself would be moved by at a depth of 1,
    pixels to the right and down, and `nearer` what it would come nearer by; it lies `focal` pixels away.

    Two of these are no third: between them lies what was not seen before.
    """

    shape: str
    shift: tuple[float, float]
    nearer: float
    focal: float
    view: Homography
    model: str = ""
    composable: ClassVar[bool] = False

    @property
    def still(self) -> bool:
        return not (self.shift[0] or self.shift[1] or self.nearer) and self.view.still

    @property
    def text(self) -> str:
        """All of it as JSON."""
        numbers = [rounded(it) for it in (*self.shift, self.nearer, self.focal)]
        depth = canonical({"model": self.model} if self.model else self.shape)
        return f'{{"depth":{depth},"move":{canonical(numbers)},"view":{self.view.text}}}'

    def enlarged(self, factor: float) -> Parallax:
        """The same motion of pictures `factor` times as large."""
        x, y = self.shift
        shift = x * factor, y * factor
        view = self.view.enlarged(factor)
        return Parallax(self.shape, shift, self.nearer * factor, self.focal * factor, view, self.model)


def asked_depth(motion: Motion) -> str:
    """The digest of the depth model that `motion` has to ask; '' for one that asks none."""
    return motion.model if isinstance(motion, Parallax) else ""
