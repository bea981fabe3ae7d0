"""The Prefect server that `nightreel up` starts, as other commands of the same user on the same machine find it."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from infra.private_files import read_own, write_private

__all__ = ["WHEREABOUTS", "Whereabouts", "authorization", "key_for", "whereabouts"]

#: The file in the folder of `nightreel up` that says where its server is, with its key.
WHEREABOUTS = "up.json"


@dataclass(frozen=True)
class Whereabouts:
    """Where the `nightreel up` of this user is: its server's `api`, that server's `log`, and the `key` that it asks
    for, None if it asks for none."""

    api: str
    log: str
    key: str | None = None

    def write(self, folder: Path) -> None:
        """Let others of this user find it."""
        write_private(folder / WHEREABOUTS, json.dumps(asdict(self)))

    @staticmethod
    def remove(folder: Path) -> None:
        """Nobody finds it any more."""
        (folder / WHEREABOUTS).unlink(missing_ok=True)


def whereabouts(folder: Path) -> Whereabouts | None:
    """Where the `nightreel up` of this `folder` is; None if none runs, or it is not up yet."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        with suppress(Timeout), FileLock(folder / "lock", timeout=0, mode=0o600, thread_local=False):
            return None  # nobody has it
        found = Whereabouts(**json.loads(read_own(folder / WHEREABOUTS) or "{}"))
        if all(isinstance(it, str) for it in (found.api, found.log, found.key or "")):
            return found
    return None


def key_for(url: str | None, folder: Path) -> str | None:
    """Return the key of the server at `url` if it is the one of an `up` that runs now.

    Once that one has ended, anybody on the machine may listen at its address, and is not given the key.
    """
    if not url:
        return None
    up = whereabouts(folder)
    return up.key if up is not None and _plain(up.api) == _plain(url) else None


def authorization(key: str | None) -> dict[str, str]:
    """Return the header by which Prefect's server is shown the key: HTTP's basic one, also without a user's name."""
    return {} if key is None else {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}


def _plain(url: str) -> str:
    return url.rstrip("/").replace("//localhost:", "//127.0.0.1:")
