"""What `pip install nightreel` gives a stranger tomorrow: `python -m tests.end_to_end.wheel` (`make test-wheel`).

The wheel is installed with the newest dependencies that pyproject.toml admits into an empty environment outside the
tree. There it renders the demo, is examined by `nightreel doctor`, and starts a night by its schedule. Exit code 0 if
all of it went well; needs a network, and some 7 GB for as long as it runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.test_up_nightly import start_a_night
from tests.helpers import commands
from tests.helpers.commands import Commands
from tests.helpers.root import ROOT

RENDER_SECONDS = 900


def installed(folder: Path) -> None:
    """Put the wheel into an environment below `folder`, and have all commands taken from there."""
    subprocess.run([str(ROOT / "infra" / "setup.sh"), "wheel", str(folder)], check=True)
    bin_folder = folder / ".venv" / "bin"
    commands.NIGHTREEL = bin_folder / "nightreel"
    where = [str(bin_folder / "python"), "-c", "import flows, sys; sys.exit(flows.__file__)"]
    found = subprocess.run(where, cwd=folder, capture_output=True, text=True, check=False).stderr.strip()
    if not found.startswith(str(folder)):
        raise SystemExit(f"the wheel's environment takes the packages from '{found}', not from itself")


def renders_the_demo(folder: Path) -> None:
    manifest = folder / "demo.parquet"
    manifest.write_bytes((ROOT / "manifests" / "demo.parquet").read_bytes())
    run = Commands(folder, {})
    done = run("render", manifest, "--output", folder / "out", seconds=RENDER_SECONDS)
    assert done.code == 0, done.err
    videos = [path for path in (folder / "out").glob("*/video.*") if path.stat().st_size > 1000]
    assert len(videos) == 3, videos
    assert run("status", folder / "out").code == 0


def passes_doctor(folder: Path) -> None:
    done = Commands(folder, {})("doctor", "--output", folder / "out")
    assert done.code == 0, done.out + done.err


def starts_a_night(folder: Path) -> None:
    (folder / "night").mkdir()
    start_a_night(folder / "night")


def main() -> int:
    """Do all of it, and say how each part went."""
    parts: tuple[Callable[[Path], None], ...] = (installed, renders_the_demo, passes_doctor, starts_a_night)
    with tempfile.TemporaryDirectory(prefix="nightreel-wheel-") as name:
        for part in parts:
            print(f"{part.__name__.replace('_', ' ')} ...", flush=True)
            part(Path(name))
    print("the wheel is good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
