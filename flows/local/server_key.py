"""The key that Prefect's servers of this machine ask for: the person's own, where Prefect's settings name one; or one
made at random, which a file keeps for its owner alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from flows.local.guard import SIGN_IN
from infra.environment import given_server_key, prefect_home
from infra.private_files import stored_key, write_private
from infra.settings import InfraSettings, SettingsInvalid

__all__ = ["KEY_FILE", "passing_key", "server_key", "sign_in_link"]

KEY_FILE = "prefect.key"
# Where Prefect looks for settings besides the environment; importing it in order to ask takes seconds.
_SETTINGS_FILES = ("prefect.toml", "pyproject.toml", ".env")


def server_key(folder: Path, settings: InfraSettings) -> str | None:
    """Return what the server of `up` asks for, and leave it in its `folder`; None: for nothing.

    It stays from start to start, and is made again where its file was removed.
    """
    given = given_key()
    if given is not None:
        write_private(folder / KEY_FILE, given)
        return given
    return stored_key(folder / KEY_FILE) if settings.server_auth else None


def passing_key(settings: InfraSettings) -> str | None:
    """Return what a server asks for that ends with its command: nobody else needs to know it."""
    return given_key() or (secrets.token_urlsafe(32) if settings.server_auth else None)


def sign_in_link(url: str, key: str | None) -> str:
    """Return the link by which a person's browser is signed in to the server's UI: its fragment, which browsers send
    nowhere, has the key."""
    return url if key is None else f"{url}{SIGN_IN}#key={quote(key, safe='')}"


def given_key() -> str | None:
    """Return the key that a person set by a setting of Prefect's: its variable, its profile, or a file of it.

    Raises:
        SettingsInvalid: Prefect's server can't compare it, and would answer every request with an error.
    """
    given = given_server_key() or _from_files()
    if given is not None and not given.isascii():
        raise SettingsInvalid("PREFECT_SERVER_API_AUTH_STRING (not shown here) may hold ASCII characters only")
    return given


def _from_files() -> str | None:
    if not _mentions_key([prefect_home() / "profiles.toml", *map(Path, _SETTINGS_FILES)]):
        return None
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING

    return PREFECT_SERVER_API_AUTH_STRING.value() or None


def _mentions_key(files: Iterable[Path]) -> bool:
    for file in files:
        with suppress(OSError, ValueError):
            if "auth_string" in file.read_text(encoding="utf-8").lower():
                return True
    return False
