"""A depth model of the user's own in a model's entry: installed code by name, and files by checksum."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

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


@pytest.mark.parametrize(
    "name", ["../key", "/etc/passwd", "a/../../b", "", ".", "a\\b", "a//b", "x" * 300, "a\0b", "a\n", "\udcff"]
)
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
        ("leaves", "can't be loaded: SystemExit: 3"),
        ("of two words", r"'deep' can't be added: depth\.loader: "),
    ):
        with pytest.raises(ModelFilesBroken, match=message):
            add_model(registry, "deep", like="plain", depth=loader)
        assert "deep" not in registry.names
    with pytest.raises(BadInput, match="--depth"):
        add_model(registry, "deep", like="plain", depth_files=installed)


def test_what_a_loader_sets_in_torch_for_itself_is_taken_back(registry: Registry, installed: Path) -> None:
    def settings() -> tuple[object, ...]:
        cudnn = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
        return torch.is_grad_enabled(), torch.get_default_dtype(), torch.zeros(1).device, torch.get_num_threads(), cudnn

    before = settings()
    entry = add_model(registry, "deep", like="plain", depth="settles")
    assert settings() == before
    load_models(entry, device="cpu", threads=torch.get_num_threads())
    assert settings() == before


def test_files_that_nobody_vouches_for_are_given_to_no_loader(registry: Registry, installed: Path) -> None:
    entry = deep(registry, installed)
    assert entry.depth is not None
    assert entry.depth.path is not None
    (entry.depth.path / ".lock").touch()  # what is hidden was not added either
    load_models(entry, device="cpu")
    (entry.depth.path / "sub" / "model.safetensors").touch()
    with pytest.raises(ModelFilesBroken, match=r"'deep' holds 'sub/model\.safetensors', .* not added with: remove"):
        load_models(entry, device="cpu")


def test_a_folder_of_very_many_files_is_not_gone_through(registry: Registry, installed: Path, tmp_path: Path) -> None:
    for count, said in ((0, "no files"), (101, "more than 100 files")):
        folder = tmp_path / f"of {count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.bin").touch()
        with pytest.raises(BadInput, match=said):
            deep(registry, folder)


def test_a_name_that_no_text_can_hold_is_refused(registry: Registry, installed: Path) -> None:
    Path(os.fsdecode(os.fsencode(installed) + b"/\xff.bin")).touch()
    with pytest.raises(ModelFilesBroken, match=r"'deep' can't be added: depth: .*can't be a file below the folder"):
        deep(registry, installed)
