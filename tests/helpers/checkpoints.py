"""Checkpoints as Lightning writes them, and as those write them who want to run code on other people's machines."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint"


@contextmanager
def lightning_classes() -> Iterator[dict[str, type]]:
    """Classes that pickle as Lightning's and OmegaConf's, while the block runs (neither is installed)."""
    wanted = {
        "ModelCheckpoint": (LIGHTNING, (object,)),
        "AttributeDict": ("pytorch_lightning.utilities.parsing", (dict,)),
        "ListConfig": ("omegaconf.listconfig", (object,)),
        "CUDACallback": ("main", (object,)),
    }
    made: dict[str, type] = {}
    added = []
    for name, (module, bases) in wanted.items():
        made[name] = type(name, bases, {"__module__": module})
        for part in (module.rsplit(".", depth)[0] for depth in range(module.count("."), -1, -1)):
            if part not in sys.modules:
                sys.modules[part] = types.ModuleType(part)
                added.append(part)
        setattr(sys.modules[module], name, made[name])
    try:
        yield made
    finally:
        for part in added:
            del sys.modules[part]


def save_lightning(path: Path, state: dict[str, torch.Tensor], *, legacy: bool = False, protocol: int = 2) -> None:
    """A training's whole state, as pytorch_lightning 1.x leaves it in `last.ckpt`."""
    with lightning_classes() as classes:
        callback = classes["ModelCheckpoint"]()
        best = {"best_model_path": Path("logs/last.ckpt"), "score": torch.tensor(0.5), "seen": {1, 2}}
        callback.__dict__.update(best)
        settings = classes["ListConfig"]()
        settings.__dict__["_content"] = [1, 2, callback]
        document = {
            "epoch": 12,
            "global_step": 10**12,
            "pytorch-lightning_version": "1.0.8",
            "callbacks": {classes["ModelCheckpoint"]: {"best": callback}, classes["CUDACallback"]: None},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3), "step": 7}}, "param_groups": [{"lr": 1e-4}]}],
            "lr_schedulers": [],
            "hyper_parameters": classes["AttributeDict"]({"betas": settings, "flag": True, "big": 2**80}),
            "state_dict": dict(state),
        }
        torch.save(document, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)


def save_program(path: Path, program: bytes, *, legacy: bool = False, files: dict[str, bytes] | None = None) -> None:
    """A checkpoint, either layout, whose pickle is `program`."""
    if legacy:
        path.write_bytes(legacy_head() + program + pickle.dumps([], 2))
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", b"3\n")
        for name, data in (files or {}).items():
            archive.writestr(name, data)


def legacy_head() -> bytes:
    """What stands before the pickle of the older layout."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    return b"".join(pickle.dumps(part, 2) for part in head)


class Calls:
    """Pickles as a call of `function` with `arguments`: what an attacker's `__reduce__` does."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def text(value: str) -> bytes:
    """The instruction that pushes a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """The instruction that pushes a number of any size."""
    data = pickle.encode_long(value)
    return b"\x8b" + struct.pack("<i", len(data)) + data


def call_of(name: str) -> bytes:
    """The instruction that pushes a class or function, `name` as in `torch.nn Linear`."""
    return f"c{name.replace(' ', chr(10))}\n".encode()


def tensor_of(numel: bytes, key: str = "0", length: int = 1) -> bytes:
    """The instructions that push a tensor of `length` numbers, of the storage `key` of `numel` (an instruction)."""
    storage = b"(" + text("storage") + call_of("torch FloatStorage") + text(key) + text("cpu") + numel + b"tQ"
    shape = b"J" + struct.pack("<i", length) + b"\x85"
    return call_of("torch._utils _rebuild_tensor") + b"(" + storage + b"K\x00" + shape + b"K\x01\x85tR"


def storage_program(identifier: Any, *, shape: tuple[int, ...] = (2,), stride: tuple[int, ...] = (1,)) -> bytes:
    """A state dict of one tensor `w` whose storage has the persistent id `identifier`."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return identifier if isinstance(value, Storage) else None

    from torch._utils import _rebuild_tensor_v2

    buffer = io.BytesIO()
    tensor = Calls(_rebuild_tensor_v2, Storage(), 0, shape, stride, False, {})
    Pickler(buffer, 2).dump({"state_dict": {"w": tensor}})
    return buffer.getvalue()
