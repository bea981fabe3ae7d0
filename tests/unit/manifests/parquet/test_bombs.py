"""Parquet that is small on disk and unfolds to more than memory holds: refused by its pages' headers, row by row."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.parquet import pages, rows, sizes
from manifests.reading import read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import NamedFile
from tests.helpers.root import ROOT

Table = pa.Table | dict[str, Any]


def repeated(values: Any, count: int) -> Any:
    return values.take(pa.array(np.zeros(count, np.int32), pa.int32()))


def lists(lengths: list[int], values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, *np.cumsum(lengths).tolist()], pa.int32()), values)


def pictures(*lengths: int) -> Any:
    images = repeated(pa.array(["a.png"]), sum(lengths))
    return lists(list(lengths), pa.StructArray.from_arrays([images], ["image"]))


def texts(count: int, text: str) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([text]))


def stories(rows: int, scenes: int, text: str) -> Any:
    prompts = pa.StructArray.from_arrays([texts(rows * scenes, text)], ["text"])
    inner = pa.StructArray.from_arrays([lists([1] * rows * scenes, prompts)], ["prompts"])
    return lists([scenes] * rows, inner)


def ids(count: int) -> list[str]:
    return [f"v{number}" for number in range(count)]


def write(sink: Any, table: Table, **options: Any) -> None:
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), sink, compression="zstd", **options)


def read(table: Table, **options: Any) -> list[Any]:
    sink = io.BytesIO()
    write(sink, table, **options)
    return list(read_rows([NamedFile("a.parquet", lambda: io.BytesIO(sink.getvalue()))]))


def nulls() -> Table:
    noise = pa.struct([("seed", pa.int64()), ("weight", pa.float64())])
    return {"video_id": ["a"], "prompt": ["x"], "noise_prompts": lists([20_000_000], pa.nulls(20_000_000, noise))}


def wide(sign: str) -> Table:
    names = ["prompt", "model", "zoom", "angle", "translate_x", "translate_y", "init_image", "init", "format"]
    names += ["frames", "fps", "seed", "steps", "width", "height", "handoff", "upscale", "priority", "crossfade"]
    return {"video_id": ids(3), **{name: [sign * 5_000_000] * 3 for name in names}}


BOMBS: dict[str, tuple[Callable[[], Table], dict[str, Any], list[str], str]] = {
    # what is written, how, the ids of the rows that are good, and what is said of the others
    "a list of two million items": (
        lambda: {"video_id": ids(3), "prompt": ["x"] * 3, "image_prompts": pictures(1, 2_000_000, 1)},
        {},
        ["v0", "v2"],
        r"^image_prompts is 26,000,000 bytes long; allowed: rows of at most 4,000,000 bytes \(row 2, video 'v1', a",
    ),
    "a list of twenty million nulls": (
        nulls,
        {},
        [],
        r"^noise_prompts holds 20,000,000 values; allowed: .* \(row 1, a",
    ),
    "a list of nulls behind many good rows": (
        lambda: {
            "video_id": ids(1001),
            "prompt": ["x"] * 1001,
            "noise_prompts": lists([0] * 1000 + [9_000_000], pa.nulls(9_000_000, pa.struct([("seed", pa.int64())]))),
        },
        {},
        [],
        r"row group 1 \(rows 1 to 1,001\) can't be read: in row 1,001 noise_prompts|^noise_prompts holds 9,000,000 v",
    ),
    "twenty columns of 5 MB": (
        lambda: wide("x"),
        {"use_dictionary": False},
        [],
        r"row group 1 \(rows 1 to 3\) can't be read: it has pages of 15 MB in prompt, and 105 MB must be",
    ),
    "texts that repeat the head of the one before": (
        lambda: {"video_id": ids(9), "prompt": ["x" * 5_000_000 + str(number) for number in range(9)]},
        {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY", "video_id": "PLAIN"}},
        [],
        r"^prompt is 5,000,001 bytes long",
    ),
    "one text in a thousand scenes of each row": (
        lambda: {"video_id": ids(4), "prompts": stories(4, 1000, "x" * 1_000_000)},
        {},
        [],
        r"^prompts is 1,000,\d+,\d+ bytes long",
    ),
    "a text of 110 MB": (
        lambda: {"video_id": ids(2), "prompt": ["x", "y" * 110_000_000]},
        {"use_dictionary": False},
        [],
        r"can't be read: it has pages of 110 MB in prompt",
    ),
}

_MEASURE = r"""
import re, sys, time
from manifests.reading import read_rows
from manifests.schema import NamedFile
for result in read_rows([NamedFile("a.parquet", lambda: open(sys.argv[1], "rb"))]):
    print(str(result)[:300])
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_bad_rows_with_their_places_and_little_memory(bomb: str, tmp_path: Path) -> None:
    make, options, good, message = BOMBS[bomb]
    path = tmp_path / "a.parquet"
    write(path, make(), **options)
    assert path.stat().st_size < 100_000
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, cwd=ROOT)
    *lines, peak = done.stdout.splitlines() or [""]
    found = [line for line in lines if line.startswith("GoodRow")]
    assert [re.search(r"video_id='(\w+)'", line)[1] for line in found] == good, done.stderr[-500:]  # type: ignore[index]
    bad = [line for line in lines if line not in found]
    assert bad
    assert all(re.search(message, line) for line in bad), bad[:3]
    assert float(peak) < 500


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd", "snappy", "gzip", "lz4"])
def test_the_longest_list_is_found_before_anything_is_decoded(version: Any, compression: Any) -> None:
    random = np.random.default_rng(7)
    for lengths in ([3, 0, 900, 2], random.integers(0, 9, 5000).tolist(), [0] * 4000 + [700] + [1] * 50, [5000]):
        sink = io.BytesIO()
        table = pa.table({"n": lists(lengths, pa.array(range(sum(lengths))))})
        pq.write_table(table, sink, compression=compression, data_page_version=version, data_page_size=500)
        found = pages.RowLengths(chunk := pages.row_groups(sink)[0].chunks[0], 1)
        headers = list(pages.pages_of(sink, chunk))
        for page in headers:
            if not page.is_dictionary:
                found.add(sink, page)
        assert (found.longest, found.row) == (max(lengths), int(np.argmax(lengths)))
        assert sum(page.values for page in headers if not page.is_dictionary) == sum(max(it, 1) for it in lengths)


def test_lists_in_lists_are_counted_together() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"prompts": stories(5, 40, "x")}), sink)
    chunk = pages.row_groups(sink)[0].chunks[0]
    found = pages.RowLengths(chunk, 2)
    for page in pages.pages_of(sink, chunk):
        if not page.is_dictionary:
            found.add(sink, page)
    assert (found.longest, found.row) == (40, 0)


def test_good_rows_of_other_row_groups_are_read_and_numbers_go_on() -> None:
    table = {"video_id": ids(5), "prompt": ["a", "b", "y" * 110_000_000, "c", "d"]}
    first, second, third, fourth, fifth = read(table, row_group_size=1, use_dictionary=False)
    assert [it.row.video_id for it in (first, second, fourth, fifth)] == ["v0", "v1", "v3", "v4"]
    assert [it.number for it in (first, second, fourth, fifth)] == [1, 2, 4, 5]
    assert isinstance(third, RowProblem)
    assert (third.row, third.column) == (3, "prompt")


def test_a_long_text_costs_its_row_and_no_other() -> None:
    table = {"video_id": ids(4), "prompt": ["a", "y" * 5_000_000, "b", "c"], "seed": [1, 2, 3, 4]}
    for options in ({"use_dictionary": False}, {"use_dictionary": True}):
        first, bad, *good = read(table, **options)
        assert [it.row.seed for it in (first, *good)] == [1, 3, 4]
        assert str(bad) == (
            "prompt is 5,000,000 bytes long; allowed: rows of at most 4,000,000 bytes (row 2, video 'v1', a.parquet)"
        )


@pytest.mark.parametrize("group", [4000, 10])
def test_a_long_text_in_every_row_costs_the_rows_after_a_bound(monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    """A file of kilobytes; each row is honest by itself."""
    monkeypatch.setattr(rows, "_LONG_TOGETHER", 1_000_000)
    monkeypatch.setattr(rows, "_TIMES_PACKED", 1)
    keys = ", ".join(f"{frame}:(1.0{frame % 7})" for frame in range(2000))  # 27 kB
    zoom = repeated(pa.array([keys]), 400)
    found = read({"video_id": ids(400), "prompt": ["a reef"] * 400, "frames": [2000] * 400, "zoom": zoom},
                 row_group_size=group)  # fmt: skip
    good = [it for it in found if isinstance(it, GoodRow)]
    bad = [it for it in found if isinstance(it, RowProblem)]
    assert 36 <= len(good) < 60
    assert len(good) + len(bad) == 400
    assert (bad[0].row, bad[0].video_id, bad[0].column) == (len(good) + 1, f"v{len(good)}", "zoom")
    assert "after all that a file's long rows may be" in bad[0].message
    assert "100 times the file's own size together; split the file" in bad[0].allowed


def test_many_row_groups_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = pq.ParquetFile.iter_batches

    def counted(*given: Any, **options: Any) -> Any:
        opened.append(options)
        return real(*given, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    found = read({"video_id": ids(900), "prompt": ["x"] * 900}, row_group_size=1)
    assert [it.number for it in found if isinstance(it, GoodRow)] == list(range(1, 901))
    assert len(opened) == 1


def test_a_footer_and_pages_beyond_all_measure_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"video_id": ids(500), "prompt": ["x"] * 500}
    with monkeypatch.context() as patched:
        patched.setattr(sizes, "_FOOTER_BYTES", 2000)
        with pytest.raises(
            ManifestError, match=r"a\.parquet has a footer of 0 MB; .*: write it with larger row groups"
        ):
            read(table, row_group_size=10)
    monkeypatch.setattr(sizes, "_MOST_PAGES", 20)
    bad = read(table, data_page_size=10, write_batch_size=10, use_dictionary=False)
    assert len(bad) == 500
    assert "it has more than 20 pages; allowed: larger pages" in str(bad[0])


def test_a_file_of_nothing_but_rows_is_refused_at_once() -> None:
    rows = 10_000_001  # a kilobyte of them; each would be a bad row for its missing video_id
    with pytest.raises(ManifestError, match=r"has 10,000,001 rows; a file may have at most 10,000,000: split it"):
        read({"video_id": pa.nulls(rows), "prompt": pa.nulls(rows)})


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_header_that_is_none_is_a_damage(at: int) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"video_id": ids(3), "prompt": ["x"] * 3}), sink, compression="none")
    data = bytearray(sink.getvalue())
    data[4 + at : 12] = b"\xf9" * (8 - at)
    with pytest.raises(ManifestError, match=r"a\.parquet is damaged in row group 1"):
        list(read_rows([NamedFile("a.parquet", lambda: io.BytesIO(bytes(data)))]))


@pytest.mark.parametrize("size", [1, 20])
def test_pages_outside_of_their_column_are_a_damage(size: int) -> None:
    sink = io.BytesIO()
    write(sink, {"video_id": ids(3000)}, use_dictionary=False)
    real = pages.row_groups(sink)[0].chunks[0]
    with pytest.raises(pages.BadPages, match=r"beyond the end of its column"):
        list(pages.pages_of(sink, replace(real, packed=size)))


def test_a_footer_says_what_arrow_says_of_it() -> None:
    for compression in ("none", "snappy", "zstd"):
        sink = io.BytesIO()
        table = pa.table({"video_id": ids(900), "prompts": stories(900, 2, "x"), "seed": range(900)})
        pq.write_table(table, sink, row_group_size=400, compression=compression)
        metadata = pq.ParquetFile(sink).metadata
        groups = pages.row_groups(sink)
        assert [group.rows for group in groups] == [400, 400, 100]
        for number, group in enumerate(groups):
            columns = [metadata.row_group(number).column(index) for index in range(metadata.num_columns)]
            assert [(it.packed, it.values) for it in group.chunks] == [
                (it.total_compressed_size, it.num_values) for it in columns
            ]
            firsts = [min(it.data_page_offset, it.dictionary_page_offset or it.data_page_offset) for it in columns]
            assert [it.place for it in group.chunks] == firsts


def test_a_footer_over_which_arrow_ends_the_process_is_a_damage(tmp_path: Path) -> None:
    """pyarrow 26 calls std::terminate where statistics of a column contradict its type."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"video_id": ids(3), "prompt": ["x"] * 3}), sink)
    data = sink.getvalue()
    length = int.from_bytes(data[-8:-4], "little")
    body, footer = data[: -8 - length], data[-8 - length : -8]
    places = [at for at, byte in enumerate(footer) if byte == 0x26]  # a list of two numbers: of three, then
    assert places
    for at in places:
        longer = footer[:at] + b"\x36\x00" + footer[at + 1 :]
        (tmp_path / f"{at}.parquet").write_bytes(body + longer + len(longer).to_bytes(4, "little") + b"PAR1")
    program = (
        "import sys\nfrom functools import partial\nfrom pathlib import Path\nfrom manifests.reading import read_rows\n"
        "from manifests.results import ManifestError\nfrom manifests.schema import NamedFile\n"
        "for path in Path(sys.argv[1]).iterdir():\n    try:\n"
        "        list(read_rows([NamedFile(path.name, partial(path.open, 'rb'))]))\n"
        "    except ManifestError as error:\n        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "histogram size mismatch" in done.stdout or "is damaged" in done.stdout


def test_what_arrow_refuses_without_a_class_of_its_own_is_a_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("Unencoded byte array data bytes does not support INT64")

    monkeypatch.setattr("manifests.reading.cost_of", fail)
    with pytest.raises(ManifestError, match=r"a\.parquet is damaged in row group 1 \(Unencoded"):
        read({"video_id": ids(3), "prompt": ["x"] * 3})


def test_columns_without_end_are_named_in_no_time() -> None:
    with pytest.raises(ManifestError, match="unknown columns 'c0'"):
        read({f"c{number}": [1] for number in range(3000)})


@pytest.mark.parametrize("column", ["prompt", "video_id", "model"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_what_is_no_text_costs_its_row(column: str, dictionary: bool) -> None:
    texts = [b"first", b"\xff\xfe", b"last"]
    offsets = pa.py_buffer(np.cumsum([0, *map(len, texts)]).astype(np.int32).tobytes())
    broken = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"".join(texts))])
    columns = {"video_id": ["a", "b", "c"], "prompt": ["x", "y", "z"], column: broken}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, use_dictionary=dictionary)
    first, bad, last = read_rows([NamedFile("a.parquet", lambda: io.BytesIO(stream.getvalue()))])
    assert isinstance(first, GoodRow)
    assert isinstance(last, GoodRow)
    assert isinstance(bad, RowProblem)
    assert bad.row == 2
    assert bad.column == column
    assert f"{column} is no text in UTF-8" in str(bad)


def test_a_long_text_in_every_row_is_refused_before_the_grammar() -> None:
    """Seven kilobytes of Parquet took a minute: each of 3,000 rows had the same 90,000 letters."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"video_id": [f"v{row}" for row in range(500)], "prompt": ["x" * 90_000] * 500}), stream)
    began = time.process_time()
    found = list(read_rows([NamedFile("a.parquet", lambda: io.BytesIO(stream.getvalue()))]))
    assert time.process_time() - began < 2
    assert len(found) == 500
    assert all("a text of more than 10000 characters" in str(it) for it in found)
