"""Where a frame starts: cold, as the row's `init` says, or warm, from the state of another frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.fitting import fitted
from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import warp_of
from renderers.models import Models, decode_tokens
from renderers.randomness import generator

__all__ = ["Start", "Starts"]


@dataclass(frozen=True)
class Start:
    """The `latent` `(1, c, h, w)` that a frame starts from; Adam's `memory` (mean gradient, mean squared gradient,
    steps), None for none; and the picture `(1, 3, H, W)` that it is held to, if it is."""

    latent: Tensor
    memory: tuple[Tensor, Tensor, int] | None = None
    goal: Tensor | None = None


class Starts:
    """The starts of frames that one model draws. `low` and `high` `(1, c, 1, 1)` bound the codes of its codebook, and
    `code_std` is their standard deviation."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.low, self.high = (b.view(1, -1, 1, 1) for b in torch.aminmax(models.vqgan.codebook, dim=0))
        self.code_std = float(models.vqgan.codebook.std())

    @torch.no_grad()
    def cold(self, plan: VideoPlan, images: Mapping[str, bytes], seed: int, *, coarse: bool = False) -> Start:
        """The start of a first frame, by the row's `init`; at half the size if it is to be `coarse`. `seed` covers it
        (the peers draw it before seeding)."""
        row, vqgan, device = plan.row, self._models.vqgan, self._models.device
        chance = generator(seed, 0, 0, "init")
        unit = self._models.entry.downsampling
        shape = tuple(-(-side // unit // 2) if coarse else side // unit for side in (row.height, row.width))
        height, width = (side * unit for side in shape)
        if row.init == "tokens":
            return Start(vqgan.look_up(torch.randint(len(vqgan.codebook), (1, *shape), generator=chance).to(device)))
        if row.init == "noise":
            picture = torch.rand(1, 3, height, width, generator=chance)
        elif row.init == "blank":
            # near-white with a faint low-frequency stain: an even sheet has no gradient to start from.
            stain = torch.randn(1, 3, 8, 8, generator=chance)
            stain = F.interpolate(stain, size=(height, width), mode="bilinear", align_corners=False)
            picture = (0.9 + 0.1 * stain).clamp(0, 1)
        else:
            assert row.init_image is not None  # the schema sees to it
            picture = read_picture(images, row.init_image, width, height)
        return Start(vqgan.encode(picture.to(device)).contiguous())

    @torch.no_grad()
    def enlarged(self, plan: VideoPlan, latent: Tensor) -> Start:
        """The start at full size from the `latent` of a coarse one: its picture, enlarged."""
        vqgan = self._models.vqgan
        picture = decode_tokens(vqgan, vqgan.tokenise(latent))
        picture = F.interpolate(picture, size=(plan.row.height, plan.row.width), mode="bicubic").clamp(0, 1)
        return Start(vqgan.encode(picture).contiguous())

    @torch.no_grad()
    def warm(
        self, plan: VideoPlan, frame: FramePlan, start_state: FrameState, target_state: FrameState | None = None
    ) -> Start:
        """The start of a frame from `start_state`, moved as the camera moves, all in float. One that is drawn to the
        keyframe of state `target_state` is held to a cross-fade of what it starts from into that keyframe, moved back
        to its time.

        What moves is the picture that was shown, that of the tokens. The latent's own, which no loss has ever looked
        at, differs from it by more than a frame does from the next, and darkens from frame to frame where each starts
        from it. The peers go through an 8-bit picture and a new optimiser here.
        """
        vqgan, device = self._models.vqgan, self._models.device
        first, second = start_state.moments.expand(device)
        if frame.motion.still and target_state is None:
            return Start(start_state.expand(self.low, self.high), (first, second, start_state.moments.steps))
        shown, goal = decode_tokens(vqgan, start_state.tokens.to(device)), None
        warp = warp_of(frame.motion, shown)
        picture = warp.move(shown).clamp(0, 1)
        if target_state is not None:
            assert frame.target_motion is not None
            ahead = decode_tokens(vqgan, target_state.tokens.to(device))
            back = warp_of(frame.target_motion, ahead)
            weight = frame.share * back.coverage(*picture.shape[-2:])
            picture = goal = picture + weight * (back.move(ahead).clamp(0, 1) - picture)
        moved = warp.move(first, mode="bilinear")
        warm = plan.row.warm
        if warm.start == "codes" and goal is None:
            codes = warp.move(vqgan.look_up(start_state.tokens.to(device)), mode="bilinear")
            latent = codes.clamp(self.low, self.high).contiguous()
        else:
            latent = vqgan.encode(picture).contiguous()
        if warm.fit:
            # what comes into view may become anything; a goal is all there
            weight = warp.coverage(*picture.shape[-2:]) if goal is None else torch.ones_like(picture[:, :1])
            latent = fitted(vqgan, latent, picture, weight, steps=warm.fit, rate=warm.fit_rate)
        return Start(latent, (moved, second, start_state.moments.steps), goal)
