"""How frames are addressed: the digest of each covers all that decides it, the digests of those that it starts from and
is drawn to included, so the digests of a whole video are known before rendering.

A digest holds what is not neutral (`renderers.frame_plan.neutral`), and nothing else: a setting that nobody uses is not
there, whether the code knows it or not. Only whoever plans computes digests; workers get them with their tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from manifests.schema import ManifestRow
from renderers.canonical import canonical, differing, fields_of, rounded, sha256_of
from renderers.frame_plan.frame_plan import (
    FramePrompts,
    FrameSettings,
    RegionPrompts,
    WeightedPicture,
    WeightedPrompt,
)
from renderers.frame_plan.handoff import HOLD, LEAP, PULL, Place
from renderers.frame_plan.motion import Motion
from renderers.frame_plan.neutral import NEUTRAL, root_deviations
from renderers.frame_plan.weights import decided_by, decided_by_holds
from renderers.registry import ModelEntry

__all__ = ["ALGORITHM", "ONE_CROP", "Addressing", "CurrentAddressing"]

# How plans in storage name these formulas: raise it when a change of code changes the pictures that the same settings
# give, and keep the former formulas among `OLDER_ALGORITHMS`.
ALGORITHM = 6
# The formulas of 0.2, which saw one crop of an image prompt. They differ in nothing else, so that digests hold the
# number of crops, where it is not neutral, and this number of the algorithm still: other frames stay where they are.
ONE_CROP = 5

# Values of frames that are remembered as JSON.
REMEMBERED = 1024


class Addressing(Protocol):
    """The digests of one video's frames, by the formulas of one `ALGORITHM`."""

    def digest(
        self, place: Place, settings: FrameSettings, start: str | None, target: str | None, seed: int | None = None
    ) -> str:
        """The digest of the frame at `place` with `settings`: `start` and `target` are those of the frames that it
        starts from and is drawn to; `seed` is a retake's own."""


class CurrentAddressing:
    """The formulas of `ALGORITHM`, and of `ONE_CROP`."""

    def __init__(self, row: ManifestRow, entry: ModelEntry, images: Mapping[str, str]) -> None:
        """`images` maps the URI of each picture that a resolved `row` names to the SHA-256 of its bytes."""
        root = root_deviations(row)
        if row.init_image is not None:
            root["init_image"] = images[row.init_image]
        if row.mask is not None:
            root["mask"] = images[row.mask]
        self._root = sha256_of({"algorithm": ONE_CROP, "model": entry.digest, **root})
        self._images, self._regions = images, row.regions or ()
        self._border = "" if row.border == NEUTRAL["border"] else f'"{row.border}"'
        constants = differing({"pull": PULL, "hold": HOLD, "leap": LEAP}, NEUTRAL)
        self._handoff = _texts({"constants": constants})
        # most frames share these with others
        self._motions: dict[int, tuple[Motion, str]] = {}
        self._prompts_texts = lru_cache(REMEMBERED)(self._prompts)
        self._holds_text = lru_cache(REMEMBERED)(lambda holds: canonical(decided_by_holds(holds, row.hold)))
        self._cutouts_text = lru_cache(REMEMBERED)(
            lambda shares: canonical({name: list(values) if values[1:] else values[0] for name, values in shares})
        )
        self._weights_text = lru_cache(REMEMBERED)(lambda weights: canonical(decided_by(weights, row.loss)))

    def digest(
        self, place: Place, settings: FrameSettings, start: str | None, target: str | None, seed: int | None = None
    ) -> str:
        # values as JSON: a plan may have a million frames, and most of what decides them is the same for all
        values = {"frame": str(place.index), **self._prompts_texts(settings.prompts)}
        if settings.steps != NEUTRAL["steps"]:
            values["steps"] = str(settings.steps)
        motion = self._motion_text(settings.motion)
        if motion:
            values["motion"] = motion
            if self._border:
                values["border"] = self._border
        if start is not None:
            values["start"] = f'"{start}"'
        if target is not None:
            values |= {"target": f'"{target}"', "share": _number(place.share), **self._handoff}
            target_motion = settings.target_motion and self._motion_text(settings.target_motion)
            if target_motion:
                values["target_motion"] = target_motion
                if self._border:
                    values["border"] = self._border
        if settings.renewal is not None and (decided := settings.renewal.decides(self._images)):
            values["renew"] = canonical(decided)
        if settings.weights:
            values["loss"] = self._weights_text(settings.weights)
        if settings.cutouts:
            values["cutouts"] = self._cutouts_text(settings.cutouts)
        if settings.source is not None:
            values["source"] = canonical(settings.source.decides())
        if settings.holds:
            values["hold"] = self._holds_text(settings.holds)
        if place.ahead:
            values["keyframe"] = "true"
            leap = place.leap
            if leap:
                values |= {"leap": _number(leap), **self._handoff}
        if seed is not None:
            values["seed"] = str(seed)
        document = ",".join([f'"{name}":{values[name]}' for name in sorted(values)])
        return hashlib.sha256(f"{self._root}{{{document}}}".encode()).hexdigest()

    def _prompts(self, prompts: FramePrompts) -> dict[str, str]:
        """What a frame is drawn towards, as JSON."""
        return {
            "prompts": canonical([_text(it) for it in prompts.texts]),
            **_texts({
                "images": [self._picture(it) for it in prompts.pictures],
                "noise": [differing(fields_of(it.prompt) | {"weight": it.weight}, NEUTRAL, "noise_prompt.")
                          for it in prompts.noise],
                "regions": [self._region(it) for it in prompts.regions],
            }),
        }  # fmt: skip

    def _region(self, it: RegionPrompts) -> dict[str, Any]:
        region = self._regions[it.number]
        own = {"mask": self._images[region.mask], "blind": region.blind, "moves": region.moves}
        return differing(own, NEUTRAL, "region.") | {"prompts": list(map(_text, it.texts))}

    def _picture(self, it: WeightedPicture) -> dict[str, Any]:
        # a picture counts by its content, not by its name
        here = {"image": self._images[it.prompt.image], "weight": it.weight, "stop": it.stop, "crops": it.crops}
        return differing(fields_of(it.prompt) | here, NEUTRAL, "image_prompt.")

    def _motion_text(self, motion: Motion) -> str:
        """The text of a motion, empty for none; by identity, since a steady camera's are one object each."""
        known = self._motions.get(id(motion))
        if known is None:
            if len(self._motions) >= REMEMBERED:
                self._motions.clear()
            known = self._motions[id(motion)] = (motion, "" if motion.still else motion.text)
        return known[1]


@lru_cache(REMEMBERED)
def _number(value: float) -> str:
    return repr(rounded(value))


def _text(it: WeightedPrompt) -> dict[str, Any]:
    return differing({"text": it.text, "weight": it.weight, "stop": it.stop}, NEUTRAL, "prompt.")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Those of `values` that hold anything, as canonical JSON."""
    return {name: canonical(value) for name, value in values.items() if value}
