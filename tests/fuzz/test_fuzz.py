"""A short run of the fuzzer in `make test`: some inputs for each target, in process, without libFuzzer's guidance."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

INPUTS, FEW = 60, 20


def mutated(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """One of `seeds` with a few bytes changed, cut out, doubled or put in."""
    edit = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8) | st.integers(1, 300))
    return st.builds(_edited, st.sampled_from(seeds), st.lists(edit, max_size=6))


def _edited(data: bytes, edits: list[tuple[float, int, bytes | int]]) -> bytes:
    for where, length, new in edits:
        at = int(where * len(data))
        piece = data[at : at + length]
        data = data[:at] + (piece * new if isinstance(new, int) else new) + data[at + length :]
    return data[:200_000]


def strategy_of(target: Target) -> st.SearchStrategy[object]:
    if target.strategy is not None:
        return target.strategy
    assert target.seeds is not None
    return mutated(tuple(target.seeds()))


@pytest.mark.parametrize("name", TARGETS)
def test_some_inputs_are_read_or_refused_in_words(name: str) -> None:
    target = TARGETS[name]
    shaped = settings(
        max_examples=FEW if target.few else INPUTS,
        deadline=5_000, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate], report_multiple_bugs=False,  # to make a finding small can take minutes
    )  # fmt: skip
    shaped(given(strategy_of(target))(target.read))()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.seeds])
def test_what_fuzzing_begins_with_is_read_or_refused_in_words(name: str) -> None:
    target = TARGETS[name]
    assert target.seeds is not None
    for data in target.seeds():
        target.read(data)
