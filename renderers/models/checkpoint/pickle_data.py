"""Pickles as data: a reader that keeps texts, numbers, lists, dicts and tensors, and can't call anything else.

A pickle is a program, and Python's own `pickle` runs it: whatever it names is imported, whatever it calls is called.
Here the standard library's `pickletools` only takes the program apart, and a machine of a few dozen instructions
carries out those that put data together. A class that a pickle names becomes a `Global`, two texts; an object of it
becomes `NOTHING`. Calls come true for the few names in a caller's recipes, and what stands there is ours. So the
question of which classes are safe to import does not arise: none is ever imported.

What it costs is bounded by the length of the program, which is bounded itself: no instruction takes more time or memory
than what it takes off the stack, so that saying one thing twice never does the work twice. Hence sets hold nothing, and
dicts only what has a text for a key: texts are hashed with a secret of the process, while numbers can be chosen to
collide, and tuples to take for ever. A state dict needs neither.

Why not `torch.load(weights_only=True)` with stand-ins in `torch.serialization.safe_globals`? It was tried, on torch
2.11 and 2.15, and runs no code either. But it bounds nothing: a few kilobytes of `bytearray(10**9)`, of
`_codecs.encode(text, "hex")` over and over, or of `set(memo)` take all memory there is, 20,000 numbers as keys take
seconds, and each of these names is one that real checkpoints use, so that only who follows the stack could tell:
a machine such as this one. It reads protocol 2 alone, fills no class that derives from dict (Lightning's AttributeDict)
unless they are known in advance, and reads the optimiser's numbers too, which are two thirds of a checkpoint.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.pickle_machine import MAX_INSTRUCTIONS, Machine, Reduce

__all__ = ["MAX_BYTES", "Reduce", "StorageRef", "read_pickle"]

MAX_BYTES = 32 * 2**20  # a tenth of it serves 10,000 parameters and their optimiser


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A tensor's storage outside the pickle: its key, torch's name of its type, and how many numbers it claims."""

    key: str
    kind: str
    numel: int


def read_pickle(file: IO[bytes], recipes: Mapping[str, Reduce], persistent: Callable[[Any], Any]) -> Any:
    """Give the data that the pickle at `file`'s position holds; `file` stands behind it afterwards.

    `recipes` maps dotted names to functions of ours that stand in for theirs; `persistent` answers persistent ids.
    Neither may take longer over its arguments than a small number of them takes, whatever they are.

    Raises:
        CheckpointUnsafe: it calls, or names, what is not data.
        ModelFilesBroken: it is no pickle, one that this reader does not know, or longer than any real one.
    """
    machine = Machine({"collections.OrderedDict": _ordered, **recipes}, persistent)
    try:
        instructions = pickletools.genops(_Bounded(file))  # type: ignore[arg-type]  # read, readline and tell are all it uses
        for count, (opcode, argument, position) in enumerate(instructions):
            if count >= MAX_INSTRUCTIONS:
                raise ModelFilesBroken(f"its pickle has over {MAX_INSTRUCTIONS:,} instructions: no list of tensors")
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
    """A file of which no more than `MAX_BYTES` are read: the lengths in a pickle may be lies."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._position = file, 0

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        return self._counted(self._file.read(max(0, min(size, MAX_BYTES))))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(MAX_BYTES))

    def _counted(self, data: bytes) -> bytes:
        self._position += len(data)
        if self._position > MAX_BYTES:
            raise ModelFilesBroken(f"its pickle has more than {MAX_BYTES:,} bytes: too many for a list of tensors")
        return data


def _ordered(arguments: tuple[Any, ...]) -> Any:
    """Make a dict as Python 2 described an OrderedDict: by a list of pairs. Python 3 gives none, and sets items."""
    if not arguments:
        return {}
    (pairs,) = arguments
    if not isinstance(pairs, list):
        raise TypeError("pairs that are no list")
    made = {key: value for key, value in pairs if isinstance(key, str)}
    pairs.clear()  # a list that is given a thousand times is read once
    return made
