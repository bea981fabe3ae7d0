"""Tables of strangers, of which each row makes a video: what they say, and what they must not do."""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.building import build
from manifests.results import ManifestError
from manifests.schema.prompts import parse_prompts
from manifests.sources import costs, tables
from manifests.sources.tables import lines_at_least
from tests.helpers.sources import Folder, built, refusal

PEOPLE = [
    {"customer": 17, "name": "Anna", "age": 30, "town": "Köln"},
    {"customer": 18, "name": "Bob", "age": None, "town": None},
    {"customer": 20, "name": "Zoë", "age": 7.5, "town": "Rome"},
]
BLOCK = {
    "template": "a birthday cake for {name}",
    "id": "for-{customer}-{name}",
    "set": {"seed": "{customer}", "steps_first": "{age}", "zoom": "1 + .0{customer}"},
}


def parquet(people: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(people), sink)
    return sink.getvalue()


def csv(people: list[dict[str, Any]], separator: str = ",") -> str:
    lines = [separator.join(people[0])]
    lines += [separator.join("" if it is None else str(it) for it in person.values()) for person in people]
    return "\ufeff" + "\r\n".join(lines)


FILES = {
    "people.csv": csv(PEOPLE),
    "people.tsv": csv(PEOPLE, "\t"),
    "people.CSV": csv(PEOPLE, ";"),
    "people.jsonl": "\n\n".join(json.dumps(it) for it in PEOPLE),
    "people.parquet": parquet(PEOPLE),
}


@pytest.mark.parametrize("name", FILES)
def test_one_video_a_row_whatever_the_table_is_written_in(name: str) -> None:
    block = {**BLOCK, "table": name}
    good, bad = built({"defaults": {"frames": 2}, "expand": block}, FILES)
    assert [row["video_id"] for row in good] == ["for-17-anna", "for-18-bob"]
    assert good[0] == {
        "video_id": "for-17-anna", "prompt": "a birthday cake for Anna", "frames": 2, "seed": 17, "steps_first": 30,
        "zoom": "1 + .017",
    }  # fmt: skip
    assert "steps_first" not in good[1], "an empty cell is not given"
    (problem,) = map(str, bad)
    assert "steps_first is '7.5'" in problem.replace("is 7.5", "is '7.5'")
    place = {"jsonl": "line 5", "parquet": "row 3"}.get(name.rpartition(".")[2], "line 4")
    assert (
        f", by {place} of {name}; allowed: a whole number from 1 to 10,000 (item 3, video 'for-20-zoe', night.yaml)"
        in problem
    )


def test_rows_of_a_table_times_axes_and_choices() -> None:
    block = {
        "table": "people.csv",
        "axes": {"style": ["ink", "oil"]},
        "template": "{name} in {style}, {a|b}",
        "id": "{name}-{style}",
    }
    good, _ = built({"expand": block}, FILES)
    assert len(good) == 3 * 2 * 2
    assert [row["prompt"] for row in good[:4]] == [
        "Anna in ink, a",
        "Anna in ink, b",
        "Anna in oil, a",
        "Anna in oil, b",
    ]
    good, _ = built({"expand": {**block, "mode": "sample"}}, FILES)
    assert len(good) == 3, "one a row, if nothing else is said"
    more = {"people.csv": csv([{"customer": 1, "name": "New", "age": 1, "town": "X"}, *PEOPLE])}
    again, _ = built({"expand": {**block, "mode": "sample"}}, more)
    assert again[1:] == good, "who comes before changes nothing"
    two, _ = built({"expand": {**block, "mode": "sample", "count": 2}}, FILES)
    assert len(two) == 6


def test_a_column_video_id_names_the_videos() -> None:
    files = {"t.csv": "video_id,name\nreef,x\nsea,y\n"}
    good, _ = built({"expand": {"table": "t.csv", "template": "{name}"}}, files)
    assert [row["video_id"] for row in good] == ["reef", "sea"]


def test_a_table_sets_nothing_that_the_block_does_not_name() -> None:
    files = {"t.csv": "video_id,name,model,init_image,prompt,frames\nreef,x,evil,/etc/passwd,other,99\n"}
    good, _ = built({"expand": {"table": "t.csv", "template": "{name}"}}, files)
    assert good == [{"video_id": "reef", "prompt": "x"}]


@pytest.mark.parametrize(
    "text",
    [
        "Anna: 2",
        "a | b:-5",
        "0: dawn | 12: night",
        "{red|green}",
        "__colours__",
        "{name}",
        "{town}",
        "x\\",
        "7",
        "12:00",
        "\\:",
        "{2$$a|b}",
        "a\nb",
        "it's {{me}}",
        "{0.5::a|b}",
        "%s",
        "$name",
    ],
)
def test_what_a_table_says_is_a_text_and_nothing_else(text: str) -> None:
    files = {"t.jsonl": json.dumps({"name": text, "town": "SECRET"}), "wildcards/colours.txt": "red"}
    block = {"table": "t.jsonl", "template": "for {name}, {in ink|in oil}", "id": "v"}
    good, bad = built({"expand": block}, files)
    assert not bad
    scenes = [parse_prompts(row["prompt"]) for row in good]
    assert [[prompt.text for prompt in scene.prompts] for (scene,) in scenes] == [
        [f"for {text}, in ink"], [f"for {text}, in oil"]
    ]  # fmt: skip


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(str.strip)
)
@settings(max_examples=150, deadline=None)
def test_any_text_comes_out_of_the_prompt_as_it_went_in(text: str) -> None:
    good, bad = built(
        {"expand": {"table": "t.jsonl", "template": "<{name}>", "id": "v"}}, {"t.jsonl": json.dumps({"name": text})}
    )
    # other tools' spellings are refused, as in any prompt
    assert good or "write" in str(bad[0])
    if good:
        ((prompt,),) = [scene.prompts for scene in parse_prompts(good[0]["prompt"])]
        assert (prompt.text, prompt.weight) == (f"<{text}>", "1")


def wide(columns: int) -> str:
    return ",".join(f"c{n}" for n in range(columns)) + "\n" + ",".join("x" * columns)


@pytest.mark.parametrize(
    ("files", "block", "message"),
    [
        ({}, {}, "there is no table 'people.csv' beside the source"),
        ({"people.csv": ""}, {}, "people.csv: the first line is empty; it must name the columns"),
        ({"people.csv": "name\n"}, {}, "people.csv has no rows that can be read"),
        ({"people.csv": 'name,customer\n"x,1\n'}, {}, "people.csv has no rows that can be read: line 2 opens a quote"),
        ({"people.csv": "name,name\nx,y\n"}, {}, "people.csv: column 'name' appears twice"),
        ({"people.csv": ",name\nx,y\n"}, {}, "people.csv: column 1 of 2 has no name"),
        ({"people.csv": wide(1001)}, {}, "people.csv has 1,001 columns; at most 1,000 are allowed"),
        ({"people.csv": "name\nx".encode("utf-16")}, {}, "people.csv: line 1 is not UTF-8 text, but UTF-16"),
        (
            {"people.csv": "name,customer\n" + ("x" * 60_000 + ",1\n") * 1000},
            {"template": "{name}" * 9},
            "characters are allowed in one block",
        ),
        (
            {"people.csv": "name,customer\nx,1\n"},
            {"template": "{nmae}"},
            "'template' of expand holds '{nmae}'; did you mean 'name'?",
        ),
        (
            {"people.csv": "name,customer\nx,1\n"},
            {"id": "{costumer}"},
            "'id' of expand holds '{costumer}'; did you mean 'customer'?",
        ),
        (
            {"people.csv": "name,customer\nx,1\n"},
            {"axes": {"name": ["a"]}},
            "'name' is an axis of expand and a column of people.csv",
        ),
        (
            {"people.csv": "name,customer\nx,1\n"},
            {"id": None},
            "needs 'id', the names of its videos, such as 'id: \"{name}\"'",
        ),
        (
            {"people.xlsx": b"PK"},
            {"table": "people.xlsx"},
            "the kind '.xlsx' of the table 'people.xlsx' is unknown; allowed are .csv",
        ),
        ({}, {"table": 3}, "'table' of expand must be the path of a file"),
        (
            {"p.jsonl": "[1]\n{\n" + "[" * 100_000},
            {"table": "p.jsonl"},
            "p.jsonl has no rows that can be read: the line is a JSON list",
        ),
        ({"p.parquet": b"no Parquet"}, {"table": "p.parquet"}, "p.parquet is not a Parquet file"),
        (
            {"p.parquet": parquet(PEOPLE)[:-40]},
            {"table": "p.parquet"},
            "p.parquet is not a Parquet file, or not a whole one",
        ),
    ],
)
def test_a_table_that_can_not_be_used_says_why(files: dict[str, Any], block: dict[str, Any], message: str) -> None:
    whole = {"table": "people.csv", "template": "{name}", "id": "{customer}", **block}
    began = time.process_time()
    assert message in refusal({key: it for key, it in whole.items() if it is not None}, files)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("name", "data", "places", "messages"),
    [
        (
            "t.csv",
            'id,name\n1,x\n2,"y\n3,z\n4,a,b\n5,\n6,w\n',
            ["1", "3", "6"],
            ["line 3 opens a quote that is never closed", "3 cells under 2 columns", "name is empty"],
        ),
        (
            "t.csv",
            b"id,name\n1,x\n2,caf\xe9\n3,\n4,y\n",
            ["1", "4"],
            [
                "name is no text in UTF-8; save the file as UTF-8 (line 3, t.csv)",
                "name is empty, and the prompt of expand holds it; allowed: a value (line 4, t.csv)",
            ],
        ),
        (
            "t.csv",
            "id,name\n1,x,y,z\n2,y\n3," + "n" * 100_001 + "\n",
            ["2"],
            [
                "4 cells under 2 columns",
                "name brings the prompt of expand to more than 100,000 characters; allowed: at most",
            ],
        ),
        (
            "t.jsonl",
            '{"id": 1, "name": "x"}\n{"id": 2, "name": ["y"]}\n{"id": {}, "name": "z"}\n{"id": 3, "name": {"a": 1}}\n'
            '{"id": 1'
            + "0"
            * 5000
            + ', "name": "w"}\n{"id": 4, "name": "v", "name": "u"}\n{"id": 5, "name": "\\ud800"}\n'
            '{"id": 6, "name": NaN}\n{"id": 7, "name": "t"}',
            ["1", "7"],
            [
                "name is a list; allowed in a table are texts and numbers (line 2, t.jsonl)",
                "id is empty, and 'id' of expand",
                "name is a block",
                "line 5",
                "the key 'name' is given twice",
                "name is no text in UTF-8",
                "name is empty",
            ],
        ),
        (
            "t.parquet",
            parquet([{"id": "1", "name": "x", "tags": None}, {"id": "2", "name": "y", "tags": ["a"]}]),
            ["1"],
            ["tags is a list; allowed in a table are texts and numbers (row 2, t.parquet)"],
        ),
        (
            "t.parquet",
            parquet(
                [{"id": 1.0, "name": "x"}, {"id": 2.0, "name": "n" * 5_000_000}, {"id": float("nan"), "name": "z"}]
            ),
            ["1"],
            ["name is 5,000,000 bytes long", "id is empty"],
        ),
    ],
)
def test_a_bad_row_of_a_table_costs_itself(name: str, data: Any, places: list[str], messages: list[str]) -> None:
    block = {"table": name, "template": "{name}", "id": "{id}"}
    good, bad = built({"expand": block}, {name: data})
    assert [row["video_id"] for row in good] == places
    said = "\n".join(map(str, bad))
    assert [message for message in messages if message not in said] == [], said
    assert all(it.file in (name, "night.yaml") for it in bad)


def test_a_table_times_its_axes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "MAX_ROWS", 1000)
    block = {"table": "t.csv", "id": "{name}", "axes": {"style": list("abcdefgh")}, "template": "{style}"}
    assert "makes 1,600 rows (8 of 'style' times 200 rows of the table); at most 1,000 are" in refusal(
        block, {"t.csv": "name\n" + "x\n" * 200}
    )
    assert "t.csv has more than 1,000 rows; split it" in refusal(block, {"t.csv": "name\n" + "x\n" * 1001})
    sampled = {**block, "mode": "sample", "count": 6}
    assert "makes 1,200 rows (6 drawn for each row times 200 rows of the table)" in refusal(
        sampled, {"t.csv": "name\n" + "x\n" * 200}
    )


def test_a_bomb_in_parquet_costs_what_a_manifest_may() -> None:
    names = pa.array(["x" * 1_000_000] * 300).dictionary_encode()
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": range(300), "name": names}), sink, compression="zstd")
    began = time.process_time()
    good, bad = built(
        {"expand": {"table": "t.parquet", "template": "{name}", "id": "{id}"}}, {"t.parquet": sink.getvalue()}
    )
    assert (good, len(bad)) == ([], 300)
    assert {"name brings the prompt of expand to more", "the row is 1,000,008 bytes long, after all"} == {
        str(it)[: len(str(it).partition(" than ")[0].partition(" that ")[0])] for it in bad
    }
    assert time.process_time() - began < 60


def test_equal_ids_of_two_blocks_of_one_table_are_found() -> None:
    files = {"t.csv": "id,name\n1,x\n"}
    block = {"table": "t.csv", "template": "{name}", "id": "{id}"}
    good, (problem,) = built({"expand": [block, block]}, files)
    assert len(good) == 1
    assert "video_id '1' was used before, in item 1 of night.yaml" in str(problem)


def test_without_a_folder_nothing_can_be_named() -> None:
    for text, message in (
        ("expand: {table: t.csv, id: x}", "there is no folder from which the table 't.csv' could be read"),
        ("expand: {template: __x__}", "there is no folder from which 'wildcards/x.txt' could be read"),
    ):
        with pytest.raises(ManifestError, match=message):
            list(build(text, "yaml", "night.yaml"))


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a,b\n1,2\n3,4\n", 3), (b"a\r\n1\r\n\r\n,,\r\n2", 3), (b'a,b\n"1\n1","2\n""\n2"\n3,4\n', 3), (b"", 0),
        (b'a\nit is 5" long\nand 6" wide\n', 3),
    ],
)  # fmt: skip
def test_lines_of_a_table_are_counted_without_those_in_its_cells(data: bytes, lines: int) -> None:
    assert lines_at_least(data) == lines


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_of_too_many_rows_is_refused_by_a_count(kind: str) -> None:
    rows = 1_100_000
    text = "name\n" + "x\n" * rows if kind == "csv" else '{"name": "x"}\n' * rows
    began = time.process_time()
    said = refusal({"table": f"t.{kind}", "id": "{name}", "template": "{name}"}, {f"t.{kind}": text})
    assert re.search(r"has 1,100,00[01] lines; at most 1,000,000 rows are allowed: split it", said)
    assert time.process_time() - began < 2


def test_a_table_is_read_once_for_all_blocks_that_name_it() -> None:
    files = Counted({"t.csv": "id,name\n1,x\n"})
    block = {"table": "t.csv", "template": "{name}"}
    list(build(yaml.safe_dump({"expand": [{**block, "id": f"{n}-{{id}}"} for n in range(5)]}), "yaml", "n.yaml", files))
    assert files.reads == 1


def test_all_tables_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST_BYTES", 1000)
    files = {f"{n}.csv": "id,name\n1," + "x" * 400 for n in range(3)}
    blocks = [{"table": name, "template": "{name}", "id": "{id}"} for name in files]
    assert "the tables of expand up to '2.csv' hold 1,230 bytes; at most 1,000 are allowed" in refusal(blocks, files)


class Counted(Folder):
    """A folder that counts what is read of it."""

    reads = 0

    def read(self, path: str, *, within: bool = False) -> bytes | None:
        self.reads += 1
        return super().read(path, within=within)
