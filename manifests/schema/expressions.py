"""Arithmetic in the frame number `t`, as a keyframe string may hold it: parsed once, folded, never handed to `eval`.

`simpleeval` computes. What reaches it is a tree that this module has already narrowed to numbers, `t`, seven operators
and eleven functions, all in floats: integers would let `9**9**9` fill the memory before any limit is looked at.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import threading
from collections.abc import Callable
from typing import Any

from simpleeval import SimpleEval

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.texts import did_you_mean, short

MAX_LENGTH = 400  # characters
MAX_DEPTH = 50  # nested operations: deeper ones could exhaust Python's stack inside an actor


class KeyframeError(NightreelError, ValueError):
    """A keyframe string, or an expression in it, that can't be read or has no finite value at a frame."""

    kind = ErrorKind.BAD_INPUT


def _power(base: float, exponent: float) -> float:
    result: float | complex = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base:g} to the power of {exponent:g} is not a real number")
    return result


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
ALLOWED = (
    f"numbers, t (the frame number), {', '.join(_CONSTANTS)}, + - * / // % ** ( ), "
    f"and the functions {', '.join(_FUNCTIONS)}"
)
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])|(?P<name>[A-Za-z_]\w*)|\*\*|//|[-+*/%(),]|\s+", re.ASCII
)


class Expression:
    """One parsed expression: `expression(frame)` is its value, `constant` that value if it does not depend on `t`."""

    __slots__ = ("_evaluator", "_lock", "_names", "_tree", "constant", "text")

    def __init__(self, text: str) -> None:
        """Parse `text`; raises KeyframeError for anything but bounded arithmetic in `t`."""
        self.text = text.strip()
        self.constant: float | None = None
        self._names: dict[str, float] = {"t": 0.0}
        # The evaluator reads `t` from a dictionary, so two threads of an actor must not evaluate at the same time.
        self._lock = threading.Lock()
        self._evaluator = SimpleEval(
            operators=_OPERATORS, functions={name: entry[0] for name, entry in _FUNCTIONS.items()}, names=self._names
        )
        self._tree = self._fold(self._parse())
        if isinstance(self._tree, ast.Constant):
            self.constant = self._checked(self._tree.value, None)

    def __call__(self, frame: float) -> float:
        """The value at `frame`; raises KeyframeError where there is none, or none that is finite."""
        if self.constant is not None:
            return self.constant
        with self._lock:
            self._names["t"] = float(frame)
            value = self._compute(self._tree, frame)
        return self._checked(value, frame)

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        return Expression, (self.text,)

    def _fail(self, reason: str, frame: float | None = None) -> KeyframeError:
        place = "" if frame is None else f" at frame {frame:g}"
        return KeyframeError(f"expression '{short(self.text)}'{place}: {reason}")

    def _checked(self, value: Any, frame: float | None) -> float:
        if not math.isfinite(value):
            raise self._fail(f"the result is {value}, which is not a finite number", frame)
        return float(value)

    def _compute(self, node: ast.AST, frame: float | None) -> Any:
        try:
            return self._evaluator.eval(self.text, previously_parsed=node)
        except ZeroDivisionError as error:
            raise self._fail("division by zero", frame) from error
        except OverflowError as error:
            raise self._fail("the result is too large", frame) from error
        except (ValueError, TypeError) as error:
            raise self._fail(str(error), frame) from error

    def _parse(self) -> ast.expr:
        if not self.text:
            raise KeyframeError(f"an empty expression; allowed are {ALLOWED}")
        if len(self.text) > MAX_LENGTH:
            raise self._fail(f"{len(self.text)} characters long; at most {MAX_LENGTH} are allowed")
        self._check_tokens()
        try:
            tree = ast.parse(" ".join(self.text.split()), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._fail(f"can't be read as arithmetic; allowed are {ALLOWED}") from error
        self._check_depth(tree)
        return tree

    def _check_tokens(self) -> None:
        position = 0
        while position < len(self.text):
            token = _TOKEN.match(self.text, position)
            if token is None:
                remedy = "write ** for a power" if self.text[position] == "^" else f"allowed are {ALLOWED}"
                raise self._fail(f"'{short(self.text[position:], 12)}' is not understood; {remedy}")
            name = token["name"]
            if name and name != "t" and name not in _CONSTANTS and name not in _FUNCTIONS:
                hint = did_you_mean(name, ["t", *_CONSTANTS, *_FUNCTIONS])
                raise self._fail(f"'{short(name)}' is unknown; {hint + ' ' if hint else ''}allowed are {ALLOWED}")
            position = token.end()

    def _check_depth(self, tree: ast.expr) -> None:
        # By hand and not by recursion: this is the guard against deep trees.
        pending: list[tuple[ast.AST, int]] = [(tree, 1)]
        while pending:
            node, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise self._fail(f"nested deeper than {MAX_DEPTH} operations; simplify it")
            pending += [(child, depth + 1) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]

    def _fold(self, node: ast.expr) -> ast.expr:
        """Check `node` and return it with every part that does not depend on `t` computed."""
        parts: list[ast.expr]
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return ast.Constant(self._number(node.value))
        if isinstance(node, ast.Name) and node.id in _CONSTANTS:
            return ast.Constant(_CONSTANTS[node.id])
        if isinstance(node, ast.Name) and node.id == "t":
            return node
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            node.left, node.right = self._fold(node.left), self._fold(node.right)
            parts = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
            node.operand = self._fold(node.operand)
            parts = [node.operand]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            _, fewest, most = _FUNCTIONS[node.func.id]
            if node.keywords or not fewest <= len(node.args) <= most:
                takes = "one number" if most == 1 else f"{fewest} to {most} numbers"
                raise self._fail(f"{node.func.id}() takes {takes}, not {len(node.args)}")
            node.args = parts = [self._fold(argument) for argument in node.args]
        else:
            what = node.id if isinstance(node, ast.Name) else type(node).__name__.lower()
            raise self._fail(f"'{what}' can't stand here; allowed are {ALLOWED}")
        if all(isinstance(part, ast.Constant) for part in parts):
            return ast.Constant(self._compute(node, None))
        return node

    def _number(self, value: float) -> float:
        try:
            return float(value)
        except OverflowError as error:
            raise self._fail("a number is too large") from error
