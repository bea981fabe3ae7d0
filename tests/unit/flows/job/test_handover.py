"""What is made ready for a flow reaches the flow that is called for it, and nobody else."""

from __future__ import annotations

import contextvars
import threading
from functools import partial

import pytest

from flows.job.handover import Handover

READY: Handover[str] = Handover("test")


def always(_: str) -> bool:
    return True


def test_what_is_called_inside_takes_it_once() -> None:
    with READY.giving("job"):
        assert READY.take(lambda value: value == "another job") is None
        assert READY.take(always) == "job"
        assert READY.take(always) is None


def test_after_the_block_nothing_is_left_however_it_ended() -> None:
    with pytest.raises(RuntimeError), READY.giving("job"):
        raise RuntimeError("the flow broke before it took it")
    assert READY.take(always) is None


def test_a_context_that_was_copied_inside_finds_nothing_after_the_block() -> None:
    with READY.giving("job"):
        copied = contextvars.copy_context()
    assert copied.run(READY.take, always) is None


def test_another_thread_takes_it_in_a_copy_of_the_context_only() -> None:
    found: list[str | None] = []

    def look() -> None:
        found.append(READY.take(always))

    with READY.giving("job"):
        for target in (look, partial(contextvars.copy_context().run, look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert found == [None, "job"]


def test_calls_inside_each_other_have_their_own() -> None:
    with READY.giving("outer"):
        with READY.giving("inner"):
            assert READY.take(always) == "inner"
        assert READY.take(always) == "outer"
