"""Checkpoints of `torch.save` as named tensors, read without running anything: both layouts, zip and legacy.

The pickle in a checkpoint is read as data (`pickle_data`); it says which tensors there are, and where their numbers
lie. Those are read from the file when they are asked for, so that a training state's optimiser costs no memory.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.pickle_data import Reduce, StorageRef, read_pickle
from renderers.models.checkpoint.pickle_names import Global

__all__ = ["Checkpoint", "TensorRef", "open_checkpoint"]

MAX_PICKLE = 256 * 2**20  # bytes; real ones have a few hundred thousand

DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


@dataclass(frozen=True)
class TensorRef:
    """A tensor that the checkpoint holds, not read yet."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Storages(Protocol):
    def read(self, storage: StorageRef) -> bytes: ...


class Checkpoint:
    """An open checkpoint: `data` are its plain containers, with a TensorRef for every tensor."""

    def __init__(self, data: Any, storages: _Storages) -> None:
        self.data, self._storages = data, storages

    def tensors(self) -> dict[str, TensorRef]:
        """The tensors of its state dict, by key: those under `state_dict`, or else those at the top.

        Raises:
            ModelFilesBroken: there is none.
        """
        top = self.data if isinstance(self.data, dict) else {}
        state = top["state_dict"] if isinstance(top.get("state_dict"), dict) else top
        found = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, TensorRef)}
        if not found:
            raise ModelFilesBroken("it holds no state dict: no tensors by name")
        return found

    def read(self, ref: TensorRef) -> Tensor:
        """The tensor itself, contiguous, with memory of its own.

        Raises:
            ModelFilesBroken: its numbers are not all there.
        """
        dtype = DTYPES[ref.storage.kind]
        last = ref.offset + sum((size - 1) * step for size, step in zip(ref.shape, ref.stride, strict=True))
        count = math.prod(ref.shape)
        # a stride of 0 lets a few numbers pose as a tensor of any size
        if count > ref.storage.numel or (count and last >= ref.storage.numel):
            raise ModelFilesBroken(f"a tensor of shape {ref.shape} does not fit its storage of {ref.storage.numel:,}")
        if not count:
            return torch.empty(ref.shape, dtype=dtype)
        flat = torch.frombuffer(bytearray(self._storages.read(ref.storage)), dtype=dtype)
        return flat.as_strided(ref.shape, ref.stride, ref.offset).clone(memory_format=torch.contiguous_format)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open the checkpoint at `path`, whatever its layout.

    Raises:
        CheckpointUnsafe: it tries to run code. It did not.
        ModelFilesBroken: it can't be read, is damaged, or of no layout that is known.
    """
    try:
        with path.open("rb") as file:
            try:
                legacy = not zipfile.is_zipfile(file)
                file.seek(0)
                yield _open_legacy(file) if legacy else _open_zip(file)
            except (zipfile.BadZipFile, EOFError, struct.error, RuntimeError, MemoryError) as error:
                raise ModelFilesBroken(f"it is damaged: {error or type(error).__name__}") from error
    except CheckpointUnsafe as error:
        raise CheckpointUnsafe(f"the checkpoint '{path}' is refused, and nothing of it was run: {error}") from error
    except ModelFilesBroken as error:
        raise ModelFilesBroken(f"the checkpoint '{path}' can't be read: {error}") from error
    except OSError as error:
        raise ModelFilesBroken(f"the checkpoint '{path}' can't be read: {error}") from error


# --- the layout of today: a zip, its numbers stored as they are -------------------------------------------------------


class _ZipStorages:
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root

    def read(self, storage: StorageRef) -> bytes:
        return _member(self._archive, f"{self._root}data/{storage.key}", _bytes_of(storage))


def _open_zip(file: IO[bytes]) -> Checkpoint:
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(set(names)) != len(names) or len(pickles) != 1 or pickles[0].count("/") > 1:
        raise ModelFilesBroken("it is a zip, but not as torch.save writes it")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in names:
        raise ModelFilesBroken("it is a TorchScript archive, a program: give a checkpoint with a state dict")
    if f"{root}byteorder" in names and _member(archive, f"{root}byteorder") != b"little":
        raise ModelFilesBroken("its numbers are big-endian")
    seen: dict[str, StorageRef] = {}

    def persistent(identifier: Any) -> StorageRef:
        storage = _storage(identifier)
        if seen.setdefault(storage.key, storage) != storage:
            raise ModelFilesBroken(f"it describes storage '{storage.key}' in two ways")
        return storage

    program = io.BytesIO(_member(archive, pickles[0]))
    return Checkpoint(read_pickle(program, TENSORS, persistent), _ZipStorages(archive, root))


def _member(archive: zipfile.ZipFile, name: str, size: int | None = None) -> bytes:
    """The bytes of a member, which must be `size` where that is given. Their checksum is the zip's own."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ModelFilesBroken(f"it lacks '{name}'") from error
    # torch stores; what is compressed may unpack to any size
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ModelFilesBroken(f"'{name}' in it is compressed, which torch.save never does")
    if size is not None and info.file_size != size:
        raise ModelFilesBroken(f"'{name}' in it has {info.file_size:,} bytes, and should have {size:,}")
    if size is None and info.file_size > MAX_PICKLE:
        raise ModelFilesBroken(f"'{name}' in it has {info.file_size:,} bytes: too many for a list of tensors")
    return archive.read(info)


# --- the layout before PyTorch 1.6: pickles one after another, then the numbers ---------------------------------------


class _LegacyStorages:
    def __init__(self, file: IO[bytes], places: Mapping[str, int]) -> None:
        self._file, self._places = file, places

    def read(self, storage: StorageRef) -> bytes:
        if storage.key not in self._places:
            raise ModelFilesBroken(f"it lacks storage '{storage.key}'")
        self._file.seek(self._places[storage.key])
        data = self._file.read(_bytes_of(storage))
        if len(data) != _bytes_of(storage):
            raise ModelFilesBroken("it ends too early")
        return data


def _open_legacy(file: IO[bytes]) -> Checkpoint:
    seen: dict[str, StorageRef] = {}

    def persistent(identifier: Any) -> StorageRef:
        # a sixth part tells of a view into another storage; state dicts have none
        if isinstance(identifier, tuple) and len(identifier) == 6 and identifier[5] is None:
            identifier = identifier[:5]
        storage = _storage(identifier)
        if seen.setdefault(storage.key, storage) != storage:
            raise ModelFilesBroken(f"it describes storage '{storage.key}' in two ways")
        return storage

    def nothing(_: Any) -> Any:
        raise ModelFilesBroken("it refers to a tensor where none can be")

    # every pickle of torch's begins with its protocol; a picture or a text would be read as some odd program
    torchs = file.read(1) == b"\x80"
    file.seek(0)
    if not torchs or [read_pickle(file, {}, nothing) for _ in range(2)] != [LEGACY_MAGIC, LEGACY_PROTOCOL]:
        raise ModelFilesBroken("it is neither a zip nor the older layout of torch.save")
    system = read_pickle(file, {}, nothing)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ModelFilesBroken("its numbers are big-endian")
    data = read_pickle(file, TENSORS, persistent)
    keys = read_pickle(file, {}, nothing)
    if not isinstance(keys, list):
        raise ModelFilesBroken("it does not list its storages")
    end = file.seek(0, io.SEEK_END) if (start := file.tell()) else 0
    places: dict[str, int] = {}
    for key in keys:
        if key not in seen or key in places:
            raise ModelFilesBroken("it lists a storage that no tensor has")
        file.seek(start)
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != seen[key].numel or start + 8 + _bytes_of(seen[key]) > end:
            raise ModelFilesBroken(f"storage '{key}' in it is cut off, or of another size than it claims")
        places[key] = start + 8
        start += 8 + _bytes_of(seen[key])
    return Checkpoint(data, _LegacyStorages(file, places))


# --- what a pickle says of tensors ------------------------------------------------------------------------------------


def _storage(identifier: Any) -> StorageRef:
    """What torch's persistent ids say: ('storage', type, key, device, numel)."""
    match identifier:
        case ("storage", Global(module="torch", name=kind), str(key), str(), int(numel)) if (
            isinstance(identifier, tuple) and kind in DTYPES and numel >= 0 and key.isascii() and key.isalnum()
        ):
            return StorageRef(key, kind, numel)
    raise ModelFilesBroken("it refers to something outside its pickle that is no storage of a tensor")


def _bytes_of(storage: StorageRef) -> int:
    return storage.numel * DTYPES[storage.kind].itemsize


def _tensor(arguments: tuple[Any, ...]) -> TensorRef:
    """`_rebuild_tensor(storage, offset, shape, stride)`; `_v2` says more, which weights have no use for."""
    storage, offset, shape, stride = arguments[:4]
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, StorageRef) or len(shape) != len(stride) or len(shape) > 8:
        raise ModelFilesBroken("a tensor in it is not described as torch does")
    if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
        raise ModelFilesBroken("a tensor in it has a shape that is none")
    return TensorRef(storage, offset, tuple(shape), tuple(stride))


def _parameter(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


TENSORS: Mapping[str, Reduce] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
