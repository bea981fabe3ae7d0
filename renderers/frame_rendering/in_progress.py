"""A frame being rendered: all of it that changes from step to step; the networks are shared with other frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.errors import NonFiniteLoss, Stopped
from renderers.form import Form
from renderers.frame_plan.cutouts_in_time import share_at
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.handoff import HOLD, LEAP
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.film_starts import FilmStarts
from renderers.frame_rendering.holding import FrameGoals
from renderers.frame_rendering.memory import send
from renderers.frame_rendering.starts import Start, Starts
from renderers.frame_rendering.state import FrameState, Moments
from renderers.frame_rendering.warp import Warp
from renderers.models import Models, decode_tokens
from renderers.randomness import address, generator
from renderers.step.cutout_methods import make_cutouts
from renderers.step.cutouts import NO_SHARES, CutoutDraw, Shares, draw_cutouts
from renderers.step.ensemble import asked_at, crops_of_share
from renderers.step.guidance import Target, Targets
from renderers.step.optimiser import LatentAdam
from renderers.step.regions import FrameRegions
from renderers.step.terms import STAIRS, TERMS, Embeddings, FrameTerms, Latent, Picture, Term

__all__ = ["Choice", "FrameInProgress", "FrameRequest", "StepProgress"]

# Times that a finished keyframe is encoded again. Frames that are drawn to it start from what the encoder gives, and
# take few steps from there: a keyframe that has been through the encoder itself is one that they can reach.
ENCODED_AGAIN = 2


@dataclass(frozen=True)
class StepProgress:
    """One step done: `step` of `steps` (from 1), its `loss`, and `seconds` since the frame began."""

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class FrameRequest:
    """A frame to render: `frame` of `plan`, from `start_state` (None for the first frame), drawn to the keyframe of
    state `target_state` where the plan says so.

    `source` holds what the frame is drawn over, where the plan says so. `images` holds the bytes of every picture that
    the row names, by URI. `should_stop` is asked between steps.
    `cutouts_at_once` go through a perceptor together (None: all of a step): fewer need less memory and more time, and
    sums that round otherwise. `reseeded` takes all random numbers from another seed, which the row's decides.
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
    source: SourcePictures | None = None

    def __str__(self) -> str:
        row, at_once = self.plan.row, self.cutouts_at_once or self.plan.row.cutouts.number
        return f"frame {self.frame.index} of video '{self.plan.video_id}' ({row.width}x{row.height}, {at_once} cutouts)"


@dataclass(frozen=True)
class Choice:
    """What came of an exam: the `scores` of all candidates, distances, the least of which is the best (None: it failed
    before), and the number of the one that was `chosen`."""

    scores: tuple[float | None, ...]
    chosen: int

    def to_dict(self) -> dict[str, object]:
        """Describe it for JSON."""
        return {"scores": [None if it is None else round(it, 5) for it in self.scores], "chosen": self.chosen}


class FrameInProgress:
    """A frame between two steps. For each step the caller decodes `latent_to_decode`, and gives `apply_gradient` the
    loss of that picture with its gradient; when the frame is `done`, `state` holds what it hands on."""

    def __init__(
        self,
        request: FrameRequest,
        models: Models,
        starts: Starts,
        targets: Sequence[Targets],
        terms: Sequence[type[Term[Any]]] = TERMS,
        candidate: int = 0,
    ) -> None:
        """Start it. `targets` are those of each perceptor, `terms` what the frame's loss can be made of; `candidate` is
        the number of a start that is one of several, of which only the first tells how far it is.

        Raises:
            BadInput: a picture that the row names can't be read.
            ValueError: a state that it starts from is missing, or one too many is given.
        """
        plan, frame = request.plan, request.frame
        for given, wanted, what in (
            (request.start_state, frame.start_digest, "state to start from"),
            (request.target_state, frame.target_frame, "state to be drawn to"),
            (request.source, frame.source, "pictures of a film"),
        ):
            if (given is None) != (wanted is None):
                raise ValueError(f"frame {frame.index} {'needs' if given is None else 'takes no'} {what}")
        self.began = time.perf_counter()
        self.request, self.plan, self.frame = request, plan, frame
        self.targets, self.terms = targets, FrameTerms(terms, plan.row.loss, frame)
        self.form = Form.of(plan.row)
        self.seed = plan.row.seed if frame.seed is None else frame.seed
        if request.reseeded:
            self.seed = address(self.seed, frame.index, 0, "another seed")
        self.candidate, self.heard, self.chance = candidate, candidate == 0, self.seed
        self.choice: Choice | None = None
        """Why it goes on, of several candidates."""
        self.before: tuple[Tensor, Warp] | None = None
        """The picture `(1, 3, H, W)` that it starts from, and what moves it; None for a cold start."""
        if candidate:
            self.chance = address(self.seed, frame.index, 0, f"candidate {candidate}")
        self.seconds = 0.0
        """Spent on this frame; of a step taken together with others, its share."""
        self.state: FrameState | None = None
        self.losses: tuple[float, ...] = ()
        """Of all steps, once they are taken."""
        self._models, self._starts, self._vqgan = models, starts, models.vqgan_for(plan.row)
        self._step_losses: list[Tensor] = []
        self._cold_start, self._coarse_steps = request.start_state is None, 0
        self.steps = frame.steps
        """That it takes: the plan's, but for a frame after a cut of its film, which starts anew."""
        self.covered: float | None = None
        """The share of its film's frame that the one before showed, where that was looked at."""
        if request.source is not None:
            films = FilmStarts(models, starts)
            start = films.of(plan, frame, request.source, request.start_state, request.images, self.chance)
            self._cold_start, self.covered = start.cold, start.covered
            if start.cold and request.start_state is not None:
                self.steps = plan.row.steps_first
        elif request.start_state is None:
            if plan.row.init != "image":  # a picture of the author's keeps its details
                self._coarse_steps = min(round(plan.row.optimiser.coarse * frame.steps), frame.steps - 1)
            start = starts.cold(plan, request.images, self.chance, coarse=self._coarse_steps > 0)
        else:
            start = starts.warm(
                plan, frame, request.start_state, request.target_state, seed=self.chance, images=request.images
            )
        goals = (*start.goals, *starts.init_goals(plan, frame, request.images))
        self._goals = FrameGoals(goals, models, self.steps, self._vqgan)
        self._kept = starts.kept(plan, frame, request.images, start, request.start_state)
        self._set_regions(starts.regions(plan, frame, request.images))
        self._begin(start)
        self.seconds = time.perf_counter() - self.began

    @property
    def done(self) -> bool:
        """Whether all its steps are taken."""
        return self.step == self.steps

    @property
    def asked(self) -> tuple[int, ...]:
        """The numbers of the perceptors that the step to come asks."""
        return asked_at(self._models.perceptors, self.step, alternate=self.plan.row.optimiser.alternate)

    @property
    def step(self) -> int:
        """The number of the step to come, from 0."""
        return len(self._step_losses)

    def latent_to_decode(self) -> Tensor:
        """The latent to decode for this step, `(1, c, h, w)`, as a function of `latent`.

        Raises:
            Stopped: the request's `should_stop` asked for it.
        """
        request, frame, settings = self.request, self.frame, self.plan.row.optimiser
        if request.should_stop is not None and request.should_stop():
            raise Stopped(f"stopped in frame {frame.index} of video '{self.plan.video_id}' before step {self.step + 1}")
        if not (self._cold_start and settings.latent_noise):
            return self.latent
        noise = torch.randn(self.latent.shape, generator=generator(self.chance, frame.index, self.step, "latent"))
        amount = settings.latent_noise * self._starts.code_std * self._remaining
        noisy = self.latent + self.form.mirrored(send(noise, self._models.device)) * amount
        return noisy if self._kept is None else self._kept.put_back(noisy)

    def cutouts(self, which: int, side: int, picture: Tensor) -> Tensor:
        """Cut from `picture` `(1, 3, H, W)` what perceptor number `which` sees at this step: `(n, 3, side, side)`;
        those of the whole first, then those of each region, as many as `counts` says."""
        whole = picture if self.regions is None else self.regions.whole(picture)
        how = self.form.wrap, self._shares
        parts = [make_cutouts(self._cutouts_for(which), whole, side, *self._chances(which), *how)]
        for part, view in enumerate(() if self.regions is None else self.regions.views, start=1):
            chances = self._chances(which, f" region {view.position}")
            parts.append(view.cutouts(self._cutouts_for(which, part), picture, side, *chances, self._shares))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def view(
        self, which: int, part: int, embeddings: Tensor, aligned: Sequence[Tensor], concepts: Tensor | None
    ) -> Embeddings:
        """What perceptor number `which` has made of the cutouts of the whole, `part` 0, or of a region: `embeddings`
        `(n, d)`, and those of what was cut from `aligned` pictures."""
        targets = self._part_targets[which][part].with_aligned(aligned)
        return Embeddings(embeddings, targets, concepts, () if part else self.meanings(which))

    def counts(self, which: int) -> list[int]:
        """How many cutouts of the whole, and then of each region, perceptor number `which` is shown at a step: its
        share of them."""
        cutouts = (self.plan.row.cutouts.number,) if self.regions is None else self.regions.numbers
        return [crops_of_share(number, self._models.perceptors[which]) for number in cutouts]

    @torch.no_grad()
    def aligned_cutouts(self, which: int, side: int, picture: Tensor) -> list[Tensor]:
        """Cut the same `(n, 3, side, side)` from each aligned picture as from `picture` `(1, 3, H, W)` at this step,
        but without noise, which is there for the frame to stand out from."""
        targets, settings = self.targets[which], self._cutouts_for(which)
        if not targets.aligned:
            return []
        if settings.method == "crops":
            return targets.cut_aligned(self._draw(which, picture), side)
        quiet = settings.model_copy(update={"noise": 0.0})
        size = picture.shape[-2:]  # half of the whole at the beginning of a coarse start
        pictures = (F.interpolate(it.picture, size=size, mode="area") for it in targets.aligned)
        how = self.form.wrap, self._shares
        return [make_cutouts(quiet, it, side, *self._chances(which), *how) for it in pictures]

    def meanings(self, which: int) -> tuple[Target, ...]:
        """What it is held to of what perceptor number `which` sees, at this step."""
        return self._goals.meanings(self.step, which)

    def add_regularisers(self, total: Tensor, picture: Tensor) -> Tensor:
        """`total` with those terms of the loss that look at the latent or at `picture` `(1, 3, H, W)` as a whole."""
        goals = self._goals.at(self.step)
        return self.terms.add(total, Latent(self.latent, self.step, goals), Picture(picture, goals, self.form.wrap))

    def apply_gradient(self, loss: Tensor, gradient: Tensor) -> None:
        """Take the step down `gradient`, that of `loss` with respect to `latent`.

        Raises:
            NonFiniteLoss: the loss or the latent became non-finite; found at the last step.
        """
        settings, request = self.plan.row.optimiser, self.request
        # a cold start cools down, with smaller steps and less noise; warm frames keep to the final rate, and a leap is
        # the more like a cold start the longer it is
        first = 1.0 if self._cold_start else settings.lr_final + (LEAP - settings.lr_final) * self.frame.leap
        rate = settings.lr_final + (first - settings.lr_final) * self._remaining
        # the nearer the keyframe, the less a frame may leave the cross-fade that it starts from
        self._adam.step(self.form.evened(gradient), settings.lr * rate * (1 - self.frame.share**HOLD))
        with torch.no_grad():
            self.latent.clamp_(self._starts.low, self._starts.high)
            if self._kept is not None:
                self.latent.copy_(self._kept.put_back(self.latent))
        stairs = self.plan.row.loss.z_decay_every
        if stairs and self.step and self.step % stairs == 0 and self.step <= STAIRS * stairs:
            self._renew_adam()
        self._step_losses.append(loss.detach())
        if not self.done and self._goals.climb(self.step, self.latent):
            self._renew_adam()
        done, steps = self.step, self.steps
        # reading a loss waits for the GPU: only now and then
        if request.on_step and self.heard and (self._models.device.type == "cpu" or done % 10 == 0 or done == steps):
            seconds = time.perf_counter() - self.began
            request.on_step(StepProgress(done, steps, float(self._step_losses[-1]), seconds))
        if self.done:
            self._end()
        elif self.step == self._coarse_steps:
            self._begin(self._starts.enlarged(self.plan, self.latent))

    # -- inside --------------------------------------------------------------------------------------------------

    def _draw(self, which: int, picture: Tensor) -> CutoutDraw:
        """What chance decides for the cutouts of `picture` at this step, the same however often it is asked."""
        height, width = picture.shape[-2:]
        chance, _ = self._chances(which)
        settings, how = self._cutouts_for(which), (self.form.wrap, self._shares)
        return draw_cutouts(settings, width, height, chance, *how).to(self._models.device)

    def _cutouts_for(self, which: int, part: int = 0) -> CutoutSettings:
        """The settings of the cutouts of the whole, or of a region, that a perceptor is shown."""
        settings, number = self.plan.row.cutouts, self.counts(which)[part]
        return settings if number == settings.number else settings.model_copy(update={"number": number})

    @property
    def _shares(self) -> Shares:
        """Those of the cutouts of this step."""
        if not self.frame.cutouts:
            return NO_SHARES
        return Shares(*(share_at(self.frame.cutouts, name, self.step, self.steps) for name in Shares._fields))

    def _chances(self, which: int, part: str = "") -> tuple[torch.Generator, torch.Generator]:
        """What decides the cutouts for a perceptor at this step, of a `part` of the frame, and what their noise."""
        place = self.chance, self.frame.index, self.step
        grain = generator(*place, f"grain {which}{part}", self._models.device)
        return generator(*place, f"cutouts {which}{part}"), grain

    def _set_regions(self, regions: FrameRegions | None) -> None:
        self.regions = regions
        self._part_targets = [[it] if regions is None else regions.targets(it) for it in self.targets]

    @property
    def _remaining(self) -> float:
        """The share of the steps that are still to be taken."""
        return 1 - self.step / self.steps

    def _begin(self, start: Start) -> None:
        self._reference, self.before = start.reference, start.before
        latent = start.latent if self._kept is None else self._kept.put_back(start.latent)
        self.latent = self.form.mirrored(latent).requires_grad_(True)
        self._renew_adam()
        if start.memory is not None:
            first, second, steps = start.memory
            self._adam.resume(self.form.mirrored(first), self.form.mirrored(second), steps)

    def _renew_adam(self) -> None:
        settings, free = self.plan.row.optimiser, None if self._kept is None else self._kept.free
        self._adam = LatentAdam(self.latent, beta1=settings.beta1, beta2=settings.beta2, even=settings.even, free=free)

    @torch.no_grad()
    def _end(self) -> None:
        self.losses = tuple(torch.stack(self._step_losses).tolist())
        self._check_finite()
        vqgan, latent = self._vqgan, self.latent.detach()
        if self.frame.ahead:
            for _ in range(ENCODED_AGAIN):
                encoded = vqgan.encode(decode_tokens(vqgan, vqgan.tokenise(latent)))
                latent = self.form.mirrored(encoded.clamp(self._starts.low, self._starts.high)).contiguous()
                if self._kept is not None:
                    latent = self._kept.put_back(latent)
        moments = Moments.of(self._adam.first, self._adam.second, self._adam.steps)
        low, high = self._starts.low, self._starts.high
        tokens = self.form.mirrored(vqgan.tokenise(latent))
        if self._kept is not None:
            tokens = self._kept.put_back_tokens(tokens)
        self.state = FrameState.of(tokens, latent, low, high, moments, self._reference)

    def _check_finite(self) -> None:
        if all(map(math.isfinite, self.losses)) and bool(self.latent.isfinite().all()):
            return
        # a finite loss can have a non-finite gradient: the last step's would show in no loss.
        bad = next((i for i, value in enumerate(self.losses) if not math.isfinite(value)), None)
        what = (
            "latent became non-finite at the last step"
            if bad is None
            else f"loss became non-finite ({self.losses[bad]}) at step {bad + 1}"
        )
        raise NonFiniteLoss(
            f"frame {self.frame.index} of video '{self.plan.video_id}': the {what}: "
            f"try a smaller optimiser.lr (now {self.plan.row.optimiser.lr:g}) or another seed (now {self.seed})"
        )
