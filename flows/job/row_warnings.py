"""What is good in a manifest and may still surprise: found in one place, for every command, job and report alike.

A hundred warnings are kept whole, and all are counted: a manifest may have millions of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from manifests.portable_ids import PortableIds
from manifests.problems import LISTED
from manifests.results import GoodRow
from manifests.schema import ManifestRow
from manifests.schema.alike import is_plain
from manifests.schema.spelling import doubtful
from manifests.schema.texts import plural
from renderers.errors import RenderError
from renderers.prompt_checks import PromptChecks, Said
from renderers.prompt_length import unread_text
from renderers.registry import ModelEntry, Registry
from renderers.unknown_words import unknown_words_of

__all__ = ["RowWarnings", "Warnings", "prompt_warnings", "sound_warnings", "warnings_of_sound"]

_LENGTH = "a prompt is longer than its model reads"
_WORDS = "a prompt has words that its model does not know"
_SPELLING = "a prompt has signs of another tool's spelling"
_SHORT = "a video is longer than its audio"
_ID = "a video_id that some stores can't hold"

_REMEMBERED = 1000  # texts, of which each may be long


@dataclass(frozen=True)
class Warnings:
    """The `first` warnings of a manifest's rows, sentences that say which row, and how many there are of each kind."""

    first: tuple[str, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.kinds.values())

    def lines(self) -> Iterator[str]:
        """Yield a line for each of the first, and one that counts all where there are more."""
        yield from (f"warning: {it}" for it in self.first)
        more = self.total - len(self.first)
        if more > 0:
            kinds = ", ".join(f"{count:,} times '{kind}'" for kind, count in self.kinds.items())
            yield f"and {plural(more, 'more warning')}, {self.total:,} in all: {kinds}"


class RowWarnings:
    """Looks at the good rows of a manifest, one by one; the models that they name are those of `registry`."""

    def __init__(self, registry: Registry) -> None:
        self._entry = cache(registry.entry)
        self._ids = PortableIds()
        self._checks = dict[str, PromptChecks]()
        self._texts: dict[tuple[str, str], Said] = {}
        self._first: list[str] = []
        self._kinds: Counter[str] = Counter()

    def look(self, row: GoodRow) -> None:
        """Look at one."""
        if said := self._ids.warning(row):
            self._note(_ID, said)
        for kind, text in _of_prompts(row.row, self._known(row.row.model), self._of_text):
            self._note(kind, f"{text} (row {row.number}, video '{row.row.video_id}', {row.file})")

    def look_at_plan(self, row: ManifestRow, number: int, file: str) -> None:
        """Look at a row that was planned: what was heard in its audio is known."""
        for kind, text in _of_sound(row):
            self._note(kind, f"{text} (row {number}, video '{row.video_id}', {file})")

    @property
    def found(self) -> Warnings:
        """All so far."""
        return Warnings(tuple(self._first), dict(self._kinds))

    def _note(self, kind: str, text: str) -> None:
        self._kinds[kind] += 1
        if len(self._first) < LISTED:
            self._first.append(text)

    def _of_text(self, text: str, entry: ModelEntry) -> Said:
        """What is said of a text, remembered: a manifest has a prompt with many seeds, or one word in many. Once
        enough is kept it is enough to know that something is."""
        key = text, entry.name
        said = self._texts.get(key)
        if said is None:
            if len(self._texts) == _REMEMBERED:
                self._texts.clear()
            if entry.name not in self._checks:
                self._checks[entry.name] = PromptChecks(entry)
            said = self._checks[entry.name].say(text, in_full=len(self._first) < LISTED)
            self._texts[key] = said
        return said

    def _known(self, model: str) -> ModelEntry | None:
        try:
            return self._entry(model)
        except RenderError:
            return None  # that it is not here, the planner says


def sound_warnings(row: ManifestRow) -> list[str]:
    """Say what may surprise in the sound of a planned row."""
    return [text for _, text in _of_sound(row)]


def _of_sound(row: ManifestRow) -> Iterator[tuple[str, str]]:
    if row.heard is None:
        return
    left, wanted = row.heard.seconds - row.audio_start, row.frames / row.fps
    if left <= 0:
        yield (
            _SHORT,
            f"audio_start {row.audio_start:g} lies behind the audio's end ({row.heard.seconds:.2f} s): silence",
        )
    elif left < wanted - 1 / row.fps:
        yield _SHORT, f"the audio ends after {left:.2f} of the video's {wanted:.2f} s: silence follows"


def warnings_of_sound(row: ManifestRow) -> Warnings:
    """Return what `sound_warnings` says, as a plan holds it."""
    found = list(_of_sound(row))
    return Warnings(tuple(text for _, text in found), Counter(kind for kind, _ in found))


def prompt_warnings(row: ManifestRow, entry: ModelEntry | None) -> list[str]:
    """Say what may surprise in the prompts of a row that is rendered with the model `entry`, each text once."""
    return [text for _, text in _of_prompts(row, entry)]


def _of_prompts(
    row: ManifestRow, entry: ModelEntry | None, of_text: Callable[[str, ModelEntry], Said] | None = None
) -> Iterator[tuple[str, str]]:
    if row.prompt is not None and (why := doubtful(row.prompt)):
        yield _SPELLING, why
    for region in row.regions or ():
        if why := doubtful(region.prompts):
            yield _SPELLING, why
    if entry is None:
        return
    alone = row.prefix is None and row.suffix is None and row.regions is None
    if alone and row.prompt is not None and is_plain(row.prompt):
        texts: Iterable[str] = (row.prompt.strip(),)  # no grammar reads it
    else:
        texts = dict.fromkeys(prompt.text for scene in row.all_scenes for prompt in scene.prompts)
    found = [(of_text or _of_text)(text, entry) for text in texts]
    yield from ((_LENGTH, unread) for unread, _ in found if unread is not None)
    yield from ((_WORDS, unknown) for _, unknown in found if unknown is not None)


def _of_text(text: str, entry: ModelEntry) -> Said:
    return Said(unread_text(text, entry), unknown_words_of(text, entry))
