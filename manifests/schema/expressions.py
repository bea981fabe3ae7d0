"""Arithmetic in the frame number `t`, as a keyframe string may hold it: parsed once, folded, never handed to `eval`.

Python's own parser reads the text; what it gives is compiled, node by node, to a tree of closures that knows numbers,
`t`, seven operators and eleven functions and refuses everything else. All in floats: integers would let `9**9**9` fill
the memory before any limit is looked at.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.texts import did_you_mean, short

MAX_LENGTH = 400  # characters
_REMEMBERED_LENGTH = 60  # what was compiled takes a hundred times as many bytes
MAX_DEPTH = 50  # nested operations: deeper ones could exhaust Python's stack inside an actor


class KeyframeError(NightreelError, ValueError):
    """A keyframe string, or an expression in it, that can't be read or has no finite value at a frame."""

    kind = ErrorKind.BAD_INPUT


def _power(base: float, exponent: float) -> float:
    result: float | complex = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base:g} to the power of {exponent:g} is not a real number")
    return result


_VARIABLES = ("t",)
_CONSTANTS = {"pi": math.pi, "e": math.e}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    # name: (function, fewest arguments, most arguments)
    "sin": (math.sin, 1, 1),
    "cos": (math.cos, 1, 1),
    "tan": (math.tan, 1, 1),
    "exp": (math.exp, 1, 1),
    "log": (math.log, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "abs": (abs, 1, 1),
    "floor": (lambda x: float(math.floor(x)), 1, 1),
    "ceil": (lambda x: float(math.ceil(x)), 1, 1),
    "min": (min, 2, 16),
    "max": (max, 2, 16),
}
_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_NAMES = (*_VARIABLES, *_CONSTANTS, *_FUNCTIONS)
ALLOWED = (
    f"numbers, t (the frame number), {', '.join(_CONSTANTS)}, + - * / // % ** ( ), "
    f"and the functions {', '.join(_FUNCTIONS)}"
)
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])|(?P<name>[A-Za-z_]\w*)|\*\*|//|[-+*/%(),]|\s+", re.ASCII
)
# What most keys hold, in one pair of brackets or none: no parser need see it. (Python reads no whole number as 007.)
_NUMBER = re.compile(
    r"(\()?\s*([+-]?(?:(?:0|[1-9]\d*)(?!\w|\.)|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*(?(1)\))", re.ASCII
)
_ONE_SPACE = re.compile(r"\s")  # one for one, so that places in what is parsed are places in the text
# How arithmetic on floats fails.
_FAILURES = (ZeroDivisionError, OverflowError, ValueError)

# A part of an expression that has been compiled: its number, or what computes it from the values of the variables.
# Nothing is kept between two calls, so threads may share it.
_Computed = Callable[[Mapping[str, float]], float]
_Part = float | _Computed


class Expression:
    """One parsed expression: `expression(frame)` is its value, `constant` that value if it does not depend on `t`."""

    __slots__ = ("_compiled", "constant", "text")

    def __init__(self, text: str) -> None:
        """Parse `text`; raises KeyframeError for anything but bounded arithmetic in `t`."""
        self.text = text.strip()
        number = _NUMBER.fullmatch(self.text) if len(self.text) <= MAX_LENGTH else None
        self._compiled: _Part = float(number[2]) if number is not None else self._compile(self._parse())
        self.constant: float | None = None
        if not callable(self._compiled):
            self.constant = self._checked(self._compiled, None)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression; the same one stands at thousands of keys, so short ones are remembered."""
        return _parse_short(text) if len(text) <= _REMEMBERED_LENGTH else cls(text)

    def __call__(self, frame: float) -> float:
        """The value at `frame`; raises KeyframeError where there is none, or none that is finite."""
        if not callable(self._compiled):
            return self._compiled
        try:
            value = self._compiled({"t": float(frame)})
        except _FAILURES as error:
            raise self._fail(_reason(error), frame=frame) from error
        return self._checked(value, frame)

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        return Expression, (self.text,)

    def _fail(self, reason: str, *, frame: float | None = None, position: int | None = None) -> KeyframeError:
        place = "" if frame is None else f" at frame {frame:g}"
        place += "" if position is None else f", character {min(position + 1, len(self.text))}"
        return KeyframeError(f"expression '{short(self.text)}'{place}: {reason}")

    def _checked(self, value: float, frame: float | None) -> float:
        if not math.isfinite(value):
            raise self._fail(f"the result is {value}, which is not a finite number", frame=frame)
        return value

    def _parse(self) -> ast.expr:
        if not self.text:
            raise KeyframeError(f"an empty expression; allowed are {ALLOWED}")
        if len(self.text) > MAX_LENGTH:
            raise self._fail(f"{len(self.text)} characters long; at most {MAX_LENGTH} are allowed")
        self._check_tokens()
        try:
            tree = ast.parse(_ONE_SPACE.sub(" ", self.text), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            offset = getattr(error, "offset", None)
            position = offset - 1 if offset else None
            raise self._fail(f"can't be read as arithmetic; allowed are {ALLOWED}", position=position) from error
        self._check_depth(tree)
        return tree

    def _check_tokens(self) -> None:
        position = 0
        while position < len(self.text):
            token = _TOKEN.match(self.text, position)
            if token is None:
                remedy = "write ** for a power" if self.text[position] == "^" else f"allowed are {ALLOWED}"
                raise self._fail(f"'{short(self.text[position:], 12)}' is not understood; {remedy}", position=position)
            name = token["name"]
            if name and name not in _NAMES:
                hint = did_you_mean(name, _NAMES)
                reason = f"'{short(name)}' is unknown; {hint + ' ' if hint else ''}allowed are {ALLOWED}"
                raise self._fail(reason, position=position)
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
            pending += [(child, depth + 1) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]

    def _compile(self, node: ast.expr) -> _Part:
        """Check `node` and compile it; every part that does not depend on a variable is computed now."""
        match node:
            case ast.Constant(int() | float() as value):
                return self._number(value, node)
            case ast.Name(name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.Name(name) if name in _VARIABLES:
                return operator.itemgetter(name)
            case ast.BinOp(left, operation, right) if type(operation) in _OPERATORS:
                return self._applied(_OPERATORS[type(operation)], [left, right], node)
            case ast.UnaryOp(operation, operand) if type(operation) in _OPERATORS:
                return self._applied(_OPERATORS[type(operation)], [operand], node)
            case ast.Call(ast.Name(name), arguments, keywords) if name in _FUNCTIONS:
                function, fewest, most = _FUNCTIONS[name]
                if keywords or not fewest <= len(arguments) <= most:
                    takes = "one number" if most == 1 else f"{fewest} to {most} numbers"
                    raise self._fail(f"{name}() takes {takes}, not {len(arguments)}", position=node.col_offset)
                return self._applied(function, arguments, node)
        what = node.id if isinstance(node, ast.Name) else type(node).__name__.lower()
        raise self._fail(f"'{what}' can't stand here; allowed are {ALLOWED}", position=node.col_offset)

    def _applied(self, function: Callable[..., float], operands: list[ast.expr], node: ast.expr) -> _Part:
        """`function` of the compiled operands; of numbers alone it is computed now."""
        parts = [self._compile(operand) for operand in operands]
        numbers = [part for part in parts if not callable(part)]
        if len(numbers) == len(parts):
            try:
                return function(*numbers)
            except _FAILURES as error:
                raise self._fail(_reason(error), position=node.col_offset) from error
        return _deferred(function, parts)

    def _number(self, value: float, node: ast.expr) -> float:
        try:
            return float(value)
        except OverflowError as error:
            raise self._fail("a number is too large", position=node.col_offset) from error


@lru_cache(maxsize=1024)
def _parse_short(text: str) -> Expression:
    return Expression(text)


def _deferred(function: Callable[..., float], parts: list[_Part]) -> _Computed:
    """What computes `function` of `parts`, once the variables have values. Numbers stay numbers: a call is dear."""
    if len(parts) == 1 and callable(part := parts[0]):
        return lambda names: function(part(names))
    if len(parts) == 2:
        left, right = parts
        if callable(left) and callable(right):
            return lambda names: function(left(names), right(names))
        if callable(left):
            return lambda names: function(left(names), right)
        if callable(right):
            return lambda names: function(left, right(names))
    return lambda names: function(*[part(names) if callable(part) else part for part in parts])


def _reason(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    return "the result is too large" if isinstance(error, OverflowError) else str(error)
