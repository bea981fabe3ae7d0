"""Pickles as data: a reader that knows numbers, texts, containers and tensors, and can't call anything else.

A pickle is a program, and Python's own `pickle` runs it: whatever it names is imported, whatever it calls is called.
Here the standard library's `pickletools` only takes the program apart, and a machine of a few dozen instructions
carries out those that put data together. A class that a pickle names becomes a `Global`, two texts; an object of it
becomes a `Placeholder`, nothing. Calls come true for the few names in `RECIPES`, and what stands there is ours. So the
question of which classes are safe to import does not arise: none is ever imported.

PyTorch's own `weights_only` reader works alike and is right about what it lets through, but refuses a Lightning
checkpoint as a whole for the callbacks it names, and offers to import them as the way out.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.pickle_machine import Machine, Reduce, check_key, store

__all__ = ["Reduce", "StorageRef", "read_pickle"]

# Real checkpoints take some ten thousand instructions; the largest training states a million.
MAX_INSTRUCTIONS = 20_000_000
MAX_TEXT = 64 * 2**20  # bytes of one text or number in the pickle


@dataclass(frozen=True)
class StorageRef:
    """A tensor's storage outside the pickle: its key, torch's name of its type, and how many numbers it claims."""

    key: str
    kind: str
    numel: int


def _ordered(arguments: tuple[Any, ...]) -> Any:
    if not arguments:
        return {}
    (pairs,) = arguments
    made: dict[Any, Any] = {}
    for key, value in pairs:
        store(made, key, value)
    return made


def _container(kind: type) -> Reduce:
    def make(arguments: tuple[Any, ...]) -> Any:
        if not arguments:
            return kind()
        (items,) = arguments
        if not isinstance(items, (list, tuple, set, frozenset)):
            raise ModelFilesBroken("a container is made of something that is none")
        if kind in (set, frozenset):
            for item in items:
                check_key(item)
        return kind(items)

    return make


def _size(arguments: tuple[Any, ...]) -> Any:
    (sizes,) = arguments
    return tuple(sizes)


RECIPES: Mapping[str, Reduce] = {
    "collections.OrderedDict": _ordered,
    "torch.Size": _size,
    **{
        f"{module}.{kind.__name__}": _container(kind)
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset, list, tuple)
    },
}


def read_pickle(file: IO[bytes], recipes: Mapping[str, Reduce], persistent: Callable[[Any], Any]) -> Any:
    """The data that the pickle at `file`'s position holds; `file` stands behind it afterwards.

    `recipes` maps dotted names to functions of ours that stand in for theirs; `persistent` answers persistent ids.

    Raises:
        CheckpointUnsafe: it calls, or names, what is not data.
        ModelFilesBroken: it is no pickle, or one that this reader does not know.
    """
    machine = Machine({**RECIPES, **recipes}, persistent)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(_Bounded(file))):  # type: ignore[arg-type]
            if count >= MAX_INSTRUCTIONS:
                raise ModelFilesBroken(f"it has more than {MAX_INSTRUCTIONS:,} instructions")
            try:
                machine.step(opcode.name, argument)
            except (CheckpointUnsafe, ModelFilesBroken):
                raise
            except Exception as error:  # whatever a malformed program does to the machine: it is malformed
                raise ModelFilesBroken(f"its instruction {opcode.name} at {position} makes no sense") from error
    except ModelFilesBroken:
        raise
    except Exception as error:  # pickletools raises ValueError, and others on bytes that are no pickle
        raise ModelFilesBroken(f"it is not a pickle: {error}") from error
    return machine.result


class _Bounded:
    """A file from which no more is read at once than a checkpoint can have: a length in a pickle may be a lie."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_TEXT:
            raise ValueError(f"a text of {size:,} bytes")
        return self._file.read(size)

    def readline(self) -> bytes:
        return self._file.readline(MAX_TEXT)
