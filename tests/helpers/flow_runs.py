"""Flow runs as tests see them, on the real Prefect server of tests/integration/flows/orchestration/conftest.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar
from uuid import UUID, uuid4

__all__ = ["BackgroundRun", "FlowRun", "latest_run", "server", "until"]

T = TypeVar("T")


class FlowRun:
    """One run of a flow, run to its end, and what the server knows about it."""

    def __init__(self, flow: Any, *given: object, **parameters: Any) -> None:
        self.state = flow(*map(str, given), **parameters, return_state=True)
        self.id: UUID = self.state.state_details.flow_run_id

    @property
    def name(self) -> str:
        with server() as client:
            return str(client.read_flow_run(self.id).name)

    @property
    def labels(self) -> dict[str, Any]:
        with server() as client:
            return dict(client.read_flow_run(self.id).labels)

    def task_runs(self, wanted: int) -> dict[str, str]:
        """State name by task run name. The server hears of task runs a moment late, so wait for `wanted` of them."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[self.id]))
        deadline = time.monotonic() + 30
        while True:
            with server() as client:
                runs = client.read_task_runs(flow_run_filter=chosen)
            final = [run for run in runs if run.state is not None and run.state.is_final()]
            if len(final) >= wanted or time.monotonic() > deadline:
                names = {run.name: str(run.state_name) for run in runs}
                assert len(names) == len(runs), "every task run has a name of its own"
                return names
            time.sleep(0.2)

    def artifacts(self) -> dict[str, Any]:
        """The data of the run's artifacts by key, in the order in which both UIs list them; each key is there once."""
        found = self._artifacts()
        assert len({it.key for it in found}) == len(found), "none is of an earlier attempt"
        return {str(it.key): it.data for it in found}

    def descriptions(self) -> dict[str, str]:
        """What the run's artifacts say of themselves, by key."""
        return {str(it.key): str(it.description) for it in self._artifacts()}

    def _artifacts(self) -> list[Any]:
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
        from prefect.client.schemas.sorting import ArtifactSort

        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.id]))
        with server() as client:
            return list(client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.ID_DESC))


def latest_run() -> FlowRun:
    """The flow run that was begun last: of a flow that ended by an exception."""
    from prefect.client.schemas.sorting import FlowRunSort

    with server() as client:
        (found,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    run = FlowRun.__new__(FlowRun)
    run.state, run.id = found.state, found.id
    return run


def again(flow: Any, run: UUID, state: Any) -> Any:
    """Run a flow run once more, in this process, after it was put into `state`; return how it ended."""
    from prefect.flow_engine import run_flow

    with server() as client:
        client.set_flow_run_state(run, state)
        found = client.read_flow_run(run)
    return run_flow(flow, flow_run=found, parameters=found.parameters, return_type="state")


@contextmanager
def server() -> Iterator[Any]:
    """A client of the server that the settings name."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


class BackgroundRun:
    """A run of a flow in a thread, for tests that do something to it meanwhile; use it as a context manager."""

    def __init__(self, flow: Any, *given: object, **parameters: Any) -> None:
        self.state: Any = None
        from prefect.exceptions import Abort, Pause

        name = f"run {uuid4().hex}"

        def run() -> None:
            with suppress(Abort, Pause):  # Pause: of a run that no deployment can begin again
                self.state = flow.with_options(flow_run_name=name)(*map(str, given), **parameters, return_state=True)

        # the settings of this thread's server travel in its context
        self._thread = threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
        self._name = name

    def __enter__(self) -> BackgroundRun:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(120)

    def id(self, seconds: float = 60) -> UUID:
        """The run's id, once the server knows it."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

        chosen = FlowRunFilter(name=FlowRunFilterName(any_=[self._name]))

        def found() -> Any:
            with server() as client:
                return client.read_flow_runs(flow_run_filter=chosen)

        return UUID(str(until(found, seconds)[0].id))

    def over(self, seconds: float) -> Any:
        """The state that the run ended in."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the run did not end within {seconds:.0f} s"
        return self.state


def until(look: Callable[[], T], seconds: float) -> T:
    """What `look` gives once it gives something true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(0.1)
    return seen
