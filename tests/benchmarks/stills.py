"""Planning of stills that are alike, beside the same rows one by one: see `bench_scale stills`."""

from __future__ import annotations

import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import InfraSettings
from manifests.parquet.settings import RowKinds
from renderers.registry import Registry
from renderers.word_table import read_words

__all__ = ["stills"]

ACTORS = 64
WORDS, SIZES = 3000, (64, 128, 256)
ONE_BY_ONE = 5000


class _Planned(NamedTuple):
    seconds: float
    processor: float
    megabytes: float
    chunks: int
    stills: int


def stills(rows: int) -> None:
    """Print what planning so many stills takes, and how many times as long a still takes by itself, in turns."""
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        many, few = (_manifest(Path(folder) / f"{count}.parquet", count) for count in (rows, min(rows, ONE_BY_ONE)))
        found = {}
        for name, manifest in (("before", few), ("together", many), ("after", few)):
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                planned: _Planned = alone.apply(_plan, (manifest, f"{folder}/out", name == "together"))
            found[name] = planned
    it = found["together"]
    print(f"{it.stills:,} stills: planned in {it.seconds:.1f} s, {it.processor:.1f} s of a processor, cut into "
          f"{it.chunks} chunks, {it.megabytes:.0f} MB at its greatest", flush=True)  # fmt: skip
    each = [1e6 * run.processor / run.stills for run in (found["before"], it, found["after"])]
    print(f"a still: {each[1]:.0f} microseconds of a processor; one by one, {found['before'].stills:,} of them, "
          f"{each[0]:.0f} before that and {each[2]:.0f} after it: {(each[0] + each[2]) / 2 / each[1]:.1f} times as "
          "many", flush=True)  # fmt: skip


def _manifest(path: Path, rows: int) -> str:
    """So many stills of a few sizes, each with a prompt and a seed of its own."""
    perceptor = Registry().entry("embedded").perceptors[0]
    words = read_words(perceptor.path / str(perceptor.known_words)).words[:WORDS]
    chance = random.Random(0)
    table = pa.table(
        {
            "video_id": [f"still-{number:07d}" for number in range(rows)],
            "prompt": [" ".join(chance.choices(words, k=chance.randint(3, 12))) for _ in range(rows)],
            "seed": list(range(rows)),
            "width": [chance.choice(SIZES) for _ in range(rows)],
            "steps_first": [60] * rows,
        }
    )
    pq.write_table(table, path)
    return str(path)


def _plan(manifest: str, output: str, together: bool) -> _Planned:
    if not together:
        RowKinds.rows = lambda *_: None  # type: ignore[method-assign]
    began, spent = time.perf_counter(), time.process_time()
    job = RenderJob(RenderParameters(manifest, output), InfraSettings())
    job.read(write=False)
    chunks = len(job.chunks(ACTORS))
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    if job.problems or job.refused:
        raise RuntimeError(f"rows were refused: {job.problems[:1]} {job.refused[:1]}")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return _Planned(seconds, processor, megabytes, chunks, len(job.runs))
