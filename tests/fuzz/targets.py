"""What is fuzzed: every reader of what strangers write, and what it may do with it.

A reader may give what it read, or refuse it in words for people. Anything else is a finding: an exception that is none
of ours, or is one that nobody has thought of (kind "application"); a message that is empty, endless, or more than one
terminal's worth; more than the seconds or the memory of one input (child.py).
"""

from __future__ import annotations

import gzip
import io
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.video.sound import listen
from manifests.building import Kind, build
from manifests.checking import check_row, nest
from manifests.errors import NightreelError
from manifests.importing.account import FATES
from manifests.importing.importing import import_settings
from manifests.own_presets import read_preset
from manifests.reading import read_rows
from manifests.results import GoodRow, RowProblem, RowResult
from manifests.schema import KeyframeError, NamedFile, addresses_of, parse_frames
from manifests.schema.keyframes import Keyframes, check_text
from manifests.schema.prompts import format_prompts, parse_prompts
from manifests.schema.timeline import Timeline
from manifests.sources.chance import Chance
from manifests.sources.wildcards import ChoiceError, Lists, read_choices
from renderers.config_file import read_config
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.frame_object import FrameObject
from renderers.pictures.reading import read_rgb
from renderers.registry import Registry
from renderers.word_table import BUCKETS, read_words
from tests.fuzz import outputs, seeds, values
from tests.fuzz.judging import Finding, refused, said
from tests.helpers.sources import Folder

__all__ = ["TARGETS", "Target"]

LONGEST_PLAN = 500  # frames that are planned of a row that is good: all else is arithmetic on its number
NAME = "stranger"


@dataclass(frozen=True)
class Target:
    """One reader. Either `seeds` are bytes that it reads, which are mutated, or `strategy` makes what it is given;
    `read` raises Finding, or anything that is none of ours, where it fails."""

    read: Callable[[Any], None]
    seeds: Callable[[], Iterable[bytes]] | None = None
    strategy: st.SearchStrategy[Any] | None = None
    few: bool = False
    """An input takes tenths of a second: a short run has fewer of them."""

    def one_input(self) -> Callable[[bytes], object]:
        """Return what a fuzzer calls: with bytes that are read, or from which the value to be read is made."""
        if self.strategy is None:
            return self.read
        shaped = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        one: Callable[[bytes], object] = shaped(given(self.strategy)(self.read)).hypothesis.fuzz_one_input  # type: ignore[attr-defined]
        return one


def placed(results: Iterable[RowResult]) -> None:
    """Look at what became of rows: each problem has its place."""
    for result in results:
        if isinstance(result, GoodRow):
            planned(result)
            continue
        assert isinstance(result, RowProblem)
        said(str(result))
        said(result.message)
        if result.file != NAME or result.row < 0:
            raise Finding(f"a problem without a place: {result!r}")


def planned(good: GoodRow) -> None:
    """Plan a row that was found good: it has its frames, or is refused in words."""
    if good.row.frames > LONGEST_PLAN:
        return
    try:
        row = good.row
        images = {it.address: "0" * 64 for it in addresses_of(row)}
        plan = VideoPlan.of(row, images, entry=Registry().entry("embedded"))
        if len(list(plan.walk())) != good.row.frames:
            raise Finding("the plan has another number of frames than its row")
    except NightreelError as error:
        refused(error)


def refusing(read: Callable[[Any], Any]) -> Callable[[Any], None]:
    """`read`, which may refuse what it is given."""

    def reading(given: Any) -> None:
        try:
            read(given)
        except NightreelError as error:
            refused(error)

    return reading


def in_a_file(read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    """`read`, which takes a file's path, for bytes."""

    def reading(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(prefix="fuzz-") as file:
            file.write(data)
            file.flush()
            read(Path(file.name))

    return refusing(reading)


# ---- manifests


def _row(given: Mapping[str, Any]) -> None:
    placed(check_row(nest(given), file=NAME, number=1))


def _source(kind: Kind) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        placed(build(io.BytesIO(data), kind, NAME))

    return refusing(read)


_LISTS = {"wildcards/list.txt": b"red\n2::green\n# no\n{a|b} {name}\n", "wildcards/loop.txt": b"x __loop__\n"}


def _choices(text: str) -> None:
    """Every text that choices stand for, or one by chance, is as long as was said."""
    try:
        node = read_choices(text, ("name",), Lists(Folder(_LISTS)))
    except ChoiceError as error:
        said(str(error))
        return
    values = {"name": "reef"}
    texts = [node.draw(Chance(0), values), *(node.at(index, values) for index in range(min(node.count, 50)))]
    most = node.longest + 4 * node.uses.get("name", 0)
    if not node.count or max(map(len, texts)) > most:
        raise Finding(f"{text!r} stands for a text of more than {most} characters, or for none")


def _table(data: bytes) -> None:
    kind, _, table = data.partition(b" ")
    ending = kind.decode("ascii", "replace")
    if ending not in ("csv", "jsonl", "parquet"):
        return
    source = f"expand: {{table: t.{ending}, template: 'for {{name}}, {{a|b}}', id: '{{id}}', set: {{seed: '{{id}}'}}}}"
    for result in build(source, "yaml", NAME, Folder({f"t.{ending}": table})):
        if isinstance(result, RowProblem):
            said(str(result))
        elif len(result.row.scenes) != 1 or len(result.row.scenes[0].prompts) != 1:
            raise Finding("a table's cell is more than a text")


def _parquet(data: bytes) -> None:
    placed(read_rows([NamedFile(NAME, lambda: io.BytesIO(data))]))


def _prompt(text: str) -> None:
    scenes = parse_prompts(text)
    if parse_prompts(format_prompts(scenes)) != scenes:
        raise Finding("the prompt is another one after it was written and read")


#: What a refusal of keyframes names: a character, a frame, a key, or the limit or the form that the text does not keep.
_PLACED = re.compile(r"character \d|at frame \d|key '|keyed twice|at most [\d,]+ are|an empty|not a finite")


def _keyframes(given: tuple[str, Timeline]) -> None:
    text, timeline = given
    try:
        check_text(text)
        keyframes = Keyframes.parse(text, timeline)
        keyframes.check(timeline.frames, -1e6, 1e6)
        for frame in (0, 1, 2.5, 1000, *keyframes.frames[:100]):
            if not math.isfinite(keyframes.at(frame)):
                raise Finding(f"{text!r} is not finite at frame {frame}")
    except KeyframeError as error:
        if not _PLACED.search(str(error)):
            raise Finding(f"a refusal without a place: {error}") from error
        raise


def _frames(text: str) -> None:
    for part in parse_frames(text):
        len(part)


def _import(text: str) -> None:
    """Every key of another tool's settings is in one list, and what was written builds and plans."""
    found = import_settings(text, NAME)
    listed = [key for fate in FATES for key in found.account.of(fate)]
    if sorted(listed) != sorted(set(found.keys)):
        raise Finding(f"keys that are in no list, or in two: {set(listed) ^ set(found.keys)}")
    for result in islice(build(found.yaml, "yaml", NAME), 50):
        if isinstance(result, RowProblem):
            raise Finding(f"what was written is refused: {result}")
        if result.row.model not in MODELS:
            raise Finding(f"no entry of the registry is {result.row.model}")
        planned(result)


def _words(path: Path) -> None:
    """A table that is read has numbers for every text, of its words and of its buckets."""
    table = read_words(path)
    for text in ("a cat, two cats' catty snowcats 猫", *table.words[:50]):
        table.unknown(text)
        if any(not 0 <= number < len(table.words) + BUCKETS for number in table.ids(text)):
            raise Finding(f"{text!r} has numbers that are none of the table's")


MODELS = {it.name for it in Registry().entries()}
TARGETS: dict[str, Target] = {
    "row": Target(_row, strategy=values.rows()),
    "yaml": Target(_source("yaml"), seeds.yaml_sources),
    "jsonl": Target(_source("jsonl"), seeds.jsonl_sources),
    "csv": Target(_source("csv"), seeds.csv_sources),
    "preset": Target(refusing(lambda data: read_preset(data, NAME)), seeds.presets),
    "parquet": Target(refusing(_parquet), seeds.parquet_files),
    "import": Target(refusing(lambda data: _import(data.decode("utf-8", "replace"))), seeds.settings_of_tools),
    "settings": Target(refusing(_import), strategy=values.settings_of_tools()),
    "choices": Target(_choices, strategy=values.choices()),
    "table": Target(refusing(_table), seeds.tables),
    "prompt": Target(refusing(_prompt), strategy=values.prompts()),
    "keyframes": Target(refusing(_keyframes), strategy=st.tuples(values.keyframes(), values.timelines())),
    "frames": Target(refusing(_frames), strategy=values.frame_lists()),
    "picture": Target(refusing(lambda data: read_rgb(data, NAME)), seeds.pictures),
    "sound": Target(in_a_file(lambda path: listen(path, NAME)), seeds.sounds, few=True),
    "config": Target(in_a_file(read_config), seeds.configs),
    "words": Target(lambda data: in_a_file(_words)(gzip.compress(data)), seeds.word_tables),
    "checkpoint": Target(in_a_file(seeds.all_tensors), seeds.checkpoints),
    "frame": Target(refusing(FrameObject.from_bytes), seeds.frame_objects),
    "output": Target(outputs.read_by_status, strategy=values.documents()),
    "page": Target(outputs.read_by_page, strategy=values.documents(), few=True),
    "prune": Target(outputs.read_by_prune, strategy=values.documents()),
    "report": Target(outputs.read_by_report, strategy=values.documents(), few=True),
}
