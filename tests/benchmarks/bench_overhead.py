"""What the orchestration costs: wall time of `nightreel render`, start-up aside, against pure render time.

    python -m tests.benchmarks.bench_overhead [--actors 1 2] [--frames N] [--runs N]

Pure render time is what the workers themselves measured inside the step loop, summed over frames (`seconds` in
report/frames.parquet) and divided by the number of actors. Start-up (Prefect's server, Ray, loading models) ends when
the first frame is begun. Overhead = (wall - start-up) * actors / render - 1. On a machine with as many actors as cores,
the server and the driver take time from the actors; that slows the frames themselves and is not in this figure.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from manifests.schema import ManifestRow, rows_to_table
from tests.benchmarks.machine import machine


def overhead(actors: int, frames: int) -> float:
    """Render `actors` equal videos of `frames` frames; print and return the share that the report tells."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [ManifestRow(video_id=f"v{i}", prompt="a pizza", frames=frames, seed=i) for i in range(actors)]
        manifest, output = Path(folder) / "m.parquet", Path(folder) / "out"
        pq.write_table(rows_to_table(rows), manifest)
        nightreel = Path(sys.executable).with_name("nightreel")
        command = [nightreel, "render", manifest, "--output", output, "--actors", actors]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        seconds = sum(pq.read_table(output / "report" / "frames.parquet")["seconds"].to_pylist())
        page = (output / "report" / "index.html").read_text()
    # the report computes the same share; it is read from there so that what people see is what is measured
    found = re.search(r"overhead.*?([\d.]+)\s*%", page, re.DOTALL | re.IGNORECASE)
    if found is None:
        raise RuntimeError("the report tells no overhead")
    share = float(found[1]) / 100
    print(f"{actors} actors, {frames} frames each: {seconds:.1f} s of pure rendering, overhead {share:.1%}", flush=True)
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--frames", type=int, default=60, help="60 frames are some two minutes of one actor")
    parser.add_argument("--runs", type=int, default=1)
    chosen = parser.parse_args()
    print(machine())
    for actors in chosen.actors:
        shares = [overhead(actors, chosen.frames) for _ in range(chosen.runs)]
        print(f"{actors} actors: overhead {statistics.median(shares):.1%}, median of {chosen.runs}")


def test_overhead() -> None:
    """For `make bench`."""
    print(f"\n{machine()}")
    assert overhead(1, 60) >= 0


if __name__ == "__main__":
    main()
