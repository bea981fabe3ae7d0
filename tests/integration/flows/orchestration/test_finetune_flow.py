"""The flow `finetune` as a form starts it: what it says when it can't, and what an operator does to it while it trains.
A training is tested end to end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.blueprints import write_blueprints
from tests.helpers.flow_runs import BackgroundRun, FlowRun, again, server, until

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "there is no folder"),
        ({"base": "embeded"}, "did you mean 'embedded'"),
    ],
)
def test_wrong_input_is_refused_with_a_sentence(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    from flows.finetune import finetune

    run = FlowRun(finetune, **{"images": [str(tmp_path / "nothing")], "output": str(tmp_path / "mine"), **wrong})

    assert (run.state.type.value, run.state.name) == ("FAILED", "InputInvalid")
    assert message in run.state.message
    assert run.name == f"finetune {wrong.get('base', 'embedded')} into {tmp_path / 'mine'}"
    assert not (tmp_path / "mine").exists()


def step_of(folder: Path) -> int:
    try:
        return int(json.loads((folder / "training" / "progress.json").read_text())["step"])
    except (OSError, ValueError):
        return 0


@pytest.mark.minutes  # Ray Train takes half a minute to start, twice
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # see tests/integration/infra/ray
def test_a_suspended_training_waits_past_the_timeout_of_the_form_and_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.states import Scheduled, Suspended

    from flows.finetune import finetune

    monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", str(tmp_path / "models"))
    folder = tmp_path / "mine"
    given = {"images": [str(write_blueprints(tmp_path / "pictures", 12))], "output": str(folder), "steps": 60}
    with BackgroundRun(finetune, **given) as run:
        until(lambda: step_of(folder) > 5, 240)
        with server() as client:
            soon = datetime.now(UTC) + timedelta(seconds=15)
            client.set_flow_run_state(run.id(), Suspended(pause_expiration_time=soon), force=True)
            until(lambda: client.read_flow_run(run.id()).state.state_details.pause_timeout is None, 15)
        run.over(90)
    stopped_at = step_of(folder)
    assert 5 < stopped_at < 60
    assert (folder / "training" / "checkpoint.pt").exists()
    with server() as client:
        state = client.read_flow_run(run.id()).state
        client.set_flow_run_state(run.id(), Scheduled(), force=True)  # Resume wants a deployment, which this has not
    assert (state.type.value, state.name) == ("PAUSED", "Suspended")
    assert "Waits for Resume" in state.message

    state = again(finetune, run.id(), Scheduled())

    assert (state.type.value, state.name) == ("COMPLETED", "Completed"), state.message
    steps = [float(line.split(",")[0]) for line in (folder / "training" / "curves.csv").read_text().splitlines()[1:]]
    assert steps == sorted(set(steps)), "no step was trained twice"
