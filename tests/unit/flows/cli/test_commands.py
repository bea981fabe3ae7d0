"""The command line as a whole: help, mistakes, exit codes, and what is not imported."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path

import pytest
from cyclopts import App

from flows.cli import app
from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT
from infra.settings import load_settings
from tests.helpers.command_line import DEMO, ROOT, Said
from tests.helpers.rights import open_folder, without_rights


def commands_of(above: App, *words: str) -> Iterator[list[str]]:
    """The words that name each command below `above`, its groups included."""
    yield list(words)
    for name in above:
        if not name.startswith("-"):
            yield from commands_of(above[name], *words, name)


COMMANDS = list(commands_of(app))


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
    # as it is written, since a narrow screen cuts it into lines
    documented = re.search(r"Example: nightreel (.+)", reduce(App.__getitem__, command, app).help)
    assert documented
    app.parse_args(shlex.split(documented[1]), exit_on_error=False, print_error=False)


def test_the_commands_are_found() -> None:
    """Groups and what is below them, by walking the app."""
    found = [" ".join(command) for command in COMMANDS]
    assert len(found) == len(set(found)) >= 24
    assert {"", "rerun", "up", "doctor", "models eval", "models sprites", "models train perceptor"} <= set(found)


def test_commands_are_all_that_the_design_wants() -> None:
    found = {name for name in app if not name.startswith("-")}
    assert found == {
        "preview", "manifest", "plan", "render", "rerun", "status", "watch", "up", "deploy", "prune", "doctor",
        "models", "finetune", "import", "remaster",
    }  # fmt: skip


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


@pytest.mark.parametrize(("arguments", "message"), [
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
    (["models", "eval", "--bogus"], ["nightreel models eval --help"]),
    (["models", "train", "vqgan", "--bogus"], ["nightreel models train vqgan --help"]),
    (["doctor", "--bogus"], ["nightreel doctor --help"]),
])  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_sentence_and_2(
    arguments: list[str], message: list[str], nightreel: Callable[..., Said]
) -> None:
    said = nightreel(*arguments)

    assert (said.code, said.out) == (BAD_INPUT, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("nightreel: ")
    assert [word for word in message if word not in said.err] == []


@pytest.mark.parametrize("option", ["--repair", "--mend"])
def test_the_doctor_repairs_under_its_earlier_name_too(option: str) -> None:
    _, bound, _ = app.parse_args(["doctor", option], exit_on_error=False, print_error=False)
    assert bound.arguments == {"repair": True}


@pytest.mark.parametrize(("arguments", "message"), [
    (["--set", "foo=3"], ["foo is unknown", "one of "]),
    (["--width", "3"], ["width is 3", "16"]),
    (["--width", "62"], ["width 62", "multiple of 4", "take 64"]),
    (["--set", "cutouts.number=0", "--seed", "-1"], ["cutouts.number is 0", "seed is -1"]),
    (["--set", "cutouts.nubmer=8"], ["cutouts.nubmer is unknown", "did you mean 'number'"]),
    (["--set", "cutouts.number"], ["--set 'cutouts.number'", "column=value"]),
    (["--set", "foo=[3"], ["--set 'foo=[3'", "not valid YAML"]),
    (["--set", "width=64", "--set", "width.x=3"], ["'width' holds a value"]),
    (["--model", "nope"], ["model 'nope'", "embedded"]),
    (["--init-image", "nothing.png"], ["nothing.png"]),
    (["-o", "apple.jpg"], ["a preview is a PNG", "apple.png"]),
    (["-o", "no/such/folder/apple.png"], ["no folder"]),
    (["--set", "frames=9", "--frames", "1-3,7", "-o", "a.mp4"], ["--frames '1-3,7'", "one range"]),
    (["--set", "frames=9", "--frames", "1-3"], ["--frames '1-3'", "apple.mp4"]),
    (["--set", "frames=9", "--frames", "7-9", "-o", "a.mp4"], ["frames 7-9", "it has the frames 0-8"]),
    (["--set", "frames=9", "--frames", "7-9", "-o", "a.mp4", "--motion"], ["frames 7-9", "it has the frames 0-8"]),
    (["--set", "fps=60", "-o", "a.gif", "--set", "frames=9"], ["fps 60", "at most 50"]),
    (["--video", "reef"], ["--video", "this is a prompt"]),
    (["--watch"], ["--watch", "night.yaml"]),
    (["-o", ""], ["a preview is a PNG", "name it 'apple.png'"]),
    (["-o", "/"], ["a preview is a PNG", "name it '/apple.png'"]),
    (["-o", "/dev/full.png/.."], ["a preview is a PNG"]),
])  # fmt: skip
def test_a_mistake_in_a_preview_is_one_sentence_and_2_before_models_load(
    arguments: list[str],
    message: list[str],
    nightreel: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    output = [] if "-o" in arguments else ["-o", "apple.png"]
    monkeypatch.setitem(sys.modules, "renderers.frame_rendering.renderer", None)  # importing it raises

    said = nightreel("preview", "a red apple", *output, *arguments)

    assert (said.code, said.out) == (BAD_INPUT, "")
    assert said.err.count("\n") == 1
    assert "ValidationError" not in said.err
    assert [word for word in message if word.lower() not in said.err.lower()] == [], said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_preview_waits_for_nobody_who_reads_from_a_pipe(
    make: Callable[[Path], None], nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "renderers.frame_rendering.renderer", None)  # importing it raises
    make(tmp_path / "apple.png")
    said = nightreel("preview", "a red apple", "-o", tmp_path / "apple.png")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert f"output '{tmp_path}/apple.png' is a folder, a pipe or a device" in said.err


SECRET = "Pl4ntedS3cret"


@pytest.mark.parametrize("words", [
    ["plan", "{0}", "-o", "out"], ["plan", DEMO, "-o", "{0}"], ["render", "{0}", "-o", "out"], ["prune", "{0}"],
    ["render", DEMO, "-o", "{0}"], ["rerun", "{0}", "--video", "a"], ["manifest", "show", "{0}"], ["status", "{0}"],
    ["preview", "a", "-o", "{0}"], ["preview", "a", "-o", "{0}/apple.png"], ["up", "--nightly", "m", "-o", "{0}"],
], ids=lambda words: " ".join(map(str, words)))  # fmt: skip
@pytest.mark.parametrize("address", [
    f"https://discord.com/api/webhooks/1234567/{SECRET}", f"s3://bucket/nights/2026/{'x' * 30}?token={SECRET}",
    f"http://user:{'x' * 40}{SECRET}@127.0.0.1:9/x",
])  # fmt: skip
def test_an_address_with_a_secret_is_refused_in_words_without_it(
    words: list[object], address: str, nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for debug in ([], ["--debug"]):
        said = nightreel(*(str(word).format(address) for word in words), *debug)
        assert said.code in (BAD_INPUT, ENVIRONMENT)
        assert SECRET not in said.err + said.out
        assert debug or not re.search("validation error|pydantic|Error:|Traceback", said.err), said.err


@pytest.mark.parametrize("words", [
    ["plan", "{0}", "-o", "out"], ["plan", DEMO, "-o", "{0}"], ["status", "{0}"], ["manifest", "build", "{0}.csv"],
    ["preview", "a", "-o", "no/a.png", "--init-image", "{0}"], ["prune", "{0}"], ["finetune", "{0}", "-o", "mine"],
])  # fmt: skip
def test_the_home_of_nobody_is_nowhere(
    words: list[object], nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = nightreel(*(str(word).format("~nobody-of-that-name/x") for word in words))
    assert "RuntimeError" not in said.err + said.out


def test_an_output_below_a_thousand_folders_is_told_in_words(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    said = nightreel("render", DEMO, "-o", tmp_path / ("a/" * 1500))
    assert said.code == ENVIRONMENT
    assert "too long for its file system" in said.err


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


@pytest.mark.parametrize("columns", ["0", "1", "39"])
def test_help_is_laid_out_for_a_terminal_of_some_width(
    nightreel: Callable[..., Said], columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no column it was a ValueError; in one it took minutes."""
    monkeypatch.setenv("COLUMNS", columns)
    assert nightreel("render", "--help").code == DONE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_the_output_is_told_in_words() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "from flows.cli import main; main()", "models", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == ENVIRONMENT
    assert "no space is left where this writes" in done.stderr
    assert "OSError" not in done.stderr


def test_a_folder_that_is_gone_is_told_in_words(
    nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = nightreel("status", "out")
    monkeypatch.chdir(tmp_path)
    assert said.code == ENVIRONMENT
    assert "the folder that this was started in is gone" in said.err


TOO_LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["plan", f"/tmp/{TOO_LONG}", "-o", "/tmp/out"], ["render", f"{TOO_LONG}/m.parquet", "-o", "/tmp/out"],
        ["manifest", "validate", f"/tmp/{TOO_LONG}"], ["manifest", "build", f"/tmp/{TOO_LONG}.yaml", "-o", "x.parquet"],
        ["status", f"/tmp/{TOO_LONG}"], ["preview", "a", "-o", f"/tmp/{TOO_LONG}/a.png"], ["models", "list"],
        ["models", "fetch", "imagenet-f16-16384"],
    ],
)  # fmt: skip
def test_a_name_that_no_file_can_have_is_told_in_words(
    words: list[str], nightreel: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", f"/tmp/{TOO_LONG}")
    load_settings.cache_clear()
    said = nightreel(*words)
    assert said.code == ENVIRONMENT
    assert TOO_LONG[:200] in said.err.replace("\n", "")
    assert "too long" in said.err
    assert "OSError" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "{0}/in/m.parquet", "-o", "/tmp/out"], ["manifest", "validate", "{0}/in/m.parquet"],
        ["preview", "a", "-o", "{0}/in/a.png"], ["status", "{0}/in"], ["models", "list"],
        ["models", "fetch", "imagenet-f16-16384"],
    ],
)  # fmt: skip
def test_a_folder_that_may_not_be_entered_is_told_in_words(
    words: list[str], nightreel: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder() as folder:
        (folder / "closed/in").mkdir(parents=True)
        monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", str(folder / "closed/in/models"))
        load_settings.cache_clear()
        nightreel(*(word.format(folder) for word in words))  # what it imports may lie where nobody may go
        (folder / "closed").chmod(0)
        with without_rights():
            said = nightreel(*(word.format(folder / "closed") for word in words))
    assert said.code == ENVIRONMENT
    assert f"not permitted: '{folder}/closed" in said.err
    assert "PermissionError" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        *(["preview", "a", "-o", "a.png", "--set", text] for text in (
            "seed=2026-99-99", "seed=!!timestamp x", "seed=" + "[" * 50_000, ".".join("a" * 5000) + "=1",
            "seed=!!int '9x'", "seed=\x00", "seed=1\ud800", "seed=&a [*a]", "=", "seed", ".=1",
        )),
        *(["models", "eval", "embedded", "-o", "report", f"--seeds={text}"] for text in (
            "", ",", "x", "-1", str(2**63), "9" * 5000, ",".join(map(str, range(2000))),
        )),
        ["models", "eval", "embedded", "-o", "report", "--jobs", "100000"], ["models", "eval", "embedded", "-o", "{0}"],
        *(["models", "sprites", "--side", side] for side in ("0", "-1", "15", "100000000", "nan")),
        *(["finetune", "pictures", "-o", "mine", option, value] for option, value in (
            ("--seed", str(2**63)), ("--batch", "1000000000"), ("--side", "100000000"), ("--lr", "inf"),
            ("--lr", "nan"),
            ("--steps", "9" * 30), ("--workers", "1000000000"),
        )),
    ],
    ids=lambda words: " ".join(words)[:60].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_values_with_which_nothing_can_be_done_are_refused_in_words(
    words: list[str], nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    said = nightreel(*(word.replace("{0}", str(tmp_path / "file")) for word in words))
    assert said.code == BAD_INPUT
    assert said.out == ""
    assert len(said.err) < 5_000
    assert not re.search(r"\b\w+(Error|Exception)\b|Traceback|pydantic", said.err), said.err
