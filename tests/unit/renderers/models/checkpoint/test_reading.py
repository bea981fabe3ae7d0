"""Checkpoints of every layout are read; hostile ones run nothing and are named."""

from __future__ import annotations

import builtins
import os
import pickle
import posix
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.reading import open_checkpoint
from tests.helpers.checkpoints import Calls, save_lightning, save_program, storage_program, text

LAYOUTS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    whole = torch.randn(4, 6)
    return {
        "a": torch.randn(3, 2),
        "half": torch.randn(5).half(),
        "bf16": torch.randn(5).bfloat16(),
        "whole": torch.arange(7),
        "scalar": torch.tensor(3.5),
        "none": torch.empty(0, 3),
        "turned": whole.t(),
        "part": whole[1:3, 2:4],
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "bool": torch.tensor([True, False]),
    }


def read_all(path: Path) -> dict[str, torch.Tensor]:
    with open_checkpoint(path) as checkpoint:
        return {key: checkpoint.read(ref) for key, ref in checkpoint.tensors().items()}


@LAYOUTS
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_lightning_checkpoint_gives_its_tensors(tmp_path: Path, legacy: bool, protocol: int) -> None:
    save_lightning(tmp_path / "last.ckpt", state(), legacy=legacy, protocol=protocol)
    with pytest.raises(pickle.UnpicklingError):  # else there were no need for this reader
        torch.load(tmp_path / "last.ckpt", weights_only=True)
    found = read_all(tmp_path / "last.ckpt")
    assert found.keys() == state().keys()
    for key, value in state().items():
        assert torch.equal(found[key], value.detach()), key
        assert found[key].dtype == value.dtype
        assert found[key].is_contiguous()
    assert not any(name.startswith(("pytorch_lightning", "omegaconf")) for name in sys.modules)


@LAYOUTS
def test_a_bare_state_dict_is_one_too(tmp_path: Path, legacy: bool) -> None:
    torch.save(state(), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    assert read_all(tmp_path / "w.pt").keys() == state().keys()


def test_the_module_state_dict_with_its_metadata_is_one_too(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "w.ckpt")
    found = read_all(tmp_path / "w.ckpt")
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items())


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """A damaged optimiser state is nobody's business; a damaged weight is an error."""
    path = tmp_path / "last.ckpt"
    save_lightning(path, {"a": torch.full((64,), 1.25), "b": torch.full((64,), 2.5)})
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<f", 2.5) * 8)] ^= 1
    path.write_bytes(bytes(data))
    with open_checkpoint(path) as checkpoint:
        refs = checkpoint.tensors()
        assert checkpoint.read(refs["a"])[0] == 1.25
    with pytest.raises(ModelFilesBroken, match="damaged: Bad CRC"):
        read_all(path)


# --- hostile ----------------------------------------------------------------------------------------------------------


def attempts(marker: Path) -> dict[str, bytes]:
    """Programs that would make `marker` if any part of them were run, by the way they go about it."""
    touch = f"touch {marker}"
    python = f"open({str(marker)!r}, 'w').close()"
    command = text(touch)
    reduces: dict[str, Any] = {
        "os.system": Calls(os.system, touch),
        "eval": Calls(builtins.eval, python.replace("open", "__import__('io').open")),
        "exec": Calls(builtins.exec, python),
        "popen": Calls(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "open": Calls(open, str(marker), "w"),
        "path": Calls(Path.touch, marker),
        "torch.load": Calls(torch.load, str(marker)),
        "in the state dict": {"state_dict": {"w": Calls(os.system, touch)}},
        "in a callback": {"callbacks": [Calls(os.system, touch)], "state_dict": {}},
        "map": Calls(list, Calls(map, os.system, [touch])),
    }
    programs = {name: pickle.dumps(value, 2) for name, value in reduces.items()}
    programs |= {f"{name}, protocol 4": pickle.dumps(value, 4) for name, value in reduces.items()}
    programs |= {f"{name}, protocol 0": pickle.dumps(value, 0) for name, value in reduces.items()}
    hand: dict[str, bytes] = {
        "INST": b"(" + command + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + command + b"o.",
        "NEWOBJ": b"cposix\nsystem\n" + command + b"\x85\x81.",
        "NEWOBJ of Popen": b"csubprocess\nPopen\n](X\x05\x00\x00\x00touch" + text(str(marker)) + b"e\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n]" + text("touch") + b"a\x85}\x92.",
        "by way of torch.serialization": b"ctorch.serialization\nos.system\n" + command + b"\x85R.",
        "by way of a module of torch's": b"\x80\x04" + text("torch.nn.modules") + text("os.system") + b"\x93"
        + command + b"\x85R.",
        "by way of numpy": b"cnumpy.testing._private.utils\nos\n.",
        "by way of Lightning": b"\x80\x04" + text("pytorch_lightning.trainer") + text("os.system") + b"\x93"
        + command + b"\x85R.",
        "by way of dunders": b"\x80\x04" + text("torch") + text("Tensor.__init__.__globals__") + b"\x93" + b".",
        "names with a space": b"ctorch.serialization os\nsystem\n" + command + b"\x85R.",
        "a name from the stack": b"\x80\x04" + text("posix") + text("system") + b"\x93" + command + b"\x85R.",
        # __setstate__: first give a class the wrong one, then build an object of it
        "BUILD on a class": b"cargparse\nNamespace\n}" + text("__setstate__") + b"cposix\nsystem\nsb.",
        "BUILD on a class, slots": b"cargparse\nNamespace\nN}" + text("__setstate__") + b"Ns\x86b.",
        "BUILD on an object": b"cargparse\nNamespace\n)\x81}" + text("__setstate__") + b"cposix\nsystem\nsb" + command
        + b"b.",
        "a call of what was built": b"cargparse\nNamespace\n)\x81" + command + b"\x85R.",
        "a call of a text": text("os.system") + command + b"\x85R.",
        "a class of nobody's": b"cevil.module\nRun\n" + command + b"\x85R.",
        "EXT1": b"\x80\x02\x82\x01.",
        "PERSID": b"P" + touch.encode() + b"\n.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 4) + b"abcd.",
    }  # fmt: skip
    return programs | hand


@LAYOUTS
@pytest.mark.parametrize("name", sorted(attempts(Path("x"))))
def test_a_checkpoint_that_tries_to_run_code_does_not(tmp_path: Path, name: str, legacy: bool) -> None:
    marker = tmp_path / "marker"
    program = attempts(marker)[name]
    save_program(tmp_path / "hostile.ckpt", program, legacy=legacy)
    with pytest.raises(CheckpointUnsafe, match=r"hostile\.ckpt' is refused, and nothing of it was run: it "):
        read_all(tmp_path / "hostile.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "exec", "popen", "open", "INST", "OBJ", "map"])
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    """Python's own unpickler falls for them: run in a process of its own, the marker appears."""
    marker = tmp_path / "marker"
    (tmp_path / "program").write_bytes(attempts(marker)[name])
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "program")], check=False, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 5  # Popen does not wait
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert marker.exists()


def test_the_error_names_what_was_tried(tmp_path: Path) -> None:
    save_program(tmp_path / "hostile.ckpt", pickle.dumps(Calls(posix.system, "true"), 2))
    with pytest.raises(CheckpointUnsafe, match=r"'posix\.system', which no checkpoint needs: it tries to run code"):
        read_all(tmp_path / "hostile.ckpt")


# --- malformed --------------------------------------------------------------------------------------------------------

FLOATS = struct.pack("<2f", 1.5, 2.5)


@pytest.mark.parametrize(
    "identifier",
    [
        None.__class__, "storage", 7, (), ("storage",), ("module", torch.FloatStorage, "0", "cpu", 2),
        ("storage", torch.FloatStorage, "../../x", "cpu", 2), ("storage", torch.FloatStorage, "a/b", "cpu", 2),
        ("storage", torch.FloatStorage, 0, "cpu", 2), ("storage", torch.FloatStorage, "0", "cpu", -2),
        ("storage", torch.FloatStorage, "0", "cpu", 2.0), ("storage", torch.nn.Linear, "0", "cpu", 2),
        ("storage", "FloatStorage", "0", "cpu", 2), ["storage", torch.FloatStorage, "0", "cpu", 2],
    ],
)  # fmt: skip
def test_a_persistent_id_that_is_no_storage_is_refused(tmp_path: Path, identifier: Any) -> None:
    save_program(tmp_path / "odd.ckpt", storage_program(identifier), files={"archive/data/0": FLOATS})
    with pytest.raises(ModelFilesBroken, match=r"odd.ckpt' (can't be read|is refused)"):
        read_all(tmp_path / "odd.ckpt")


def storage(numel: int) -> tuple[Any, ...]:
    return ("storage", torch.FloatStorage, "0", "cpu", numel)


def test_a_storage_by_hand_is_read(tmp_path: Path) -> None:
    """The programs of these tests are no others than torch's, but for what each spoils."""
    save_program(tmp_path / "good.ckpt", storage_program(storage(2)), files={"archive/data/0": FLOATS})
    assert read_all(tmp_path / "good.ckpt")["w"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (storage_program(storage(10**12)), "has 8 bytes, and should have 4,000,000,000,000"),
        (storage_program(storage(2), shape=(10**9, 10**9), stride=(0, 0)), "does not fit its storage"),
        (storage_program(storage(2), shape=(3,)), "does not fit its storage"),
        (storage_program(storage(2), shape=(2,), stride=(2,)), "does not fit its storage"),
        (storage_program(storage(2), shape=(-1,)), "a shape that is none"),
        (storage_program(storage(2), shape=(2, 1)), "not described as torch does"),
        (storage_program(storage(2), shape=(2.0,)), "a shape that is none"),  # type: ignore[arg-type]
        (storage_program(storage(2), shape=("x",)), "a shape that is none"),  # type: ignore[arg-type]
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.", "not a pickle"),
        (b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.", "not a pickle"),
        (b"B" + struct.pack("<I", 2**32 - 1) + b"abc.", "not a pickle"),
        (b"", "not a pickle"),
        (b"\xff\xff", "not a pickle"),
        (b"}", "not a pickle"),
        (b"R.", "makes no sense"),
        (b"h\x07.", "makes no sense"),
        (b"0.", "makes no sense"),
        (b"(.", "makes no sense"),
        (b"K\x01K\x02e.", "makes no sense"),
        (b"K\x01(K\x02e.", "makes no sense"),
        (b"K\x01K\x02K\x03s.", "makes no sense"),
        (b"I" + b"9" * 5000 + b"\n.", "not a pickle"),
        (b"K\x01.", "no state dict"),
        (b"}.", "no state dict"),
        (pickle.dumps({"state_dict": [1]}, 2), "no state dict"),
    ],
)  # fmt: skip
def test_a_malformed_checkpoint_is_reported(tmp_path: Path, program: bytes, message: str) -> None:
    save_program(tmp_path / "odd.ckpt", program, files={"archive/data/0": FLOATS})
    with pytest.raises(ModelFilesBroken, match=f"odd.ckpt' can't be read: .*{message}"):
        read_all(tmp_path / "odd.ckpt")


def test_a_bomb_of_nested_keys_does_not_go_off(tmp_path: Path) -> None:
    """Hashing a tuple of two of the same tuple, sixty levels deep, would take longer than anybody lives."""
    bomb = b"}K\x01" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
    save_program(tmp_path / "bomb.ckpt", bomb)
    began = time.monotonic()
    with pytest.raises(ModelFilesBroken, match="no state dict"):  # what has no text for a key is dropped
        read_all(tmp_path / "bomb.ckpt")
    # as large a thing as a value, it is only two words per level
    save_program(tmp_path / "value.ckpt", b"}K\x05K\x01" + b"q\x00h\x00\x86" * 60 + b"s.")
    with pytest.raises(ModelFilesBroken, match="no state dict"):
        read_all(tmp_path / "value.ckpt")
    assert time.monotonic() - began < 5


def test_deep_nesting_does_no_harm(tmp_path: Path) -> None:
    save_program(tmp_path / "deep.ckpt", b"](" * 100_000 + b".")
    with pytest.raises(ModelFilesBroken):
        read_all(tmp_path / "deep.ckpt")
    save_program(tmp_path / "deep.ckpt", b"]" + b"\x85" * 200_000 + b".")
    with pytest.raises(ModelFilesBroken, match="no state dict"):
        read_all(tmp_path / "deep.ckpt")


def test_a_storage_described_in_two_ways_is_refused(tmp_path: Path) -> None:
    ids = iter([("storage", torch.FloatStorage, "0", "cpu", 2), ("storage", torch.LongStorage, "0", "cpu", 2)])

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return next(ids) if isinstance(value, bytes) else None

    with (tmp_path / "program").open("wb") as file:
        Pickler(file, 2).dump([b"1", b"2"])
    save_program(tmp_path / "odd.ckpt", (tmp_path / "program").read_bytes())
    with pytest.raises(ModelFilesBroken, match="describes storage '0' in two ways"):
        read_all(tmp_path / "odd.ckpt")


def test_zips_that_torch_does_not_write_are_refused(tmp_path: Path) -> None:
    path, program = tmp_path / "odd.ckpt", storage_program(storage(2))

    def refused(message: str) -> None:
        with pytest.raises(ModelFilesBroken, match=message):
            read_all(path)

    save_program(path, program)
    refused(r"lacks 'archive/data/0'")
    save_program(path, program, files={"../data/0": FLOATS, "/archive/data/0": FLOATS})
    refused(r"lacks 'archive/data/0'")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["odd.ckpt"]
    save_program(path, program, files={"other/data.pkl": program})
    refused("not as torch.save writes it")
    save_program(path, program, files={"archive/byteorder": b"big"})
    refused("big-endian")
    save_program(path, program, files={"archive/constants.pkl": b""})
    refused("TorchScript archive, a program")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10**6)
    refused("is compressed, which torch.save never does")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b/c/data.pkl", program)
    refused("not as torch.save writes it")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("archive/data.pkl", b"K\x01.")
    refused("not as torch.save writes it")


@LAYOUTS
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 0.999])
def test_a_checkpoint_that_was_cut_off_is_reported(tmp_path: Path, legacy: bool, share: float) -> None:
    path = tmp_path / "last.ckpt"
    save_lightning(path, state(), legacy=legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFilesBroken, match=r"last\.ckpt' can't be read"):
        read_all(path)


@pytest.mark.parametrize("data", [b"", b"no checkpoint at all", b"\x89PNG\r\n", b"PK\x05\x06" + bytes(18)])
def test_other_files_are_reported(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(ModelFilesBroken, match=r"x\.ckpt' can't be read"):
        read_all(tmp_path / "x.ckpt")
    with pytest.raises(ModelFilesBroken, match=r"y\.ckpt' can't be read"):
        read_all(tmp_path / "y.ckpt")


def test_any_damage_of_a_pickle_is_an_error_of_ours(tmp_path: Path) -> None:
    """Flip every byte of a real program in turn: it may still say something, but never breaks out."""
    save_lightning(tmp_path / "last.ckpt", {"a": torch.ones(2)})
    with zipfile.ZipFile(tmp_path / "last.ckpt") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        program = archive.read(name)
    refused = 0
    for place in range(len(program)):
        for flip in (0x01, 0x80, 0xFF):
            spoilt = bytearray(program)
            spoilt[place] ^= flip
            save_program(tmp_path / "odd.ckpt", bytes(spoilt), files={"archive/data/0": struct.pack("<f", 1)})
            try:
                read_all(tmp_path / "odd.ckpt")
            except ModelFilesBroken:
                refused += 1
    assert refused > len(program)
