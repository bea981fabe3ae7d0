"""The documents of a run survive numbers that are none: those of its own work, and those of anybody's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.runs.record import RunRecord, RunState, WorkerState
from flows.runs.stored import put_record, put_state, read_state
from infra.storage.layout import run_state_key
from infra.storage.storage import Storage

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_worker_whose_loss_overflowed_leaves_the_runs_state_readable(tmp_path: Path, loss: float) -> None:
    output = Storage(str(tmp_path))
    put_record(output, RunRecord(run="1", began=NOW))
    put_state(output, RunState(run="1", updated=NOW, workers=(WorkerState(worker="actor-0", busy=True, loss=loss),)))
    state = read_state(output, "1")
    assert state is not None
    assert (state.workers[0].worker, state.workers[0].loss) == ("actor-0", None)


@pytest.mark.parametrize("number", ["1e999", "Infinity", "NaN", "null"])
@pytest.mark.parametrize("name", ["elapsed", "start_up_seconds", "render_seconds", "gpus_per_actor"])
def test_a_number_that_is_none_costs_no_more_than_itself(tmp_path: Path, name: str, number: str) -> None:
    output = Storage(str(tmp_path))
    text = f'{{"run": "1", "updated": "{NOW.isoformat()}", "phase": "rendering", "{name}": {number}}}'
    output.put(run_state_key("1"), text.encode(), existing="replace")
    state: Any = read_state(output, "1")
    assert (state.phase, getattr(state, name)) == ("rendering", 0.0)
    json.dumps(state.model_dump(mode="json"), allow_nan=False)
