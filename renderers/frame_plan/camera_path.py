"""Where a row's camera goes: its motion from any frame of the video to any later one, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import cast

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from renderers.canonical import rounded
from renderers.errors import BadInput
from renderers.frame_plan.motion import STILL, Homography, Motion, camera_motion
from renderers.frame_plan.neutral import CAMERA_AXES

__all__ = ["CameraPath"]

# Motions from one frame to the next that are remembered: a video with keyframes asks for those around a frame again and
# again.
REMEMBERED = 2**16


class CameraPath:
    """The camera of one video."""

    def __init__(self, row: ManifestRow) -> None:
        self._row = row
        keys = {axis: Keyframes.parse(getattr(row, axis), row.timeline) for axis in CAMERA_AXES}
        self._constants = {axis: it.constant for axis, it in keys.items() if it.constant is not None}
        self._rounded = {axis: rounded(value) for axis, value in self._constants.items()}
        self._moving = {axis: it for axis, it in keys.items() if it.constant is None}
        self._leaps: dict[int, Motion] = {}  # by the number of frames
        self._backs: dict[int, Motion] = {}

    @cached_property
    def steady(self) -> bool:
        """Whether the camera makes the same motion between any two frames."""
        return not self._moving

    @cached_property
    def composable(self) -> bool:
        """Whether its motions can be composed: a leap over many frames is one motion then."""
        return self.at(1).composable

    def values(self, index: int) -> dict[str, float]:
        """The value of each axis on the way from frame `index - 1` to frame `index`, as the row's text gives it.

        Raises:
            BadInput: an expression has no finite value here, or gives a zoom that is not positive.
        """
        values, axis = {**self._constants}, ""
        try:
            for axis, keys in self._moving.items():
                values[axis] = keys.at(index)
        except KeyframeError as error:  # validation of long videos looks at a sample of the frames
            raise BadInput(f"{axis} of video '{self._row.video_id}' at frame {index}: {error}") from error
        if values["zoom"] <= 0:
            raise BadInput(
                f"zoom '{self._row.zoom}' of video '{self._row.video_id}' is {values['zoom']:g} at frame {index}: "
                "it must be positive"
            )
        return values

    def at(self, index: int) -> Motion:
        """The motion from frame `index - 1` to frame `index`; none to the first.

        Raises:
            BadInput: as `values`.
        """
        return self._motions(index) if index else STILL

    @property
    def to_first(self) -> Motion:
        """The motion to the first frame, of a video that continues another one. Raises BadInput as `values`."""
        return self._motions(0)

    @cached_property
    def _motions(self) -> Callable[[int], Motion]:
        if not self.steady:
            return lru_cache(REMEMBERED)(self._motion)
        always = lru_cache(1)(lambda: self._motion(1))
        return lambda _: always()

    def _motion(self, index: int) -> Motion:
        values, moved = self.values(index), self._rounded.copy()
        for axis in self._moving:
            moved[axis] = rounded(values[axis])
        return camera_motion(moved)

    def through(self, start: int, stop: int) -> Motion:
        """The motion from frame `start` to a later frame `stop`.

        Raises:
            BadInput: as `values`; or the motions between them come to one that no picture survives.
        """
        if not self.steady:
            return self._leap(start, stop)
        # with the same motion everywhere, those over as many frames are one object, for all of a million frames
        known = self._leaps.get(stop - start)
        if known is None:
            known = self._leaps[stop - start] = self._leap(start, stop)
        return known

    def back(self, start: int, stop: int) -> Motion:
        """The motion back from a later frame `stop` to frame `start`.

        Raises:
            BadInput: as `through`.
        """
        if not self.steady:
            return self._composed(start, stop, Homography.back_through)
        known = self._backs.get(stop - start)
        if known is None:
            known = self._backs[stop - start] = self._composed(start, stop, Homography.back_through)
        return known

    def _leap(self, start: int, stop: int) -> Motion:
        # one motion is what it is, of whatever kind
        return self.at(stop) if stop - start == 1 else self._composed(start, stop, Homography.through)

    def _composed(self, start: int, stop: int, compose: Callable[[Iterable[Homography]], Homography]) -> Homography:
        assert self.composable  # others are chains: `VideoPlan.handoff` sees to it
        motions = map(self._motions, range(start + 1, stop + 1))
        try:
            return compose(cast("Iterable[Homography]", motions))
        except (ValueError, OverflowError) as error:
            raise BadInput(
                f"the camera of video '{self._row.video_id}' from frame {start} to frame {stop}: {error}; "
                "let it move less, or choose handoff chain"
            ) from error
