"""A manifest that is rendered in parts: runs of their own, and the one that began them, which tells how all ended.

That one is nobody's process and holds no place in its work pool while the parts render: it is scheduled, as
`AwaitingParts`, and is begun again by the part that ends last (or after some minutes, if that one died). So runs that
split can't keep each other from rendering, however few places there are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import State, get_run_logger, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry, Completed, Failed, Scheduled

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.job.parts_outcome import Ended, outcome_of_parts, parts_markdown
from flows.orchestration.artifacts import create_summary, remove_artifacts
from flows.orchestration.sealed import sealed
from flows.orchestration.watch import leave
from infra.settings import load_settings
from manifests.schema.texts import plural
from renderers.errors import BadInput

__all__ = ["WAITS", "part_ended", "split"]

#: The state of a run whose parts are rendered. Prefect calls late what is `Scheduled`, and this never.
WAITS = "AwaitingParts"
RENDER = "render-manifest/render-manifest"
MOST_PARTS = 500  # each is a run of which Prefect keeps rows, and a process that reads the whole manifest
LOOK = timedelta(minutes=5)
# In which the part that has its beginner begun again gets its own final state.
SETTLE_SECONDS = 20.0
# In which the server's automation starts a crashed run again.
CRASH = timedelta(minutes=1)
PAGE = 200
# The label of a run that has begun parts: which of them count, "<videos in each>/<how many>".
CUT = "nightreel.parts"
# What happens to a run that waits to be begun, whatever for.
_IN_BETWEEN = {"Late", "NotBegun", "AwaitingConcurrencySlot"}


def split(parameters: RenderParameters) -> State[Any] | None:
    """Render the manifest in parts, where this is a deployment's run and it has too many videos for one; return how
    that ended. None: it is to be rendered here.

    Raises:
        Abort: its parts are not over yet; the run is scheduled, and begun again once they are.
        BadInput: it would be too many parts.
        ManifestError, ObjectMissing, StorageError: the manifest can't be read.
    """
    if parameters.part is not None or runtime.deployment.id is None:
        return None
    mine = UUID(runtime.flow_run.id)
    with get_client(sync_client=True) as client:
        parts = _parts(client, mine)
        if not parts or _begins(client, mine):
            parts = _begun(client, mine, parameters)
            if not parts:
                return None
        parts, over = _settled(client, mine, parts)
        if over < len(parts):
            _leave(client, mine, f"{over} of {plural(len(parts), 'part')} over; holds no place meanwhile")
    return _concluded(parameters, parts)


@contextmanager
def part_ended() -> Iterator[None]:
    """Of a run that renders a part: have the run that began it begun again, once all of its parts are over."""
    try:
        yield
    finally:
        beginner = runtime.flow_run.parent_flow_run_id if runtime.flow_run.parameters.get("part") else None
        if beginner is not None:
            try:
                _wake(UUID(beginner), UUID(runtime.flow_run.id))
            except Exception:  # a server that is being stopped: it looks for itself
                logging.getLogger("nightreel").debug("the run that began this part was not told", exc_info=True)


def _wake(beginner: UUID, mine: UUID) -> None:
    with get_client(sync_client=True) as client:
        if all(_over(part) for part in _parts(client, beginner) if part.id != mine):
            found = client.read_flow_run(beginner)
            if found.state is not None and found.state.name == WAITS:
                # as if it had waited all the time: before runs that came later
                _schedule(client, beginner, found.expected_start_time or datetime.now(UTC), found.state.message or "")


def _parts(client: SyncPrefectClient, beginner: UUID) -> list[FlowRun]:
    """The runs of the parts that a run has begun, in the order of the parts; once it has cut a manifest anew, those of
    the latest cut."""
    most, _, many = str(client.read_flow_run(beginner).labels.get(CUT, "")).partition("/")
    chosen = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[beginner]))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=chosen, limit=PAGE, offset=len(found)):
        found += page
        if len(page) < PAGE:
            break
    counts = [
        run
        for run in found
        if not many or (str(run.parameters.get("videos_per_run")) == most and 0 < _number(run) <= int(many))
    ]
    return sorted(counts, key=_number)


def _number(run: FlowRun) -> int:
    return int(run.parameters.get("part") or 0)


def _begins(client: SyncPrefectClient, mine: UUID) -> bool:
    """Whether this is no look at the parts, but a first attempt, or a Retry: then all of them are begun again."""
    states = sorted(client.read_flow_run_states(mine), key=lambda state: state.timestamp, reverse=True)
    waiting = (it for it in states if it.type is StateType.SCHEDULED and it.name not in _IN_BETWEEN)
    last = next(waiting, None)
    return last is None or last.name != WAITS


def _begun(client: SyncPrefectClient, mine: UUID, parameters: RenderParameters) -> list[FlowRun]:
    """Begin a run for each part, or begin it again where it has ended; none where the manifest is rendered whole."""
    settings = load_settings()
    most = parameters.videos_per_run or settings.videos_per_run
    job = RenderJob(parameters, settings)
    job.confine()
    many = job.parts(most)
    if many <= 1:
        return []
    if many > MOST_PARTS:
        raise BadInput(
            f"'{parameters.manifest}' would be {many:,} runs of up to {plural(most, 'video')}; at most {MOST_PARTS} "
            "are allowed: give a larger videos_per_run, or split the manifest"
        )
    client.update_flow_run_labels(mine, {CUT: f"{most}/{many}"})
    me = client.read_flow_run(mine)
    given = {name: value for name, value in asdict(parameters).items() if value is not None}
    for part in range(1, many + 1):
        run: FlowRun = run_deployment(  # type: ignore[assignment]  # in async code it would be a coroutine
            RENDER, parameters={**given, "videos_per_run": most, "part": part}, timeout=0,
            idempotency_key=f"{mine}-{most}-{part}", tags=["nightreel", "render", "part"],
            work_queue_name=me.work_queue_name, job_variables=me.job_variables or None,
        )  # fmt: skip
        if run.state is not None and run.state.is_final():
            client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    get_run_logger().info("%d parts of up to %s each are runs of their own", many, plural(most, "video"))
    return _parts(client, mine)


def _settled(client: SyncPrefectClient, mine: UUID, parts: list[FlowRun]) -> tuple[list[FlowRun], int]:
    """The parts, and how many of them are over; the last one is given a moment, since it is what has had us look."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        over = sum(map(_over, parts))
        if over != len(parts) - 1 or time.monotonic() > until:
            return parts, over
        time.sleep(1.0)
        known = {part.id: part for part in _parts(client, mine)}
        parts = [known.get(part.id, part) for part in parts]


def _over(run: FlowRun) -> bool:
    state = run.state
    if state is None or not state.is_final():
        return False
    return not state.is_crashed() or state.timestamp < datetime.now(UTC) - CRASH


def _leave(client: SyncPrefectClient, mine: UUID, message: str) -> None:
    _schedule(client, mine, datetime.now(UTC) + LOOK, message)
    leave("waiting")
    raise Abort(f"waits for its parts: {message}")


def _schedule(client: SyncPrefectClient, run: UUID, when: datetime, message: str) -> None:
    client.set_flow_run_state(run, Scheduled(name=WAITS, scheduled_time=when, message=message))


def _concluded(parameters: RenderParameters, parts: Sequence[FlowRun]) -> State[Any]:
    """Leave a summary, and return how all of it ended."""
    runs = [
        Ended(
            str(part.id), _number(part), part.name, part.state.name or "",
            part.state.message or "", part.state.is_completed(),
        )
        for part in parts
        if part.state is not None
    ]  # fmt: skip
    with sealed():
        end = outcome_of_parts(parameters.output, runs)
    remove_artifacts()
    create_summary(parts_markdown(parameters.output, end), end.message)
    return Completed(message=end.message) if end.complete else Failed(name=end.name, message=end.message)
