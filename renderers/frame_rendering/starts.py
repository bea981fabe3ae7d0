"""Where a frame starts: cold, as the row's `init` says, or warm, from the state of another frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.errors import ModelFilesBroken
from renderers.form import Form, seamless
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.handoff import PULL
from renderers.frame_plan.motion import Motion
from renderers.frame_plan.parallax import asked_depth
from renderers.frame_plan.renewal import Renewal
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.fitting import fitted
from renderers.frame_rendering.holding import own_goals
from renderers.frame_rendering.keeping import Kept, Masks
from renderers.frame_rendering.pictures import FittedPictures, read_picture
from renderers.frame_rendering.renewing import grain, reference_of, renewed
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import Warp, warp_of
from renderers.models import Models, decode_tokens
from renderers.randomness import generator
from renderers.step.goals import Goal
from renderers.step.regions import FrameRegions

__all__ = ["Start", "Starts"]

# The standard deviation of a start of coloured spots, about mid grey: few pixels lie beyond black or white.
SPOTS = 0.2
# What the optimiser remembers of ground that is new: nothing. Elsewhere it goes with the picture.
MEMORY_BORDERS = {"paint": "black"}


@dataclass(frozen=True)
class Start:
    """The `latent` `(1, c, h, w)` that a frame starts from; Adam's `memory` (mean gradient, mean squared gradient,
    steps), None for none; the `goals` that it is held to; the colours that it hands on as those that others are held to
    (see FrameState); and the picture `(1, 3, H, W)` of the frame `before` with what moves it, None for a cold one.
    What a mask keeps are the tokens of `own` `(1, c, h, w)` where that is given, of the latent otherwise. A `cold` one
    is no other frame's, and takes all the steps of a first frame; `covered` is the share of a film's frame that the one
    before it showed, where that was looked at."""

    latent: Tensor
    memory: tuple[Tensor, Tensor, int] | None = None
    goals: tuple[Goal, ...] = ()
    reference: Tensor | None = None
    before: tuple[Tensor, Warp] | None = None
    own: Tensor | None = None
    cold: bool = False
    covered: float | None = None


class Starts:
    """The starts of frames that one model draws. `low` and `high` `(1, c, 1, 1)` bound the codes of its codebook, and
    `code_std` is their standard deviation."""

    def __init__(self, models: Models, fitted: FittedPictures) -> None:
        """`fitted` holds pictures of rows that were read before, in the size of frames."""
        self._models, self._fitted, self._masks = models, fitted, Masks(models.device)
        self.low, self.high = (b.view(1, -1, 1, 1) for b in torch.aminmax(models.vqgan.codebook, dim=0))
        self.code_std = float(models.vqgan.codebook.std())
        self._references: dict[tuple[str, int, int], Tensor] = {}  # pictures of rows, by digest and size

    @torch.no_grad()
    def cold(self, plan: VideoPlan, images: Mapping[str, bytes], seed: int, *, coarse: bool = False) -> Start:
        """The start of a first frame, by the row's `init`; at half the size if it is to be `coarse`. `seed` covers it
        (the peers draw it before seeding)."""
        row, vqgan, device = plan.row, self._models.vqgan_for(plan.row), self._models.device
        chance, wrap = generator(seed, 0, 0, "init"), Form.of(row).wrap
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
            picture = (0.9 + 0.1 * seamless(stain, wrap)).clamp(0, 1)
        elif row.init == "fractal":
            spots = torch.cat([grain("fractal", height, width, chance) for _ in range(3)], dim=1)
            picture = (0.5 + SPOTS * seamless(spots, wrap)).clamp(0, 1)
        elif row.init == "gradient":
            corners = torch.rand(1, 3, 2, 2, generator=chance)
            picture = F.interpolate(corners, size=(height, width), mode="bilinear", align_corners=True)
            picture = seamless(picture, wrap).clamp(0, 1)
        else:
            assert row.init_image is not None  # the schema sees to it
            picture = read_picture(images, row.init_image, width, height)
        return Start(vqgan.encode(picture.to(device)).contiguous())

    @torch.no_grad()
    def init_goals(self, plan: VideoPlan, frame: FramePlan, images: Mapping[str, bytes]) -> tuple[Goal, ...]:
        """What a frame is held to of the row's init_image; nothing, unless it is.

        Raises:
            BadInput: the picture can't be read.
        """
        row, weight = plan.row, dict(frame.holds).get("init")
        if not weight:
            return ()
        assert row.init_image is not None  # the schema sees to it
        sha256 = plan.images[row.init_image]
        picture = self._fitted.read(images, row.init_image, sha256, row.width, row.height)
        kind, vqgan = row.hold.init_as, self._models.vqgan_for(row)
        latent = vqgan.encode(picture).contiguous() if kind == "latent" else None
        return (Goal(kind, picture, weight, latent=latent, fade=row.hold.init_fade),)

    @torch.no_grad()
    def kept(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        images: Mapping[str, bytes],
        start: Start,
        start_state: FrameState | None,
    ) -> Kept | None:
        """What of `start`, that of a frame, the row's mask keeps; None for a row without one. Of a film it is the
        film's own; otherwise, where nothing moves, the very tokens of `start_state`.

        Raises:
            BadInput: the mask can't be read.
        """
        height, width = start.latent.shape[-2:]
        free = self._masks.free(plan, frame.index, images, (height, width))
        if free is None:
            return None
        vqgan = self._models.vqgan_for(plan.row)
        if start.own is not None:
            tokens = vqgan.tokenise(start.own)
        elif start_state is not None and frame.motion.still and not frame.target_digest:
            tokens = start_state.tokens.to(start.latent.device).long()
        else:
            tokens = vqgan.tokenise(start.latent)
        return Kept.of(vqgan, free, tokens)

    @torch.no_grad()
    def regions(self, plan: VideoPlan, frame: FramePlan, images: Mapping[str, bytes]) -> FrameRegions | None:
        """The regions of a frame; see `Masks.regions`."""
        return self._masks.regions(plan, frame, images)

    @torch.no_grad()
    def enlarged(self, plan: VideoPlan, latent: Tensor) -> Start:
        """The start at full size from the `latent` of a coarse one: its picture, enlarged."""
        vqgan = self._models.vqgan_for(plan.row)
        picture = decode_tokens(vqgan, vqgan.tokenise(latent))
        picture = F.interpolate(picture, size=(plan.row.height, plan.row.width), mode="bicubic").clamp(0, 1)
        return Start(vqgan.encode(picture).contiguous())

    @torch.no_grad()
    def warm(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        start_state: FrameState,
        target_state: FrameState | None = None,
        *,
        seed: int | None = None,
        images: Mapping[str, bytes] | None = None,
    ) -> Start:
        """The start of a frame from `start_state`, moved as the camera moves, all in float. One that is drawn to the
        keyframe of state `target_state` is held to a cross-fade of what it starts from into that keyframe, moved back
        to its time. One that is held to its own start is held to that cross-fade, too, or to what was moved. `seed` is
        of what the border paints and of the noise that renews, the row's if it is None.

        What it starts from is renewed, what it is held to is not.

        What moves is the picture that was shown, that of the tokens. The latent's own, which no loss has ever looked
        at, differs from it by more than a frame does from the next, and darkens from frame to frame where each starts
        from it. The peers go through an 8-bit picture and a new optimiser here.
        """
        vqgan, device, border = self._models.vqgan_for(plan.row), self._models.device, plan.row.border
        renewal, seed = frame.renewal or Renewal(), plan.row.seed if seed is None else seed
        holds = tuple(it for it in frame.holds if it[0] != "init")
        first, second = start_state.moments.expand(device)
        still = frame.motion.still and target_state is None and not renewal.acts
        shown, goal, weight = decode_tokens(vqgan, start_state.tokens.to(device)), None, None
        reference = self.reference(plan, renewal, start_state, shown, images or {})
        handed_on = reference if renewal.carries else None
        warp = warp_of(frame.motion, shown, None if still else self._depth(frame.motion, shown))
        if still:
            memory, latent = (first, second, start_state.moments.steps), start_state.expand(self.low, self.high)
            return Start(latent, memory, own_goals(holds, shown, None, latent), handed_on, (shown, warp))
        picture = moved = warp.move(shown, border=border).clamp(0, 1)
        if renewal.acts:
            seen = 1 - warp.outside(*moved.shape[-2:]) if border == "black" else None
            picture = renewed(moved, renewal, reference, generator(seed, frame.index, 0, "renew"), seen, shown)
        if target_state is not None:
            assert frame.target_motion is not None
            ahead = decode_tokens(vqgan, target_state.tokens.to(device))
            back = warp_of(frame.target_motion, ahead)
            weight = frame.share * back.coverage(*picture.shape[-2:])
            ahead = back.move(ahead, border=border).clamp(0, 1)
            goal, picture = (it + weight * (ahead - it) for it in (moved, picture))
        codes_will_do = goal is None and not renewal.acts
        latent = self._latent(plan, start_state, warp, picture, moves_codes=codes_will_do, all_there=goal is not None)
        goals: tuple[Goal, ...] = () if goal is None else (Goal("picture", goal, PULL * frame.share),)
        if holds:
            coverage = warp.coverage(*picture.shape[-2:])
            covered = coverage if weight is None else torch.maximum(coverage, weight)
            goals += own_goals(holds, moved if goal is None else goal, covered, latent)
        if border == "paint":
            chance = generator(seed, frame.index, 0, "paint")
            latent = self._painted(latent, _new_ground(warp, picture, weight), chance)
        first = warp.move(first, mode="bilinear", border=MEMORY_BORDERS.get(border, border))
        return Start(latent, (first, second, start_state.moments.steps), goals, handed_on, (shown, warp))

    def _depth(self, motion: Motion, shown: Tensor) -> Tensor | None:
        """How far away is what a picture shows, if `motion` asks for it.

        Raises:
            ModelFilesBroken: the frame was planned with another depth model than there is.
        """
        wanted = asked_depth(motion)
        if not wanted:
            return None
        depth, name = self._models.depth, self._models.entry.name
        if depth is None or depth.entry.digest != wanted:
            raise ModelFilesBroken(
                f"model '{name}' has another depth model here than the frame was planned with ({wanted[:16]})"
            )
        return depth.depths(shown)

    def reference(
        self,
        plan: VideoPlan,
        renewal: Renewal,
        start_state: FrameState,
        shown: Tensor,
        images: Mapping[str, bytes],
    ) -> Tensor | None:
        """The colours and the detail that a frame is held to; None if it is held to none and carries none further."""
        if not renewal.refers:
            return None
        if not renewal.picture:
            carried, detailed = start_state.reference, renewal.detailed
            return reference_of(shown, detailed=detailed).cpu() if carried is None else carried
        height, width = shown.shape[-2:]
        key = plan.images[renewal.picture], width, height
        if key not in self._references:
            picture = read_picture(images, renewal.picture, width, height)
            self._references[key] = reference_of(picture, detailed=True)
        return self._references[key]

    def _latent(
        self,
        plan: VideoPlan,
        start_state: FrameState,
        warp: Warp,
        picture: Tensor,
        *,
        moves_codes: bool,
        all_there: bool,
    ) -> Tensor:
        """The latent of `picture`, which shows what `start_state` does, moved by `warp`: encoded, or, if it
        `moves_codes` and the row wants that, the moved codes; and fitted to it, if the row wants that, where it shows
        something that was there before, or everywhere if it is `all_there`."""
        vqgan, warm, border = self._models.vqgan_for(plan.row), plan.row.warm, plan.row.border
        if warm.start == "codes" and moves_codes:
            codes = vqgan.look_up(start_state.tokens.to(picture.device))
            latent = warp.move(codes, mode="bilinear", border="reflect" if border == "black" else border)
            latent = latent.clamp(self.low, self.high).contiguous()
            if border == "black":  # there is no code for it: what is black is encoded
                height, width = latent.shape[-2:]
                black = F.adaptive_avg_pool2d(warp.outside(*picture.shape[-2:]).to(picture), (height, width))
                latent = torch.lerp(latent, vqgan.encode(picture), black).contiguous()
        else:
            latent = vqgan.encode(picture).contiguous()
        if not warm.fit:
            return latent
        # what comes into view may become anything
        weight = torch.ones_like(picture[:, :1]) if all_there else warp.coverage(*picture.shape[-2:])
        return fitted(vqgan, latent, picture, weight, steps=warm.fit, rate=warm.fit_rate)

    def _painted(self, latent: Tensor, new: Tensor, chance: torch.Generator) -> Tensor:
        """`latent` `(1, c, h, w)` with noise where there is `new` ground, of as much as `(1, 1, H, W)` says.

        Of the codes' own deviation on tokens that are all new. Of those that are new in part it is as much less as adds
        up to that by the time that all of them is.
        """
        height, width = latent.shape[-2:]
        amount = F.adaptive_avg_pool2d(new, (height, width)).sqrt() * self.code_std
        if not amount.any():
            return latent
        noise = torch.randn(latent.shape, generator=chance).to(latent.device)
        return (latent + amount * noise).clamp(self.low, self.high)


def _new_ground(warp: Warp, picture: Tensor, held: Tensor | None) -> Tensor:
    """How much of each pixel of the moved `picture` is nothing that was there before, `(1, 1, H, W)`; what is `held` to
    a keyframe is there, to that share."""
    new = warp.outside(*picture.shape[-2:]).to(picture)
    return new if held is None else new * (1 - held.to(picture))
