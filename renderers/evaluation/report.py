"""An evaluation's report: Markdown for people, JSON for whoever compares or checks, sheets of every single picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from renderers.evaluation.prompts import EvaluationPrompt
from renderers.evaluation.results import Evaluation, PictureResult, Recognition

__all__ = ["contact_sheet", "document", "markdown", "recognition_table", "summary", "write_report"]

COLUMNS = 10
CELL = 96  # px, a picture's side on the sheet
TEXT = 14
FRAME = 3
MARKS = {1: (30, 160, 60), 5: (230, 170, 20)}  # frame of a picture named at the first place, and among five
MISSED = (205, 45, 45)
TALLEST = 16_383  # px, what WebP can hold


def write_report(
    folder: Path,
    evaluation: Evaluation,
    pictures: Mapping[str, Mapping[tuple[int, int], Path]],
    prompts: Sequence[EvaluationPrompt],
) -> list[Path]:
    """Write report.md, report.json and a sheet of each variant's pictures into `folder`; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {}
    for found in evaluation.recognitions:
        if found.variant in pictures:
            name = "".join(c if c.isalnum() else "-" for c in found.variant).replace("--", "-")
            sheets[found.variant] = folder / f"sheet-{name}.webp"
            # a fifth of a PNG's size, and the eye finds no difference
            contact_sheet(found, pictures[found.variant], prompts).save(sheets[found.variant], quality=92, method=6)
    report, data = folder / "report.md", folder / "report.json"
    report.write_text(markdown(evaluation, prompts, {k: v.name for k, v in sheets.items()}), encoding="utf-8")
    data.write_text(document(evaluation, prompts), encoding="utf-8")
    return [report, data, *sheets.values()]


def contact_sheet(
    found: Recognition, paths: Mapping[tuple[int, int], Path], prompts: Sequence[EvaluationPrompt]
) -> Image.Image:
    """All pictures of `found`, failures included: a prompt's seeds under each other, framed by what the judge said."""
    font = ImageFont.load_default(size=10)
    height = TEXT * 2 + (CELL + 2 * FRAME) * len(found.seeds) + 4
    fitting = max(1, TALLEST // height)
    across = max(1, min(COLUMNS, len(prompts)), -(-len(prompts) // fitting))
    rows = -(-len(prompts) // across)
    sheet = Image.new("RGB", (across * (CELL + 2 * FRAME + 4), rows * height), "white")
    pen = ImageDraw.Draw(sheet)
    ranks = {(r.number, r.seed): r.rank for r in found.results}
    for number, prompt in enumerate(prompts):
        left, top = number % across * (CELL + 2 * FRAME + 4), number // across * height
        for line, words in enumerate(_wrapped(prompt.prompt, font)):
            pen.text((left + 2, top + line * (TEXT - 2)), words, fill="black", font=font)
        for place, seed in enumerate(found.seeds):
            y = top + TEXT * 2 + place * (CELL + 2 * FRAME)
            mark = next((colour for k, colour in MARKS.items() if ranks[number, seed] <= k), MISSED)
            pen.rectangle((left, y, left + CELL + 2 * FRAME - 1, y + CELL + 2 * FRAME - 1), fill=mark)
            with Image.open(paths[number, seed], formats=["PNG"]) as picture:
                small = picture.convert("RGB").resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(small, (left + FRAME, y + FRAME))
    return sheet


def _wrapped(text: str, font: Any) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > CELL and lines[-1] and len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def markdown(evaluation: Evaluation, prompts: Sequence[EvaluationPrompt], sheets: Mapping[str, str]) -> str:
    """The report in Markdown; `sheets` names the picture of each variant."""
    top = evaluation.ceilings[0]
    lines = [f"# Evaluation of '{evaluation.model}'", "", f"Model digest {evaluation.digest[:16]}.", ""]
    lines += ["## Rendered pictures, as a judge sees them", ""]
    lines += [
        f"The judge chooses among {round(1 / evaluation.chance[0])} concepts "
        f"(chance: top-1 {_percent(evaluation.chance[0])}, top-5 {_percent(evaluation.chance[1])}). "
        f"Its ceiling, on reconstructions of real sprites in styles that it never saw: top-1 {_percent(top.top1)}, "
        f"top-5 {_percent(top.top5)}. In brackets: 95 % intervals over prompts.",
        "",
    ]
    lines += _table(*recognition_table(evaluation))
    lines += ["Colours and backgrounds: shares of the prompts that name one in which pixels show it.", ""]
    for variant, seconds in evaluation.seconds_per_picture.items():
        lines += [f"{variant}: {seconds:.1f} s of one process a picture.", ""]
    lines += ["## The judge", ""]
    lines += _table(
        ("what it was shown", "pictures", "top-1", "top-5"),
        [(c.what, c.pictures, _percent(c.top1), _percent(c.top5)) for c in evaluation.ceilings],
    )
    lines += [", ".join(f"{key}: {value}" for key, value in evaluation.judge.items() if key != "settings"), ""]
    if evaluation.metrics is not None:
        lines += _metrics(evaluation)
    for variant, sheet in sheets.items():
        lines += [f"## All pictures: {variant}", ""]
        lines += ["Green: the judge's first word; yellow: among its first five; red: missed.", ""]
        lines += [f"![all pictures, {variant}]({sheet})", ""]
    lines += ["## Prompt by prompt", ""]
    lines += _by_prompt(evaluation.recognitions[0], prompts)
    return "\n".join(lines)


def recognition_table(evaluation: Evaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: what of each variant's pictures was recognised, also as a share of the judge's ceiling."""
    top = evaluation.ceilings[0]
    header = ("variant", "pictures", "top-1", "top-5", "top-1 / ceiling", "top-5 / ceiling", "colours", "backgrounds")
    rows: list[tuple[str, ...]] = [
        (
            found.variant,
            f"{found.pictures} (seeds {', '.join(map(str, found.seeds))})",
            f"{_percent(found.top1)} [{_percent(found.top1_interval[0])}, {_percent(found.top1_interval[1])}]",
            f"{_percent(found.top5)} [{_percent(found.top5_interval[0])}, {_percent(found.top5_interval[1])}]",
            _ratio(found.top1, top.top1),
            _ratio(found.top5, top.top5),
            _asked(found.colours_obeyed, found.colours_asked),
            _asked(found.backgrounds_obeyed, found.backgrounds_asked),
        )
        for found in evaluation.recognitions
    ]
    return header, rows


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The figures without the pictures, for JSON."""
    figures: dict[str, Any] = dataclasses.asdict(evaluation)
    for found in figures["recognitions"]:
        del found["results"]
    return figures


def document(evaluation: Evaluation, prompts: Sequence[EvaluationPrompt]) -> str:
    """The figures and what they were computed from, as JSON with a line for each prompt: for each variant, by seed, the
    place of the prompt's concept in the judge's list, whether its colour was obeyed, and the background found.
    """
    each = []
    for number, prompt in enumerate(prompts):
        line: dict[str, Any] = dataclasses.asdict(prompt)
        for found in evaluation.recognitions:
            results = sorted((r for r in found.results if r.number == number), key=lambda r: r.seed)
            line[found.variant] = {
                "places": [r.rank for r in results],
                **({"colours": [r.colour_obeyed for r in results]} if prompt.colour else {}),
                "backgrounds": [r.background_found for r in results],
            }
        each.append(line)
    fields = []
    for name, value in (summary(evaluation) | {"prompts": each}).items():
        of_many = isinstance(value, (list, tuple)) and any(isinstance(entry, dict) for entry in value)
        written = "[\n  " + ",\n  ".join(map(_json, value)) + "\n ]" if of_many else _json(value)
        fields.append(f" {_json(name)}: {written}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    """Four decimals are a hundredth of a percent."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _metrics(evaluation: Evaluation) -> list[str]:
    metrics = evaluation.metrics
    assert metrics is not None
    styles = list(metrics.psnr)
    rows: list[tuple[object, ...]] = [("VQGAN, PSNR", *(f"{metrics.psnr[s]:.1f} dB" for s in styles))]
    for name, retrievals in (("concept named", metrics.names), ("caption found", metrics.captions)):
        choices = next(iter(retrievals.values())).choices
        rows.append(
            (
                f"{name} among {choices}, R@1 / R@5",
                *(f"{_percent(retrievals[s].top1)} / {_percent(retrievals[s].top5)}" for s in styles),
            )
        )
    rows += [
        (
            f"wrong {what} distinguished from right (chance 50 %)",
            *(_percent(metrics.swaps[s][what].right) for s in styles),
        )
        for what in metrics.swaps[styles[0]]
    ]
    counted = next(iter(metrics.names.values())).pictures
    return [
        "## Before rendering",
        "",
        *_table(("fresh compositions", *(f"{'held-out style: ' * (s != 'training')}{s}" for s in styles)), rows),
        f"{counted} pictures each. Codes in use on {metrics.codes_seen_in} pictures of the held-out style: "
        f"{_percent(metrics.codes_used)}.",
        "What the VQGAN drew of them, encoded and drawn once more, changes by "
        f"{metrics.redrawn['still']:.1f} levels of 255; moved by a zoom of 1.02 and a turn of 1 degree before, "
        f"by {metrics.redrawn['moved']:.1f}: a video flickers by as much before any step.",
        "",
    ]


def _by_prompt(found: Recognition, prompts: Sequence[EvaluationPrompt]) -> list[str]:
    by_number: dict[int, list[PictureResult]] = {}
    for result in found.results:
        by_number.setdefault(result.number, []).append(result)
    rows = []
    for number, results in by_number.items():
        ordered = sorted(results, key=lambda r: r.seed)
        prompt = prompts[number]
        colour = f"{sum(bool(r.colour_obeyed) for r in ordered)}/{len(ordered)}" if prompt.colour else ""
        ground = f"{sum(bool(r.background_obeyed) for r in ordered)}/{len(ordered)}" if prompt.background else ""
        rows.append((prompt.prompt, ", ".join(str(r.rank) for r in ordered), colour, ground))
    return _table(("prompt", "places of its concept, by seed", "colour", "background"), rows)


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [" | ".join(map(str, row)) for row in (header, ["---"] * len(header), *rows)]
    return [*(f"| {line} |" for line in lines), ""]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ratio(share: float, of: float) -> str:
    return f"{share / of:.2f}" if of else "none"


def _asked(share: float | None, count: int) -> str:
    return "none asked" if share is None else f"{_percent(share)} of {count}"
