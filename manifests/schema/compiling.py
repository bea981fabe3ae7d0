"""A syntax tree made to closures, node by node: what is the same at all frames is computed now, all else at a frame."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Protocol

from manifests.schema.audio import SIGNALS, is_signal
from manifests.schema.functions import ALIASES, CONSTANTS, FAILURES, FUNCTIONS, OPERATORS, TRUTHS, Function
from manifests.schema.timeline import NAMES_OF_VIDEO, Computed, Timeline

__all__ = ["ALLOWED", "FRAME", "STEP", "Compiler", "Part"]

# What changes from frame to frame, and from step to step within one.
FRAME, STEP = "t", "u"
ALLOWED = (
    f"numbers, t (the frame number), {', '.join(f'{name} ({what})' for name, what in NAMES_OF_VIDEO.items())}, "
    f"{', '.join(SIGNALS)} (of the audio), "
    f"{', '.join(CONSTANTS)}, + - * / // % ** ( ), < <= > >= == != (1 or 0), & | ~ of those, a if c else b, "
    f"and the functions {', '.join(name for name in FUNCTIONS if name not in ALIASES)}"
)
_BINARY = OPERATORS | TRUTHS
_NESTED_LENGTH = 6  # operations of one sum that are closures in closures; of a longer one they are a list

# A part of an expression that has been compiled: its number, or what computes it.
# Nothing is kept between two calls, so threads may share it.
Part = float | Computed


class Refusal(Protocol):
    """What makes the error that says why an expression is refused, and at which of its characters."""

    def __call__(self, reason: str, *, position: int) -> Exception: ...


class Compiler:
    """Compiles parts of one expression. Without a `timeline`, what hangs on the video compiles, and has no value."""

    def __init__(self, timeline: Timeline | None, refusal: Refusal) -> None:
        self._timeline = timeline
        self._refusal = refusal
        self._unsure = 0  # what is compiled now may never be asked for: in so many branches it stands

    def compile(self, node: ast.expr) -> Part:
        """Check `node` and compile it; every part that is the same at all frames is computed now."""
        match node:
            case ast.Constant(int() | float() as value):
                return self._number(value, node)
            case ast.Name(name) if name in CONSTANTS:
                return CONSTANTS[name]
            case ast.Name(name) if name == FRAME:
                return _frame
            case ast.Name(name) if name == STEP:
                return _step
            case ast.Name(name) if name in NAMES_OF_VIDEO or is_signal(name):
                return self._of_video(name, node)
            case ast.BinOp():
                return self._chain(node)
            case ast.UnaryOp(ast.Invert(), operand):
                self._check_truth(operand)
                return self._applied(TRUTHS[ast.Invert], [self.compile(operand)], node)
            case ast.UnaryOp(operation, operand) if type(operation) in OPERATORS:
                return self._applied(OPERATORS[type(operation)], [self.compile(operand)], node)
            case ast.Compare(left, operations, others) if all(type(it) in OPERATORS for it in operations):
                return self._compared([left, *others], operations, node)
            case ast.IfExp(condition, one, other):
                return self._chosen(condition, one, other)
            case ast.Call(ast.Name("where"), [condition, one, other], []):
                return self._chosen(condition, one, other)
            case ast.Call(ast.Name("where")):
                raise self._refusal("where() takes a condition and two numbers", position=node.col_offset)
            case ast.Call(ast.Name(name)) if name in FUNCTIONS:
                arguments = self._arguments(FUNCTIONS[name], name, node)
                return self._applied(FUNCTIONS[name].call, [self.compile(it) for it in arguments], node)
        what = node.id if isinstance(node, ast.Name) else type(node).__name__.lower()
        raise self._refusal(f"'{what}' can't stand here; allowed are {ALLOWED}", position=node.col_offset)

    def _arguments(self, function: Function, name: str, node: ast.Call) -> list[ast.expr]:
        """The arguments of a call, those that are given by name in their places."""
        arguments = list(node.args)
        for keyword in node.keywords:
            if keyword.arg not in function.names or function.names.index(keyword.arg) != len(arguments):
                takes = f"; by name it takes {' and '.join(function.names[1:])}" if function.names else ""
                reason = f"{name}() takes {function.takes}{takes}"
                raise self._refusal(reason, position=keyword.col_offset)
            arguments.append(keyword.value)
        if not function.fewest <= len(arguments) <= function.most:
            reason = f"{name}() takes {function.takes}, not {len(arguments)}"
            raise self._refusal(reason, position=node.col_offset)
        return arguments

    def _chain(self, node: ast.BinOp) -> Part:
        """A sum, a product: in a loop, since it may be as long as the text."""
        nodes: list[ast.BinOp] = []
        leftmost: ast.expr = node
        while isinstance(leftmost, ast.BinOp):
            nodes.append(leftmost)
            leftmost = leftmost.left
        first, before = self.compile(leftmost), leftmost
        steps: list[tuple[Callable[..., float], Part]] = []
        for it in reversed(nodes):
            function = _BINARY.get(type(it.op))
            if function is None:
                raise self._refusal(f"<< and >> are not understood; allowed are {ALLOWED}", position=it.col_offset)
            if type(it.op) in TRUTHS:
                self._check_truth(before)
                self._check_truth(it.right)
            right = self.compile(it.right)
            if not steps and not callable(first) and not callable(right):
                folded = self._applied(function, [first, right], it)
                if not callable(folded):
                    first, before = folded, it
                    continue
            steps.append((function, right))
            before = it
        if len(steps) > _NESTED_LENGTH:
            return _listed(first, steps)
        for function, right in steps:
            first = _deferred(function, [first, right])
        return first

    def _check_truth(self, node: ast.expr) -> None:
        while isinstance(node, ast.BinOp) and type(node.op) in TRUTHS:
            node = node.right  # the left one was looked at before
        if not (isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert))):
            raise self._refusal(
                "& | and ~ stand between comparisons in brackets: (t > 4) & (t < 9)", position=node.col_offset
            )

    def _compared(self, nodes: list[ast.expr], operations: list[ast.cmpop], node: ast.expr) -> Part:
        """Comparisons, `1 < t < 9` among them."""
        parts = [self.compile(it) for it in nodes]
        found: list[Part] = [
            self._applied(OPERATORS[type(operation)], [parts[at], parts[at + 1]], node)
            for at, operation in enumerate(operations)
        ]
        return found[0] if len(found) == 1 else self._applied(min, found, node)

    def _chosen(self, condition: ast.expr, one: ast.expr, other: ast.expr) -> Part:
        """The value of one branch; what the other one comes to, or that it comes to nothing, does not matter."""
        decides = self.compile(condition)
        self._unsure += 1
        this, that = self.compile(one), self.compile(other)
        self._unsure -= 1
        if not callable(decides):
            return this if decides else that
        if not callable(this) and not callable(that):
            return lambda t, u: this if decides(t, u) else that
        yes, no = _computed(this), _computed(that)
        return lambda t, u: yes(t, u) if decides(t, u) else no(t, u)

    def _of_video(self, name: str, node: ast.expr) -> Part:
        if self._timeline is None:
            return _unknown
        try:
            return self._timeline.value(name)
        except LookupError as error:
            raise self._refusal(str(error.args[0]), position=node.col_offset) from error

    def _applied(self, function: Callable[..., float], parts: list[Part], node: ast.expr) -> Part:
        """`function` of the compiled operands; of numbers alone it is computed now."""
        numbers = [part for part in parts if not callable(part)]
        if len(numbers) == len(parts):
            try:
                return function(*numbers)
            except FAILURES as error:
                if not self._unsure:
                    reason = _reason(error, node, numbers)
                    raise self._refusal(reason, position=node.col_offset) from error
        return _deferred(function, parts)

    def _number(self, value: float, node: ast.expr) -> float:
        try:
            return float(value)
        except OverflowError as error:
            raise self._refusal("a number is too large", position=node.col_offset) from error

    def failure(self, node: ast.expr, frame: float, step: float) -> tuple[int, str]:
        """Where the innermost part of `node` begins that has no value at `frame`, and why it has none."""
        for operand in self._operands(node, frame, step):
            try:
                self._value(operand, frame, step)
            except FAILURES:
                return self.failure(operand, frame, step)
        values: list[float] = []
        try:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                values = [self._value(it, frame, step) for it in self._operands(node, frame, step)]
                FUNCTIONS[node.func.id].call(*values)
            self._value(node, frame, step)
        except FAILURES as error:
            return node.col_offset, _reason(error, node, values)
        raise AssertionError("nothing failed")  # pragma: no cover

    def _operands(self, node: ast.expr, frame: float, step: float) -> list[ast.expr]:
        match node:
            case ast.BinOp():
                found = []
                while isinstance(node, ast.BinOp):
                    found.append(node.right)
                    node = node.left
                return [node, *reversed(found)]
            case ast.UnaryOp(_, operand):
                return [operand]
            case ast.Compare(left, _, others):
                return [left, *others]
            case ast.IfExp(condition, one, other) | ast.Call(ast.Name("where"), [condition, one, other]):
                try:
                    return [condition, one if self._value(condition, frame, step) else other]
                except FAILURES:
                    return [condition]
            case ast.Call(_, arguments, keywords):
                return [*arguments, *(it.value for it in keywords)]
        return []

    def _value(self, node: ast.expr, frame: float, step: float) -> float:
        self._unsure += 1
        try:
            part = self.compile(node)
        finally:
            self._unsure -= 1
        return part(frame, step) if callable(part) else part


def _frame(t: float, u: float) -> float:
    return t


def _step(t: float, u: float) -> float:
    return u


def _unknown(t: float, u: float) -> float:
    raise LookupError(
        f"{', '.join((*NAMES_OF_VIDEO, *SIGNALS))} are known of a video only, and this expression belongs to none"
    )


def _computed(part: Part) -> Computed:
    if callable(part):
        return part
    number = part
    return lambda t, u: number


def _deferred(function: Callable[..., float], parts: list[Part]) -> Computed:
    """What computes `function` of `parts` at a frame. Numbers stay numbers, and t is no call: a call is dear."""
    if len(parts) == 1 and callable(part := parts[0]):
        if part is _frame:
            return lambda t, u: function(t)
        return lambda t, u: function(part(t, u))
    if len(parts) == 2:
        left, right = parts
        if callable(left) and callable(right):
            if left is _frame:
                return lambda t, u: function(t, right(t, u))
            if right is _frame:
                return lambda t, u: function(left(t, u), t)
            return lambda t, u: function(left(t, u), right(t, u))
        if callable(left):
            if left is _frame:
                return lambda t, u: function(t, right)
            return lambda t, u: function(left(t, u), right)
        if callable(right):
            if right is _frame:
                return lambda t, u: function(left, t)
            return lambda t, u: function(left, right(t, u))
    return lambda t, u: function(*[part(t, u) if callable(part) else part for part in parts])


def _listed(first: Part, steps: list[tuple[Callable[..., float], Part]]) -> Computed:
    """What computes a long sum from left to right."""
    start, rest = _computed(first), [(function, _computed(part)) for function, part in steps]

    def value(t: float, u: float) -> float:
        total = start(t, u)
        for function, part in rest:
            total = function(total, part(t, u))
        return total

    return value


def _reason(error: Exception, node: ast.expr | None = None, values: list[float] | None = None) -> str:
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, OverflowError):
        return "the result is too large"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in ("pow", "power"):
        return f"{node.func.id}() has no value at {', '.join(f'{value:g}' for value in values or ())}"
    return str(error)
