"""The frame loop: from where a frame starts to its finished picture, step by step; several frames at a time if asked.

The step is nerdyrodent/VQGAN-CLIP's (after Crowson, 2021): snap the latent to the codebook with a straight-through
gradient, decode, clamp, cut, embed, spherical distance to every prompt, Adam on the latent, clamp the latent to the
codebook's range. What departs from it says so where it does.

Frames of like shape go through the networks together; everything else of a frame is its own (FrameInProgress). Their
losses add up, and since none depends on another's latent, each latent has the gradient that it would have alone, but
for the last bits where a network rounds otherwise for another number of pictures.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import torch
from torch import Tensor

from renderers.errors import OutOfMemory
from renderers.frames.batch_curve import BatchCurve, DeviceMemory
from renderers.frames.frame_object import FrameObject
from renderers.frames.in_progress import FrameInProgress, FrameRequest, StepProgress
from renderers.frames.memory import memory_errors, microbatched
from renderers.frames.starts import Starts
from renderers.frames.state import FrameState
from renderers.models import Models, decode_tokens
from renderers.plan.frame_plan import FramePlan
from renderers.plan.video_plan import ALGORITHM, VideoPlan, json_safe
from renderers.step.guidance import Guide
from renderers.step.losses import ClampWithGradient

__all__ = ["FrameRenderer", "FrameRequest", "RenderedFrame", "StepProgress"]


@dataclass(frozen=True)
class RenderedFrame:
    """A finished frame, the `losses` of its steps, and the `seconds` it took; of steps that several frames took
    together, its share."""

    frame: FrameObject
    losses: tuple[float, ...]
    seconds: float


class FrameRenderer:
    """Renders frames with models that stay loaded. Not thread-safe: one renderer, one thread."""

    def __init__(self, models: Models, together: int | Literal["all", "auto"] = "all") -> None:
        """Up to `together` frames go through the networks together: all that are asked for, or as many as were found to
        pay (renderers/frames/batch_curve.py)."""
        self.models = models
        self.starts = Starts(models)
        self._together = together
        self._guides = [Guide(perceptor, models.entry.concepts, models.device) for perceptor in models.perceptors]
        self._most: dict[torch.Size, int] = {}  # frames of a shape that memory was found to hold
        self._curves: defaultdict[Hashable, BatchCurve] = defaultdict(BatchCurve)
        self._memories: defaultdict[Hashable, DeviceMemory] = defaultdict(lambda: DeviceMemory(models.device))

    def render(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        start_state: FrameState | None,
        images: Mapping[str, bytes],
        *,
        target_state: FrameState | None = None,
        cutouts_at_once: int | None = None,
        reseeded: bool = False,
        on_step: Callable[[StepProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> RenderedFrame:
        """Render one frame; see `FrameRequest` for the arguments.

        Raises:
            BadInput: a picture that the row names can't be read.
            NonFiniteLoss: the loss left the realm of numbers.
            OutOfMemory: the frame does not fit into the device's memory.
            Stopped: `should_stop` said so.
        """
        request = FrameRequest(
            plan, frame, start_state, images, target_state, cutouts_at_once, reseeded, on_step, should_stop
        )
        (rendered,) = self.render_together([request])
        if isinstance(rendered, Exception):
            raise rendered
        return rendered

    def render_together(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render frames, those of like shape step by step in one pass through the networks; gives for each, in order,
        the frame or what `render` would raise. The failure of one is not the others'. When memory does not hold them
        all, fewer go together, now and later."""
        # torch keeps this number per thread: one that used torch before the models were loaded has another one, and
        # sums split over another number of threads round differently
        torch.set_num_threads(self.models.threads)
        results: list[RenderedFrame | Exception] = []
        while left := requests[len(results) :]:
            results += self._measured(left) if self._together == "auto" else self._pass(left[: self._limit])
        return results

    @property
    def _limit(self) -> int | None:
        return self._together if isinstance(self._together, int) else None

    def _measured(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """A pass of as many of the first `requests` as pay, which are of one kind."""
        kind = _kind(requests[0])
        alike = list(itertools.takewhile(lambda request: _kind(request) == kind, requests))
        curve, memory = self._curves[kind], self._memories[kind]
        some = alike[: curve.size(len(alike), memory.holds)]
        memory.before()
        began = time.perf_counter()
        results = self._pass(some)  # its pictures are in the CPU's memory at the end, so that nothing is under way
        if not any(isinstance(result, Exception) for result in results):
            curve.took(len(some), (time.perf_counter() - began) / sum(request.frame.steps for request in some))
            memory.after(len(some))
        return results

    def _pass(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render frames together."""
        results: dict[int, RenderedFrame | Exception] = {}
        begun: dict[int, FrameInProgress] = {}
        for number, request in enumerate(requests):
            try:
                with memory_errors(str(request), self.models.device):
                    targets = [guide.targets(request.plan.row, request.frame.prompts, request.images)
                               for guide in self._guides]  # fmt: skip
                    begun[number] = FrameInProgress(request, self.models, self.starts, targets)
            except Exception as error:
                results[number] = error
        while begun:
            for numbers in self._groups(begun):
                results.update(self._advance({number: begun[number] for number in numbers}))
            begun = {number: frame for number, frame in begun.items() if number not in results}
        return [results[number] for number in range(len(requests))]

    def _groups(self, frames: Mapping[int, FrameInProgress]) -> list[list[int]]:
        """The numbers of `frames`, those that go through the networks together side by side."""
        by_shape: dict[torch.Size, list[int]] = {}
        for number, frame in frames.items():
            by_shape.setdefault(frame.latent.shape, []).append(number)
        return [
            numbers[at : at + most]
            for shape, numbers in by_shape.items()
            for most in [self._most.get(shape, len(numbers))]
            for at in range(0, len(numbers), most)
        ]

    def _advance(self, frames: Mapping[int, FrameInProgress]) -> dict[int, RenderedFrame | Exception]:
        """Take one step of `frames`, which are of one shape; gives those that it finished, and those that failed."""
        failures: dict[int, RenderedFrame | Exception] = {}
        try:
            with memory_errors(", ".join(str(frame.request) for frame in frames.values()), self.models.device):
                return self._step(frames)
        except Exception as error:
            if len(frames) == 1:
                return dict.fromkeys(frames, error)
            half = len(frames) // 2
            if isinstance(error, OutOfMemory):
                self._most[next(iter(frames.values())).latent.shape] = half
        # no frame has taken this step yet: whose failure it is shows when fewer take it
        numbers = list(frames)
        for some in (numbers[:half], numbers[half:]):
            failures |= self._advance({number: frames[number] for number in some})
        return failures

    def _step(self, frames: Mapping[int, FrameInProgress]) -> dict[int, RenderedFrame | Exception]:
        began = time.perf_counter()
        every = list(frames.values())
        losses = self._losses(every)
        whole = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        gradients = torch.autograd.grad(whole, [frame.latent for frame in every])
        share = (time.perf_counter() - began) / len(every)
        results: dict[int, RenderedFrame | Exception] = {}
        for (number, frame), loss, gradient in zip(frames.items(), losses, gradients, strict=True):
            began = time.perf_counter()
            try:
                with memory_errors(str(frame.request), self.models.device):
                    frame.apply_gradient(loss, gradient)
                    frame.seconds += share + time.perf_counter() - began
                    if frame.done:
                        results[number] = self._finished(frame)
            except Exception as error:  # its own: the others have taken their step, or are going to
                results[number] = error
        return results

    def _losses(self, frames: Sequence[FrameInProgress]) -> list[Tensor]:
        """The loss of each frame's picture at this step, scalars: prompts over all perceptors, and regularisers."""
        vqgan = self.models.vqgan
        joined = _joined([frame.latent_to_decode() for frame in frames])
        pictures = ClampWithGradient.apply(vqgan.decode(vqgan.quantise(joined))).split(1)
        totals = [picture.new_zeros(()) for picture in pictures]
        for which, guide in enumerate(self._guides):
            cutouts = [frame.cutouts(which, guide.perceptor.side, picture)
                       for frame, picture in zip(frames, pictures, strict=True)]  # fmt: skip
            pulls = self._pulls(which, guide, frames, cutouts)
            totals = [total + pull / len(self._guides) for total, pull in zip(totals, pulls, strict=True)]
        return [
            frame.add_regularisers(total, picture)
            for frame, total, picture in zip(frames, totals, pictures, strict=True)
        ]  # fmt: skip

    def _pulls(
        self, which: int, guide: Guide, frames: Sequence[FrameInProgress], cutouts: Sequence[Tensor]
    ) -> list[Tensor]:
        """The pull on each frame's `cutouts`, as one perceptor sees them: all in one pass, but for those of frames that
        were found to need too much memory."""

        def pull(frame: FrameInProgress, seen: Tensor) -> Tensor:
            return guide.pull(frame.plan.row.loss, frame.targets[which], len(frame.frame.prompts), seen)

        at_once = [frame.request.cutouts_at_once or len(cut) for frame, cut in zip(frames, cutouts, strict=True)]
        together = [number for number, cut in enumerate(cutouts) if at_once[number] >= len(cut)]
        pulls: dict[int, Tensor] = {}
        if together:
            seen = guide.perceptor.embed_pictures(_joined([cutouts[number] for number in together]))
            parts = seen.split([len(cutouts[number]) for number in together])
            pulls = {number: pull(frames[number], part) for number, part in zip(together, parts, strict=True)}
        for number, (frame, cut) in enumerate(zip(frames, cutouts, strict=True)):
            if number not in pulls:
                pulls[number] = microbatched(
                    cut, at_once[number],
                    lambda part, frame=frame: pull(frame, guide.perceptor.embed_pictures(part)),  # type: ignore[misc]
                )  # fmt: skip
        return [pulls[number] for number in range(len(frames))]

    @torch.no_grad()
    def _finished(self, frame: FrameInProgress) -> RenderedFrame:
        began = time.perf_counter()
        assert frame.state is not None
        picture = decode_tokens(self.models.vqgan, frame.state.tokens.to(self.models.device))
        pixels = (picture[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        finished = FrameObject(pixels, frame.state, self._provenance(frame))
        return RenderedFrame(finished, frame.history, frame.seconds + time.perf_counter() - began)

    def _provenance(self, done: FrameInProgress) -> dict[str, object]:
        """What made this frame: enough to make it again."""
        plan, frame, losses = done.plan, done.frame, done.history
        return {
            "digest": frame.digest,
            "parent": frame.start_digest,
            **({"towards": frame.target_digest} if frame.target_digest else {}),
            "video_id": plan.video_id,
            "frame": frame.index,
            "frames": plan.frames,
            "steps": frame.steps,
            "loss": losses[-1],
            "losses": [round(loss, 5) for loss in losses[:: max(1, len(losses) // 100)]],
            "row": json_safe(plan.row.model_dump(mode="json", exclude_none=True)),
            # of a retake, or after a loss that was no number; the row's otherwise
            **({"seed": done.seed} if done.seed != plan.row.seed else {}),
            "images": dict(plan.images),
            "model": {"name": plan.entry.name, "digest": plan.entry.digest},
            "device": self.models.device.type,
            "precision": str(self.models.vqgan.dtype).removeprefix("torch."),
            "software": {"nightreel": version("nightreel"), "algorithm": ALGORITHM, "torch": torch.__version__},
        }


def _kind(request: FrameRequest) -> Hashable:
    """What decides a step's work, but for its settings."""
    row = request.plan.row
    return row.width, row.height, row.cutouts.number, request.start_state is None


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` along the first dimension; a single one as it is, which costs no copy."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
