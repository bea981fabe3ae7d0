"""Deforum's settings.txt (sd-webui-deforum, 2023-10): its camera, prompts and times; not Stable Diffusion's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from manifests.importing.cameras import in_plane, in_space, read_curve
from manifests.importing.curves import renamed
from manifests.importing.documents import dictionary
from manifests.importing.draft import Draft, name_of_video
from manifests.importing.source import Imported, Source
from manifests.importing.wording import NEGATIVE, Piece, Story, compact, read_weighted
from manifests.schema import KeyframeError
from manifests.schema.keyframes import Keyframes
from manifests.schema.texts import short
from manifests.sources.jsonl_source import read_json

__all__ = ["NAMES", "PICTURE_MODEL", "read", "say_prompts"]

#: Names in its formulas, and here.
NAMES = {"s": "seed"}
#: The model that draws what a diffusion model drew: another one, whatever the source says.
PICTURE_MODEL = "imagenet-f16-16384"

_DIFFUSION = "a setting of Stable Diffusion, which does not draw here"
_FILES = "says how files are handled"
_QUIET = {
    **dict.fromkeys((
        "image_path", "mp4_path", "outdir", "save_*", "display_*", "show_*", "skip_video*", "make_gif", "delete_*",
        "store_frames_in_ram", "render_steps", "path_name_modifier", "ffmpeg_*", "overwrite_*", "resume_*", "log_*",
        "filename_format", "make_grid", "grid_rows", "n_batch", "n_samples", "precision", "timestring",
        "max_video_frames", "custom_settings_file", "deforum_git_commit_id", "motion_preview_mode", "init_image_box",
    ), _FILES),
    **dict.fromkeys(("seed_behavior", "seed_iter_N", "seed_schedule", "seed_internal"),
                    "randomness is addressed for each frame here"),
    **dict.fromkeys(("near_schedule", "far_schedule", "midas_weight", "depth_algorithm"), "a plane has no depth"),
    **dict.fromkeys(("kernel_schedule", "sigma_schedule"), "the radius is one pixel at 512 here"),
    **dict.fromkeys(("color_coherence_*", "legacy_colormatch"), "as color_coherence"),
    **dict.fromkeys(("parseq_use_deltas", "parseq_non_schedule_overrides"), "as parseq_manifest"),
    **dict.fromkeys(("C", "f", "strength_0_no_init"), _DIFFUSION),
    "sampling_mode": "moves are bicubic here",
    "perlin_*": "its noise is fractal here",
    "threshold_schedule": "all is sharpened here",
    "reroll_*": "no frame is blank here",
    "aspect_ratio_*": "pixels are square here",
}  # fmt: skip
_LOUD = {
    **dict.fromkeys((
        "sampler*", "scale", "cfg_*", "steps*", "enable_steps_scheduling", "ddim_eta*", "ancestral_eta*", "enable_*",
        "checkpoint*", "clipskip*", "sd_model*", "restore_faces", "subseed*", "seed_enable_extras", "seed_resize*",
        "noise_multiplier*", "pix2pix*", "strength*", "dynamic_threshold", "static_threshold", "prompt_weighting",
        "normalize_prompt_weights", "freeu_*", "kohya_*", "distilled_cfg*", "scheduler*", "hires*", "init_latent",
        "init_sample", "init_c", "prompt", "diffusion_redo", "animatediff_*", "skip_steps",
    ), _DIFFUSION),
    **dict.fromkeys(("cn_*", "controlnet*"), "nightreel has no ControlNet"),
    "hybrid_*": "source.mode flow mixes and moves in a way of its own: see source.blend",
    "extract_*": "source.start and source.fps say which frames are taken, in seconds",
    **dict.fromkeys(("optical_flow_*", "cadence_flow*", "redo_flow*"), "nightreel has no optical flow yet"),
    **dict.fromkeys((
        "mask_*", "noise_mask*", "use_noise_mask", "use_alpha_as_mask", "invert_mask", "fill", "full_res_mask*",
    ), "of a mask whole tokens stay or are free"),
    "overlay_mask": "finish.paste_mask does, where the camera rests or the mask goes with it",
    **dict.fromkeys(("image_strength_schedule", "blendFactor*", "tweening_frames_schedule", "color_correction_factor"),
                    "as init_images"),
    "r_upscale_*": "add the net by `nightreel models add-upscaler` and name it by finish.upscaler",
    "frame_interpolation_*": "frames between are made by motion, as finish.between says",
    "color_force_grayscale": "nightreel has no grey pictures",
    "soundtrack_path": "nightreel has no sound yet",
}  # fmt: skip


def read(source: Source) -> Imported:
    """Make a row of Deforum's settings.

    Raises:
        ManifestError: they hold no prompts.
    """
    draft = source.draft("deforum")
    if source.text("batch_name"):
        draft.columns["video_id"] = _name(source, draft)
    mode = source.text("animation_mode", "2D")
    frames = 1 if mode == "None" else source.whole("max_frames", 120, 1, 1_000_000)
    draft.put("frames", frames, *source.has("max_frames"), rule="animation_mode None makes a still" * (mode == "None"))
    draft.put("fps", source.number("fps", 15, 0.1, 240), *source.has("fps"))
    size = source.size(draft, "W", "H")
    source.seed(draft, "seed")
    source.model(draft, PICTURE_MODEL)
    say_prompts(source, draft, _prompts(source), travel=mode == "Interpolation", names=NAMES)
    _camera(source, draft, mode, size)
    _picture(source, draft)
    _renewal(source, draft)
    _strength(source, draft)
    _others(source, draft, mode)
    _switched_off(source)
    source.rest(_QUIET, _LOUD, "Deforum")
    return Imported("deforum", "Deforum", source.account, tuple(source), (draft,))


def _name(source: Source, draft: Draft) -> str:
    source.account.mapped(["batch_name"], "video_id")
    return name_of_video(source.text("batch_name") + ".x", draft.columns["video_id"])


def _prompts(source: Source) -> Mapping[str, Any]:
    """The prompts by their keys, written as an object or as the text of one."""
    value: Any = source.get("prompts", source.get("animation_prompts"))
    if isinstance(value, str):
        text = value.strip()
        try:
            value = read_json(text)
        except (ValueError, RecursionError):
            try:
                value = dictionary(text)
            except ValueError:
                value = {"0": text} if text else None
    if isinstance(value, list):
        value = {"0": ", ".join(str(it) for it in value[:100])}
    return value if isinstance(value, Mapping) else {}


def say_prompts(
    source: Source, draft: Draft, prompts: Mapping[Any, Any], *, travel: bool, names: Mapping[str, str],
    key: str = "prompts",
) -> None:  # fmt: skip
    """Say prompts that are keyed by frames, or by formulas in max_f, in the spelling of Stable Diffusion's tools.

    Raises:
        ManifestError: there is none.
    """
    keys = source.has(key, "animation_prompts") if key == "prompts" else source.has(key)
    story, notes = Story(), []
    if not prompts and source.wishes.prompt:
        prompts = {"0": source.wishes.prompt}
    for written, text in prompts.items():
        try:
            at = _frame(str(written), draft, names)
        except KeyframeError as error:
            notes.append(f"'{short(str(written), 40)}' is no frame ({short(str(error), 120)})")
            continue
        found = read_weighted(str(text), lambda formula: draft.curve(formula, dict(names)).text)
        notes += found.notes
        story.scene(at, found.pieces)
    scenes, fitted = story.values(draft.frames)
    if not scenes:
        raise source.no_prompt()
    words = "; ".join(dict.fromkeys([*notes, *fitted]))
    draft.put("prompts", scenes, *keys, rule=words)
    if travel and len(scenes) > 1:
        draft.put("travel", True, *source.has("animation_mode"))
    elif len(scenes) > 1:
        draft.put("crossfade", 0)
        draft.notes["crossfade"] = "its prompts follow each other by cuts"
    _everywhere(source, draft)


def _frame(written: str, draft: Draft, names: Mapping[str, str]) -> int:
    text = written.strip().strip("\"'").strip()
    if text.isascii() and text.isdecimal():
        return int(text[:9])
    # an expression in max_f; what it is at frame 0 is the frame, half a frame the one before
    return max(0, int(min(1e6, Keyframes.parse(renamed(text, names), draft.timeline).at(0))))


def _everywhere(source: Source, draft: Draft) -> None:
    """The boxes whose text is added to all prompts."""
    parts: list[str] = []
    rules: dict[str, str] = {}
    for key, negative in (("animation_prompts_positive", False), ("animation_prompts_negative", True)):
        found = read_weighted(source.text(key), lambda formula: draft.curve(formula, NAMES).text)
        if not found.pieces:
            source.account.mapped(source.has(key), "nothing is added")
            continue
        if negative:
            found.pieces = [Piece(it.text, *NEGATIVE) for it in found.pieces]
            found.note(f"it pushes away, with the weight {NEGATIVE[0]} and the stop {NEGATIVE[1]}")
        plain = compact(found.pieces)
        parts.append(f"| {plain}" if negative or len(found.pieces) > 1 else plain)
        rules[key] = "; ".join(found.notes)
    if parts and draft.put("suffix", " ".join(parts), *rules):
        for key, rule in rules.items():
            if rule:
                source.account.approximated([key], rule)


def _camera(source: Source, draft: Draft, mode: str, size: tuple[float, float]) -> None:
    flat = ("zoom", "angle", "transform_center_x", "transform_center_y", "border")
    deep = ("rotation_3d_x", "rotation_3d_y", "rotation_3d_z", "translation_z", "fov_schedule", "padding_mode",
            "use_depth_warping")  # fmt: skip
    both = ("translation_x", "translation_y")
    if mode not in ("2D", "3D"):
        words = f"in the mode {short(mode, 20)} no camera moves there either"
        source.drop((*flat, *deep, *both), words, shows=False)
    elif mode == "2D":
        in_plane(source, draft, NAMES, size, centre=("transform_center_x", "transform_center_y"))
        _border(source, draft, "border", {"wrap": "wrap", "replicate": "replicate"}, "replicate")
        source.drop(deep, "it belongs to the mode 3D", shows=False)
    else:
        in_space(source, draft, NAMES, size)
        _border(
            source,
            draft,
            "padding_mode",
            {"border": "replicate", "reflection": "reflect", "zeros": "black"},
            "replicate",
        )
        source.drop(flat, "it belongs to the mode 2D", shows=False)
        if source.flag("use_depth_warping", True):
            source.account.approximated(
                source.has("use_depth_warping"), "nightreel has no depth model yet: all things are as far as each other"
            )
        else:
            source.account.mapped(source.has("use_depth_warping"), "a plane, as without it")
    _flip(source, draft, mode)
    if source.text("animation_mode") and source.account.fate("animation_mode") is None:
        source.account.mapped(["animation_mode"], f"the columns of {short(mode, 20)}")


def _border(source: Source, draft: Draft, key: str, known: Mapping[str, str], default: str) -> None:
    value = source.text(key, default)
    if value in known:
        draft.put("border", known[value], *source.has(key))
    else:
        source.drop([key], f"'{short(value, 40)}' is no border")


def _flip(source: Source, draft: Draft, mode: str) -> None:
    """Deforum's perspective flip: theta tips about the horizontal axis, phi about the vertical one, gamma turns."""
    keys = {"plane_x": "perspective_flip_theta", "plane_y": "perspective_flip_phi"}
    rest = ("perspective_flip_gamma", "perspective_flip_fv")
    if mode not in ("2D", "3D") or not source.flag("enable_perspective_flip"):
        source.drop(("enable_perspective_flip", *keys.values(), *rest), "the perspective flip is off", shows=False)
        return
    source.account.approximated(
        source.has("enable_perspective_flip"), "by the columns of its axes, one after the other"
    )
    for column, key in keys.items():
        curve = read_curve(source, draft, key, 0.0, NAMES)
        if not curve.is_always(0.0):
            draft.put(column, curve.text, *source.has(key), rule="it tips about the picture's middle")
        elif source.account.fate(key) is None:
            source.account.mapped(source.has(key), "0, as without it")
    source.drop(rest, "of the perspective flip only the two angles are said")


def _mask(source: Source, draft: Draft) -> None:
    keys = ("use_mask", "mask_file")
    if "init_image" not in draft.columns:
        source.drop(keys, "a mask keeps parts of a first picture, and there is none")
    elif source.flag("invert_mask"):
        source.drop((*keys, "invert_mask"), "white is what may change: turn the picture's black and white round first")
    elif (found := source.picture(source.text("mask_file"), "mask_file")) is not None:
        draft.put("mask", found, *source.has(*keys), rule="by whole tokens, of half of their area")


def _picture(source: Source, draft: Draft) -> None:
    if source.flag("use_init"):
        source.init_image(draft, "init_image")
        source.account.mapped(source.has("use_init"), "init_image")
    else:
        source.drop(("use_init", "init_image"), "no first picture is used", shows=False)
    if source.flag("use_mask"):
        _mask(source, draft)
    else:
        others = ("hybrid_", "cn_", "use_mask_video", "video_mask_path")
        quiet = [it for it in source if "mask" in it and not it.startswith(others)]
        source.drop([*quiet, "fill"], "no mask is used", shows=False)
    if source.flag("use_mask_video"):
        draft.put("mask_video", source.text("video_mask_path"), *source.has("use_mask_video", "video_mask_path"))
    else:
        source.drop(("use_mask_video", "video_mask_path"), "no moving mask is used", shows=False)


def _renewal(source: Source, draft: Draft) -> None:
    wanted = (("noise_schedule", "renew.noise", 0.065, 0.0), ("contrast_schedule", "renew.contrast", 1.0, 1.0),
              ("amount_schedule", "renew.sharpen", 0.05, 0.0))  # fmt: skip
    for key, column, default, neutral in wanted:
        curve = read_curve(source, draft, key, default, NAMES)
        if key not in source or source.account.fate(key) == "dropped":
            continue
        if curve.is_always(neutral):
            source.account.mapped([key], "as without it")
        else:
            draft.put(column, curve.text, key)
    if "noise_type" in source:
        grain = "fractal" if source.text("noise_type") == "perlin" else "white"
        draft.put("renew.grain", grain, "noise_type")
    coherence = source.text("color_coherence", "None")
    if coherence in ("None", ""):
        source.account.mapped(source.has("color_coherence"), "as without it")
        source.drop(["color_coherence_image_path"], "as color_coherence", shows=False)
        return
    if not draft.put(
        "renew.colours", "0.9", *source.has("color_coherence"), rule="means and deviations, not histograms"
    ):
        source.drop(["color_coherence_image_path"], "as color_coherence", shows=False)
        return
    path = source.text("color_coherence_image_path")
    of_image = coherence == "Image" and path
    wanted_from = source.picture(path, "color_coherence_image_path") if of_image else "first"
    if wanted_from is not None:
        draft.put("renew.colours_from", wanted_from, *source.has("color_coherence_image_path") if of_image else ())


def _strength(source: Source, draft: Draft) -> None:
    """How much of a frame stays, as steps, if that is asked for: 25 of them where Deforum's default leaves .65."""
    if not source.wishes.steps_from_strength:
        return
    key = "strength_schedule"
    curve = read_curve(source, draft, key, 0.65, NAMES)
    value = curve.constant
    words = "steps = 25*(1 - strength)/.35"
    if value is None:
        value = sum(curve.at(at) for at in range(min(1000, draft.frames))) / min(1000, draft.frames)
        words += ", of its mean"
    draft.put("steps", max(1, min(10_000, round(25 * (1 - value) / 0.35))), *source.has(key), rule=words)


def _others(source: Source, draft: Draft, mode: str) -> None:
    cadence = source.whole("diffusion_cadence", 1, 1, 1000)
    if cadence == 1:
        source.account.mapped(source.has("diffusion_cadence"), "each frame is drawn, as here")
    else:
        draft.put("cadence", cadence, *source.has("diffusion_cadence"))
    uses_video = mode == "Video Input" or source.flag("hybrid_composite") or not source.is_off("hybrid_motion")
    if uses_video and source.text("video_init_path"):
        flows = not source.is_off("hybrid_motion") or source.flag("hybrid_composite")
        draft.restyle(
            source.text("video_init_path"),
            "flow" if flows else "each",
            *source.has("video_init_path"),
            rule="as many frames as the film has; the former frame is moved by OpenCV's DIS" if flows else "",
        )
    else:
        keys = [it for it in source if it.startswith(("hybrid_", "extract_"))]
        source.drop(["video_init_path", *keys], "no source video is used", shows=False)
    if source.is_off("add_soundtrack") or source.text("add_soundtrack", "None") == "None":
        source.drop(("add_soundtrack", "soundtrack_path"), "no sound is added", shows=False)
    else:
        draft.put("audio", source.text("soundtrack_path"), *source.has("add_soundtrack", "soundtrack_path"))
    factor = source.text("frame_interpolation_x_amount", "Disabled").lower().removeprefix("x")
    if source.is_off("frame_interpolation_engine") and "frame_interpolation_engine" in source:
        factor = ""
    if factor.isascii() and factor.isdecimal() and 1 < int(factor[:3]) <= 10:
        fps = float(draft.columns.get("fps", 15)) * int(factor[:3])
        draft.put("finish.fps", fps, "frame_interpolation_x_amount")
    off = factor in ("disabled", "")
    if off:
        interpolation = [it for it in source if it.startswith("frame_interpolation_")]
        source.drop(interpolation, "no frames are put between", shows=False)
    if not source.flag("r_upscale_video"):
        source.drop([it for it in source if it.startswith("r_upscale_")], "nothing is enlarged", shows=False)
    if source.flag("tiling"):
        draft.put("tile", "xy", "tiling")  # where the camera does more than shift it is refused in the end, and said so
    else:
        source.drop(["tiling"], "it is off", shows=False)
    if source.flag("use_looper"):
        source.drop(("use_looper", "init_images"), "guided pictures: say them as `images` of the scenes, by hand")
    else:
        keys = [it for it in source if it.startswith(("blendFactor", "tweening_"))]
        source.drop(
            ("use_looper", "init_images", "image_strength_schedule", "color_correction_factor", *keys),
            "no guided pictures are used", shows=False,
        )  # fmt: skip
    if source.text("parseq_manifest"):
        source.account.needs(
            ["parseq_manifest"], "its frames rule over these settings: import that file itself (--from parseq)"
        )
    else:
        source.drop(["parseq_manifest"], "none is used", shows=False)
    _controlnet(source)


def _switched_off(source: Source) -> None:
    """What is given, and not used."""
    for key in source:
        base = re.sub(r"(?:_strength)?_schedule$", "", key)
        switch = f"enable_{base}_scheduling"
        if base != key and switch in source and not source.flag(switch):
            source.drop([key, switch], "it is not switched on", shows=False)
    for switch, keys in (
        ("optical_flow_cadence", ("cadence_flow_factor_schedule",)),
        ("optical_flow_redo_generation", ("redo_flow_factor_schedule",)),
    ):
        if source.is_off(switch):
            source.drop(keys, "it is not switched on", shows=False)


def _controlnet(source: Source) -> None:
    units = {it.split("_")[1] for it in source if it.startswith("cn_") and it.count("_") > 1}
    off = {unit for unit in units if not source.flag(f"cn_{unit}_enabled")}
    keys = [it for it in source if it.startswith("cn_") and it.count("_") > 1 and it.split("_")[1] in off]
    source.drop(keys, "this ControlNet is off", shows=False)
    if not source.flag("enable_freeu", False):
        source.drop([it for it in source if it.startswith("freeu_")], "it is off", shows=False)
