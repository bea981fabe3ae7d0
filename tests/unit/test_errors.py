"""Every error of the four packages: of which kind it is, and that every layer draws the same conclusion from it."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import pickle
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flows.cli.errors import explain
from flows.retry_and_quarantine.records import FailureRecord, record_failure
from infra.storage.storage import Storage
from manifests.errors import ErrorKind, ExitCode, NightreelError, first_line, kind_of
from tests.helpers.root import ROOT

PACKAGES = ("manifests", "renderers", "infra", "flows")

# What a person decided for each: a new error must be entered here.
KINDS = {
    ErrorKind.APPLICATION: {
        "NightreelError", "RenderError", "StorageError", "VideoError", "FfmpegError", "FfmpegTooSlow", "VideoDefect",
        "TrainingFailed", "Unforeseen", "WorkerLacks",
    },
    ErrorKind.BAD_INPUT: {
        "BadInput", "BadPages", "BadThrift", "ChoiceError", "DocumentDamaged", "EncodingInvalid", "FilmInvalid",
        "FrameRangeError", "KeyframeError", "ManifestError", "ObjectConflict", "ObjectMissing", "PromptError",
        "SettingsError", "SoundInvalid", "SourceRefused", "TemplateError", "TrainingBroken", "UnknownModel",
        "VideoDiffers",
    },
    ErrorKind.CANCELLED: {"Stopped"},
    ErrorKind.CORRUPT: {"FrameCorrupt"},
    ErrorKind.ENVIRONMENT: {
        "CheckpointUnsafe", "DownloadFailed", "FetchFailed", "ModelFilesBroken", "ModelLacking", "OpenCVMissing",
        "PageUnavailable", "RayUnavailable", "ServerUnavailable", "SettingsInvalid", "SourceMissing",
        "UpUnavailable", "VersionsMixed", "_Mismatch",
    },
    ErrorKind.INFRASTRUCTURE: {
        "AnswerCutOff", "AnswerLate", "FrameGone", "RerunUnavailable", "StorageBusy", "WorkerLost",
    },
    ErrorKind.NON_FINITE: {"NonFiniteLoss"},
    ErrorKind.OUT_OF_MEMORY: {"OutOfMemory", "WorkerOutOfMemory"},
    ErrorKind.STALLED: {"WorkerStalled"},
    ErrorKind.STORAGE: {"PlaceForbidden", "StorageLacking", "StorageUnavailable"},
}  # fmt: skip


def exceptions_in(sources: dict[str, str]) -> set[tuple[str, str]]:
    """(module, class) of every class in `sources` (module -> text) that is an exception, by its bases' names."""
    bases: dict[tuple[str, str], set[str]] = {}
    for module, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                bases[module, node.name] = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    known = {name for name, it in vars(builtins).items() if isinstance(it, type) and issubclass(it, BaseException)}
    found: set[tuple[str, str]] = set()
    while new := {place for place, names in bases.items() if names & known} - found:
        found |= new
        known |= {name for _, name in new}
    return found


@cache
def our_exceptions() -> tuple[tuple[str, str], ...]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8") for path in paths
    }
    return tuple(sorted(exceptions_in(sources)))


def class_of(module: str, name: str) -> type[NightreelError]:
    found: type[NightreelError] = getattr(importlib.import_module(module), name)
    return found


def made(kind: type[NightreelError]) -> NightreelError:
    """An instance; some need two texts."""
    maker: Any = kind
    try:
        return maker("a sentence")
    except TypeError:
        return maker("a sentence", "a remedy")


ALL_ERRORS = [pytest.param(module, name, id=name) for module, name in our_exceptions()]


def test_an_exception_is_found_wherever_it_is_defined() -> None:
    text = "import x\nclass A(x.B): ...\nclass B(C, OSError): ...\ndef f():\n    class D(A): ...\nclass E(dict): ..."
    assert {name for _, name in exceptions_in({"m": text})} == {"A", "B", "D"}


def test_every_error_has_the_kind_that_was_decided_for_it() -> None:
    found = {name: class_of(module, name) for module, name in our_exceptions()}
    assert [name for name, kind in found.items() if not issubclass(kind, NightreelError)] == []
    by_kind: dict[ErrorKind, set[str]] = {kind: set() for kind in ErrorKind}
    for name, error in found.items():
        by_kind[error.kind].add(name)
    assert by_kind == KINDS


@pytest.mark.parametrize(("module", "name"), ALL_ERRORS)
def test_command_flow_run_and_failure_record_agree(
    module: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from flows.orchestration.run import invalid_input  # Prefect

    error = made(class_of(module, name))
    kind = error.kind

    code = explain(error)
    about: dict[str, Any] = {"video": "reef", "frame": 1, "digest": "ab" * 32, "worker": "w"}
    record = record_failure(Storage(str(tmp_path)), error, attempt=1, seconds=0.0, **about)
    assert (record.kind, code) == (kind, kind.exit_code)
    assert capsys.readouterr().err == f"nightreel: {error}\n"
    by_code = {ExitCode.BAD_INPUT: "InputInvalid", ExitCode.ENVIRONMENT: "EnvironmentUnusable"}
    repairable = {ErrorKind.BAD_INPUT, ErrorKind.ENVIRONMENT, ErrorKind.INFRASTRUCTURE, ErrorKind.STORAGE}
    if kind not in repairable:
        with pytest.raises(type(error)), invalid_input():
            raise error
        return
    with invalid_input() as refused:
        raise error
    (state,) = refused
    assert (state.is_failed(), state.name, state.message) == (True, by_code[kind.exit_code], str(error))


@pytest.mark.parametrize(("module", "name"), ALL_ERRORS)
def test_an_error_says_the_same_after_its_way_home_from_a_worker(module: str, name: str) -> None:
    error = made(class_of(module, name))
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived), kind_of(arrived)) == (type(error), str(error), error.kind)


@pytest.mark.parametrize("error", [KeyError("x"), OSError("m"), RuntimeError("m"), ValueError("m"), MemoryError("m")])
def test_an_error_of_others_is_an_application_error_to_all(
    error: Exception, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from flows.orchestration.run import invalid_input

    assert kind_of(error) == ErrorKind.APPLICATION
    assert explain(error) == ExitCode.ENVIRONMENT
    assert capsys.readouterr().err == f"nightreel: {type(error).__name__}: {error} (--debug shows where)\n"
    with pytest.raises(type(error)), invalid_input():
        raise error


def test_exit_codes_are_what_the_help_says() -> None:
    codes = {kind: int(kind.exit_code) for kind in ErrorKind}
    assert codes == {
        "application": 3, "bad input": 2, "cancelled": 1, "corrupt": 1, "environment": 3, "infrastructure": 3,
        "non-finite": 1, "out of memory": 3, "stalled": 3, "storage": 3,
    }  # fmt: skip


def test_a_kind_reads_back_what_it_wrote() -> None:
    assert [ErrorKind.read(kind.value) for kind in ErrorKind] == list(ErrorKind)
    assert (ErrorKind.read("not finite"), ErrorKind.read("?")) == (ErrorKind.NON_FINITE, ErrorKind.APPLICATION)


@pytest.mark.parametrize("module", ["renderers.errors", "infra.storage.errors", "infra.video.errors"])
def test_the_tree_of_errors_is_drawn_with_their_kinds(module: str) -> None:
    loaded = importlib.import_module(module)
    drawn = (loaded.__doc__ or "").partition("\n\n")[2].splitlines()
    classes = [it for it in vars(loaded).values() if isinstance(it, type) and it.__module__ == module]
    for error in classes:
        line = next(line for line in drawn if re.match(rf"[ │├└─]*{error.__name__} ", line))
        assert re.search(rf" {error.kind}(  |$)", line)


def test_the_base_is_a_leaf_that_every_package_may_import() -> None:
    code = "import sys; before = set(sys.modules); import manifests.errors; print(*sorted(set(sys.modules) - before))"
    new = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ours = [name for name in new.split() if name.split(".")[0] in PACKAGES]
    leaves = ["credentials", "errors", "masking", "secret_paths"]
    assert sorted(ours) == ["manifests", *(f"manifests.{leaf}" for leaf in leaves)]
    assert not {"pydantic", "pyarrow", "yaml", "torch"} & set(new.split())


def test_a_record_of_every_kind_is_read_back(tmp_path: Path) -> None:
    about: dict[str, Any] = {"video": "reef", "frame": 1, "digest": "ab" * 32, "worker": "w", "attempt": 1}
    for module, name in our_exceptions():
        output = Storage(str(tmp_path / name))
        record = record_failure(output, made(class_of(module, name)), seconds=0.0, **about)
        (stored,) = output.list()
        assert FailureRecord.of_document(json.loads(output.read(stored.key))) == record


def test_of_a_librarys_error_the_first_line_that_says_something_is_told() -> None:
    assert first_line(ValueError("\n  no such column \nat line 3")) == "no such column"
    assert first_line(ValueError("\n")) == first_line(ValueError()) == "ValueError"
