"""What may surprise in good rows: every command that reads a manifest says the same of it, once a row, and not without
end; and the report's two forms do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.job.report_data import publish_report
from flows.job.row_warnings import RowWarnings
from infra.storage.storage import Storage
from manifests.problems import LISTED
from manifests.results import GoodRow
from manifests.schema import ManifestRow
from renderers.registry import Registry
from tests.helpers.command_line import Said, in_this_process
from tests.helpers.finished import put_finished_still
from tests.helpers.render_jobs import gather_report, planned, quick_row, write_manifest

LONG = "a red apple on a tree " * 9
ROWS = [quick_row("Reef", LONG, frames=1), quick_row("reef", "[cat|dog] in a hat")]


@pytest.fixture
def nightreel(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return in_this_process(capsys)


def warnings_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if "warning" in line]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_all_commands_print_the_same_on_stderr(
    nightreel: Callable[..., Said], tmp_path: Path, more: tuple[str, ...]
) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), Storage(str(tmp_path / "out"))
    for row in ROWS:
        put_finished_still(output, row)
    said = {
        "validate": nightreel("manifest", "validate", manifest, *more),
        "plan": nightreel("plan", manifest, "--output", output.root, *more),
        "render": nightreel("render", manifest, "--output", output.root, *more),
    }
    assert {name: it.code for name, it in said.items()} == dict.fromkeys(said, 0)
    found = warnings_in(said["validate"].err)
    assert [line.split("'")[0] for line in found] == [
        "nightreel: warning: prompt ", "nightreel: warning: video_id ", "nightreel: warning: ",
    ]  # fmt: skip
    assert all(line.endswith(f", {manifest})") for line in found)
    for name, it in said.items():
        assert warnings_in(it.err) == found, name
        if more:
            assert [f"nightreel: warning: {line}" for line in it.json["warnings"]] == found


def test_a_build_prints_them_of_its_source(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    source = tmp_path / "m.jsonl"
    source.write_text("\n".join(json.dumps(row.model_dump(mode="json", exclude_unset=True)) for row in ROWS))
    for more in ((), ("--json",)):
        said = nightreel("manifest", "build", source, "-o", tmp_path / "m.parquet", *more)
        assert said.code == 0
        assert [line.split("(row ")[1][:1] for line in warnings_in(said.err)] == ["1", "2", "2"]


def test_a_hundred_are_kept_and_all_are_counted() -> None:
    warnings = RowWarnings(Registry())
    for number in range(LISTED + 50):
        warnings.look(GoodRow(ManifestRow(video_id=f"v{number}", prompt=LONG, frames=5000), "m.parquet", number + 1))
    *first, last = warnings.found.lines()
    assert len(first) == LISTED
    assert last == "and 50 more warnings, 150 in all: 150 times 'a prompt is longer than its model reads'"


def test_a_model_that_is_not_here_is_nothing_to_warn_of() -> None:
    warnings = RowWarnings(Registry())
    warnings.look(GoodRow(ManifestRow(video_id="a", prompt=LONG, model="nobodys"), "m.parquet", 1))
    assert warnings.found.total == 0


def test_the_reports_numbers_have_the_notes_of_its_page(tmp_path: Path) -> None:
    output = Storage(str(tmp_path / "out"))
    put_finished_still(output, ROWS[0])
    job = planned(write_manifest(tmp_path / "m.parquet", ROWS[:1]), output.root)
    publish_report(output, gather_report(job, actors=1))
    summary = json.loads(output.read("report/summary.json"))
    ((video, notes),) = ((it["video_id"], it["notes"]) for it in summary["notes"])
    assert (video, summary["noted"]) == ("Reef", 1)
    assert "is longer than model 'embedded' reads" in notes[0]
    assert notes[0].partition("'")[0] in output.read("report/index.html").decode()
