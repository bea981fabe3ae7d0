"""What a job claims of a cluster that grows and shrinks, by what its autoscaler says."""

from __future__ import annotations

import pytest

from infra.workers.fair_share import Demand, FairShares
from infra.workers.scaling import (
    SETTLE_SECONDS,
    SPARE_SECONDS,
    STEP,
    STEP_AGAIN,
    TRY_AGAIN_SECONDS,
    Claim,
    Coming,
    Growth,
    Scaling,
    Spare,
)

ONE = (1.0, 0.0)
SILENT = Scaling()


def cpus(*nodes: float) -> list[dict[str, float]]:
    return [{"CPU": node} for node in nodes]


def refused(number: int) -> Scaling:
    return Scaling(refused={ONE: number})


def test_beyond_the_room_that_there_is_a_few_are_claimed_and_more_on_a_large_cluster() -> None:
    assert len(Growth().nodes(SILENT, [Claim(ONE, 0)], [], 0.0)) == STEP
    assert len(Growth().nodes(SILENT, [Claim(ONE, 0)], cpus(100.0), 0.0)) == 100
    assert len(Growth().nodes(SILENT, [Claim(ONE, 0, 70), Claim(ONE, 0, 10)], [], 0.0)) == 80, "a person has named them"
    # each has room for exactly one actor, whatever its size
    assert Growth().nodes(SILENT, [Claim((4.0, 0.5), 0)], [], 0.0) == [{"CPU": 4.0, "GPU": 1.0}] * STEP


def test_what_the_autoscaler_refuses_is_not_claimed_again_for_a_while() -> None:
    growth, two = Growth(), cpus(1.0, 1.0)
    assert len(growth.nodes(refused(5), [Claim(ONE, 8)], [], 0.0)) == 3
    # what it said before it has looked again is about what was claimed then
    assert len(growth.nodes(refused(5), [Claim(ONE, 3)], [], SETTLE_SECONDS - 1)) == 3
    assert len(growth.nodes(SILENT, [Claim(ONE, 3)], two, SETTLE_SECONDS + 1)) == 1  # two of three have come
    # fewer than it thought: it is said again
    assert len(growth.nodes(refused(1), [Claim(ONE, 3)], two, SETTLE_SECONDS + 1)) == 0
    assert len(growth.nodes(SILENT, [Claim(ONE, 2)], two, 2 * SETTLE_SECONDS)) == 0
    assert len(growth.nodes(SILENT, [Claim(ONE, 2)], two, TRY_AGAIN_SECONDS + SETTLE_SECONDS + 2)) == STEP_AGAIN


def test_one_is_claimed_always_so_that_the_autoscaler_sees_that_somebody_waits() -> None:
    assert len(Growth().nodes(refused(8), [Claim(ONE, 8)], [], 0.0)) == 1


def test_a_node_that_was_taken_away_is_asked_for_again() -> None:
    growth = Growth()
    growth.nodes(refused(6), [Claim(ONE, 8)], cpus(1.0, 1.0), 0.0)
    assert len(growth.nodes(SILENT, [Claim(ONE, 2)], cpus(1.0), 1.0)) == 1


def test_two_jobs_share_what_may_come_and_a_third_waits_for_them() -> None:
    shares = FairShares()

    def share(job: str, now: float, scaling: Scaling = SILENT, wanted: int = 99, asked: int = 0) -> int:
        since = float(ord(job))
        return shares.update(Demand(job, wanted, asked, since=since, asked=asked, grows=True), [], now, scaling)

    assert share("a", 0) == STEP
    assert (share("b", 1), share("a", 1)) == (STEP // 2, STEP // 2)
    assert share("b", 2, asked=32) == 32
    # of the 64 that both have now, 62 are not to be had
    assert share("a", 3, refused(62), asked=32) == 1
    assert share("b", 4, refused(62), asked=32) == 1
    assert share("c", 5) == 0


def test_without_an_autoscaler_only_what_lives_is_shared() -> None:
    assert FairShares().update(Demand("a", 9), cpus(2.0), 0.0) == 2
    assert FairShares().update(Demand("a", 9, grows=True), [], 0.0) == 0


def test_what_nobody_needs_goes_after_a_while() -> None:
    spare = Spare()
    assert spare.keep(5, 9, 0.0) == 5
    assert spare.keep(5, 2, 1.0) == 5
    assert spare.keep(5, 2, SPARE_SECONDS) == 5
    assert spare.keep(5, 5, SPARE_SECONDS + 0.5) == 5  # needed again: it counts anew
    assert spare.keep(5, 2, SPARE_SECONDS + 2) == 5
    assert spare.keep(5, 2, 2 * SPARE_SECONDS + 3) == 2
    assert spare.keep(5, 0, 2 * SPARE_SECONDS + 4) == 0


@pytest.mark.parametrize(
    ("scaling", "text"),
    [
        (SILENT, "the autoscaler, which has been asked for nodes"),
        (Scaling(coming=(Coming("cpu", 2), Coming("gpu", 1))), "nodes that are on their way (2 cpu, 1 gpu)"),
        (refused(1), "the autoscaler, which can add no node for an actor of 1 CPUs now"),
    ],
)
def test_what_is_waited_for_is_said(scaling: Scaling, text: str) -> None:
    assert scaling.waits_for(ONE) == text
