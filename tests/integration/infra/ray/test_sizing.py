"""How many actors a pool asks for and has, on clusters that are only said to be there."""

from __future__ import annotations

from typing import Any

import pytest

from infra.ray import placing, sizing
from infra.ray.autoscaler import Autoscaler
from infra.ray.cluster import RayUnavailable
from infra.ray.sizing import Sizing
from infra.settings import InfraSettings
from infra.workers.scaling import SPARE_SECONDS, Coming, Scaling

MANY = 10_000


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """The nodes that live; tests change the list."""
    nodes: list[dict[str, float]] = [{"CPU": 4.0}]
    for module in (sizing, placing):
        monkeypatch.setattr(module, "alive_nodes", lambda: nodes)
    monkeypatch.setattr(Autoscaler, "look", lambda self: None)
    return nodes


def size(want: int | None = None, *, alone: bool = False, **settings: Any) -> Sizing:
    return Sizing(InfraSettings(**{"autoscaler": "off", "device": "cpu", **settings}), want, alone=alone)


def test_a_cluster_that_stays_is_asked_for_what_it_has_room_for(cluster: list[dict[str, float]]) -> None:
    one = size(1)
    assert (one.grows, one.capacity, one.of_one) == (False, 4, (1.0, 0.0))
    # a second for a frame that failed on the first
    assert (one.asked(0), one.alone, one.needed(3, 0)) == (2, 2, 3)
    one.want = 0
    assert one.asked(0) == 0
    everything = size(actors=3)
    assert (everything.asked(0), everything.capacity, everything.alone) == (3, 3, 3)
    # the places of those that were drained are left to others
    assert (everything.asked(1), everything.needed(3, 1), everything.needed(3, 4)) == (2, 2, 0)
    cluster.append({"CPU": 2.0})
    assert size().alone == 6
    assert one.waiting(waits=True) == ""
    one.judge(waits=True)
    assert one.in_vain == ""


def test_no_room_for_one_is_refused_where_nothing_can_come(cluster: list[dict[str, float]]) -> None:
    cluster.clear()
    with pytest.raises(RayUnavailable, match="do not fit on a cluster of 0 CPUs"):
        size()
    # the pool's own cluster is not asked whether it grows
    with pytest.raises(RayUnavailable):
        size(alone=True, autoscaler="on")
    assert size(autoscaler="on").capacity == sizing.GROWN_ACTORS


@pytest.mark.usefixtures("cluster")
def test_one_that_grows_is_asked_for_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("infra.ray.autoscaler.time.monotonic", lambda: now[0])
    grown = size(1, autoscaler="on", node_seconds=60)
    assert (grown.grows, grown.asked(0), grown.capacity) == (True, 1, sizing.GROWN_ACTORS)  # a second costs a node
    grown.want = 50
    assert (grown.asked(0), grown.asked(3), size(autoscaler="on").asked(3)) == (50, 50, MANY - 3)
    assert size(autoscaler="on", actors=8).asked(3) == 5
    # what is spare is given back after a while
    grown.want = 2
    assert grown.needed(7, 0) == 7
    now[0] += SPARE_SECONDS + 1
    assert grown.needed(7, 0) == 2


@pytest.mark.usefixtures("cluster")
def test_what_waits_for_a_node_says_for_what_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("infra.ray.autoscaler.time.monotonic", lambda: now[0])
    scaling = Scaling(unplaced={(1.0, 0.0): 1}, coming=(Coming("gpu", 2),))
    monkeypatch.setattr(Autoscaler, "look", lambda self: setattr(self, "scaling", scaling))
    grown = size(1, autoscaler="on", node_seconds=60)
    grown.look()
    assert grown.waiting(waits=False) == ""
    assert grown.waiting(waits=True) == "waiting for nodes that are on their way (2 gpu)"
    for seconds, waits, over in (
        (0, True, False),
        (50, True, False),
        (5, False, False),
        (50, True, False),
        (61, True, True),
    ):
        now[0] += seconds
        grown.judge(waits=waits)
        assert bool(grown.in_vain) is over
    assert "NIGHTREEL_NODE_SECONDS" in grown.in_vain
