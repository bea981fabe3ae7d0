"""Hearing what an operator does to a flow run from the UI while its job renders.

Prefect ends the process of a cancelled run itself, if the run came from a deployment whose runner lives; a run that was
started by hand, or whose runner is gone, would render on. And nothing tells a running flow that it was paused: task
runs change their states on the client's side [read in Prefect 3.8.8]. So the run asks for its own state.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from uuid import UUID, uuid4

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging import get_logger

from flows.job.job import RenderJob

__all__ = ["RunWatch", "watching"]

SECONDS = 2.0  # between two looks: cancelling must take less than ten
LABEL = "nightreel.process"  # the process that has the run: the last one that began it


class RunWatch:
    """What was done to the flow run so far. `ended` is the state that put an end to it, if one did; `lost` says that
    the run is no longer this process's: it was taken for dead, or another process has begun it again."""

    def __init__(self, job: RenderJob) -> None:
        self._job = job
        self.process = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.ended: State | None = None
        self.lost = False

    def look(self, run: FlowRun) -> None:
        """Do what the run's state says."""
        state = run.state
        if state is None:
            return
        self.lost = state.is_final() or run.labels.get(LABEL, self.process) != self.process
        suspended = state.is_paused() and state.state_details.pause_reschedule
        if self.lost or state.is_cancelling() or suspended:
            self.ended = state
            self._job.stop()
        elif state.is_paused():
            self._job.hold()
        else:
            self._job.go_on()


@contextmanager
def watching(job: RenderJob) -> Iterator[RunWatch]:
    """Watch the flow run of this thread's context until the block ends."""
    over = threading.Event()
    identity, watch = UUID(runtime.flow_run.id), RunWatch(job)

    def look() -> None:
        client: SyncPrefectClient | None = None
        claimed = False
        logger = get_logger("nightreel")
        while not over.wait(SECONDS):
            try:
                if client is None:
                    client = get_client(sync_client=True)
                    if not claimed:
                        client.update_flow_run_labels(identity, {LABEL: watch.process})
                        claimed = True
                watch.look(client.read_flow_run(identity))
            except Exception as error:  # a server that restarts must not end a night
                logger.debug("the run's state can't be read: %s", error)
                client = None
            if watch.ended is not None:
                return

    # in this thread's context: it holds which server is meant, and Prefect would start another one for lack of it
    thread = threading.Thread(target=copy_context().run, args=(look,), name="run watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
