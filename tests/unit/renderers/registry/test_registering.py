"""The user's own models: entries in a models folder, and how they get there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from renderers.errors import BadInput, ModelFilesBroken, UnknownModel
from renderers.models import load_models
from renderers.registry import ModelEntry, Registry, shipped_names
from tests.helpers.random_model import write_model


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry whose folder is not there yet."""
    return Registry(tmp_path / "models")


@pytest.fixture
def made(tmp_path: Path) -> ModelEntry:
    """A model's files, somewhere else."""
    (tmp_path / "made").mkdir()
    return write_model(tmp_path / "made")


def names(registry: Registry) -> list[str]:
    return [entry.name for entry in registry.entries()]


def like_embedded(made: ModelEntry) -> dict[str, Any]:
    return {"like": "embedded", "summary": "flowers", "downsampling": 4, "vqgan": made.vqgan.model_dump()}


def test_a_registered_model_is_known_by_its_name_and_loads_though_its_makers_files_are_gone(
    registry: Registry, made: ModelEntry
) -> None:
    assert not registry.folder.exists()
    registered = registry.register(made, "flowers")
    shutil.rmtree(made.vqgan.weights_path.parent)
    assert names(registry) == [*shipped_names(), "flowers"]
    entry = registry.entry("flowers")
    assert entry == registered
    assert entry.digest == registered.digest
    assert entry.vqgan.weights_path == registry.folder / "flowers" / "vqgan.safetensors"
    assert load_models(entry, device="cpu").entry.name == "flowers"
    assert sorted(path.name for path in registry.folder.iterdir()) == ["flowers", "flowers.yaml"]


def test_a_folder_that_moves_takes_its_models_along(registry: Registry, made: ModelEntry, tmp_path: Path) -> None:
    digest = registry.register(made, "flowers").digest
    shutil.move(registry.folder, tmp_path / "elsewhere")
    shutil.rmtree(made.vqgan.weights_path.parent)
    registry = Registry(tmp_path / "elsewhere")
    assert registry.entry("flowers").digest == digest
    load_models(registry.entry("flowers"), device="cpu")


def test_what_an_entry_leaves_out_is_taken_from_the_one_that_it_is_like(registry: Registry, made: ModelEntry) -> None:
    entry = registry.register(like_embedded(made), "flowers")
    embedded = registry.entry("embedded")
    assert entry.perceptors[0].weights_path == embedded.perceptors[0].weights_path
    assert entry.concepts == embedded.concepts
    assert entry.defaults == embedded.defaults
    assert entry.summary == "flowers"
    weights = (entry.vqgan.weights_path, embedded.perceptors[0].weights_path)
    assert entry.size_bytes == sum(path.stat().st_size for path in weights)
    written = yaml.safe_load((registry.folder / "flowers.yaml").read_text())
    assert "perceptors" not in written  # taken over, not copied: nobody's folder holds the package's weights
    assert load_models(entry, device="cpu").vqgan.config.downsampling == 4
    # a model like a model like a model
    second = registry.register({"like": "flowers", "summary": "more flowers"}, "more-flowers")
    assert second.vqgan == entry.vqgan
    assert registry.entry("more-flowers").summary == "more flowers"


def test_an_entry_file_is_registered_with_paths_relative_to_it(
    registry: Registry, made: ModelEntry, tmp_path: Path
) -> None:
    data = like_embedded(made)
    data["vqgan"] |= {"config": "vqgan.yaml", "weights": "vqgan.safetensors"}
    path = tmp_path / "made" / "entry.yaml"
    path.write_text(yaml.safe_dump({**data, "name": "whatever", "like": "embedded"}))
    assert registry.register(path, "flowers").vqgan.sha256 == made.vqgan.sha256
    assert registry.entry("flowers").name == "flowers"


def test_a_name_that_is_taken_is_refused_unless_it_may_be_replaced(registry: Registry, made: ModelEntry) -> None:
    registry.register(made, "flowers")
    with pytest.raises(BadInput, match="has a model 'flowers' already"):
        registry.register(made, "flowers")
    replaced = registry.register(made.model_copy(update={"summary": "other"}), "flowers", replace=True)
    assert registry.entry("flowers").summary == replaced.summary == "other"
    assert sorted(path.name for path in registry.folder.iterdir()) == ["flowers", "flowers.yaml"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a b", "embedded"])
def test_a_name_that_can_not_be_one_is_refused(registry: Registry, made: ModelEntry, name: str) -> None:
    with pytest.raises(BadInput):
        registry.register(made, name)
    assert not registry.folder.exists()


def test_files_that_are_not_those_of_the_entry_are_not_registered(registry: Registry, made: ModelEntry) -> None:
    made.vqgan.weights_path.write_bytes(b"other")
    with pytest.raises(ModelFilesBroken, match="its entry vouches for"):
        registry.register(made, "flowers")
    made.vqgan.weights_path.unlink()
    with pytest.raises(ModelFilesBroken, match="can't be registered"):
        registry.register(made, "flowers")
    assert names(registry) == list(shipped_names())
    assert list(registry.folder.iterdir()) == []


@pytest.mark.parametrize("spoil", [{"vqgan": {"config": "x"}}, {"like": "nothing"}, {"perceptors": []}, {"colour": 1}])
def test_what_is_no_entry_is_not_registered(registry: Registry, made: ModelEntry, spoil: dict[str, Any]) -> None:
    with pytest.raises((ModelFilesBroken, UnknownModel)):
        registry.register(like_embedded(made) | spoil, "flowers")
    assert not registry.folder.exists()


def test_a_broken_entry_hides_no_other(registry: Registry, made: ModelEntry) -> None:
    registry.register(made, "flowers")
    (registry.folder / "broken.yaml").write_text("name: broken")
    problems: list[ModelFilesBroken] = []
    assert [entry.name for entry in registry.entries(problems.append)] == [*shipped_names(), "flowers"]
    assert "broken.yaml" in str(problems[0])
    assert registry.entry("flowers").name == "flowers"
    with pytest.raises(ModelFilesBroken, match=r"broken\.yaml"):
        registry.entries()
    with pytest.raises(ModelFilesBroken, match=r"broken\.yaml"):
        registry.entry("broken")


def test_entries_that_are_like_each_other_are_reported(registry: Registry) -> None:
    registry.folder.mkdir()
    for name, like in (("a", "b"), ("b", "a"), ("self", "self")):
        (registry.folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "like": like}))
    for name in ("a", "b", "self"):
        with pytest.raises(ModelFilesBroken, match="which is like it"):
            registry.entry(name)


def test_an_entry_must_be_called_as_its_file_and_not_as_a_model_of_the_package(
    registry: Registry, made: ModelEntry, tmp_path: Path
) -> None:
    registry.register(made, "flowers")
    (registry.folder / "flowers.yaml").rename(registry.folder / "roses.yaml")
    with pytest.raises(ModelFilesBroken, match="its name is 'flowers', and the file's is 'roses'"):
        registry.entry("roses")
    with pytest.raises(UnknownModel, match="did you mean 'roses'"):
        registry.entry("rose")
    (registry.folder / "embedded.yaml").write_text((registry.folder / "roses.yaml").read_text())
    assert registry.entry("embedded").summary != made.summary
    data = yaml.safe_load((registry.folder / "roses.yaml").read_text()) | {"name": "embedded"}
    (tmp_path / "embedded.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ModelFilesBroken, match="has a model 'embedded' of its own"):
        registry.read(tmp_path / "embedded.yaml")


def test_a_change_of_an_entry_is_seen_by_a_process_that_read_it_before(registry: Registry, made: ModelEntry) -> None:
    registry.register(made, "flowers")
    assert registry.entry("flowers").summary == "random weights"
    path = registry.folder / "flowers.yaml"
    path.write_text(path.read_text().replace("random weights", "other weights!"))
    assert registry.entry("flowers").summary == "other weights!"


@pytest.mark.parametrize("name", ["licence", "summary"])
def test_a_text_that_could_not_be_read_again_takes_no_name(registry: Registry, name: str) -> None:
    with pytest.raises(ModelFilesBroken, match=f"'mine' can't be registered: {name}: .* at most 4000 characters"):
        registry.register({"like": "embedded", "summary": "s", "licence": "l"} | {name: "x" * 4001}, "mine")
    assert "mine" not in registry.names
    registry.register({"like": "embedded", "summary": "s", "licence": "l"} | {name: "ü" * 4000}, "mine")
    assert "mine" in names(registry)


def test_an_entry_of_more_than_is_read_takes_no_name(registry: Registry) -> None:
    many = {"like": "embedded", "summary": "s", "licence": "l", "concepts": ["x" * 3000] * 200}
    with pytest.raises(ModelFilesBroken, match="has more than 262,144 bytes"):
        registry.register(many, "mine")
    assert registry.names == shipped_names()
    assert not (registry.folder / "mine").exists()
