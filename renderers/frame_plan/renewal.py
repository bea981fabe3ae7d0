"""How the picture that a frame starts from is renewed, as it is planned: numbers, and what its colours are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.schema import ManifestRow
from manifests.schema.renew import RENEW_LIMITS, names_picture
from renderers.canonical import differing, rounded
from renderers.frame_plan.neutral import NEUTRAL, constant_of
from renderers.frame_plan.schedules import Schedules, deviating

__all__ = ["Renewal", "Renewals"]


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is done to a frame's moved picture before the frame begins: nothing of it at these values.

    `colours` and `detail` are shares of the way to the reference's. That is the picture at the address `picture`;
    without one, what the state that the frame starts from carries of it, or, where that carries nothing, what it shows.
    `carries` says whether the frame's own state carries it further, `detailed` whether with its sharpness, and
    `colours_of` of which scene, by its number, the reference is that those are held to that start from the frame.
    """

    colours: float = 0.0
    contrast: float = 1.0
    sharpen: float = 0.0
    detail: float = 0.0
    noise: float = 0.0
    grain: str = "fractal"
    picture: str = ""
    carries: bool = False
    detailed: bool = False
    colours_of: int = 0

    @property
    def acts(self) -> bool:
        """Whether it changes the picture."""
        return bool(self.colours or self.contrast != 1.0 or self.sharpen or self.detail or self.noise)

    @property
    def refers(self) -> bool:
        """Whether it holds the picture to a reference, or hands one on."""
        return bool(self.colours or self.detail or self.carries)

    def decides(self, images: Mapping[str, str]) -> dict[str, Any]:
        """What of it a digest holds; `images` are the digests of pictures by their addresses."""
        numbers = {name: getattr(self, name) for name in RENEW_LIMITS}
        found = differing(numbers, NEUTRAL, "renew.")
        if self.noise and self.grain != NEUTRAL["renew.grain"]:
            found["grain"] = self.grain
        if (self.colours or self.detail) and self.picture:
            found["picture"] = images[self.picture]
        if self.carries:
            found["carries"] = "detail" if self.detailed else True
        return found


class Renewals:
    """The renewals of one video.

    Colours are held to those of a *reference*, a frame whose own picture those that start from it are held to: the
    first frame, and, where each scene has its own, the first frame that shows it alone. What fades from the scene of
    the reference to another is let go as far as it has faded: nobody wants the night in the colours of the dawn.
    """

    def __init__(self, row: ManifestRow, closing: int = 0) -> None:
        """The last `closing` frames of a loop fade to what its first is drawn towards."""
        self._frames, self._closing = row.frames, closing
        self._video_id, self._fades, self._by_scene = row.video_id, row.fades, row.renew.colours_from == "scene"
        self._grain = row.renew.grain
        self._picture = row.renew.colours_from if names_picture(row.renew.colours_from) else ""
        self._schedules = Schedules(row, "renew", RENEW_LIMITS, RENEW_LIMITS)
        self._detailed = constant_of(row, "renew.detail") != 0.0
        self._carries = not self._picture and (self._detailed or constant_of(row, "renew.colours") != 0.0)

    @classmethod
    def of(cls, row: ManifestRow, closing: int = 0) -> Renewals | None:
        """Those of a resolved `row`; None if it asks for none."""
        return cls(row, closing) if deviating(row, "renew", RENEW_LIMITS) else None

    def first(self, index: int, *, continued: bool) -> Renewal:
        """The same as `at` for frame `index`, the first of a video: where that is `continued` from a frame of another
        one, what it starts from is renewed, but held to no colours and no detail of that one's.

        Raises:
            BadInput: as `at`.
        """
        scene = self._fades.shares(index)[-1][0]
        if not continued:
            return Renewal(colours_of=scene)
        values = self._schedules.at(index)
        if not self._picture:
            values["colours"] = values["detail"] = 0.0
        return Renewal(
            **values, grain=self._grain, picture=self._picture, carries=False, detailed=self._detailed, colours_of=scene
        )

    def at(self, index: int, scene: int) -> Renewal:
        """The renewal of frame `index`, which starts from one whose reference is of `scene`.

        Raises:
            BadInput: a value is not there, or not allowed.
        """
        values = self._schedules.at(index)
        carries = self._carries
        if self._by_scene:
            shares = self._shares(index)
            for name in ("colours", "detail"):
                values[name] = rounded(values[name] * shares.get(scene, 0.0))
            if len(shares) == 1 and scene not in shares:  # another scene, alone for the first time
                (scene,) = shares
                carries = False
        return Renewal(
            **values, grain=self._grain, picture=self._picture, carries=carries, detailed=self._detailed,
            colours_of=scene,
        )  # fmt: skip

    def _shares(self, index: int) -> dict[int, float]:
        """The scenes that frame `index` shows, by number, each with its share."""
        shares = dict(self._fades.shares(index))
        closed = self._fades.closed(index, self._frames, self._closing) if self._closing else 0.0
        if closed:
            shares = {scene: share * (1 - closed) for scene, share in shares.items()}
            for scene, share in self._fades.shares(0):
                shares[scene] = shares.get(scene, 0.0) + share * closed
        return shares
