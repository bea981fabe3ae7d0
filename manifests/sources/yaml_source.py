"""A manifest's source in YAML: videos, defaults for all of them, and blocks that stand for many.

The text is looked at as events first, which takes no depth of stack and no memory, whatever it holds; then each video
is made by itself, so that a value that can't be made costs its video and no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from manifests.bounds import ROW_KEYS
from manifests.checking import VideoIds, check_row, drop_unset, nest
from manifests.results import GoodRow, ManifestError, RowProblem, RowResult
from manifests.schema.describe import known_columns
from manifests.schema.texts import did_you_mean, short
from manifests.sources.beside import Beside
from manifests.sources.drawing import WILDCARDS, drawn
from manifests.sources.expanding import expanded, read_blocks
from manifests.sources.wildcards import Lists
from manifests.sources.yaml_signs import Signs

try:
    from yaml import CSafeLoader as _SafeLoader  # some ten times faster; not in every build of PyYAML
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

__all__ = ["rows_of_yaml"]

_KEYS = ["defaults", "videos", "expand"]
_DEEPEST = 50
_HOPELESS = 10_000  # bad rows at the head of a block, all of which say the same of it
_MOST_NODES = 500_000  # of a text: each takes some 600 bytes while it is read, and ten microseconds
_MOST_VALUES = 1_000_000  # of one video, its aliases written out: 400 bytes of YAML can stand for billions
_MOST_UNFOLDED = 2_000_000  # of all videos, the first of each left out: they share defaults by aliases
_FREE_VALUES = 100
_LARGEST = 4096  # bits of a whole number: Python writes none of more than 4300 digits
# What PyYAML raises for values that look like dates, numbers or keys and are none.
_BROKEN = (yaml.YAMLError, ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError, RecursionError)


class _Loader(_SafeLoader):
    """YAML's safe subset, in which a key given twice is an error instead of a silent loss of the first."""

    signs: Signs

    def made(self, node: yaml.Node) -> Any:
        """The value of `node`; one that could not be made leaves nothing behind for the next."""
        try:
            return self.construct_document(node)
        except BaseException:
            self.constructed_objects, self.recursive_objects, self.state_generators = {}, {}, []
            self.deep_construct = False
            raise

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if len(node.value) > ROW_KEYS:
            problem = f"a block has more than {ROW_KEYS:,} keys"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is a list or a block", key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{short(key_node.value)}' is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        made = super().construct_scalar(node)
        return self.signs.restored(made, node) if isinstance(made, str) and isinstance(node, yaml.ScalarNode) else made


def _number_or_text(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """YAML 1.1 takes 12:30 for the number 750, in base 60; whoever writes a manifest means a text."""
    if ":" in node.value:
        return node.value
    if node.tag != "tag:yaml.org,2002:int":
        return loader.construct_yaml_float(node)
    made = loader.construct_yaml_int(node)
    if made.bit_length() > _LARGEST:
        problem = f"a whole number of {len(node.value):,} digits"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return made


for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Loader.add_constructor(_tag, _number_or_text)


def rows_of_yaml(text: str, name: str, ids: VideoIds, beside: Beside | None = None) -> Iterator[RowResult]:
    """Validate the videos of a YAML text; numbers are those of its items. `beside` reads lists and tables that it
    names.

    Raises ManifestError if it as a whole can't be read.
    """
    parts = _Parts(text, name)
    lists = Lists(beside)
    blocks = read_blocks(parts.blocks, name, beside, lists)  # what they cost is known before the first row
    number = 0
    for node in parts.videos:
        number += 1
        item, problem = parts.item(node, number)
        if problem is not None:
            yield problem
        else:
            yield from _row(item, parts.defaults, name, number, ids, lists)
    for place, block in blocks:
        bad, good = 0, False
        for made in expanded(block, place):
            if isinstance(made, RowProblem):
                results: list[RowResult] = [made]
            else:
                number += 1
                results = [
                    it if isinstance(it, GoodRow) or not made.place else _placed(it, made.place)
                    for it in _row(made.values, parts.defaults, name, number, ids, None)
                ]
            yield from results
            good = good or isinstance(results[0], GoodRow)
            bad += not good
            if bad == _HOPELESS:
                yield _hopeless(results[0], place, block.rows, name, number)
                break


def _hopeless(last: RowResult, place: str, rows: int, name: str, number: int) -> RowProblem:
    """What is said of a block whose rows are bad, one like the other: a million of them would take a minute."""
    left = f"; the other {rows - _HOPELESS:,} were not made" if rows > _HOPELESS else ""
    block = place.rpartition(", ")[2]
    message = f"{block} was given up: not one of its first {_HOPELESS:,} rows is good{left}. The last one: {last}"
    return RowProblem(name, number, None, block, "", "", message, "item")


class _Parts:
    """A text taken apart: `defaults` and `blocks` as values, `videos` as nodes that are made one at a time."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._sizes: dict[int, float] = {}
        self._unfolded = 0.0
        self._signs = signs = Signs(text)
        _check_events(signs.text, name)
        try:
            self._loader = _Loader(signs.text)
            self._loader.signs = signs
            root = self._loader.get_single_node()
        except yaml.YAMLError as error:
            raise self._broken(error) from error
        sections = self._sections(root)
        self.videos: list[yaml.Node] = []
        if (videos := sections.get("videos")) is not None:
            self.videos = videos.value if isinstance(videos, yaml.SequenceNode) else []
        self.defaults = self._defaults(sections.get("defaults"))
        blocks = self._value(sections["expand"]) if "expand" in sections else None
        self.blocks: list[Any] = blocks if isinstance(blocks, list) else [blocks] if blocks else []

    def item(self, node: yaml.Node, number: int) -> tuple[dict[Any, Any], RowProblem | None]:
        """A video as a mapping, or what is wrong with it."""
        if not isinstance(node, yaml.MappingNode):
            return {}, self._no_block(node, number)
        try:
            self._check_size(node)
            self._unfolded += max(0, _unfolded(node, self._sizes) - _FREE_VALUES)
            if self._unfolded > _MOST_UNFOLDED:
                return {}, self._spent(node, number)
            made = self._loader.made(node)
        except _BROKEN as error:
            return {}, self._problem(node, number, error)
        return (made, None) if isinstance(made, dict) else ({}, self._no_block(node, number))

    def _spent(self, node: yaml.Node, number: int) -> RowProblem:
        message = (
            f"the videos up to this one unfold to more than {_MOST_UNFOLDED:,} values by aliases ({_place(node)}); "
            "split the file, or use fewer of them"
        )
        return RowProblem(self._name, number, None, "", "", "", message, "item")

    def _no_block(self, node: yaml.Node, number: int) -> RowProblem:
        shown = short(self._signs.shown(node.value)) if isinstance(node, yaml.ScalarNode) else ""
        what = f"the item '{shown}'" if shown else "the item"
        message = f"{what} is no block with columns ({_place(node)})"
        allowed = "a block with video_id, prompt and other columns"
        return RowProblem(self._name, number, None, "", shown, allowed, message, "item")

    def _problem(self, node: yaml.MappingNode, number: int, error: Exception) -> RowProblem:
        """The value of `node` that can't be made, if it is one; the whole node otherwise."""
        video_id, column, broken = None, "", node
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value == "video_id" and isinstance(value, yaml.ScalarNode):
                video_id = short(value.value, 128)
            try:
                self._check_size(value)
                self._loader.made(value)
            except _BROKEN as its_error:
                column, broken, error = short(key.value), value, its_error
                break
        what = column or "the item"
        shown = short(broken.value) if isinstance(broken, yaml.ScalarNode) else ""
        message = f"{what} can't be read ({_reason(error)}, {_place(broken)})"
        allowed = "a text in quotes if it is meant as one" if shown else "columns with plain values"
        return RowProblem(self._name, number, video_id, column, shown, allowed, message, "item")

    def _sections(self, root: yaml.Node | None) -> dict[str, yaml.Node]:
        name = self._name
        if isinstance(root, yaml.SequenceNode):
            return {"videos": root}
        if not isinstance(root, yaml.MappingNode) or not root.value:
            raise ManifestError(f"{name}: write a list of videos, or a block with {', '.join(_KEYS)}")
        found: dict[str, yaml.Node] = {}
        for key, value in root.value:
            known = key.value if isinstance(key, yaml.ScalarNode) else ""
            if known not in _KEYS:
                hint = did_you_mean(known, _KEYS)
                hint = f"{hint} " if hint else ""
                raise ManifestError(
                    f"{name}: '{short(known)}' is unknown at the top; {hint}Known are {', '.join(_KEYS)}"
                )
            if known in found:
                raise ManifestError(f"{name} line {key.start_mark.line + 1}: the key '{known}' is given twice")
            found[known] = value
        videos = found.get("videos")
        if videos is not None and not isinstance(videos, yaml.SequenceNode) and self._value(videos) is not None:
            raise ManifestError(f"{name}: 'defaults' must be a block of columns and 'videos' a list")
        return found

    def _defaults(self, node: yaml.Node | None) -> dict[str, Any]:
        defaults = (self._value(node) if node is not None else None) or {}
        if not isinstance(defaults, dict):
            raise ManifestError(f"{self._name}: 'defaults' must be a block of columns and 'videos' a list")
        for column in defaults:
            if column not in known_columns() | {WILDCARDS} or column == "video_id":
                hint = did_you_mean(str(column), known_columns() | {WILDCARDS})
                raise ManifestError(f"{self._name}: defaults can't hold '{short(str(column))}'; {hint}".rstrip("; "))
        return nest(drop_unset(defaults))

    def _value(self, node: yaml.Node) -> Any:
        try:
            self._check_size(node)
            return self._loader.made(node)
        except _BROKEN as error:
            raise self._broken(error, node) from error

    def _check_size(self, node: yaml.Node) -> None:
        if _unfolded(node, self._sizes) > _MOST_VALUES:
            raise ManifestError(
                f"{self._name}: its aliases unfold to more than {_MOST_VALUES:,} values ({_place(node)}); "
                "use fewer of them"
            )

    def _broken(self, error: Exception, node: yaml.Node | None = None) -> ManifestError:
        if isinstance(error, ManifestError):
            return error
        mark = getattr(error, "problem_mark", None) or (node.start_mark if node is not None else None)
        place = f" line {mark.line + 1}" if mark else ""
        return ManifestError(f"{self._name}{place}: not valid YAML ({_reason(error)})")


def _check_events(text: str, name: str) -> None:
    """Raise ManifestError for what would cost a stack, or seconds, before it is known what it means."""
    depth = nodes = 0
    try:
        for event in yaml.parse(text, _SafeLoader):
            nodes += isinstance(event, yaml.NodeEvent)
            if nodes > _MOST_NODES:
                raise ManifestError(
                    f"{name}: it has more than {_MOST_NODES:,} values; split it, or write JSONL or CSV, which are read "
                    "line by line"
                )
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise ManifestError(
                        f"{name} line {line}: nested too deeply, {_DEEPEST} blocks in each other are allowed"
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ManifestError(f"{name}{place}: not valid YAML ({_reason(error)})") from error


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values `node` holds once its aliases are written out; infinite for one that contains itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in inner)
    return known[id(node)]


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"


def _reason(error: Exception) -> str:
    """What is wrong, in a line: an error of PyYAML may show a value with all its aliases unfolded."""
    if isinstance(error, RecursionError):
        return "it contains itself, or is nested too deeply"
    if isinstance(error, (AttributeError, TypeError, IndexError, KeyError)):  # PyYAML's own, over a `!!timestamp x`
        return "it is not what its tag says"
    return short(str(getattr(error, "problem", None) or error) or type(error).__name__, 200)


def _placed(problem: RowProblem, place: str) -> RowProblem:
    """A problem of a row that was made of a table's, whose `place` it names."""
    return replace(problem, message=f"{problem.message}, by {place}")


def _row(
    item: Mapping[Any, Any], defaults: Mapping[str, Any], name: str, number: int, ids: VideoIds, lists: Lists | None
) -> list[RowResult]:
    """A video; the choices of its prompt are made by `lists`, unless they were made before."""
    values = nest(drop_unset({str(key): value for key, value in item.items()}))
    usual = {key: value for key, value in defaults.items() if lists is not None or key != WILDCARDS}
    merged = {
        key: {**usual[key], **value} if isinstance(value, dict) and isinstance(usual.get(key), dict) else value
        for key, value in {**usual, **values}.items()
    }
    made = merged if lists is None else drawn(merged, lists, name, number, "item")
    return [made] if isinstance(made, RowProblem) else check_row(made, file=name, number=number, ids=ids, unit="item")
