"""CSV and JSONL as spreadsheets, pandas and other programs write them: read, or refused by what is wrong."""

from __future__ import annotations

import io

import pytest

from manifests.building import build
from manifests.results import GoodRow, ManifestError, RowProblem

HEAD = "video_id,prompt,frames\n"
ROWS = "a,a red apple,3\nb,a pear,2\n"


def built(data: str | bytes, kind: str = "csv") -> tuple[list[str], list[RowProblem]]:
    found = list(build(io.BytesIO(data.encode() if isinstance(data, str) else data), kind, "source"))  # type: ignore[arg-type]
    return (
        [it.row.video_id for it in found if isinstance(it, GoodRow)],
        [it for it in found if isinstance(it, RowProblem)],
    )


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;", "sep=;;;", "sep=;\r"])
def test_excels_first_line_says_the_separator(first: str) -> None:
    assert built(f"{first}\n" + (HEAD + ROWS).replace(",", ";")) == (["a", "b"], [])


@pytest.mark.parametrize("sign", ["|", "\t", "^", ","])
def test_it_may_be_any_sign(sign: str) -> None:
    good, problems = built(f"sep={sign}\n" + (HEAD + ROWS + "c,x,none\n").replace(",", sign))
    assert good == ["a", "b"]
    assert [problem.row for problem in problems] == [5]  # counted with that line


@pytest.mark.parametrize(
    "text",
    ["video_id,prompt,,\na,x,,\nb,y,,\n", "video_id,prompt\na,x,,,\nb,y, ,\n", "video_id,prompt\na,x\n\n\r\n\nb,y\n"],
)
def test_empty_cells_at_the_end_are_none(text: str) -> None:
    assert built(text) == (["a", "b"], [])


def test_a_value_under_no_name_is_a_bad_row() -> None:
    good, problems = built("video_id,prompt,\na,x,zz\nb,y,\n")
    assert good == ["b"]
    assert "the first one too many is 'zz'" in str(problems[0])


def test_a_column_without_a_name_is_named_by_its_number() -> None:
    with pytest.raises(ManifestError, match=r"column 1 of 3 has no name.*index=False"):
        built(",video_id,prompt\n0,a,x\n")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_other_forms_of_unicode_are_named(kind: str, mark: str, encoding: str) -> None:
    text = HEAD + ROWS if kind == "csv" else '{"video_id": "a", "prompt": "x"}\n'
    with pytest.raises(ManifestError, match=f"line 1 is not UTF-8 text, but {encoding[:6].upper()}"):
        built((mark + text).encode(encoding), kind)


def test_a_key_of_any_length_is_named_in_a_short_message() -> None:
    _, (problem,) = built('{"video_id": "a", "prompt": "x", "' + "k" * 90_000 + '": 1}\n', "jsonl")
    assert "is unknown" in str(problem)
    assert len(problem.message) < 2000


def test_a_row_is_numbered_by_the_line_in_which_it_begins() -> None:
    _, (problem,) = built(HEAD + "\n\n\na,x,none\n")
    assert problem.row == 5


@pytest.mark.parametrize("tail", [",,", ", ,", ",,,,"])
def test_a_quote_that_is_not_closed_costs_its_row_also_where_rows_end_in_empty_cells(tail: str) -> None:
    rows = [",".join((name, '"red' if name == "b" else "a pear", f"2{tail}")) for name in "abcdef"]
    good, problems = built("\n".join([HEAD.rstrip("\n") + tail, *rows, ""]))
    assert good == ["a", "c", "d", "e", "f"]
    assert [problem.row for problem in problems] == [3]
    assert "line 3 opens a quote that is never closed" in str(problems[0])


def test_nor_do_the_rows_between_two_such_quotes_get_lost() -> None:
    rows = [",".join((name, '"red' if name in "be" else "a pear", "2,,")) for name in "abcdefg"]
    good, problems = built("\n".join([HEAD.rstrip("\n") + ",,", *rows, ""]))
    assert good == ["a", "c", "d", "f", "g"]
    assert [problem.row for problem in problems] == [3, 6]
