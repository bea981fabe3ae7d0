"""Who takes over from whom."""

from __future__ import annotations

from flows.retry_and_quarantine.speeds import WorkerSpeeds

KIND = "embedded 64x64"


def speeds(**seconds: list[float]) -> WorkerSpeeds:
    """Workers that took so many seconds for frames estimated at one each."""
    known = WorkerSpeeds()
    for worker, taken in seconds.items():
        for one in taken:
            known.took(worker, KIND, one, 1.0)
    return known


def test_the_fastest_free_one_takes_over_from_one_that_takes_twice_its_time() -> None:
    known = speeds(slow=[5.0, 5, 5], quick=[2.0, 2, 2], usual=[2.4, 2.4, 2.4])
    assert known.better("slow", KIND, ["usual", "quick"]) == "quick"
    assert known.better("slow", KIND, ["usual"]) == "usual"
    assert known.better("slow", KIND, []) is None
    assert known.better("slow", KIND, ["slow"]) is None


def test_nobody_takes_over_for_less() -> None:
    known = speeds(a=[3.9, 3.9, 3.9], b=[2.0, 2, 2])
    assert known.better("a", KIND, ["b"]) is None
    assert known.better("b", KIND, ["a"]) is None


def test_one_that_was_not_seen_at_work_counts_as_an_average_one() -> None:
    known = speeds(slow=[9.0, 9, 9], a=[2.0, 2, 2], b=[2.0, 2, 2])
    assert known.better("slow", KIND, ["new"]) == "new"
    assert speeds(slow=[9.0, 9, 9]).better("slow", KIND, ["new"]) is None  # slow compared with whom?


def test_a_pace_needs_three_frames_and_forgets_the_first_that_loaded_the_model() -> None:
    known = speeds(a=[60.0, 1.0], b=[1.0, 1, 1])
    assert known.of("a", KIND) is None
    known.took("a", KIND, 2.0, 2.0)
    assert known.of("a", KIND) == 1.0
    for _ in range(7):
        known.took("a", KIND, 3.0, 1.0)
    assert known.of("a", KIND) == 3.0


def test_kinds_of_frames_are_not_compared() -> None:
    known = speeds(a=[9.0, 9, 9])
    for _ in range(3):
        known.took("b", "another 512x512", 1.0, 1.0)
    assert known.better("a", KIND, ["b"]) is None
