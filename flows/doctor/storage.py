"""The doctor's look at an output root: can it be used, and what did dead writers or failing disks leave there?"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from flows.doctor.findings import Finding, not_looked_at
from infra.storage.layout import frame_of, is_folder
from infra.storage.local_store import TEMPORARY_PREFIX
from infra.storage.storage import ObjectMissing, SourceRefused, Storage, StorageError
from manifests.schema.texts import plural
from renderers.errors import FrameCorrupt
from renderers.frame_rendering.chunks import MOST_BYTES

__all__ = ["check_storage", "damage", "old_temporaries"]

# A put takes seconds, that of a long video minutes: what is older belongs to nobody.
OLD_SECONDS = 3600.0
PARALLEL_READS = 16
SHOWN = 5


def check_storage(output: str, *, deep: bool) -> Iterator[Finding]:
    """Look at an output root; `deep` reads every frame."""
    try:
        storage = Storage(output)
        storage.check(write=False)
    except StorageError as error:
        yield Finding("storage", "problem", error.message, error.remedy or "choose another output")
        return
    local = storage.local_path()
    if local is not None and not local.exists():
        nearest = next(path for path in local.parents if path.exists())
        if os.access(nearest, os.W_OK | os.X_OK):
            yield Finding("storage", "ok", f"'{local}' is not there yet; the first render makes it")
        else:
            yield Finding("storage", "problem", f"'{nearest}' can't be written", "choose another output")
        return
    yield _commits(storage)
    if local is not None:
        yield from _temporaries(local)
    if deep:
        yield from _frames(storage)


def old_temporaries(root: Path, now: float, unseen: Callable[[OSError], object] | None = None) -> list[Path]:
    """Files of half-done puts below `root` that were last written `OLD_SECONDS` before `now` (seconds since 1970);
    `unseen` hears of folders that can't be listed."""
    found = []
    for folder, folders, names in os.walk(root, onerror=unseen):
        inside = Path(folder).relative_to(root)
        # puts are made where objects of ours are: the root may be that of a whole machine
        folders[:] = [name for name in folders if is_folder((inside / name).as_posix())]
        for path in (Path(folder, name) for name in names if name.startswith(TEMPORARY_PREFIX)):
            try:
                if now - path.stat().st_mtime > OLD_SECONDS:
                    found.append(path)
            except FileNotFoundError:
                continue  # its put ended just now
    return sorted(found)


def damage(key: str, data: bytes) -> str:
    """What is wrong with a frame's object, '' if nothing is."""
    from renderers.frame_rendering.frame_object import FrameObject  # and with it torch: seconds, and only for --deep

    named = frame_of(key)
    try:
        digest = str(FrameObject.from_bytes(data).provenance.get("digest"))
    except FrameCorrupt as error:
        return str(error)
    if named is not None and not digest.startswith(named[1]):
        return f"it is the frame of digest {digest[:16]}, its key says {named[1]}"
    return ""


def _commits(storage: Storage) -> Finding:
    """Two puts of one key: the second must see the first, or two workers could overwrite each other."""
    key = f"doctor-{secrets.token_hex(8)}"
    try:
        outcomes = [storage.put(key, data) for data in (b"first", b"second")]
        held = storage.read(key)
        storage.delete(key)
    except StorageError as error:
        return Finding("storage", "problem", error.message, error.remedy or "choose another output")
    if outcomes != ["written", "kept"] or held != b"first":
        return Finding(
            "storage", "problem", f"'{storage.root}' overwrites what should be put only once",
            "use a storage whose puts can be conditional (If-None-Match), as S3, GCS and local disks do",
        )  # fmt: skip
    return Finding("storage", "ok", f"'{storage.root}' is readable, writable, and puts are exclusive")


def _temporaries(root: Path) -> Iterator[Finding]:
    unseen: list[OSError] = []
    left = old_temporaries(root, time.time(), unseen.append)
    if unseen:
        folders = f"{plural(len(unseen), 'folder')} ({_some([str(it.filename) for it in unseen])})"
        yield not_looked_at("storage", folders, unseen[0], "have them readable for the account that renders")
    elif not left:
        yield Finding("storage", "ok", "no half-written files")
    if not left:
        return
    size = sum(path.stat().st_size for path in left if path.exists())
    yield Finding(
        "storage", "problem",
        f"{plural(len(left), 'half-written file')} of dead writers ({size:,} bytes): {_some(left)}",
        "they do no harm but take room", repair=partial(_remove, left),
    )  # fmt: skip


def _remove(left: Sequence[Path]) -> str:
    for path in left:
        path.unlink(missing_ok=True)
    return f"removed {plural(len(left), 'half-written file')}"


def _frames(storage: Storage) -> Iterator[Finding]:
    keys = [info.key for info in storage.list(ours=True) if frame_of(info.key)]

    def look(key: str) -> str:
        try:
            return damage(key, storage.read(key, most=MOST_BYTES))
        except SourceRefused as error:
            return error.message
        except ObjectMissing:
            return ""  # deleted since

    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="doctor") as threads:
        damaged = {key: wrong for key, wrong in zip(keys, threads.map(look, keys), strict=True) if wrong}
    if not keys:
        yield Finding("storage", "ok", "no frames to look at")
        return
    if not damaged:
        yield Finding("storage", "ok", f"all of {plural(len(keys), 'frame')} can be read and are what their keys say")
        return
    first, wrong = next(iter(damaged.items()))
    yield Finding(
        "storage", "problem",
        f"{len(damaged)} of {plural(len(keys), 'frame')} damaged: {_some(list(damaged))} ('{first}': {wrong})",
        "remove them; the next render renders them again, the same bit for bit",
        repair=partial(_remove_frames, storage, list(damaged)),
    )  # fmt: skip


def _remove_frames(storage: Storage, keys: Sequence[str]) -> str:
    for key in keys:
        storage.delete(key)
    return f"removed {plural(len(keys), 'damaged frame')}: render again to have them back"


def _some(things: Sequence[object]) -> str:
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return ", ".join(map(str, things[:SHOWN])) + more
