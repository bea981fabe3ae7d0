"""A depth model of the user's own in a model's entry: installed code by name, and files by checksum."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.models.bringing import bring_model
from infra.models.files import missing_files, verify_model
from infra.models.published import publish
from infra.storage.storage import Storage
from renderers.errors import BadInput, ModelFilesBroken
from renderers.models import load_models
from renderers.models.adding import add_model
from renderers.registry import DepthEntry, ModelEntry, Registry
from tests.helpers.depth_model import LOADER, install_depth, write_depth_weights
from tests.helpers.random_model import write_model


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """With a model of random weights, `plain`."""
    (tmp_path / "made").mkdir()
    registry = Registry(tmp_path / "models")
    registry.register(write_model(tmp_path / "made"), "plain")
    return registry


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The code is installed; returns the folder of its files."""
    install_depth(monkeypatch, tmp_path / "site")
    return write_depth_weights(tmp_path / "brightness")


def deep(registry: Registry, files: Path | None, name: str = "deep", **given: Any) -> ModelEntry:
    return add_model(registry, name, like="plain", depth=LOADER, depth_files=files, **given)


def test_one_is_added_with_its_files_and_knows_them_again(registry: Registry, installed: Path) -> None:
    entry = deep(registry, installed)
    shutil.rmtree(installed)
    assert registry.entry("deep") == entry
    assert entry.depth is not None
    assert (entry.depth.loader, entry.depth.version) == (LOADER, "1.0")
    assert sorted(entry.depth.files) == ["config.json", "sub/brightness.safetensors"]
    assert entry.depth.path == registry.folder / "deep" / "depth"
    models = load_models(entry, device="cpu")
    assert models.depth is not None
    assert not missing_files(entry)
    assert [check.state for check in verify_model(entry)][-2:] == ["ok", "ok"]


def test_rows_that_ask_for_no_depth_have_the_digests_of_the_model_without(registry: Registry, installed: Path) -> None:
    assert deep(registry, installed).digest == registry.entry("plain").digest


def test_code_and_files_decide_the_digest_and_places_do_not(
    registry: Registry, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(entry: ModelEntry) -> str:
        assert entry.depth is not None
        return entry.depth.digest

    first = deep(registry, installed)
    assert digest(deep(registry, installed, "second")) == digest(first)
    other_weights = deep(registry, write_depth_weights(tmp_path / "other", brightness=2.0), "third")
    shutil.rmtree(tmp_path / "site")
    install_depth(monkeypatch, tmp_path / "site", version="1.1")
    other_code = deep(registry, installed, "fourth")
    assert len({digest(it) for it in (first, other_weights, other_code)}) == 3
    # another version than the one that the entry was made with draws other pictures: it is refused, by name
    with pytest.raises(ModelFilesBroken, match=r"'brightness' .* version 1\.1 here, .* 'deep' .* 1\.0"):
        load_models(first, device="cpu")
    assert "brightness" in missing_files(first)[0]


def test_what_is_not_installed_is_refused_with_what_is(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesBroken, match=r"'brightness' is not installed.*nightreel\.depth.*installed are none"):
        deep(registry, None)
    # an entry that came from elsewhere names code, and never brings any
    entry = registry.build({"name": "deep", "like": "plain", "depth": {"loader": "os", "version": "1"}}, tmp_path)
    with pytest.raises(ModelFilesBroken, match="'os' is not installed"):
        load_models(entry, device="cpu")
    assert "os" in missing_files(entry)[0]


def test_damaged_and_missing_files_are_found(registry: Registry, installed: Path) -> None:
    entry = deep(registry, installed)
    assert entry.depth is not None
    weights = entry.depth.path / "sub" / "brightness.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelFilesBroken, match=r"brightness\.safetensors' is damaged"):
        load_models(entry, device="cpu")
    assert "damaged" in [check.state for check in verify_model(entry)]
    weights.unlink()
    assert missing_files(entry) == (str(weights),)
    with pytest.raises(ModelFilesBroken, match=r"brightness\.safetensors"):
        load_models(entry, device="cpu")


def test_it_is_published_and_brought_with_the_model(registry: Registry, installed: Path, tmp_path: Path) -> None:
    entry = deep(registry, installed)
    source = f"file://{tmp_path / 'published'}"
    publish(registry, entry, Storage(source))
    other = Registry(tmp_path / "other-machine")
    bring_model(other, source, "deep")
    load_models(other.entry("deep"), device="cpu")


@pytest.mark.parametrize("name", ["../key", "/etc/passwd", "a/../../b", "", ".", "a\\b", "a//b", "x" * 300])
def test_no_file_lies_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file"):
        DepthEntry(loader="x", version="1", folder=tmp_path, files={name: "0" * 64})


@pytest.mark.parametrize("given", [{"folder": "x"}, {"files": {"a": "0" * 64}}, {"folder": "x", "files": {"a": "0"}}])
def test_a_folder_and_checksums_belong_together(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"folder|SHA-256"):
        DepthEntry(loader="x", version="1", **given)


def test_what_gives_no_depths_is_refused_when_it_is_added(registry: Registry, installed: Path) -> None:
    for loader, message in (
        ("broken", "OSError: no such device"),
        ("pictures", r"gives .*\(1, 3, 64, 64\).* for pictures .*: it must give"),
        ("negative", "distances of 0 or less"),
    ):
        with pytest.raises(ModelFilesBroken, match=message):
            add_model(registry, "deep", like="plain", depth=loader)
        assert "deep" not in registry.names
    with pytest.raises(BadInput, match="--depth"):
        add_model(registry, "deep", like="plain", depth_files=installed)
