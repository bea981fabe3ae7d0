"""`nightreel import`: settings of other tools, as a source of a manifest."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.cli.errors import BAD_INPUT, DONE
from flows.cli.output import print_json, problems, say
from infra.settings import load_settings
from infra.storage.storage import Storage, is_key, read_uri
from manifests.importing.account import FATES
from manifests.importing.command_line import TYPED, looks_like_command
from manifests.importing.importing import Result, import_settings
from manifests.importing.source import Wishes
from manifests.masking import address_without_secrets
from manifests.schema.texts import plural
from manifests.sources.lines import text_of
from renderers.errors import BadInput

__all__ = ["import_"]

Dialect = Literal["nr", "pytti", "deforum", "parseq", "disco", "chigozie", "travel", "aig"]


def import_(
    source: str,
    *,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], help="the YAML to write; without it stdout")
    ] = None,
    from_: Annotated[
        Dialect | None, Parameter(name="--from", help="whose settings they are; otherwise their keys tell")
    ] = None,
    model: Annotated[str | None, Parameter(help="the model that draws, instead of the one that is named")] = None,
    prompt: Annotated[str | None, Parameter(help="what to draw, where the source says nothing of it")] = None,
    steps_from_strength: Annotated[
        bool, Parameter(negative="", help="Deforum's strength as steps: 25*(1 - strength)/.35")
    ] = False,
    replace: Annotated[
        bool, Parameter(negative="", help="replace an output that is there and was edited, or is of something else")
    ] = False,
    strict: Annotated[bool, Parameter(negative="", help="write nothing if anything that shows is dropped")] = False,
    json: Annotated[bool, Parameter(negative="", help="the lists as JSON on stdout")] = False,
) -> int:
    """Import another tool's settings: a row of YAML that `manifest build` reads.

    Example: nightreel import deforum_settings.txt -o flight.yaml
    Example: nightreel import 'python generate.py -p "a red apple" -zvid -i 500' -o apple.yaml --model embedded

    Read are VQGAN-CLIP's command lines (and zoom.sh, EleutherAI's main.py), pytti's YAML, Deforum's settings.txt,
    Parseq's rendered JSON, Disco Diffusion's settings, chigozienri's dictionaries, prompt travel, and
    ai-art-generator's files. What carries over is the motion and the story of a project. Every key is listed: mapped,
    approximated, dropped, or needing you. Nothing is evaluated.

    Args:
        source: the file to read, or a command line in quotes.
    """
    if output is not None:
        _check_output(output, source)
    text, name = _read(source)
    wishes = Wishes(model, prompt, steps_from_strength, _Finder(source, output))
    found = import_settings(text, name, from_, wishes)
    refused = strict and bool(found.lost)
    if output is not None and not refused:
        _write(output, found.yaml.encode(), replace=replace)
    if json:
        print_json(_document(found, None if refused else output))
    elif output is None and not refused:
        say(found.yaml.rstrip("\n"))
    if output is not None and not json:
        for line in found.lines:
            say(line)
    problems(found.advice)
    if refused:
        problems([f"nothing written: {plural(len(found.lost), 'key')} that shows was dropped, and --strict is given: "
                  f"{', '.join(list(found.lost)[:20])}"])  # fmt: skip
        return BAD_INPUT
    if output is not None and not json:
        say(f"{output}: {plural(found.rows, 'row')} from {found.title}")
    return DONE


def _read(source: str) -> tuple[str, str]:
    """The text of a file, or a command line as it stands there, and what it is called."""
    if looks_like_command(source) and " " in source.strip() and not Path(source[:4000]).is_file():
        return source, TYPED
    data = read_uri(source, load_settings().reading())
    return text_of(io.BytesIO(data), address_without_secrets(source)), address_without_secrets(source)


def _write(output: str, text: bytes, *, replace: bool) -> None:
    folder, slash, file = output.rpartition("/")
    storage = Storage(folder or slash or ".")
    # what is imported is gone on with by hand: that work must not be lost by importing again
    if not replace and storage.exists(file) and storage.read(file) != text:
        raise BadInput(
            f"output '{output}' is there already, and something else than would be written: name another file, or add "
            "--replace"
        )
    storage.put(file, text, existing="replace")


def _check_output(output: str, source: str) -> None:
    folder, _, name = output.rpartition("/")
    if not name or folder.endswith(":/") or not is_key(name) or not name.lower().endswith((".yaml", ".yml")):
        raise BadInput(f"output '{output}' is no file of YAML: give one, such as `-o row.yaml`")
    if output == source or _is_one_file(output, source):
        raise BadInput(f"output '{output}' is the source itself: name another file")


def _is_one_file(output: str, source: str) -> bool:
    try:
        return Path(output.removeprefix("file://")).samefile(source.removeprefix("file://"))
    except (OSError, ValueError):  # a command line, an address, or no file yet
        return False


class _Finder:
    """Gives the address by which the row may name a picture: as it is where it is one of the web or of a store; a path
    from the YAML's folder where the file is there, looked for beside the YAML and beside the source."""

    def __init__(self, source: str, output: str | None) -> None:
        self._target = Path(output or ".").parent if output and "://" not in output else Path()
        self._folders = [self._target, *([] if "://" in source or len(source) > 4000 else [Path(source).parent])]

    def __call__(self, path: str) -> str | None:
        if "://" in path:
            return path
        for folder in self._folders:
            try:
                if (found := folder / path).is_file():
                    return path if Path(path).is_absolute() else os.path.relpath(found, self._target)
            except (OSError, ValueError):
                return None
        return None


def _document(found: Result, output: str | None) -> dict[str, object]:
    lists = {fate: {key: entry.words for key, entry in found.account.of(fate).items()} for fate in FATES}
    return {
        "output": output,
        "dialect": found.dialect,
        "rows": found.rows,
        **{fate.replace(" ", "_"): entries for fate, entries in lists.items()},
        "shows": list(found.lost),
        "notes": list(found.advice),
        "yaml": found.yaml if output is None else None,
    }
