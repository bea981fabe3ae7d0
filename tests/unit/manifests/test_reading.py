import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.reading import count_rows, read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import NamedFile, arrow_schema


def parquet(table: pa.Table | dict[str, Any], name: str = "jobs.parquet", **options: Any) -> NamedFile:
    sink = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), sink, **options)
    return NamedFile(name, lambda: io.BytesIO(sink.getvalue()))


def test_good_rows_go_on_past_bad_ones():
    file = parquet({"video_id": ["a", "b", None, "d"], "prompt": ["x", "y", "z", "w"], "frames": [1, 0, 3, None]})
    first, second, third, fourth = read_rows([file])
    assert isinstance(first, GoodRow)
    assert isinstance(fourth, GoodRow)
    assert (first.number, fourth.number, fourth.row.frames) == (1, 4, 1)
    assert "frames" not in fourth.row.model_fields_set
    assert isinstance(second, RowProblem)
    assert str(second) == "frames is 0; allowed: a whole number from 1 to 1,000,000 (row 2, video 'b', jobs.parquet)"
    assert isinstance(third, RowProblem)
    assert (third.column, third.row, third.message) == ("video_id", 3, "video_id is missing")


def test_rows_are_numbered_through_batches_and_row_groups():
    ids = [f"v{n}" for n in range(100)]
    file = parquet({"video_id": ids, "prompt": ["x"] * 100}, row_group_size=30)
    results = [result for result in read_rows([file], batch_rows=7) if isinstance(result, GoodRow)]
    assert [(good.row.video_id, good.number) for good in results] == [(f"v{n}", n + 1) for n in range(100)]
    assert count_rows([file, file]) == 200


def test_an_id_used_twice_is_a_problem_of_the_later_row_and_names_the_first():
    one = parquet({"video_id": ["a", "b"], "prompt": ["x", "y"]}, "one.parquet")
    two = parquet({"video_id": ["c", "a"], "prompt": ["x", "y"]}, "two.parquet")
    *good, last = read_rows([one, two])
    assert [result.row.video_id for result in good if isinstance(result, GoodRow)] == ["a", "b", "c"]
    assert isinstance(last, RowProblem)
    assert last.message == "video_id 'a' was used before, in row 1 of one.parquet"
    assert (last.file, last.row) == ("two.parquet", 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"video_id": ["a"], "promt": ["x"]}, r"jobs.parquet: unknown column 'promt' did you mean 'prompt'\?"),
        ({"video_id": ["a"], "prompt": ["x"], "qqq": [1]}, "unknown column 'qqq'.*known are video_id, prompt, prompts"),
        ({"video_id": ["a"], "prompt": ["x"], "cutouts": [{"nubmer": 1}]}, "'cutouts.nubmer' did you mean 'cutouts.n"),
        ({"prompt": ["x"]}, "there is no column 'video_id'"),
        ({"video_id": ["x"]}, "neither a column 'prompt' nor 'prompts'"),
    ],
)
def test_a_file_of_unknown_or_missing_columns_is_refused(columns: dict[str, Any], message: str):
    for use in (lambda files: list(read_rows(files)), count_rows):
        with pytest.raises(ManifestError, match=message):
            use([parquet(columns)])


def test_a_column_given_twice_is_refused():
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["video_id", "prompt", "prompt"])
    with pytest.raises(ManifestError, match="'prompt' appears twice"):
        list(read_rows([parquet(table)]))


@pytest.mark.parametrize("data", [b"", b"hello", b"video_id,prompt\na,b\n", b"PAR1" + b"\0" * 200 + b"PAR1"])
def test_what_is_not_parquet_is_refused_with_a_remedy(data: bytes):
    with pytest.raises(ManifestError, match=r"x.csv is not a Parquet file.*nightreel manifest build"):
        list(read_rows([NamedFile("x.csv", lambda: io.BytesIO(data))]))


def test_a_damaged_page_is_distinguished_from_a_bad_row():
    with parquet({"video_id": ["a" * 50] * 50, "prompt": ["x"] * 50}, compression="zstd").open() as stream:
        data = bytearray(stream.read())
    data[4:60] = b"\xff" * 56
    with pytest.raises(ManifestError, match="is damaged in row group 1"):
        list(read_rows([NamedFile("jobs.parquet", lambda: io.BytesIO(bytes(data)))]))


def test_text_that_is_not_utf8_costs_its_row():
    raw = pa.array([b"\xff\xfe"]).view(pa.string())
    (bad,) = read_rows([parquet(pa.table({"video_id": ["a"], "prompt": raw}))])
    assert isinstance(bad, RowProblem)
    assert (bad.video_id, bad.column) == ("a", "prompt")


def test_storage_errors_pass_through():
    class BucketGone(OSError):
        pass

    def fail() -> io.BytesIO:
        raise BucketGone("no such bucket")

    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise BucketGone("no such bucket")

    for opener in (fail, lambda: Broken(b"PAR1" * 9)):
        with pytest.raises(BucketGone):
            list(read_rows([NamedFile("x", opener)]))


def test_foreign_column_types_are_taken_where_they_make_sense():
    table = pa.table(
        {
            "video_id": pa.array([7, 8], pa.int32()),
            "prompt": pa.array(["a", "b"]).dictionary_encode(),
            "frames": pa.array([48.0, 1.5]),
            "seed": pa.array(["12", "x"]),
            "zoom": pa.array([1.02, None], pa.float32()),
            "__index_level_0__": pa.array([5, 6]),
        }
    )
    good, *bad = read_rows([parquet(table)])
    assert isinstance(good, GoodRow)
    assert (good.row.video_id, good.row.frames, good.row.seed) == ("7", 48, 12)
    assert float(good.row.zoom) == pytest.approx(1.02)
    assert [(problem.column, problem.row) for problem in bad if isinstance(problem, RowProblem)] == [
        ("frames", 2),
        ("seed", 2),
    ]


def test_nested_and_dotted_columns():
    columns = {
        "video_id": ["a", "b"],
        "prompts": [[{"prompts": [{"text": "x"}]}], [{"at": 0, "prompts": [{"text": "y", "weight": None}]}]],
        "cutouts": [{"number": 8, "noise": None}, None],
        "optimiser.lr": [None, 0.2],
    }
    a, b = (result.row for result in read_rows([parquet(columns)]) if isinstance(result, GoodRow))
    assert a.cutouts.model_fields_set == {"number"}
    assert "cutouts" not in b.model_fields_set
    assert (a.optimiser.lr, b.optimiser.lr) == (0.1, 0.2)
    assert "optimiser" not in a.model_fields_set
    assert b.scenes[0].prompts[0].weight == "1"


def test_weights_that_are_numbers_are_read_as_those_that_are_texts():
    """Older manifests have doubles, where weights may be expressions now."""
    prompts = [[{"at": 0, "prompts": [{"text": "x", "weight": 0.5, "stop": -1.0}, {"text": "y", "weight": 1.0}]}]]
    texts = [[{"at": 0, "prompts": [{"text": "x", "weight": "0.5", "stop": "-1"}, {"text": "y", "weight": "1"}]}]]
    (one,), (other,) = (read_rows([parquet({"video_id": ["a"], "prompts": values})]) for values in (prompts, texts))
    assert isinstance(one, GoodRow)
    assert isinstance(other, GoodRow)
    assert one.row == other.row


def test_an_empty_manifest_has_no_rows():
    assert list(read_rows([parquet(arrow_schema().empty_table())])) == []
    assert list(read_rows([])) == []


# The peak is read from /proc: getrusage's is inherited from the process that started this one.
_MEASURE = r"""
import json, re, sys, time
from manifests.reading import read_rows
from manifests.results import GoodRow
from manifests.schema import NamedFile
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
before, started, good = peak(), time.perf_counter(), 0
for result in read_rows([NamedFile("jobs.parquet", lambda: open(sys.argv[1], "rb"))]):
    good += isinstance(result, GoodRow)
print(json.dumps({"good": good, "seconds": time.perf_counter() - started, "grown_mb": peak() - before, "mb": peak()}))
"""


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")


def measure(path: Path, rows: int) -> dict[str, float]:
    """Read a manifest of `rows` rows in ONE row group, the worst case, in a process of its own."""
    ids = pa.array(f"video-{n:07d}" for n in range(rows))
    prompts = pa.array(f"a red apple, number {n}, on a wooden table in the morning light" for n in range(rows))
    camera = pa.array(["0:(1.02), 60:(1.05)"] * rows)
    table = pa.table({"video_id": ids, "prompt": prompts, "frames": pa.array([48] * rows), "zoom": camera})
    pq.write_table(table, path, row_group_size=rows)
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    assert result["good"] == rows
    print(f"{rows / result['seconds']:.0f} rows/s, {result['mb']:.0f} MB")
    return result


@linux
def test_rows_stream_in_bounded_memory(tmp_path: Path):
    # Measured: 46 MB as a stream, 117 MB with all rows held.
    assert measure(tmp_path / "jobs.parquet", 50_000)["grown_mb"] < 80


@linux
@pytest.mark.slow
def test_a_million_rows_in_under_one_gigabyte(tmp_path: Path):
    assert measure(tmp_path / "jobs.parquet", 1_000_000)["mb"] < 1000
