"""Digests of models that are computed once for many rows."""

from __future__ import annotations

import pytest

from renderers.registry import DigestsRemembered, Registry
from renderers.registry import digest as module


def test_files_are_read_once_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Registry().entry("embedded")
    wanted = entry.digest
    with DigestsRemembered() as digests:
        assert digests.of(entry) is entry
        with monkeypatch.context() as patched:
            patched.setattr(module, "file_sha256", lambda _: pytest.fail("a file was read"))
            assert entry.digest == wanted
    read: list[object] = []
    monkeypatch.setattr(module, "file_sha256", lambda path: read.append(path) or "0" * 64)
    assert entry.digest != wanted  # nothing is remembered after the block
    assert read


def test_a_copy_with_other_templates_is_another_model() -> None:
    entry = Registry().entry("embedded")
    with DigestsRemembered() as digests:
        digests.of(entry)
        (perceptor,) = entry.perceptors
        other = entry.model_copy(update={"perceptors": (perceptor.model_copy(update={"templates": ("a {}",)}),)})
        assert other.digest != entry.digest
        assert entry.model_copy().digest == entry.digest
    assert other.digest != entry.digest
