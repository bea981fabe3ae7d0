"""Parseq's JSON with `rendered_frames` (rewbs/sd-parseq, 2023): every frame's numbers, and its prompt. The keyframe
document alone would need Parseq's language, and is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from manifests.importing.cameras import AXES_2D, AXES_3D, in_plane, in_space
from manifests.importing.curves import baked, number_words
from manifests.importing.deforum import PICTURE_MODEL, say_prompts
from manifests.importing.documents import is_plain_number
from manifests.importing.draft import Draft
from manifests.importing.source import Imported, Source
from manifests.importing.wording import NEGATIVE, Piece, Story, read_weighted
from manifests.results import ManifestError
from manifests.schema import KeyframeError

__all__ = ["read"]

_PART = re.compile(r"(?:^|\s)AND(?:\s|$)")
_WEIGHTED = re.compile(r"(.*?):\s*(-?\d*\.?\d+(?:e-?\d+)?)\s*$", re.DOTALL | re.IGNORECASE)
_DELTA = "_delta"
_LONGEST_WEIGHT = 80_000  # its keys grow by where a scene begins, and by a factor
_DIFFUSION = {
    "scale", "strength", "seed", "subseed", "subseed_strength", "noise", "noise_multiplier", "sampler", "steps", "near",
    "pix2pix_img_cfg_scale", "antiblur_amount", "antiblur_kernel", "antiblur_sigma", "antiblur_threshold", "far",
    "hybrid_comp_alpha", "amount", "kernel", "sigma", "threshold",
}  # fmt: skip
_CAMERA = {"fov", "contrast"}
_PROMPT = {"deforum_prompt", "positive_prompt", "negative_prompt"}


def read(source: Source) -> Imported:
    """Make a row of rendered frames.

    Raises:
        ManifestError: there are none, or they hold no prompt.
    """
    frames = source.get("rendered_frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(it, Mapping) for it in frames):
        raise ManifestError(
            f"{source.name}: it has no 'rendered_frames': press 'Render' in Parseq, and export what comes of it; the "
            "keyframes alone are in a language of its own"
        )
    options = source.get("options")
    fields = list(dict.fromkeys(str(key) for frame in frames for key in frame))
    fps = options.get("output_fps", 20) if isinstance(options, Mapping) else 20
    inner = Source(_series(frames, fields), source.text_of_all, source.name, source.wishes)
    inner.account = source.account
    draft = inner.draft("parseq")
    draft.put("frames", len(frames), "rendered_frames")
    if draft.put("fps", float(fps) if is_plain_number(fps) else 20.0):
        source.account.mapped(source.has("options"), "fps, by output_fps")
    draft.columns.update(width=512, height=512)
    draft.notes["width"] = "Parseq's files say no size: Deforum's usual one"
    inner.seed(draft, "")
    inner.model(draft, PICTURE_MODEL)
    _prompts(inner, draft, frames)
    _camera(inner, draft)
    _contrast(inner, draft)
    _rest(inner, draft)
    reasons = {"managedFields": "says what Parseq edits", "keyframes": "what the frames were made of", "*": "says how "
               "Parseq shows and makes its frames"}  # fmt: skip
    source.rest(reasons, {}, "Parseq")
    return Imported("parseq", "Parseq", source.account, (*source, *inner), (draft,))


def _series(frames: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> dict[str, Any]:
    """Each number of the frames as keyframes, behind `rendered_frames.` and its name; texts are looked at later."""
    made: dict[str, Any] = {}
    for name in fields:
        values = [frame.get(name) for frame in frames]
        numbers = all(it is None or is_plain_number(it) for it in values) and any(it is not None for it in values)
        made[f"rendered_frames.{name}"] = _filled(values) if numbers else None
    return made


def _filled(values: Sequence[Any]) -> list[float]:
    """Numbers without gaps: what a frame leaves out is what the frame before has."""
    last = float(next(it for it in values if it is not None))
    return [last := last if it is None else float(it) for it in values]


def _field(name: str) -> str:
    return f"rendered_frames.{name}"


def _camera(source: Source, draft: Draft) -> None:
    """The differences from frame to frame, which Deforum moves by; made of the values where Parseq wrote none."""
    axes: dict[str, str] = {}
    for name in {**AXES_2D, **AXES_3D}:
        for key in (_field(name + _DELTA), _field(name)):
            if isinstance(source.get(key), list):
                axes[name] = key
                break
    for name, key in axes.items():
        values = source.values[key]
        if not key.endswith(_DELTA):
            one = 1.0 if name == "zoom" else 0.0
            values = [values[0], *(one + after - before for before, after in pairwise(values))]
            source.account.approximated([key], "its differences from frame to frame")
        try:
            source.values[key] = baked(values, len(values), _told(source, key))
        except KeyframeError as error:
            source.drop([key], str(error))
            source.values[key] = None
    flat = any(_moves(source, draft, axes.get(it), AXES_2D[it]) for it in ("zoom", "angle"))
    deep = any(_moves(source, draft, axes.get(it), AXES_3D[it]) for it in AXES_3D if not it.startswith("translation_x")
               and it != "translation_y")  # fmt: skip
    size = (512.0, 512.0)
    fov = _field("fov")
    if isinstance(source.get(fov), list):
        source.values[fov] = baked(source.values[fov], draft.frames, _told(source, fov))
    if deep and not flat:
        in_space(source, draft, {}, size, {it: axes.get(it, it) for it in AXES_3D}, fov=(fov, 70.0))
        unused: tuple[str, ...] = ("zoom", "angle")
    else:
        in_plane(source, draft, {}, size, {it: axes.get(it, it) for it in AXES_2D})
        unused = ("rotation_3d_x", "rotation_3d_y", "rotation_3d_z", "translation_z")
        source.drop([fov], "it belongs to the mode 3D", shows=False)
    words = "Deforum's mode 3D leaves it out" if deep and not flat else "Deforum's mode 2D leaves it out"
    still = [it for it in unused if it in axes]
    source.drop([axes[it] for it in still], words, shows=deep and flat)


def _told(source: Source, key: str) -> Callable[[str], object]:
    return lambda words: source.account.approximated([key], words)


def _moves(source: Source, draft: Draft, key: str | None, neutral: float) -> bool:
    return key is not None and source.get(key) is not None and not draft.curve(source.values[key]).is_always(neutral)


def _contrast(source: Source, draft: Draft) -> None:
    key = _field("contrast")
    values = source.get(key)
    if not isinstance(values, list):
        return
    text = baked(values, len(values), _told(source, key))
    if text == "1":
        source.account.mapped([key], "as without it")
    else:
        draft.put("renew.contrast", text, key)


def _rest(source: Source, draft: Draft) -> None:
    for key in source:
        if source.account.fate(key) is not None:
            continue
        name = key.removeprefix("rendered_frames.")
        base = name.removesuffix(_DELTA).removesuffix("_pc")
        if name == "frame":
            source.account.mapped([key], "the number of the frame")
        elif name.endswith("_pc") or base in {**AXES_2D, **AXES_3D} or base in _CAMERA or name in _PROMPT:
            source.drop([key], "another one says it", shows=False)
        elif base in _DIFFUSION:
            source.drop(
                [key], "a setting of Stable Diffusion, which does not draw here", shows=not name.endswith(_DELTA)
            )
        else:
            source.drop([key], "no number of a frame that nightreel knows", shows=False)


# ---- prompts


def _prompts(source: Source, draft: Draft, frames: Sequence[Mapping[str, Any]]) -> None:
    """Runs of equal texts are scenes; the weights of `A :w AND B :v` change within them."""
    key = _field("deforum_prompt")
    texts = [str(frame.get("deforum_prompt") or "") for frame in frames]
    if not any(it.strip() for it in texts):
        say_prompts(source, draft, {}, travel=False, names={}, key=key)
        return
    story, notes = Story(), []
    read = [_parts(it) for it in texts]
    start = 0
    while start < len(read):
        stop = start + 1
        while stop < len(read) and [it[0] for it in read[stop]] == [it[0] for it in read[start]]:
            stop += 1
        pieces = []
        for number, (text, _, negative) in enumerate(read[start]):
            found = read_weighted(text, lambda formula: draft.curve(formula, {}).text)
            notes += found.notes
            weights = [read[at][number][1] for at in range(start, stop)]
            weight = _weight(weights, start, notes.append)
            words = " ".join(it.text for it in found.pieces)
            pieces.append(Piece(words, *((_times(weight, NEGATIVE[0]), NEGATIVE[1]) if negative else (weight,))))
            if negative:
                notes.append(
                    f"what is behind --neg pushes away, with the weight {NEGATIVE[0]} and the stop {NEGATIVE[1]}"
                )
        if any(it.text for it in pieces):
            story.scene(start, pieces)
        start = stop
    scenes, fitted = story.values(draft.frames)
    draft.put("prompts", scenes, key, rule="; ".join(dict.fromkeys([*notes, *fitted])))
    if len(scenes) > 1:
        draft.put("crossfade", 0)


def _parts(text: str) -> list[tuple[str, float, bool]]:
    """A frame's prompt as texts with their weights, and whether they push away."""
    wanted, *unwanted = re.split(r"(?:^|\s)--neg(?:\s+|$)", text)
    made = []
    for side, negative in ((wanted, False), *((it, True) for it in unwanted)):
        for part in _PART.split(side):
            found = _WEIGHTED.match(part)
            words, weight = (found[1], float(found[2])) if found else (part, 1.0)
            if words.strip():
                made.append((words.strip(), min(1000.0, max(-1000.0, weight)), negative))
    return made


def _weight(values: Sequence[float], start: int, say: Callable[[str], object]) -> str:
    if all(it == values[0] for it in values):
        return number_words(values[0])
    shifted = baked(values, len(values), say, _LONGEST_WEIGHT)
    return re.sub(r"(\d+):", lambda key: f"{int(key[1]) + start}:", shifted)


def _times(weight: str, factor: str) -> str:
    """A weight, or keyframes of weights, times a number."""
    try:
        return number_words(float(weight) * float(factor))
    except ValueError:
        return re.sub(r":(\(?)([^(),]*)", lambda found: f":{found[1]}{float(found[2]) * float(factor):.12g}", weight)
