"""Best of several starts: the first frame, or a still, begins several times, an exam ranks what has come of each after
some of the steps, and the best goes on.

The idea is FuseDream's (Liu et al. 2021, section 3.2), which chooses among thousands of random codes by a score of
augmented pictures. The exam looks at the picture of the codebook's rows that the latent is nearest to, in crops that
are the same for all: the loss of the last step is half as good a guide, since each candidate has crops of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

import torch

from manifests.schema import CutoutSettings
from renderers.errors import Stopped
from renderers.frame_plan.candidates import exam_step
from renderers.frame_rendering.in_progress import Choice, FrameInProgress, FrameRequest
from renderers.models import Models
from renderers.randomness import generator
from renderers.step.cutouts import cut, draw_cutouts
from renderers.step.ensemble import weighed
from renderers.step.guidance import Guide
from renderers.step.losses import prompt_distance
from renderers.step.regions import looks

__all__ = ["Candidates", "numbers_of"]

# Upright crops of much of the picture, and nothing else that chance changes.
EXAM = CutoutSettings(
    number=32, size_min=0.75, size_max=1.0, affine_probability=0.0, perspective_probability=0.0,
    jitter_probability=0.0, erase_probability=0.0, noise=0.0, flip_probability=0.0,
)  # fmt: skip


def numbers_of(request: FrameRequest) -> range:
    """The numbers of a frame's candidates: of a warm frame, or of one with a single step, there is one."""
    several = request.frame.start_digest is None and request.frame.steps > 1
    return range(request.plan.row.candidates if several else 1)


class Candidates:
    """Which frames in progress are candidates of one request, until one of them is chosen."""

    def __init__(self, models: Models, guides: Sequence[Guide]) -> None:
        self._models, self._guides = models, guides
        self._rivals: dict[int, dict[int, FrameInProgress]] = {}  # by request, then by their keys

    def add(self, request: int, key: int, frame: FrameInProgress) -> None:
        """Note that `frame`, whose key is `key`, is a candidate of request number `request`."""
        self._rivals.setdefault(request, {})[key] = frame

    def request_of(self, key: int) -> int:
        """The number of the request that a frame in progress is a candidate of."""
        return next(number for number, rivals in self._rivals.items() if key in rivals)

    def failed(self, key: int, error: Exception) -> bool:
        """Take a candidate that failed out; return whether its request has failed with it: there is no other, or it was
        to stop."""
        rivals = self._rivals[self.request_of(key)]
        if len(rivals) == 1 or isinstance(error, Stopped):
            return True
        del rivals[key]
        if len(rivals) == 1:
            next(iter(rivals.values())).heard = True
        return False

    def rivals_of(self, request: int) -> Sequence[int]:
        """The keys of a request's candidates that are left."""
        return list(self._rivals.get(request, ()))

    def beaten(self, frames: Set[int]) -> list[int]:
        """Hold the exams that are due among the frames of these keys; gives the keys of those that do not go on."""
        gone: list[int] = []
        for rivals in self._rivals.values():
            first = next(iter(rivals.values()))
            if len(rivals) > 1 and frames >= rivals.keys() and first.step == exam_step(first.plan.row):
                gone += self._examine(rivals)
        return gone

    @torch.no_grad()
    def _examine(self, rivals: dict[int, FrameInProgress]) -> list[int]:
        # one by one, so that whatever else is rendered with them changes no score
        scores = {key: self._score(frame) for key, frame in rivals.items()}
        best = min(rivals, key=lambda key: scores[key] if math.isfinite(scores[key]) else math.inf)
        chosen = rivals[best]
        by_number: Mapping[int, float] = {frame.candidate: scores[key] for key, frame in rivals.items()}
        of_all = tuple(by_number.get(number) for number in numbers_of(chosen.request))
        chosen.choice, chosen.heard = Choice(of_all, chosen.candidate), True
        chosen.seconds = sum(frame.seconds for frame in rivals.values())
        beaten = [key for key in rivals if key != best]
        for key in beaten:
            del rivals[key]
        return beaten

    def _score(self, candidate: FrameInProgress) -> float:
        """The distance of the picture from all that guides it, as weights count, a mean over all perceptors."""
        vqgan = self._models.vqgan_for(candidate.plan.row)
        picture = vqgan.decode(vqgan.quantise(candidate.latent)).clamp(0, 1)
        height, width = picture.shape[-2:]
        total = 0.0
        for which, guide in enumerate(self._guides):
            place = candidate.seed, candidate.frame.index, 0
            draw = draw_cutouts(EXAM, width, height, generator(*place, f"exam {which}")).to(self._models.device)
            grain = generator(*place, f"exam grain {which}", self._models.device)
            seen = guide.perceptor.embed_pictures(cut(picture, draw, guide.perceptor.side, grain))
            targets = candidate.targets[which]
            aligned = [guide.perceptor.embed_pictures(it) for it in targets.cut_aligned(draw, guide.perceptor.side)]
            for target in targets.with_aligned(aligned):
                distance = prompt_distance(seen, target.vector, target.weight, -math.inf)
                total += float(weighed(distance.double(), self._models.perceptors, which))
            for crops, wanted in looks(
                candidate.regions, targets, picture, EXAM, guide.perceptor.side, f"exam {which}"
            ):
                seen = guide.perceptor.embed_pictures(crops)
                for target in wanted:
                    distance = prompt_distance(seen, target.vector, target.weight, -math.inf)
                    total += float(weighed(distance.double(), self._models.perceptors, which))
        return total
