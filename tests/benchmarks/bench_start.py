"""How long it takes until something happens: the command line, a preview, the first frame of a job, the whole demo.

    python -m tests.benchmarks.bench_start [--rounds 5] [--renders 1] [--tree CHECKOUT] [--only help plan]

Prints, of each, the seconds that a person waits and those that processors work, of the command and of all processes
that it starts, the medians of several rounds in turns. On a machine that does other things only the latter mean much,
and grow with its load as well (shared caches). `--tree` has another checkout's code run with this environment's
packages.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.machine import machine
from tests.helpers.root import ROOT

MARK = "NIGHTREEL_BENCH_START"  # by which the processes of a command are known, in their environment
TICKS = os.sysconf("SC_CLK_TCK")
COMMANDS = ("help", "plan", "status", "manifest", "preview", "render")
#: What issue 26 asks for on an idle machine, in seconds.
GOALS = {"help": 0.7, "plan": 2.0, "status": 2.0, "preview": 7.0, "first frame": 14.0, "render": 42.0}


@dataclass(frozen=True)
class Took:
    """Seconds until then: of the clock, and of processors."""

    wall: float
    work: float


class Descendants:
    """What the processes of a command have worked so far. A process that ended counts with what it was last seen with:
    they are looked at four times a second."""

    def __init__(self, mark: str) -> None:
        self._mark, self._seen = f"{MARK}={mark}".encode(), dict[tuple[int, str], float]()
        self._known = dict[tuple[int, str], bool]()

    def look(self) -> float:
        """Seconds of processors, of all of them."""
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                stat = (folder / "stat").read_text().rpartition(") ")[2].split()
                who = int(folder.name), stat[19]  # a number may be given to another process; not at the same moment
                if who not in self._known:
                    self._known[who] = self._mark in (folder / "environ").read_bytes().split(b"\0")
            except OSError:  # it ended meanwhile, or is another user's
                continue
            if self._known[who]:
                self._seen[who] = (int(stat[11]) + int(stat[12])) / TICKS
        return sum(self._seen.values())


def run(tree: Path, *arguments: str, first: Callable[[], bool] | None = None) -> tuple[Took, Took | None]:
    """Run a command to its end; gives what it took, and what it had taken when `first` came true."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, MARK: mark, "PYTHONPATH": str(tree)}
    for name in ("PREFECT_API_URL", "NIGHTREEL_RAY_ADDRESS", "RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    look, began, then = Descendants(mark), time.perf_counter(), None
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    child = subprocess.Popen(
        command, env=environment, cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(child.stderr or ()))
    reader.start()
    while child.poll() is None:
        if first is not None:
            work = look.look()
            if then is None and first():
                then = Took(time.perf_counter() - began, work)
            time.sleep(0.25)
        else:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            reader.join()
            took = Took(time.perf_counter() - began, used.ru_utime + used.ru_stime)
            break
    else:
        reader.join()
        took = Took(time.perf_counter() - began, look.look())
    if child.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(arguments)} ended with {child.returncode}: {''.join(said)[-2000:]}")
    return took, then


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        yield Path(folder)


def measure(what: str, tree: Path) -> dict[str, Took]:
    """One round of a command."""
    demo = str(tree / "manifests" / "demo.parquet")
    with _folder() as folder:
        out = folder / "out"
        if what == "render":
            whole, first = run(tree, "render", demo, "-o", str(out), first=lambda: any(out.glob("*/frames/*.png")))
            return {"render": whole} | ({} if first is None else {"first frame": first})
        arguments = {
            "help": ("--help",),
            "plan": ("plan", demo, "-o", str(out)),
            "status": ("status", str(out)),  # of an output that there is not: the rest is reading
            "manifest": ("manifest", "validate", demo),
            "preview": ("preview", "a red apple", "-o", str(folder / "apple.png"), "--seed", "3"),
        }[what]
        return {what: run(tree, *arguments)[0]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--renders", type=int, default=1)
    options.add_argument("--tree", type=Path, nargs="+", default=[ROOT], help="several: in turns")
    options.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    given = options.parse_args()
    print(machine(), flush=True)
    trees = [tree.absolute() for tree in given.tree]
    for tree in trees:  # what was never imported is compiled, and read from the disk
        for what in given.only:
            if what != "render":
                measure(what, tree)
    for what in given.only:
        found: dict[tuple[Path, str], list[Took]] = {}
        for _ in range(given.renders if what == "render" else given.rounds):
            for tree in trees:
                for name, took in measure(what, tree).items():
                    found.setdefault((tree, name), []).append(took)
        for (tree, name), took in found.items():
            of = f" ({tree.name})" if len(trees) > 1 else ""
            goal = f", goal {GOALS[name]} s on an idle machine" if name in GOALS else ""
            wall, work = (statistics.median(getattr(it, of_it) for it in took) for of_it in ("wall", "work"))
            print(f"{name}{of}: {wall:.2f} s, processors {work:.2f} s ({len(took)} rounds{goal})", flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
