"""However many rows are bad, the first hundred problems are kept and shown, and all are counted by kind."""

from __future__ import annotations

import pickle

from manifests.problems import LISTED, Listed, Problems
from manifests.results import RowProblem


def problem(row: int, column: str = "prompt", message: str = "prompt is missing") -> RowProblem:
    return RowProblem("m.parquet", row, None, column, "", "", message)


def listed(*problems: RowProblem) -> Problems:
    taken = Listed()
    for it in problems:
        taken.add(it)
    return taken.problems


def test_the_first_are_kept_and_all_are_counted() -> None:
    found = listed(
        *(it for row in range(1, 501) for it in (problem(row), problem(row, "width", f"width is '{row}'"))),
    )
    assert len(found) == LISTED
    assert (found.rows, found.total, found.unlisted) == (500, 1000, 900)
    assert found.kinds == {"prompt is missing": 500, "width is not allowed": 500}
    *first, last = found.lines()
    assert len(first) == LISTED
    assert last == (
        "and 900 more problems, 1,000 in 500 rows: 500 times 'prompt is missing', 500 times 'width is not allowed'"
    )


def test_few_are_shown_as_they_are() -> None:
    few = listed(problem(1), problem(1, "prompts[3].at", "prompts[3].at is 'x'"), problem(2))
    assert list(few.lines()) == [str(it) for it in few]
    assert (few.rows, few.kinds) == (2, {"prompt is missing": 2, "prompts.at is not allowed": 1})
    assert Problems(few) == few
    assert Problems(few).rows == 2
    assert not Problems()


def test_kinds_are_bounded_whatever_a_stranger_calls_things() -> None:
    many = listed(*(problem(row, f"cutouts.x{row}", f"cutouts.x{row} is unknown") for row in range(1000)))
    assert len(many.kinds) <= 101
    assert many.total == 1000
    assert len(many.counts) < 2000


def test_problems_of_several_runs_join_and_leave_out() -> None:
    first = listed(*(problem(row) for row in range(150)))
    both = first.joined(listed(problem(1, "width", "width is 'x'")))
    assert (both.rows, both.total, len(both)) == (151, 151, LISTED)
    assert (both.without([problem(3)]).total, len(both.without([problem(3)]))) == (150, LISTED - 1)
    again = pickle.loads(pickle.dumps(both))
    assert (again, again.rows, again.kinds) == (both, both.rows, both.kinds)


def test_one_more_problem_is_said_in_the_singular() -> None:
    found = listed(*(problem(1) for _ in range(LISTED + 1)))
    assert found.counts.startswith("and 1 more problem, 101 in 1 row: ")
