"""Who may hold how many actors when several jobs want a cluster."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from infra.workers.fair_share import FORGET_SECONDS, Demand, FairShares, shares
from infra.workers.scaling import Scaling

NOW = 1000.0


def job(name: str, wanted: int, *, priority: int = 0, held: int = 0, last_seen: float = NOW, **more: float) -> Demand:
    """`since` follows the alphabet."""
    return Demand(name, wanted, held, priority, since=float(ord(name)), last_seen=last_seen, **more)


def cpus(*nodes: float) -> list[dict[str, float]]:
    return [{"CPU": node} for node in nodes]


@pytest.mark.parametrize(
    ("slots", "jobs", "expected"),
    [
        (4, [], {}),
        (4, [job("a", 9)], {"a": 4}),
        (4, [job("a", 2)], {"a": 2}),
        (0, [job("a", 2, held=2)], {"a": 0}),  # its nodes are gone
        # equals share fairly; what can't be halved goes to the first who came
        (4, [job("b", 9), job("a", 9)], {"a": 2, "b": 2}),
        (5, [job("b", 9), job("a", 9)], {"a": 3, "b": 2}),
        (6, [job("a", 1), job("b", 9), job("c", 9)], {"a": 1, "b": 3, "c": 2}),
        # a higher priority first, but one for everybody
        (4, [job("a", 9), job("b", 9, priority=5)], {"a": 1, "b": 3}),
        (4, [job("a", 9), job("b", 1, priority=5)], {"a": 3, "b": 1}),
        (9, [job("a", 9), job("b", 3, priority=5), job("c", 9, priority=1)], {"a": 1, "b": 3, "c": 5}),
        (2, [job("a", 9, held=2), job("b", 9, priority=5)], {"a": 1, "b": 1}),
        (4, [job("a", 9), job("b", 9, priority=-5)], {"a": 3, "b": 1}),
        # more jobs than slots: the lowest and the latest wait
        (1, [job("a", 9, held=1), job("b", 9)], {"a": 1, "b": 0}),
        (1, [job("a", 9, held=1), job("b", 9, priority=1)], {"a": 0, "b": 1}),
        (2, [job("a", 9), job("b", 9), job("c", 9, priority=1)], {"a": 1, "b": 0, "c": 1}),
        # who wants nothing keeps what it has until somebody wants it
        (4, [job("a", 1, held=4)], {"a": 4}),
        (4, [job("a", 0, held=4), job("b", 3)], {"a": 1, "b": 3}),
        (4, [job("a", 0, held=4), job("b", 9)], {"a": 0, "b": 4}),
        (4, [job("a", 1, held=9)], {"a": 4}),
        # not last_seen of
        (4, [job("a", 9, last_seen=NOW - FORGET_SECONDS - 1, priority=9), job("b", 9)], {"b": 4}),
        (4, [job("a", 9, last_seen=NOW - FORGET_SECONDS + 1), job("b", 9)], {"a": 2, "b": 2}),
    ],
)
def test_shares_of_equal_slots(slots: int, jobs: list[Demand], expected: dict[str, int]) -> None:
    assert shares(cpus(slots), jobs, NOW) == expected


@pytest.mark.parametrize(
    ("slots", "jobs", "expected"),
    [
        # all of its workers at once, as its first
        (4, [job("a", 9), job("t", 3, least=3)], {"a": 1, "t": 3}),
        (4, [job("a", 9, held=4), job("t", 2, least=2)], {"a": 2, "t": 2}),
        (4, [job("t", 2, least=2, priority=-10), job("a", 9)], {"t": 2, "a": 2}),
        # or none, and then no part of them
        (4, [job("a", 9), job("t", 4, least=4)], {"a": 4, "t": 0}),
        (4, [job("a", 1), job("b", 1), job("t", 3, least=3)], {"a": 1, "b": 1, "t": 0}),
        (4, [job("a", 1), job("t", 3, least=3), job("u", 3, least=3)], {"a": 1, "t": 3, "u": 0}),
        # one that trains can't give a part back, to whomever
        (4, [job("t", 4, held=4, least=4), job("a", 9, priority=5)], {"t": 4, "a": 0}),
        (2, [job("t", 4, held=4, least=4), job("a", 9)], {"t": 0, "a": 2}),
    ],
)
def test_shares_of_who_needs_all_or_none(slots: int, jobs: list[Demand], expected: dict[str, int]) -> None:
    assert shares(cpus(slots), jobs, NOW) == expected


@pytest.mark.parametrize(
    ("nodes", "each", "room"),
    [
        (cpus(2), (1, 0), 2),
        (cpus(3, 3), (2, 0), 2),  # not three: no actor lies on two nodes
        ([{"CPU": 8.0, "GPU": 2.0}], (1, 0.6), 2),  # not three: none lies on two GPUs
        ([{"CPU": 8.0, "GPU": 2.0}], (1, 0.25), 8),
        ([{"CPU": 4.0, "GPU": 8.0}], (1, 1), 4),  # the CPUs are the limit
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0}], (1, 2), 2),
        ([{"CPU": 100.0, "GPU": 7.0}], (0.07, 0.07), 98),
        (cpus(7), (0.07, 0), 100),
        ([{"memory": 1.0}], (1, 0), 0),
        ([], (1, 1), 0),
    ],
)
def test_a_lone_job_gets_what_ray_can_place(
    nodes: list[dict[str, float]], each: tuple[float, float], room: int
) -> None:
    assert shares(nodes, [job("a", 999, cpus=each[0], gpus=each[1])], NOW) == {"a": room}


@pytest.mark.parametrize(
    ("nodes", "jobs", "expected"),
    [
        # CPUs beside the GPUs are nobody's loss
        ([{"CPU": 8.0, "GPU": 1.0}], [job("a", 9, gpus=1.0), job("b", 9)], {"a": 1, "b": 7}),
        # half a GPU beside a whole one
        (
            [{"CPU": 8.0, "GPU": 2.0}],
            [job("a", 9, gpus=0.5, priority=1), job("b", 9, gpus=1.0)],
            {"a": 2, "b": 1},
        ),
        # the large one fits no more where small ones were placed first: it waits, and holds up nobody
        (cpus(2), [job("a", 9, priority=1), job("b", 9, cpus=2.0)], {"a": 2, "b": 0}),
    ],
)  # fmt: skip
def test_shares_of_jobs_whose_actors_differ(
    nodes: list[dict[str, float]], jobs: list[Demand], expected: dict[str, int]
) -> None:
    assert shares(nodes, jobs, NOW) == expected


@pytest.mark.parametrize("seed", range(200))
def test_never_more_than_there_are_and_none_idle_while_one_wants(seed: int) -> None:
    dice = random.Random(seed)
    slots = dice.randrange(12)
    jobs = [
        job(name, dice.randrange(6), priority=dice.randrange(3), held=dice.randrange(6))
        for name in "abcdefgh"[: dice.randrange(1, 8)]
    ]
    given = shares(cpus(*[1.0] * slots), jobs, NOW)

    assert sum(given.values()) <= slots
    wanting = [one for one in jobs if given[one.job] < one.wanted]
    if wanting:
        assert sum(given.values()) == slots
    for one in wanting:  # nobody below has more than the one that all are due, nobody equal two more
        for other in jobs:
            if other.priority < one.priority:
                assert given[other.job] <= 1
            if other.priority == one.priority:
                assert given[other.job] <= given[one.job] + 1
    if sum(one.wanted > 0 for one in jobs) <= slots:
        assert all(given[one.job] for one in jobs if one.wanted)


def test_who_needs_all_or_none_is_given_them_on_a_cluster_that_stands_at_zero_and_grows() -> None:
    shares, training = FairShares(), job("t", 4, least=4, named=4, grows=True)
    assert shares.update(training, [], now=10, scaling=Scaling()) == 4
    refused = Scaling(refused={(1.0, 0.0): 3})
    assert shares.update(replace(training, held=4, asked=4), [], now=30, scaling=refused) == 0
    # what is refused is asked for again, in which it has its places
    assert shares.update(replace(training, held=4, asked=4), [], now=340, scaling=Scaling()) == 4


def test_jobs_come_and_go() -> None:
    shares = FairShares()
    assert shares.update(job("a", 9), cpus(4), now=10) == 4
    assert shares.update(job("b", 9), cpus(4), now=11) == 2
    assert shares.update(job("a", 9), cpus(4), now=12) == 2
    assert shares.update(job("a", 9), cpus(8), now=13) == 4  # a node came
    shares.leave("b")
    shares.leave("nobody")
    assert shares.update(job("a", 9), cpus(4), now=14) == 4
    assert shares.update(job("b", 9), cpus(4), now=15) == 2
    assert shares.update(job("a", 9), cpus(4), now=15 + FORGET_SECONDS + 1) == 4  # b fell silent
    assert FairShares().update(job("b", 9), cpus(4), now=0) == 4  # what was lost is sent again by those who live
