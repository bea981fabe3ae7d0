"""Processes that end with whoever started them, however that one ended, and that exchange short messages with it.

Parent and child hold the two ends of a socket, the child's as its standard input. The parent's end closes with the
parent, by SIGKILL too; the child then kills its whole process group. (Linux' PR_SET_PDEATHSIG would follow the thread
that started the child, not the process.) The child leads a session of its own, where no terminal's Ctrl-C reaches it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["GONE", "ChildProcess", "Parent"]

#: What a child that lingers hears when its parent has ended.
GONE = "the parent has ended"


class ChildProcess:
    """A child as its parent sees it: `python -m <module> <arguments>`."""

    def __init__(
        self, module: str, arguments: Sequence[str] = (), *, environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        """`log` is a file that its output is appended to; without one its errors go where ours do, the rest nowhere."""
        self._heard: set[str] = set()
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        with theirs, (log or Path(os.devnull)).open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=None if log is None else output,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of its process, and of its process group."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return how it ended, or None while it runs; negative: by that signal."""
        return self._process.poll()

    def said(self, word: str) -> bool:
        """Say whether it has sent `word`."""
        with contextlib.suppress(OSError):
            self._heard.update(self._line.recv(65536).decode().split())
        return word in self._heard

    def tell(self, word: str) -> None:
        """Send it a word; one that has ended gets nothing."""
        with contextlib.suppress(OSError):
            self._line.send(f"{word}\n".encode())

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self, seconds: float = 0.0) -> None:
        """Give it so many seconds to end by itself, then kill what is left of its process group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies may not be signalled
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._line.close()


class Parent:
    """The parent as its child sees it. From its making on, the child ends when the parent does."""

    def __init__(self, linger: float = 0.0) -> None:
        """`linger`: seconds in which the child may take its leave once it has heard GONE."""
        self._linger = linger
        # away from standard input, which this process' own children would inherit
        self._line = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self._heard: set[str] = set()
        self._news = threading.Condition()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def tell(self, word: str) -> None:
        """Send the parent a word."""
        os.write(self._line, f"{word}\n".encode())

    def heard(self, word: str) -> bool:
        """Say whether the parent has sent `word`."""
        with self._news:
            return word in self._heard

    def wait_for(self, word: str) -> None:
        """Wait until the parent sends `word`."""
        with self._news:
            self._news.wait_for(lambda: word in self._heard)

    def _listen(self) -> None:
        # os.read, not a file object: its lock, held by a daemon thread, aborts an interpreter that ends
        while message := self._read():
            with self._news:
                self._heard.update(message.decode().split())
                self._news.notify_all()
        if self._linger:
            with self._news:
                self._heard.add(GONE)
                self._news.notify_all()
            time.sleep(self._linger)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # this process included
        os._exit(1)

    def _read(self) -> bytes:
        try:
            return os.read(self._line, 4096)
        except ConnectionError:  # the parent was killed before it had read all that we said
            return b""
