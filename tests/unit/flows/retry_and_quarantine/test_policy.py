"""What follows from failures, as tables: no clock, no thread, no worker."""

from __future__ import annotations

import pytest

from flows.retry_and_quarantine.policy import Attempt, Budget, Decision, StallWatch, WorkerRecords, decide, excluded
from infra.settings import InfraSettings
from infra.workers.tasks import WorkerProgress
from manifests.errors import ErrorKind

SETTINGS = InfraSettings(attempts=3, lost_worker_attempts=4)


def after(*failures: str, workers: int = 3, cutouts: int = 8, chance: float = 0.0) -> Decision:
    """The decision after failures written 'kind@worker'."""
    kinds = {
        "app": ErrorKind.APPLICATION, "nan": ErrorKind.NON_FINITE, "mem": ErrorKind.OUT_OF_MEMORY,
        "lost": ErrorKind.INFRASTRUCTURE, "full": ErrorKind.STORAGE, "hung": ErrorKind.STALLED,
        "bad": ErrorKind.BAD_INPUT, "env": ErrorKind.ENVIRONMENT, "rot": ErrorKind.CORRUPT, "stop": ErrorKind.CANCELLED,
    }  # fmt: skip
    assert set(kinds.values()) == set(ErrorKind)
    attempts = [Attempt(kinds[kind], worker) for kind, _, worker in (failure.partition("@") for failure in failures)]
    return decide(attempts, SETTINGS, workers=workers, cutouts=cutouts, chance=chance)


@pytest.mark.parametrize(("failures", "again"), [
    (["bad@a"], False),
    (["env@a"], False),
    (["rot@a"], False),
    (["stop@a"], False),
    (["app@a"], True),
    (["app@a", "app@b"], True),
    (["app@a", "app@b", "app@a"], False),
    (["app@a", "app@a", "app@a"], True),  # one worker's word is not enough while there is another
    (["app@a", "app@a", "app@a", "app@b"], False),
    (["hung@a", "app@b", "hung@a"], False),  # a frame that hangs a worker is counted as one that fails
    (["lost@a"] * 3, True),
    (["lost@a"] * 4, False),
    (["app@a", "lost@a", "lost@a", "lost@a", "app@b"], True),  # lost machines are not held against the frame
    (["full@a"] * 2, True),
    (["full@a"] * 3, False),  # each try renders it once more
    (["full@a", "lost@a", "lost@a"], True),
    (["nan@a"], True),
    (["nan@a", "nan@b"], False),
    (["nan@a", "app@b", "app@c"], True),
    (["mem@a"], True),
    (["mem@a"] * 3, True),  # 8 cutouts: 4, 2, 1
    (["mem@a"] * 4, False),
])  # fmt: skip
def test_whether_a_frame_is_tried_again(failures: list[str], again: bool) -> None:
    assert after(*failures).again is again


def test_a_lone_worker_may_fail_a_frame_alone() -> None:
    assert after("app@a", "app@a", workers=1).again
    assert not after("app@a", "app@a", "app@a", workers=1).again


def test_who_failed_a_frame_is_avoided_and_who_was_lost_under_it_is_not() -> None:
    assert after("app@a", "lost@b", "hung@c").avoid == {"a", "c"}


def test_memory_halves_the_cutouts_and_keeps_them_halved() -> None:
    assert [after(*["mem@a"] * n, cutouts=9).cutouts_at_once for n in (1, 2, 3)] == [4, 2, 1]
    assert after("mem@a", "lost@a").cutouts_at_once == 4
    assert after("app@a").cutouts_at_once is None
    assert not after("mem@a", cutouts=1).again


def test_another_seed_comes_after_a_loss_that_is_no_number_and_stays() -> None:
    assert not after("app@a").reseeded
    assert after("nan@a").reseeded
    assert after("nan@a", "lost@a").reseeded


@pytest.mark.parametrize("kind", [ErrorKind.INFRASTRUCTURE, ErrorKind.STORAGE])
def test_only_what_may_repair_itself_is_waited_for_never_long_and_never_all_at_once(kind: ErrorKind) -> None:
    settings = InfraSettings(lost_worker_attempts=100, attempts=100)

    def wait(n: int, chance: float) -> float:
        return decide([Attempt(kind, "a")] * n, settings, workers=2, cutouts=1, chance=chance).wait

    assert [wait(n, 1.0) for n in (1, 2, 3, 4, 5, 6, 90)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert [wait(3, chance) for chance in (0.0, 0.5)] == [1.0, 1.5]
    assert after("app@a").wait == after("nan@a").wait == after("mem@a").wait == 0


@pytest.mark.parametrize(("quarantined", "avoid", "left"), [
    ("", "", "abc"),
    ("a", "b", "c"),
    ("a", "bc", "bc"),  # nobody else: who failed it may try again, before one in quarantine
    ("abc", "a", "bc"),
    ("abc", "abc", "abc"),
    ("", "x", "abc"),
])  # fmt: skip
def test_there_is_always_somebody_left(quarantined: str, avoid: str, left: str) -> None:
    assert excluded("abc", frozenset(quarantined), frozenset(avoid)) == frozenset("abc") - frozenset(left)


def test_a_worker_that_fails_what_others_can_do_is_quarantined_and_forgiven() -> None:
    now = [100.0]
    records = WorkerRecords(lambda: now[0], limit=3, seconds=60)
    for frame in range(2):
        records.failed("a", "reef", frame)
        assert records.rendered("b", "reef", frame) == set()
    records.failed("a", "reef", 2)
    records.failed("b", "reef", 2)
    assert records.rendered("c", "reef", 2) == {"a"}
    assert records.quarantined() == {"a"}
    now[0] += 61
    assert records.quarantined() == frozenset()
    records.failed("a", "reef", 9)
    assert records.rendered("b", "reef", 9) == set()  # it begins again


def test_poisoned_frames_and_frames_that_a_worker_repairs_itself_quarantine_nobody() -> None:
    records = WorkerRecords(lambda: 0.0, limit=1, seconds=60)
    for worker in "abc":
        records.failed(worker, "poison", 0)
    records.failed("a", "reef", 1)
    assert records.rendered("a", "reef", 1) == set()
    assert records.quarantined() == frozenset()


def progress(worker: str, step: int, *, busy: bool = True, frame: int = 0) -> WorkerProgress:
    return WorkerProgress(worker, "reef", frame, step, 10, busy=busy)


def test_a_worker_without_a_step_for_too_long_is_reported_once() -> None:
    watch = StallWatch(10)
    assert watch.stalled(0, [progress("a", 1), progress("b", 1)]) == []
    assert watch.stalled(8, [progress("a", 1), progress("b", 2)]) == []
    assert watch.stalled(11, [progress("a", 1), progress("b", 2)]) == ["a"]
    assert watch.stalled(12, [progress("a", 1), progress("b", 2)]) == []
    assert watch.stalled(19, []) == ["b"]  # it does not even answer


def test_an_idle_worker_and_one_that_begins_another_frame_are_not_hung() -> None:
    watch = StallWatch(10)
    watch.stalled(0, [progress("a", 0), progress("b", 3)])
    assert watch.stalled(9, [progress("a", 0, frame=1), progress("b", 3, busy=False)]) == []
    assert watch.stalled(18, [progress("a", 1, frame=1)]) == []
    assert watch.stalled(40, [progress("b", 3, busy=False), progress("a", 2, frame=1)]) == []


def test_a_worker_that_loads_a_model_for_ever_is_hung() -> None:
    def loading(name: str) -> WorkerProgress:
        return WorkerProgress(name, loading=True)

    watch = StallWatch(10)
    assert watch.stalled(0, [loading("a"), loading("b"), WorkerProgress("idle")]) == []
    assert watch.stalled(9, [loading("a"), progress("b", 0), WorkerProgress("idle")]) == []
    assert watch.stalled(11, [loading("a"), progress("b", 0), WorkerProgress("idle")]) == ["a"]


def test_a_job_may_lose_a_share_of_its_frames_and_a_small_one_a_few() -> None:
    assert Budget(1000, 0.2).allowed == 200
    assert (Budget(1000, 0.2).spent(200), Budget(1000, 0.2).spent(201)) == (False, True)
    assert (Budget(10, 0.2).allowed, Budget(10, 0.2).spent(10)) == (20, False)


def test_a_worker_that_a_person_forgives_begins_again() -> None:
    records = WorkerRecords(lambda: 0.0, limit=2, seconds=60)
    assert not records.forgive("a"), "nothing counts against it"
    for frame in range(2):
        records.failed("a", "reef", frame)
        records.rendered("b", "reef", frame)
    assert records.quarantined() == {"a"}
    records.failed("a", "reef", 2)  # as the last resort
    assert records.forgive("a")
    assert records.quarantined() == frozenset()
    assert records.rendered("b", "reef", 2) == set()
    assert not records.forgive("a")
