"""Rows that are alike are looked at by their columns: what comes of each is what comes of it alone, good or bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.storage.storage import manifest_files
from manifests.parquet.settings import RowKinds
from manifests.reading import read_rows
from manifests.results import GoodRow, RowProblem, RowResult
from manifests.schema import ManifestRow
from manifests.schema.alike import Alike, AlikeRows, is_name, is_plain, is_seed, may_vary

NAMES = st.one_of(
    st.integers(0, 10_000).map("still-{}".format),
    st.sampled_from(["a", "report", "", "-x", "a/b", "\u00e9", "x" * 128, "x" * 129, "Con.", "a\n", "_"]),
)
PROMPTS = st.one_of(
    st.sampled_from(
        [
            "a red apple", "1984", "a | b", "a clock at 12:00", "0: dawn | 120: night", "a:2 | b:-1", "", "  ", "\n",
            "--ar 16:9", "a --no b", "{cat|dog}", "a\\|b", "a\\", " blanks ", "caf\u00e9 \U0001f34e", "a \u2014 b",
            "x" * 10_000, "x" * 10_001, "[a", "0 : x", "a:0", "NUL \0", "a:(", "AND | BREAK", "\x1f",
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
SEEDS = st.one_of(st.none(), st.integers(-3, 2**62), st.sampled_from([-1, 2**63 - 1, 2**63, 0, 2**64 - 1]))
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "width": st.sampled_from([512, 16, 15, 768]),
    "frames": st.sampled_from([1, 1, 2, 60, 0]),
    "zoom": st.sampled_from(["1.01", "1", "1 + 0.01*sin(t)", "1 + 0*s", "x", "0:(1), 60:(1.1)", "1e999"]),
    "angle": st.sampled_from([0.0, -0.0, 2.5, float("nan")]),
    "format": st.sampled_from(["png", "mp4", "gif", "tiff"]),
    "prefix": st.sampled_from(["oil:", "oil painting", "| blurred:-1", "x" * 9_995]),
    "continues": st.sampled_from(["still-1@0", "a"]),
    "travel": st.booleans(),
    "init": st.sampled_from(["noise", "image"]),
    "optimiser": st.sampled_from([{"lr": 0.1}, {"lr": -1.0}, {"lr": None}]),
    "warm": st.sampled_from([{"start": "codes"}]),
    "loss": st.sampled_from([{"palette": "1"}, {"tv": "0.1*s"}, {"tv": "0.1"}]),
    "image_prompts": st.sampled_from([[{"image": "a.png"}], [{"image": "a.png", "weight": "0.1*s"}], []]),
    "prompts": st.sampled_from([[{"at": 0, "prompts": [{"text": "a"}]}]]),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A manifest of a few kinds of rows, some of which are no good."""
    names = draw(st.lists(st.sampled_from(sorted(COMMON)), max_size=3, unique=True))
    kinds = [
        {name: draw(st.one_of(st.none(), COMMON[name])) for name in names}
        for _ in range(draw(st.integers(min_value=1, max_value=3)))
    ]
    rows = [
        {"video_id": draw(NAMES), "prompt": draw(st.one_of(PROMPTS, st.none())), "seed": draw(SEEDS),
         **draw(st.sampled_from(kinds))}
        for _ in range(draw(st.integers(min_value=8, max_value=40)))
    ]  # fmt: skip
    unsigned = all(row["seed"] is None or row["seed"] >= 0 for row in rows)
    for row in rows:
        if not unsigned and row["seed"] is not None and row["seed"] >= 2**63:
            row["seed"] = 2**63 - 1
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ["video_id", "prompt", *names]}
    if draw(st.booleans()):
        columns["seed"] = pa.array([row["seed"] for row in rows], pa.uint64() if unsigned else pa.int64())
    return pa.table({name: columns[name] for name in draw(st.permutations(list(columns)))})


def told(result: RowResult) -> object:
    """All that is known of a row: equal rows give the same fields, and the same as their author's."""
    if isinstance(result, RowProblem):
        return result
    row = result.row
    values = {name: row.__dict__[name] for name in ManifestRow.model_fields}
    return (repr(values), row.model_fields_set, repr(row.scenes), repr(row.timeline), result[1:4])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(table=tables(), batch=st.sampled_from([16, 4096]))
def test_by_columns_comes_what_comes_row_by_row(
    table: pa.Table, batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("m") / "m.parquet")
    pq.write_table(table, path)
    by_columns = list(read_rows(manifest_files(path), batch_rows=batch))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowKinds, "rows", lambda *_: None)
        row_by_row = list(read_rows(manifest_files(path), batch_rows=batch))
    assert [told(it) for it in by_columns] == [told(it) for it in row_by_row]
    for result in by_columns:
        if isinstance(result, GoodRow) and result.alike is not None:
            assert is_plain(result.row.prompt)


def good(tmp_path: Path, **columns: Any) -> list[RowResult]:
    path = str(tmp_path / "m.parquet")
    pq.write_table(pa.table(columns), path)
    return list(read_rows(manifest_files(path)))


def test_rows_of_one_kind_are_found_alike_and_share_what_they_have_in_common(tmp_path: Path) -> None:
    names = [f"still-{number}" for number in range(20)]
    prompts = ["a red apple", "two | parts", *["a boat"] * 18]
    results = good(tmp_path, video_id=names, prompt=prompts, seed=list(range(20)), width=[512] * 10 + [768] * 10)
    assert all(isinstance(it, GoodRow) for it in results)
    alike = [it.alike for it in results if isinstance(it, GoodRow)]
    assert alike[1] is None  # a grammar reads it
    assert len(set(alike[:1] + alike[2:10])) == len(set(alike[10:])) == 1
    assert alike[0] is not alike[10]
    assert [it.row.width for it in results if isinstance(it, GoodRow)] == [512] * 10 + [768] * 10


@pytest.mark.parametrize(
    ("columns", "varies"),
    [
        ({}, True),
        ({"zoom": "1.01", "angle": "-2", "loss": {"tv": "0.5"}}, True),
        ({"frames": 2, "zoom": "1 + 0.001*s"}, False),  # the seed may be beyond a limit
        ({"frames": 9, "prompt": "a | b"}, False),
        ({"prefix": "oil"}, False),
        ({"continues": "other"}, False),
        ({"noise_prompts": [{"seed": 1, "weight": "0.1*t"}]}, False),
    ],
)
def test_rows_whose_settings_ask_for_name_prompt_or_seed_are_looked_at_one_by_one(
    columns: dict[str, Any], varies: bool
) -> None:
    assert may_vary(ManifestRow.model_validate({"video_id": "a", "prompt": "a boat", **columns})) is varies


def test_a_row_made_like_another_is_the_row_that_its_values_give() -> None:
    settings = {"width": 256, "cutouts": {"number": 8}, "preset": "draft"}
    row = ManifestRow.model_validate({"video_id": "a", "prompt": "a boat", "seed": 1, **settings})
    _ = row.scenes, row.timeline
    made = Alike(row).of("b", "a tower", 7)
    wanted = ManifestRow.model_validate({"video_id": "b", "prompt": "a tower", "seed": 7, **settings})
    assert made == wanted
    assert (made.model_fields_set, made.scenes, made.timeline) == (
        wanted.model_fields_set, wanted.scenes, wanted.timeline,
    )  # fmt: skip
    assert made.model_dump() == wanted.model_dump()


def test_what_a_row_may_have_is_told_by_itself() -> None:
    assert [is_name(it) for it in ("a", "report", "a b", None, 7)] == [True, False, False, False, False]
    assert [is_seed(it) for it in (0, 2**63 - 1, 2**63, -1, True, 1.0)] == [True, True, False, False, False, False]


STORED: dict[str, Any] = {"zoom": "1.01", "angle": "0", "width": 256, "optimiser": {"lr": 0.1}, "seed": 3}


def outcome(make: Callable[[Any], ManifestRow], values: Any) -> object:
    """A row with what its author gave, or why it is none."""
    try:
        row = make(values)
    except ValueError as error:
        return str(error)
    return row, row.model_fields_set, repr(row)


@pytest.mark.parametrize(
    "changed",
    [
        {}, {"width": 15}, {"unknown": 1}, {"seed": None}, {"seed": True}, {"seed": -1}, {"prompt": "a | b"},
        {"prompt": "half \ud800"}, {"video_id": "report"}, {"prompt": 1984}, {"prefix": "oil"}, {"width": 256.0},
        {"zoom": 1.01}, {"continues": "still"}, {"zoom": "1 + 0*s"},
    ],
    ids=ascii,
)  # fmt: skip
def test_stored_rows_of_a_kind_are_those_that_their_values_give(changed: dict[str, Any]) -> None:
    rows = AlikeRows(most=1)
    named = {"video_id": "still", "prompt": "a boat"}
    for number in range(3):
        mine = STORED | named | {"seed": number} | changed
        for values in (mine, {"video_id": "other", "prompt": "a tower", "width": 512}, mine):
            assert outcome(rows.row, values) == outcome(ManifestRow.model_validate, values)


@pytest.mark.parametrize("values", [{}, [], None, "text", 3], ids=str)
def test_what_is_no_row_at_all_is_refused_as_ever(values: Any) -> None:
    assert outcome(AlikeRows().row, values) == outcome(ManifestRow.model_validate, values)
