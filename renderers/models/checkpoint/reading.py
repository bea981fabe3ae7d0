"""Checkpoints of `torch.save` as named tensors, read without running anything: both layouts, zip and legacy.

The pickle in a checkpoint is read as data (`pickle_data`, which says why torch's own reader does not serve); it says
which tensors there are, and where their numbers lie. Those are read from the file when they are asked for, so that a
training state's optimiser costs no memory. However often a file names its numbers, it can't make more of them than some
times its own size.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

from renderers.config_file import clipped
from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models.checkpoint.pickle_data import MAX_BYTES, Reduce, StorageRef, read_pickle
from renderers.models.checkpoint.pickle_names import Global

__all__ = ["Checkpoint", "TensorRef", "open_checkpoint"]

MAX_DIRECTORY = 8 * 2**20  # bytes of a zip's list of members, of which torch takes some 170 for each
MAX_TENSORS = 50_000  # in a state dict; the largest CLIP has 2,000
# Reading each number once and keeping it costs twice the file's size. Tensors that share their numbers cost more.
MAX_GROWTH = 4
SMALL = 16 * 2**20  # bytes that any file may cost
MAX_DIMENSIONS = 8

DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


@dataclass(frozen=True, slots=True)
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

    def __init__(self, data: Any, storages: _Storages, size: int) -> None:
        """`size` is the whole file's, in bytes."""
        self.data, self._storages = data, storages
        self._left = MAX_GROWTH * size + SMALL
        self._last: tuple[StorageRef, Tensor] | None = None

    def tensors(self) -> dict[str, TensorRef]:
        """The tensors of its state dict, by key: those under `state_dict`, or else those at the top.

        Raises:
            ModelFilesBroken: there is none, or there are more than any network has.
        """
        top = self.data if isinstance(self.data, dict) else {}
        state = top["state_dict"] if isinstance(top.get("state_dict"), dict) else top
        found = {key: value for key, value in state.items() if isinstance(value, TensorRef)}
        if not found:
            raise ModelFilesBroken("it holds no state dict: no tensors by name")
        if len(found) > MAX_TENSORS:
            raise ModelFilesBroken(f"its state dict has {len(found):,} tensors, and may have {MAX_TENSORS:,}")
        return found

    def read(self, ref: TensorRef) -> Tensor:
        """The tensor itself, `ref.shape`, contiguous, with memory of its own.

        Raises:
            ModelFilesBroken: its numbers are not all there, or stand for more tensors than their size allows.
        """
        dtype = DTYPES[ref.storage.kind]
        last = ref.offset + sum((size - 1) * step for size, step in zip(ref.shape, ref.stride, strict=True))
        count = math.prod(ref.shape)
        # a stride of 0 lets a few numbers pose as a tensor of any size
        if count > ref.storage.numel or (count and last >= ref.storage.numel):
            raise ModelFilesBroken(f"a tensor of shape {ref.shape} does not fit its storage of {ref.storage.numel:,}")
        if not count:
            return torch.empty(ref.shape, dtype=dtype)
        if self._last is None or self._last[0] != ref.storage:
            self._last = None  # its memory may be wanted
            flat = torch.frombuffer(bytearray(self._storages.read(ref.storage)), dtype=dtype)
            self._spend(_bytes_of(ref.storage))
            self._last = (ref.storage, flat)  # parts of one storage, such as flattened parameters, follow one another
        self._spend(count * dtype.itemsize)
        return self._last[1].as_strided(ref.shape, ref.stride, ref.offset).clone(memory_format=torch.contiguous_format)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ModelFilesBroken(f"its tensors share numbers, and unfold to more than {MAX_GROWTH} times the file")


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open the checkpoint at `path`, whatever its layout.

    Raises:
        CheckpointUnsafe: it tries to run code. It did not.
        ModelFilesBroken: it can't be read, is damaged, or of no layout that is known.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device read without end
            raise ModelFilesBroken("it is no regular file")
        with path.open("rb") as file:
            try:
                legacy = not zipfile.is_zipfile(file)
                file.seek(0)
                yield _open_legacy(file) if legacy else _open_zip(file)
            except (zipfile.BadZipFile, EOFError, struct.error, RuntimeError, MemoryError, ValueError) as error:
                raise ModelFilesBroken(f"it is damaged: {error or type(error).__name__}") from error
    except CheckpointUnsafe as error:
        said = clipped(error)
        raise CheckpointUnsafe(f"the checkpoint '{path}' is refused, and nothing of it was run: {said}") from error
    except (ModelFilesBroken, OSError) as error:
        raise ModelFilesBroken(f"the checkpoint '{path}' can't be read: {clipped(error)}") from error


# --- the layout of today: a zip, its numbers stored as they are -------------------------------------------------------


class _Directory:
    """A file of which a zip's list of members is read, unless that is longer than any real one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise ModelFilesBroken(f"its list of members has {size:,} bytes, and may have {MAX_DIRECTORY:,}")
        return self._file.read(size if size >= 0 else MAX_DIRECTORY)


class _ZipStorages:
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root

    def read(self, storage: StorageRef) -> bytes:
        return _member(self._archive, f"{self._root}data/{storage.key}", _bytes_of(storage))


def _open_zip(file: IO[bytes]) -> Checkpoint:
    archive = zipfile.ZipFile(_Directory(file))
    archive.fp = file  # its members may be larger than its list of them
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
    program = io.BytesIO(_member(archive, pickles[0]))
    data = read_pickle(program, TENSORS, lambda identifier: _storage(identifier, seen))
    return Checkpoint(data, _ZipStorages(archive, root), _size(file))


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
    if size is None and info.file_size > MAX_BYTES:
        raise ModelFilesBroken(f"'{name}' in it has {info.file_size:,} bytes: too many for a list of tensors")
    if info.file_size > _size(archive.fp):  # else memory for all of them would be asked for first
        raise ModelFilesBroken(f"'{name}' in it is cut off")
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
    data = read_pickle(file, TENSORS, lambda identifier: _storage(identifier, seen))
    keys = read_pickle(file, {}, nothing)
    if not isinstance(keys, list):
        raise ModelFilesBroken("it does not list its storages")
    start, end = file.tell(), _size(file)
    places: dict[str, int] = {}
    for key in keys:
        if not isinstance(key, str) or key not in seen or key in places:  # a tuple may take for ever to hash
            raise ModelFilesBroken("it lists a storage that no tensor has")
        file.seek(start)
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != seen[key].numel or start + 8 + _bytes_of(seen[key]) > end:
            raise ModelFilesBroken(f"storage '{key}' in it is cut off, or of another size than it claims")
        places[key] = start + 8
        start += 8 + _bytes_of(seen[key])
    return Checkpoint(data, _LegacyStorages(file, places), end)


# --- what a pickle says of tensors ------------------------------------------------------------------------------------


def _storage(identifier: Any, seen: dict[str, StorageRef]) -> StorageRef:
    """Read torch's persistent id: ('storage', type, key, device, numel), and note it in `seen` by its key.

    The older layout adds a sixth part, which tells of a view into another storage; state dicts have none.
    """
    if isinstance(identifier, tuple) and len(identifier) == 6 and identifier[5] is None:
        identifier = identifier[:5]
    match identifier:
        case ("storage", Global(module="torch", name=kind), str(key), str(), int(numel)) if (
            isinstance(identifier, tuple) and kind in DTYPES and 0 <= numel < 2**48 and key.isascii() and key.isalnum()
        ):
            storage = StorageRef(key, kind, numel)
            if seen.setdefault(key, storage) != storage:
                raise ModelFilesBroken(f"it describes storage '{key}' in two ways")
            return storage
    raise ModelFilesBroken("it refers to something outside its pickle that is no storage of a tensor")


def _bytes_of(storage: StorageRef) -> int:
    return storage.numel * DTYPES[storage.kind].itemsize


def _size(file: IO[bytes] | None) -> int:
    """The bytes of an open file."""
    return 0 if file is None else os.fstat(file.fileno()).st_size


def _tensor(arguments: tuple[Any, ...]) -> TensorRef:
    """`_rebuild_tensor(storage, offset, shape, stride)`; `_v2` says more, which weights have no use for."""
    storage, offset, shape, stride = arguments[:4]
    if not (isinstance(storage, StorageRef) and isinstance(shape, tuple) and isinstance(stride, tuple)):
        raise ModelFilesBroken("a tensor in it is not described as torch does")
    if len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
        raise ModelFilesBroken("a tensor in it is not described as torch does")
    if not all(type(number) is int and 0 <= number < 2**48 for number in (offset, *shape, *stride)):
        raise ModelFilesBroken("a tensor in it has a shape that is none")
    return TensorRef(storage, offset, shape, stride)


def _first(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


TENSORS: Mapping[str, Reduce] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch.Size": _first,
}
