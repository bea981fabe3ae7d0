"""`nightreel models fetch` and `verify` against a real server: from an entry to a picture, and every way to fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT
from renderers.errors import FetchFailed, ModelFilesBroken
from renderers.models import load_models
from renderers.registry import Registry
from tests.helpers.command_line import Said
from tests.integration.flows.models.conftest import Published

Command = Callable[..., Said]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "reef").iterdir()) if (folder / "reef").exists() else []


FETCHED = ["vqgan.ckpt", "vqgan.json", "vqgan.safetensors", "vqgan.yaml"]


def test_a_model_is_fetched_converted_verified_and_draws(
    nightreel: Command, entry_file: Path, folder: Path, published: Published, tmp_path: Path, registry: Registry
) -> None:
    before = registry.entry("reef").digest  # known before a byte of it is here
    with pytest.raises(FetchFailed, match=r"model 'reef' is not fetched: run `nightreel models fetch reef`\. Where"):
        load_models(registry.entry("reef"), device="cpu")
    assert nightreel("models", "verify", "reef").code == ENVIRONMENT
    assert "reef" not in nightreel("models", "verify").out  # never fetched: no fault

    said = nightreel("models", "fetch", "reef")

    assert (said.code, files(folder)) == (DONE, FETCHED)
    assert f"ready in '{folder}': reef" in said.out
    assert (folder / "reef" / "vqgan.ckpt").read_bytes() == published.checkpoint
    assert nightreel("models", "verify", "reef").code == DONE
    assert nightreel("models", "list", "--json").code == DONE
    asked = len(published.server.requests)
    assert nightreel("models", "fetch", "reef").code == DONE
    assert len(published.server.requests) == asked  # all was here
    assert registry.entry("reef").digest == before
    said = nightreel("preview", "a reef", "--model", "reef", "-o", tmp_path / "reef.png", "--json")
    assert said.code == DONE, said.err
    assert json.loads(said.out)["steps"] == 2
    with Image.open(tmp_path / "reef.png") as drawn:
        assert drawn.size == (32, 32)


def test_a_converted_model_does_without_its_checkpoint(nightreel: Command, entry_file: Path, folder: Path) -> None:
    assert nightreel("models", "fetch", "reef", "--discard").code == DONE
    assert files(folder) == [name for name in FETCHED if name != "vqgan.ckpt"]
    assert nightreel("models", "verify", "reef").code == DONE
    assert nightreel("models", "fetch", "reef").code == DONE
    assert "vqgan.ckpt" not in files(folder)


def test_a_machine_without_a_network_is_reported_what_to_put_where(
    nightreel: Command, entry_file: Path, folder: Path, published: Published
) -> None:
    held = dict(published.server.files)
    published.server.files.clear()
    said = nightreel("models", "fetch", "reef")
    assert said.code == ENVIRONMENT
    source = published.source()
    for name, file in (("vqgan.ckpt", source["checkpoint"]), ("vqgan.yaml", source["config"])):
        assert f"put {file['urls'][0]} as" in said.err or f"and {file['urls'][0]} as" in said.err
        assert f"as '{folder / 'reef' / name}' (SHA-256 {file['sha256']})" in said.err
    assert "answers 404" in said.err
    # done by hand, as the message says, the command needs no network
    (folder / "reef").mkdir(exist_ok=True)
    (folder / "reef" / "vqgan.ckpt").write_bytes(held["/last.ckpt"])
    (folder / "reef" / "vqgan.yaml").write_bytes(held["/model.yaml"])
    published.server.requests.clear()
    assert nightreel("models", "fetch", "reef").code == DONE
    assert published.server.requests == []
    assert nightreel("models", "verify", "reef").code == DONE


@pytest.mark.parametrize("how", ["truncated", "wrong", "missing"])
def test_what_did_not_come_whole_never_becomes_a_model(
    nightreel: Command, entry_file: Path, folder: Path, published: Published, how: str, registry: Registry
) -> None:
    whole = published.server.files["/last.ckpt"]
    if how == "truncated":
        published.server.length = False  # nothing but the checksum can tell
        published.server.files["/last.ckpt"] = whole[:-100]
    elif how == "wrong":
        published.server.files["/last.ckpt"] = whole[:-1] + b"!"
    else:
        del published.server.files["/last.ckpt"]
    said = nightreel("models", "fetch", "reef")
    assert said.code == ENVIRONMENT
    assert "Traceback" not in said.err
    assert files(folder) == ["vqgan.yaml"]
    with pytest.raises(FetchFailed):
        load_models(registry.entry("reef"), device="cpu")
    published.server.files["/last.ckpt"] = whole
    published.server.length = True
    assert nightreel("models", "fetch", "reef").code == DONE
    load_models(registry.entry("reef"), device="cpu")


def test_a_published_checkpoint_that_tries_to_run_code_is_refused(
    nightreel: Command, entry_file: Path, folder: Path, published: Published, tmp_path: Path, registry: Registry
) -> None:
    """The checksum is right: somebody put the attack into the very file that the registry vouches for."""
    import hashlib
    import os
    import pickle

    import yaml

    from tests.helpers.checkpoints import Calls, save_program

    marker = tmp_path / "marker"
    save_program(tmp_path / "hostile.ckpt", pickle.dumps({"state_dict": Calls(os.system, f"touch {marker}")}, 2))
    data = (tmp_path / "hostile.ckpt").read_bytes()
    published.server.files["/last.ckpt"] = data
    entry = yaml.safe_load(entry_file.read_text())
    entry["vqgan"]["source"]["checkpoint"]["sha256"] = hashlib.sha256(data).hexdigest()
    entry_file.write_text(yaml.safe_dump(entry))
    said = nightreel("models", "fetch", "reef")
    assert said.code == ENVIRONMENT
    assert "'posix.system'" in said.err
    assert "nothing of it was run" in said.err
    assert not marker.exists()
    assert files(folder) == ["vqgan.ckpt", "vqgan.yaml"]


def test_damage_is_found_and_repaired(nightreel: Command, entry_file: Path, folder: Path, registry: Registry) -> None:
    assert nightreel("models", "fetch", "reef").code == DONE
    for name in ("vqgan.safetensors", "vqgan.yaml", "vqgan.ckpt", "vqgan.json"):
        path = folder / "reef" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x11
        path.write_bytes(bytes(data))
        said = nightreel("models", "verify", "reef")
        assert said.code == ENVIRONMENT, name
        assert "damaged" in said.out
        if name != "vqgan.ckpt":
            with pytest.raises(ModelFilesBroken):
                load_models(registry.entry("reef"), device="cpu")
        if name == "vqgan.ckpt":
            path.unlink()  # a converted model does not miss it
        assert nightreel("models", "fetch", "reef").code == DONE
        assert nightreel("models", "verify", "reef").code == DONE
        load_models(registry.entry("reef"), device="cpu")


def test_an_entry_that_calls_the_model_by_another_kind_is_reported(
    nightreel: Command, entry_file: Path, folder: Path
) -> None:
    entry_file.write_text(entry_file.read_text().replace("kind: gumbel", "kind: vqgan"))
    said = nightreel("models", "fetch", "reef")
    assert said.code == ENVIRONMENT
    assert "calls model 'reef' a vqgan of 4 pixels per token" in said.err
    assert "vqgan.safetensors" not in files(folder)


def test_mistakes_are_reported(nightreel: Command, folder: Path) -> None:
    assert nightreel("models", "fetch").code == BAD_INPUT
    said = nightreel("models", "fetch", "imagenet")
    assert (said.code, "did you mean 'imagenet-f16-16384'" in said.err) == (BAD_INPUT, True)
    assert nightreel("models", "fetch", "embedded").code == DONE  # nothing to do
    folder.mkdir()
    (folder / "broken.yaml").write_text("name: [")
    said = nightreel("models", "list")
    assert (said.code, "broken.yaml" in said.err, "embedded" in said.out) == (DONE, True, True)
    assert nightreel("models", "verify").code == ENVIRONMENT
