"""What a re-run does to the plan of one video: which frames it takes again, and what becomes of those that start from
them. Pure: plans and sets of frames in, decisions out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from manifests.schema import FrameRangeError, brief_frames, parse_frames
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_plan.video_plan import VideoPlan

__all__ = [
    "FRAMES",
    "After",
    "Retaking",
    "choose_frames",
    "followers",
    "keep_from",
    "retake",
    "retake_document",
    "retake_of",
]

After = Literal["re-render", "keep", "until-same"]

WORDS = ("failed", "missing", "all")
_RANGE = r"\d+(\s*-\s*\d+(\s*[xX]\s*\d+)?)?"
# As far as a form can check it; `choose_frames` knows the rest. A form that refuses shows the pattern, so this begins
# with a sentence, which matches nothing that anybody types.
FRAMES = (
    r"^Write failed, missing, all, or frame numbers such as 120-180,200 or 0-100x10$"
    rf"|^\s*({'|'.join(WORDS)}|{_RANGE}(\s*,\s*{_RANGE})*)\s*$"
)


@dataclass(frozen=True)
class Retaking:
    """The plan after a re-run was decided on, and what to do for it.

    `retakes` are to be kept in storage. `renewed` frames are in storage already and are rendered once more in place,
    since nothing about them changes; what the others need is missing under its new digest. `skipped` frames are
    missing and stay so.
    """

    plan: VideoPlan
    retakes: tuple[Retake, ...]
    chosen: frozenset[int]
    renewed: frozenset[int]
    skipped: frozenset[int]


def choose_frames(text: str, frames: int, *, missing: Collection[int], failed: Collection[int]) -> frozenset[int]:
    """The frames that `text` means, of a video of `frames`: `failed`, `missing`, `all`, or ranges like `120-180,200`
    and `0-100x10`.

    Raises:
        BadInput: it is none of these, or names frames that the video does not have.
    """
    word = text.strip().lower()
    if word == "all":
        return frozenset(range(frames))
    if word in WORDS:
        return frozenset(missing) & frozenset(failed) if word == "failed" else frozenset(missing)
    try:
        ranges = parse_frames(text)
    except FrameRangeError as error:
        near = get_close_matches(word, WORDS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ", or one of the words failed, missing, all"
        raise BadInput(f"frames: {error}{hint}") from error
    beyond = [piece for piece in ranges if piece.stop > frames]
    if beyond:
        raise BadInput(
            f"frames '{text.strip()}': the video has {frames} frame{'s' if frames > 1 else ''}, 0 to {frames - 1}; "
            f"{beyond[0].stop - 1} is beyond"
        )
    return frozenset(frame for piece in ranges for frame in piece)


def retake(
    plan: VideoPlan, chosen: frozenset[int], present: Collection[int], *, after: After, seed: int | None
) -> Retaking:
    """Decide on a re-run of the frames `chosen`, of which (and of all others) `present` lie in storage.

    With a `seed` of its own each chosen frame is another picture. Frames that start from them, or are drawn to them,
    are others then (`re-render`; `until-same` begins like it), unless they go on from the take that they know (`keep`).
    The row's own seed takes earlier re-runs of these frames back. Without a seed the same pictures are rendered once
    more.

    Raises:
        BadInput: `until-same` for a video with keyframes, or for a loop.
    """
    if after == "until-same" and plan.row.loop:
        raise BadInput(
            f"video '{plan.video_id}' is a loop, whose last frames are drawn to its first: choose re-render or keep"
        )
    if after == "until-same" and plan.handoff == "keyframes":
        raise BadInput(
            f"video '{plan.video_id}' is rendered with keyframes, where frames that start from a re-run one end at the "
            "next keyframe anyway: choose re-render or keep"
        )
    # what is kept goes on as it was: otherwise digests are all that is needed of what was planned
    kept, digests = plan.frame_plans if after == "keep" else (), plan.digests
    known = {(entry.frame, entry.instead_of): entry for entry in plan.retakes}
    ties = {place.index: {place.start, place.target_frame} & chosen for place in plan.places()} if kept else {}
    decided: list[Retake] = []

    def decide(index: int, digest: str) -> Retake | None:
        entry = known.get((index, digest))
        if seed is None:
            return entry
        if index in chosen:
            other = None if seed == plan.row.seed else seed
            # one that goes on from another take goes on from it still
            pins = (entry.start_digest, entry.target_digest) if entry else (None, None)
            decided.append(Retake(index, digest, other, *pins))
        elif kept and ties[index] and index in present and kept[index].planned != digest:
            was = kept[index]
            decided.append(Retake(index, digest, was.seed, was.start_digest, was.target_digest or None))
        else:
            return entry
        return decided[-1]

    now = plan.as_placed(decide)
    same = {frame.index for frame in now if frame.digest == digests[frame.index] and frame.index in present}
    again = chosen if after == "keep" else followers(plan, chosen)
    absent = set(range(plan.frames)) - set(present) - chosen
    return Retaking(
        replace(plan, retakes=(*plan.retakes, *decided)),
        tuple(entry for entry in decided if known.get((entry.frame, entry.instead_of)) != entry),
        chosen,
        frozenset(again & same) if seed is None else frozenset(),
        frozenset(absent - _needed(plan, chosen)) if after == "keep" else frozenset(),
    )


def followers(plan: VideoPlan, frames: Collection[int]) -> set[int]:
    """Return `frames`, and all that come of them: that start from them, or are drawn to them, near or far."""
    found = set(frames)
    for place in plan.places():
        if {place.start, place.target_frame} & found:
            found.add(place.index)
    return found


def _needed(plan: VideoPlan, frames: frozenset[int]) -> set[int]:
    """`frames`, and all that they come of."""
    found = set(frames)
    for place in reversed(tuple(plan.places())):
        if place.index in found:
            found |= {tie for tie in (place.start, place.target_frame) if tie is not None}
    return found


def keep_from(plan: VideoPlan, before: VideoPlan, frame: int) -> Retake:
    """The decision that keeps frame `frame`, and so those after it, as plan `before` of the same video has them."""
    old, new = before.frame_plans[frame], plan.frame_plans[frame]
    return Retake(frame, new.planned, old.seed, old.start_digest)


def describe(retaking: Retaking, missing: Collection[int]) -> str:
    """A sentence for people: what will be rendered."""
    parts = [f"frames {brief_frames(retaking.renewed)} once more"] if retaking.renewed else []
    fresh = set(missing) - retaking.renewed - retaking.skipped
    parts += [f"frames {brief_frames(fresh)}"] if fresh else []
    kept = [entry.frame for entry in retaking.retakes if entry.frame not in retaking.chosen]
    text = " and ".join(parts) or "nothing"
    return f"renders {text}" + (f"; frames from {kept[0]} on stay as they are" if kept else "")


# -- in storage --------------------------------------------------------------------------------------------------------


def retake_document(entry: Retake) -> dict[str, Any]:
    """A decision as JSON; the names are those of storage, whatever the fields are called one day."""
    return {
        "frame": entry.frame,
        "instead_of": entry.instead_of,
        "seed": entry.seed,
        "start_digest": entry.start_digest,
        "target_digest": entry.target_digest,
    }


def retake_of(document: Mapping[str, Any]) -> Retake:
    """The decision that storage holds; nightreel 0.1 wrote `parent` and `towards`.

    Raises:
        KeyError, TypeError, AttributeError: it holds none.
    """
    found = Retake(
        frame=document["frame"],
        instead_of=document["instead_of"],
        seed=document["seed"],
        start_digest=document.get("start_digest", document.get("parent")),
        target_digest=document.get("target_digest", document.get("towards")),
    )
    numbers, digests = (found.frame, found.seed or 0), (found.start_digest or "", found.target_digest or "")
    if not all(type(value) is int for value in numbers):
        raise TypeError("a frame or a seed that is no whole number")
    if not all(isinstance(value, str) for value in (found.instead_of, *digests)):
        raise TypeError("a digest that is no text")
    return found
