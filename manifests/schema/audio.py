"""Sound under a video: its columns, and what schedules know of it.

Who plans a row hears its audio (infra/video/sound.py) and writes what its schedules take from it into the row, a value
per frame, so that workers, stored plans and re-runs need no file: frames hang on those values, not on the file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from manifests.schema.base import Settings, SettingsError

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = [
    "AS_AUDIO", "BAND", "SIGNALS", "Band", "Heard", "HeardSignal", "Seconds", "Signals",
    "all_signals", "check_bands", "frames_of", "heard_values", "is_signal", "signal_of", "signals_of", "signals_used",
]  # fmt: skip

SIGNALS = ("loud", "bass", "mid", "high", "onset")
"""Names that expressions know of every audio."""
BAND = "band_"
"""What the names of a row's own bands begin with there: no later name of ours can be one of them."""
PREVIOUS = "_prev"
SIGNAL_PATTERN = rf"(?:{'|'.join(SIGNALS)}|{BAND}[a-z0-9_]{{1,40}})(?:{PREVIOUS})?"
_SIGNAL = re.compile(SIGNAL_PATTERN, re.ASCII)

HIGHEST = 11_000.0  # Hz, as infra/video/signals.py hears
MOST_FRAMES = 1_000_000
_SCALE = 10_000  # values have four decimals
AS_AUDIO = "audio"


def is_signal(name: str) -> bool:
    """Whether a name of an expression is one of music."""
    return _SIGNAL.fullmatch(name) is not None


def signal_of(name: str) -> str:
    """The signal that a name is the value of, here or at the frame before."""
    return name.removesuffix(PREVIOUS)


class Band(Settings):
    """A band of frequencies whose strength expressions know as `band_` and its name."""

    name: str = Field(
        pattern=r"^[a-z0-9_]{1,40}$",
        description="What it is called: snare is band_snare in expressions.",
        json_schema_extra={"allowed": "1 to 40 small letters, digits or _"},
    )
    low: float = Field(ge=0, le=HIGHEST, description="Its lowest frequency, in Hz.")
    high: float = Field(gt=0, le=HIGHEST, description="Its highest frequency, in Hz.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low >= self.high:
            raise SettingsError("low", f"low {self.low:g} lies above high {self.high:g}; give the lower one first")
        if self.name.endswith(PREVIOUS):
            raise SettingsError("name", f"'{self.name}' can't end in {PREVIOUS}: band_x{PREVIOUS} is band_x before")
        return self


def _check_values(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("holds no values that a plan has written; leave it out") from error
    if len(data) % 2:
        raise ValueError("holds no values that a plan has written: half of one is missing; leave it out")
    return text


class HeardSignal(Settings):
    """A signal of the audio, a value per frame."""

    name: str = Field(pattern=rf"^(?:{'|'.join(SIGNALS)}|{BAND}[a-z0-9_]{{1,40}})$", description="Its name.")
    values: Annotated[str, Field(max_length=3_000_000), AfterValidator(_check_values)] = Field(
        description="Its values, 16 bits each (10,000 is 1), in base64."
    )


class Heard(Settings):
    """What was heard in the audio, written when a row is planned: no author needs to."""

    seconds: float = Field(0.0, ge=0, le=1e6, description="How long the audio is.")
    signals: tuple[HeardSignal, ...] | None = Field(
        None, max_length=64, description="What the row's schedules take from it, a value per frame."
    )


def heard_values(values: Iterable[float]) -> str:
    """Shares of four decimals as a `HeardSignal` has them."""
    data = b"".join(round(value * _SCALE).to_bytes(2, "little") for value in values)
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals that a row's audio has, by `names`, and the `values` of those that were heard: None before."""

    names: tuple[str, ...]
    values: tuple[tuple[str, str], ...] | None = None

    def only(self, names: Iterable[str]) -> Signals | None:
        """What of it decides the values of `names`."""
        wanted = {signal_of(name) for name in names if is_signal(name)}
        if not wanted:
            return None
        values = None if self.values is None else tuple(it for it in self.values if it[0] in wanted)
        return Signals(self.names, values)

    def at(self, name: str, frame: float) -> float:
        """The value of a name of expressions at a frame; before the first one it is 0.

        Raises:
            LookupError: nobody has heard it yet.
        """
        number = int(frame) - name.endswith(PREVIOUS)
        for known, text in self.values or ():
            if known == signal_of(name):
                values = _numbers(text)
                return values[min(number, len(values) - 1)] if values and number >= 0 else 0.0
        raise LookupError(f"'{name}' is known once the sound was heard, when a job plans the row")


@lru_cache(maxsize=256)
def _numbers(text: str) -> Sequence[float]:
    data = base64.b64decode(text)
    return [int.from_bytes(data[at : at + 2], "little") / _SCALE for at in range(0, len(data), 2)]


def all_signals(row: ManifestRow) -> tuple[str, ...]:
    """The names of all signals of a row's audio."""
    return (*SIGNALS, *(BAND + band.name for band in row.bands or ()))


def signals_of(row: ManifestRow) -> Signals | None:
    """What expressions of a row know of its audio; None where it names none."""
    if row.audio is None:
        return None
    names = all_signals(row)
    if row.heard is None or row.heard.signals is None:  # its length may be known before its values
        return Signals(names)
    return Signals(names, tuple((it.name, it.values) for it in row.heard.signals))


def signals_used(row: ManifestRow) -> set[str]:
    """The signals that a row's schedules take from its audio."""
    from manifests.schema.schedules import schedules

    texts = [it.text for it in schedules(row).values()]
    return {signal_of(name) for text in texts for name in _NAMES.findall(text)}


_NAMES = re.compile(rf"(?<!\w){SIGNAL_PATTERN}(?!\w)", re.ASCII)


# --- the length of a video --------------------------------------------------------------------------------------------


def _text(value: Any) -> Any:
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_seconds(text: str) -> str:
    if text.strip() == AS_AUDIO:
        return AS_AUDIO
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise ValueError(f"is '{text[:20]}': write a number of seconds above 0, or audio, for the length of the audio")
    return text.strip()


Seconds = Annotated[str, BeforeValidator(_text), Field(max_length=40), AfterValidator(_check_seconds)]


def frames_of(row: ManifestRow) -> int | None:
    """The frames that a row's `seconds` come to; None where it says none, or nobody knows yet how long its audio is.

    Raises:
        SettingsError: they come to more than a video may have, or to none.
    """
    if row.seconds is None:
        return None
    if row.seconds != AS_AUDIO:
        seconds = float(row.seconds)
    elif row.audio is None:
        raise SettingsError("seconds", "seconds is 'audio', but the row names none: give audio, or a number of seconds")
    elif row.heard is None:
        return None
    else:
        seconds = row.heard.seconds - row.audio_start
        if seconds <= 0:
            raise SettingsError(
                "audio_start",
                f"audio_start {row.audio_start:g} lies behind the end of the audio, which lasts "
                f"{row.heard.seconds:g} s",
            )
    frames = max(1, round(seconds * row.fps))
    if frames > MOST_FRAMES:
        raise SettingsError(
            "seconds", f"seconds {seconds:g} are {frames:,} frames; at most {MOST_FRAMES:,} are allowed"
        )
    return frames


def check_bands(row: ManifestRow) -> None:
    """Raise SettingsError where two bands have one name."""
    names = [band.name for band in row.bands or ()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError("bands", f"two bands are called '{min(twice)}'; give each a name of its own")
