"""Arithmetic in time, as a keyframe string may hold it: parsed once, folded, never handed to `eval`.

Python's own parser reads the text; what it gives is compiled (`manifests.schema.compiling`) to closures that know
numbers, a few names and functions, and refuses everything else.
"""

from __future__ import annotations

import ast
import math
import re
from functools import lru_cache

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.audio import SIGNAL_PATTERN, SIGNALS, is_signal
from manifests.schema.compiling import ALLOWED, FRAME, STEP, Compiler, Part
from manifests.schema.functions import CONSTANTS, FAILURES, FUNCTIONS
from manifests.schema.texts import did_you_mean, short
from manifests.schema.timeline import NAMES_OF_VIDEO, Timeline

MAX_LENGTH = 4000  # characters: programs write long ones
_REMEMBERED_LENGTH = 60  # what was compiled takes a hundred times as many bytes
MAX_DEPTH = 50  # nested operations: deeper ones could exhaust Python's stack inside an actor
_SHOWN = 60  # characters of an expression in a message

_NAMES = (FRAME, *NAMES_OF_VIDEO, *SIGNALS, STEP, *CONSTANTS, *FUNCTIONS, "if", "else")
_REMEDIES = {
    "^": "write ** for a power",
    "and": "write & between comparisons in brackets: (t > 4) & (t < 9)",
    "or": "write | between comparisons in brackets: (t < 4) | (t > 9)",
    "not": "write ~ before a comparison in brackets: ~(t < 4)",
}
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])|(?P<name>[A-Za-z_]\w*)"
    r"|\*\*|//|<=|>=|==|!=|[-+*/%(),<>=&|~]|\s+",
    re.ASCII,
)
_ARGUMENTS = frozenset(name for function in FUNCTIONS.values() for name in function.names)
_GIVEN = re.compile(r"\s*=(?!=)")  # behind the name of an argument
# What most keys hold, in one pair of brackets or none: no parser need see it. (Python reads no whole number as 007.)
_NUMBER = re.compile(
    r"(\()?\s*([+-]?(?:(?:0|[1-9]\d*)(?!\w|\.)|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*(?(1)\))", re.ASCII
)
_ONE_SPACE = re.compile(r"\s")  # one for one, so that places in what is parsed are places in the text
_OF_VIDEO = re.compile(rf"(?<!\w)(?:{'|'.join(NAMES_OF_VIDEO)}|{SIGNAL_PATTERN})(?!\w)", re.ASCII)


class KeyframeError(NightreelError, ValueError):
    """A keyframe string, or an expression in it, that can't be read or has no finite value at a frame."""

    kind = ErrorKind.BAD_INPUT


def names_of_video(text: str) -> frozenset[str]:
    """The names in `text` whose values hang on the video."""
    return frozenset(_OF_VIDEO.findall(text))


class Expression:
    """One parsed expression: `expression(frame)` is its value, `constant` that value if it is the same at all frames.

    Without a `timeline` it has no value where it names what hangs on the video; it is read and checked all the same.
    """

    __slots__ = ("_compiled", "_timeline", "constant", "text")

    def __init__(self, text: str, timeline: Timeline | None = None) -> None:
        """Parse `text`; raises KeyframeError for anything but bounded arithmetic in time."""
        self.text = text.strip()
        self._timeline = timeline
        number = _NUMBER.fullmatch(self.text) if len(self.text) <= MAX_LENGTH else None
        self._compiled: Part = float(number[2]) if number is not None else self._compiler().compile(self._parse())
        self.constant: float | None = None
        if not callable(self._compiled):
            self.constant = self._checked(self._compiled, None)

    @classmethod
    def parse(cls, text: str, timeline: Timeline | None = None) -> Expression:
        """Read an expression; the same one stands at thousands of keys, so short ones are remembered."""
        if len(text) > _REMEMBERED_LENGTH:
            return cls(text, timeline)
        return _parse_short(text, timeline.only(names_of_video(text)) if timeline is not None else None)

    def __call__(self, frame: float, step: float = 0.0) -> float:
        """The value at `frame`, when the share `step` of the frame's own steps is over; raises KeyframeError where
        there is none, or none that is finite."""
        if not callable(self._compiled):
            return self._compiled
        try:
            value = self._compiled(float(frame), step)
        except LookupError as error:
            raise self._fail(str(error.args[0])) from error
        except FAILURES as error:
            position, reason = self._compiler().failure(self._parse(), float(frame), step)
            raise self._fail(reason, frame=frame, position=position) from error
        return value if math.isfinite(value) else self._checked(value, frame)

    def __reduce__(self) -> tuple[type[Expression], tuple[str, Timeline | None]]:
        return Expression, (self.text, self._timeline)

    def _compiler(self) -> Compiler:
        return Compiler(self._timeline, self._fail)

    def _fail(self, reason: str, *, frame: float | None = None, position: int | None = None) -> KeyframeError:
        place = "" if frame is None else f" at frame {frame:g}"
        shown = self.text
        if position is not None:
            position = min(position, len(self.text) - 1)
            place += f", character {position + 1}"
            if position >= _SHOWN - 10 and len(shown) > _SHOWN:
                shown = "…" + shown[position - 20 :]
        return KeyframeError(f"expression '{short(shown, _SHOWN)}'{place}: {reason}")

    def _checked(self, value: float, frame: float | None) -> float:
        if not math.isfinite(value):
            raise self._fail(f"the result is {value}, which is not a finite number", frame=frame)
        return value

    def _parse(self) -> ast.expr:
        if not self.text:
            raise KeyframeError(f"an empty expression; allowed are {ALLOWED}")
        if len(self.text) > MAX_LENGTH:
            raise self._fail(f"{len(self.text):,} characters long; at most {MAX_LENGTH:,} are allowed")
        self._check_tokens()
        try:
            tree = ast.parse(_ONE_SPACE.sub(" ", self.text), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            # Python names no place where it misses something at the end
            position = (getattr(error, "offset", None) or len(self.text)) - 1
            raise self._fail(f"can't be read as arithmetic; allowed are {ALLOWED}", position=position) from error
        self._check_depth(tree)
        return tree

    def _check_tokens(self) -> None:
        position, name = 0, ""
        while position < len(self.text):
            token = _TOKEN.match(self.text, position)
            if token is None:
                remedy = _REMEDIES.get(self.text[position], f"allowed are {ALLOWED}")
                raise self._fail(
                    f"'{short(self.text[position:], 12, of=self.text)}' is not understood; {remedy}", position=position
                )
            if token[0] == "=" and name not in _ARGUMENTS:
                raise self._fail("'=' can't stand here; write == to compare", position=position)
            name = token["name"] or (name if token[0].isspace() else "")
            if (
                token["name"]
                and name not in _NAMES
                and not is_signal(name)
                and not (name in _ARGUMENTS and _GIVEN.match(self.text, token.end()))
            ):
                hint = _REMEDIES.get(name) or f"{did_you_mean(name, _NAMES)} allowed are {ALLOWED}".lstrip()
                raise self._fail(f"'{short(name, of=self.text)}' is unknown; {hint}", position=position)
            position = token.end()

    def _check_depth(self, tree: ast.expr) -> None:
        # By hand and not by recursion: this is the guard against deep trees. Each level has a sign of its own.
        if len(self.text) < MAX_DEPTH:
            return
        pending: list[tuple[ast.expr, int]] = [(tree, 1)]
        while pending:
            node, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise self._fail(f"nested deeper than {MAX_DEPTH} operations; simplify it", position=node.col_offset)
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.keyword):
                    child = child.value
                if isinstance(child, ast.expr):
                    # a sum of many numbers is one level, however long
                    chained = isinstance(child, ast.BinOp) and isinstance(node, ast.BinOp) and child is node.left
                    pending.append((child, depth if chained else depth + 1))


@lru_cache(maxsize=1024)
def _parse_short(text: str, timeline: Timeline | None) -> Expression:
    return Expression(text, timeline)
