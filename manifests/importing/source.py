"""What a dialect reads: settings by name, and what the person who imports them asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.importing.account import Account
from manifests.importing.documents import is_plain_number
from manifests.importing.draft import Draft, drawn_seed, name_of_video, side
from manifests.results import ManifestError
from manifests.schema.texts import short

__all__ = ["Imported", "Source", "Wishes"]

_OFF: tuple[Any, ...] = (None, "", False, 0, "None", "none", "Disabled", "off", -1, (), [], {})


@dataclass(frozen=True, slots=True)
class Wishes:
    """`find` gives the address by which a row may name a picture that the source names, None where there is none."""

    model: str | None = None
    prompt: str | None = None
    steps_from_strength: bool = False
    find: Callable[[str], str | None] = lambda path: path


@dataclass(frozen=True, slots=True)
class Imported:
    """What a source came to: rows, or the block of `expand` that makes them; and what became of its keys."""

    dialect: str
    title: str
    account: Account
    keys: tuple[str, ...]
    drafts: tuple[Draft, ...] = ()
    blocks: tuple[Mapping[str, Any], ...] = ()
    advice: tuple[str, ...] = ()


class Source:
    """The settings of one video. Values of the wrong kind are dropped with a word, and the default is used."""

    def __init__(self, values: Mapping[str, Any], text: str, name: str, wishes: Wishes) -> None:
        self.values, self.text_of_all, self.name, self.wishes = dict(values), text, name, wishes
        self.account = Account()

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it stands there."""
        return self.values.get(key, default)

    def has(self, *keys: str) -> tuple[str, ...]:
        """Those of `keys` that the source has."""
        return tuple(key for key in keys if key in self.values)

    def number(self, key: str, default: float, low: float = -1e9, high: float = 1e9) -> float:
        """A number within bounds."""
        value = self.values.get(key, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if value is None and key in self.values and self.values[key] in (None, ""):
            return default
        if not is_plain_number(value) or not low <= value <= high:
            shown = short(str(self.values[key]), 40)
            self.account.dropped([key], f"'{shown}' is no number from {low:g} to {high:g}; {default:g} is taken")
            return default
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        return round(self.number(key, default, low, high))

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        value = self.values.get(key, default)
        return value.strip() if isinstance(value, str) else default if value is None else str(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether something is on."""
        value = self.values.get(key, default)
        return value.strip().lower() in ("true", "yes", "1", "on") if isinstance(value, str) else bool(value)

    def is_off(self, key: str) -> bool:
        """Whether a setting says that what it is for is not used."""
        value = self.values.get(key)
        return any(value == it and type(value) is type(it) for it in _OFF)

    # ---- what all dialects do

    def draft(self, stem: str) -> Draft:
        """An empty row named after the source's file, or `stem`."""
        draft = Draft(self.account, self.name)
        draft.columns["video_id"] = name_of_video(self.name, stem)
        return draft

    def size(self, draft: Draft, width: str, height: str, default: int = 512) -> tuple[float, float]:
        """Say width and height; return those of the source, in whose pixels its camera moves."""
        sides = self.number(width, default, 1, 100_000), self.number(height, default, 1, 100_000)
        self.sides(draft, sides, self.has(width), self.has(height))
        return sides

    def sides(
        self, draft: Draft, sides: tuple[float, float], of_width: tuple[str, ...], of_height: tuple[str, ...]
    ) -> None:
        """Say the sides of the picture, rounded to what models can draw."""
        for column, pixels, keys in zip(("width", "height"), sides, (of_width, of_height), strict=True):
            rounded = side(pixels)
            rule = "" if rounded == pixels else f"{pixels:g} is rounded to {rounded}, a side that models can draw"
            draft.put(column, rounded, *keys, rule=rule)

    def seed(self, draft: Draft, key: str) -> None:
        """Say the seed; one that was left to chance is drawn of the source's text, and written down."""
        value = self.values.get(key)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and value.strip().lstrip("-").isascii() and value.strip().lstrip("-").isdigit():
            value = int(value[:30])
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value < 2**63
            and value == int(value)
        ):
            draft.put("seed", int(value), *self.has(key))
            return
        if isinstance(value, int) and not isinstance(value, bool) and value < -1:
            draft.put("seed", -value % 2**63, *self.has(key), rule="without its sign")
            return
        rule = "it was left to chance; this one is drawn of the file's text" if key in self else ""
        draft.put("seed", drawn_seed(self.text_of_all), *self.has(key), rule=rule)

    def model(self, draft: Draft, default: str, *keys: str, known: Mapping[str, str] | None = None) -> None:
        """Say the model: the one that was asked for, or the registry's entry for what the source names, in `keys`."""
        named = self.text(keys[0]) if keys and keys[0] in self else ""
        found = (known or {}).get(name_of_video(named, "").lower(), "") if named else default
        wanted = self.wishes.model
        if wanted:
            same = wanted == found
            draft.put("model", wanted, *self.has(*keys), rule="" if same else f"--model {short(wanted, 60)} instead")
        elif found:
            draft.put("model", found, *self.has(*keys))
        else:
            draft.put("model", default)
            self.account.needs(
                self.has(*keys),
                f"no entry of the registry is '{short(named, 60)}': `nightreel models add NAME` makes one of "
                f"checkpoint and config; until then the row takes {default}",
            )

    def picture(self, path: str, *keys: str) -> str | None:
        """The address of a picture that the source names; None where it is not there, which a person is told."""
        path = path.strip().strip("[]").strip()
        found = self.wishes.find(path) if path else None
        if path and found is None:
            self.account.needs(
                self.has(*keys),
                f"the picture '{short(path, 200)}' is not there: put it beside this file, and name it in the row",
            )
        return found

    def init_image(self, draft: Draft, key: str, *others: str) -> None:
        """Say the picture that the video begins with."""
        if key not in self:
            return
        if self.is_off(key) or not self.text(key):
            self.account.mapped(self.has(key, *others), "none is used")
        elif (found := self.picture(self.text(key), key, *others)) is not None and draft.put(
            "init_image", found, *self.has(key, *others)
        ):
            draft.put("init", "image")

    def no_prompt(self) -> ManifestError:
        """The error for a source without a prompt."""
        return ManifestError(
            f"{self.name}: it holds no prompt, so there is nothing to draw: give one by --prompt 'a red apple'"
        )

    def rest(self, quiet: Mapping[str, str], loud: Mapping[str, str], tool: str) -> None:
        """Drop what is left: `quiet` keys change no picture, `loud` ones do unless they are off. Names may end in `*`.
        What neither names is unknown."""
        for key in self.values:
            if self.account.fate(key) is not None:
                continue
            if (reason := _reason(key, quiet)) is not None:
                self.account.dropped([key], reason, shows=False)
            elif (reason := _reason(key, loud)) is not None:
                off = self.is_off(key)
                self.account.dropped([key], f"{reason}{' (off here)' if off else ''}", shows=not off)
            else:
                self.account.dropped([key], f"no setting of {tool} that nightreel knows", shows=not self.is_off(key))

    def drop(self, keys: Iterable[str], reason: str, *, shows: bool = True) -> None:
        """Drop those of `keys` that the source has."""
        self.account.dropped(self.has(*keys), reason, shows=shows)


def _reason(key: str, reasons: Mapping[str, str]) -> str | None:
    if key in reasons:
        return reasons[key]
    return next((words for name, words in reasons.items() if name[-1:] == "*" and key.startswith(name[:-1])), None)
