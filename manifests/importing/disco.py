"""Disco Diffusion's settings (5.x, 2022): its camera and prompts; not the diffusion model's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from manifests.importing.cameras import in_plane, in_space
from manifests.importing.deforum import PICTURE_MODEL
from manifests.importing.documents import frame_number, is_plain_number
from manifests.importing.draft import Draft, name_of_video
from manifests.importing.source import Imported, Source
from manifests.importing.wording import Piece, Story, trailing_weights
from manifests.schema.texts import short

__all__ = ["read"]

_DIFFUSION = "a setting of the diffusion model, which does not draw here"
_QUIET = {
    **dict.fromkeys((
        "display_rate", "n_batches", "batch_size", "batchNum", "intermediate*", "steps_per_checkpoint", "resume*",
        "retain_*", "console_preview*", "cutout_debug", "stop_early", "run_to_resume", "start_frame", "save_*",
        "interp_spline", "key_frames", "prompts_series", "image_prompts_series", "useCPU", "gobig*",
    ), "says how files and runs are handled"),
    "near_plane": "a plane has no depth", "far_plane": "a plane has no depth", "midas_*": "a plane has no depth",
    "sampling_mode": "moves are bicubic here", "cutn_batches": "all cutouts are one batch here",
}  # fmt: skip
_LOUD = {
    **dict.fromkeys((
        "clip_guidance_scale", "tv_scale", "range_scale", "sat_scale", "init_scale", "skip_steps", "frames_scale",
        "frames_skip_steps", "skip_augs", "randomize_class", "clip_denoised", "clamp_*", "eta", "diffusion_*",
        "use_secondary_model", "steps", "timestep_respacing", "fuzzy_prompt", "rand_mag", "use_checkpoint", "side_x",
        "side_y", "sharpen_preset", "custom_path", "symmetry_loss_scale", "dynamic_*", "RN*", "ViT*", "SLIP*",
        "transformation_percent", "sym*",
    ), _DIFFUSION),
    "cut_ic_pow": "crops have uniform sides here (cutouts.power)", "turbo_*": "nightreel has no cadence yet",
    "vr_*": "nightreel has no pictures for two eyes", "extract_nth_frame": "source.fps says how many frames are "
    "taken a second", "video_init_*": "source.mode and source.blend say it in their own way",
    "flow_*": "source.blend says it in its own way",
    "colormatch*": "nightreel has no colours of a source video yet",
}  # fmt: skip
_RUN = re.compile(r"\[(\d+(?:\.\d*)?|\.\d+)\](?:\*(\d{1,6}))?", re.ASCII)
# Of a mirror image that is seen at once, with prompts of weight 1 (infra/docs/colour.md).
_MIRROR = 20


def read(source: Source) -> Imported:
    """Make a row of Disco's settings.

    Raises:
        ManifestError: they hold no prompts.
    """
    draft = source.draft("disco")
    if source.text("batch_name"):
        draft.columns["video_id"] = name_of_video(source.text("batch_name") + ".x", draft.columns["video_id"])
        source.account.mapped(["batch_name"], "video_id")
    mode = source.text("animation_mode", "None")
    frames = 1 if mode == "None" else source.whole("max_frames", 10_000, 1, 1_000_000)
    rule = "animation_mode None makes a still" if mode == "None" and "max_frames" in source else ""
    draft.put("frames", frames, *source.has("max_frames"), rule=rule)
    draft.put("fps", source.number("fps", 12, 0.1, 240), *source.has("fps"))
    size = _size(source, draft)
    source.seed(draft, "seed" if "seed" in source else "set_seed")
    source.model(draft, PICTURE_MODEL)
    _prompts(source, draft)
    _camera(source, draft, mode, size)
    _start(source, draft)
    _cutouts(source, draft)
    if mode == "Video Input":
        flows = source.flag("video_init_flow_warp") or source.flag("flow_warp")
        draft.restyle(source.text("video_init_path"), "flow" if flows else "each", *source.has("video_init_path"))
    else:
        keys = [it for it in source if it.startswith(("video_init_", "extract_", "flow_"))]
        source.drop(keys, "no source video is used", shows=False)
    for key in ("use_vertical_symmetry", "use_horizontal_symmetry"):
        if source.flag(key):
            # its horizontal symmetry copies the left half, turned over, to the right
            column = "loss.mirror_x" if "horizontal" in key else "loss.mirror_y"
            draft.put(column, _MIRROR, key, rule="a half is copied to the other at some steps there, drawn to it here")
        else:
            source.drop([key], "it is off", shows=False)
    if not source.flag("turbo_mode"):
        source.drop([it for it in source if it.startswith("turbo_")], "it is off", shows=False)
    if not source.flag("vr_mode"):
        source.drop([it for it in source if it.startswith("vr_")], "it is off", shows=False)
    source.rest(_QUIET, _LOUD, "Disco Diffusion")
    return Imported("disco", "Disco Diffusion", source.account, tuple(source), (draft,))


def _size(source: Source, draft: Draft) -> tuple[float, float]:
    both = source.get("width_height")
    if isinstance(both, list) and len(both) == 2 and all(map(is_plain_number, both)) and "width" not in source:
        sides = (min(1e5, max(1.0, float(both[0]))), min(1e5, max(1.0, float(both[1]))))
        source.sides(draft, sides, ("width_height",), ("width_height",))
        return sides
    source.drop(["width_height"], "width and height say it", shows=False)
    return source.size(draft, "width", "height")


def _prompts(source: Source, draft: Draft) -> None:
    story, notes = Story(), []
    texts: Any = source.get("text_prompts")
    keyed = texts if isinstance(texts, Mapping) else {"0": texts} if isinstance(texts, list | str) else {}
    if not keyed and source.wishes.prompt:
        keyed = {"0": source.wishes.prompt}
    pictures = _pictures(source)
    for written, lines in keyed.items():
        at = frame_number(written)
        if at is None:
            notes.append(f"'{short(str(written), 40)}' is no frame")
            continue
        pieces = [_piece(str(it)) for it in (lines if isinstance(lines, list) else [lines])]
        story.scene(at, [it for it in pieces[:100] if it is not None], pictures.pop(at, ()))
    for at, images in pictures.items():
        story.scene(at, [], images)
    scenes, fitted = story.values(draft.frames)
    if not scenes:
        raise source.no_prompt()
    draft.put("prompts", scenes, *source.has("text_prompts"), rule="; ".join(dict.fromkeys([*notes, *fitted])))
    if len(scenes) > 1:
        draft.put("crossfade", 0)
        draft.notes["crossfade"] = "its prompts follow each other by cuts"


def _piece(text: str) -> Piece | None:
    return trailing_weights(text)


def _pictures(source: Source) -> dict[int, list[dict[str, Any]]]:
    """The pictures that are prompts, by frames."""
    value = source.get("image_prompts")
    made: dict[int, list[dict[str, Any]]] = {}
    if not value:
        source.account.mapped(source.has("image_prompts"), "there are none")
        return made
    keyed = value if isinstance(value, Mapping) else {"0": value}
    for written, lines in keyed.items():
        at = frame_number(written)
        for line in (lines if isinstance(lines, list) else [lines])[:100]:
            found = _piece(str(line))
            if found is None or at is None:
                continue
            address = source.picture(found.text, "image_prompts")
            if address is not None:
                weight = {"weight": found.weight} if found.weight != "1" else {}
                made.setdefault(at, []).append({"image": address, **weight})
    if source.account.fate("image_prompts") is None:
        source.account.mapped(["image_prompts"], "images of the scenes")
    return made


def _camera(source: Source, draft: Draft, mode: str, size: tuple[float, float]) -> None:
    flat = ("zoom", "angle")
    deep = ("rotation_3d_x", "rotation_3d_y", "rotation_3d_z", "translation_z", "fov", "padding_mode")
    if mode == "2D":
        in_plane(source, draft, {}, size)
        draft.implied("border", "wrap", "Disco's pictures go on at the other side of what a move uncovers")
        source.drop(deep, "it belongs to the mode 3D", shows=False)
    elif mode == "3D":
        in_space(source, draft, {}, size, fov=("fov", 40.0))
        padding = {"border": "replicate", "reflection": "reflect", "zeros": "black"}
        value = source.text("padding_mode", "border")
        draft.put("border", padding.get(value, "replicate"), *source.has("padding_mode"))
        source.drop(flat, "it belongs to the mode 2D", shows=False)
    else:
        words = f"in the mode {short(mode, 20)} no camera moves there either"
        source.drop((*flat, *deep, "translation_x", "translation_y"), words, shows=False)
    if "animation_mode" in source:
        source.account.mapped(["animation_mode"], f"the columns of {short(mode, 20)}")


def _cutouts(source: Source, draft: Draft) -> None:
    """How many cutouts of each kind there are at each of a frame's 1000 steps, which count down; and how many of a kind
    are grey."""
    schedules = {key: _schedule(source.get(key)) for key in ("cut_overview", "cut_innercut", "cut_icgray_p")}
    overview, inner, grey = schedules.values()
    if overview is None or inner is None:
        source.drop([key for key in source if key.startswith("cut_")], "it can't be read as a schedule")
        return
    edges = sorted({at for runs in (overview, inner) for _, at in runs})
    counts = [(min(_count(overview, at), 500), min(_count(inner, at), 500), at) for at in edges]
    totals = [max(1, round(of_all + some)) for of_all, some, _ in counts]
    shares = [(of_all / max(1.0, of_all + some), at) for of_all, some, at in counts]
    draft.put("cutouts.number", min(512, max(totals)), *source.has("cut_innercut"))
    draft.put("cutouts.overview", _chosen(shares), *source.has("cut_overview"))
    if grey is not None:
        rule = "the chance is of all cutouts here, of inner ones there"
        draft.put("cutouts.grey", _chosen([(min(1.0, max(0.0, value)), at) for value, at in grey]),
                  *source.has("cut_icgray_p"), rule=rule)  # fmt: skip


def _schedule(value: Any) -> list[tuple[float, float]] | None:
    """`[12]*400+[4]*600` as pairs of a value and the share of the steps at which it ends; None for anything else."""
    text = "".join(str(value).split())
    if is_plain_number(value):
        return [(float(value), 1.0)]
    parts = [_RUN.fullmatch(part) for part in text[:2000].split("+")]
    if not all(parts):
        return None
    runs = [(float(it[1]), int(it[2] or 1)) for it in parts if it is not None]
    total = sum(length for _, length in runs)
    if not total:
        return None
    found, over = [], 0
    for number, length in runs:
        over += length
        found.append((number, round(over / total, 4)))
    return found


def _count(runs: list[tuple[float, float]], at: float) -> float:
    """The value of a schedule just before the share `at` of the steps."""
    return next((value for value, end in runs if at <= end), runs[-1][0])


def _chosen(runs: list[tuple[float, float]]) -> str:
    """The values of runs, each up to the share at which it ends, as one expression."""
    text = f"{round(runs[-1][0], 4):g}"
    for value, end in reversed(runs[:-1]):
        if f"{round(value, 4):g}" != text:
            text = f"where(u < {end:g}, {round(value, 4):g}, {text})"
    return text


def _start(source: Source, draft: Draft) -> None:
    source.init_image(draft, "init_image")
    if source.flag("perlin_init"):
        draft.put("init", "fractal", *source.has("perlin_init", "perlin_mode"))
    else:
        source.drop(("perlin_init", "perlin_mode"), "it is off", shows=False)
