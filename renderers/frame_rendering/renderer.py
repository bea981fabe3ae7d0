"""The frame loop: from where a frame starts to its finished picture, step by step; several frames at a time if asked.

The step is nerdyrodent/VQGAN-CLIP's (after Crowson, 2021): snap the latent to the codebook with a straight-through
gradient, decode, clamp, cut, embed, spherical distance to every prompt, Adam on the latent, clamp the latent to the
codebook's range. Each departure from it is marked where it is made.

Frames of the same shape and form go through the networks as one batch; all else of a frame is its own
(FrameInProgress). Their losses add up, and since none depends on another's latent, each latent has the gradient that it
would have alone, but for the last bits where a network rounds otherwise for another size of batch.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from renderers.errors import OutOfMemory
from renderers.form import Form
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.batch_curve import BatchCurve, DeviceMemory
from renderers.frame_rendering.candidates import Candidates, numbers_of
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.in_progress import FrameInProgress, FrameRequest, StepProgress
from renderers.frame_rendering.memory import memory_errors, microbatched
from renderers.frame_rendering.pictures import FittedPictures
from renderers.frame_rendering.provenance import provenance_of
from renderers.frame_rendering.scores import Scorer
from renderers.frame_rendering.starts import Starts
from renderers.frame_rendering.state import FrameState
from renderers.models import Models, Perceptor, decode_tokens
from renderers.step.ensemble import weighed
from renderers.step.guidance import Guide
from renderers.step.losses import ClampWithGradient
from renderers.step.terms import TERMS, Term

__all__ = ["FrameRenderer", "FrameRequest", "RenderedFrame", "StepProgress"]


@dataclass(frozen=True)
class RenderedFrame:
    """A finished frame, the `losses` of its steps, and the `seconds` that it took; of steps that several frames took
    together, its share."""

    frame: FrameObject
    losses: tuple[float, ...]
    seconds: float


class FrameRenderer:
    """Renders frames with models that stay loaded. Not thread-safe: one renderer, one thread."""

    def __init__(
        self,
        models: Models,
        max_batch: int | Literal["all", "auto"] = "all",
        *,
        terms: Sequence[type[Term[Any]]] = TERMS,
        judges: Callable[[str], Sequence[Perceptor]] | None = None,
    ) -> None:
        """Up to `max_batch` frames go through the networks together: all that are asked for, or as many as were found
        to pay (renderers/frame_rendering/batch_curve.py). `terms` are what the loss of a frame can be made of; `judges`
        gives the perceptors of a model that did not draw, by the model's name, for the scores of rows that name one.
        Without them all frames are scored by the perceptors that draw."""
        self.models = models
        self._max_batch, self._terms = max_batch, terms
        fitted = FittedPictures(models.device)
        self.starts = Starts(models, fitted)
        self._guides = [Guide(it, models.entry.concepts, models.device, fitted) for it in models.perceptors]
        self._judges, self._fitted = judges, fitted
        self._judging: tuple[str, Sequence[Perceptor], Sequence[Guide]] | None = None
        self._scorer = Scorer(models, self._guides, None if judges is None else self._judge)
        self._fitting: dict[torch.Size, int] = {}  # frames of a shape that memory was found to hold
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
        source: SourcePictures | None = None,
    ) -> RenderedFrame:
        """Render one frame; see `FrameRequest` for the arguments.

        Raises:
            BadInput: a picture that the row names can't be read.
            NonFiniteLoss: the loss or the latent became non-finite.
            OutOfMemory: the frame does not fit into the device's memory.
            Stopped: `should_stop` asked for it.
        """
        request = FrameRequest(
            plan, frame, start_state, images, target_state, cutouts_at_once, reseeded, on_step, should_stop, source
        )
        (rendered,) = self.render_together([request])
        if isinstance(rendered, Exception):
            raise rendered
        return rendered

    def render_together(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render frames, those of the same shape step by step in one pass through the networks; gives for each, in
        order, the frame or what `render` would raise. The failure of one is not the others'. When memory does not hold
        them all, fewer go together, now and later."""
        # torch keeps this number per thread: one that used torch before the models were loaded has another one, and
        # sums split over another number of threads round differently
        torch.set_num_threads(self.models.threads)
        results: list[RenderedFrame | Exception] = []
        while remaining := requests[len(results) :]:
            if self._max_batch == "auto":
                results += self._render_measured(remaining)
            else:
                results += self._render_batch(remaining if self._max_batch == "all" else remaining[: self._max_batch])
        return results

    def _render_measured(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render as many of the first `requests`, of equal work, as pay, and measure it."""
        work = _work(requests[0])
        equal = list(itertools.takewhile(lambda request: _work(request) == work, requests))
        curve, memory = self._curves[work], self._memories[work]
        batch = equal[: curve.next_size(len(equal), memory.fits)]
        memory.start_pass()
        began = time.perf_counter()
        results = self._render_batch(batch)  # ends with the pictures in the CPU's memory: nothing runs on the GPU then
        if not any(isinstance(result, Exception) for result in results):
            curve.record(len(batch), (time.perf_counter() - began) / sum(request.frame.steps for request in batch))
            memory.end_pass(len(batch))
        return results

    def _render_batch(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render frames together."""
        results: dict[int, RenderedFrame | Exception] = {}
        frames: dict[int, FrameInProgress] = {}
        candidates = Candidates(self.models, self._guides)
        for number, request in enumerate(requests):
            try:
                with memory_errors(str(request), self.models.device):
                    for frame in self._start(request):
                        candidates.add(number, len(frames), frame)
                        frames[len(frames)] = frame
            except Exception as error:
                results[number] = error
        while frames:
            ended: dict[int, RenderedFrame | Exception] = {}
            for keys in self._groups(frames):
                ended.update(self._advance({key: frames[key] for key in keys}))
            gone = set(ended)
            for key, result in ended.items():
                number = candidates.request_of(key)
                if not isinstance(result, Exception) or candidates.failed(key, result):
                    results[number] = result
                    gone.update(candidates.rivals_of(number))
            frames = {key: frame for key, frame in frames.items() if key not in gone}
            for key in candidates.beaten(frames.keys()):
                del frames[key]
        return [results[number] for number in range(len(requests))]

    def _start(self, request: FrameRequest) -> list[FrameInProgress]:
        """Start a frame, or all of its candidates."""
        targets = [guide.targets(request.plan, request.frame, request.images) for guide in self._guides]
        return [
            FrameInProgress(request, self.models, self.starts, targets, self._terms, candidate)
            for candidate in numbers_of(request)
        ]

    def _groups(self, frames: Mapping[int, FrameInProgress]) -> list[list[int]]:
        """The numbers of `frames`, grouped by which go through the networks together. On a CPU, which gains nothing by
        it, no two candidates of a frame do: each comes out as if it were alone, to the last bit."""
        apart = self.models.device.type == "cpu"
        by_shape: dict[tuple[torch.Size, int, Form], list[int]] = {}
        for number, frame in frames.items():
            by_shape.setdefault((frame.latent.shape, apart * frame.candidate, frame.form), []).append(number)
        return [
            numbers[first : first + size]
            for (shape, *_), numbers in by_shape.items()
            for size in [self._fitting.get(shape, len(numbers))]
            for first in range(0, len(numbers), size)
        ]

    def _advance(self, frames: Mapping[int, FrameInProgress]) -> dict[int, RenderedFrame | Exception]:
        """Take one step of `frames`, of one shape and form; gives those that it finished, and those that failed."""
        try:
            with memory_errors(", ".join(str(frame.request) for frame in frames.values()), self.models.device):
                return self._step(frames)
        except Exception as error:
            if len(frames) == 1:
                return dict.fromkeys(frames, error)
            half = len(frames) // 2
            if isinstance(error, OutOfMemory):
                self._fitting[next(iter(frames.values())).latent.shape] = half
        # no frame has taken this step yet: whose failure it is shows when fewer take it
        numbers, results = list(frames), dict[int, RenderedFrame | Exception]()
        for some in (numbers[:half], numbers[half:]):
            results |= self._advance({number: frames[number] for number in some})
        return results

    def _step(self, frames: Mapping[int, FrameInProgress]) -> dict[int, RenderedFrame | Exception]:
        """See `_advance`; a failure of the networks, which may be any frame's, is raised."""
        began = time.perf_counter()
        batch = list(frames.values())
        losses = self._losses(batch)
        total = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        gradients = _gradients(total, [frame.latent for frame in batch])
        share = (time.perf_counter() - began) / len(batch)
        results: dict[int, RenderedFrame | Exception] = {}
        for (number, frame), loss, gradient in zip(frames.items(), losses, gradients, strict=True):
            began = time.perf_counter()
            try:
                with memory_errors(str(frame.request), self.models.device):
                    frame.apply_gradient(loss, gradient)
                    frame.seconds += share + time.perf_counter() - began
                    if frame.done:
                        results[number] = self._finish(frame)
            except Exception as error:  # this frame's alone: the others take their step
                results[number] = error
        return results

    def _losses(self, frames: Sequence[FrameInProgress]) -> list[Tensor]:
        """The loss of each frame's picture at this step, scalars: the mean over all perceptors, by their
        weights, and regularisers."""
        vqgan = self.models.vqgan_for(frames[0].plan.row)  # all are of one form
        latents = _concatenate([frame.latent_to_decode() for frame in frames])
        pictures = ClampWithGradient.apply(vqgan.decode(vqgan.quantise(latents))).split(1)
        totals = [picture.new_zeros(()) for picture in pictures]
        for which, guide in enumerate(self._guides):
            asking = [number for number, frame in enumerate(frames) if which in frame.asked]
            if not asking:
                continue
            some = [(frames[number], pictures[number]) for number in asking]
            cutouts = [frame.cutouts(which, guide.perceptor.side, picture) for frame, picture in some]
            aligned = [_aligned(which, guide, frame, picture) for frame, picture in some]
            losses = self._embedding_losses(which, guide, [frame for frame, _ in some], cutouts, aligned)
            for number, loss in zip(asking, losses, strict=True):
                alternate = frames[number].plan.row.optimiser.alternate
                totals[number] = totals[number] + weighed(loss, self.models.perceptors, which, alternate=alternate)
        return [
            frame.add_regularisers(total, picture)
            for frame, total, picture in zip(frames, totals, pictures, strict=True)
        ]  # fmt: skip

    def _embedding_losses(
        self, which: int, guide: Guide, frames: Sequence[FrameInProgress], cutouts: Sequence[Tensor],
        aligned: Sequence[Sequence[Tensor]],
    ) -> list[Tensor]:  # fmt: skip
        """What those terms of the loss that look at embeddings make of each frame's `cutouts` `(n, 3, side, side)`, as
        perceptor number `which` sees them: all frames in one pass, but for those that were found to need too much
        memory. `aligned` are the embeddings of what was cut from each frame's aligned pictures."""

        def loss(frame: FrameInProgress, part: int, embeddings: Tensor, *aligned: Tensor) -> Tensor:
            view = frame.view(which, part, embeddings, aligned, guide.concepts)
            return frame.terms.add(embeddings.new_zeros(()), view)

        def loss_of_cutouts(frame: FrameInProgress, part: int, some: Tensor, *aligned: Tensor) -> Tensor:
            return loss(frame, part, guide.perceptor.embed_pictures(some), *aligned)

        def little_by_little(frame: FrameInProgress, part: int, all_of_it: Tensor, *aligned: Tensor) -> Tensor:
            size = frame.request.cutouts_at_once or len(all_of_it)
            return microbatched(all_of_it, size, partial(loss_of_cutouts, frame, part), *aligned)

        def of_parts(number: int, seen: Tensor, of_part: Callable[..., Tensor]) -> Tensor:
            """What a frame's whole and its regions come to, of what is `seen` of all of them."""
            frame, total = frames[number], None
            for part, rows in enumerate(seen.split(frame.counts(which))):
                found = of_part(frame, part, rows, *(() if part else aligned[number]))
                total = found if total is None else total + found
            assert total is not None
            return total

        sizes = [frame.request.cutouts_at_once or len(cut) for frame, cut in zip(frames, cutouts, strict=True)]
        whole = [number for number, cut in enumerate(cutouts) if sizes[number] >= len(cut)]
        losses: dict[int, Tensor] = {}
        if whole:
            embeddings = guide.perceptor.embed_pictures(_concatenate([cutouts[number] for number in whole]))
            parts = torch.split(embeddings, [len(cutouts[number]) for number in whole])
            losses = {number: of_parts(number, part, loss) for number, part in zip(whole, parts, strict=True)}
        for number, cut in enumerate(cutouts):
            if number not in losses:
                losses[number] = of_parts(number, cut, little_by_little)
        return [losses[number] for number in range(len(frames))]

    @torch.no_grad()
    def _finish(self, frame: FrameInProgress) -> RenderedFrame:
        """Decode a frame whose steps are all taken."""
        began = time.perf_counter()
        assert frame.state is not None
        vqgan = self.models.vqgan_for(frame.plan.row)
        picture = decode_tokens(vqgan, frame.state.tokens.to(self.models.device))
        pixels = (picture[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        provenance = provenance_of(frame, self.models, self._scorer.scores(frame, picture))
        finished = FrameObject(pixels, frame.state, provenance)
        return RenderedFrame(finished, frame.losses, frame.seconds + time.perf_counter() - began)

    def _judge(self, name: str) -> Sequence[Guide]:
        """The guides of the judges of a model; they remember what they have read as long as they stay loaded."""
        assert self._judges is not None
        perceptors = self._judges(name)
        if self._judging is None or self._judging[0] != name or self._judging[1] is not perceptors:
            guides = [Guide(it, (), self.models.device, self._fitted) for it in perceptors]
            self._judging = name, perceptors, guides
        return self._judging[2]


@torch.no_grad()
def _aligned(which: int, guide: Guide, frame: FrameInProgress, picture: Tensor) -> list[Tensor]:
    """The embeddings `(n, d)` of what is cut from each aligned picture of a frame, as it is from `picture`
    `(1, 3, H, W)`; as many at a time as of the frame itself."""
    return [
        torch.cat(
            [guide.perceptor.embed_pictures(part) for part in cut.split(frame.request.cutouts_at_once or len(cut))]
        )
        for cut in frame.aligned_cutouts(which, guide.perceptor.side, picture)
    ]


def _work(request: FrameRequest) -> Hashable:
    """What decides how much work a step is: requests of equal work are measured together."""
    row = request.plan.row
    how = request.start_state is None, len(numbers_of(request)), row.optimiser.alternate
    return row.width, row.height, row.cutouts.number, *how, Form.of(row)


def _gradients(total: Tensor, latents: Sequence[Tensor]) -> Sequence[Tensor]:
    """Those of `total`, a scalar; 0 for a latent that nothing of it hangs on: a frame may have no prompt of any
    weight."""
    if not total.requires_grad:
        return [torch.zeros_like(latent) for latent in latents]
    return torch.autograd.grad(total, latents, allow_unused=True, materialize_grads=True)


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` along the first dimension; a single one as it is, without a copy."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
