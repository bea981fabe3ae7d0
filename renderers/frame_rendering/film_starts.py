"""Where a frame starts that is drawn over a film, and what of the film it is held to: it starts from the film's own
frame, or from the frame before, moved as the film moves, or as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.renewal import Renewal
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.fitting import fitted
from renderers.frame_rendering.holding import film_goals, own_goals
from renderers.frame_rendering.optical_flow import FilmMotion, film_motion
from renderers.frame_rendering.renewing import renewed
from renderers.frame_rendering.starts import Start, Starts
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import Warp
from renderers.models import Models, decode_tokens
from renderers.randomness import generator

__all__ = ["CUT", "FilmStarts"]

CUT = 0.03
"""Share of a frame that the one before it must have shown: below it is a cut, and starts anew (PyTTI's rule)."""


class FilmStarts:
    """The starts of frames that one model draws over films."""

    def __init__(self, models: Models, starts: Starts) -> None:
        self._models, self._starts = models, starts

    @torch.no_grad()
    def of(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        pictures: SourcePictures,
        state: FrameState | None,
        images: Mapping[str, bytes],
        seed: int,
    ) -> Start:
        """The start of a frame from `pictures` of the film and, where it starts from the frame before, that one's
        `state`; `seed` is of the noise that renews.

        After a cut, and where there is no frame before, it is the film's own frame, and cold. Otherwise it is the
        picture of the frame before, moved as the film moves, renewed, mixed with the film's own frame by `blend`, and
        replaced by it where the film shows what it did not show before (after Ruder et al. 2016, section 4); or, where
        the plan has nothing move it, that picture renewed, as under a camera that stands still.

        However it starts, the frame is held to the film's own frame by the weights that the plan says, and keeps what
        of that a mask keeps.

        Raises:
            OpenCVMissing: OpenCV is not installed here.
        """
        assert frame.source is not None
        now = _as_tensor(pictures.now, plan.row.width, plan.row.height).to(self._models.device)
        start = self._start(plan, frame, now, pictures, state, images, seed)
        own = None if plan.row.mask is None else self._models.vqgan.encode(now).contiguous()
        return replace(start, own=own, goals=(*start.goals, *film_goals(frame.source.holds, now)))

    def _start(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        now: Tensor,
        pictures: SourcePictures,
        state: FrameState | None,
        images: Mapping[str, bytes],
        seed: int,
    ) -> Start:
        """The start, without what of the film it is held to."""
        row, vqgan = plan.row, self._models.vqgan
        if state is None:
            return Start(vqgan.encode(now).contiguous(), cold=True)
        if pictures.before is None:
            return self._starts.warm(plan, frame, state, seed=seed, images=images)
        sized = [_sized(it, row.width, row.height) for it in (pictures.before, pictures.now)]
        motion = film_motion(sized[0], sized[1])
        if motion.covered < CUT:
            return Start(vqgan.encode(now).contiguous(), cold=True, covered=motion.covered)
        return self._moved(plan, frame, now, motion, state, images, seed)

    def _moved(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        now: Tensor,
        motion: FilmMotion,
        state: FrameState,
        images: Mapping[str, bytes],
        seed: int,
    ) -> Start:
        assert frame.source is not None
        row, vqgan, device, renewal = plan.row, self._models.vqgan, self._models.device, frame.renewal or Renewal()
        shown = decode_tokens(vqgan, state.tokens.to(device))
        reference = self._starts.reference(plan, renewal, state, shown, images)
        warp = Warp(motion.grid)
        picture = warp.move(shown, border=row.border).clamp(0, 1)
        if renewal.acts:
            picture = renewed(picture, renewal, reference, generator(seed, frame.index, 0, "renew"))
        seen = motion.soft().to(device)
        share = frame.source.blend * torch.ones_like(seen)
        if frame.source.occluded == "source":
            share = 1 - seen * (1 - share)
        picture = torch.lerp(picture, now, share)
        latent = vqgan.encode(picture).contiguous()
        if row.warm.fit:
            latent = fitted(vqgan, latent, picture, torch.ones_like(seen), steps=row.warm.fit, rate=row.warm.fit_rate)
        first, second = state.moments.expand(device)
        first = warp.move(first, mode="bilinear", border="reflect")
        memory = (first, second, state.moments.steps)
        goals = own_goals(frame.holds, picture, None, latent)
        handed_on = reference if renewal.carries else None
        return Start(latent, memory, goals, handed_on, (shown, warp), covered=motion.covered)


def _sized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A prepared frame at the size of the frame that is drawn: in previews that is smaller."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _as_tensor(picture: NDArray[np.uint8], width: int, height: int) -> Tensor:
    return torch.from_numpy(_sized(picture, width, height).copy()).permute(2, 0, 1)[None].float() / 255
