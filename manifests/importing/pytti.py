"""pytti's YAML (pytti-core, 2024), in its mode VQGAN: scenes, losses, cutouts."""

from __future__ import annotations

import math
import re
from typing import Any

from manifests.importing.curves import Curve, baked
from manifests.importing.documents import is_plain_number
from manifests.importing.draft import Draft, name_of_video, side
from manifests.importing.models import VQGANS
from manifests.importing.pytti_camera import BORDERS, NAMES, read_camera
from manifests.importing.source import Imported, Source
from manifests.importing.wording import Piece, Story, spelled
from manifests.schema import KeyframeError
from manifests.schema.scenes import LONGEST_TEXT, MAX_WEIGHT
from manifests.schema.texts import short

__all__ = ["read"]

_PALETTE = "it belongs to pytti's palettes, another way to draw"
_FILES = "says how files and runs are handled"
_QUIET = {
    **dict.fromkeys((
        "file_namespace", "allow_overwrite", "display_*", "clear_every", "save_every", "backups", "show_*", "defaults",
        "approximate_vram_usage", "use_tensorboard", "models_parent_dir", "gradient_accumulation_steps", "device",
        "conf", "hydra", "convert_*", "fps_*",
    ), _FILES),
    **dict.fromkeys(("near_plane", "far_plane"), "a plane has no depth"),
    "sampling_mode": "moves are bicubic here",
    "lock_camera": "the camera stands still here",
    "flow_*": "source.mode flow looks from each frame to the next, and weighs nothing",
}  # fmt: skip
_LOUD = {
    **dict.fromkeys((
        "random_initial_palette", "palette_size", "palettes", "gamma", "hdr_weight", "palette_normalization_weight",
        "target_palette", "lock_palette",
    ), _PALETTE),
    **dict.fromkeys(("use_mmc", "mmc_models"), "as the perceptors"),
    "frame_stride": "source.fps says how many frames are taken a second",
    "pixel_size": "the row's size is what is drawn",
}  # fmt: skip
#: A direct hold is half of the latent's squared difference and a tenth of the pixels'; one on edges is the mean of both
#: derivatives, of which there is the sum here.
_HOLDS: dict[str, dict[str, float]] = {
    "direct_stabilization_weight": {"hold.latent": 1.0, "hold.picture": 0.1},
    "semantic_stabilization_weight": {"hold.meaning": 1.0},
    "edge_stabilization_weight": {"hold.edges": 0.5},
}
#: Of a video that is drawn over a film pytti holds all frames to the film's (its `next_step_pil` is the film's frame).
_FILM_HOLDS: dict[str, dict[str, float]] = {
    "direct_stabilization_weight": {"source.picture": 0.1},
    "semantic_stabilization_weight": {"source.meaning": 1.0},
    "edge_stabilization_weight": {"source.edges": 0.5},
}
_FILM_RULES = {"source.picture": "the tenth of the film's pixels, without half of its latent"}
_INIT_HOLDS = {"direct_init_weight": "latent", "semantic_init_weight": "meaning"}
_NO_HOLDS = {
    "depth_stabilization_weight": "frames are not held to a depth here",
    "flow_stabilization_weight": "frames are not held to a flow here: each starts from the one before, moved",
    "direct_image_prompts": "pixels are held to init_image alone here (hold.init)",
}
_MASKED = re.compile(r"_-?\[?[^\s()\[\]]*\.\w{3,4}\]?$")
_PERCEPTORS = ("ViTB32", "ViTB16", "ViTL14", "ViTL14_336px", "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")
_CUT = re.compile(r":(?!/)")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?|-inf", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{(\w+)\}")


def read(source: Source) -> Imported:
    """Make a row of pytti's settings.

    Raises:
        ManifestError: they hold no scenes.
    """
    for key, value in source.values.items():  # `save_every: ${steps_per_frame}`
        if isinstance(value, str) and (found := _REFERENCE.fullmatch(value.strip())):
            source.values[key] = source.get(found[1], value)
    draft = source.draft("pytti")
    if source.text("file_namespace") not in ("", "default"):
        draft.columns["video_id"] = name_of_video(source.text("file_namespace") + ".x", draft.columns["video_id"])
        source.account.mapped(["file_namespace"], "video_id")
    draft.put("preset", "pytti")
    texts = [it for it in re.split(r"\|\|", source.text("scenes")) if it.strip()]
    _times(source, draft, max(1, len(texts)))
    size = _size(source, draft)
    source.seed(draft, "seed")
    _model(source, draft)
    _scenes(source, draft, texts)
    read_camera(source, draft, size)
    _loss(source, draft)
    _cutouts(source, draft)
    _source_and_sound(source, draft)
    source.rest(_QUIET, _LOUD, "pytti")
    return Imported("pytti", "pytti", source.account, tuple(source), (draft,))


def _size(source: Source, draft: Draft) -> tuple[float, float]:
    """A side of -1 follows from the picture that the video begins with, and from the other side."""
    open_sides = [key for key in ("width", "height") if source.get(key) == -1]
    if not open_sides or source.is_off("init_image") or not source.text("init_image"):
        return source.size(draft, "width", "height")
    given = "height" if "width" in open_sides else "width"
    pixels = source.number(given, 512, 1, 100_000)
    source.sides(draft, (pixels, pixels), (), ())
    rule = f"as many pixels as {side(pixels)} x {side(pixels)} has"
    draft.put("size_from", "init_image", *source.has("width", "height"), rule=rule)
    return pixels, pixels


def _times(source: Source, draft: Draft, scenes: int) -> None:
    """The frames of `pre_animation_steps` are one, since its time begins behind them."""
    each = source.whole("steps_per_scene", 100, 1, 10_000_000)
    steps = source.whole("steps_per_frame", 50, 1, 10_000)
    first = max(steps, source.whole("pre_animation_steps", 50, 0, 10_000_000))
    still = source.text("animation_mode", "off") == "off"
    frames = 1 if still else max(1, (each * scenes - first) // steps + 1)
    rule = "a still: its animation is off" if still else ""
    draft.put("frames", min(1_000_000, frames), *source.has("steps_per_scene"), rule=rule)
    draft.put("fps", source.number("frames_per_second", 12, 0.1, 240), *source.has("frames_per_second"))
    draft.put("steps", steps, *source.has("steps_per_frame"))
    draft.put("steps_first", min(10_000, each if still else first), *source.has("pre_animation_steps"))
    fade = source.whole("interpolation_steps", 0, 0, 10_000_000)
    draft.put("crossfade", min(100_000, round(fade / steps)), *source.has("interpolation_steps"))
    if "save_every" in source and source.number("save_every", steps) != steps and not still:
        source.account.dropped(["save_every"], "each frame is a picture of the video here", shows=True)


def _first(source: Source, draft: Draft, number: int) -> int:
    """The frame at which scene `number` begins."""
    each = source.whole("steps_per_scene", 100, 1, 10_000_000)
    steps, first = draft.columns["steps"], draft.columns["steps_first"]
    return 0 if not number else max(0, (number * each - first) // steps + 1)


def _model(source: Source, draft: Draft) -> None:
    if source.text("image_model", "VQGAN") != "VQGAN":
        source.drop(["image_model"], "its palettes are another way to draw: a VQGAN draws here")
    else:
        source.account.mapped(source.has("image_model"), "model")
    source.model(draft, "sflckr-f16-1024", *source.has("vqgan_model"), known=VQGANS)
    wanted = [it for it in _PERCEPTORS if source.flag(it)]
    for key in source.has(*_PERCEPTORS):
        if not source.flag(key) or (key == "ViTB32" and len(wanted) == 1):
            source.account.mapped([key], "the perceptor of the registry's entry" if source.flag(key) else "it is off")
        else:
            source.account.needs(
                [key],
                f"the registry's entry has other perceptors than {', '.join(wanted)}: `nightreel models add NAME` "
                "makes one with several",
            )


def _scenes(source: Source, draft: Draft, texts: list[str]) -> None:
    """Scenes parted by `||`, prompts by `|`, with what stands before and behind each."""
    if not texts and source.wishes.prompt:
        texts = [source.wishes.prompt]
    before, behind = source.text("scene_prefix"), source.text("scene_suffix")
    story = Story()
    notes: list[str] = []
    for number, text in enumerate(texts[:10_000]):
        pieces, images = [], []
        for part in f"{before} {text} {behind}".split("|")[:100]:
            made = _prompt(source, draft, part, notes)
            if isinstance(made, Piece):
                pieces.append(made)
            elif made is not None:
                images.append(made)
        story.scene(_first(source, draft, number), pieces, images)
    scenes, fitted = story.values(draft.frames)
    if not scenes:
        raise source.no_prompt()
    for key, words in (("scene_prefix", before), ("scene_suffix", behind)):
        source.account.mapped(source.has(key), "the texts of all scenes" if words else "nothing is added")
    draft.put("prompts", scenes, *source.has("scenes"), rule="; ".join(dict.fromkeys([*notes, *fitted])))


def _prompt(source: Source, draft: Draft, part: str, notes: list[str]) -> Piece | dict[str, Any] | None:
    """`text:weight_mask:stop`; a text in brackets is a picture."""
    text, *values = _CUT.split(part.strip(), 2)
    text = re.sub(r"\s+", " ", text).strip()[:LONGEST_TEXT]
    if not text:
        return None
    weight, stop = "1", "-inf"
    for name, value in zip(("weight", "stop"), values, strict=False):
        number, mask, _ = value.strip().partition("_")
        if mask:
            notes.append("masks of prompts are left out: give their prompts as regions")
        try:
            made = _value(draft, number.strip() or ("1" if name == "weight" else "-inf"), name)
        except KeyframeError as error:
            notes.append(f"the {name} '{short(number.strip(), 40)}' can't be read ({short(str(error), 150)})")
            continue
        weight, stop = (made, stop) if name == "weight" else (weight, made)
    if text.startswith("[") and text.endswith("]"):
        address = source.picture(text, "scenes")
        return None if address is None else {"image": address, "weight": weight, "stop": stop}
    return Piece(text, weight, stop)


def _value(draft: Draft, text: str, name: str) -> str:
    if _NUMBER.fullmatch(text):
        return spelled(text, MAX_WEIGHT if name == "weight" else math.inf)
    return draft.curve(text, NAMES).text


# ---- what it is held to, and cutouts


def _loss(source: Source, draft: Draft) -> None:
    key = "smoothing_weight"
    weight = source.number(key, 0.02, 0, 1000)
    if key in source:
        if draft.knows("loss.tv2"):
            draft.put("loss.tv2", weight, key)
        else:
            draft.put("loss.tv", weight, key, rule="absolute differences, where pytti squares them")
    source.init_image(draft, "init_image")
    _holds(source, draft)
    rate = source.get("learning_rate")
    if is_plain_number(rate):
        draft.put("optimiser.lr", float(rate), "learning_rate")
    else:
        draft.put(
            "optimiser.lr", 0.15 if source.text("vqgan_model") == "openimages" else 0.1, *source.has("learning_rate")
        )
    key = "reset_lr_each_frame"
    if not source.flag(key, True):
        source.account.mapped(source.has(key), "the optimiser goes on, as here")
    elif draft.knows("optimiser.carry", False):
        draft.put("optimiser.carry", False, *source.has(key))
    else:
        source.account.approximated(source.has(key), "Adam's moments move with the camera here, and do not begin anew")


def _holds(source: Source, draft: Draft) -> None:
    film = _over_a_film(source)
    rule = "the goal is the moved picture before it is encoded"
    for key, columns in (_FILM_HOLDS if film else _HOLDS).items():
        weight = _weight(source, draft, key)
        if weight is None:
            continue
        for column, factor in columns.items():
            try:
                said = _FILM_RULES.get(column, "") if film else rule
                draft.put(column, _times_of(weight, factor), key, rule=said)
            except KeyframeError as error:
                source.drop([key], f"it can't be written: {short(str(error), 200)}")
    for key, kind in _INIT_HOLDS.items():
        weight = _weight(source, draft, key)
        if weight is None:
            continue
        if film:
            source.drop([key], "it holds the first frame alone to the film, from which that starts here")
        elif "init_image" not in draft.columns:
            source.drop([key], "there is no init_image to be held to", shows=False)
        elif "hold.init" in draft.columns:
            source.drop([key], "init_image holds frames in one sense, which direct_init_weight says")
        elif weight.constant is None:
            source.drop([key], "a hold on init_image that changes in time ends with the first frame there")
        else:
            text = f"{weight.constant:g}" if draft.frames == 1 else f"where(t < 1, {weight.constant:g}, 0)"
            words = "of its latent, without the tenth of its pixels" if kind == "latent" else "of what it shows"
            if draft.put("hold.init", text, key, rule=f"{words}; in the first frame, as there"):
                draft.columns["hold.init_as"] = kind
    for key, reason in _NO_HOLDS.items():
        if source.is_off(key) or not source.text(key):
            source.account.mapped(source.has(key), "it is off")
        else:
            source.drop([key], reason)


def _weight(source: Source, draft: Draft, key: str) -> Curve | None:
    """The weight of a hold in time; None for one that is off or can't be read, which is accounted for."""
    text = source.text(key).strip()
    if source.is_off(key) or not text:
        source.account.mapped(source.has(key), "it is off")
        return None
    if _MASKED.search(text):
        source.drop([key], "a hold has no mask here: it would hold all of the frame")
        return None
    try:
        curve = draft.curve(text, NAMES)
    except KeyframeError as error:
        source.drop([key], f"it can't be read: {short(str(error), 200)}")
        return None
    if curve.constant == 0.0:
        source.account.mapped(source.has(key), "it is off")
        return None
    return curve


def _times_of(weight: Curve, factor: float) -> str:
    if weight.constant is not None:
        return f"{weight.constant * factor:g}"
    if factor == 1.0:
        return weight.text
    if weight.single is not None:
        return f"{factor:g}*({weight.single})"
    return baked(lambda at: weight.at(at) * factor, weight.timeline.frames)


def _cutouts(source: Source, draft: Draft) -> None:
    draft.put("cutouts.number", source.whole("cutouts", 40, 1, 512), *source.has("cutouts"))
    power = source.number("cut_pow", 2, 0.01, 10)
    draft.put("cutouts.power", power, *source.has("cut_pow"))
    draft.columns["cutouts.sizes"] = "normal"
    border = source.number("cutout_border", 0.25, 0, 1)
    draft.put("cutouts.outside", border, *source.has("cutout_border"))
    value = source.text("border_mode", "clamp")
    if "border_mode" in source:
        draft.put("cutouts.border", BORDERS.get(value, value), "border_mode")


def _over_a_film(source: Source) -> bool:
    return source.text("animation_mode") == "Video Source" and bool(source.text("video_path"))


def _source_and_sound(source: Source, draft: Draft) -> None:
    if _over_a_film(source):
        each = source.flag("reencode_each_frame")
        used = source.has("video_path", "animation_mode", "reencode_each_frame")
        draft.restyle(source.text("video_path"), "each" if each else "flow", *used)
    else:
        unused = ("video_path", "frame_stride", "reencode_each_frame", "flow_long_term_samples")
        source.drop(unused, "no source video is used", shows=False)
    if source.text("input_audio"):
        draft.put("audio", source.text("input_audio"), *source.has("input_audio"))
        if "input_audio_offset" in source:
            draft.put("audio_start", source.number("input_audio_offset", 0, 0, 100_000), "input_audio_offset")
        source.drop(["input_audio_filters"], "give bands, and their names behind band_ in the formulas")
    else:
        source.drop(("input_audio", "input_audio_filters", "input_audio_offset"), "no sound is used", shows=False)
