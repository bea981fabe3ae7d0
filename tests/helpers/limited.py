"""What a call costs: run in a process of its own, under a limit of memory and one of time."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# One process imports torch, once; each call runs in a copy of it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["renderers.models.checkpoint.conversion", "tests.helpers.limited"])


@dataclass(frozen=True)
class Cost:
    """How a call went: the error it raised, its words, and what it took."""

    error: str | None
    said: str
    seconds: float
    memory: int  # bytes above what the process had before, at the most


def cost_of(function: Callable[..., Any], *arguments: Any, memory: int, seconds: float) -> Cost:
    """Call `function` with `memory` bytes to spare and `seconds` of time: past these it fails by MemoryError, or dies.

    `function` is one of a module's, so that the other process finds it.
    """
    ours, theirs = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_call, args=(theirs, memory, function, arguments))
    process.start()
    theirs.close()
    try:
        if ours.poll(seconds):
            found = ours.recv()
            assert isinstance(found, Cost)
            return found
        raise AssertionError(f"it took longer than {seconds} s")
    except EOFError as error:
        process.join()
        raise AssertionError(f"its process died, exit code {process.exitcode}") from error
    finally:
        process.kill()
        process.join()


def _call(told: Connection, memory: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    limit = _status("VmSize") + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before, began = _status("VmRSS"), time.monotonic()
    error, said = None, ""
    try:
        function(*arguments)
    except Exception as raised:
        error, said = type(raised).__name__, str(raised)[:100_000]
    told.send(Cost(error, said, time.monotonic() - began, _status("VmHWM") - before))


def _status(name: str) -> int:
    """Bytes of memory as Linux counts them: VmSize, VmRSS now, VmHWM at the most so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
