"""rbbrdckybk's ai-art-generator (2023): files of [subjects] and [styles] with `!KEY = value` between them. Each subject
comes in each style: blocks of `expand`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.bounds import ROW_KEYS
from manifests.importing.documents import LONGEST_CODE
from manifests.importing.draft import Draft
from manifests.importing.nerdyrodent import say_model
from manifests.importing.source import Imported, Source, Wishes
from manifests.importing.wording import bare, compact, trailing_weights
from manifests.results import ManifestError
from manifests.schema.texts import plural, short

__all__ = ["looks_like_subjects", "read_subjects"]

_SECTIONS = ("subjects", "styles", "prefixes", "suffixes")
_NAMES = {
    "subjects": "subject",
    "styles": "style",
    "prefixes": "before",
    "suffixes": "behind",
}  # not the names of columns
_MOST_ROWS = 100_000
_HEADER = re.compile(r"\[(\w+)\]")
_DIRECTIVE = re.compile(r"!\s*([A-Za-z0-9_]+)\s*=\s*(.*)")
_DIFFUSION = ("D_", "STEPS", "SCALE", "STRENGTH", "SD_", "SKIP_STEPS")
_FILES = ("CUDA_DEVICE", "REPEAT", "BATCH_SIZE")


@dataclass
class _Part:
    """Subjects that have the same settings: the directives before them, by name, with the lines in which they stand."""

    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    subjects: list[str] = field(default_factory=list)


def looks_like_subjects(text: str) -> bool:
    """Whether a text has the section of subjects."""
    return re.search(r"(?m)^\s*\[subjects\]\s*$", text[:LONGEST_CODE], re.IGNORECASE) is not None


def read_subjects(text: str, name: str, wishes: Wishes) -> Imported:
    """Make a block of `expand` of each run of subjects with the same settings.

    Raises:
        ManifestError: there are no subjects, or more combinations than one file should make; the message says where.
    """
    if len(text) > LONGEST_CODE:
        raise ManifestError(f"{name}: it has {len(text):,} characters, and at most {LONGEST_CODE:,} are read of it")
    parts, others, keys = _read(text, name)
    parts = [it for it in parts if it.subjects]
    if not parts:
        raise ManifestError(f"{name}: no subject stands behind [subjects], so there is nothing to draw")
    rows = sum(len(it.subjects) for it in parts)
    for texts in others.values():
        rows *= max(1, len(texts))
    if rows > _MOST_ROWS:
        raise ManifestError(
            f"{name}: its lists make {rows:,} combinations, and at most {_MOST_ROWS:,} are read; split it"
        )
    account = Source({}, text, name, wishes).account
    account.mapped([f"[{it}]" for it in ("subjects", *others) if f"[{it}]" in keys], "axes of expand")
    account.mapped([f"[{it}]" for it in _SECTIONS[1:] if f"[{it}]" in keys and it not in others], "it is empty")
    for section in ("prefixes", "suffixes"):
        if len(others.get(section, [])) > 1:
            account.approximated([f"[{section}]"], "all of them with each subject, where one is drawn by chance there; "
                                 "`mode: sample` with `count` draws some")  # fmt: skip
    drafts, blocks = [], []
    for part in parts:
        source = Source(dict(part.settings.values()), text, name, wishes)
        source.account = account
        draft = _settings(source, {it: key for it, (key, _) in part.settings.items()})
        drafts.append(draft)
        process = part.settings.get("PROCESS", ("", ""))[1].lower()
        blocks.append(_block(part.subjects, others, draft, one_text=process == "stablediff"))
    unheard = [key for key in keys if account.fate(key) is None]
    account.dropped(unheard, "it is given again before a subject, or no subject stands behind it", shows=False)
    return Imported("aig", "ai-art-generator", account, tuple(keys), tuple(drafts), tuple(blocks))


def _read(text: str, name: str) -> tuple[list[_Part], dict[str, list[str]], list[str]]:
    parts, others, keys = [_Part()], {it: [] for it in _SECTIONS[1:]}, []  # type: ignore[var-annotated]
    section = ""
    for number, line in _lines(text):
        if (header := _HEADER.fullmatch(line)) is not None:
            section = header[1].lower()
            if section not in _SECTIONS:
                raise ManifestError(f"{name} line {number}: '[{short(section, 40)}]' is no section of it")
            keys.append(f"[{section}]")
        elif line.startswith("!") and section == "subjects":
            found = _DIRECTIVE.fullmatch(line)
            if found is None:
                raise ManifestError(f"{name} line {number}: '{short(line, 40)}' is no setting: write !WIDTH = 512")
            if parts[-1].subjects:
                parts.append(_Part(dict(parts[-1].settings)))
            key = f"!{found[1].upper()} (line {number})"
            keys.append(key)
            parts[-1].settings[found[1].upper()] = (key, found[2].strip())
        elif section == "subjects":
            parts[-1].subjects.append(line)
        elif section:
            others[section].append(line)
        if len(keys) > ROW_KEYS:
            raise ManifestError(f"{name} line {number}: it has more than {plural(ROW_KEYS, 'setting')}; split it")
    return parts, {it: texts for it, texts in others.items() if texts}, list(dict.fromkeys(keys))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield number, stripped


def _settings(source: Source, labels: Mapping[str, str]) -> Draft:
    """The columns that the directives stand for; of one that is given again the last counts."""
    draft = source.draft("art")
    key = {name: labels.get(name, "") for name in (*labels, "WIDTH", "HEIGHT", "SEED", "CUTS", "LEARNING_RATE",
           "ITERATIONS", "TRANSFORMER", "CLIP_MODEL", "OPTIMISER", "INPUT_IMAGE", "PROCESS")}  # fmt: skip
    for label in labels.values():
        if source.text(label) == "":
            source.account.mapped([label], "its default")
    process = source.text(key["PROCESS"], "vqgan").lower() or "vqgan"
    if process == "vqgan":
        source.account.mapped(source.has(key["PROCESS"]), "preset nerdyrodent")
    else:
        source.account.approximated(source.has(key["PROCESS"]), "a VQGAN draws here")
    draft.put("preset", "nerdyrodent")
    source.size(draft, key["WIDTH"], key["HEIGHT"])
    diffuses = process != "vqgan"
    steps = source.whole(key["ITERATIONS"], 500, 1, 10_000)
    if diffuses:
        source.drop([key["ITERATIONS"]], "steps of a diffusion model, which does not draw here")
    else:
        draft.put("steps_first", steps, *source.has(key["ITERATIONS"]))
    seed = source.text(key["SEED"])
    if seed.isascii() and seed.isdigit():
        source.seed(draft, key["SEED"])
    else:
        words = "by chance there; the row's number here"
        source.account.approximated(source.has(key["SEED"]), words)
        draft.columns["seed"] = 0
    say_model(source, draft, key["TRANSFORMER"] if source.text(key["TRANSFORMER"]) else "", "",
              key["CLIP_MODEL"] if source.text(key["CLIP_MODEL"]) else "")  # fmt: skip
    if diffuses:
        source.drop([key["CUTS"], key["LEARNING_RATE"]], "a setting of a diffusion model, which does not draw here")
    else:
        draft.put("cutouts.number", source.whole(key["CUTS"], 32, 1, 512), *source.has(key["CUTS"]))
        draft.put("optimiser.lr", source.number(key["LEARNING_RATE"], 0.1, 1e-6, 10), *source.has(key["LEARNING_RATE"]))
    kind = source.text(key["OPTIMISER"], "Adam") or "Adam"
    add = source.account.mapped if kind == "Adam" else source.account.approximated
    add(source.has(key["OPTIMISER"]), "Adam" if kind == "Adam" else f"Adam instead of {short(kind, 20)}")
    if source.text(key["INPUT_IMAGE"]):
        source.init_image(draft, key["INPUT_IMAGE"])
    for name, label in labels.items():
        if source.account.fate(label) is not None:
            continue
        if name.startswith(_DIFFUSION):
            source.drop([label], "a setting of a diffusion model, which does not draw here", shows=diffuses)
        elif name == "USE_UPSCALE" or name.startswith("UPSCALE"):
            on = source.text(key.get("USE_UPSCALE", "") or label).lower() == "yes"
            source.drop(
                [label], "add the net by `nightreel models add-upscaler` and name it by finish.upscaler", shows=on
            )
        elif name in _FILES or name == "SAMPLES":
            source.drop([label], "says how it runs", shows=False)
        else:
            source.drop([label], "no setting of ai-art-generator that nightreel knows")
    return draft


def _block(subjects: list[str], others: Mapping[str, list[str]], draft: Draft, *, one_text: bool) -> dict[str, Any]:
    axes: dict[str, list[str]] = {"subject": _texts(subjects)}
    for section, texts in others.items():
        axes[_NAMES[section]] = _texts(texts)
    before = "{before} " if "before" in axes else ""
    behind = " {behind}" if "behind" in axes else ""
    style = (", {style}" if one_text else " | {style}") if "style" in axes else ""
    template = f"{before}{{subject}}{style}{behind}" if one_text else f"{before}{{subject}}{behind}{style}"
    names = [it for it in ("subject", "style") if it in axes]
    return {
        "axes": axes,
        "template": template,
        "id": "-".join(f"{{{it}}}" for it in names),
        "set": {key: value for key, value in draft.columns.items() if key != "video_id"},
    }


def _texts(lines: list[str]) -> list[str]:
    """Texts in the compact grammar; one that begins with a bar keeps it."""
    made = []
    for line in lines:
        pieces = [it for it in map(trailing_weights, line.split("|")) if it is not None]
        text = compact(pieces[:100]) if pieces else bare(line)
        made.append(f"| {text}" if line.startswith("|") else text)
    return list(dict.fromkeys(made))
