"""One frame on its way: all of it that changes from step to step, but for the networks, which others share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.errors import NonFiniteLoss, Stopped
from renderers.frames.memory import send
from renderers.frames.starts import Start, Starts
from renderers.frames.state import FrameState, Moments
from renderers.models import Models, decode_tokens
from renderers.plan.frame_plan import FramePlan
from renderers.plan.handoff import HOLD, LEAP, PULL
from renderers.plan.video_plan import VideoPlan
from renderers.randomness import address, generator
from renderers.step.cutouts import cut, draw_cutouts
from renderers.step.guidance import Target
from renderers.step.losses import total_variation
from renderers.step.optimiser import LatentAdam

__all__ = ["FrameInProgress", "FrameRequest", "StepProgress"]

# Times that a finished keyframe goes through the encoder once more. Frames that are drawn to it come out of there, with
# few steps after it; a keyframe that has been there itself is one that they can reach.
SETTLED = 2


@dataclass(frozen=True)
class StepProgress:
    """One step done: `step` of `steps` (from 1), its `loss`, and `seconds` since the frame began."""

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class FrameRequest:
    """A frame to render: `frame` of `plan`, from `start_state` (None for the first frame), drawn to the keyframe whose
    state is `target_state` if it has a pull.

    `images` holds the bytes of every picture that the row names, by URI. `should_stop` is asked between steps.
    `cutouts_at_once` go through a perceptor together (None: all of a step): fewer need less memory and more time, and
    sums that round otherwise. `reseeded` draws all chance from another seed, itself decided by the row's.
    """

    plan: VideoPlan
    frame: FramePlan
    start_state: FrameState | None
    images: Mapping[str, bytes]
    target_state: FrameState | None = None
    cutouts_at_once: int | None = None
    reseeded: bool = False
    on_step: Callable[[StepProgress], None] | None = None
    should_stop: Callable[[], bool] | None = None

    def __str__(self) -> str:
        row, at_once = self.plan.row, self.cutouts_at_once or self.plan.row.cutouts.number
        return f"frame {self.frame.index} of video '{self.plan.video_id}' ({row.width}x{row.height}, {at_once} cutouts)"


class FrameInProgress:
    """A frame between two steps. For each step, whoever drives it decodes `latent_to_decode`, and gives
    `apply_gradient` the loss of that picture with its gradient; when it is `done`, `state` is the frame's."""

    def __init__(
        self, request: FrameRequest, models: Models, starts: Starts, targets: Sequence[tuple[Target, ...]]
    ) -> None:
        """Start it.

        Raises:
            BadInput: a picture that the row names can't be read.
            ValueError: a state that it starts from is missing, or one too many is given.
        """
        plan, frame = request.plan, request.frame
        for given, wanted, what in (
            (request.start_state, frame.start_digest, "parent state"),
            (request.target_state, frame.target_frame, "state to be drawn to"),
        ):
            if (given is None) != (wanted is None):
                raise ValueError(f"frame {frame.index} {'needs' if given is None else 'takes no'} {what}")
        self.began = time.perf_counter()
        self.request, self.plan, self.frame, self.targets = request, plan, frame, targets
        self.seed = plan.row.seed if frame.seed is None else frame.seed
        if request.reseeded:
            self.seed = address(self.seed, frame.index, 0, "another seed")
        self.seconds = 0.0
        """spent on this frame, its share of steps taken together with others"""
        self.state: FrameState | None = None
        self.history: tuple[float, ...] = ()
        self._models, self._starts = models, starts
        self._losses: list[Tensor] = []
        self._cold, self._coarse_steps = request.start_state is None, 0
        if request.start_state is None:
            if plan.row.init != "image":  # a picture that was given keeps its details
                self._coarse_steps = min(round(plan.row.optimiser.coarse * frame.steps), frame.steps - 1)
            start = starts.cold(plan, request.images, self.seed, coarse=self._coarse_steps > 0)
        else:
            start = starts.warm(plan, frame, request.start_state, request.target_state)
        self._begin(start)

    @property
    def done(self) -> bool:
        """Whether all its steps are taken."""
        return self.step == self.frame.steps

    @property
    def step(self) -> int:
        """The number of the step to come, from 0."""
        return len(self._losses)

    def latent_to_decode(self) -> Tensor:
        """What is to be decoded for this step, `(1, c, h, w)`, as a function of `latent`.

        Raises:
            Stopped: its `should_stop` said so.
        """
        request, frame, settings = self.request, self.frame, self.plan.row.optimiser
        if request.should_stop is not None and request.should_stop():
            raise Stopped(f"stopped in frame {frame.index} of video '{self.plan.video_id}' before step {self.step + 1}")
        if not (self._cold and settings.latent_noise):
            return self.latent
        noise = torch.randn(self.latent.shape, generator=generator(self.seed, frame.index, self.step, "latent"))
        amount = settings.latent_noise * self._starts.code_std * self._left
        return self.latent + send(noise, self._models.device) * amount

    def cutouts(self, which: int, side: int, picture: Tensor) -> Tensor:
        """What perceptor number `which` sees of `picture` `(1, 3, H, W)` at this step: `(n, 3, side, side)`."""
        at, (height, width) = (self.seed, self.frame.index, self.step), picture.shape[-2:]
        draw = draw_cutouts(self.plan.row.cutouts, width, height, generator(*at, f"cutouts {which}"))
        grain = generator(*at, f"grain {which}", self._models.device)
        return cut(picture, draw.to(self._models.device), side, grain)

    def add_regularisers(self, total: Tensor, picture: Tensor) -> Tensor:
        """`total` with what does not depend on the prompts: regularisers, and the distance to what it is held to."""
        loss = self.plan.row.loss
        if loss.tv:
            total = total + loss.tv * total_variation(picture)
        if loss.z_decay:
            # nerdyrodent's -iw: the pull of z to 0 fades with the steps.
            total = total + loss.z_decay / (2 * (2 * self.step + 1)) * (self.latent**2).mean()
        if self._goal is not None:
            total = total + PULL * self.frame.share * F.mse_loss(picture, self._goal)
        return total

    def apply_gradient(self, loss: Tensor, gradient: Tensor) -> None:
        """Take the step down `gradient`, that of `loss` with respect to `latent`.

        Raises:
            NonFiniteLoss: the loss left the realm of numbers.
        """
        settings, request = self.plan.row.optimiser, self.request
        # a search that has a long way to go cools down, with smaller steps and less noise; warm frames follow at the
        # final rate, and a leap is the more of a search the longer it is
        first = 1.0 if self._cold else settings.lr_final + (LEAP - settings.lr_final) * self.frame.leap
        rate = settings.lr_final + (first - settings.lr_final) * self._left
        # the nearer the keyframe, the less a frame may leave the cross-fade that it starts from
        self._adam.step(gradient, settings.lr * rate * (1 - self.frame.share**HOLD))
        with torch.no_grad():
            self.latent.clamp_(self._starts.low, self._starts.high)
        self._losses.append(loss.detach())
        done, steps = self.step, self.frame.steps
        # on a GPU a loss is waited for now and then only
        if request.on_step and (self._models.device.type == "cpu" or done % 10 == 0 or done == steps):
            seconds = time.perf_counter() - self.began
            request.on_step(StepProgress(done, steps, float(self._losses[-1]), seconds))
        if self.done:
            self._end()
        elif self.step == self._coarse_steps:
            self._begin(self._starts.enlarged(self.plan, self.latent))

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> float:
        """The share of the steps that is to come."""
        return 1 - self.step / self.frame.steps

    def _begin(self, start: Start) -> None:
        settings = self.plan.row.optimiser
        self._goal = start.goal
        self.latent = start.latent.requires_grad_(True)
        self._adam = LatentAdam(self.latent, beta1=settings.beta1, beta2=settings.beta2, even=settings.even)
        if start.memory is not None:
            self._adam.resume(*start.memory)

    @torch.no_grad()
    def _end(self) -> None:
        self.history = tuple(torch.stack(self._losses).tolist())
        self._check_finite()
        vqgan, latent = self._models.vqgan, self.latent.detach()
        if self.frame.ahead:
            for _ in range(SETTLED):
                again = vqgan.encode(decode_tokens(vqgan, vqgan.tokenise(latent)))
                latent = again.clamp(self._starts.low, self._starts.high).contiguous()
        kept = Moments.of(self._adam.first, self._adam.second, self._adam.steps)
        self.state = FrameState.of(vqgan.tokenise(latent), latent, self._starts.low, self._starts.high, kept)

    def _check_finite(self) -> None:
        if all(map(math.isfinite, self.history)) and bool(self.latent.isfinite().all()):
            return
        # a finite loss can still have a gradient that is not: the last step's would show in no loss.
        bad = next((i for i, value in enumerate(self.history) if not math.isfinite(value)), None)
        what = (
            "latent became not finite at the last step"
            if bad is None
            else f"loss became {self.history[bad]} at step {bad + 1}"
        )
        raise NonFiniteLoss(
            f"frame {self.frame.index} of video '{self.plan.video_id}': the {what}: "
            f"try a smaller optimiser.lr (now {self.plan.row.optimiser.lr:g}) or another seed (now {self.seed})"
        )
