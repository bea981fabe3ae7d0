"""`nightreel manifest` in this process: what is built, validated and shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from tests.helpers.command_line import DEMO, Said, manifest_of
from tests.helpers.music import clicks, write_wav

SOURCES = {
    "night.csv": "video_id,prompt,frames,cutouts.number\nreef,a fish | white:-0.5,48,8\nmoon,a yellow moon,,\n",
    "night.jsonl": '{"video_id": "reef", "prompt": "a fish | white:-0.5", "frames": 48, "cutouts": {"number": 8}}\n\n'
                   '{"video_id": "moon", "prompt": "a yellow moon", "frames": null}\n',
    "night.yaml": "defaults: {cutouts: {number: 8}}\nvideos:\n"
                  "- {video_id: reef, prompt: 'a fish | white:-0.5', frames: 48}\n"
                  "- {video_id: moon, prompt: a yellow moon}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_manifest_is_built_validated_and_shown(name: str, nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source, target = tmp_path / name, tmp_path / "built" / "night.parquet"
    source.write_text(SOURCES[name])

    built = nightreel("manifest", "build", source, "-o", target)
    assert built == Said(DONE, f"{target}: 2 rows\n", "")

    assert nightreel("manifest", "validate", target) == Said(DONE, f"{target}: 2 good rows, 0 bad\n", "")
    validated = nightreel("manifest", "validate", target, "--json")
    assert validated.json == {
        "rows": 2,
        "good": 2,
        "bad": 0,
        "problems": [],
        "problem_kinds": {},
        "warnings": [],
        "warning_kinds": {},
    }

    rows = nightreel("manifest", "show", target, "--json").json
    reef = {"video_id": "reef", "prompt": "a fish | white:-0.5", "frames": 48, "cutouts": {"number": 8}}
    moon = {"video_id": "moon", "prompt": "a yellow moon"} | ({"cutouts": {"number": 8}} if "yaml" in name else {})
    assert rows == [reef, moon]

    shown = nightreel("manifest", "show", target, "--rows", 1)
    assert "1 of 2 rows of night.parquet" in shown.out
    (line,) = (line for line in shown.out.splitlines() if line.startswith("reef"))
    assert line.split()[:7] == ["reef", "48", "64x64", "embedded", "64/8", "0", "mp4"]  # the model's own defaults
    assert "moon" not in shown.out


def test_subjects_times_styles(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source = tmp_path / "night.yaml"
    block = {"subjects": ["a Red apple", "the moon"], "styles": ["ink", "oil"], "template": "{subject}, {style}",
             "id": "{subject}-{style}", "set": {"frames": 2}}  # fmt: skip
    source.write_text(yaml.safe_dump({"expand": block}))

    said = nightreel("manifest", "build", source, "-o", tmp_path / "n.parquet", "--json")

    assert (said.code, said.json["rows"], said.json["problems"]) == (DONE, 4, [])
    rows = nightreel("manifest", "show", tmp_path / "n.parquet", "--json").json
    assert [(row["video_id"], row["prompt"], row["frames"]) for row in rows] == [
        ("a-red-apple-ink", "a Red apple, ink", 2), ("a-red-apple-oil", "a Red apple, oil", 2),
        ("the-moon-ink", "the moon, ink", 2), ("the-moon-oil", "the moon, oil", 2),
    ]  # fmt: skip


def test_curves_of_what_changes_in_time(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    rows = [
        {"video_id": "sway", "prompt": "a reef", "frames": 48, "fps": 12, "bpm": 120, "angle": "2*b", "zoom": "1.02"},
        {"video_id": "calm", "prompt": "a reef", "frames": 48},
    ]
    (tmp_path / "night.jsonl").write_text("\n".join(map(json.dumps, rows)))
    nightreel("manifest", "build", tmp_path / "night.jsonl", "-o", tmp_path / "n.parquet")

    said = nightreel("manifest", "show", tmp_path / "n.parquet", "--curves")
    assert said.code == DONE
    lines = said.out.splitlines()
    heading = next(index for index, line in enumerate(lines) if "what changes" in line)
    assert lines[heading + 1].split()[:2] == ["sway", "angle"]
    assert "2*b" in lines[heading + 2]
    assert "0 to 15.6667" in lines[heading + 3]
    assert "zoom" not in said.out

    sway, calm = nightreel("manifest", "show", tmp_path / "n.parquet", "--curves", "--json").json
    assert list(sway["curves"]) == ["angle"]
    assert sway["curves"]["angle"][:2] == [[0, 0], [pytest.approx(1 / 3)] * 2]
    assert calm["curves"] == {}
    assert "curves" not in nightreel("manifest", "show", tmp_path / "n.parquet", "--json").json[0]
    still = nightreel("manifest", "show", DEMO, "--curves", "--rows", "1")
    assert "nothing changes in time" in still.out


def test_the_demo_manifest_is_what_its_readable_source_says(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    nightreel("manifest", "build", DEMO.with_suffix(".yaml"), "-o", tmp_path / "demo.parquet")
    committed, built = (
        nightreel("manifest", "show", path, "--json").json for path in (DEMO, tmp_path / "demo.parquet")
    )
    assert committed == built, "run `nightreel manifest build manifests/demo.yaml -o manifests/demo.parquet`"


def test_bad_rows_are_left_out_and_named(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source, target = tmp_path / "night.csv", tmp_path / "night.parquet"
    source.write_text("video_id,prompt,frames\nreef,a fish,48\nmoon,a moon,many\nreef,a fish,2\n")

    said = nightreel("manifest", "build", source, "-o", target, "--json")

    assert said.code == INCOMPLETE
    assert (said.json["rows"], said.json["output"]) == (1, str(target))
    assert [(p["row"], p["column"], p["value"]) for p in said.json["problems"]] == [
        (3, "frames", "'many'"), (4, "video_id", "reef"),
    ]  # fmt: skip
    lines = said.err.splitlines()
    assert len(lines) == 2
    assert "frames is 'many'" in lines[0]
    assert f"(line 3, video 'moon', {source})" in lines[0]
    assert "was used before, in line 2" in lines[1]


def test_strict_writes_nothing_if_a_row_is_bad(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "night.jsonl").write_text('{"video_id": "a", "prompt": "p"}\n{"video_id": "b"}\n')
    said = nightreel("manifest", "build", tmp_path / "night.jsonl", "-o", tmp_path / "n.parquet", "--strict")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert "--strict" in said.err
    assert not (tmp_path / "n.parquet").exists()


def test_a_source_without_a_good_row_writes_nothing(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "night.jsonl").write_text('{"video_id": "b"}\n')
    said = nightreel("manifest", "build", tmp_path / "night.jsonl", "-o", tmp_path / "n.parquet", "--json")
    assert (said.code, said.json["output"]) == (BAD_INPUT, None)
    assert "nothing written: no good row" in said.err
    assert not (tmp_path / "n.parquet").exists()


@pytest.mark.parametrize(("source", "output", "message"), [
    ("night.txt", "n.parquet", "'.txt' is unknown; allowed are .csv"),
    ("nothing.csv", "n.parquet", "nothing.csv"),
    ("night.csv", "night.csv", "the source itself"),
    ("night.csv", "folder/", "names no file"),
    ("night.csv", "x\x1b[31m\udcff.parquet", "can't be the name of a file"),
    ("night.csv", "..", "can't be the name of a file"),
    ("night.csv", "s3://bucket", "names no file"),
])  # fmt: skip
def test_a_build_that_can_not_be_is_2_and_writes_nothing(
    source: str,
    output: str,
    message: str,
    nightreel: Callable[..., Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("night.txt", "night.csv"):
        Path(name).write_text("video_id,prompt\na,b\n")
    said = nightreel("manifest", "build", source, "-o", output)
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert message in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night.csv", "night.txt"]
    assert Path("night.csv").read_text().startswith("video_id")


def test_validate_names_file_row_column_value_and_what_is_allowed(
    nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"video_id": ["good", "bad"], "prompt": ["a", "b"], "fps": [24.0, -1.0]}), path)

    said, as_json = (nightreel("manifest", "validate", path, *extra) for extra in ([], ["--json"]))

    assert (said.code, said.out) == (BAD_INPUT, f"{path}: 1 good rows, 1 bad\n")
    assert said.err.startswith("nightreel: fps is -1")
    assert "allowed: " in said.err
    assert f"(row 2, video 'bad', {path})" in said.err
    (problem,) = as_json.json["problems"]
    assert (problem["row"], problem["column"], problem["value"], problem["file"]) == (2, "fps", "-1.0", str(path))
    assert as_json.err == ""


def test_an_unknown_column_suggests_the_nearest(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"video_id": ["a"], "prompt": ["b"], "framse": [3]}), path)
    for command in (["manifest", "validate", path], ["manifest", "show", path], ["plan", path, "-o", tmp_path / "out"]):
        said = nightreel(*command)
        assert (said.code, said.out) == (BAD_INPUT, "")
        assert "'framse'" in said.err
        assert "frames" in said.err


@pytest.mark.parametrize("command", [("validate",), ("validate", "--json"), ("show",), ("show", "--json")])
def test_a_manifest_of_bad_rows_prints_the_first_hundred_and_counts(
    command: tuple[str, ...], nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    """null_rows_500k.parquet, of fewer rows: it printed 78 MB."""
    manifest = tmp_path / "m.parquet"
    nulls = pa.nulls(3000, pa.string())
    pq.write_table(pa.table({"video_id": nulls, "prompt": nulls}), manifest)
    said = nightreel("manifest", command[0], manifest, *command[1:])
    assert len(said.out) + len(said.err) < 100_000
    if command == ("validate", "--json"):
        assert (said.json["bad"], said.json["problem_kinds"]) == (3000, {"video_id is missing": 3000})
        assert len(said.json["problems"]) == 100
    else:
        assert len(said.err.splitlines()) == 101
        assert said.err.endswith("and 2,900 more problems, 3,000 in 3,000 rows: 3,000 times 'video_id is missing'\n")


def test_plans_of_many_refused_rows_print_the_first_hundred(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    rows = [{"video_id": f"v{number}", "prompt": "x", "width": 30} for number in range(150)]
    manifest = manifest_of(tmp_path / "m.parquet", *rows)
    said = nightreel("plan", manifest, "-o", tmp_path / "out")
    assert said.code == BAD_INPUT
    assert len(said.err.splitlines()) == 101
    assert said.err.endswith("nightreel: and 50 more like these\n")


def test_a_strangers_text_commands_no_terminal(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    prompt = "a \x1b]0;title\x07 \x9b31m red \u202eelppa\u202c \x00 \x7f apple"
    manifest = manifest_of(tmp_path / "m.parquet", {"video_id": "a", "prompt": prompt})
    shown = nightreel("manifest", "show", manifest)
    assert "red" in shown.out
    assert shown.out.replace("\n", "").isprintable()
    as_json = nightreel("manifest", "show", manifest, "--json")
    assert as_json.json[0]["prompt"] == prompt
    assert as_json.out.replace("\n", "").isprintable()
    said = nightreel("manifest", "validate", tmp_path / "\x1b[31mno\x9b.parquet")
    assert said.err.replace("\n", "").isprintable()


def test_ids_that_some_stores_confuse_are_warnings(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    ids = ("Reef", "reef", "CON", "nul.2", "lpt1", "dot.", "console", "com10", "x-con")
    manifest = manifest_of(tmp_path / "m.parquet", *({"video_id": it, "prompt": "x"} for it in ids))
    said = nightreel("manifest", "validate", manifest)
    assert said.code == DONE
    lines = said.err.splitlines()
    assert [line.split("'")[1] for line in lines] == ["reef", "CON", "nul.2", "lpt1", "dot."]
    assert f"differs only by capitals from the one in row 1 of {manifest}" in lines[0]
    assert "(row 3, " in lines[1]
    assert len(nightreel("manifest", "validate", manifest, "--json").json["warnings"]) == 5


def test_prompts_that_are_not_read_to_their_end_are_warnings(
    nightreel: Callable[..., Said], tmp_path: Path, cases: Path
) -> None:
    base = (cases / "long_prompt_base.txt").read_text().strip()
    rows = [{"video_id": "long", "prompt": f"{base} a green frog"}, {"video_id": "short", "prompt": "a red apple"}]
    said = nightreel("manifest", "validate", manifest_of(tmp_path / "m.parquet", *rows))
    assert said.code == DONE
    length, words = said.err.splitlines()
    assert "is longer than model 'embedded' reads, 18 of 1" in length
    assert "the text ends after '…matte painting of a red apple on a' (row 1, video 'long'" in length
    assert "model 'embedded' does not know 'highly', 'detailed'" in words
    assert "of prompt 'a highly detailed matte painting of a r…' (row 1, video 'long'" in words


def test_a_dry_run_says_what_a_source_comes_to_and_writes_nothing(
    nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "colours.txt").write_text("red\ngreen\n")
    (tmp_path / "people.csv").write_text("name\nAlien\nRobot\n")
    blocks = [
        {"axes": {"steps": [5, 10], "seed": list(range(20))}, "template": "a __colours__ apple", "set": {"frames": 3}},
        {"table": "people.csv", "template": "a cake for {name}", "id": "for-{name}"},
    ]
    source, before = tmp_path / "night.yaml", sorted(tmp_path.rglob("*"))
    source.write_text(yaml.safe_dump({"expand": blocks}))

    said = nightreel("manifest", "build", source, "--dry-run")
    assert (said.code, said.err) == (DONE, "")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["0-5", "0-5-2", "0-10"]
    assert lines[11].split() == ["...", "62", "more", "rows"]
    assert lines[-2].split() == ["for-robot", "a", "cake", "for", "Robot"]
    assert "82 rows, 242 frames; about " in lines[-1]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, source])

    found = nightreel("manifest", "build", source, "--dry-run", "--json").json
    assert (found["rows"], found["frames"], found["rows_without_estimate"]) == (82, 242, 0)
    assert (len(found["first"]), len(found["last"])) == (10, 10)
    nightreel("manifest", "build", source, "-o", tmp_path / "n.parquet")
    planned = nightreel("plan", tmp_path / "n.parquet", "--output", tmp_path / "out", "--json").json
    assert found["actor_seconds"] == pytest.approx(planned["actor_seconds"], rel=0.01)


def test_a_dry_run_ends_as_the_build_would(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source = tmp_path / "night.jsonl"
    source.write_text('{"video_id": "a", "prompt": "x", "model": "nobody"}\n{"video_id": "b"}\n')
    said = nightreel("manifest", "build", source, "--dry-run")
    assert said.code == INCOMPLETE
    assert "1 row, 1 frame, 1 problem in 1 row besides" in said.out
    assert "1 row of them not estimated, whose model is not here" in said.out
    assert nightreel("manifest", "build", source, "--dry-run", "--strict").code == BAD_INPUT
    said = nightreel("manifest", "build", source)
    assert said.code == BAD_INPUT
    assert "no output is named: give one, such as `-o night.parquet`, or --dry-run" in said.err


def test_a_list_leaves_its_folder_by_no_link(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "here" / "wildcards").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("password\n")
    (tmp_path / "here" / "wildcards" / "colours.txt").symlink_to(tmp_path / "secret.txt")
    source = tmp_path / "here" / "night.yaml"
    source.write_text('expand: {template: "a __colours__ apple"}')
    said = nightreel("manifest", "build", source, "--dry-run")
    assert said.code == BAD_INPUT
    assert "'wildcards/colours.txt' leads out of the folder 'wildcards': put the file itself there" in said.err
    assert "password" not in said.out + said.err


def test_what_is_heard_is_drawn_and_decides_the_length(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    write_wav(tmp_path / "song.wav", clicks(120, 4.0)[0])
    (tmp_path / "night.yaml").write_text(
        "videos:\n"
        "- {video_id: reef, prompt: '0: a reef | 60: a storm', seconds: audio, audio: song.wav, zoom: 1+.1*onset}\n"
        "- {video_id: gone, prompt: a reef, seconds: audio, audio: nowhere.wav}\n"
    )
    built = nightreel("manifest", "build", tmp_path / "night.yaml", "-o", tmp_path / "night.parquet")
    assert built.code == INCOMPLETE
    assert "audio 'nowhere.wav'" in built.err.replace(f"{tmp_path}/", "")
    (row,) = nightreel("manifest", "show", tmp_path / "night.parquet", "--json").json
    assert (row["seconds"], row["audio"]) == ("4.0", "song.wav")
    drawn = nightreel("manifest", "show", tmp_path / "night.parquet", "--curves")
    assert "96" in drawn.out
    for name in ("loud", "bass", "mid", "high", "onset"):
        assert f"audio: {name}" in drawn.out
    (found,) = nightreel("manifest", "show", tmp_path / "night.parquet", "--curves", "--json").json
    onset = [high for _, high in found["curves"]["audio: onset"]]
    assert [frame for frame, value in enumerate(onset) if value > 0.9 and onset[frame - 1] < 0.5] == [
        6, 18, 30, 42, 54, 66, 78, 90,
    ]  # fmt: skip
    assert found["curves"]["zoom"][6] == [pytest.approx(1.1, abs=0.01)] * 2
    assert "heard" not in found
    planned = nightreel("manifest", "build", tmp_path / "night.yaml", "--dry-run", "--json").json
    assert (planned["frames"], planned["rows_without_estimate"]) == (96, 0)


def test_a_row_whose_audio_is_gone_costs_its_own_curves(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text(
        "videos:\n- {video_id: gone, prompt: a reef, frames: 9, audio: nowhere.wav, zoom: 1+.1*onset}\n"
        "- {video_id: reef, prompt: a reef, frames: 9, zoom: 1+.1*t}\n"
    )
    manifest = tmp_path / "night.parquet"
    nightreel("manifest", "build", tmp_path / "night.yaml", "-o", manifest)
    shown = nightreel("manifest", "show", manifest, "--curves")
    assert "nowhere.wav' of video 'gone' does not exist" in shown.err
    assert "1 to 1.8" in shown.out
    gone, reef = nightreel("manifest", "show", manifest, "--curves", "--json").json
    assert (gone["curves"], list(reef["curves"])) == ({}, ["zoom"])


def test_what_the_length_of_a_row_does_not_go_with_is_told_with_its_place(
    nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    write_wav(tmp_path / "song.wav", clicks(120, 4.0)[0])
    (tmp_path / "night.yaml").write_text(
        "videos:\n- {video_id: reef, prompt: a reef, seconds: audio, frames: 3, audio: song.wav}\n"
        "- {video_id: bands, prompt: a reef, frames: 3, audio: song.wav, bands: [{name: a, low: 9, high: 3}]}\n"
    )
    said = nightreel("manifest", "build", tmp_path / "night.yaml", "-o", tmp_path / "night.parquet").err
    assert "with the 4 s of its audio: frames: give either 'frames' or 'seconds', not both" in said
    assert "(item 1, video 'reef'" in said
    assert "bands[0].low: low 9 lies above high 3" in said
    assert "Value error" not in said
