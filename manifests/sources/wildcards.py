"""Choices in a text, `a {red|green} apple in __styles__`, in the grammar of dynamic-prompts.

    {a|b}               one of them
    {.5::a|.1::b}       by chance as often as these weights say
    {2$$a|b|c}          two of them, joined by ', '; {1-2$$...} one or two
    {2$$ and $$a|b|c}   joined by ' and '
    __colours__         a line of wildcards/colours.txt, beside the source
    \\{ \\} \\_           signs that are meant as they are

They may stand in each other. How many texts come of it is told before any is made (choices.py).
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from typing import TypeVar

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.texts import did_you_mean, short
from manifests.sources.beside import Beside
from manifests.sources.choices import Choice, Name, Node, Parts, Several, Text
from manifests.sources.lines import LongLine, lines_of

__all__ = ["ChoiceError", "Lists", "many", "read_choices"]

#: The most that a number of combinations may be, as a power of ten: what is drawn by chance needs no list of all.
_MOST_COMBINATIONS = 300
_MOST_BITS = 997
_FOLDER = "wildcards"
_DEEPEST = 50
_LONGEST = 100_000  # characters of a text, as the prompt has it
_MOST_OPTIONS = 200_000  # of all lists of a source
_MOST_LISTS = 1000
_MOST_WORK = 1_000_000  # options of several, times how many of them are taken
_MOST_WEIGHT = 1e6
_SIGN = re.compile(r"[{}|\\]|__")
AnyNode = TypeVar("AnyNode", bound=Node)
_LIST = re.compile(r"__([^\s{}|]+?)__")
_PART = re.compile(r"[^\W_][\w.-]*|_[\w.-]*[^\W_][\w.-]*")
_PLAIN = re.compile(r"\{([^{}|]*)\}")
_SEVERAL = re.compile(r"\s*(?:(\d{1,9})(?:(-)(\d{1,9})?)?|-(\d{1,9}))\$\$(?:([^{}|$]*)\$\$)?")
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")


class ChoiceError(NightreelError, ValueError):
    """What is wrong with choices in a text; the message goes on from the text's name."""

    kind = ErrorKind.BAD_INPUT


class Lists:
    """The lists of a source, each read once; `beside` reads what lies beside it (None: nothing does)."""

    def __init__(self, beside: Beside | None = None) -> None:
        self._beside = beside
        self._known: dict[str, Choice] = {}
        self._refused: dict[str, str] = {}  # a million rows may name what is not there
        self._options = 0

    def get(self, name: str, trail: tuple[str, ...] = ()) -> Choice:
        """The choice of a list's lines; `trail` are the lists that name it in turn.

        Raises:
            ChoiceError: there is none, or it can't be read.
        """
        if name in trail:
            raise ChoiceError(f"the lists {' -> '.join((*trail[trail.index(name) :], name))} hold each other")
        if name in self._refused:
            raise ChoiceError(self._refused[name])
        if name not in self._known:
            if len(trail) >= _DEEPEST or len(self._known) >= _MOST_LISTS:
                raise ChoiceError(f"more than {_MOST_LISTS:,} lists, or {_DEEPEST} in each other")
            try:
                self._known[name] = self._read(name, trail)
            except ChoiceError as error:
                if not trail and len(self._refused) < _MOST_LISTS:
                    self._refused[name] = str(error)
                raise
        return self._known[name]

    def count(self, options: int) -> None:
        """Note options; raises ChoiceError for more than a source may have."""
        self._options += options
        if self._options > _MOST_OPTIONS:
            raise ChoiceError(f"more than {_MOST_OPTIONS:,} options in all lists of the source")

    def _read(self, name: str, trail: tuple[str, ...]) -> Choice:
        parts = name.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise ChoiceError(
                f"the list '{short(name)}' can't lie in the folder '{_FOLDER}': allowed are letters, digits, '.', '_' "
                "and '-', and '/' between folders"
            )
        path = f"{_FOLDER}/{name}.txt"
        if self._beside is None:
            raise ChoiceError(f"there is no folder from which '{short(path)}' could be read: build it from a file")
        data = self._beside.read(path, within=True)
        if data is None:
            folder = "/".join([_FOLDER, *parts[:-1]])
            known = [it.removesuffix(".txt") for it in self._beside.names(folder) if it.endswith(".txt")]
            hint = did_you_mean(parts[-1], known) or (f"there are {', '.join(sorted(known)[:20])}" if known else "")
            raise ChoiceError(f"there is no list '{short(path)}' beside the source{'; ' + hint if hint else ''}")
        return self._choice(data, name, path, trail)

    def _choice(self, data: bytes, name: str, path: str, trail: tuple[str, ...]) -> Choice:
        options: list[tuple[float, Node]] = []
        for number, line in enumerate(lines_of(io.BytesIO(data), path), start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                if isinstance(line, LongLine) or len(text) > _LONGEST:
                    raise ChoiceError(f"more than {_LONGEST:,} characters")
                if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
                    raise ChoiceError("no text in UTF-8")
                self.count(1)
                options.append(_Reader(text, (), self, (*trail, name)).line())
            except ChoiceError as error:
                raise ChoiceError(f"line {number} of '{short(path)}': {error}") from error
        if not options:
            raise ChoiceError(f"the list '{short(path)}' has no line")
        return _choice_of(options)


def read_choices(text: str, names: Collection[str], lists: Lists) -> Node:
    """Read a text with choices, and `names` in braces.

    Raises:
        ChoiceError: it can't be read, with the character; or it stands for more than anybody could make.
    """
    if len(text) > _LONGEST:
        raise ChoiceError(f"has {len(text):,} characters; at most {_LONGEST:,} are allowed")
    return _Reader(text, names, lists, ()).whole()


def many(count: int) -> str:
    """A number of combinations, however large."""
    return f"{count:,}" if count < 10**15 else f"some 10^{round((count.bit_length() - 0.5) * 0.30103)}"


class _Reader:
    """Reads one text, from left to right."""

    def __init__(self, text: str, names: Collection[str], lists: Lists, trail: tuple[str, ...]) -> None:
        self._text, self._names, self._lists, self._trail = text, names, lists, trail
        self._at, self._depth = 0, 0

    def whole(self) -> Node:
        node = self._sequence(within=False)
        if self._at < len(self._text):
            raise ChoiceError(
                f"closes a brace at character {self._at + 1} that is open nowhere; write '\\}}' for a sign"
            )
        return _bounded(node)

    def line(self) -> tuple[float, Node]:
        """The whole text as an option, which may have a weight."""
        return self._weight(), self.whole()

    def _sequence(self, *, within: bool) -> Node:
        """What stands here, up to the end of the option or of the text."""
        nodes: list[Node] = []
        plain: list[str] = []

        def add(node: Node) -> None:
            if text := "".join(plain):
                nodes.append(Text(text))
            plain.clear()
            nodes.append(node)

        while found := _SIGN.search(self._text, self._at):
            plain.append(self._text[self._at : found.start()])
            self._at, sign = found.start(), found[0]
            if sign == "{":
                add(self._braces())
            elif sign == "}" or (sign == "|" and within):
                break
            elif sign == "__" and (listed := _LIST.match(self._text, self._at)):
                add(self._list(listed))
            elif sign == "\\" and self._text[self._at + 1 : self._at + 2] in ("{", "}", "_"):
                plain.append(self._text[self._at + 1])
                self._at += 2
            else:  # a bar between prompts; a backslash that the prompt reads, with the sign behind it
                length = 2 if sign == "\\" else len(sign)
                plain.append(self._text[self._at : self._at + length])
                self._at += length
        else:
            plain.append(self._text[self._at :])
            self._at = len(self._text)
        text = "".join(plain)
        if not nodes:
            return Text(text)
        return Parts([*nodes, Text(text)] if text else nodes) if len(nodes) > 1 or text else nodes[0]

    def _list(self, found: re.Match[str]) -> Choice:
        try:
            made = self._lists.get(found[1], self._trail)
        except ChoiceError as error:
            raise ChoiceError(f"names '{short(found[0])}' at character {found.start() + 1}: {error}") from error
        self._at = found.end()
        return made

    def _braces(self) -> Node:
        opened = self._at
        if (found := _PLAIN.match(self._text, opened)) and not _SEVERAL.match(found[1]):
            if found[1] in self._names:
                self._at = found.end()
                return Name(found[1])
            if not _LIST.fullmatch(found[1]):
                raise ChoiceError(self._unknown(found[1], opened))
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ChoiceError(f"has more than {_DEEPEST} braces in each other, at character {opened + 1}")
        self._at += 1
        several = _SEVERAL.match(self._text, self._at)
        if several:
            self._at = several.end()
        options = self._options(opened)
        self._depth -= 1
        made = _choice_of(options)
        if several is None:
            return made
        if len(options) == 1 and isinstance(options[0][1], Choice):  # {2$$__colours__}: two of its lines
            made = options[0][1]
        return self._several(made, several, opened)

    def _options(self, opened: int) -> list[tuple[float, Node]]:
        options = []
        while True:
            self._skip()
            weight = self._weight()
            self._skip()
            options.append((weight, _stripped(self._sequence(within=True))))
            if self._trail:  # a text has no more of them than characters; lists may have any number of lines
                self._lists.count(1)
            if self._at >= len(self._text):
                raise ChoiceError(
                    f"opens a brace at character {opened + 1} that is never closed; write '\\{{' for a sign"
                )
            self._at += 1
            if self._text[self._at - 1] == "}":
                return options

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _weight(self) -> float:
        if not (found := _WEIGHT.match(self._text, self._at)):
            return 1.0
        weight = float(found[1])
        if not 0 < weight <= _MOST_WEIGHT:
            raise ChoiceError(
                f"has the weight {found[1]} at character {self._at + 1}; allowed is a number above 0, up to "
                f"{_MOST_WEIGHT:,.0f}"
            )
        self._at = found.end()
        return weight

    def _several(self, choice: Choice, found: re.Match[str], opened: int) -> Several:
        number, dash, upper, up_to, separator = found.groups()
        size = len(choice.nodes)
        low = int(number) if number else 0
        high = int(up_to) if up_to else int(upper) if upper else size if dash else low
        place = f"at character {opened + 1}"
        if not low <= high <= size or not high:
            asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            raise ChoiceError(f"takes {asked} of {size:,} {place}; allowed are 1 to {size:,}, the lower number first")
        if size * high > _MOST_WORK:
            raise ChoiceError(f"takes {high:,} of {size:,} {place}; their product may be {_MOST_WORK:,} at most")
        bits = sum(sorted((node.count.bit_length() for node in choice.nodes), reverse=True)[:high])
        if bits > size + high and (size * high > _MOST_WORK // 20 or bits > 2 * _MOST_BITS):
            raise ChoiceError(
                f"takes {high:,} of {size:,} {place}, which are choices themselves: too many combinations"
            )
        return _bounded(Several(choice, low, high, ", " if separator is None else separator))

    def _unknown(self, name: str, opened: int) -> str:
        if not self._names:
            return (
                f"holds '{{{short(name)}}}' at character {opened + 1}, which is no choice; write '{{a|b}}' for one, or "
                "'\\{' for a sign"
            )
        hint = did_you_mean(name, self._names)
        known = ", ".join(f"{{{short(it)}}}" for it in list(self._names)[:20])
        return f"holds '{{{short(name)}}}'; {hint + ' ' if hint else ''}allowed are {known}"


def _stripped(node: Node) -> Node:
    """An option without the blanks at its end."""
    if isinstance(node, Text):
        return Text(node.text.rstrip())
    if isinstance(node, Parts) and isinstance(last := node.nodes[-1], Text):
        return Parts([*node.nodes[:-1], Text(last.text.rstrip())])
    return node


def _choice_of(options: list[tuple[float, Node]]) -> Choice:
    """A choice, in which equal texts are one."""
    texts: dict[str, int] = {}
    nodes: list[Node] = []
    weights: list[float] = []
    for weight, node in options:
        if isinstance(node, Text):
            if node.text in texts:
                weights[texts[node.text]] += weight
                continue
            texts[node.text] = len(nodes)
        nodes.append(node)
        weights.append(weight)
    return _bounded(Choice(nodes, weights))


def _bounded(node: AnyNode) -> AnyNode:
    if node.count.bit_length() > _MOST_BITS:
        raise ChoiceError(f"stands for {many(node.count)} texts; at most 10^{_MOST_COMBINATIONS} are allowed")
    if node.width > 2 * _LONGEST:
        raise ChoiceError(f"stands for texts of {node.width:,} characters; at most {_LONGEST:,} are allowed")
    return node
