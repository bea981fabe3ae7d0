"""A served deployment hands the flow to its own process by value: all that its signature names must travel along."""

from __future__ import annotations

import cloudpickle
from prefect.flows import Flow

import flows.render_manifest as module


def test_parameters_are_checked_in_the_process_of_a_served_run() -> None:
    cloudpickle.register_pickle_by_value(module)
    try:
        copied = cloudpickle.loads(cloudpickle.dumps(module.render_manifest))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert isinstance(copied, Flow)
    given = {"manifest": "m.parquet", "output": "out", "strict": False, "force": False, "range_frames": None}
    # Prefect adds the defaults of what was left out.
    assert copied.validate_parameters(given).items() >= given.items()
