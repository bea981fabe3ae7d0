"""What the orchestration costs: wall time of `nightreel render`, start-up aside, against pure render time.

    python -m tests.benchmarks.bench_overhead [--actors 1 2] [--frames N] [--runs N]

The job: two equal videos an actor, of so many frames that rendering takes about two minutes on one core that does
nothing else. What is printed of each run:

    start-up   from the command's start until the first frame is begun: Prefect's server, Ray, loading the models
    render     what the actors measured inside the frame loop, summed over all frames (`seconds` in
               report/frames.parquet), divided by the number of actors: the time that no orchestration could save
    work       from the first frame's beginning until the report lies in storage: rendering, commits, segments,
               stitches, contact sheets, the report
    ending     from the report until the command has ended: Ray and the server go away
    overhead   work / render - 1
    with end   (work + ending) / render - 1: wall time minus start-up, to the last moment
    report     the overhead as the job's own report tells it, which knows nothing of what comes after it

Taken from outside: the clock of this process, and the times of the files. On a machine with as many actors as cores
the server and the driver take time from the actors; that slows the frames themselves and is not in these figures. An
actor that has nothing left to do while another still renders counts as overhead.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from manifests.schema import ManifestRow, rows_to_table
from tests.benchmarks.machine import machine

VIDEOS_PER_ACTOR = 2
LIMIT = 0.05  # what the main job was asked to keep to


@dataclass(frozen=True)
class Overhead:
    """One run, in seconds; see the module's text."""

    actors: int
    frames: int
    start_up: float
    render: float
    work: float
    ending: float
    report: str

    @property
    def share(self) -> float:
        """Overhead until the report lies in storage."""
        return self.work / self.render - 1

    @property
    def share_with_end(self) -> float:
        """Overhead until the command has ended."""
        return (self.work + self.ending) / self.render - 1

    def __str__(self) -> str:
        return (
            f"{self.actors} actors, {self.frames} frames: start-up {self.start_up:.1f} s, render {self.render:.1f} s, "
            f"work {self.work:.1f} s, ending {self.ending:.1f} s; overhead {self.share:.1%}, with end "
            f"{self.share_with_end:.1%}, report {self.report}"
        )


def overhead(actors: int, frames: int) -> Overhead:
    """Render videos of `frames` frames with `actors` actors, in processes of their own, and print the run."""
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        rows = [
            ManifestRow(video_id=f"v{i}", prompt="a pizza", frames=frames, seed=i, zoom="1.01", angle="1")
            for i in range(VIDEOS_PER_ACTOR * actors)
        ]
        manifest, output = Path(folder) / "bench.parquet", Path(folder) / "out"
        pq.write_table(rows_to_table(rows), manifest)
        nightreel = Path(sys.executable).with_name("nightreel")
        command = [nightreel, "render", manifest, "--output", output, "--actors", actors, "--json"]
        began = time.time()
        ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        over = time.time()
        if ended.returncode:
            raise RuntimeError(f"nightreel render ended with {ended.returncode}: {ended.stderr[-2000:]}")
        rendered = json.loads(ended.stdout)["rendered"]
        table = pq.read_table(output / "report" / "frames.parquet").to_pylist()
        if not rendered == len(table) == frames * len(rows):
            raise RuntimeError(f"{frames * len(rows)} frames wanted, {rendered} rendered, {len(table)} in the report")
        seconds = {(frame["video_id"], frame["frame"]): frame["seconds"] for frame in table}
        # a frame's file is as old as its commit, which follows its rendering within milliseconds
        first = min(
            path.stat().st_mtime - seconds[path.parents[1].name, int(path.name.split("-")[0])]
            for path in output.glob("*/frames/*.png")
        )
        page = output / "report" / "index.html"
        published = page.stat().st_mtime
        text = html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))
        stated = re.search(r"overhead\s+([\d.,<]+\s*%)", text)
    run = Overhead(
        actors, rendered, first - began, sum(seconds.values()) / actors, published - first, over - published,
        stated[1] if stated else "states none",
    )  # fmt: skip
    print(run, flush=True)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--frames", type=int, default=60, help=f"of each video, {VIDEOS_PER_ACTOR} an actor")
    parser.add_argument("--runs", type=int, default=1)
    chosen = parser.parse_args()
    print(machine())
    for actors in chosen.actors:
        runs = [overhead(actors, chosen.frames) for _ in range(chosen.runs)]
        share = statistics.median(run.share for run in runs)
        with_end = statistics.median(run.share_with_end for run in runs)
        print(f"{actors} actors: overhead {share:.1%}, with end {with_end:.1%}, median of {chosen.runs}", flush=True)


def test_overhead() -> None:
    """For `make bench`."""
    print(f"\n{machine()}")
    assert overhead(1, 60).share <= LIMIT


if __name__ == "__main__":
    main()
