"""Who gets which worker: order, preference, exclusion; workers that come and go."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast

import pytest

from infra.workers.leases import Leases
from infra.workers.pool import PoolWorker, WorkerLost


@dataclass(eq=False)
class Named:
    name: str
    retiring: bool = False
    lost: bool = False


def leases(names: str, left: list[str] | None = None) -> Leases:
    gone = [] if left is None else left
    return Leases(workers(names), left=lambda worker: gone.append(worker.name))


def workers(names: str) -> list[PoolWorker]:
    return cast(list[PoolWorker], [Named(name) for name in names])


class Caller(threading.Thread):
    """Rents a worker and keeps it until asked to give it back."""

    def __init__(self, of: Leases, **wishes: Any) -> None:
        super().__init__(daemon=True)
        self.leases, self.wishes = of, wishes
        self.got, self.back, self.worker = threading.Event(), threading.Event(), ""
        self.rented: PoolWorker
        self.start()

    def run(self) -> None:
        with self.leases.lease(**self.wishes) as worker:
            self.worker, self.rented = worker.name, worker
            self.got.set()
            self.back.wait(10)

    def give_back(self) -> None:
        self.back.set()
        self.join(10)

    def waits(self) -> bool:
        return not self.got.wait(0.1)


def test_the_preferred_one_is_given_if_free_and_never_an_excluded_one() -> None:
    free = leases("abc")
    with free.lease(prefer="c") as worker, free.lease(prefer="c", exclude=frozenset("a")) as other:
        assert (worker.name, other.name) == ("c", "b")
    with free.lease(prefer="b", exclude=frozenset("b")) as worker:
        assert worker.name != "b"


def test_who_excludes_the_free_ones_waits_for_another_and_holds_up_nobody() -> None:
    free = leases("ab")
    holder = Caller(free, prefer="b")
    assert holder.got.wait(5)
    picky = Caller(free, exclude=frozenset("a"))
    assert picky.waits()

    easy = Caller(free)  # came later, and takes what the picky one does not want
    assert easy.got.wait(5)
    assert easy.worker == "a"
    holder.give_back()

    assert picky.got.wait(5)
    assert picky.worker == "b"
    picky.give_back()
    easy.give_back()


def test_first_come_first_served() -> None:
    free = leases("a")
    holder = Caller(free)
    assert holder.got.wait(5)
    callers = []
    for _ in range(4):
        callers.append(Caller(free))
        assert callers[-1].waits()
    holder.give_back()
    for number, caller in enumerate(callers):
        assert caller.got.wait(5)
        assert all(other.waits() for other in callers[number + 1 :])
        caller.give_back()


def test_workers_that_come_serve_those_who_wait() -> None:
    empty = leases("")
    assert empty.names == ()
    first, second = Caller(empty), Caller(empty, exclude=frozenset("x"))
    assert first.waits()
    for worker in workers("ab"):
        empty.add(worker)
    assert first.got.wait(5)
    assert second.got.wait(5)
    assert {first.worker, second.worker} == set(empty.names) == {"a", "b"}
    first.give_back()
    second.give_back()


def test_free_workers_go_at_once_and_rented_ones_when_they_are_given_back() -> None:
    left: list[str] = []
    some = leases("abc", left)
    holder = Caller(some, prefer="a")
    assert holder.got.wait(5)

    some.retire(1)
    assert (left, some.names, holder.rented.retiring) == (["c"], ("b", "a"), False)
    some.retire(2)
    assert (left, some.names, holder.rented.retiring) == (["c", "b"], (), True)
    waiting = Caller(some)
    assert waiting.waits()
    holder.give_back()
    assert left == ["c", "b", "a"]
    assert waiting.waits()  # it is not let again
    some.add(workers("d")[0])
    assert waiting.got.wait(5)
    waiting.give_back()
    assert some.names == ("d",)


def test_of_the_free_those_go_last_whom_others_need_to_stay() -> None:
    left: list[str] = []
    some = leases("abcd", left)
    some.retire(3, last={"d", "b"})
    assert left == ["c", "a", "d"]
    assert some.names == ("b",)


def test_a_rented_worker_that_was_to_go_may_stay_after_all() -> None:
    left: list[str] = []
    some = leases("a", left)
    with some.lease() as worker:
        some.retire(1)
        assert some.recall(5) == 1
        assert (worker.retiring, some.names) == (False, ("a",))
        assert some.recall(5) == 0
    assert left == []
    with some.lease() as worker:
        assert worker.name == "a"


def test_a_lost_worker_is_not_let_again() -> None:
    left: list[str] = []
    some = leases("abc", left)
    with some.lease(prefer="a") as worker:
        worker.lost = True
        assert some.names == ("b", "c")
        assert some.recall(1) == 0
    assert left == ["a"]

    lost = some.everyone()[0]
    lost.lost = True
    some.sweep()
    assert (left, some.names) == (["a", "b"], ("c",))
    worker.lost = False
    some.add(worker)  # its process was started again
    assert some.names == ("c", "a")


def test_nobody_waits_for_a_worker_that_it_would_rather_have_and_that_is_gone() -> None:
    some = leases("ab")
    holder = Caller(some, prefer="b")
    assert holder.got.wait(5)
    picky = Caller(some, exclude=frozenset("a"))  # for b, that is
    assert picky.waits()
    some.retire(2)  # a, which is free, and b, which is rented
    some.add(workers("c")[0])
    assert picky.got.wait(5)
    assert picky.worker == "c"
    holder.give_back()
    picky.give_back()

    lonely = Caller(some, exclude=frozenset("c"))  # nobody else is left
    assert lonely.got.wait(5)
    assert lonely.worker == "c"
    lonely.give_back()


def test_a_worker_on_its_way_is_waited_for_as_long_as_it_is() -> None:
    coming = ["b"]
    some = Leases(workers("a"), coming=lambda: coming)
    picky, easy = Caller(some, exclude=frozenset("a")), Caller(some)
    assert easy.got.wait(5)
    assert picky.waits()
    easy.give_back()
    assert picky.waits()
    coming.clear()  # it will not come
    some.wake()
    assert picky.got.wait(5)
    assert picky.worker == "a"
    picky.give_back()


def test_nobody_waits_at_a_closed_door() -> None:
    some = leases("a")
    holder = Caller(some)
    assert holder.got.wait(5)
    waiting = Caller(some)
    assert waiting.waits()
    some.close()
    assert waiting.got.wait(5)
    with pytest.raises(WorkerLost, match="was stopped"):
        waiting.rented.render_frame(cast(Any, None))
    with some.lease() as worker, pytest.raises(WorkerLost):
        worker.encode_segment(cast(Any, None))
    waiting.give_back()
    holder.give_back()
    assert some.names == ("a",)


def test_the_lowest_turn_is_served_first() -> None:
    some = leases("a")
    holder = Caller(some)
    assert holder.got.wait(5)
    last = Caller(some, turn=7)
    assert last.waits()
    first = Caller(some, turn=3)
    assert first.waits()
    holder.give_back()

    assert first.got.wait(5)
    assert last.waits()
    first.give_back()
    assert last.got.wait(5)
    last.give_back()


def test_hundreds_that_wait_are_served_when_all_are_free_at_once() -> None:
    some = Leases(cast(list[PoolWorker], [Named(str(number)) for number in range(100)]))
    holders = [Caller(some) for _ in range(100)]
    assert all(holder.got.wait(5) for holder in holders)
    waiting = [Caller(some, turn=number) for number in range(200)]
    for holder in holders:
        holder.give_back()
    assert all(caller.got.wait(5) for caller in waiting[:100])
    assert {caller.worker for caller in waiting[:100]} == {str(number) for number in range(100)}
    for caller in waiting:
        assert caller.got.wait(5)
        caller.give_back()


@pytest.mark.parametrize("rented", [True, False])
def test_one_that_is_pinned_leaves_only_when_it_is_let_go(rented: bool) -> None:
    left: list[str] = []
    some = leases("a", left)
    holder = Caller(some)
    assert holder.got.wait(5)
    with some.pin(holder.rented):
        if not rented:
            holder.give_back()
            assert some.free == ("a",)  # others may render with it
        some.retire(1)
        holder.give_back()
        assert left == []
        assert [worker.name for worker in some.everyone()] == ["a"]  # it is sent a stop, and asked how it gets on
        assert some.names == ()
    assert left == ["a"]
    assert some.everyone() == []


def test_one_is_let_go_by_its_name_at_once_if_it_is_free_and_else_when_it_is_given_back() -> None:
    left: list[str] = []
    free = leases("abc", left)
    assert free.let_go("b")
    assert left == ["b"]
    with free.lease(prefer="a") as worker:
        assert free.let_go("a")
        assert worker.retiring
        assert (left, free.names) == (["b"], ("c",))
        assert not free.let_go("a"), "it goes already"
    assert left == ["b", "a"]
    assert not free.let_go("nobody")


def test_one_that_was_to_go_is_kept_by_its_name_and_a_recall_passes_over_it() -> None:
    left: list[str] = []
    free = leases("ab", left)
    with free.lease(prefer="a"), free.lease(prefer="b"):
        free.let_go("a")
        free.let_go("b")
        assert free.recall(2, {"a"}) == 1
        assert free.names == ("b",)
        assert free.keep("a")
        assert not free.keep("b"), "it stays anyway"
    assert left == []
