"""A disk that is full, for tests; and a render job on it.

`full_disk_command()` gives what a program must be started with so that it may mount a small tmpfs of its own: a
mount namespace, with a user namespace where the tests are not root's. Where neither is allowed (most containers), a
limit on the size of files stands in: the same write fails in the same place, as EFBIG instead of ENOSPC.

Run as `python -m tests.helpers.full_disk HOW FOLDER MANIFEST` it renders MANIFEST into FOLDER while that is full,
makes room and renders again, and prints as JSON what it saw: the tmpfs is gone with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from flows.job.job import RenderJob
from infra.settings import InfraSettings
from infra.storage.storage import Storage, StorageError
from tests.helpers.render_jobs import render

# Less than the frame of 256 x 256 pixels needs (114 kB), more than everything of one of 32 x 32 (60 kB).
FREE = 96 << 10
_MOUNT = "mount -t tmpfs -o size=4m tmpfs"


@cache
def full_disk_command() -> tuple[str, ...]:
    """What to put before a program that mounts; () where that is not allowed."""
    for command in (("unshare", "-m"), ("unshare", "-Urm")):
        probe = f"d=$(mktemp -d) && {_MOUNT} $d; e=$?; umount $d; rmdir $d; exit $e"
        try:
            done = subprocess.run([*command, "sh", "-c", probe], capture_output=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return command
    return ()


@contextmanager
def full(folder: Path, how: str) -> Iterator[None]:
    """Leaves FREE bytes on the disk of `folder`, or for any single file, until the end."""
    if how == "limit":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FREE, limits[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    filler = folder / ".filler"
    filler.write_bytes(bytes(shutil.disk_usage(folder).free - FREE))
    yield
    filler.unlink()


def files(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".filler"
    }


def _refusal(put: Callable[[], object]) -> list[str]:
    try:
        put()
    except StorageError as error:
        return [type(error).__name__, error.message, error.remedy]
    return ["there was room"]


def _summary(job: RenderJob) -> dict[str, Any]:
    return {
        video: {"done": run.done, "reason": run.reason, "kinds": [failure.kind for failure in run.failures]}
        for video, run in job.runs.items()
    }


def main(how: str, folder: Path, manifest: str) -> dict[str, Any]:
    """The whole story, see the module's docstring."""
    if how != "limit":
        subprocess.run([*_MOUNT.split(), str(folder)], check=True)
    output = str(folder / "out")
    storage = Storage(output)
    storage.put("old", b"old")
    clip = folder.with_name("clip")
    clip.write_bytes(os.urandom(2 * FREE))
    seen: dict[str, Any] = {}
    with full(folder, how):
        seen["replace"] = _refusal(lambda: storage.put("old", os.urandom(2 * FREE), existing="replace"))
        seen["put_file"] = _refusal(lambda: storage.put_file("new/1", clip))
        seen["old"] = storage.read("old").decode()
        seen["first"] = _summary(render(manifest, output, settings=InfraSettings(attempts=2)))
        seen["files"] = files(folder / "out")
    seen["second"] = _summary(render(manifest, output, settings=InfraSettings(attempts=2)))
    seen["files after"] = files(folder / "out")
    return seen


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
