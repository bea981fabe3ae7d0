from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from manifests.schema import ManifestRow
from renderers.errors import ModelFilesBroken, UnknownModel
from renderers.frame_plan.resolution import resolve
from renderers.registry import ModelEntry, Registry
from tests.helpers.random_model import sha256, write_model

REGISTRY = Registry()


def test_every_model_is_known_by_its_name() -> None:
    assert [entry.name for entry in REGISTRY.entries()] == sorted(entry.name for entry in REGISTRY.entries())
    for entry in REGISTRY.entries():
        assert REGISTRY.entry(entry.name) is entry
        assert entry.summary
        assert entry.licence


@pytest.mark.parametrize(("name", "near"), [("embeded", "embedded"), ("Embedded", "embedded")])
def test_an_unknown_model_suggests_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(
        UnknownModel, match=rf"model '{name}' is not in the registry: did you mean '{near}'\? known are"
    ):
        REGISTRY.entry(name)


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(UnknownModel, match=r"'zzz' is not in the registry: known are .*embedded"):
        REGISTRY.entry("zzz")


@pytest.mark.parametrize("entry", REGISTRY.entries(), ids=lambda entry: entry.name)
def test_the_defaults_of_every_model_make_a_row(entry: ModelEntry) -> None:
    resolved = resolve(ManifestRow(video_id="a", prompt="x"), entry)
    assert set(entry.defaults) <= resolved.model_fields_set


def test_the_embedded_model_ships_with_the_package() -> None:
    entry = REGISTRY.entry("embedded")
    files = [entry.vqgan.weights_path, *(perceptor.weights_path for perceptor in entry.perceptors)]
    assert entry.size_bytes == sum(path.stat().st_size for path in files)
    assert [sha256(path) for path in files] == [entry.vqgan.sha256, entry.perceptors[0].sha256]


@pytest.mark.parametrize("text", ["name: [", "name: x", "just text", "", "- 1"])
def test_a_broken_registry_file_is_reported_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ModelFilesBroken, match=r"registry file '.*mine.yaml' is not a model entry"):
        REGISTRY.read(path)


def test_a_misspelt_field_of_an_entry_is_refused(tmp_path: Path, entry: ModelEntry) -> None:
    data = entry.model_dump(mode="json") | {"name": "mine"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    assert REGISTRY.read(path) == entry.model_copy(update={"name": "mine"})
    path.write_text(yaml.safe_dump({**data, "concept": []}))
    with pytest.raises(ModelFilesBroken, match="concept"):
        REGISTRY.read(path)


def test_the_digest_covers_configs_and_merges(tmp_path: Path) -> None:
    entry = write_model(tmp_path)
    (tmp_path / "merges.gz").write_bytes(b"some merges")
    data = entry.model_dump()
    with_merges = ModelEntry.model_validate(data | {"perceptors": [data["perceptors"][0] | {"merges": "merges.gz"}]})
    seen = {entry.digest, with_merges.digest}
    (tmp_path / "merges.gz").write_bytes(b"other merges")
    seen.add(with_merges.digest)
    for name in ("open_clip_config.json", "vqgan.yaml"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
        seen.add(with_merges.digest)
    assert len(seen) == 5
    shutil.rmtree(tmp_path)
    with pytest.raises(ModelFilesBroken, match="a file of model 'random' can't be read"):
        _ = with_merges.digest
