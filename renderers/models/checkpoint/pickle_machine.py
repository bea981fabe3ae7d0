"""The machine that a pickle is a program for: a stack, a memo, and the instructions that put data together.

It imports nothing and calls nothing but the recipes that it is given; see `pickle_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.pickle_names import INERT, Global, Placeholder, check_named

__all__ = ["Machine", "Reduce", "check_key", "store"]

Reduce = Callable[[tuple[Any, ...]], Any]

_MARK = object()


class Machine:
    """The stack and the memo of a pickle, and the instructions that put data together."""

    def __init__(self, recipes: Mapping[str, Reduce], persistent: Callable[[Any], Any]) -> None:
        self._recipes, self._persistent = recipes, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction, `argument` as pickletools read it."""
        if name in _PUSH_ARGUMENT:
            self._stack.append(argument)
        elif name in _PUSH_CONSTANT:
            self._stack.append(_PUSH_CONSTANT[name]())
        elif name not in _IGNORED:
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                raise CheckpointUnsafe(f"it has the instruction {name}, which torch never writes")
            method(argument)

    def _take(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise IndexError("a mark where a value should be")
        return value

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
        self.result = self._take()

    def _pop(self, _: Any) -> None:
        self._stack.pop()  # a mark too: Python's own pickler drops marks in this way

    def _pop_mark(self, _: Any) -> None:
        self._items()

    def _put(self, index: Any) -> None:
        self._memo[int(index)] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    _binget = _long_binget = _get

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    # -- containers ----------------------------------------------------------------------------------------------

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._items()))

    def _tuple1(self, _: Any) -> None:
        self._last_as_tuple(1)

    def _tuple2(self, _: Any) -> None:
        self._last_as_tuple(2)

    def _tuple3(self, _: Any) -> None:
        self._last_as_tuple(3)

    def _last_as_tuple(self, count: int) -> None:
        values = [self._take() for _ in range(count)]
        self._stack.append(tuple(reversed(values)))

    def _list(self, _: Any) -> None:
        self._stack.append(self._items())

    def _append(self, _: Any) -> None:
        self._extend([self._take()])

    def _appends(self, _: Any) -> None:
        self._extend(self._items())

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)
        elif not isinstance(self._stack[-1], Placeholder):
            raise TypeError("what is appended to is no list")

    def _dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._set_all(items)

    def _setitem(self, _: Any) -> None:
        value, key = self._take(), self._take()
        self._set_all([key, value])

    def _setitems(self, _: Any) -> None:
        self._set_all(self._items())

    def _set_all(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, dict):
            raise TypeError("what is set is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            store(target, key, value)

    def _additems(self, _: Any) -> None:
        items = self._items()
        for item in items:
            check_key(item)
        if not isinstance(self._stack[-1], set):
            raise TypeError("what is added to is no set")
        self._stack[-1].update(items)

    def _frozenset(self, _: Any) -> None:
        items = self._items()
        for item in items:
            check_key(item)
        self._stack.append(frozenset(items))

    # -- classes, calls ------------------------------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self._take(), self._take()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        found = Global(module, name)
        check_named(found)
        self._stack.append(found)

    def _reduce(self, _: Any) -> None:
        arguments, function = self._take(), self._take()
        self._call(function, arguments)

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global):
            raise CheckpointUnsafe(f"it calls a {type(function).__name__}: it tries to run code")
        if not isinstance(arguments, tuple):
            raise TypeError("arguments that are no tuple")
        recipe = self._recipes.get(str(function))
        if recipe is not None:
            self._stack.append(recipe(arguments))
        elif str(function) in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            self._stack.append(_placeholder(arguments[0]))
        elif str(function) == "_codecs.encode":
            self._stack.append(Placeholder(function))  # how protocol 2 writes bytes
        elif function.module.partition(".")[0] in INERT and "." not in function.name:  # a class, no method of one
            self._stack.append(Placeholder(function))
        else:
            raise CheckpointUnsafe(f"it calls '{function}', which is not data: it tries to run code")

    def _newobj(self, _: Any) -> None:
        _, kind = self._take(), self._take()
        self._stack.append(_placeholder(kind))

    def _newobj_ex(self, _: Any) -> None:
        _, _, kind = self._take(), self._take(), self._take()
        self._stack.append(_placeholder(kind))

    def _build(self, _: Any) -> None:
        """State of an object: dropped, as nothing here has any. `__setstate__` would be a call."""
        self._take()
        if isinstance(self._stack[-1], Global):
            raise CheckpointUnsafe(f"it changes '{self._stack[-1]}' itself: it tries to run code")

    def _inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        found = Global(module, name)
        check_named(found)
        self._call(found, tuple(self._items()))

    def _obj(self, _: Any) -> None:
        kind, *arguments = self._items()
        self._call(kind, tuple(arguments))

    def _binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(self._take()))


def _placeholder(kind: Any) -> Placeholder:
    if not isinstance(kind, Global):
        raise CheckpointUnsafe(f"it makes an object of a {type(kind).__name__}: it tries to run code")
    return Placeholder(kind)


def store(target: dict[Any, Any], key: Any, value: Any) -> None:
    """Set `key`, if it is one that a checkpoint's dict may have."""
    check_key(key)
    target[key] = value


def check_key(key: Any) -> None:
    """Refuse deep keys: hashing tuples of tuples of one tuple takes twice as long with every level."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, (str, bytes, int, float, bool, type(None), Global, Placeholder)) for part in parts):
        raise ModelFilesBroken("a dict or set in it is keyed by something that is no text, number or class")


_PUSH_ARGUMENT = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8",
})  # fmt: skip
_PUSH_CONSTANT: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_IGNORED = frozenset({"PROTO", "FRAME"})
