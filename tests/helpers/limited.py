"""What a call costs: run in a process of its own, under a limit of memory and one of the processor's time."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# One process imports torch, once; each call runs in a copy of it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["pytest", "renderers.models.adding", "renderers.registry", "tests.helpers.checkpoints", "tests.helpers.limited"]
)


@dataclass(frozen=True)
class Cost:
    """How a call went: the error it raised, its words, and what it took of a processor's time and of memory."""

    error: str | None
    said: str
    seconds: float
    memory: int  # bytes above what the process had before, at the most


def cost_of(function: Callable[..., Any], *arguments: Any, memory: int, seconds: int) -> Cost:
    """Call `function` with `memory` bytes to spare and `seconds` of a processor: past these it fails by MemoryError, or
    dies. A clock on the wall would tell how busy the machine is; it only ends what waits, after ten times as long.

    `function` is one of a module's, so that the other process finds it.

    Raises:
        AssertionError: it took longer, or its process died.
    """
    ours, theirs = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_call, args=(theirs, memory, seconds, function, arguments))
    process.start()
    theirs.close()
    try:
        if ours.poll(10 * seconds):
            found = ours.recv()
            assert isinstance(found, Cost)
            return found
        raise AssertionError(f"it waited for longer than {10 * seconds} s")
    except EOFError as error:
        process.join()
        if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            raise AssertionError(f"it took longer than {seconds} s") from error
        raise AssertionError(f"its process died, exit code {process.exitcode}") from error
    finally:
        process.kill()
        process.join()


def count_for_ever() -> None:
    """What any limit of time must end. It stands here because the process that forks has this module already: what has
    to be imported first counts as waiting."""
    while True:
        pass


def _call(
    channel: Connection, memory: int, seconds: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    limit = memory_of("VmSize") + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    before, began = memory_of("VmRSS"), time.process_time()
    error, said = None, ""
    try:
        function(*arguments)
    except Exception as raised:
        error, said = type(raised).__name__, str(raised)[:100_000]
    channel.send(Cost(error, said, time.process_time() - began, memory_of("VmHWM") - before))


def memory_of(name: str) -> int:
    """This process's bytes of memory as Linux counts them: VmSize, VmRSS now, VmHWM at the most so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
