"""Settings of another tool in, a source of a manifest out, and what became of each key."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from manifests.building import build
from manifests.importing.account import Account, Entry
from manifests.importing.dialects import read
from manifests.importing.source import Imported, Wishes
from manifests.importing.wording import bare
from manifests.importing.writing import lines_of_account, written
from manifests.results import ManifestError, RowProblem
from manifests.schema.texts import short

__all__ = ["Result", "import_settings"]

_CHECKED_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Result:
    """`yaml` is the source of a manifest; `lines` are its four lists for people; `rows` counts the videos that are
    written out, or the blocks of `expand`."""

    yaml: str
    dialect: str
    title: str
    rows: int
    account: Account
    keys: tuple[str, ...]
    lines: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def lost(self) -> dict[str, Entry]:
        """What was dropped and would show."""
        return {key: entry for key, entry in self.account.of("dropped").items() if entry.shows}


def import_settings(text: str, name: str, dialect: str | None = None, wishes: Wishes | None = None) -> Result:
    """Import the settings of another tool: `text` is what the file `name` holds, or a command line.

    Every key of it is in exactly one of four lists; the YAML is valid for this version of nightreel.

    Raises:
        ManifestError: it is in no dialect that is known, can't be read, or holds nothing to draw; the message names
            file and place.
    """
    found = read(text, name, dialect, wishes or Wishes())
    for draft in found.drafts:
        if found.blocks:
            draft.columns["prompts"] = [{"at": 0, "prompts": [{"text": "a subject"}]}]
        draft.settled()
        if found.blocks:
            del draft.columns["prompts"]
    if found.blocks:
        for block, draft in zip(found.blocks, found.drafts, strict=True):
            block["set"].clear()
            block["set"].update({key: value for key, value in draft.columns.items() if key != "video_id"})
    # such as an option with an empty text, which no part of a dialect looks at
    silent = [key for key in dict.fromkeys(found.keys) if found.account.fate(key) is None]
    found.account.dropped(silent, "it says nothing here", shows=False)
    found.account.ordered(found.keys)
    made = written(found)
    if (problem := _refused(made, name)) is not None and found.blocks:
        _bare_texts(found)
        made = written(found)
        problem = _refused(made, name)
    if problem is not None:
        raise ManifestError(f"{name}: no row can be made of it: {short(problem.message, 500)}")
    advice = tuple(dict.fromkeys(it for draft in found.drafts for it in draft.advice))
    rows = len(found.blocks) or len(found.drafts)
    return Result(
        made, found.dialect, found.title, rows, found.account, found.keys, tuple(lines_of_account(found)), advice
    )


def _refused(text: str, name: str) -> RowProblem | None:
    """The first problem of the rows that a written source makes."""
    results = islice(build(text, "yaml", name), _CHECKED_ROWS)
    return next((it for it in results if isinstance(it, RowProblem)), None)


def _bare_texts(found: Imported) -> None:
    """Take the signs out of the texts of `expand`, where one of its rows is refused."""
    for block in found.blocks:
        for axis, texts in block["axes"].items():
            block["axes"][axis] = list(dict.fromkeys(map(bare, texts)))
    found.account.approximated(["[subjects]"], "signs that are no text here are left out")
