"""Proof that what a lock guards is touched with the lock held."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import Any

import pytest

__all__ = ["watch_lock"]


def watch_lock(monkeypatch: pytest.MonkeyPatch, cls: type, guarded: Collection[str] = ()) -> list[str]:
    """Return a list that gets a line for each access to a `guarded` attribute of a `cls` (none named: every private
    one) by a thread that does not hold its `_lock`, an RLock. The first assignment of each attribute is its
    construction, and free."""
    breaches: list[str] = []
    get, put = cls.__getattribute__, cls.__setattr__

    def check(self: Any, name: str) -> None:
        if not name.startswith("_") or name.startswith("__") or name == "_lock" or (guarded and name not in guarded):
            return
        fields = get(self, "__dict__")
        if name in fields and not fields["_lock"]._is_owned():
            caller = traceback.extract_stack(limit=3)[0]
            breaches.append(f"{caller.filename}:{caller.lineno}: {name}")

    def watched_get(self: Any, name: str) -> Any:
        check(self, name)
        return get(self, name)

    def watched_put(self: Any, name: str, value: Any) -> None:
        check(self, name)
        put(self, name, value)

    monkeypatch.setattr(cls, "__getattribute__", watched_get)
    monkeypatch.setattr(cls, "__setattr__", watched_put)
    return breaches
