"""Hostile checkpoints and configs cost little memory and time, and are refused in few words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from renderers.checksums import file_sha256
from renderers.config_file import read_json_config
from renderers.errors import ModelFilesBroken
from renderers.models.adding import add_model
from renderers.models.checkpoint.conversion import convert_state
from renderers.models.checkpoint.reading import open_checkpoint
from renderers.models.vqgan.vqgan import VQGANConfig
from renderers.registry import Registry, shipped_configs
from tests.helpers import hostile_models
from tests.helpers.checkpoints import save_program
from tests.helpers.limited import cost_of, count_for_ever

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured by Linux")

MEMORY = 400 * 2**20
SECONDS = 30  # of a processor; none takes half of it

REPEATING = {name: rest for name, *rest in hostile_models.repeating_programs()}
COLLIDING = {name: rest for name, *rest in hostile_models.colliding_programs()}
LARGE = {name: rest for name, *rest in hostile_models.large_programs()}
CONFIGS = {name: rest for name, *rest in hostile_models.configs()}


def read_all(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        kept = {key: checkpoint.read(ref) for key, ref in checkpoint.tensors().items()}
    assert kept


def read_config(path: Path) -> None:
    VQGANConfig.read(path)


def refused(message: str, read: Callable[[Path], object], path: Path, memory: int = MEMORY) -> None:
    """Assert that `read` refuses `path` with `message`, cheaply and in few words."""
    cost = cost_of(read, path, memory=memory, seconds=SECONDS)
    assert cost.error in ("CheckpointUnsafe", "ModelFilesBroken"), cost
    assert message in cost.said
    assert len(cost.said) < 700
    assert cost.memory < memory


@pytest.mark.parametrize("name", REPEATING | COLLIDING)
def test_what_a_pickle_repeats_is_built_once(tmp_path: Path, name: str) -> None:
    program, message = (REPEATING | COLLIDING)[name]
    save_program(tmp_path / "bomb.ckpt", program)
    assert (tmp_path / "bomb.ckpt").stat().st_size < 5_000_000
    refused(message, read_all, tmp_path / "bomb.ckpt")


@pytest.mark.parametrize("name", LARGE)
def test_a_large_pickle_is_bounded(tmp_path: Path, name: str) -> None:
    program, message = LARGE[name]
    save_program(tmp_path / "large.ckpt", program, legacy=True)  # the zip tells its length beforehand
    refused(message, read_all, tmp_path / "large.ckpt")


def test_a_pickle_that_is_too_long_is_not_even_read_from_a_zip(tmp_path: Path) -> None:
    save_program(tmp_path / "large.ckpt", b"}" * 40 * 2**20)
    refused("41,943,040 bytes: too many for a list of tensors", read_all, tmp_path / "large.ckpt", memory=2**24)


def test_tensors_that_share_their_numbers_unfold_to_some_times_the_file(tmp_path: Path) -> None:
    hostile_models.save_sharing(tmp_path / "one.ckpt", 2_000)
    refused("share numbers, and unfold to more than 4 times", read_all, tmp_path / "one.ckpt")
    hostile_models.save_slices(tmp_path / "two.ckpt", 40_000)
    refused("share numbers, and unfold to more than 4 times", read_all, tmp_path / "two.ckpt")
    # as weights that are tied do, and parts of one flat vector
    flat = torch.arange(600_000.0)
    state = {f"w{place}": flat[place * 1_000 : (place + 1) * 1_000] for place in range(600)}
    tied = torch.ones(4_000_000)
    torch.save(state | {"in": tied, "out": tied}, tmp_path / "fine.ckpt")
    read_all(tmp_path / "fine.ckpt")


def test_a_zip_of_many_members_is_refused(tmp_path: Path) -> None:
    hostile_models.save_members(tmp_path / "many.ckpt", 1_000_000)
    refused("its list of members has 54,000,000 bytes, and may have 8,388,608", read_all, tmp_path / "many.ckpt")
    hostile_models.save_members(tmp_path / "many.ckpt", 100_000)
    refused("not as torch.save writes it", read_all, tmp_path / "many.ckpt")


def test_a_legacy_list_of_storages_holds_texts(tmp_path: Path) -> None:
    hostile_models.save_key_of_tuples(tmp_path / "old.ckpt")
    refused("lists a storage that no tensor has", read_all, tmp_path / "old.ckpt")


def test_a_checkpoint_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    for path in (tmp_path / "pipe.ckpt", Path("/dev/zero"), tmp_path):
        for read in (read_all, read_config):
            with pytest.raises(ModelFilesBroken, match="it is no regular file"):
                read(path)
        with pytest.raises(ModelFilesBroken, match="no regular file"):
            convert_state(path, tmp_path / "made.safetensors")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_bounded(tmp_path: Path, name: str) -> None:
    content, message = CONFIGS[name]
    (tmp_path / "model.yaml").write_text(content)
    refused(message, read_config, tmp_path / "model.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, "nested more than 50 levels deep"),
        (b'{"model_cfg": ' + b"[" * 60 + b"]" * 60 + b"}", "nested more than 50 levels deep"),
        (b'{"model_cfg": ' + b"9" * 100_000 + b"}", "Exceeds the limit"),
        (b'{"model_cfg": {"vision_cfg": {"layers": 1000000000}}}', "the number 1000000000, and may have 1,000,000"),
        (b'{"model_cfg": {"embed_dim": 1e999}}', "it has the number inf"),
        (b'{"model_cfg": {"embed_dim": NaN}}', "it has the number NaN"),
        (b'{"model_cfg": [' + b"0," * 20_000 + b"0]}", "more than 10,000 values"),
        (b'{"model_cfg": "' + b"x" * 300_000 + b'"}', "more than 262,144 bytes"),
        (b"\xff\xfe{}", "can't decode byte"), (b"[]", "no block with names"), (b"", "Expecting value"),
    ],
)  # fmt: skip
def test_a_json_config_is_bounded(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "open_clip_config.json").write_bytes(content)
    refused(message, read_json_config, tmp_path / "open_clip_config.json")


def test_the_folder_of_a_perceptor_is_looked_at_before_it_is_added(tmp_path: Path) -> None:
    config, weights = tmp_path / "open_clip_config.json", tmp_path / "open_clip_model.safetensors"
    registry = Registry(tmp_path / "models")

    def add(message: str, *perceptors: str) -> None:
        with pytest.raises(ModelFilesBroken, match=message):
            add_model(registry, "mine", like="embedded", perceptors=perceptors)

    config.write_text("{}")
    add("it lacks model_cfg", str(tmp_path))
    config.write_text('{"model_cfg": {}}')
    add("its model_cfg lacks vision_cfg", str(tmp_path))
    config.write_text('{"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}')
    os.mkfifo(weights)
    add("no regular file", str(tmp_path))
    with pytest.raises(ModelFilesBroken, match="no regular file"):
        file_sha256(weights)
    weights.unlink()
    for head in (b"", b"x" * 100, (2**62).to_bytes(8, "little") + b"{}", (2**20).to_bytes(8, "little") + b"[" * 2**20):
        weights.write_bytes(head)
        add("can't be read", str(tmp_path))
        add("can't be read", f"ViT-B-32:{weights}")
    config.unlink()
    os.mkfifo(config)
    add("no regular file", str(tmp_path))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_what_is_no_checkpoint_is_not_hashed_to_its_end(tmp_path: Path, suffix: str) -> None:
    """A terabyte that takes no room on the disk was read to its end first."""
    weights = tmp_path / f"w{suffix}"
    weights.touch()
    os.truncate(weights, 10**12)
    config = str(next(iter(shipped_configs().values())))
    with pytest.raises(ModelFilesBroken, match="can't be read"):
        add_model(Registry(tmp_path / "models"), "mine", like="embedded", config=config, weights=weights)


def test_the_limits_are_real(tmp_path: Path) -> None:
    """What builds as much as it is made to fails under them."""
    cost = cost_of(bytearray, 2 * MEMORY, memory=MEMORY, seconds=SECONDS)
    assert cost.error == "MemoryError"
    assert cost_of(bytearray, MEMORY // 2, memory=MEMORY, seconds=SECONDS).error is None
    with pytest.raises(AssertionError, match="longer than 1 s"):
        cost_of(count_for_ever, memory=MEMORY, seconds=1)
