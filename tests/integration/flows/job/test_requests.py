"""What people ask of a run that is under way: it is heard through storage, carried out, and answered for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.job import run_documents
from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.run_documents import RunDocuments, RunIdentity, documenting
from flows.runs.record import RequestOutcome, RunRequest, RunState
from flows.runs.stored import put_request, read_state
from infra.storage.layout import run_request_key
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from tests.helpers.render_jobs import planned, quick_row, write_manifest


class _Prioritised(LocalPool):
    """Notes what it is asked for."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.priorities: list[int] = []

    def prioritise(self, priority: int) -> None:
        self.priorities.append(priority)


@dataclass
class Underway:
    """A job that renders two long videos with two workers."""

    job: RenderJob
    pool: _Prioritised
    documents: RunDocuments
    asked: list[str] = field(default_factory=list)

    def ask(self, kind: str, worker: str = "", priority: int | None = None) -> RequestOutcome:
        """Ask for something, and wait for the answer."""
        stamp = f"{len(self.asked):06d}"
        self.asked.append(stamp)
        request = RunRequest(
            schema=1, run=self.documents.run, kind=kind, worker=worker, priority=priority, asked=datetime.now(UTC)
        )
        put_request(self.job.output, request, stamp)
        return self.wait(lambda state: next((it for it in state.requests if it.stamp == stamp), None))

    def wait(self, look: Callable[[RunState], Any]) -> Any:
        """Wait until the state in storage shows something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            state = read_state(self.job.output, self.documents.run)
            if state is not None and (found := look(state)):
                return found
            time.sleep(0.05)
        raise AssertionError("never seen")


@pytest.fixture
def underway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Underway]:
    monkeypatch.setattr(run_documents, "STATE_SECONDS", 0.2)
    rows = [quick_row(name, "a fish", frames=400, steps=8) for name in ("one", "two")]
    job = planned(write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"))
    pool = _Prioritised(Storage(str(tmp_path / "out")), size=2)
    job.pool.set_result(pool)
    with documenting(job, RunIdentity("render-manifest")) as documents, _running(job, pool):
        yield Underway(job, pool, documents)


@contextmanager
def _running(job: RenderJob, pool: LocalPool) -> Iterator[None]:
    thread = threading.Thread(target=run_job, args=(job, pool))
    thread.start()
    try:
        yield
    finally:
        job.stop()
        thread.join(60)


def test_a_worker_is_drained_while_it_renders_and_allowed_again(underway: Underway) -> None:
    first, second = underway.pool.names
    underway.wait(lambda state: {it.state for it in state.workers} == {"rendering"})
    assert underway.ask("drain", first).refused == ""
    underway.wait(lambda state: any((it.worker, it.state) == (first, "drained") for it in state.workers))
    underway.wait(lambda state: any((it.worker, it.busy) == (second, True) for it in state.workers))
    assert underway.ask("drain", first).refused == "it is starting, or leaves already"
    assert underway.ask("allow", first).refused == ""
    underway.wait(lambda state: any((it.worker, it.state) == (first, "rendering") for it in state.workers))
    assert underway.ask("allow", first).refused == "it is neither quarantined nor drained"


def test_a_quarantined_worker_says_so_and_is_let_out(underway: Underway) -> None:
    first, second = underway.pool.names
    underway.wait(lambda state: state.rendered)
    attempts = underway.job.attempts
    assert attempts is not None
    for frame in range(3):  # what it failed, and the other one could do
        attempts._records.failed(first, "other", frame)
        attempts._records.rendered(second, "other", frame)
    underway.wait(lambda state: any((it.worker, it.state) == (first, "quarantined") for it in state.workers))
    assert underway.ask("allow", first).refused == ""
    underway.wait(lambda state: all(it.state != "quarantined" for it in state.workers))


def test_the_priority_changes_while_the_run_lives(underway: Underway) -> None:
    assert underway.ask("priority", priority=42).refused == ""
    assert underway.pool.priorities == [42]
    underway.wait(lambda state: state.priority == 42)
    assert underway.ask("priority").refused == "no priority is named"


def test_what_can_not_be_done_is_refused_with_the_reason(underway: Underway) -> None:
    assert underway.ask("drain", "nobody").refused == "there is no worker 'nobody' any more"
    assert "can't be restarted" in underway.ask("restart", underway.pool.names[0]).refused
    underway.job.output.put(run_request_key(underway.documents.run, "strange"), b'{"kind": "explode"}')
    assert underway.ask("priority", priority=1).refused == "", "what is none of ours is passed over"


def test_each_request_is_carried_out_once(underway: Underway) -> None:
    underway.ask("priority", priority=7)
    underway.ask("priority", priority=8)
    time.sleep(1.0)
    assert underway.pool.priorities == [7, 8]
