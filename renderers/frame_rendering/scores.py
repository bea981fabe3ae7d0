"""What a finished frame scores: how like it is to what it was drawn to, how much it flickers, how sharp and how bright
it is. Numbers for whoever looks through the videos of a night; nothing of a picture, and no digest, hangs on them.

A perceptor flatters what was drawn to please it: its word is a *likeness* only where it did not draw, and a *fit*
otherwise, from crops that are the same for all frames and that no step was taken by. All is of one frame at a time, so
that whatever is rendered with it changes no score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_rendering.candidates import EXAM
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.warp import change_between
from renderers.models import Models
from renderers.randomness import generator
from renderers.step.cutouts import LUMA, CutoutDraw, cut, draw_cutouts
from renderers.step.guidance import Guide, Target, Targets
from renderers.step.regions import looks

__all__ = ["Judges", "Scorer", "luma_of", "sharpness_of"]

Judges = Callable[[str], Sequence[Guide]]
"""the guides of a model's perceptors that did not draw, by the model's name"""

# Upright crops of much of the picture, as few as a mean over frames needs: a score must cost little.
CROPS = EXAM.model_copy(update={"number": 2})


class Scorer:
    """Scores the frames that the perceptors of `guides` draw; `judges` finds others, where rows name some."""

    def __init__(self, models: Models, guides: Sequence[Guide], judges: Judges | None = None) -> None:
        self._models, self._guides, self._judges = models, guides, judges

    def scores(self, frame: FrameInProgress, picture: Tensor) -> dict[str, float | str]:
        """Score `picture` `(1, 3, H, W)` in [0, 1], which a frame has come to.

        `likeness` by the `judge` that the row names, else `fit` by the perceptors that drew, is the mean cosine of
        crops and whatever text or picture the frame was drawn to, as weights count; there is none where nothing was.
        `flicker` is the change from its parent, moved by the camera; a cold frame has none. `sharpness` and `luma` are
        as `sharpness_of` and `luma_of` say.

        Raises what loading the judge raises.
        """
        scores: dict[str, float | str] = {}
        judge = frame.plan.row.review.judge if self._judges is not None else None
        guides, name, targets = self._guides, "fit", frame.targets
        if judge is not None and self._judges is not None:
            guides, name = self._judges(judge), "likeness"
            targets = [guide.targets(frame.plan, frame.frame, frame.request.images) for guide in guides]
        if (likeness := self._likeness(frame, picture, guides, targets)) is not None:
            scores[name] = round(likeness, 4)
            if judge is not None:
                scores["judge"] = judge
        if frame.before is not None:
            scores["flicker"] = round(255 * change_between(*frame.before, picture), 3)
        return scores | {"sharpness": round(sharpness_of(picture), 2), "luma": round(luma_of(picture), 3)}

    def _likeness(
        self, frame: FrameInProgress, picture: Tensor, guides: Sequence[Guide], targets: Sequence[Targets]
    ) -> float | None:
        """The mean over all perceptors; None where nothing draws."""
        found = []
        for which, (guide, seen_as) in enumerate(zip(guides, targets, strict=True)):
            draw, side = _crops(picture.shape[-1], picture.shape[-2], which).to(picture.device), guide.perceptor.side
            aligned = [guide.perceptor.embed_pictures(it) for it in seen_as.cut_aligned(draw, side)]
            wanted = list(_wanted(seen_as.with_aligned(aligned), len(seen_as.aligned), len(frame.frame.noise)))
            shown = [(cut(picture, draw, side, None), wanted)] if wanted else []
            for crops, targets_there in looks(frame.regions, seen_as, picture, CROPS, side, f"score {which}"):
                if drawn := [it for it in targets_there if it.weight > 0]:
                    shown.append((crops, drawn))
            if not shown:
                return None
            seen = [(guide.perceptor.embed_pictures(crops), drawn) for crops, drawn in shown]
            cosines = torch.stack(
                [(crops * target.vector).sum(dim=-1).mean() for crops, drawn in seen for target in drawn]
            )
            weights = cosines.new_tensor([target.weight for _, drawn in seen for target in drawn])
            found.append(float((cosines * weights).sum() / weights.sum()))
        return sum(found) / len(found) if found else None


def _wanted(targets: Targets, aligned: int, noise: int) -> Iterator[Target]:
    """What a frame is drawn to: texts and pictures of a weight above 0. Noise is like nothing."""
    others = targets.others
    plain = len(others) - aligned - noise
    for target in (*targets.prompts, *others[:plain], *others[len(others) - aligned :]):
        if target.weight > 0:
            yield target


@lru_cache(maxsize=64)
def _crops(width: int, height: int, which: int) -> CutoutDraw:
    """The crops of all pictures of a size that a perceptor is shown."""
    return draw_cutouts(CROPS, width, height, generator(0, 0, 0, f"score {which}"))


def luma_of(picture: Tensor) -> float:
    """The mean luma of `picture` `(1, 3, H, W)` in [0, 1], in levels of 0 to 255 (ITU-R BT.601)."""
    return float((picture.float().mean(dim=(0, 2, 3)) * LUMA.to(picture.device)).sum() * 255)


def sharpness_of(picture: Tensor) -> float:
    """The variance of the Laplacian of the luma of `picture` `(1, 3, H, W)` in [0, 1], in levels of 0 to 255, of which
    blur leaves little.

    Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy", section 2 (LAPV), with the kernel of four
    neighbours, where all of them are there.
    """
    grey = (picture.float() * LUMA.to(picture.device).view(1, 3, 1, 1)).sum(dim=1, keepdim=True) * 255
    kernel = grey.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).view(1, 1, 3, 3)
    return float(F.conv2d(grey, kernel).var(correction=0))
