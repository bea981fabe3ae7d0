"""A camera that goes among things of which some are nearer than others: what is near passes by faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from renderers.canonical import canonical, rounded
from renderers.frame_plan.motion import Homography

__all__ = ["Parallax"]


@dataclass(frozen=True, slots=True)
class Parallax:
    """The camera moves, and then `view` does to what it sees what a homography does.

    `shape` says how far away is what each place of the picture shows, after the move and before `view`
    (`renderers.frame_rendering.depth.DEPTHS`). `shift` is what the picture itself would be moved by at a depth of 1,
    pixels to the right and down, and `nearer` what it would come nearer by; it lies `focal` pixels away.

    Two of these are no third: between them lies what was not seen before.
    """

    shape: str
    shift: tuple[float, float]
    nearer: float
    focal: float
    view: Homography
    composable: ClassVar[bool] = False

    @property
    def still(self) -> bool:
        return not (self.shift[0] or self.shift[1] or self.nearer) and self.view.still

    @property
    def text(self) -> str:
        """All of it as JSON."""
        numbers = [rounded(it) for it in (*self.shift, self.nearer, self.focal)]
        return f'{{"depth":{canonical(self.shape)},"move":{canonical(numbers)},"view":{self.view.text}}}'

    def enlarged(self, factor: float) -> Parallax:
        """The same motion of pictures `factor` times as large."""
        x, y = self.shift
        shift = x * factor, y * factor
        return Parallax(self.shape, shift, self.nearer * factor, self.focal * factor, self.view.enlarged(factor))
