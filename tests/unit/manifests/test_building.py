import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from manifests.building import BuildResult, Kind, build, kind_of, write_parquet
from manifests.reading import read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import NamedFile, arrow_schema, schedules
from tests.helpers.root import ROOT


def good(source: Any, kind: Kind) -> list[dict[str, Any]]:
    results = list(build(source, kind, f"jobs.{kind}"))
    assert all(isinstance(result, GoodRow) for result in results), results
    return [result.row.model_dump(exclude_unset=True) for result in results if isinstance(result, GoodRow)]


def bad(source: Any, kind: Kind) -> list[str]:
    return [str(result) for result in build(source, kind, f"jobs.{kind}") if isinstance(result, RowProblem)]


def test_csv():
    text = '\ufeffvideo_id, prompt ,frames,zoom,cutouts.number\napple,"red, ripe apple",,,\n\nfly,a fly,48,1.02,8\n'
    expected = [
        {"video_id": "apple", "prompt": "red, ripe apple"},
        {"video_id": "fly", "prompt": "a fly", "frames": 48, "zoom": "1.02", "cutouts": {"number": 8}},
    ]
    assert good(text, "csv") == expected
    assert good(io.BytesIO(text.encode()), "csv") == expected
    assert good(io.StringIO(text.replace("\n", "\r\n"), newline=""), "csv") == expected


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_of_other_spreadsheets(separator: str):
    text = separator.join(["video_id", "prompt", "frames"]) + "\n" + separator.join(["a", "x, y", "2"])
    assert good(text, "csv") == [{"video_id": "a", "prompt": "x, y", "frames": 2}]


def test_csv_cells_may_hold_json_for_nested_columns():
    text = 'video_id,prompt,image_prompts\na,[x],"[{""image"": ""i.png"", ""weight"": null}]"\n'
    assert good(text, "csv") == [{"video_id": "a", "prompt": "[x]", "image_prompts": ({"image": "i.png"},)}]
    assert "image_prompts is not valid JSON" in bad("video_id,prompt,image_prompts\na,x,[1", "csv")[0]


SCENES = [
    {"at": 0, "images": [{"image": "i.png", "weight": 0.5, "aligned": True}]},
    {"at": 4, "prompts": [{"text": "night"}], "images": [{"image": "j.png", "stop": "-t/9"}], "noise": [{"seed": 3}]},
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "yaml"])
def test_scenes_of_pictures_and_noise_are_read_from_every_kind_of_source(kind: Kind):
    if kind == "csv":
        text = 'video_id,frames,prompts\na,9,"' + json.dumps(SCENES).replace('"', '""') + '"\n'
    else:
        text = json.dumps({"video_id": "a", "frames": 9, "prompts": SCENES})
        text = f"videos:\n  - {text}" if kind == "yaml" else text
    assert good(text, kind) == [
        {"video_id": "a", "frames": 9, "prompts": (
            {"at": 0, "images": ({"image": "i.png", "weight": "0.5", "aligned": True},)},
            {"at": 4, "prompts": ({"text": "night"},), "images": ({"image": "j.png", "stop": "-t/9"},),
             "noise": ({"seed": 3},)},
        )}
    ]  # fmt: skip


def test_csv_problems_name_the_line_also_after_a_cell_of_several_lines():
    text = 'video_id,prompt,frames\na,"two\nlines",1\nb,x,0\nc,red, apple,4\nd,y,2\n'
    first, second = bad(text, "csv")
    assert first == "frames is '0'; allowed: a whole number from 1 to 1,000,000 (line 4, video 'b', jobs.csv)"
    assert "4 cells under 3 columns" in second
    assert "line 5, video 'c'" in second


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the first line is empty"),
        ("video_id,promt\n", r"unknown column 'promt' did you mean 'prompt'\?"),
        ("prompt\nx\n", "no column 'video_id'"),
        (io.BytesIO(b"video_id,prompt,caf\xe9\na,x,\n"), "line 1 is not UTF-8"),
        (io.BytesIO("video_id,prompt\na,x".encode("utf-16")), "line 1 is not UTF-8 text, but UTF-16"),
    ],
)
def test_csv_that_can_not_be_read(source: Any, message: str):
    with pytest.raises(ManifestError, match=message):
        list(build(source, "csv", "jobs.csv"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'b,"x"y', r"line 3 can't be read as CSV .*line 3, jobs.csv"),
        (b"b," + b"x" * 140_000, r"line 3 can't be read as CSV .*field limit"),
        (b'"b","x\nx"y', r"lines 3 to 4, one row by their quotes, can't be read as CSV"),
        (b"b,caf\xe9", r"prompt holds half of a character .*its file is not UTF-8.*video 'b'"),
        (b"b\xe9,x,y", r"3 cells under 2 columns"),
    ],
)
def test_a_line_that_is_no_csv_costs_itself(line: bytes, message: str):
    rows = list(build(io.BytesIO(b"video_id,prompt\na,x\n" + line + b"\nc,x\n"), "csv", "jobs.csv"))
    assert [it.row.video_id for it in rows if isinstance(it, GoodRow)] == ["a", "c"]
    (problem,) = (str(it) for it in rows if isinstance(it, RowProblem))
    assert re.search(message, problem), problem
    problem.encode()


@pytest.mark.parametrize(
    ("rest", "message", "ids"),
    [
        ('b,"red,2\nc,y,3\n', "line 3 opens a quote that is never closed", "ac"),
        ('b,"red', "line 3 opens a quote that is never closed", "a"),
        ('b,"two\nlines",2\nc,"red,3\nd,y,4\n', "line 5 opens a quote that is never closed", "abd"),
        ('b,"red,2\nc,y,3\nd,w"",4\ne,y,5\n', "line 3 opens a quote that is never closed", "acde"),
        ('b,"red,2\nc,y,3\nd,"z",4\n', "lines 3 to 5, one row by their quotes, can't be read", "acd"),
        ('b,"red,2\n' + "c,y,3\n" + "x" * 140_000, "line 3 opens a quote that is never closed: field larger", "ac"),
        ('b,"red,2\nc,y,3\nd,w",4\ne,z,5\n', "line 3 opens a quote that line 5 closes, and the lines in it", "ace"),
        ('b,"red,2\nc,"y",3\n', "lines 3 to 4, one row by their quotes", "ac"),
        ('b,"red,2\nc,y",3\n', "line 3 opens a quote that line 4 closes", "a"),
    ],
)
def test_a_quote_that_is_not_closed_is_named_where_it_opens_and_the_lines_in_it_are_read(
    rest: str, message: str, ids: str
):
    rows = list(build(f"video_id,prompt,seed\na,x,1\n{rest}", "csv", "jobs.csv"))
    assert message in next(str(it) for it in rows if isinstance(it, RowProblem))
    good_rows = [it for it in rows if isinstance(it, GoodRow)]
    assert [it.row.video_id for it in good_rows] == list(ids)
    lines = rest.splitlines()
    assert all(lines[it.number - 3].startswith(it.row.video_id) for it in good_rows if it.number > 2)


def test_texts_of_several_lines_are_texts():
    text = 'video_id,prompt\na,"a castle\ndawn, golden light"\nb,"one\ntwo\nthree, four, five"\nc,"x\n\ny"\n'
    assert [it["video_id"] for it in good(text, "csv")] == ["a", "b", "c"]


def test_a_line_of_jsonl_that_is_not_utf_8_costs_itself():
    lines = b'{"video_id": "a", "prompt": "caf\xe9"}\n{"video_id": "b", "prompt": "x"}\n'
    first, second = build(io.BytesIO(lines), "jsonl", "jobs.jsonl")
    assert "holds half of a character" in str(first)
    assert isinstance(second, GoodRow)


def test_jsonl():
    text = '{"video_id": "a", "prompt": "x", "frames": null, "loss.tv": 0.3}\n\n{"video_id": "b", "prompt": "y"}\n'
    assert good(text, "jsonl") == [
        {"video_id": "a", "prompt": "x", "loss": {"tv": 0.3}},
        {"video_id": "b", "prompt": "y"},
    ]


def test_jsonl_problems():
    text = '{"video_id": "a"\n[1]\n{"video_id": "a", "prompt": "x", "fames": 3}\n' + "[" * 100_000
    first, second, third, fourth = bad(text, "jsonl")
    assert "not valid JSON" in first
    assert "(line 1, jobs.jsonl)" in first
    assert "the line is a JSON list; allowed: one JSON object per line (line 2" in second
    assert "fames is unknown; did you mean 'frames'? (line 3, video 'a'" in third
    assert "line 4" in fourth


def test_a_key_that_is_given_twice_costs_its_line():
    text = '{"video_id": "a", "prompt": "x", "prompt": "y"}\n{"video_id": "b", "prompts": [{"at": 0, "at": 1}]}'
    first, second = bad(text, "jsonl")
    assert "the line is not valid JSON (the key 'prompt' is given twice)" in first
    assert "the key 'at' is given twice" in second
    cell = 'video_id,prompt,cutouts\na,x,"{""number"": 8, ""number"": 9}"\n'
    assert "cutouts is not valid JSON (the key 'number' is given twice)" in bad(cell, "csv")[0]


def test_yaml_with_defaults_videos_and_expansion():
    text = """
    defaults: {frames: 48, cutouts: {number: 8, noise: 0.2}, optimiser.lr: 0.2}
    videos:
      - {video_id: a, prompt: x}
      - {video_id: 0042, prompt: y, frames: 1, cutouts: {number: 4}}
    expand:
      subjects: [a red apple, a cat]
      styles: [ink, oil]
      template: "{subject} in {style}"
      id: "{style}-{subject}"
      set: {zoom: 1.02}
    """
    a, b, *expanded = good(text, "yaml")
    assert a["frames"] == 48
    assert a["cutouts"] == {"number": 8, "noise": 0.2}
    assert (b["frames"], b["cutouts"], b["optimiser"]) == (1, {"number": 4, "noise": 0.2}, {"lr": 0.2})
    assert [(row["video_id"], row["prompt"]) for row in expanded] == [
        ("ink-a-red-apple", "a red apple in ink"),
        ("oil-a-red-apple", "a red apple in oil"),
        ("ink-a-cat", "a cat in ink"),
        ("oil-a-cat", "a cat in oil"),
    ]
    assert {(row["frames"], row["zoom"]) for row in expanded} == {(48, "1.02")}


def test_expansion_by_default_and_with_seeds():
    rows = good("expand: {subjects: [Ein Apfel!, ein Apfel, 红], seeds: [1, 2]}", "yaml")
    assert [row["video_id"] for row in rows] == [
        "ein-apfel-1",
        "ein-apfel-2",
        "ein-apfel-1-2",
        "ein-apfel-2-2",
        "hong-1",
        "hong-2",
    ]
    assert [row["seed"] for row in rows] == [1, 2] * 3
    assert rows[0]["prompt"] == "Ein Apfel!"


def test_yaml_may_be_a_plain_list_and_names_its_items():
    first, second, third = bad("- {video_id: a, prompt: x, frames: 0}\n- 3\n- {video_id: a, prompt: y}\n", "yaml")
    assert "(item 1, video 'a', jobs.yaml)" in first
    assert "the item '3' is no block with columns (line 2, column 3)" in second
    assert "was used before, in item 1" in third


LAUGHS = "l0: &l0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
    f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write a list of videos"),
        ("hello", "write a list of videos"),
        ("a: b: c", "line 1: not valid YAML"),
        ("videos: []\nvidoes: []", r"'vidoes' is unknown at the top; did you mean 'videos'\?"),
        ("videos: 3", "must be a block of columns and 'videos' a list"),
        ("defaults: {fames: 3}", r"defaults can't hold 'fames'; did you mean 'frames'\?"),
        ("defaults: {fps: 3, fps: 4}", "line 1: not valid YAML .*'fps' is given twice"),
        ("defaults: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("expand: &a [*a]", "aliases unfold"),
        (f"expand:\n- {LAUGHS}  x: *l11", "aliases unfold"),
        ("[" * 3000, "nested too deeply|not valid YAML"),
        ("expand: 3", "expand is int"),
        ("expand: {styles: [a]}", "needs 'subjects'"),
        ("expand: {subjects: []}", "at least one entry"),
        ("expand: {subjects: [a], tempalte: x}", r"did you mean 'template'\?"),
        (
            "expand: {subjects: [a], template: '{style}'}",
            r"'template' of expand holds '{style}'; allowed are {subject}",
        ),
        ("expand: {subjects: [a], template: '{subject.__class__}'}", "'template' of expand holds"),
        ("expand: {subjects: [a], template: '{subject:>99999999}'}", "'template' of expand holds"),
        ("expand: {subjects: [a], id: '{'}", "'id' of expand can't be read"),
        (f"expand: {{subjects: {list(range(1001))}, styles: {list(range(1001))}}}", "makes 1,002,001 rows"),
    ],
)
def test_yaml_that_can_not_be_read(text: str, message: str):
    with pytest.raises(ManifestError, match=message):
        list(build(text, "yaml", "jobs.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {video_id: a, prompt: x, prompt: y}", "the key 'prompt' is given twice, line 1, column 3"),
        ("- !!python/object/apply:os.system ['true']", "the item is no block with columns"),
        ("- {video_id: a, prompt: !!python/object/apply:os.system ['true']}", "could not determine a constructor"),
        ("- &a [*a]", "the item is no block with columns"),
        ("- !!set {a, b}", "the item is no block with columns"),
    ],
)
def test_a_video_that_yaml_can_not_make_costs_no_other(text: str, message: str):
    broken, fine = build(f"{text}\n- {{video_id: fine, prompt: x}}\n", "yaml", "jobs.yaml")
    assert isinstance(broken, RowProblem)
    assert message in str(broken)
    assert isinstance(fine, GoodRow)


def test_kinds():
    assert [kind_of(name) for name in ("a.CSV", "b.yml", "c.jsonl")] == ["csv", "yaml", "jsonl"]
    with pytest.raises(ManifestError, match=r"the kind '.xlsx' is unknown; allowed are .csv"):
        kind_of("jobs.xlsx")


def test_what_is_written_reads_back(tmp_path: Path):
    source = "video_id,prompt,frames,cutouts.number\na,x,,\nb,y,0,\nc,0: z | 3: w,9,8\n"
    path = tmp_path / "jobs.parquet"
    result = write_parquet(build(source, "csv", "jobs.csv"), path)
    assert result.rows == 2
    assert [problem.row for problem in result.problems] == [3]
    assert pq.read_schema(path).equals(arrow_schema())
    back = [r.row for r in read_rows([NamedFile("jobs.parquet", lambda: path.open("rb"))]) if isinstance(r, GoodRow)]
    before = [r.row for r in build(source, "csv", "jobs.csv") if isinstance(r, GoodRow)]
    assert back == before
    assert [row.model_fields_set for row in back] == [row.model_fields_set for row in before]


def test_equal_sources_give_equal_bytes():
    first, second = io.BytesIO(), io.BytesIO()
    for sink in (first, second):
        assert write_parquet(build("- {video_id: a, prompt: x}", "yaml"), sink) == BuildResult(1, ())
    assert first.getvalue() == second.getvalue()


def test_the_story_branches_three_ways_from_one_beginning():
    source = (ROOT / "manifests" / "story.yaml").read_text(encoding="utf-8")
    rows = [result.row for result in build(source, "yaml", "story.yaml") if isinstance(result, GoodRow)]
    beginning, *branches = rows
    assert [row.continues for row in rows] == [None, *[beginning.video_id] * 3]
    # each begins with what the beginning shows at its end
    assert {row.scenes[0].prompts for row in branches} == {beginning.scenes[0].prompts}


def test_the_gallery_is_good_and_shows_what_it_is_for():
    source = (ROOT / "manifests" / "gallery.yaml").read_text(encoding="utf-8")
    results = list(build(source, "yaml", "gallery.yaml"))
    assert [result for result in results if not isinstance(result, GoodRow)] == []
    changing = [[it for it in schedules(result.row).values() if it.constant is None] for result in results]
    assert sum(map(len, changing)) >= 4


def test_the_demo_is_built_from_its_source():
    source = (ROOT / "manifests" / "demo.yaml").read_text(encoding="utf-8")
    built = [result.row for result in build(source, "yaml", "demo.yaml") if isinstance(result, GoodRow)]
    file = NamedFile("demo.parquet", lambda: (ROOT / "manifests" / "demo.parquet").open("rb"))
    shipped = [result.row for result in read_rows([file]) if isinstance(result, GoodRow)]
    assert shipped == built, "run `nightreel manifest build manifests/demo.yaml -o manifests/demo.parquet`"
    assert [row.model_fields_set for row in shipped] == [row.model_fields_set for row in built]
    still, video, story = shipped
    assert (still.frames, still.format) == (1, "png")
    assert video.frames >= 48
    assert {"zoom", "angle"} <= video.model_fields_set
    assert len(story.scenes) == 2
    assert story.crossfade > 0
