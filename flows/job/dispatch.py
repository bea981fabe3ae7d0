"""The one loop that drives a job: chunks begin in the planner's order, each once what it starts from is there and an
actor is near; videos are stitched as they become whole.

It knows no Prefect. A flow run gives a `submit` that makes task runs; tests, the chaos job and a notebook need none:

    job = RenderJob(RenderParameters("night.parquet", "out"), InfraSettings())
    job.read()
    run_job(job, LocalPool(job.output))
    print(job.complete, job.frames_missing)
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from flows.job.chunk_runner import ChunkCounts, ChunkRunner
from flows.job.events import FailureLog, JobEvents
from flows.job.job import RenderJob
from flows.job.measuring import JobMeasures
from flows.job.publishing import Publisher
from flows.job.stitching import Published
from flows.planning.chunks import Chunk
from flows.planning.order import Schedule
from infra.workers.pool import Pool

__all__ = ["ChunkRun", "Dispatched", "Host", "StitchRun", "Submit", "Submitted", "dispatch", "plain_threads", "run_job"]

# Threads wait for workers, so there may be many more of them than cores: two for each actor, and those that encode.
MAX_THREADS = 1024
TICK_SECONDS = 1.0


@dataclass(frozen=True)
class ChunkRun:
    """One chunk to be rendered: call it, in any thread."""

    name: str
    chunk: Chunk
    turn: int
    job: RenderJob
    runner: ChunkRunner

    def __call__(self) -> ChunkCounts:
        """Run the chunk to its end; see `ChunkRunner.run`."""
        return self.runner.run(self.chunk, self.turn)


@dataclass(frozen=True)
class StitchRun:
    """One video to be stitched: call it, in any thread."""

    name: str
    video: str
    job: RenderJob
    publisher: Publisher

    def __call__(self) -> Published | None:
        """Publish the video; see `Publisher.stitch`."""
        return self.publisher.stitch(self.job.runs[self.video])


class Submitted(Protocol):
    """What a `submit` returns: a future of the standard library, of Prefect, or another."""

    def add_done_callback(self, callback: Callable[[Any], None], /) -> object:
        """Call `callback` once the run has ended, however it did."""


class Submit(Protocol):
    """Begins a run somewhere, and returns at once."""

    def __call__(self, run: ChunkRun | StitchRun, /) -> Submitted: ...


@dataclass(frozen=True)
class Dispatched:
    """What a job came to: its `chunks`, and the most `actors` that it had at a time."""

    chunks: tuple[Chunk, ...]
    actors: int


@contextmanager
def plain_threads() -> Iterator[Submit]:
    """Give a `submit` for threads of this process. The first error that a run did not deal with itself is raised at
    the end of the block."""
    futures: list[Future[Any]] = []
    with ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="chunk") as threads:

        def submit(run: ChunkRun | StitchRun) -> Future[Any]:
            futures.append(threads.submit(run))
            return futures[-1]

        yield submit
    for future in futures:
        future.result()


def run_job(
    job: RenderJob, pool: Pool | None = None, submit: Submit | None = None, events: JobEvents | None = None
) -> Dispatched:
    """Render, encode and stitch all that a planned job has to do; return when nothing is left that can be done.

    `pool` may be None if `job.needs_workers` is False; it is its owner's to close. `submit` begins the runs of chunks
    and stitches: as threads of this process (`plain_threads`) unless it is given. What failed is in `job.runs`, and
    heard of through `events`; `job.stop`, `hold` and `go_on` may be called from another thread meanwhile.

    Raises:
        ValueError: the job needs workers, and there is no pool.
    """
    if pool is None and job.needs_workers:
        raise ValueError("the job has frames to render or encode: give it a pool of workers, such as LocalPool(output)")
    if submit is None:
        with plain_threads() as submit:
            return run_job(job, pool, submit, events)
    if pool is not None and not job.pool.done():
        job.pool.set_result(pool)
    host = _JobHost(job, pool, submit, events or JobEvents())
    try:
        done = host.run_once()
        while job.plan_again():
            more = host.run_once()
            done = Dispatched(done.chunks + more.chunks, max(done.actors, more.actors))
    except BaseException:
        job.stop()  # cancelled, or broken: no actor goes on alone
        raise
    finally:
        host.close()
    return done


class Host(Protocol):
    """What `dispatch` asks of whoever runs the chunks."""

    @property
    def over(self) -> bool:
        """Whether no further chunk may begin."""

    @property
    def finishing(self) -> int:
        """How many of the chunks that run need no actor to render with any more."""

    def can_begin(self, chunk: Chunk) -> bool:
        """Return whether the frames are there that a chunk needs."""

    def begin(self, chunk: Chunk, turn: int) -> None:
        """Begin a chunk and return at once; of those that wait for an actor the one with the lowest turn gets it."""

    def wait(self) -> tuple[bool, Chunk | None]:
        """Wait until something changes, or for a moment. Return whether it did, and the chunk that has ended if one
        has."""


def dispatch(chunks: Sequence[Chunk], host: Host, pool: Pool | None) -> int:
    """Have `host` run all chunks, each once what it starts from is there and an actor of `pool` is near. Return the
    most actors that there were at a time: other runs make them fewer, their end more."""
    schedule = Schedule(chunks, host.can_begin)
    running = set[str]()
    actors = 0
    schedule.look()
    while (schedule and not host.over) or running:
        size = pool.size if pool is not None else 0
        actors = max(actors, size)
        # two for each actor: where all end at once, a server that begins 20 task runs a second would keep most waiting.
        while schedule and len(running) - host.finishing <= 2 * size and not host.over:
            turn, chunk = schedule.next(size)
            running.add(chunk.name)
            host.begin(chunk, turn)
        if pool is not None:
            pool.want(len(schedule) + len(running))
        changed, ended = host.wait()
        if ended is not None:
            running.remove(ended.name)
            schedule.ended(ended)
        if changed:
            schedule.look()
            if not schedule and not running:
                schedule.look(all_of_them=True)  # what they wait for has failed: they say so themselves
    return actors


class _JobHost:
    """Runs the chunks of a job on its pool, and stitches its videos as they become whole. Only the thread of `run_job`
    uses it; what other threads have to say is in `_news`."""

    def __init__(self, job: RenderJob, pool: Pool | None, submit: Submit, events: JobEvents) -> None:
        self._job, self._pool, self._submit, self._events = job, pool, submit, events
        self._news: queue.SimpleQueue[Chunk | StitchRun | None] = queue.SimpleQueue()  # None: a frame, for instance
        self._measures = JobMeasures(job, pool)
        failures = FailureLog(job.output, events)
        self._publisher = Publisher(
            job.output, job.settings, job.control, failures, force=job.parameters.force, reading=job.reading
        )
        self._runner = (
            None if pool is None else ChunkRunner(job, pool, self._publisher, failures, partial(self._news.put, None))
        )
        self._stitched = set[str]()
        self._stitching = 0

    def close(self) -> None:
        """Let go of threads."""
        self._measures.close()
        if self._runner is not None:
            self._runner.close()

    def run_once(self) -> Dispatched:
        """Run all that the job's plan of now has to do."""
        job, pool = self._job, self._pool
        self._stitched.clear()
        chunks = job.chunks(pool.capacity, pool.max_batch) if pool is not None else ()
        self._stitch_what_is_whole(set(job.runs))  # segments that an earlier run left behind unstitched
        actors = dispatch(chunks, self, pool)
        while self._stitching:
            self.wait()
        return Dispatched(chunks, actors)

    @property
    def over(self) -> bool:
        return self._job.control.over

    @property
    def finishing(self) -> int:
        return self._runner.finishing if self._runner is not None else 0

    def can_begin(self, chunk: Chunk) -> bool:
        runs = self._job.runs
        if not all(runs[video].has(frame) for video, frame in chunk.parents):
            return False
        return not chunk.needs or runs[chunk.parts[0].video].has_all(chunk.needs)

    def begin(self, chunk: Chunk, turn: int) -> None:
        assert self._runner is not None
        self._follow(self._submit(ChunkRun(chunk.name, chunk, turn, self._job, self._runner)), chunk)

    def wait(self) -> tuple[bool, Chunk | None]:
        news: Chunk | StitchRun | None = None
        try:
            news = self._news.get(timeout=TICK_SECONDS)
            changed = True
        except queue.Empty:
            changed = False
        self._events.tick()
        self._measures.look_now_and_then()
        if self._pool is not None and self._pool.lost and not self._job.stopped:
            self._job.control.lose(self._pool.lost)
            self._pool.stop()  # nobody waits for a worker any more
        if isinstance(news, StitchRun):
            self._stitching -= 1
            return changed, None
        if news is not None:
            self._stitch_what_is_whole({part.video for part in news.parts})
        return changed, news

    def _stitch_what_is_whole(self, videos: set[str]) -> None:
        for video in videos - self._stitched:
            if self._job.runs[video].ready_to_stitch:
                self._stitched.add(video)
                run = StitchRun(f"{video} stitch", video, self._job, self._publisher)
                self._stitching += 1
                self._follow(self._submit(run), run)

    def _follow(self, submitted: Submitted, what: Chunk | StitchRun) -> None:
        submitted.add_done_callback(lambda _: self._news.put(what))
