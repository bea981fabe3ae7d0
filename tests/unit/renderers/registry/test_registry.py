from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from manifests.schema import ManifestRow
from renderers.errors import ModelFilesBroken, UnknownModel
from renderers.frame_plan.resolution import resolve
from renderers.registry import ModelEntry, Registry
from tests.helpers.hostile_models import configs
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


@pytest.mark.parametrize(
    "text",
    [
        "name: [", "name: x", "just text", "", "- 1", "{1: 2, name: mine}", "{[1]: 2}", "name: 2026-02-31",
        "[" * 100_000, "a: " + "x" * 2**20,
        *(f"{{name: mine, like: embedded, summary: s, licence: l, {wrong}}}" for wrong in (
            "downsampling: 0", "size_bytes: -1", f"size_bytes: {10**400}", "seconds_per_step: .inf",
            "seconds_per_step: .nan", "defaults: {init_image: a.png}",
            f'vqgan: {{config: "a\\0b", weights: w, sha256: {"0" * 64}}}',
            f'perceptors: [{{folder: p, sha256: {"0" * 64}, merges: "a\\0b"}}]',
        )),
        "&a {name: mine, like: *a}", "{name: mine, like: mine}", "{name: mine, like: ../mine}",
        "{name: mine, like: nobody}", '{name: mine, like: "a\\0b"}', "{name: mine, like: [embedded]}",
        "{name: mine, like: embedded, vqgan: {source: {checkpoint: {urls: ['http://u:Pl4nted@h/x'], sha256: x}}}}",
        *(text for name, text, _ in configs() if name != "a date that is none"),
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_a_broken_registry_file_is_reported_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    began = time.process_time()
    registry = Registry(tmp_path)
    with pytest.raises(ModelFilesBroken, match=r"'.*mine.yaml' is not a model entry") as caught:
        registry.entry("mine")
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 1000
    assert "Pl4nted" not in str(caught.value)
    broken: list[ModelFilesBroken] = []
    assert len(registry.entries(broken.append)) == len(REGISTRY.entries())
    assert len(broken) == 1


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
@pytest.mark.parametrize("name", ["mine.yaml", "vqgan.yaml", "open_clip_config.json", "merges.gz"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    data = write_model(tmp_path).model_dump(mode="json")
    (tmp_path / "merges.gz").write_bytes(b"some merges")
    perceptor = data["perceptors"][0] | {"merges": "merges.gz"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data | {"name": "mine", "perceptors": [perceptor]}))
    (tmp_path / name).unlink()
    make(tmp_path / name)
    with pytest.raises(ModelFilesBroken, match=r"can't be read|is not a model entry"):
        _ = Registry(tmp_path).entry("mine").digest


def test_a_long_line_of_entries_that_are_like_each_other_is_refused(tmp_path: Path) -> None:
    for number in range(400):
        text = f"{{name: m{number}, like: m{number + 1}, summary: s, licence: l}}"
        (tmp_path / f"m{number}.yaml").write_text(text)
    with pytest.raises(ModelFilesBroken, match="20 times"):
        Registry(tmp_path).entry("m0")


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
