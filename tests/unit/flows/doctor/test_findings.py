"""What the doctor makes of what was seen: levels, remedies, repairs and exit codes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.doctor import installation
from flows.doctor.findings import Finding, examine, exit_code, repair_all
from flows.doctor.installation import _models_folder, check_disk, judge_hardware, judge_ray_folder
from flows.doctor.runs import judge_run, judge_version
from flows.doctor.storage import check_storage, damage, old_temporaries
from flows.orchestration.interrupted import RunUnderWay
from infra.settings import InfraSettings
from infra.storage.local_store import TEMPORARY_PREFIX
from tests.helpers.deep_folders import nested_folders
from tests.helpers.rights import open_folder, without_rights

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
STALE_AFTER = timedelta(minutes=10)


def fine() -> str:
    return "did it"


def broken() -> str:
    raise OSError("no  way\nat all")


OK = Finding("server", "ok", "all is well")
WARNING = Finding("server", "warning", "so so")
HOPELESS = Finding("server", "problem", "nobody can repair this", "go home")
REPAIRABLE = Finding("server", "problem", "a run is dead", "it can go on", repair=fine)
STUBBORN = Finding("server", "problem", "a file is there", "take it away", repair=broken)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([OK, WARNING], 0),
        ([OK, REPAIRABLE], 1),
        (list(repair_all([OK, REPAIRABLE])), 1),
        ([REPAIRABLE, HOPELESS], 3),
        ([STUBBORN], 1),
        (list(repair_all([STUBBORN, REPAIRABLE])), 3),
    ],
)
def test_exit_codes(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


def test_only_what_can_be_repaired_is_repaired() -> None:
    repaired = list(repair_all([OK, HOPELESS, REPAIRABLE, STUBBORN]))
    assert repaired[:2] == [OK, HOPELESS]
    outcomes = [(it.repaired, it.repair_error) for it in repaired]
    assert outcomes == [("", ""), ("", ""), ("did it", ""), ("", "no way at all")]
    assert repaired[3].to_dict()["repair_error"] == "no way at all"


def test_a_check_that_breaks_is_a_finding_and_keeps_what_was_found() -> None:
    def check() -> Iterator[Finding]:
        yield OK
        raise RuntimeError("boom")

    found = list(examine("cluster", check))
    assert found[0] == OK
    assert (found[1].area, found[1].level) == ("cluster", "problem")
    assert found[1].what == "could not be looked at: RuntimeError: boom"


@pytest.mark.parametrize(
    ("torch", "cuda", "gpus", "reason", "device", "levels", "message"),
    [
        ("2.15.0+cu132", "13.2", (), "", "auto", ["ok", "ok"], "renders on its CPU"),
        ("2.15.0", None, (), "", "cpu", ["ok", "ok"], "renders on its CPU"),
        ("2.15.0", "13.2", ("H100, 80 GiB",), "", "auto", ["ok", "ok"], "GPU: H100, 80 GiB"),
        ("2.15.0", "13.2", ("H100, 80 GiB",), "", "cpu", ["ok", "ok"], "unused since NIGHTREEL_DEVICE=cpu"),
        ("2.15.0", "13.2", (), "driver too old", "auto", ["ok", "problem"], "can't use it: driver too old"),
        ("2.15.0", "13.2", (), "", "cuda:1", ["ok", "problem"], "NIGHTREEL_DEVICE=cuda:1, but PyTorch (built for CUDA"),
        ("2.15.0+cpu", None, (), "", "cuda", ["ok", "problem"], "built without CUDA"),
        ("2.9.1", None, (), "", "auto", ["problem", "ok"], "no GPU here"),
    ],
)
def test_hardware(torch, cuda, gpus, reason, device, levels, message) -> None:
    found = list(judge_hardware(torch, cuda, gpus, reason, device))
    assert [it.level for it in found] == levels
    assert message in found[1].what
    assert all(it.remedy for it in found if it.level != "ok")


@pytest.mark.parametrize(("free", "level"), [(6 * 2**30, "ok"), (4 * 2**30, "warning"), (2**28, "problem")])
def test_disk(free: int, level: str) -> None:
    assert check_disk("models", Path("models"), free).level == level


def under_way(state: str, minutes: float, heard: float | None = None, pool: str | None = None) -> RunUnderWay:
    """A run that has been in `state` for so many minutes, and was heard of so many minutes ago."""
    since = NOW - timedelta(minutes=minutes)
    return RunUnderWay(
        "id", "night", state, since, None if heard is None else NOW - timedelta(minutes=heard), 1, True, pool
    )


@pytest.mark.parametrize(
    ("run", "level"),
    [
        (under_way("RUNNING", 300, heard=2), None),
        (under_way("RUNNING", 300, heard=11), "problem"),
        (under_way("RUNNING", 300), "problem"),
        (under_way("RUNNING", 5), None),  # has only begun
        (under_way("RUNNING", 5, heard=100), None),  # that was its last life
        (under_way("PENDING", 9), None),
        (under_way("PENDING", 11), "problem"),
        (under_way("PENDING", 11, pool="gpus"), "warning"),  # its cluster may have no room yet
        (under_way("RUNNING", 11, pool="gpus"), "problem"),
        (under_way("CANCELLING", 11, heard=10.5), "problem"),
    ],
)
def test_a_run_is_dead_after_silence(run: RunUnderWay, level: str | None) -> None:
    found = judge_run(run, NOW, STALE_AFTER)
    assert (found and found.level) == level
    assert found is None or "'night'" in found.what


def test_versions() -> None:
    assert judge_version("http://x", "3.8.8", "3.8.2").level == "ok"
    assert judge_version("http://x", "3.10.1", "3.8.2").level == "warning"
    assert judge_version("http://x", "0+unknown", "3.8.2").level == "warning"
    older = judge_version("http://x", "3.7.1", "3.10.2")
    assert (older.level, older.what) == ("problem", "Prefect 3.7.1 answers at 'http://x', but here is Prefect 3.10.2")
    assert "prefect server database upgrade" in older.remedy


def test_folders_of_any_depth_are_looked_through(tmp_path: Path) -> None:
    with nested_folders(tmp_path, 1500):
        assert [it.level for it in check_storage(str(tmp_path), deep=True)] == ["ok", "ok", "ok"]


def test_half_written_files_are_old_ones_of_ours(tmp_path: Path) -> None:
    names = [f"{TEMPORARY_PREFIX}old", f"reef/frames/{TEMPORARY_PREFIX}old", f"{TEMPORARY_PREFIX}new", "reef/video.mp4"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        if not name.endswith("new"):
            os.utime(path, (1000.0, 1000.0))
    now = (tmp_path / names[2]).stat().st_mtime + 60
    assert old_temporaries(tmp_path, now) == sorted([tmp_path / names[0], tmp_path / names[1]])

    found = list(check_storage(str(tmp_path), deep=False))
    assert [it.level for it in found] == ["ok", "problem"]
    assert "2 half-written files of dead writers (2 bytes)" in found[1].what
    assert (tmp_path / names[0]).exists(), "looking changes nothing"
    (_, repaired) = repair_all(found)
    assert repaired.repaired == "removed 2 half-written files"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        f"{TEMPORARY_PREFIX}new",
        "video.mp4",
    ]


def test_storage_that_can_not_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (found,) = check_storage(str(tmp_path / "file" / "out"), deep=True)
    assert (found.level, found.repair) == ("problem", None)
    assert found.remedy
    (found,) = check_storage("ftp://host/x", deep=False)
    assert "no atomic commits" in found.what


def test_an_output_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    (found,) = check_storage(str(tmp_path / "a" / "b"), deep=True)
    assert found.level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_frame_is_damaged() -> None:
    assert "do not end as a PNG does" in damage("reef/frames/000001-0123456789abcdef.png", b"not a picture")


def test_a_long_folder_for_rays_sockets_is_known() -> None:
    long = "/tmp/" + "a" * 60
    assert judge_ray_folder(None, "/tmp").level == "ok"
    assert "they go to a short folder" in judge_ray_folder(None, long).what
    found = judge_ray_folder(long, "/tmp")
    assert (found.level, found.remedy) == ("problem", "set it to a folder with a shorter name, or unset it")


def test_folders_that_can_not_be_listed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reef").mkdir()
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("reef"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    whats = [it.what for it in check_storage(str(tmp_path), deep=False)]
    assert f"1 folder ({tmp_path}/reef) could not be looked at: Permission denied" in whats
    assert "no half-written files" not in whats


def test_a_part_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    for heavy in ("_hardware", "_embedded"):
        monkeypatch.setattr(installation, heavy, lambda _: iter(()))
    monkeypatch.setattr(installation, "_ffmpeg", broken)
    found = list(installation.check_installation(InfraSettings(models_folder=tmp_path)))
    broke = [it for it in found if "could not be looked at: PermissionError" in it.what]
    assert len(broke) == 1
    assert found[-1].what.endswith(f"GiB free for temporary files in '{tempfile.gettempdir()}'")


def test_a_models_folder_that_this_account_may_not_look_into_is_named_with_its_setting() -> None:
    with open_folder() as folder:
        (folder / "closed").mkdir(mode=0o700)
        settings = InfraSettings(models_folder=folder / "closed" / "models")
        with without_rights():
            if os.access(folder / "closed", os.X_OK, effective_ids=True):
                (folder / "closed").chmod(0)  # it is our own
            (found,) = _models_folder(settings)
    assert found.level == "problem"
    assert found.what.endswith("can't be written: Permission denied")
    assert "NIGHTREEL_MODELS_FOLDER" in found.remedy
