"""Columns in the names of folders, and Parquet that is small on disk and large in memory."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.storage.errors import SourceRefused, StorageError
from infra.storage.inputs import manifest_files
from manifests.reading import count_rows, read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import NamedFile
from tests.helpers.root import ROOT


def write(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def rows(place: Path | str) -> list[tuple[str, str, int]]:
    found = list(read_rows(manifest_files(str(place))))
    assert all(isinstance(it, GoodRow) for it in found), found
    return [(it.row.video_id, it.row.model, it.row.seed) for it in found if isinstance(it, GoodRow)]


@pytest.mark.parametrize("place", ["", "/", "/*/*/*.parquet", "/model=*/seed=*/data_0.parquet"])
def test_rows_have_the_columns_of_their_folders(cases: Path, place: str) -> None:
    found = rows(f"{cases / 'hive_partitioned_manifest'}{place}")
    assert found == [("v0", "embedded", 0), ("v2", "embedded", 0), ("v1", "embedded", 1), ("v3", "embedded", 1)]


def test_one_file_of_a_partitioned_manifest_has_its_columns_too(cases: Path) -> None:
    found = rows(cases / "hive_partitioned_manifest/model=embedded/seed=1/data_0.parquet")
    assert found == [("v1", "embedded", 1), ("v3", "embedded", 1)]


@pytest.mark.parametrize(
    "place", [".", "data_0.parquet", "*.parquet", "./data_0.parquet", "../seed=1", "../seed=1/*.parquet"]
)
def test_the_folder_that_one_is_in_gives_its_columns(cases: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / "hive_partitioned_manifest/model=embedded/seed=1")
    assert rows(place) == [("v1", "embedded", 1), ("v3", "embedded", 1)]


def test_a_link_to_a_folder_has_its_columns(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(cases / "hive_partitioned_manifest/model=embedded/seed=1")
    (tmp_path / "one").symlink_to(cases / "hive_partitioned_manifest/model=embedded/seed=1/data_0.parquet")
    for place in ("link", "link/*.parquet", "link/data_0.parquet", "one"):
        assert rows(tmp_path / place) == [("v1", "embedded", 1), ("v3", "embedded", 1)]


def test_spellings_of_folders_and_files(tmp_path: Path) -> None:
    write(tmp_path / "m/seed=%5F%5FHIVE_DEFAULT_PARTITION__/a.PARQUET", video_id=["a"], prompt=["b"])
    write(tmp_path / "m/seed%3D7/a.parquet", video_id=["c"], prompt=["b"])
    write(tmp_path / "m/_temporary/seed=1/a.parquet", video_id=["d"], prompt=["b"])
    assert rows(tmp_path / "m") == [("c", "embedded", 7), ("a", "embedded", 0)]


def test_a_setting_in_a_folders_name(tmp_path: Path) -> None:
    write(tmp_path / "m/cutouts.number=8/a.parquet", video_id=["a"], prompt=["b"], cutouts=[{"size_min": 0.5}])
    (row,) = read_rows(manifest_files(str(tmp_path / "m")))
    assert isinstance(row, GoodRow), row
    assert (row.row.cutouts.number, row.row.cutouts.size_min) == (8, 0.5)
    write(tmp_path / "m/cutouts.number=8/a.parquet", video_id=["a"], prompt=["b"], cutouts=[{"number": 9}])
    with pytest.raises(ManifestError, match=r"'cutouts\.number' stands in the folder's name and in the file"):
        list(read_rows(manifest_files(str(tmp_path / "m"))))


@pytest.mark.parametrize("below", ["", "model=a/model=b", "model=a/model=b/a.parquet"])
def test_two_folders_that_name_one_column_are_refused(tmp_path: Path, below: str) -> None:
    write(tmp_path / "model=a/model=b/a.parquet", video_id=["a"], prompt=["b"])
    with pytest.raises(SourceRefused, match="two of its folders name the column 'model'"):
        manifest_files(str(tmp_path / below))


@pytest.mark.parametrize("below", ["", "{}", "{}/a.parquet", "{}/*.parquet", "*/a.parquet", "x=1/{}/a.parquet"])
@pytest.mark.parametrize("folder", ["moedl=x", "_seed=1", "date=2024-01-01"])
def test_an_unknown_column_in_a_folders_name_is_an_error_however_it_is_named(
    tmp_path: Path, below: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = f"x=1/{folder}" if "x=1" in below else folder
    write(tmp_path / inside / "a.parquet", video_id=["a"], prompt=["b"])
    with pytest.raises(ManifestError, match=r"unknown column '\w+' in the name of its folder"):
        list(read_rows(manifest_files(str(tmp_path / below.format(folder)))))
    monkeypatch.chdir(tmp_path / inside)
    with pytest.raises(ManifestError, match="unknown column"):
        list(read_rows(manifest_files("a.parquet")))


def test_the_message_says_how_a_folder_is_to_be_called(tmp_path: Path) -> None:
    write(tmp_path / "date=2024-01-01/a.parquet", video_id=["a"], prompt=["b"])
    write(tmp_path / "moedl=x/a.parquet", video_id=["a"], prompt=["b"])
    with pytest.raises(ManifestError, match="rename it, to 'date-2024-01-01' if it is none"):
        count_rows(manifest_files(str(tmp_path / "date=2024-01-01")))
    with pytest.raises(ManifestError, match=r"its folder, did you mean 'model'\?"):
        count_rows(manifest_files(str(tmp_path / "moedl=x")))


def test_the_folder_for_null_sets_nothing_and_values_are_unquoted(tmp_path: Path) -> None:
    write(tmp_path / "m/seed=__HIVE_DEFAULT_PARTITION__/prompt=a%20red%20apple%3D/a.parquet", video_id=["a"])
    (row,) = read_rows(manifest_files(str(tmp_path / "m")))
    assert isinstance(row, GoodRow)
    assert row.row.prompt == "a red apple="
    assert "seed" not in row.row.model_fields_set


def test_a_bad_value_in_a_folders_name_is_a_problem_of_its_rows(tmp_path: Path) -> None:
    write(tmp_path / "m/seed=x/a.parquet", video_id=["a"], prompt=["b"])
    (row,) = read_rows(manifest_files(str(tmp_path / "m")))
    assert isinstance(row, RowProblem)
    assert row.column == "seed"


@pytest.mark.parametrize("folder", ["sede=1", "day=2026-11-28", "day=__HIVE_DEFAULT_PARTITION__"])
def test_an_unknown_column_in_a_folders_name_is_an_error(tmp_path: Path, folder: str) -> None:
    write(tmp_path / "m" / folder / "a.parquet", video_id=["a"], prompt=["b"])
    files = manifest_files(str(tmp_path / "m"))
    with pytest.raises(ManifestError, match=f"unknown column '{folder.partition('=')[0]}'"):
        list(read_rows(files))
    with pytest.raises(ManifestError, match="unknown column"):
        count_rows(files)


def test_the_folders_that_a_manifest_lies_in_may_be_called_anything(tmp_path: Path) -> None:
    write(tmp_path / "run=5" / "m" / "a.parquet", video_id=["a"], prompt=["b"])
    assert rows(tmp_path / "run=5" / "m") == [("a", "embedded", 0)]
    assert rows(tmp_path / "run=5" / "m" / "a.parquet") == [("a", "embedded", 0)]
    assert rows(f"{tmp_path}/run=5/m/*.parquet") == [("a", "embedded", 0)]


def test_a_column_in_the_folder_and_in_the_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m/seed=1/a.parquet", video_id=["a"], prompt=["b"], seed=[2])
    with pytest.raises(ManifestError, match="'seed' stands in the folder's name and in the file as well"):
        list(read_rows(manifest_files(str(tmp_path / "m"))))


def test_a_pipe_in_a_folder_costs_no_row(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", video_id=["a"], prompt=["b"])
    os.mkfifo(tmp_path / "z.parquet")
    assert rows(tmp_path) == [("a", "embedded", 0)]
    (tmp_path / "link.parquet").symlink_to("nothing")
    with pytest.raises(StorageError, match=r"link\.parquet"):
        rows(tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("parquet_badname.parquet", "parquet_badname.parquet is not a Parquet file, or not a whole one .*utf-8"),
        ("parquet_bad_timezone.parquet", r"column 'frames' holds values of the type timestamp\[ms, tz=Mars/Phobos\]"),
    ],
)
def test_a_file_of_which_no_row_can_be_trusted_is_named(cases: Path, file: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        list(read_rows(manifest_files(str(cases / "hostile" / file))))


_MEASURE = r"""
import re, sys
from infra.storage.inputs import manifest_files
from manifests.reading import read_rows
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
for result in read_rows(manifest_files(sys.argv[1])):
    print(str(result)[:200])
print(peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("how", ["case", "repeated", "nested"])
def test_a_text_of_20_mb_is_refused_by_its_length(cases: Path, tmp_path: Path, how: str) -> None:
    """In one row as it came, and 40 times under one number of a dictionary: 800 MB if it was written out."""
    path = cases / "hostile/parquet_prompt_20MB.parquet" if how == "case" else tmp_path / "a.parquet"
    ids = [f"v{number}" for number in range(40)]
    if how == "repeated":
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array(["x:" * 10_000_000]))
        pq.write_table(pa.table({"video_id": ids, "prompt": texts}), path, use_dictionary=["prompt"])
    if how == "nested":
        text = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array(["x" * 20_000_000]))
        prompts = pa.StructArray.from_arrays([text], ["text"])
        offsets = pa.array(range(41), pa.int32())
        scenes = pa.StructArray.from_arrays([pa.ListArray.from_arrays(offsets, prompts)], ["prompts"])
        table = pa.table({"video_id": ids, "prompts": pa.ListArray.from_arrays(offsets, scenes)})
        pq.write_table(table, path, use_dictionary=True)
    assert path.stat().st_size < 2_000_000
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, cwd=ROOT)
    *lines, peak = done.stdout.splitlines()
    assert lines, done.stderr[-500:]
    assert all(re.match(r"prompt(s|s\[0\]\.prompts|s\[0\]\.prompts\[0\]\.text)? is ", line) for line in lines)
    assert float(peak) < 400


def test_a_file_is_opened_with_the_partitions_it_was_given() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"video_id": ["a"], "prompt": ["x"]}), sink)
    (row,) = read_rows([NamedFile("a", lambda: io.BytesIO(sink.getvalue()), {"seed": "3"})])
    assert isinstance(row, GoodRow)
    assert row.row.seed == 3


def test_a_folder_that_is_no_text_costs_its_rows(tmp_path: Path) -> None:
    """They were rendered with signs in the place of what can't be read."""
    write(tmp_path / "prompt=%FF%FE" / "a.parquet", video_id=["a"])
    write(tmp_path / "prompt=a%20pear" / "b.parquet", video_id=["b"])
    bad, good = read_rows(manifest_files(str(tmp_path)))
    assert isinstance(good, GoodRow)
    assert good.row.prompt == "a pear"
    assert "prompt holds half of a character at character 1" in str(bad)


def test_row_labels_of_dask_are_left_out_as_those_of_pandas_are(tmp_path: Path) -> None:
    write(tmp_path / "seed=3" / "part.0.parquet", __null_dask_index__=[0], video_id=["a"], prompt=["x"])
    assert rows(tmp_path) == [("a", "embedded", 3)]


def test_columns_of_row_labels_are_bounded(tmp_path: Path) -> None:
    """5,000 took seven seconds, ten times as many a hundred times as long."""
    labels = {f"__index_level_{number}__": [number] for number in range(1001)}
    write(tmp_path / "a.parquet", video_id=["a"], prompt=["x"], **labels)
    with pytest.raises(ManifestError, match="has 1,003 columns; at most 1,000 are allowed: leave out row labels"):
        rows(tmp_path)
