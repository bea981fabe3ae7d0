"""The flow `finetune` as a form starts it: what it says when it can't. A training is tested end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.flow_runs import FlowRun

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
