"""From raw values to a row or its problems: the one place where reading and building validate."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from manifests.bounds import ROW_VALUES, has_too_many_values
from manifests.parquet.settings import OwnValues
from manifests.results import GoodRow, ManifestError, RowProblem, RowResult
from manifests.schema import ManifestRow, PromptError, SettingsError
from manifests.schema.alike import Alike, is_name, is_plain, is_seed, may_vary
from manifests.schema.describe import allowed_at, dotted, known_columns, names_at
from manifests.schema.other_tools import foreign_story, foreign_weight
from manifests.schema.spelling import misread, misread_part, misread_texts
from manifests.schema.texts import did_you_mean, short

DEEPEST = 8  # lists and settings in each other; those of a row are four deep
MAX_PROBLEMS = 20  # of one row: a list with 10,000 bad entries is represented by its first ones

# of lists and settings, which may be a stranger's: some of it, never all
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxlist, _SHOWN.maxdict = 5, 90, 20, 20

# pydantic's own entry point costs as much again as the validation of a small row.
_validate = ManifestRow.__pydantic_validator__.validate_python


class VideoIds:
    """The ids seen so far, across files: 16 bytes of hash each, so that 10^6 rows need some 200 MB at most."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        self._files: list[str] = []

    def first_place(self, video_id: str, file: str, number: int) -> tuple[str, int] | None:
        """Note an id; the file and row number where it stood before, or None for a new one."""
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        here = (len(self._files) - 1) << 40 | number
        before = self._seen.setdefault(blake2b(video_id.encode("utf-8", "replace"), digest_size=16).digest(), here)
        return None if before == here else (self._files[before >> 40], before & (1 << 40) - 1)


def check_row(
    values: Mapping[str, Any], *, file: str, number: int, ids: VideoIds | None = None, unit: str = "row"
) -> list[RowResult]:
    """Validate the given values of one row (what is unset must be absent, not None).

    Returns one GoodRow, or one RowProblem for each thing that is wrong. `ids` also finds ids that were used before.
    """
    if column := has_too_many_values(values):
        return [_too_many(values, column, file, number, unit)]
    if column := _broken_text(values):
        return [_not_unicode(values, column, file, number, unit)]
    problems: list[RowProblem] = []
    try:
        row = _validate(values)
    except ValidationError as error:
        row = None
        video_id = _shown_id(values)
        details = error.errors(include_url=False)[:MAX_PROBLEMS]
        problems = [_problem(entry, values, file, number, video_id, unit) for entry in details]
    video_id = row.video_id if row is not None else values.get("video_id")
    if ids is not None and isinstance(video_id, str) and (before := ids.first_place(video_id, file, number)):
        message = f"video_id '{short(video_id)}' was used before, in {unit} {before[1]} of {before[0]}"
        allowed = "a name that no other row of the manifest has"
        problems.append(RowProblem(file, number, short(video_id, 128), "video_id", video_id, allowed, message, unit))
    if row is None or problems:
        return list(problems)
    if row.prompt is not None and (why := misread(row.prompt, row.own_scenes)):
        message = f"prompt '{short(row.prompt)}': {why}"
        return [RowProblem(file, number, row.video_id, "prompt", short(row.prompt, 80), "", message, unit)]
    if row.prompts is not None and (why := misread_texts(row.prompts, pictures=bool(row.image_prompts))):
        return [RowProblem(file, number, row.video_id, "prompts", "", "", f"prompts: {why}", unit)]
    for place, region in enumerate(row.regions or ()):
        if why := misread(region.prompts, region.scenes):
            column, text = f"regions[{place}].prompts", short(region.prompts, 80)
            message = f"{column} '{short(region.prompts)}': {why}"
            return [RowProblem(file, number, row.video_id, column, text, "", message, unit)]
    for column in ("prefix", "suffix"):
        text = getattr(row, column)
        if text is not None and (why := misread_part(text)):
            return [RowProblem(file, number, row.video_id, column, short(text, 80), "", f"{column}: {why}", unit)]
    return [GoodRow(row, file, number, unit)]


def check_alike(own: OwnValues, *, file: str, number: int, ids: VideoIds) -> list[RowResult]:
    """As `check_row`, of a row of a kind: once one of these was found good, only what each has of its own is looked at.
    Whatever is unusual about that is left to `check_row`."""
    kind, (_, video_id, prompt, seed) = own.kind, own
    alike = kind.alike
    if (
        alike is not None
        and is_name(video_id)
        and is_plain(prompt)
        and (seed is None or is_seed(seed))
        and ids.first_place(video_id, file, number) is None
    ):
        row = alike.of(video_id, prompt, alike.row.seed if seed is None else seed)
        return [GoodRow(row, file, number, "row", alike)]
    results = check_row(kind.values(own), file=file, number=number, ids=ids)
    if not kind.looked_at and isinstance(first := results[0], GoodRow) and is_plain(first.row.prompt):
        kind.looked_at = True
        if may_vary(first.row):
            kind.alike = Alike(first.row)
            return [first._replace(alike=kind.alike)]
    return results


def _too_many(values: Mapping[str, Any], column: str, file: str, number: int, unit: str) -> RowProblem:
    column = short(column.encode("utf-8", "replace").decode())
    message = f"{column} brings the row to more than {ROW_VALUES:,} values"
    return RowProblem(file, number, _shown_id(values), column, "", f"at most {ROW_VALUES:,}", message, unit)


def _broken_text(value: Any, column: str = "") -> str | None:
    """The dotted name of the first text in `value` that holds half of a character and so is no Unicode; None if there
    is none. What is nested deeper than any row is left to the schema."""
    if isinstance(value, str):
        return (column or "row") if not_unicode(value) else None
    if isinstance(value, Mapping):
        inner = ((f"{column}.{key}" if column else str(key), it) for key, it in value.items())
    elif isinstance(value, list) and column.count("[") + column.count(".") < DEEPEST:
        inner = ((f"{column}[{index}]", it) for index, it in enumerate(value))
    else:
        return None
    return next((found for name, it in inner if (found := _broken_text(it, name))), None)


def not_unicode(text: str) -> bool:
    """Whether a text holds half of a character."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _not_unicode(values: Mapping[str, Any], column: str, file: str, number: int, unit: str) -> RowProblem:
    text = next((it for key, it in values.items() if column.startswith(str(key)) and isinstance(it, str)), "")
    at = next((index for index, sign in enumerate(text) if "\ud800" <= sign <= "\udfff"), None)
    place = f" at character {at + 1}" if at is not None else ""
    column = column.encode("utf-8", "replace").decode()
    message = f"{column} holds half of a character{place}, such as half an emoji: it was cut, or its file is not UTF-8"
    shown = short(text.encode("utf-8", "replace").decode(), 80)
    video_id = _shown_id(values)
    video_id = video_id.encode("utf-8", "replace").decode() if video_id else None
    return RowProblem(file, number, video_id, column, shown, "whole characters of Unicode", message, unit)


def check_columns(names: Iterable[str], file: str) -> None:
    """Raise ManifestError for a column (dotted if nested) that no row has, or where a needed one is missing."""
    known = known_columns()
    names = list(names)
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ManifestError(f"{file}: column '{short(twice[0])}' appears twice; keep one of them")
    unknown = [name for name in names if name not in known]
    if unknown:
        plural = len(unknown) > 1
        shown = ", ".join(f"'{short(name)}' {did_you_mean(name, known)}".rstrip() for name in unknown[:10])
        listed = "?" not in shown  # no near name: show them all
        raise ManifestError(
            f"{file}: unknown column{'s' if plural else ''} {shown} (rename or remove {'them' if plural else 'it'}"
            + (f"; known are {', '.join(ManifestRow.model_fields)})" if listed else ")")
        )
    tops = {name.partition(".")[0] for name in names}
    if "video_id" not in tops:
        raise ManifestError(f"{file}: there is no column 'video_id'; each row needs a unique name for its video")
    if not tops & {"prompt", "prompts"}:
        raise ManifestError(f"{file}: there is neither a column 'prompt' nor 'prompts'; each row needs one of them")


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested settings: `{"cutouts.number": 8}` into `{"cutouts": {"number": 8}}`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, dot, rest = name.partition(".")
        if not dot:
            nested[name] = {**value, **nested.get(name, {})} if isinstance(value, dict) else value
        elif isinstance(nested.setdefault(group, {}), dict):
            nested[group] = {**nested[group], rest: value}
    return nested


def drop_unset(value: Any) -> Any:
    """`value` without the keys whose value is None, at any depth: null means `not given`."""
    if isinstance(value, dict):
        kept = {key: drop_unset(inner) for key, inner in value.items() if inner is not None}
        return {key: inner for key, inner in kept.items() if inner != {}}
    if isinstance(value, list):
        return [drop_unset(inner) for inner in value]
    return value


def _shown_id(values: Mapping[str, Any]) -> str | None:
    video_id = values.get("video_id")
    return short(str(video_id), 128) if isinstance(video_id, str | int | float) else None


def _problem(
    details: ErrorDetails, values: Mapping[str, Any], file: str, number: int, video_id: str | None, unit: str
) -> RowProblem:
    location = details["loc"]
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        location = (*location, *cause.column.split("."))
    column = dotted(location)
    shown = _shown_value(details["input"] if not isinstance(cause, SettingsError) else _at(values, location))
    allowed = allowed_at(location)
    kind = details["type"]
    if kind == "missing":
        shown, message = "", f"{column} is missing"
    elif kind == "extra_forbidden":
        names = names_at(location[:-1])
        allowed = "one of " + ", ".join(names)
        message = f"{short(column)} is unknown; {did_you_mean(str(location[-1]), names)}".rstrip("; ")
    elif column == "prompt" and isinstance(cause, PromptError) and (why := _foreign(str(details["input"]))):
        message = f"prompt {shown}: {why}"
    elif cause is not None and str(cause):
        message = f"{column}: {cause}"
    elif allowed and "error" not in details.get("ctx", {}):
        message = f"{column} is {shown}"
    else:
        message = f"{column} is {shown}: {details['msg']}"
    return RowProblem(file, number, video_id, column, shown, allowed, message, unit)


def _foreign(prompt: str) -> str | None:
    return foreign_story(prompt) or foreign_weight(prompt)


def _at(values: Any, location: Iterable[int | str]) -> Any:
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _shown_value(value: Any) -> str:
    if value is None:
        return "not set"
    # what is secret goes before anything is cut: half an address may not be known for one
    return f"'{short(value, 80)}'" if isinstance(value, str) else short(_SHOWN.repr(_masked(value)), 80)


def _masked(value: Any, level: int = 0) -> Any:
    """The head of a stranger's list or settings without secrets."""
    if isinstance(value, str):
        return short(value, 1000)
    if level > _SHOWN.maxlevel or not isinstance(value, Mapping | list | tuple):
        return value  # no deeper is anything shown
    if isinstance(value, Mapping):
        return {key: _masked(it, level + 1) for key, it in islice(value.items(), _SHOWN.maxdict + 1)}
    return [_masked(it, level + 1) for it in value[: _SHOWN.maxlist + 1]]
