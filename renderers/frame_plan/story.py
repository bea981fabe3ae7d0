"""What a row asks for in time: the prompts of each frame, with the weights that they have there."""

from __future__ import annotations

from bisect import bisect_right

from manifests.schema import ManifestRow
from renderers.canonical import rounded
from renderers.frame_plan.frame_plan import WeightedPrompt

__all__ = ["Story"]

# The first scene, and nothing else.
FIRST = ((0, 1.0),)


class Story:
    """The scenes of one video."""

    def __init__(self, row: ManifestRow) -> None:
        self._scenes = row.scenes
        self._starts = [scene.at for scene in row.scenes]
        self._crossfade = row.crossfade
        self._known: dict[tuple[tuple[int, float], ...], tuple[WeightedPrompt, ...]] = {}

    def shares(self, index: int) -> tuple[tuple[int, float], ...]:
        """The scenes that frame `index` shows, by number, each with its share; a new one fades in over `crossfade`
        frames from its key on."""
        current = bisect_right(self._starts, index) - 1
        if current == 0:
            return FIRST
        start = self._starts[current]
        fade = self._crossfade
        if current + 1 < len(self._starts):
            # a scene that begins before the last fade has ended cuts that fade short.
            fade = min(fade, self._starts[current + 1] - start)
        share = min(1.0, (index - start + 1) / (fade + 1))
        if share == 1.0:
            return ((current, 1.0),)
        return (current - 1, 1 - share), (current, share)

    def prompts(self, index: int) -> tuple[WeightedPrompt, ...]:
        """The prompts of frame `index`; equal ones are one object, since a plan may have a million frames."""
        shares = self.shares(index)
        known = self._known.get(shares)
        if known is None:
            known = self._known[shares] = tuple(
                WeightedPrompt(prompt.text, rounded(prompt.weight * share), rounded(prompt.stop))
                for scene, share in shares
                for prompt in self._scenes[scene].prompts
            )
        return known
