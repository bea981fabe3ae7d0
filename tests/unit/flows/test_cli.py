"""The command line in this process: no Ray, no Prefect, no torch; what is said, where, and the exit codes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.cli import app, run
from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT, INCOMPLETE, explain
from flows.job import RenderJob, RenderParameters
from infra.pool import WorkerLost
from infra.settings import InfraSettings, SettingsInvalid, load_settings
from infra.storage import ObjectConflict, ObjectMissing, StorageUnavailable, disconnect
from manifests.results import ManifestError
from manifests.schema import ManifestRow, rows_to_table
from renderers.errors import BadInput, ModelFilesBroken, UnknownModel

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "manifests" / "demo.parquet"
COMMANDS = [
    [], ["preview"], ["manifest"], ["manifest", "build"], ["manifest", "validate"], ["manifest", "show"], ["plan"],
    ["render"], ["status"], ["models"], ["models", "list"], ["models", "fetch"],
    ["models", "verify"], ["models", "add"], ["finetune"],
]  # fmt: skip


class Said(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in InfraSettings.model_fields:
        monkeypatch.delenv(f"NIGHTREEL_{name.upper()}", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    disconnect()  # connections of tests before this one were made with their environment
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "100")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def nightreel(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return call


def manifest_of(path: Path, *rows: dict[str, Any]) -> Path:
    """A Parquet manifest of good rows."""
    pq.write_table(rows_to_table([ManifestRow.model_validate(row) for row in rows]), path)
    return path


# --- help and mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_shows_an_example_that_parses(command: list[str], nightreel: Callable[..., Said]) -> None:
    said = nightreel(*command, "--help")

    assert (said.code, said.err) == (DONE, "")
    text = " ".join(said.out.replace("│", " ").split())
    assert f"Usage: nightreel {' '.join(command)}".strip() in text
    example = text.partition("Example: ")[2]
    assert example.startswith("nightreel ")
    assert example.removeprefix("nightreel ").startswith(" ".join(command))


def test_commands_are_all_that_the_design_wants_so_far() -> None:
    found = {name for name in app if not name.startswith("-")}
    assert found == {"preview", "manifest", "plan", "render", "status", "models", "finetune"}


@pytest.mark.parametrize("example", [
    'preview "a red apple | white:-0.5" -o apple.png --seed 3 --set cutouts.number=16',
    "manifest build night.yaml -o night.parquet", "manifest validate s3://bucket/night/", "manifest show night.parquet",
    "plan night.parquet --output s3://bucket/night", "render night.parquet --output s3://bucket/night",
    "status s3://bucket/night", "models list --json", "models fetch imagenet-f16-16384",
    "models verify embedded", "models add maps --config maps.yaml --weights last.ckpt",
    "finetune pictures/ --from embedded -o mine",
])  # fmt: skip
def test_examples_of_the_help_are_there_and_parse(example: str, nightreel: Callable[..., Said]) -> None:
    words = shlex.split(example)
    command = [word for word in words[:2] if [*words[:1], word] in COMMANDS or [word] in COMMANDS]
    text = " ".join(nightreel(*command, "--help").out.split())
    assert f"Example: nightreel {example}" in text
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("arguments", "told"), [
    (["frobnicate"], ['"frobnicate"', "render", "nightreel --help"]),
    (["manifest", "frob"], ['"frob"', "build, validate, show", "nightreel manifest --help"]),
    (["models", "frob"], ['"frob"', "nightreel models --help"]),
    (["plan"], ["--manifest", "nightreel plan --help"]),
    (["render", "x.parquet"], ["--output", "nightreel render --help"]),
    (["plan", "x.parquet", "--outptu", "y"], ["--outptu", "--output"]),
    (["plan", "x.parquet", "-o", "y", "--frobnicate"], ["--frobnicate", "nightreel plan --help"]),
    (["plan", "x.parquet", "-o", "y", "--range-frames", "many"], ["--range-frames", '"many"']),
    (["plan", "x.parquet", "-o", "y", "--range-frames", "0"], ["--range-frames", '"0"', ">= 1"]),
    (["plan", "x.parquet", "-o", "y", "--range-frames", "-4"], ["--range-frames", '"-4"', ">= 1"]),
    (["render", "x.parquet", "-o", "y", "--actors", "0"], ["--actors", '"0"', ">= 1"]),
    (["render", "x.parquet", "-o", "y", "--range-frames", "0"], ["--range-frames", '"0"', ">= 1"]),
    (["manifest", "show", "x.parquet", "--rows", "-1"], ["--rows", '"-1"', ">= 1"]),
    (["status"], ["--output", "nightreel status --help"]),
])  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_sentence_and_2(
    arguments: list[str], told: list[str], nightreel: Callable[..., Said]
) -> None:
    said = nightreel(*arguments)

    assert (said.code, said.out) == (BAD_INPUT, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("nightreel: ")
    assert [word for word in told if word not in said.err] == []


@pytest.mark.parametrize(("arguments", "told"), [
    (["--set", "foo=3"], ["foo is unknown", "one of "]),
    (["--width", "3"], ["width is 3", "16"]),
    (["--width", "60"], ["width 60", "multiple of 8", "take 64"]),
    (["--set", "cutouts.number=0", "--seed", "-1"], ["cutouts.number is 0", "seed is -1"]),
    (["--set", "cutouts.nubmer=8"], ["cutouts.nubmer is unknown", "did you mean 'number'"]),
    (["--set", "cutouts.number"], ["--set 'cutouts.number'", "column=value"]),
    (["--set", "foo=[3"], ["--set 'foo=[3'", "not valid YAML"]),
    (["--set", "width=64", "--set", "width.x=3"], ["'width' holds a value"]),
    (["--model", "nope"], ["model 'nope'", "embedded"]),
    (["--init-image", "nothing.png"], ["nothing.png"]),
    (["-o", "apple.jpg"], ["a preview is a PNG", "apple.png"]),
    (["-o", "no/such/folder/apple.png"], ["no folder"]),
])  # fmt: skip
def test_a_mistake_in_a_preview_is_one_sentence_and_2_before_models_load(
    arguments: list[str],
    told: list[str],
    nightreel: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    output = [] if "-o" in arguments else ["-o", "apple.png"]
    monkeypatch.setitem(sys.modules, "renderers.frame_renderer", None)  # importing it raises

    said = nightreel("preview", "a red apple", *output, *arguments)

    assert (said.code, said.out) == (BAD_INPUT, "")
    assert said.err.count("\n") == 1
    assert "ValidationError" not in said.err
    assert [word for word in told if word.lower() not in said.err.lower()] == [], said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "code"), [
    (ManifestError("m"), BAD_INPUT), (BadInput("m"), BAD_INPUT), (UnknownModel("m"), BAD_INPUT),
    (ObjectMissing("m"), BAD_INPUT), (ObjectConflict("m"), BAD_INPUT), (ValueError("m"), BAD_INPUT),
    (StorageUnavailable("m", "r"), ENVIRONMENT), (ModelFilesBroken("m"), ENVIRONMENT), (WorkerLost("m"), ENVIRONMENT),
    (SettingsInvalid("m"), ENVIRONMENT), (OSError("m"), ENVIRONMENT), (RuntimeError("m"), ENVIRONMENT),
])  # fmt: skip
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    ours = type(error).__module__ != "builtins"
    assert err == (f"nightreel: {error}\n" if ours else f"nightreel: {type(error).__name__}: m (--debug shows where)\n")


def test_debug_shows_the_stack_and_keeps_the_exit_code(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    arguments = ["plan", DEMO, "-o", "s3://bucket/night"]
    plain, debug = nightreel(*arguments), nightreel(*arguments, "--debug")

    assert (plain.code, plain.out, debug.code, debug.out) == (ENVIRONMENT, "", ENVIRONMENT, "")
    assert "AWS_ACCESS_KEY_ID" in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


@pytest.mark.parametrize("command", [["plan", DEMO, "-o", "out"], ["render", DEMO, "-o", "out"]])
def test_a_wrong_setting_is_named_and_3(
    command: list[object], nightreel: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREEL_ACTORS", "zero")
    said = nightreel(*command)
    assert (said.code, said.out) == (ENVIRONMENT, "")
    assert "NIGHTREEL_ACTORS='zero'" in said.err


def test_an_output_that_is_a_file_is_3_with_a_remedy(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("I am a file")
    said = nightreel("plan", DEMO, "-o", tmp_path / "out")
    assert (said.code, said.out) == (ENVIRONMENT, "")
    assert str(tmp_path / "out") in said.err


# --- manifest ---------------------------------------------------------------------------------------------------------

SOURCES = {
    "night.csv": "video_id,prompt,frames,cutouts.number\nreef,a fish | white:-0.5,48,8\nmoon,a full moon,,\n",
    "night.jsonl": '{"video_id": "reef", "prompt": "a fish | white:-0.5", "frames": 48, "cutouts": {"number": 8}}\n\n'
                   '{"video_id": "moon", "prompt": "a full moon", "frames": null}\n',
    "night.yaml": "defaults: {cutouts: {number: 8}}\nvideos:\n"
                  "- {video_id: reef, prompt: 'a fish | white:-0.5', frames: 48}\n"
                  "- {video_id: moon, prompt: a full moon}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_manifest_is_built_validated_and_shown(name: str, nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source, target = tmp_path / name, tmp_path / "built" / "night.parquet"
    source.write_text(SOURCES[name])

    built = nightreel("manifest", "build", source, "-o", target)
    assert built == Said(DONE, f"{target}: 2 rows\n", "")

    assert nightreel("manifest", "validate", target) == Said(DONE, f"{target}: 2 good rows, 0 bad\n", "")
    validated = nightreel("manifest", "validate", target, "--json")
    assert validated.json == {"rows": 2, "good": 2, "bad": 0, "problems": []}

    rows = nightreel("manifest", "show", target, "--json").json
    reef = {"video_id": "reef", "prompt": "a fish | white:-0.5", "frames": 48, "cutouts": {"number": 8}}
    moon = {"video_id": "moon", "prompt": "a full moon"} | ({"cutouts": {"number": 8}} if "yaml" in name else {})
    assert rows == [reef, moon]

    shown = nightreel("manifest", "show", target, "--rows", 1)
    assert "1 of 2 rows of night.parquet" in shown.out
    (line,) = (line for line in shown.out.splitlines() if line.startswith("reef"))
    assert line.split()[:7] == ["reef", "48", "64x64", "embedded", "80/8", "0", "mp4"]  # the model's own defaults
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


@pytest.mark.parametrize(("source", "output", "told"), [
    ("night.txt", "n.parquet", "'.txt' is unknown; allowed are .csv"),
    ("nothing.csv", "n.parquet", "nothing.csv"),
    ("night.csv", "night.csv", "the source itself"),
    ("night.csv", "folder/", "names no file"),
    ("night.csv", "s3://bucket", "names no file"),
])  # fmt: skip
def test_a_build_that_can_not_be_is_2_and_writes_nothing(
    source: str, output: str, told: str, nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("night.txt", "night.csv"):
        Path(name).write_text("video_id,prompt\na,b\n")
    said = nightreel("manifest", "build", source, "-o", output)
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert told in said.err
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


# --- plan -------------------------------------------------------------------------------------------------------------


def test_plan_says_what_a_render_would_do_and_leaves_no_trace(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(
        tmp_path / "m.parquet", {"video_id": "still", "prompt": "a"}, {"video_id": "reef", "prompt": "b", "frames": 48}
    )
    output = tmp_path / "out"

    said, whole = nightreel("plan", path, "-o", output), nightreel("plan", path, "-o", output, "--json")

    assert (said.code, said.err, whole.code, whole.err) == (DONE, "", DONE, "")
    assert "2 videos, 49 frames: 0 done, 49 to render in 2 task runs" in said.out
    assert {line.split("  ")[0] for line in said.out.splitlines()} >= {"reef 0-47", "still"}
    counts = {key: whole.json[key] for key in ("videos", "videos_to_do", "frames", "frames_done", "frames_to_render")}
    assert counts == {"videos": 2, "videos_to_do": 2, "frames": 49, "frames_done": 0, "frames_to_render": 49}
    assert whole.json["bad_rows"] == []
    assert whole.json["actor_seconds"] == pytest.approx(sum(c["seconds"] for c in whole.json["chunks"]), abs=0.2)
    assert not output.exists()


def test_range_frames_and_chunk_seconds_cut_the_work(
    nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREEL_CHUNK_SECONDS", "20")
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "reef", "prompt": "b", "frames": 48})
    chunks = nightreel("plan", path, "-o", tmp_path / "out", "--range-frames", 20, "--json").json["chunks"]
    assert [(chunk["name"], chunk["after"]) for chunk in chunks] == [
        ("reef 0-19", None), ("reef 20-39", "reef 0-19"), ("reef 40-47", "reef 20-39"),
    ]  # fmt: skip


def test_plan_counts_frames_that_are_in_storage(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "reef", "prompt": "b", "frames": 5})
    output = tmp_path / "out"
    job = RenderJob(RenderParameters(str(path), str(output)), InfraSettings())
    job.read()
    for frame in job.runs["reef"].work.frames[:3]:  # their keys alone are what a plan looks at
        job.output.put(f"reef/frames/{frame.index:06d}-{frame.digest[:16]}.png", b"a frame")
    said = nightreel("plan", path, "-o", output, "--json").json
    assert (said["frames_done"], said["frames_to_render"]) == (3, 2)


def test_plan_names_every_row_that_can_not_be_rendered(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    good = {"video_id": "reef", "prompt": "b"}
    rows = [
        good, {**good, "video_id": "ghost", "init_image": str(tmp_path / "no.png")},
        {**good, "video_id": "odd", "width": 100}, {**good, "video_id": "who", "model": "sd15"},
    ]  # fmt: skip
    manifest_of(tmp_path / "a.parquet", *rows)
    pq.write_table(pa.table({"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, 1]}), tmp_path / "b.parquet")
    folder = f"{tmp_path}/*.parquet"

    said, whole = (nightreel("plan", folder, "-o", tmp_path / "out", *extra) for extra in ([], ["--json"]))

    assert (said.code, whole.code, whole.err) == (BAD_INPUT, BAD_INPUT, "")
    assert "2 videos, 2 frames: 0 done, 2 to render" in said.out
    told = said.err.splitlines()
    assert [line.removeprefix("nightreel: ") for line in told] == whole.json["bad_rows"]
    for words in (
        ["frames is 0", "row 1", "video 'x'", "b.parquet"], ["init_image", "no.png' of video 'ghost' does not exist"],
        ["width 100 of video 'odd' is not a multiple of 8", "take 96"], ["video 'who'", "'sd15'", "embedded"],
    ):  # fmt: skip
        assert any(all(word in line for word in words) for line in told), (words, told)
    assert len(told) == 4


def test_plan_of_no_manifest_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    for name, told in (("nothing.parquet", "no manifest at"), ("text.parquet", "is not a Parquet file")):
        said = nightreel("plan", tmp_path / name, "-o", tmp_path / "out")
        assert (said.code, said.out) == (BAD_INPUT, "")
        assert told in said.err
        assert str(tmp_path / name) in said.err


# --- render, as far as it gets without a cluster ----------------------------------------------------------------------


@pytest.fixture
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Ray or Prefect fails the test."""
    for name in ("flows.render_manifest", "infra.ray_pool"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_no_cluster")
def test_render_without_a_good_row_starts_nothing_and_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "a", "prompt": "p", "init_image": str(tmp_path / "no.png")})
    said = nightreel("render", path, "-o", tmp_path / "out", "--json")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert "no.png' of video 'a' does not exist" in said.err
    assert "no row of" in said.err


@pytest.mark.usefixtures("_no_cluster")
def test_render_strict_with_a_bad_row_starts_nothing_and_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    pq.write_table(pa.table({"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, 1]}), tmp_path / "m.parquet")
    said = nightreel("render", tmp_path / "m.parquet", "-o", tmp_path / "out", "--strict")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert "--strict" in said.err
    assert "frames is 0" in said.err
    assert "Traceback" not in said.err


# --- status and models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["--json"], ["--all"]])
def test_status_of_an_output_that_holds_nothing_is_2(
    extra: list[str], nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    for output in (tmp_path, tmp_path / "never"):
        said = nightreel("status", output, *extra)
        assert said == Said(BAD_INPUT, "", f"nightreel: nothing was ever rendered into '{output}'\n")


def test_status_of_storage_without_credentials_is_3(nightreel: Callable[..., Said]) -> None:
    said = nightreel("status", "s3://bucket/night")
    assert (said.code, said.out) == (ENVIRONMENT, "")
    assert "AWS_ACCESS_KEY_ID" in said.err


def test_status_tells_what_failed_and_why_from_storage_alone(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    missing = tmp_path / "a folder with a long name" / "no.png"
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "ghost", "prompt": "p", "init_image": str(missing)})
    output = tmp_path / "out"
    job = RenderJob(RenderParameters(str(path), str(output)), InfraSettings())
    job.read()
    job.record_refused()

    said, whole = nightreel("status", output), nightreel("status", output, "--json")

    assert (said.code, said.err, whole.code) == (INCOMPLETE, "", INCOMPLETE)
    assert whole.json["counts"] == {"failed": 1}
    (video,) = whole.json["videos"]
    assert (video["video_id"], video["state"], video["video"]) == ("ghost", "failed", None)
    assert str(missing) in video["reason"]
    (line,) = (line for line in said.out.splitlines() if line.startswith("ghost"))
    assert video["reason"] in line  # on a pipe nothing is cut to a terminal's width


def test_models_list_names_what_a_row_may_name(nightreel: Callable[..., Said]) -> None:
    said, whole = nightreel("models", "list"), nightreel("models", "list", "--json")
    assert (said.code, said.err, whole.code, whole.err) == (DONE, "", DONE, "")
    names = [entry["name"] for entry in whole.json]
    assert "embedded" in names
    assert all(len(entry["digest"]) == 64 and entry["licence"] for entry in whole.json)
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == names


# --- what is imported -------------------------------------------------------------------------------------------------

_WATCHED = """
import importlib.abc, sys
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "prefect", "torch", "torchvision", "open_clip", "taming"):
            raise AssertionError(f"{name} is imported: that costs seconds")
sys.meta_path.insert(0, Guard())
from flows.cli import run
import json
for arguments, code in json.loads(sys.argv[1]):
    got = run(arguments)
    assert got == code, (arguments, got)
"""


def test_commands_that_only_look_import_neither_ray_nor_prefect_nor_torch(tmp_path: Path) -> None:
    built, output = str(tmp_path / "n.parquet"), str(tmp_path / "out")
    calls = [
        (["--help"], 0), (["render", "--help"], 0), (["preview", "--help"], 0), (["preview"], 2), (["render"], 2),
        (["models", "list"], 0), (["manifest", "build", str(DEMO.with_suffix(".yaml")), "-o", built], 0),
        (["manifest", "validate", built], 0), (["manifest", "show", built], 0), (["plan", built, "-o", output], 0),
        (["status", output], 2), (["preview", "a", "-o", "x.jpg"], 2),
        (["render", str(tmp_path / "no.parquet"), "-o", output], 2),
    ]  # fmt: skip
    command = [sys.executable, "-c", _WATCHED, json.dumps(calls)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
