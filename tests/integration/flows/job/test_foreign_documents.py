"""An output in which somebody, or a disk, has put other documents than ours: each is named, and the rest goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.api.jobs import run_job
from flows.job.output_videos import VideoStatus, stored_status
from flows.job.stored_documents import MOST_BYTES
from flows.runs.record import RunRecord
from flows.runs.stored import MOST_COMMAS, stored_runs
from flows.watch.grid import read_grid
from infra.storage.storage import Storage
from renderers.registry import Registry
from tests.helpers.command_line import in_this_process
from tests.helpers.render_jobs import quick_row

DEEP = b"[" * 200_000
FOREIGN: dict[str, bytes] = {
    "binary": b"\x89PNG\xff\xfe\x00", "empty": b"", "cut off": b'{"video_id": "a", ', "deep": DEEP,
    "a deep value": b'{"video_id": ' + DEEP, "a list": b"[]", "a list of lists": b"[[1, 2], {}]", "null": b"null",
    "a text": b'"plan"', "a number": b"-1e999", "not a number": b"NaN", "a long number": b"9" * 50_000,
    "no keys": b"{}", "half a character": b'{"row": "\\ud83d", "retakes": ["\\ud83d"]}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "huge": b" " * (MOST_BYTES + 1) + b"{}",
}  # fmt: skip
WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1e400, "x", [], {}, [[]], {"a": {"b": []}}, "\ud83d")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output of two videos, one of which has a failure and decisions of a re-run, and documents of its run."""
    folder = tmp_path_factory.mktemp("rendered") / "out"
    assert run_job([quick_row("a", frames=2), quick_row("b")], folder).complete
    output = Storage(str(folder))
    digest = next(info.key for info in output.list("a/frames")).rpartition("-")[2].partition(".")[0]
    failure = {
        "video_id": "a", "frame": 0, "attempt": 1, "worker": "w", "kind": "application", "message": "m", "seconds": 1.0,
        "when": "2026-11-28T00:00:00+00:00", "log": "",
    }  # fmt: skip
    output.put(f"a/failures/000000-{digest}-20261128T000000000000.json", json.dumps(failure).encode())
    retake = {"frame": 0, "instead_of": "0" * 64, "seed": 3, "start_digest": None, "target_digest": None}
    output.put("a/retakes/20261128T000000000000.json", json.dumps({"retakes": [retake]}).encode())
    return folder


@pytest.fixture
def output(rendered: Path, tmp_path: Path) -> Storage:
    shutil.copytree(rendered, tmp_path / "out")
    return Storage(str(tmp_path / "out"))


KINDS: dict[str, Callable[[str], bool]] = {
    "plan": lambda key: key.startswith("a/plans/"),
    "failure": lambda key: key.startswith("a/failures/"),
    "retake": lambda key: key.startswith("a/retakes/"),
    "provenance": lambda key: key == "a/provenance.json",
    "segment": lambda key: key.startswith("a/segments/") and key.endswith(".json"),
    "run": lambda key: key.endswith("/run.json"),
    "state": lambda key: key.endswith("/state.json"),
}


def key_of(output: Storage, kind: str) -> str:
    return next(info.key for info in output.list() if KINDS[kind](info.key))


def look(output: Storage) -> dict[str, VideoStatus]:
    """All that looks at an output, with video `b` as it was."""
    found = {video.video_id: video for video in stored_status(output, Registry())}
    assert found["b"].state == "done"
    read_grid(output, "a", Registry())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_document_is_named_and_the_rest_goes_on(output: Storage, kind: str) -> None:
    key = key_of(output, kind)
    for what, data in FOREIGN.items():
        output.put(key, data, existing="replace")
        found = look(output)
        if kind in ("plan", "retake"):
            assert found["a"].state == "failed", what
            assert f"'{key}', is damaged" in found["a"].reason, what
            assert len(found["a"].reason) < 500
        else:
            assert found["a"].frames == 2, what


def values(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON document."""
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        return [path] * bool(path) + [found for key, value in items for found in values(value, (*path, key))]
    return [path]


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_of_a_wrong_type_ends_nothing(output: Storage, kind: str) -> None:
    key = key_of(output, kind)
    original = output.read(key)
    for number, path in enumerate(values(json.loads(original))[:60]):
        document = json.loads(original)
        place = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = WRONG[number % len(WRONG)]
        output.put(key, json.dumps(document).encode(), existing="replace")
        assert "a" in look(output), path


def test_commands_say_which_document_it_is(output: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    key = key_of(output, "plan")
    output.put(key, DEEP, existing="replace")
    call = in_this_process(capsys)
    found = call("status", output.root)
    assert found.code == 1
    assert f"a plan, '{key}', is damaged (it is nested too deeply): restore it" in " ".join(found.out.split())
    found = call("rerun", output.root, "--video", "a", "--frames", "all", "--dry-run")
    assert found.code == 2
    assert f"'{key}', is damaged" in found.err


def test_a_report_of_foreign_documents_is_made(output: Storage) -> None:
    for kind in KINDS:
        output.put(key_of(output, kind), FOREIGN["deep"], existing="replace")
    summary = run_job([quick_row("b")], output.root)
    assert summary.complete
    assert b"is damaged" in output.read("report/index.html")


def test_a_pipe_among_objects_is_not_waited_for(output: Storage, tmp_path: Path) -> None:
    for key in ("a/plans/0123456789abcdef.json", "b/provenance.json", "a/failures/video-0123456789abcdef-1.json"):
        (tmp_path / "out" / key).unlink(missing_ok=True)
        os.mkfifo(tmp_path / "out" / key)
    found = {video.video_id: video for video in stored_status(output, Registry())}
    assert found["b"].frames == 1
    assert "'a/plans/0123456789abcdef.json', is damaged" in found["a"].reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["a folder", "a link to itself", "a link to nothing"])
def test_what_is_no_file_ends_nothing(output: Storage, tmp_path: Path, kind: str, what: str) -> None:
    path = tmp_path / "out" / key_of(output, kind)
    path.unlink()
    if what == "a folder":
        path.mkdir()
        (path / "x").write_text("x")
    else:
        path.symlink_to(path.name if what == "a link to itself" else "/nowhere/at/all")
    assert "a" in look(output)
    assert isinstance(stored_runs(output), tuple)


def test_links_to_folders_above_are_not_followed(output: Storage, tmp_path: Path) -> None:
    """Two of them would double what is listed some forty times."""
    before = [info.key for info in output.list()]
    for place in ("a/plans", "a/frames", "b", "report/runs"):
        (tmp_path / "out" / place / "up").symlink_to(tmp_path / "out")
        (tmp_path / "out" / place / "here").symlink_to(".")
    assert [info.key for info in output.list()] == before
    assert look(output)["a"].frames == 2


@pytest.mark.parametrize("video_id", ["../..", "\x1b[2J\0", "x" * 1_000_000, ""])
def test_a_run_of_videos_that_no_folder_can_have_counts_as_none(output: Storage, video_id: str) -> None:
    key = key_of(output, "run")
    record = json.loads(output.read(key))
    record["videos"][0]["video_id"] = video_id
    output.put(key, json.dumps(record).encode(), existing="replace")
    assert look(output)["a"].frames == 2
    assert stored_runs(output) == ()


def test_the_items_of_a_strangers_run_make_one_error() -> None:
    """A million of them made a million errors, which took gigabytes."""
    with pytest.raises(ValidationError) as caught:
        RunRecord.model_validate_json(b'{"run": "r", "began": "2026-11-29T00:00:00Z", "videos": [[], [], []]}')
    assert caught.value.error_count() == 1


def test_a_run_of_more_values_than_memory_holds_is_not_read(output: Storage) -> None:
    data = b'{"run": "r", "updated": "2026-11-29T00:00:00Z", "done": [' + b"0," * MOST_COMMAS + b"0]}"
    output.put(key_of(output, "state"), data, existing="replace")
    (run,) = stored_runs(output)
    assert run.state is None


def test_a_failure_of_a_million_letters_is_cut(output: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    key = key_of(output, "failure")
    failure = json.loads(output.read(key)) | {"message": "x" * 1_000_000}
    output.put(key, json.dumps(failure).encode(), existing="replace")
    frame = next(info.key for info in output.list("a/frames"))
    output.delete(frame)
    assert len(in_this_process(capsys)("status", output.root, "--json").out) < 10_000
