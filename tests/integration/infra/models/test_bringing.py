"""Published models: from a real S3 server into the folder of a machine, once, whole, by however many processes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.models.bringing import SMALL, bring_entries, bring_model
from infra.models.published import FETCHING, PublishedFile, content_key, publish, published, published_names
from infra.storage.storage import Storage
from renderers.errors import BadInput, FetchFailed, ModelFilesBroken
from renderers.models import load_models
from renderers.registry import Registry
from tests.helpers.random_model import write_model
from tests.helpers.root import ROOT

# Says how many bytes came with each piece, and waits for a word after each if it is told to.
BRING = """
import sys
from pathlib import Path
from infra.models.bringing import bring_model
from renderers.registry import Registry

def on_piece(size):
    print(size, flush=True)
    if len(sys.argv) > 4:
        sys.stdin.readline()

print("ready", flush=True)
sys.stdin.readline()
bring_model(Registry(Path(sys.argv[1])), sys.argv[2], sys.argv[3], on_piece=on_piece)
"""


@pytest.fixture
def source(s3_root: str) -> str:
    return s3_root.replace("/out", "/models")


def registered(folder: Path) -> Registry:
    """A models folder with a model of one's own, `mine`."""
    (folder / "made").mkdir(parents=True)
    registry = Registry(folder / "models")
    registry.register(write_model(folder / "made"), "mine")
    return registry


def put_model(source: str, name: str, contents: dict[str, bytes]) -> list[PublishedFile]:
    """Publish files that are no model, of any size: what is fetched is not looked into."""
    storage, files = Storage(source), []
    for path, data in contents.items():
        files.append(PublishedFile(path, hashlib.sha256(data).hexdigest(), len(data)))
        storage.put(content_key(files[-1].sha256), data)
    listed = {"format": 1, "name": name, "digest": "0" * 64, "files": [vars(file) for file in files]}
    storage.put(f"models/{name}.json", json.dumps(listed).encode(), existing="replace")
    return files


def bringing(folder: Path, source: str, name: str, *more: str) -> subprocess.Popen[str]:
    """A process that is about to bring a model: it does once a line is written to it."""
    command = [sys.executable, "-c", BRING, str(folder), source, name, *more]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_model_is_published_and_renders_elsewhere(source: str, tmp_path: Path) -> None:
    here, there = registered(tmp_path / "here"), Registry(tmp_path / "there" / "models")
    entry = here.entry("mine")
    model = publish(here, entry, Storage(source))
    assert model.files[-1].path == "mine.yaml"  # its entry last
    assert published_names(Storage(source)) == ("mine",)
    assert published(Storage(source), "mine") == model

    assert bring_model(there, source, "mine")
    assert there.entry("mine").digest == entry.digest == model.digest
    assert load_models(there.entry("mine"), device="cpu").vqgan.config == load_models(entry, device="cpu").vqgan.config
    assert not list((there.folder / FETCHING).glob("*.part"))
    assert not bring_model(there, source, "nobody")
    assert not bring_model(there, source, "embedded")  # it comes with the package
    with pytest.raises(BadInput, match="comes with the package"):
        publish(here, here.entry("embedded"), Storage(source))


def test_processes_that_start_at_once_fetch_each_file_once(source: str, tmp_path: Path) -> None:
    contents = {"big/weights.safetensors": bytes(3 * SMALL) + b"end", "big/vqgan.yaml": b"config", "big.yaml": b"entry"}
    put_model(source, "big", contents)
    folder = tmp_path / "models"
    processes = [bringing(folder, source, "big") for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=240)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(map(int, [size for sizes in said for size in sizes])) == sum(map(len, contents.values()))
    assert {path: (folder / path).read_bytes() for path in contents} == contents


def test_a_killed_process_leaves_nothing_half_there_and_the_next_goes_on(source: str, tmp_path: Path) -> None:
    contents = {"big/weights.safetensors": bytes(2 * SMALL) + b"end", "big.yaml": b"entry"}
    weights, _ = put_model(source, "big", contents)
    folder, target = tmp_path / "models", tmp_path / "models" / weights.path
    process = bringing(folder, source, "big", "wait")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    first = int(process.stdout.readline())
    process.kill()
    process.communicate()
    assert first < weights.size
    assert not target.exists()
    assert not (folder / "big.yaml").exists()  # no registry knows a model that is not whole

    sizes: list[int] = []
    assert bring_model(Registry(folder), source, "big", on_piece=sizes.append)
    # what lies there may be less than what was said: the rest of its buffer went with the process
    assert sum(sizes) < sum(map(len, contents.values()))
    assert target.read_bytes() == contents[weights.path]


def test_what_is_damaged_is_fetched_again(source: str, tmp_path: Path) -> None:
    weights, _ = put_model(source, "big", {"big/weights.safetensors": b"right" * 100, "big.yaml": b"entry"})
    registry = Registry(tmp_path / "models")
    part = registry.folder / FETCHING / f"{weights.sha256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"wrong")  # of a disk that was full, say
    bring_model(registry, source, "big")
    target = registry.folder / weights.path
    assert target.read_bytes() == b"right" * 100
    target.write_bytes(b"wrong" * 100)
    bring_model(registry, source, "big")
    assert target.read_bytes() == b"right" * 100

    Storage(source).put(content_key(weights.sha256), b"WRONG" * 100, existing="replace")
    target.unlink()
    with pytest.raises(FetchFailed, match="is damaged"):
        bring_model(registry, source, "big")
    assert not target.exists()


def test_planning_fetches_what_is_small_and_leaves_the_weights(source: str, tmp_path: Path) -> None:
    put_model(source, "big", {"big/weights.safetensors": bytes(SMALL + 1), "big/vqgan.yaml": b"c", "big.yaml": b"e"})
    registry = Registry(tmp_path / "models")
    bring_entries(registry, source)
    assert (registry.folder / "big.yaml").read_bytes() == b"e"
    assert not (registry.folder / "big" / "weights.safetensors").exists()
    bring_entries(registry, None)  # nowhere to fetch from: nothing to do


def test_a_model_of_ones_own_is_not_replaced_unasked(source: str, tmp_path: Path) -> None:
    put_model(source, "mine", {"mine/vqgan.yaml": b"theirs", "mine.yaml": b"theirs"})
    registry = Registry(tmp_path / "models")
    registry.folder.mkdir()
    (registry.folder / "mine.yaml").write_bytes(b"ours")
    with pytest.raises(ModelFilesBroken, match="another model 'mine' than the published one"):
        bring_model(registry, source, "mine")
    assert (registry.folder / "mine.yaml").read_bytes() == b"ours"
    # what was fetched is replaced by what was published since
    (registry.folder / "mine.yaml").unlink()
    bring_model(registry, source, "mine")
    put_model(source, "mine", {"mine/vqgan.yaml": b"newer", "mine.yaml": b"newer"})
    bring_model(registry, source, "mine")
    assert (registry.folder / "mine.yaml").read_bytes() == b"newer"


@pytest.mark.parametrize("path", ["mine.yaml", "mine/vqgan.safetensors", "notes.txt"])
def test_another_models_list_replaces_nothing_of_ones_own(source: str, tmp_path: Path, path: str) -> None:
    put_model(source, "evil", {path: b"theirs", "evil.yaml": b"entry"})
    registry = Registry(tmp_path / "models")
    ours = registry.folder / path
    ours.parent.mkdir(parents=True)
    ours.write_bytes(b"ours")
    with pytest.raises(ModelFilesBroken, match=f"published model 'evil' has a file '{path}', but .* was not fetched"):
        bring_model(registry, source, "evil")
    assert ours.read_bytes() == b"ours"
    assert not (registry.folder / "evil.yaml").exists()
    # what is the same is nobody's alone, and a later list may say more of it
    ours.write_bytes(b"theirs")
    bring_model(registry, source, "evil")
    put_model(source, "evil", {path: b"newer", "evil.yaml": b"entry"})
    bring_model(registry, source, "evil")
    assert ours.read_bytes() == b"newer"


@pytest.mark.parametrize(
    "path", ["../out.yaml", "/etc/x", "a/../../x", "", ".nightreel-x/\x00", ".fetching/mine.digest"]
)
def test_a_list_names_files_of_a_models_folder_only(source: str, tmp_path: Path, path: str) -> None:
    listed = {"format": 1, "name": "x", "digest": "", "files": [{"path": path, "sha256": "0" * 64, "size": 1}]}
    Storage(source).put("models/x.json", json.dumps(listed).encode())
    with pytest.raises(ModelFilesBroken, match="no list of a model's files"):
        bring_model(Registry(tmp_path / "models"), source, "x")
