"""A render job on a disk that runs full: what does not fit fails in plain words, and nothing half-written is left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.full_disk import full_disk_command
from tests.helpers.render_jobs import frame_objects, quick_row, render, write_manifest
from tests.helpers.root import ROOT

BIG = quick_row("big", "a castle", width=256, height=256, steps_first=1)
ROWS = [quick_row("apple"), BIG]


def run_on_full_disk(how: str, folder: Path, manifest: str) -> dict[str, Any]:
    """What `tests.helpers.full_disk` saw, in a process (and, for a true disk, a namespace) of its own."""
    folder.mkdir()
    command = [*(full_disk_command() if how == "disk" else ()), sys.executable, "-m", "tests.helpers.full_disk"]
    done = subprocess.run(
        [*command, how, str(folder), manifest], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_manifest(tmp_path_factory.mktemp("rows") / "m.parquet", ROWS)


@pytest.fixture(scope="module")
def whole(manifest: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of all frame objects, as they come out where there is room."""
    output = str(tmp_path_factory.mktemp("roomy"))
    assert render(manifest, output).complete
    return {key: hashlib.sha256(data).hexdigest() for key, data in frame_objects(output).items()}


@pytest.mark.parametrize("how", ["disk" if full_disk_command() else "limit"])  # one of them is always possible
def test_a_full_disk_costs_what_does_not_fit_and_nothing_else(
    tmp_path: Path, how: str, manifest: str, whole: dict[str, str]
) -> None:
    folder = tmp_path / "small disk"

    seen = run_on_full_disk(how, folder, manifest)

    output = folder / "out"
    kind, message, remedy = seen["replace"]
    assert (kind, message) == ("StorageUnavailable", f"no space left on the disk of '{output}/old'")
    assert "free space" in remedy
    assert seen["old"] == "old"
    assert seen["put_file"] == ["StorageUnavailable", f"no space left on the disk of '{output}/new/1'", remedy]

    first = seen["first"]
    assert (first["apple"]["done"], first["apple"]["kinds"]) == (True, [])
    assert (first["big"]["done"], first["big"]["kinds"]) == (False, ["storage"] * 2)
    assert f"no space left on the disk of '{output}/big/frames/000000-" in first["big"]["reason"]
    assert remedy in first["big"]["reason"]
    names = set(seen["files"])
    assert not [name for name in names if name.rpartition("/")[2].startswith(".")], "no temporary file is left"
    assert "new/1" not in names
    assert {name for name in names if "/frames/" in name} == {name for name in whole if name.startswith("apple/")}
    assert len([name for name in names if name.startswith("big/failures/")]) == 2, "and the record says so"

    assert {video: state["done"] for video, state in seen["second"].items()} == {"apple": True, "big": True}
    after = seen["files after"]
    assert {name: digest for name, digest in after.items() if "/frames/" in name} == whole
    assert {name: after[name] for name in names if name.startswith("apple/")} == {
        name: digest for name, digest in seen["files"].items() if name.startswith("apple/")
    }
