"""nerdyrodent's VQGAN-CLIP by its command line (592d555, 2022), EleutherAI's main.py with nearly the same flags, and
zoom.sh. Steps are proved equal to its own (preset `nerdyrodent`); videos differ in how a frame goes on."""

from __future__ import annotations

from typing import Any

from manifests.importing.command_line import LONG, TYPED, Command, commands_of
from manifests.importing.documents import is_plain_number
from manifests.importing.draft import Draft, name_of_prompt, name_of_video
from manifests.importing.models import PERCEPTOR, VQGANS
from manifests.importing.source import Imported, Source, Wishes
from manifests.importing.wording import Piece, Story, trailing_weights
from manifests.schema.texts import short

__all__ = ["AUGMENTS", "read_commands", "say_model"]

_PROMPT = "A cute, smiling, Nerdy Rodent"
_ZOOM = ("-zs", "-zse", "-zsc", "-zsx", "-zsy")
_NONE = {f"{it}_probability": 0 for it in ("affine", "perspective", "jitter", "erase", "flip")}
#: What each method does to a cutout, beside what the preset says, which is `latest`.
_METHODS: dict[str, dict[str, Any]] = {
    "latest": {},
    "original": {"method": "lanczos", **_NONE, "noise": 0},
    "updated": {
        **_NONE, "method": "lanczos", "border": "replicate", "flip_probability": 0.5, "hue": 0.01, "saturation": 0.01,
        "brightness": 0, "contrast": 0, "jitter_probability": 0.7, "degrees": 30, "shear": 0, "affine_probability": 0.8,
        "perspective": 0.2, "perspective_probability": 0.4, "sharpen": -0.85, "sharpen_probability": 0.4,
    },
    "nrupdated": {"method": "lanczos"},
    "updatedpooling": {"border": "replicate", "shear": 0, "brightness": 0, "contrast": 0},
}  # fmt: skip
#: The augmentations that -aug names, as columns of cutouts.
AUGMENTS: dict[str, dict[str, Any]] = {
    "Ji": {"jitter_probability": 0.7}, "Pe": {"perspective_probability": 0.7},
    "Ro": {"affine_probability": 0.7, "degrees": 15, "translate": 0, "shear": 0}, "Af": {"affine_probability": 0.7,
    "degrees": 30}, "Er": {"erase_probability": 0.7}, "Gn": {"noise": 0.5}, "Cr": {}, "Re": {},
    # kornia's sharpness of 0 to .3 is less than 1: it softens; its mean is taken
    "Sh": {"sharpen": -0.85, "sharpen_probability": 0.5}, "Et": {"bend": 0.06, "bend_probability": 0.7},
    "Ts": {"bend": 0.15, "bend_probability": 0.7},
}  # fmt: skip
_WHOLE = "is left out: crops are whole pictures here"
_BENDS = "as a smooth bend (cutouts.bend)"
_AUGMENT_NOTES = {
    "Gn": "Gn as noise of any crop",
    "Cr": f"Cr {_WHOLE}",
    "Re": f"Re {_WHOLE}",
    "Sh": "Sh, which softens there, by its mean (cutouts.sharpen)",
    "Et": f"Et {_BENDS}",
    "Ts": f"Ts {_BENDS}",
}


def read_commands(text: str, name: str, wishes: Wishes) -> Imported:
    """Make a row of each command.

    Raises:
        ManifestError: there is none, or one can't be taken apart.
    """
    commands = commands_of(text, name)
    account = Source({}, text, name, wishes).account
    drafts: list[Draft] = []
    keys: list[str] = []
    used: set[str] = set()
    for command in commands:
        where = f"line {command.line}: " if len(commands) > 1 else ""
        source = Source(_settings(command, where), text, name, wishes)
        source.account = account
        draft = _zoom_script(source, where) if command.program == "zoom.sh" else _row(source, command, where)
        if name == TYPED and not source.has(f"{where}-o", f"{where}FILENAME"):
            draft.columns["video_id"] = name_of_prompt(_words(draft), draft.columns["video_id"])
        _number_repeated(draft, used)
        drafts.append(draft)
        keys += list(source)
    return Imported("nr", "VQGAN-CLIP's command line", account, tuple(keys), tuple(drafts))


def _words(draft: Draft) -> str:
    """The first text that it draws."""
    scenes = draft.columns.get("prompts") or [{}]
    return str((scenes[0].get("prompts") or [{}])[0].get("text", ""))


def _number_repeated(draft: Draft, used: set[str]) -> None:
    """Give a row a `video_id` that no other one of these has: a number behind it."""
    wanted, number = draft.columns["video_id"], 1
    while draft.columns["video_id"] in used:
        number += 1
        draft.columns["video_id"] = f"{wanted}-{number}"
    used.add(draft.columns["video_id"])


def _settings(command: Command, where: str) -> dict[str, Any]:
    if command.program == "zoom.sh":
        return {
            f"{where}{name}": it for name, it in zip(("TEXT", "FILENAME", "MAX_EPOCHS"), command.words, strict=False)
        }
    made: dict[str, Any] = {f"{where}{flag}": _value(flag, values) for flag, values in command.flags.items()}
    return made | {f"{where}{short(word, 40)}": None for word in command.unknown}


def _value(flag: str, values: list[str]) -> Any:
    if flag in ("-vid", "-zvid", "-d"):
        return True
    return values if flag in ("-s", "-nps", "-npw", "-aug") else values[0] if values else None


class _Flags:
    """The flags of one command, by their short names."""

    def __init__(self, source: Source, where: str) -> None:
        self.source, self.where = source, where

    def key(self, flag: str) -> str:
        return f"{self.where}{flag}"

    def has(self, *flags: str) -> tuple[str, ...]:
        return self.source.has(*map(self.key, flags))

    def number(self, flag: str, default: float, low: float = -1e9, high: float = 1e9) -> float:
        return self.source.number(self.key(flag), default, low, high)

    def whole(self, flag: str, default: int, low: int, high: int) -> int:
        return self.source.whole(self.key(flag), default, low, high)

    def text(self, flag: str, default: str = "") -> str:
        return self.source.text(self.key(flag), default)

    def list(self, flag: str) -> list[str]:
        value = self.source.get(self.key(flag))
        return [str(it) for it in value] if isinstance(value, list) else []

    def flag(self, flag: str) -> bool:
        return self.key(flag) in self.source


def _row(source: Source, command: Command, where: str) -> Draft:
    flags = _Flags(source, where)
    draft = source.draft("vqgan-clip")
    if flags.text("-o"):
        draft.columns["video_id"] = name_of_video(flags.text("-o"), draft.columns["video_id"])
        source.account.mapped(flags.has("-o"), "video_id")
    _shell_variables(source)
    draft.put("preset", "nerdyrodent")
    draft.notes["preset"] = "its steps, proved equal"
    _times(flags, draft)
    _size(flags, draft)
    source.seed(draft, flags.key("-sd"))
    say_model(source, draft, flags.key("-conf"), flags.key("-ckpt"), flags.key("-m"))
    _prompts(flags, draft)
    _start(flags, draft)
    _cutouts(flags, draft)
    _optimiser(flags, draft)
    if flags.has("-zvid"):
        _zoom(flags, draft)
    else:
        source.account.dropped(flags.has(*_ZOOM), "without -zvid it does nothing there either", shows=False)
    if flags.has("-vsd"):
        draft.restyle(flags.text("-vsd"), "each", *flags.has("-vsd"))
        draft.put("steps", flags.whole("-i", 500, 1, 10_000), *flags.has("-i"))
    source.account.dropped(flags.has("-se"), "how often it shows a picture", shows=False)
    source.account.dropped(flags.has("-d", "-cd"), "how it runs: pictures are repeatable here", shows=False)
    unknown = [key for key in source if key.removeprefix(where) not in LONG and source.account.fate(key) is None]
    source.account.dropped(unknown, "no flag of VQGAN-CLIP that nightreel knows")
    return draft


def _shell_variables(source: Source) -> None:
    for key, value in source.values.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(it, str) and "$" in it for it in texts):
            source.account.needs([key], f"'{short(str(value), 60)}' names a variable of the shell: write its value")


def _times(flags: _Flags, draft: Draft) -> None:
    steps = flags.whole("-i", 500, 1, 10_000_000)
    every = flags.whole("-zse", 10, 1, 10_000)
    frames = 1
    if flags.flag("-zvid"):
        frames = max(1, min(1_000_000, steps // every))
        draft.put("frames", frames, *flags.has("-i", "-zvid"))
        draft.put("steps", every, *flags.has("-zse"))
        draft.put("steps_first", every)
        draft.notes["steps_first"] = "as there; 100 and more make a better first frame"
        flags.source.account.dropped(flags.has("-vid"), "-zvid rules it out there, too", shows=False)
    elif flags.flag("-vid"):
        frames = min(1_000_000, steps)
        rule = "a frame for each step: the picture as it comes to be"
        draft.put("frames", frames, *flags.has("-i", "-vid"), rule=rule)
        draft.put("steps", 1)
        draft.put("steps_first", 1)
    else:
        draft.put("steps_first", min(10_000, steps), *flags.has("-i"))
    moving = flags.flag("-zvid") or flags.flag("-vid")
    if not moving:
        flags.source.account.dropped(flags.has("-vl", "-ofps", "-ifps"), "a still has no time", shows=False)
        return
    between = flags.number("-ofps", 0, 0, 1000)
    length = flags.number("-vl", 10, 0.001, 1e6)
    if between:
        draft.put("fps", min(240.0, max(0.1, flags.number("-ifps", 15, 0.001, 1000))), *flags.has("-ifps"))
        draft.put("finish.fps", between, *flags.has("-ofps"))
        flags.source.account.dropped(flags.has("-vl"), "-ofps and -ifps decide there, too", shows=False)
    else:
        fps = min(60.0, max(10.0, frames / length))
        draft.put("fps", fps, *flags.has("-vl"))
        flags.source.account.dropped(flags.has("-ifps", "-ofps"), "no frames are put between", shows=False)


def _size(flags: _Flags, draft: Draft) -> None:
    sides = [it for it in map(_number, flags.list("-s")) if it is not None]
    if len(sides) == 2:
        flags.source.sides(draft, (sides[0], sides[1]), flags.has("-s"), flags.has("-s"))
        return
    flags.source.sides(draft, (512, 512), (), ())
    flags.source.account.dropped(flags.has("-s"), "it is no pair of numbers; 512 by 512 is taken")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_plain_number(value) and 1 <= value <= 100_000 else None


def say_model(source: Source, draft: Draft, config: str, checkpoint: str, perceptor: str) -> None:
    """Say the model by the file that holds its config, or its checkpoint, and by the perceptor's name."""
    keys = source.has(config, checkpoint)
    default = "imagenet-f16-16384"
    if len(keys) == 2 and source.wishes.model is None:
        names = [name_of_video(source.text(it), "").lower() for it in keys]
        if VQGANS.get(names[0]) != VQGANS.get(names[1]):
            draft.put("model", default)
            source.account.needs(
                keys,
                "config and checkpoint are no pair that the registry has: `nightreel models add NAME` makes an entry "
                f"of them; until then the row takes {default}",
            )
            keys = ()
            default = ""
    if default:
        source.model(draft, default, *keys, known=VQGANS)
    named = source.text(perceptor, PERCEPTOR)
    if source.wishes.model is not None:
        source.account.approximated(source.has(perceptor), f"model: the perceptors of {short(source.wishes.model, 60)}")
    elif named == PERCEPTOR:
        source.account.mapped(source.has(perceptor), "the perceptor of the registry's entry")
    else:
        source.account.needs(
            source.has(perceptor),
            f"the registry's entries have {PERCEPTOR}: `nightreel models add NAME` makes one with {short(named, 40)}",
        )


def _prompts(flags: _Flags, draft: Draft) -> None:
    source = flags.source
    text = flags.text("-p")
    pictures = _pictures(flags, draft)
    if not text and source.wishes.prompt:
        text = source.wishes.prompt
    if not text and not pictures:
        text = _PROMPT
        draft.advice.append(f"no prompt was given: VQGAN-CLIP takes '{_PROMPT}' then")
    phrases = [it for it in text.split("^") if it.strip()] or [text]
    every = flags.whole("-cpe", 0, 0, 10_000_000)
    steps = int(draft.columns.get("steps", 1))
    notes = []
    story = Story()
    story.scene(0, _phrase(phrases[0]))
    moving = flags.flag("-zvid") or flags.flag("-vid")
    if len(phrases) > 1 and every and moving:
        total = steps * draft.frames
        changes = range(1, min(10_000, -(-total // every)))
        for number in changes:  # in which there are no more phrases they begin anew, as there
            story.scene(number * every // steps, _phrase(phrases[number % len(phrases)]))
    elif len(phrases) > 1:
        notes.append("only the first phrase is drawn, as there: " + ("without -cpe" if moving else "it is no video"))
    scenes, fitted = story.values(draft.frames)
    keys = flags.has("-p")
    if not scenes:
        if not pictures:
            raise source.no_prompt()
        scenes = [{"at": 0, "images": pictures}]
    elif pictures:
        draft.put("image_prompts", pictures, *flags.has("-ip"))
    if flags.has("-ip") and source.account.fate(flags.key("-ip")) is None:
        source.account.mapped(flags.has("-ip"), "images of the scene")
    if len(scenes) > 1:
        draft.put("crossfade", 0)
        draft.notes["crossfade"] = "its phrases follow each other by cuts"
    draft.put("prompts", scenes, *keys, rule="; ".join([*notes, *fitted]))
    source.account.mapped(flags.has("-cpe"), "the frames of scenes" if len(scenes) > 1 else "there is one phrase")
    _noise(flags, draft)


def _phrase(text: str) -> list[Piece]:
    return [it for it in map(trailing_weights, text.split("|")[:100]) if it is not None]


def _pictures(flags: _Flags, draft: Draft) -> list[dict[str, Any]]:
    made = []
    for piece in _phrase(flags.text("-ip")):
        address = flags.source.picture(piece.text, *flags.has("-ip"))
        if address is not None:
            values: dict[str, Any] = {"image": address}
            values |= {"weight": piece.weight} if piece.weight != "1" else {}
            values |= {"stop": piece.stop} if piece.stop != "-inf" else {}
            made.append(values)
    return made


def _noise(flags: _Flags, draft: Draft) -> None:
    seeds, weights = flags.list("-nps"), flags.list("-npw")
    if not flags.has("-nps", "-npw"):
        return
    pairs = [(_whole(a), _float(b)) for a, b in zip(seeds, weights, strict=False)]
    made = [{"seed": a, "weight": f"{b:g}"} for a, b in pairs[:100] if a is not None and b is not None]
    rule = "" if len(seeds) == len(weights) else f"of {len(seeds)} seeds and {len(weights)} weights the pairs, as there"
    if made:
        draft.put("noise_prompts", made, *flags.has("-nps", "-npw"), rule=rule)
    else:
        flags.source.account.dropped(
            flags.has("-nps", "-npw"), "there is no seed with a weight, so nothing is drawn there, too"
        )


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_plain_number(value) else None


def _start(flags: _Flags, draft: Draft) -> None:
    source = flags.source
    if flags.has("-ii"):
        source.init_image(draft, flags.key("-ii"))
        source.account.dropped(flags.has("-in"), "-ii rules it out there, too", shows=False)
    elif flags.has("-in"):
        known = {"pixels": "noise", "gradient": "gradient"}
        draft.put("init", known.get(flags.text("-in"), "tokens"), *flags.has("-in"))
    weight = flags.number("-iw", 0, 0, 1000)
    if weight:
        draft.put("loss.z_decay", weight, *flags.has("-iw"))
    elif source.account.fate(flags.key("-iw")) is None:
        source.account.mapped(flags.has("-iw"), "0, as without it")


def _cutouts(flags: _Flags, draft: Draft) -> None:
    source = flags.source
    method = flags.text("-cutm", "latest")
    notes: list[str] = []
    columns = dict(_METHODS.get(method, {}))
    if method not in _METHODS:
        notes.append(f"'{short(method, 40)}' is no method: latest is taken")
    elif method == "updated":
        notes.append("its sharpness, which softens, by its mean (cutouts.sharpen)")
    elif method == "nrupdated":
        notes.append("Crowson's crops with the augmentations of latest")
    chosen = [it for text in flags.list("-aug") for it in text.split()]
    if chosen and method in ("latest", "nrupdated"):
        columns |= _NONE | {"noise": 0}
        for name in chosen:
            columns |= AUGMENTS.get(name, {})
        told = [_AUGMENT_NOTES[it] for it in dict.fromkeys(chosen) if it in _AUGMENT_NOTES]
        told += [f"'{short(it, 10)}' is none" for it in dict.fromkeys(chosen) if it not in AUGMENTS]
        words = "; ".join(told)
        add = source.account.approximated if words else source.account.mapped
        add(flags.has("-aug"), words or "the chances of cutouts")
    else:
        source.account.dropped(
            flags.has("-aug"), "only latest and nrupdated have a choice of augmentations", shows=False
        )
    for name, value in columns.items():
        draft.columns[f"cutouts.{name}"] = value
    add = source.account.approximated if notes else source.account.mapped
    add(flags.has("-cutm"), "; ".join(notes) or "the method of cutouts")
    draft.put("cutouts.number", flags.whole("-cuts", 32, 1, 512), *flags.has("-cuts"))
    power = flags.number("-cutp", 1, 0.01, 10)
    if columns.get("method") == "lanczos":
        draft.put("cutouts.power", power, *flags.has("-cutp"))
    else:
        source.account.mapped(flags.has("-cutp"), "this method has no sizes, there as here")


def _optimiser(flags: _Flags, draft: Draft) -> None:
    draft.put("optimiser.lr", flags.number("-lr", 0.1, 1e-6, 10), *flags.has("-lr"))
    kind = flags.text("-opt", "Adam")
    if kind == "Adam":
        flags.source.account.mapped(flags.has("-opt"), "Adam")
    elif draft.knows("optimiser.kind", kind.lower()):
        draft.put("optimiser.kind", kind.lower(), *flags.has("-opt"))
    else:
        flags.source.account.approximated(flags.has("-opt"), f"Adam instead of {short(kind, 20)}")


def _zoom(flags: _Flags, draft: Draft) -> None:
    """Each frame is the last one zoomed about its middle, and then rolled by whole pixels."""
    every = int(draft.columns["steps"])
    start = -(-flags.whole("-zs", 0, 0, 10_000_000) // every)
    zoom = flags.number("-zsc", 0.99, 0.01, 100)
    shifts = {"translate_x": ("-zsx", flags.number("-zsx", 0)), "translate_y": ("-zsy", flags.number("-zsy", 0))}
    for column, neutral, (flag, value) in (("zoom", 1.0, ("-zsc", zoom)), *((it, 0.0, shifts[it]) for it in shifts)):
        if value == neutral:
            flags.source.account.mapped(flags.has(flag), f"{column} {neutral:g}, as without it")
            continue
        text = f"{value:g}" if start <= 1 else f"where(t < {start}, {neutral:g}, {value:g})"
        draft.put(column, text, *flags.has(flag))
        if flag == "-zsc" and not flags.has(flag):
            draft.notes["zoom"] = "its default: it zooms out"
    flags.source.account.mapped(flags.has("-zs"), f"the camera stands still before frame {start}")
    moved = any(value for _, value in shifts.values())
    if moved:
        words = "what a shift pushes out comes in at the other side"
        words += ", and so it is with the zoom here" if zoom < 1 else ""
        draft.implied("border", "wrap", words)
    elif zoom < 1:
        draft.implied("border", "black", "what a zoom out uncovers is black")


def _zoom_script(source: Source, where: str) -> Draft:
    """zoom.sh TEXT FILENAME MAX_EPOCHS: 25 steps a frame, a zoom of 1.01."""
    text, file, count = (f"{where}{it}" for it in ("TEXT", "FILENAME", "MAX_EPOCHS"))
    draft = source.draft("zoom")
    if file in source:
        draft.columns["video_id"] = name_of_video(source.text(file), "zoom")
        source.account.mapped([file], "video_id")
    draft.put("preset", "nerdyrodent")
    epochs = source.whole(count, 180, 0, 999_999)
    draft.put("frames", epochs + 1, *source.has(count))
    draft.put("fps", 25.0)
    for column in ("steps", "steps_first"):
        draft.put(column, 25)
    source.seed(draft, "")
    source.model(draft, "imagenet-f16-16384")
    pieces = _phrase(source.text(text) or source.wishes.prompt or "")
    if not pieces:
        raise source.no_prompt()
    story = Story()
    story.scene(0, pieces)
    draft.put("prompts", story.values(draft.frames)[0], *source.has(text))
    draft.put("zoom", "1.01")
    draft.put("finish.fps", 60.0)
    return draft
