"""Hearing what an operator does to a flow run from the UI while it renders or trains.

Prefect ends the process of a cancelled run itself, if the run came from a deployment whose runner lives; a run that was
started by hand, or whose runner is gone, would render on. And nothing tells a running flow that it was paused: task
runs change their states on the client's side [read in Prefect 3.8.8]. So the run asks for its own state.

Prefect's form for Suspend asks for a timeout, 300 s if nothing is written, after which the run is Failed: "never
resumed". A suspended run of ours holds nothing and loses nothing, so it waits until somebody presses Resume, however
long.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Protocol
from uuid import UUID, uuid4

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.logging import get_logger
from prefect.states import Suspended

from flows.orchestration.cancelled import WORDS

__all__ = ["RunWatch", "Watched", "leave", "watching"]

SECONDS = 2.0  # between two looks: cancelling must take less than ten
WAITS = "Waits for Resume, however long: the timeout of the form for Suspend does not end it. What is rendered is kept"
LABEL = "nightreel.process"  # the process that has the run: the last one that began it


class Watched(Protocol):
    """The work of a flow run, as far as an operator can touch it: a job that renders, or a training."""

    def stop(self) -> None:
        """End it between two steps; it goes on from storage, or from its checkpoint, another time."""

    def hold(self) -> None:
        """Begin nothing new until `go_on`."""

    def go_on(self) -> None:
        """Begin new work again."""


class RunWatch:
    """What was done to the flow run so far. `ended` is the state that put an end to it, if one did; `lost` says that
    the run is no longer this process's: it was taken for dead, or another process has begun it again."""

    def __init__(self, work: Watched) -> None:
        self._work = work
        self.process = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.ended: State | None = None
        self.lost = False
        self.identity = UUID(runtime.flow_run.id)

    def look(self, run: FlowRun) -> None:
        """Do what the run's state says."""
        state = run.state
        if state is None:
            return
        self.lost = state.is_final() or run.labels.get(LABEL, self.process) != self.process
        if self.lost or state.is_cancelling() or is_suspended(state):
            self.ended = state
            self._work.stop()
        elif state.is_paused():
            self._work.hold()
        else:
            self._work.go_on()

    def is_cancelled(self) -> bool:
        """Whether a person has cancelled the run; asks the server, which this watch may not have seen say so yet."""
        if self.ended is None:
            try:
                with get_client(sync_client=True) as client:
                    self.look(client.read_flow_run(self.identity))
            except Exception as error:  # a server that is being stopped too says nothing
                get_logger("nightreel").debug("the run's state can't be read: %s", error)
        return self.ended is not None and not self.lost and self.ended.is_cancelling()


def is_suspended(state: State) -> bool:
    """Whether the run is to end its process, and to begin another one when it is resumed."""
    return state.is_paused() and bool(state.state_details.pause_reschedule)


def leave(how: str = "suspended") -> None:
    """Tell the server that the process of this flow run ends, with its run suspended or waiting. Its last heartbeat,
    which may have come after the change of state, is otherwise taken for the last sign of life of a dead one
    (automations.py)."""
    emit_event(
        f"prefect.flow-run.left-{how}", resource={"prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}"}
    )


@contextmanager
def watching(work: Watched) -> Iterator[RunWatch]:
    """Watch the flow run of this thread's context until the block ends."""
    over = threading.Event()
    watch = RunWatch(work)

    def look() -> None:
        client: SyncPrefectClient | None = None
        claimed = False
        logger = get_logger("nightreel")
        while not over.wait(SECONDS):
            try:
                if client is None:
                    client = get_client(sync_client=True)
                    if not claimed:
                        client.update_flow_run_labels(watch.identity, {LABEL: watch.process, WORDS: ""})
                        claimed = True
                run = client.read_flow_run(watch.identity)
                if run.state is not None and is_suspended(run.state) and run.state.state_details.pause_timeout:
                    client.set_flow_run_state(watch.identity, Suspended(message=WAITS), force=True)
                watch.look(run)
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
