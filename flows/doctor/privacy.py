"""The doctor's look at what other accounts of this machine may read, and at whether the server asks who comes."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import httpx

from flows.doctor.findings import Finding, not_looked_at
from flows.local.live_page import LIVE_KEY
from flows.local.server_key import KEY_FILE
from infra.environment import UP_FOLDER
from infra.own_cluster import CLUSTER, TOKEN
from infra.own_prefect import WHEREABOUTS
from infra.private_files import OTHERS
from manifests.masking import without_secrets

__all__ = ["check_privacy", "check_server_asks", "judge_server_asks"]

# of the folder of `nightreel up`
_SECRETS = (KEY_FILE, LIVE_KEY, WHEREABOUTS, TOKEN, CLUSTER)


def check_privacy(prefect_home: Path) -> Iterator[Finding]:
    """Look at the modes of the keys below Prefect's folder, and of its database."""
    try:
        yield from _check_privacy(prefect_home)
    except OSError as error:
        yield not_looked_at(
            "installation",
            f"who may read keys and runs in '{prefect_home}'",
            error,
            "set PREFECT_HOME to a folder of yours",
        )


def _check_privacy(prefect_home: Path) -> Iterator[Finding]:
    prefect_home.stat()  # of a folder that is not there nobody knows whether it is private
    folder = prefect_home / UP_FOLDER
    keys = _open([folder / name for name in _SECRETS])
    for key in keys:
        # what others may have read is no secret any more; a closed file would only hide that
        yield Finding(
            "installation", "problem", f"other accounts of this machine can read the secret in '{key}'",
            f"stop `nightreel up`, then remove the file (rm '{key}'): the next start makes a new one",
            repair=partial(_remove, key),
        )  # fmt: skip
    # a file is read by whoever may enter its folder, and its own mode lets
    database = _open([prefect_home / "prefect.db"]) if _open([prefect_home]) else []
    for path, what in ((prefect_home, "runs, prompts and addresses"), (folder, "logs of `nightreel up`")):
        if _open([path]) and (path == folder or database):
            yield Finding(
                "installation", "warning", f"other accounts of this machine can read {what} in '{path}'",
                f"chmod 700 '{path}'", repair=partial(_close, path),
            )  # fmt: skip
            return
    if not keys:
        yield Finding("installation", "ok", f"keys and runs in '{prefect_home}' are nobody else's to read")


def check_server_asks(url: str, trust: ssl.SSLContext) -> Iterator[Finding]:
    """Ask the server at the API's `url`, whose certificate `trust` vouches for, for something without a key."""
    try:
        answer = httpx.post(f"{url.rstrip('/')}/flow_runs/count", json={}, timeout=10.0, verify=trust)
    except httpx.HTTPError as error:
        shown = without_secrets(url)
        yield not_looked_at(
            "server", f"whether Prefect's server '{shown}' asks for a key", error, "look whether a proxy is between"
        )
        return
    yield judge_server_asks(without_secrets(url), answer.status_code)


def judge_server_asks(shown: str, status: int) -> Finding:
    """What to say of a server that answers a request without a key with `status`."""
    if status in (401, 403):
        return Finding("server", "ok", "the server asks for a key")
    if not 200 <= status < 300:
        what = f"whether Prefect's server '{shown}' asks for a key"
        return not_looked_at("server", what, f"it answered {status}", "look into that server's log")
    return Finding(
        "server", "warning",
        f"Prefect's server '{shown}' asks nobody for a key: whoever reaches it reads and starts runs",
        "leave NIGHTREEL_SERVER_AUTH as it is for `nightreel up`; elsewhere set PREFECT_SERVER_API_AUTH_STRING, or put "
        "a proxy before it that asks",
    )  # fmt: skip


def _open(paths: Iterable[Path]) -> list[Path]:
    """Those that are there and let others than their owner do something."""
    return [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & OTHERS]


def _close(path: Path) -> str:
    path.chmod(0o700)
    return f"closed '{path}' to other accounts"


def _remove(path: Path) -> str:
    path.unlink()
    return f"removed '{path}'; the next start of `nightreel up` makes a new one"
