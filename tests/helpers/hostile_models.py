"""Checkpoints and configs that say a large thing in few bytes, by what they repeat."""

from __future__ import annotations

import itertools
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.checkpoints import call_of, legacy_head, number, tensor_of, text

PRIME = 2**61 - 1  # Python's hash of a number is its remainder by this one
MANY = 20_000
NO_STATE = "holds no state dict"


def repeating_programs() -> Iterator[tuple[str, bytes, str]]:
    """Name, pickle, and words of the refusal, of pickles that use one thing many times."""
    long = b"](" + b"K\x01" * MANY + b"eq\x020"
    again = b"q\x010(" + b"h\x01h\x02\x85R" * MANY + b"t."
    for kind in ("tuple", "list", "set", "frozenset"):
        yield f"{kind} of one list", long + call_of(f"builtins {kind}") + again, NO_STATE
    yield "torch.Size of one list", long + call_of("torch Size") + again, NO_STATE
    pairs = b"](" + b"X\x01\x00\x00\x00aK\x01\x86" * MANY + b"eq\x020"
    yield "OrderedDict of one list", pairs + call_of("collections OrderedDict") + again, NO_STATE
    wide = b"(" + b"K\x01" * MANY + b"tq\x020" + call_of("torch._utils _rebuild_tensor") + b"q\x010("
    yield "tensors of one shape", wide + b"h\x01(NK\x00h\x02h\x02tR" * MANY + b"t.", "not described as torch does"
    name = b"\x80\x02" + text("torch") + text("a" * 4_000_000) + b"\x93q\x010(" + b"h\x01)R" * MANY + b"t."
    yield "calls of a long name", name, "it names 'torch.aaa"
    encode = call_of("_codecs encode") + b"q\x010" + text("hex") + b"q\x020" + text("x" * 1000) + b"q\x030"
    yield "hex of hex", encode + b"h\x01h\x03h\x02\x86Rq\x030" * 60 + b"N.", NO_STATE


def colliding_programs() -> Iterator[tuple[str, bytes, str]]:
    """The same, of pickles whose keys all have one hash."""
    keys = [number(place * PRIME) for place in range(1, MANY)]
    yield "colliding keys", b"}(" + b"K\x01".join(keys) + b"K\x01u.", NO_STATE
    yield "colliding keys, one by one", b"}" + b"K\x01s".join(keys) + b"K\x01s.", NO_STATE
    yield "colliding keys in tuples", b"}(" + b"\x85K\x01".join(keys) + b"\x85K\x01u.", NO_STATE
    yield "colliding set", b"\x8f(" + b"".join(keys) + b"\x90.", NO_STATE
    yield "colliding frozenset", b"(" + b"".join(keys) + b"\x91.", NO_STATE
    memo = b"".join(b"p%d\n" % (place * PRIME) for place in range(1, MANY))
    yield "colliding places in the memo", b"K\x01" + memo + b".", "makes no sense"


def large_programs() -> Iterator[tuple[str, bytes, str]]:
    """The same, of pickles that are too much, or as much as is allowed."""
    for what, instruction in (("sets", b"\x8f"), ("dicts", b"}")):
        yield f"many {what}", instruction * 20_000_000 + b".", "over 2,000,000 instructions"
    yield "all the dicts that are allowed", b"}\x94" * 999_000 + b"}.", NO_STATE
    yield "a long text", _text_of(b"a" * 40 * 2**20) + b".", "too many for a list of tensors"
    yield "wide characters", _text_of(b"a" * 31 * 2**20 + "\N{GRINNING FACE}".encode()) + b".", NO_STATE
    yield "a long name", b"c" + b"a" * 4_000_000 + b"\nb\n.", "longer than any class's name"
    yield "a number that is none", b"F" + b"x" * 2**24 + b"\n.", "is not a pickle"
    billion = b"J" + struct.pack("<i", 10**9) + b"\x85R."
    yield "a bytearray", call_of("builtins bytearray") + billion, "builtins.bytearray"
    yield "a tensor without numbers", call_of("torch Tensor") + billion, NO_STATE
    digits = number(1 << 8_000_000)
    yield "a storage of many digits", b"}" + text("w") + tensor_of(digits) + b"s.", "is no storage of a tensor"


def _text_of(data: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(data)) + data


def save_sharing(path: Path, tensors: int, *, storages: int = 1) -> None:
    """A checkpoint of `tensors` that take turns at a few storages of four megabytes, each the whole of one."""
    numel = 2**20
    numbers = number(numel)
    state = b"".join(
        text(f"w{place}") + tensor_of(numbers, key=str(place % storages), length=numel) for place in range(tensors)
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"}(" + state + b"u.")
        for key in range(storages):
            archive.writestr(f"archive/data/{key}", bytes(4 * numel))


def save_slices(path: Path, tensors: int) -> None:
    """A checkpoint of `tensors` that are one number each of two storages of four megabytes, in turn."""
    numbers = number(2**20)
    state = b"".join(text(f"w{place}") + tensor_of(numbers, key=str(place % 2)) for place in range(tensors))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"}(" + state + b"u.")
        for key in range(2):
            archive.writestr(f"archive/data/{key}", bytes(2**22))


def save_members(path: Path, members: int) -> None:
    """A zip whose list of members is nearly all of it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"}.")
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    entry = bytearray(whole[start : start + 46])
    entry[28:32] = struct.pack("<HH", 8, 0)
    listed = b"".join(bytes(entry) + b"%08d" % place for place in range(members))
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, len(listed), start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(listed), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(whole[:start] + listed + end64 + locator + end)


def save_key_of_tuples(path: Path) -> None:
    """A legacy checkpoint whose list of storages holds a tuple of tuples that takes 2**60 steps to hash."""
    bomb = b"](K\x01" + b"q\x00h\x00\x86" * 60 + b"e."
    path.write_bytes(legacy_head() + pickle.dumps({}, 2) + bomb)


def configs() -> Iterator[tuple[str, str, str]]:
    """Name, YAML, and words of the refusal."""
    letters = "abcdefghij"
    ten = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in itertools.pairwise(letters)
    )
    params = "model: {target: taming.models.vqgan.VQModel, params: "
    yield "aliases of aliases", ten + "model: {target: *j, params: *j}", "unfolds to more than 10,000 values"
    merged = "a: &a {x: 1}\n" + "".join(
        f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 9)}]}}\n" for old, new in itertools.pairwise(letters)
    )
    yield "merges of merges", merged, "unfolds to more than 10,000 values"
    yield "a value that holds itself", "model: &a [*a]", "for what it is in"
    for opening in ("[", "- ", "? "):
        yield f"100 kB of '{opening}'", opening * (100_000 // len(opening)), "more than 50 levels deep"
    keys = [f"{place * PRIME:#x}: 0" for place in range(1, MANY)]
    yield "colliding keys", f"{params}{{{','.join(keys)}}}}}", "has more than 262,144 bytes"
    yield "fewer colliding keys", f"{params}{{{','.join(keys[:4_800])}}}}}", "embed_dim: Field required; n_embed"
    yield "a long class", f"model: {{target: {'x' * 3_900}, params: 1}}", "names the class 'xxx"
    yield "a long value", f"model: {{target: {'x' * 4_100}, params: 1}}", "a text of over 4,000 characters (line 1)"
    shape = ", ".join(f"{'x' * 50}{place}: 1" for place in range(4_000))
    yield (
        "many unknown names",
        f"{params}{{embed_dim: 1, n_embed: 1, ddconfig: {{{shape}}}}}}}",
        "ddconfig.ch: Field required; and 4002 more",
    )
    yield "a number of many digits", f"{params}{{n_embed: 0x{'f' * 3_900}}}}}", "n_embed: Input should be less than"
    yield "a date that is none", "model: 2026-02-31", "day is out of range for month"
    yield "a number that is none", "model: 0b", "is not a taming config"
    yield "a list as a key", "{[1]: 2}", "found unhashable key"
