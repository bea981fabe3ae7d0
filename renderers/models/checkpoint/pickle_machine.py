"""The machine that a pickle is a program for: a stack, a memo, and the instructions that put data together.

It imports nothing and calls nothing but the recipes that it is given; see `pickle_data`, also for what bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from renderers.errors import CheckpointUnsafe
from renderers.models.checkpoint.pickle_names import Global, check_named, is_inert

__all__ = ["MAX_INSTRUCTIONS", "Machine", "Reduce"]

# The training of 10,000 parameters takes a million of them, with Adam's moments; the largest CLIP has 2,000 parameters.
MAX_INSTRUCTIONS = 2_000_000

Reduce = Callable[[tuple[Any, ...]], Any]


class _Nothing:
    """Where a pickle has an object that is not data. Holds nothing, does nothing, and there is one of it."""

    __slots__ = ()


NOTHING: Final = _Nothing()
_MARK: Final = object()


class Machine:
    """The stack and the memo of a pickle. A method per instruction, named as `pickletools` names it."""

    def __init__(self, recipes: Mapping[str, Reduce], persistent: Callable[[Any], Any]) -> None:
        self._recipes, self._persistent = recipes, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction, `argument` as pickletools read it."""
        if name in _PUSHES_ARGUMENT:
            self._stack.append(argument)
        elif name in _PUSHES:
            self._stack.append(_PUSHES[name]())
        elif name not in ("PROTO", "FRAME"):
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                raise CheckpointUnsafe(f"it has the instruction {name}, which torch never writes")
            method(argument)

    def _take(self, count: int) -> list[Any]:
        """The last `count` values, in the order in which they were pushed."""
        values = self._stack[-count:]
        if len(values) < count or _MARK in values:
            raise IndexError("a value is missing")
        del self._stack[-count:]
        return values

    def _items(self) -> list[Any]:
        """What was pushed since the last mark."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise IndexError("no mark")

    # -- stack and memo ------------------------------------------------------------------------------------------

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _stop(self, _: Any) -> None:
        (self.result,) = self._take(1)

    def _pop(self, _: Any) -> None:
        self._stack.pop()  # a mark too: Python's own pickler drops marks in this way

    def _pop_mark(self, _: Any) -> None:
        self._items()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: int) -> None:
        if not 0 <= index <= MAX_INSTRUCTIONS:  # picklers count; numbers of any size could be made to collide
            raise ValueError("a place in the memo that no pickler gives")
        self._memo[index] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo))

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _binget = _long_binget = _get

    # -- containers ----------------------------------------------------------------------------------------------

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._items()))

    def _tuple1(self, _: Any) -> None:
        self._stack.append(tuple(self._take(1)))

    def _tuple2(self, _: Any) -> None:
        self._stack.append(tuple(self._take(2)))

    def _tuple3(self, _: Any) -> None:
        self._stack.append(tuple(self._take(3)))

    def _list(self, _: Any) -> None:
        self._stack.append(self._items())

    def _append(self, _: Any) -> None:
        self._add(self._take(1), list)

    def _appends(self, _: Any) -> None:
        self._add(self._items(), list)

    def _dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._add(items, dict)

    def _setitem(self, _: Any) -> None:
        self._add(self._take(2), dict)

    def _setitems(self, _: Any) -> None:
        self._add(self._items(), dict)

    def _additems(self, _: Any) -> None:
        self._items()
        if self._stack[-1] is not NOTHING:
            raise TypeError("what is added to is no set")

    def _frozenset(self, _: Any) -> None:
        self._items()
        self._stack.append(NOTHING)

    def _add(self, items: list[Any], kind: type[list[Any]] | type[dict[str, Any]]) -> None:
        """Put `items` into the list or dict on top of the stack; what is put into an object is dropped."""
        target = self._stack[-1]
        if target is NOTHING:
            return
        if not isinstance(target, kind):
            raise TypeError(f"what is filled is no {kind.__name__}")
        if isinstance(target, list):
            target.extend(items)
        else:
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update((key, value) for key, value in pairs if isinstance(key, str))

    # -- classes, calls ------------------------------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(_named(module, name))

    def _stack_global(self, _: Any) -> None:
        self._stack.append(_named(*self._take(2)))

    def _reduce(self, _: Any) -> None:
        self._call(*self._take(2))

    def _inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._call(_named(module, name), tuple(self._items()))

    def _obj(self, _: Any) -> None:
        kind, *arguments = self._items()
        self._call(kind, tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global):
            raise CheckpointUnsafe(f"it calls a {_kind(function)}: it tries to run code")
        if not isinstance(arguments, tuple):
            raise TypeError("arguments that are no tuple")
        recipe = self._recipes.get(str(function))
        if recipe is not None:
            self._stack.append(recipe(arguments))
        elif is_inert(function):
            self._stack.append(NOTHING)
        else:
            raise CheckpointUnsafe(f"it calls '{function}', which is not data: it tries to run code")

    def _newobj(self, _: Any) -> None:
        self._object(self._take(2)[0])

    def _newobj_ex(self, _: Any) -> None:
        self._object(self._take(3)[0])

    def _object(self, kind: Any) -> None:
        if not isinstance(kind, Global):
            raise CheckpointUnsafe(f"it makes an object of a {_kind(kind)}: it tries to run code")
        self._stack.append(NOTHING)

    def _build(self, _: Any) -> None:
        """State of an object: dropped, as nothing here has any. `__setstate__` would be a call."""
        self._take(1)
        if isinstance(self._stack[-1], Global):
            raise CheckpointUnsafe(f"it changes '{self._stack[-1]}' itself: it tries to run code")

    def _binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(*self._take(1)))


def _named(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a name that is no text")
    found = Global(module, name)
    check_named(found)
    return found


def _kind(value: Any) -> str:
    return "object" if value is NOTHING else type(value).__name__


_PUSHES_ARGUMENT = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8",
})  # fmt: skip
_PUSHES: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": lambda: NOTHING,
}  # fmt: skip
