"""Prompt travel: animatediff-cli-prompt-travel's JSON (`prompt_map`), and what Fizz's nodes take (`"0": "dawn", "24":
"night"` with `pw_a` ..)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from manifests.importing.deforum import NAMES, PICTURE_MODEL
from manifests.importing.documents import dictionary, frame_number, is_plain_number
from manifests.importing.draft import Draft, name_of_video
from manifests.importing.source import Imported, Source
from manifests.importing.wording import NEGATIVE, Piece, Story, compact, read_weighted
from manifests.schema import KeyframeError
from manifests.schema.texts import short

__all__ = ["is_schedule", "read"]

_WHOLE = "a setting of the diffusion model, which does not draw here"
_QUIET = {
    "name": "the video's name", "compile": "how it runs", "output_dir": "where it writes", "result": "where it writes",
    "stylize_config": "a setting of the tool",
}  # fmt: skip
_LOUD = {
    **dict.fromkeys((
        "path", "vae_path", "motion_module", "scheduler", "steps", "guidance_scale", "clip_skip", "lora_map",
        "motion_lora_map", "unet_batch_size", "context*", "apply_lcm*", "lcm*", "gradual_latent*", "lora_folders",
        "unet*", "is_single_prompt_mode", "tensor_interpolation_slerp", "sdxl*", "base",
    ), _WHOLE),
    "controlnet_map": "nightreel has no ControlNet",
    "ip_adapter_map": "pictures that guide: say them as `images` of the scenes, by hand",
    "upscale_config": "add the net by `nightreel models add-upscaler` and name it by finish.upscaler",
    "img2img_map": "nightreel has no source video yet",
    "region_map": "its regions are left out: give their prompts and masks as regions",
}  # fmt: skip
_PLACES = ("pw_a", "pw_b", "pw_c", "pw_d")
_LEFT = 24  # frames behind the last key, where nothing says how long it holds


def is_schedule(values: Mapping[str, Any]) -> bool:
    """Whether a document is nothing but texts by frames."""
    return bool(values) and all(frame_number(key) is not None and isinstance(it, str) for key, it in values.items())


def read(source: Source) -> Imported:
    """Make a row of prompts that travel.

    Raises:
        ManifestError: there is none.
    """
    draft = source.draft("travel")
    keys = tuple(source)
    prompts = _map(source)
    if source.text("name"):
        draft.columns["video_id"] = name_of_video(source.text("name") + ".x", draft.columns["video_id"])
        source.account.mapped(["name"], "video_id")
    frames = _length(source, draft, prompts)
    draft.put("fps", _fps(source), *source.has("fps"))
    if "output" in source:
        source.account.approximated(["output"], "its fps; how it is encoded is left out")
    for column, key in (("width", "width"), ("height", "height")):
        if key not in source:
            draft.columns[column] = 512
    if "width" in source or "height" in source:
        source.size(draft, "width", "height")
    source.seed(draft, "seed")
    source.model(draft, PICTURE_MODEL)
    _prompts(source, draft, prompts, frames)
    source.rest(_QUIET, _LOUD, "prompt travel")
    return Imported("travel", "prompt travel", source.account, keys, (draft,))


def _map(source: Source) -> dict[Any, Any]:
    value: Any = source.get("prompt_map", source.get("text", source.get("prompts")))
    if isinstance(value, str):
        try:
            value = dictionary(value)
        except ValueError:
            value = {"0": value}
    if value is None and is_schedule(source.values):
        value = dict(source.values)
    return dict(value) if isinstance(value, Mapping) else {}


def _length(source: Source, draft: Draft, prompts: Mapping[Any, Any]) -> int:
    places = sorted(at for at in map(frame_number, prompts) if at is not None)
    if "max_frames" in source:
        frames = source.whole("max_frames", 120, 1, 1_000_000)
        draft.put("frames", frames, "max_frames")
        return frames
    gaps = [after - before for before, after in pairwise(places)]
    last = places[-1] if places else 0
    frames = min(1_000_000, max(1, last + (gaps[-1] if gaps else _LEFT)))
    draft.columns["frames"] = frames
    draft.notes["frames"] = "the file does not say how many: as many behind the last prompt as before it"
    draft.advice.append(f"the file does not say how many frames there are (there it is -L): {frames} are written")
    return frames


def _fps(source: Source) -> float:
    output = source.get("output")
    value = output.get("fps") if isinstance(output, Mapping) else None
    number = (
        float(value) if is_plain_number(value) and isinstance(value, int | float) else source.number("fps", 8, 0.1, 240)
    )
    return number if 0 < number <= 240 else 8.0


def _prompts(source: Source, draft: Draft, prompts: Mapping[Any, Any], frames: int) -> None:
    if not prompts and source.wishes.prompt:
        prompts = {"0": source.wishes.prompt}
    notes: list[str] = []
    story = Story()
    for written, text in prompts.items():
        at = frame_number(written)
        if at is None:
            notes.append(f"'{short(str(written), 40)}' is no frame")
            continue
        found = read_weighted(str(text), lambda formula: _weight(source, draft, formula))
        notes += found.notes
        story.scene(at, found.pieces)
    scenes, fitted = story.values(frames)
    if not scenes:
        raise source.no_prompt()
    keys = source.has("prompt_map", "text", "prompts") or tuple(it for it in source if frame_number(it) is not None)
    draft.put("prompts", scenes, *keys, rule="; ".join(dict.fromkeys([*notes, *fitted])))
    hold = source.number("prompt_fixed_ratio", 0.5 if "prompt_map" in source else 0.0, 0, 1)
    if len(scenes) > 1:
        draft.put("travel", True)
        if hold or "prompt_fixed_ratio" in source:
            draft.put("travel_hold", hold, *source.has("prompt_fixed_ratio"))
    else:
        source.drop(["prompt_fixed_ratio"], "there is one prompt only", shows=False)
    _around(source, draft)
    for key in _PLACES:
        if key in source and source.account.fate(key) is None:
            source.drop([key], "no prompt uses it", shows=False)


def _weight(source: Source, draft: Draft, formula: str) -> str:
    """A weight of Fizz's: a formula, in which `pw_a` stands for a schedule of its own."""
    text = formula.strip()
    for key in _PLACES:
        if not re.search(rf"\b{key}\b", text):
            continue
        curve = draft.curve(source.get(key, "1"), NAMES)
        if text == key:
            source.account.mapped(source.has(key), "the weight of a prompt")
            return curve.text
        if curve.single is None:
            source.drop([key], "it has keys, and stands within a formula")
            raise KeyframeError(f"{key} has keys, and stands within a formula")
        source.account.mapped(source.has(key), "the weight of a prompt")
        text = re.sub(rf"\b{key}\b", f"({curve.single})", text)
    return draft.curve(text, NAMES).text


def _around(source: Source, draft: Draft) -> None:
    """What stands before and behind each prompt."""
    for column, names in (("prefix", ("head_prompt", "pre_text")), ("suffix", ("tail_prompt", "app_text"))):
        for key in source.has(*names):
            found = read_weighted(source.text(key), lambda formula: _weight(source, draft, formula))
            pieces = [it for it in found.pieces if it.text]
            if not pieces:
                source.account.mapped([key], "nothing is added")
                continue
            text = compact(pieces[:1])
            rule = "; ".join([*found.notes, *(["parts of their own are left out"] if len(pieces) > 1 else [])])
            draft.put(column, text, key, rule=rule)
    unwanted = source.get("n_prompt")
    texts = [str(it) for it in (unwanted if isinstance(unwanted, list) else [unwanted] if unwanted else [])]
    pieces = [
        Piece(it.text, *NEGATIVE) for text in texts[:20] for it in read_weighted(text, lambda _: "1").pieces if it.text
    ]
    if not pieces:
        source.account.mapped(source.has("n_prompt"), "nothing is pushed away")
        return
    words = f"it pushes away, with the weight {NEGATIVE[0]} and the stop {NEGATIVE[1]}; brackets are left out"
    keys = [*source.has("n_prompt"), *draft.origins.get("suffix", [])]
    before = draft.columns.get("suffix", "")
    draft.put("suffix", f"{before} | {compact(pieces)}".strip(), *keys[:1], rule=words)
