"""The order in which chunks begin: the planner's, but for chains that would hold up the end."""

from __future__ import annotations

import heapq
import itertools

from flows.job.dispatch import dispatch
from flows.planning.chunks import Chunk, Part
from flows.planning.order import Schedule


def chain(name: str, parts: int, seconds: float = 10.0) -> list[Chunk]:
    return [
        Chunk(f"{name} {n}", (), seconds, after=f"{name} {n - 1}" if n else None) for n in range(parts)
    ]  # fmt: skip


class VirtualActors:
    """A pool and a host in virtual time: chunks wait for an actor by their turns, and each takes as long as was
    estimated."""

    over = False
    finishing = 0

    def __init__(self, size: int) -> None:
        self.size = size
        self.now, self.order = 0.0, list[str]()
        self._count = itertools.count()
        self._waiting = list[tuple[int, int, Chunk]]()
        self._busy = list[tuple[float, int, Chunk]]()

    def want(self, workers: int) -> None:
        assert workers == len(self._waiting) + len(self._busy) or workers > 2 * self.size

    def can_begin(self, chunk: Chunk) -> bool:
        return True

    def begin(self, chunk: Chunk, turn: int) -> None:
        heapq.heappush(self._waiting, (turn, next(self._count), chunk))

    def wait(self) -> tuple[bool, Chunk | None]:
        while self._waiting and len(self._busy) < self.size:
            _, number, chunk = heapq.heappop(self._waiting)
            self.order.append(chunk.name)
            heapq.heappush(self._busy, (self.now + chunk.seconds, number, chunk))
        self.now, _, done = heapq.heappop(self._busy)
        return True, done


def run(chunks: list[Chunk], size: int) -> tuple[float, list[str]]:
    """Seconds until all is done, where estimates are right, and the order in which actors took them."""
    actors = VirtualActors(size)
    assert dispatch(chunks, actors, actors) == size
    return actors.now, actors.order


def test_one_video_after_the_other_as_long_as_there_is_time() -> None:
    chunks = [*chain("a", 2), *chain("b", 2), *chain("c", 2), *chain("d", 2)]
    schedule, order = Schedule(chunks, lambda chunk: True), list[str]()
    schedule.look()
    while schedule:
        _, chunk = schedule.next(1)
        order.append(chunk.name)
        schedule.ended(chunk)
        schedule.look()
    assert order == [chunk.name for chunk in chunks]


def test_the_loop_begins_no_more_videos_than_it_has_chunks_waiting_for_actors() -> None:
    seconds, order = run([chunk for name in "abcdefgh" for chunk in chain(name, 3)], 1)
    assert seconds == 240
    begun = [order.index(f"{name} 0") for name in "abcdefgh"]
    done = [order.index(f"{name} 2") for name in "abcdefgh"]
    assert begun == sorted(begun)
    # one is run, and two wait for the actor
    assert all(sum(first <= place <= last for first, last in zip(begun, done, strict=True)) <= 3 for place in begun)


def test_a_chain_that_would_hold_up_the_end_begins_in_time() -> None:
    # five chains of 90 s and 50 s of small work: 125 s for each of four actors, and 180 if the fifth comes last
    long = [chunk for name in "abcde" for chunk in chain(name, 9)]
    small = [Chunk(f"small {n}", (), 5.0) for n in range(10)]
    seconds, order = run([*long, *small], 4)
    assert seconds <= 140
    assert order[:4] == ["a 0", "b 0", "c 0", "d 0"]


def test_videos_are_finished_one_after_the_other_where_that_costs_no_time() -> None:
    seconds, order = run([chunk for number in range(40) for chunk in chain(f"{number:02}", 9)], 4)
    assert seconds == 900
    begun = {name.split()[0]: place for place, name in reversed(list(enumerate(order)))}
    done = {name.split()[0]: place for place, name in enumerate(order)}
    assert all(done[video] < begun["30"] for video in done if int(video) < 24)


def test_an_urgent_one_has_its_turn_before_the_others() -> None:
    schedule = Schedule([Chunk("still", (), 1.0), *chain("late", 5)], lambda chunk: True)
    schedule.look()
    assert len(schedule) == 2
    (turn, first), (other, second) = schedule.next(2), schedule.next(2)
    assert (first.name, second.name) == ("late 0", "still")
    assert turn < other


def test_what_can_not_begin_waits_until_nothing_else_is_left() -> None:
    schedule = Schedule([*chain("a", 2), Chunk("needs", (), 1.0)], lambda chunk: chunk.name != "needs")
    schedule.look()
    assert schedule.next(1)[1].name == "a 0"
    assert not schedule
    schedule.look(all_of_them=True)
    assert [schedule.next(1)[1].name for _ in range(2)] == ["a 1", "needs"]


def test_keyframes_that_several_wait_for_have_their_turn_before_the_others() -> None:
    def chunk(name: str, *frames: int, needs: tuple[int, ...] = ()) -> Chunk:
        return Chunk(name, (Part("reef", None, frames),), 5.0, needs=needs)

    there = {0, 32, 64}
    gaps = [chunk("1-4", 1, 2, 3, 4), chunk("5-7", 5, 6, 7, needs=(4, 8))]
    keyframes = chunk("keyframes 40,48", 40, 48, needs=(32, 64))
    later = [chunk("33-39", 33, needs=(40,)), chunk("41-47", 41, needs=(40, 48))]
    schedule = Schedule([*gaps, keyframes, *later], lambda one: there.issuperset(one.needs))
    schedule.look()
    begun = [schedule.next(8) for _ in range(len(schedule))]
    assert [one.name for _, one in begun] == ["1-4", "keyframes 40,48"]
    assert begun[1][0] < begun[0][0]  # one chunk waits for 4, two for 40 and 48
