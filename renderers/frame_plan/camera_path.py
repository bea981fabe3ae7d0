"""Where a row's camera goes: its motion from any frame of the video to any later one, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import cast

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from manifests.schema.camera import CAMERA_LIMITS
from renderers.canonical import rounded
from renderers.errors import BadInput
from renderers.frame_plan.camera import FLAT_AXES, camera_motion
from renderers.frame_plan.motion import STILL, Homography, Motion
from renderers.frame_plan.neutral import CAMERA_AXES, NEUTRAL, at_rest, constant_of
from renderers.frame_plan.parallax import Parallax
from renderers.frame_plan.shown import LEAST_SHOWN, shown_share

__all__ = ["CameraPath"]

# Motions from one frame to the next that are remembered: a video with keyframes asks for those around a frame again and
# again.
REMEMBERED = 2**16


class CameraPath:
    """The camera of one video, that is drawn at the share `scale` of the size that its row's pixels are meant for;
    `depth_model` is the digest of the depth model that it asks, if it does."""

    def __init__(self, row: ManifestRow, scale: float = 1.0, depth_model: str = "") -> None:
        self._row, self._scale = row, scale
        self._constants: dict[str, float] = {}
        self._moving: dict[str, Keyframes] = {}
        for axis in CAMERA_AXES:
            if at_rest(row, axis) and axis not in FLAT_AXES:
                continue  # as nearly always
            constant = constant_of(row, axis)
            if constant is None:
                self._moving[axis] = Keyframes.parse(getattr(row, axis), row.timeline)
            elif axis in FLAT_AXES or constant != NEUTRAL[axis]:  # nobody pays for an axis that nobody uses
                self._constants[axis] = constant
        self._rounded = {axis: rounded(value) for axis, value in self._constants.items()}
        self._limits = {axis: CAMERA_LIMITS[axis] for axis in self._moving if axis not in FLAT_AXES}
        self._sees = row.width / scale, row.height / scale, row.depth.shape, depth_model
        axes = self._constants.keys() | self._moving.keys()
        self.must_show = axes > {*FLAT_AXES} or row.border != "reflect" or row.depth.shape != "plane"
        """Whether something of each picture must be in view in the next: cameras that only zoom, turn and shift over
        reflections have gone wherever they liked, and still do."""
        self._leaps: dict[int, Motion] = {}  # by the number of frames
        self._backs: dict[int, Motion] = {}

    @cached_property
    def steady(self) -> bool:
        """Whether the camera makes the same motion between any two frames."""
        return not self._moving

    @cached_property
    def composable(self) -> bool:
        """Whether its motions can be composed: a leap over many frames is one motion then."""
        return self._row.depth.shape == "plane" and self.at(1).composable

    def values(self, index: int) -> dict[str, float]:
        """The value of each axis on the way from frame `index - 1` to frame `index`, as the row's text gives it.

        Raises:
            BadInput: an expression has no finite value here, gives a zoom that is not positive, or another axis more
                than it may have.
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
        if self._limits:
            self._check_limits(values, index)
        return values

    def _check_limits(self, values: Mapping[str, float], index: int) -> None:
        for axis, (low, high) in self._limits.items():
            if not low <= values[axis] <= high:
                raise BadInput(
                    f"{axis} of video '{self._row.video_id}' is {values[axis]:g} at frame {index}; allowed is "
                    f"{low:g} to {high:g}"
                )

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
        try:
            motion = camera_motion(moved, *self._sees)
            if self._scale != 1.0 and isinstance(motion, Homography | Parallax):
                motion = motion.enlarged(self._scale)  # other kinds of motion are in shares of the picture
        except (ValueError, OverflowError) as error:
            raise BadInput(f"the camera of video '{self._row.video_id}' at frame {index}: {error}") from error
        if self.must_show:
            self._check_shown(motion, f"at frame {index}", "let it move less there")
        return motion

    def _check_shown(self, motion: Motion, where: str, remedy: str) -> None:
        """Raise BadInput if hardly anything of a picture is seen after `motion`."""
        row = self._row
        if not isinstance(motion, Homography | Parallax):
            return
        share = shown_share(motion, row.width, row.height, wraps=row.border == "wrap")
        if share < LEAST_SHOWN:
            raise BadInput(
                f"the camera of video '{row.video_id}' {where} leaves {share:.2%} of the picture in view; at least "
                f"{LEAST_SHOWN:.0%} must be: {remedy}"
            )

    def check_leap(self, motion: Motion, start: int, stop: int) -> None:
        """Raise BadInput where `motion`, the leap from frame `start` to frame `stop`, shows hardly anything of what it
        starts from, though each of its steps may; to be asked where it `must_show`."""
        if stop - start > 1:
            remedy = "let it move less, choose a smaller keyframe_every, or handoff chain"
            self._check_shown(motion, f"from frame {start} to frame {stop}", remedy)

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
