"""What an expression may call, and the operators between its parts: floats in, a float out, the same on every machine.

Integers would let `9**9**9` fill the memory before any limit is looked at, so there are none. Machines' sines and
logarithms differ in the last bit. Where a number decides between two values (a comparison, the cell of a random
number), one that agrees with the boundary in 12 digits is the boundary; or two machines would draw other frames.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["ALIASES", "CONSTANTS", "FAILURES", "FUNCTIONS", "OPERATORS", "TRUTHS", "Function"]

#: Numbers that agree in so much of the larger one are equal, where it matters.
CLOSE = 1e-12

#: How arithmetic on floats fails.
FAILURES = (ZeroDivisionError, OverflowError, ValueError)

CONSTANTS = {"pi": math.pi, "e": math.e}


@dataclass(frozen=True, slots=True)
class Function:
    """What computes a value of `fewest` to `most` numbers. Arguments that may be left out have `names`."""

    call: Callable[..., float]
    fewest: int = 1
    most: int = 1
    names: tuple[str, ...] = ()

    @property
    def takes(self) -> str:
        """How many numbers it takes, in words."""
        if self.most == self.fewest:
            return "one number" if self.most == 1 else f"{self.most} numbers"
        return f"{self.fewest} to {self.most} numbers"


def _power(base: float, exponent: float) -> float:
    result: float | complex = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base:g} to the power of {exponent:g} is not a real number")
    return result


def _equal(a: float, b: float) -> float:
    return 1.0 if a == b or math.isclose(a, b, rel_tol=CLOSE) else 0.0


def _less(a: float, b: float) -> float:
    return 1.0 if a < b and not math.isclose(a, b, rel_tol=CLOSE) else 0.0


def _at_most(a: float, b: float) -> float:
    return 1.0 if a <= b or math.isclose(a, b, rel_tol=CLOSE) else 0.0


def _whole(x: float) -> int:
    """The whole number at or below `x`."""
    near = round(x)
    return near if math.isclose(x, near, rel_tol=CLOSE, abs_tol=CLOSE) else math.floor(x)


def _share(x: float) -> float:
    """What `x` is above the whole number at or below it, 0 to 1, below 1."""
    return max(0.0, x - _whole(x))


_BITS = 2**64 - 1


def _hashed(cell: int, seed: int) -> float:
    """A number in [0, 1) that `cell` and `seed` decide, by the mixer of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = (cell * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _BITS
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _BITS
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


_corner = lru_cache(1024)(_hashed)  # two frames beside each other lie mostly between the same two


def _rand(cell: float, seed: float = 0.0) -> float:
    return _hashed(_whole(cell), _whole(seed))


def _noise(x: float, seed: float = 0.0) -> float:
    """Value noise in [-1, 1] (Ken Perlin's smooth curve between the corners, so its slope has no leaps)."""
    left, number = math.floor(x), _whole(seed)
    before, after = _corner(left, number), _corner(left + 1, number)
    f = x - left
    return 2.0 * (before + (after - before) * (f * f * (3.0 - 2.0 * f))) - 1.0


def _clamp(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _smoothstep(low: float, high: float, x: float) -> float:
    f = _clamp((x - low) / (high - low), 0.0, 1.0)
    return f * f * (3.0 - 2.0 * f)


def _pulse(x: float, width: float = 0.5) -> float:
    return _less(_share(x), width)


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else x


FUNCTIONS: dict[str, Function] = {
    "sin": Function(math.sin),
    "cos": Function(math.cos),
    "tan": Function(math.tan),
    "asin": Function(math.asin),
    "acos": Function(math.acos),
    "atan": Function(math.atan),
    "atan2": Function(math.atan2, 2, 2),
    "sinh": Function(math.sinh),
    "cosh": Function(math.cosh),
    "tanh": Function(math.tanh),
    "asinh": Function(math.asinh),
    "acosh": Function(math.acosh),
    "atanh": Function(math.atanh),
    "exp": Function(math.exp),
    "expm1": Function(math.expm1),
    "log": Function(math.log),
    "log2": Function(math.log2),
    "log10": Function(math.log10),
    "log1p": Function(math.log1p),
    "sqrt": Function(math.sqrt),
    "pow": Function(_power, 2, 2),
    "abs": Function(abs),
    "sign": Function(_sign),
    "floor": Function(lambda x: float(math.floor(x))),
    "ceil": Function(lambda x: float(math.ceil(x))),
    "round": Function(lambda x: float(round(x))),
    "min": Function(min, 2, 16),
    "max": Function(max, 2, 16),
    "where": Function(lambda c, a, b: a if c else b, 3, 3),
    "clamp": Function(_clamp, 3, 3),
    "lerp": Function(lambda a, b, x: a + (b - a) * x, 3, 3),
    "smoothstep": Function(_smoothstep, 3, 3),
    "tri": Function(lambda x: 1.0 - abs(2.0 * (x - math.floor(x)) - 1.0)),
    "saw": Function(_share),
    "pulse": Function(_pulse, 1, 2, ("x", "width")),
    "rand": Function(_rand, 1, 2, ("k", "seed")),
    "noise": Function(_noise, 1, 2, ("x", "seed")),
}
#: numpy's names for what has another here.
ALIASES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "power": "pow",
}
FUNCTIONS |= {name: FUNCTIONS[here] for name, here in ALIASES.items()}

OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    # 1 for what is true, else 0
    ast.Lt: _less,
    ast.LtE: _at_most,
    ast.Gt: lambda a, b: _less(b, a),
    ast.GtE: lambda a, b: _at_most(b, a),
    ast.Eq: _equal,
    ast.NotEq: lambda a, b: 1.0 - _equal(a, b),
}
# Of what is true or not, and nothing else: of numbers they are arithmetic on bits elsewhere, and `a < b & c` reads
# `a < (b & c)`.
TRUTHS: dict[type, Callable[..., float]] = {
    ast.BitAnd: lambda a, b: a * b,
    ast.BitOr: max,
    ast.Invert: lambda a: 1.0 - a,
}
