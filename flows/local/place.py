"""What only one `nightreel up` may have: the folder with Prefect's database, and the port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from flows.local.part import UpUnavailable
from infra.ports import free_port
from infra.private_files import private_folder

__all__ = ["Lock", "check_port", "port_beside"]


class Lock:
    """Says to every other `up` that this one uses `folder`; the system lets go of it when the process ends."""

    def __init__(self, folder: Path, url: str) -> None:
        """Take it.

        Raises:
            UpUnavailable: another `up` has it, or the folder can't be written.
        """
        holder = folder / "lock.holder"  # for whoever finds it taken
        try:
            private_folder(folder)
            self._lock = FileLock(folder / "lock", timeout=0, mode=0o600, thread_local=False)
            self._lock.acquire()
            holder.write_text(f"process {os.getpid()} at {url}", encoding="utf-8")
        except Timeout as error:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
            raise UpUnavailable(
                f"`nightreel up` runs already with the database in '{folder.parent}': {who}. Use that one or stop it; "
                "a second one needs a database of its own: set PREFECT_HOME to another folder, and give --port"
            ) from error
        except OSError as error:
            raise UpUnavailable(
                f"folder '{folder}' can't be used: {error.strerror}. Set PREFECT_HOME to one that can be written"
            ) from error

    def release(self) -> None:
        """Let the next one have it."""
        self._lock.release()


def check_port(port: int) -> None:
    """Raise UpUnavailable if somebody listens at `port` of loopback."""
    with socket.socket() as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
        try:
            it.bind(("127.0.0.1", port))
        except OSError as error:
            raise UpUnavailable(
                f"port {port} can't be used: {error.strerror}. Is a Prefect server running already? Stop it, or give "
                f"another port, such as --port {port + 1 if port < 65_535 else 4200}"
            ) from error


def port_beside(port: int) -> int:
    """Return the port after `port`, so that links stay good from one start to the next; any free one if it is taken."""
    try:
        check_port(port + 1)
    except (UpUnavailable, OverflowError):
        return free_port()
    return port + 1
