"""Who gets which worker: order, preference, exclusion."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast

from infra.pool import PoolWorker, Roster


@dataclass(eq=False)
class Named:
    name: str


def roster(names: str) -> Roster:
    return Roster(cast(list[PoolWorker], [Named(name) for name in names]))


class Caller(threading.Thread):
    """Rents a worker and keeps it until told to give it back."""

    def __init__(self, of: Roster, **wishes: Any) -> None:
        super().__init__(daemon=True)
        self.roster, self.wishes = of, wishes
        self.got, self.back, self.worker = threading.Event(), threading.Event(), ""
        self.start()

    def run(self) -> None:
        with self.roster.lease(**self.wishes) as worker:
            self.worker = worker.name
            self.got.set()
            self.back.wait(10)

    def give_back(self) -> None:
        self.back.set()
        self.join(10)

    def waits(self) -> bool:
        return not self.got.wait(0.1)


def test_the_preferred_one_is_given_if_free_and_never_an_excluded_one() -> None:
    free = roster("abc")
    with free.lease(prefer="c") as worker, free.lease(prefer="c", exclude=frozenset("a")) as other:
        assert (worker.name, other.name) == ("c", "b")
    with free.lease(prefer="b", exclude=frozenset("b")) as worker:
        assert worker.name != "b"


def test_who_excludes_the_free_ones_waits_for_another_and_holds_up_nobody() -> None:
    free = roster("ab")
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
    free = roster("a")
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
