"""chigozienri's notebook (VQGAN-CLIP-animations, 2023): `'Apple': {10: 1, 20: 0}` and its camera, as the lines of its
cell of settings or as a dictionary of them; a dictionary of prompts alone is read, too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from manifests.importing.cameras import in_plane
from manifests.importing.documents import dictionary, frame_number, is_plain_number
from manifests.importing.draft import Draft
from manifests.importing.models import VQGANS
from manifests.importing.source import Imported, Source
from manifests.importing.wording import Piece, Story, trailing_weights
from manifests.schema.scenes import MAX_WEIGHT, number_text
from manifests.schema.texts import short

__all__ = ["is_prompts", "read"]

_OLD = re.compile(r"(\d+)\s*:\s*\(([^()]*)\)")
_AXES = {"zoom": 1.0, "angle": 0.0, "translation_x": 0.0, "translation_y": 0.0}
_QUIET = {
    "interval": "how often it shows a picture",
    "save_all_iterations": "which pictures it keeps",
    **dict.fromkeys(("init_frame", "last_frame", "filename", "working_dir"), "says how files are handled"),
    "key_frames": "all is keyed here",
    **dict.fromkeys(("model_name", "model_names"), "the models' titles"),
}
#: What its notebook does to a picture before the perceptor sees it; sharpening is not there.
_CUTOUTS = {
    "method": "lanczos", "number": 64, "degrees": 30, "shear": 0, "affine_probability": 0.8, "perspective": 0.2,
    "perspective_probability": 0.4, "brightness": 0, "contrast": 0, "saturation": 0.01, "hue": 0.01,
    "jitter_probability": 0.7, "erase_probability": 0, "noise": 0.1, "flip_probability": 0.5,
}  # fmt: skip


def is_prompts(values: Mapping[str, Any]) -> bool:
    """Whether a document is a dictionary of prompts, each with its weights by frames."""
    return bool(values) and all(
        isinstance(it, Mapping)
        and it
        and all(frame_number(key) is not None and is_plain_number(w) for key, w in it.items())
        for it in values.values()
    )


def read(source: Source) -> Imported:
    """Make a row of the notebook's settings.

    Raises:
        ManifestError: they hold no prompts.
    """
    if is_prompts(source.values):
        values = {"text_prompts": dict(source.values)}
        prompts_only = tuple(source)
        source.values = values
    else:
        prompts_only = ()
    draft = source.draft("chigozie")
    texts, pictures = _weights(source, "text_prompts"), _weights(source, "target_images")
    last = max((at for weights in (*texts.values(), *pictures.values()) for at in weights), default=0)
    frames = source.whole("max_frames", last + 1 if prompts_only else 50, 1, 1_000_000)
    draft.put("frames", frames, *source.has("max_frames"))
    draft.put("fps", source.number("fps", 12, 0.1, 240), *source.has("fps"))
    size = _size(source, draft)
    source.seed(draft, "seed")
    source.model(draft, "imagenet-f16-16384", *source.has("model"), known=VQGANS)
    for name, value in _CUTOUTS.items():
        draft.columns[f"cutouts.{name}"] = value
    _prompts(source, draft, texts, pictures)
    for key in _AXES:
        if key in source:
            source.values[key] = _keyframes(source, key)
    in_plane(source, draft, {}, size)
    draft.implied("border", "wrap", "its pictures go on at the other side of what a move uncovers")
    _steps(source, draft)
    source.init_image(draft, "initial_image")
    source.rest(_QUIET, {}, "chigozienri's notebook")
    keys: tuple[str, ...] = tuple(source)
    if prompts_only:
        entry = source.account
        fate = entry.of("approximated").get("text_prompts")
        source.account = type(entry)()
        if fate is not None:
            source.account.approximated(prompts_only, fate.words)
        else:
            source.account.mapped(prompts_only, "prompts")
        draft.origins["prompts"] = list(prompts_only)
        draft.account = source.account
        keys = prompts_only
    return Imported("chigozie", "chigozienri's notebook", source.account, keys, (draft,))


def _size(source: Source, draft: Draft) -> tuple[float, float]:
    return source.size(draft, "width", "height", 400)


def _weights(source: Source, key: str) -> dict[str, dict[int, float]]:
    """The weights by frames of each text, or picture: of `'Apple': {10: 1}`, of `10: (Apple: 1| Pear: 0)`, or of `a |
    b`."""
    value = source.get(key)
    if isinstance(value, str):
        value = value.strip()
        try:
            made = dictionary(value)
        except ValueError:
            made = value
        value = made if isinstance(made, Mapping) else value
    if isinstance(value, Mapping):
        found: dict[str, dict[int, float]] = {}
        for text, weights in value.items():
            if isinstance(weights, Mapping):
                keyed = {frame_number(at): weight for at, weight in weights.items()}
                found[str(text)] = {at: float(it) for at, it in keyed.items() if at is not None and is_plain_number(it)}
            elif is_plain_number(weights) and not isinstance(text, int):
                found[str(text)] = {0: float(weights)}
        return {text: weights for text, weights in found.items() if text.strip() and weights}
    return _old(str(value)) if isinstance(value, str) and value else {}


def _old(text: str) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    keyed = _OLD.findall(text) or [("0", text)]
    for at, parts in keyed:
        for part in parts.split("|"):
            piece = trailing_weights(part)
            if piece is not None:
                found.setdefault(piece.text, {})[int(at[:9])] = float(piece.weight)
    return found


def _in_time(weights: Mapping[int, float]) -> str:
    """Weights by frames as a column has them: straight lines between them, as its notebook does."""
    bounded = {at: min(MAX_WEIGHT, max(-MAX_WEIGHT, weights[at])) for at in sorted(weights)}
    if len(set(bounded.values())) == 1:
        return number_text(next(iter(bounded.values())))
    return ", ".join(f"{at}:({number_text(it)})" for at, it in bounded.items())


def _prompts(
    source: Source, draft: Draft, texts: Mapping[str, Mapping[int, float]], pictures: Mapping[str, Mapping[int, float]]
) -> None:
    if not texts and source.wishes.prompt:
        texts = {source.wishes.prompt: {0: 1.0}}
    images = []
    for path, weights in pictures.items():
        address = source.picture(path, "target_images")
        if address is not None:
            images.append({"image": address, "weight": _in_time(weights)})
    if images:
        draft.put("image_prompts", images, *source.has("target_images"))
    elif not pictures:
        source.account.mapped(source.has("target_images"), "there are none")
    story = Story()
    story.scene(0, [Piece(text, _in_time(weights)) for text, weights in list(texts.items())[:100]])
    scenes, _ = story.values(draft.frames)
    if not scenes:
        raise source.no_prompt()
    rule = "" if len(texts) <= 100 else f"the first 100 of {len(texts):,}"
    draft.put("prompts", scenes, *source.has("text_prompts"), rule=rule)


def _keyframes(source: Source, key: str) -> str:
    """`10: 0, 30: 1` as it stands there, a dictionary as keyframes."""
    value = source.get(key)
    if isinstance(value, Mapping):
        keyed = {frame_number(at): it for at, it in value.items()}
        found = {at: float(it) for at, it in keyed.items() if at is not None and is_plain_number(it)}
        return ", ".join(f"{at}:({number_text(found[at])})" for at in sorted(found))
    return value if isinstance(value, str) else short(str(value), 100)


def _steps(source: Source, draft: Draft) -> None:
    key = "iterations_per_frame"
    text = _keyframes(source, key) if key in source else "10"
    draft.columns["steps_first"] = 300
    draft.notes["steps_first"] = "the first frame takes as few steps as the others there: these show more"
    try:
        curve = draft.curve(text or "10")
    except ValueError as error:
        source.drop([key], f"it can't be read: {short(str(error), 200)}")
        draft.put("steps", 10)
        return
    if curve.constant is None and draft.knows("steps", curve.text):
        draft.put("steps", curve.text, *source.has(key))
        return
    mean = sum(curve.at(at) for at in range(min(1000, draft.frames))) / min(1000, draft.frames)
    rule = "" if curve.constant is not None else "the mean, since nightreel has no steps that change in time yet"
    draft.put("steps", max(1, min(10_000, round(mean))), *source.has(key), rule=rule)
