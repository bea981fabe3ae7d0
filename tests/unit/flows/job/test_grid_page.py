"""Rows that came from axes have their table in an output's report."""

from __future__ import annotations

from pathlib import Path

from flows.job.report_data import publish_report
from infra.storage.storage import Storage
from manifests.building import build
from manifests.results import GoodRow
from tests.helpers.finished import put_finished_still
from tests.helpers.render_jobs import gather_report, planned, write_manifest

SOURCE = """
expand:
  axes: {thing: [apple, frog], colour: [red, green]}
  template: "a {colour} {thing}"
  set: {steps_first: 1}
"""


def test_rows_from_axes_have_a_page_and_others_none(tmp_path: Path) -> None:
    rows = [it.row for it in build(SOURCE, "yaml") if isinstance(it, GoodRow)]
    output = Storage(str(tmp_path / "out"))
    for row in rows[:3]:
        put_finished_still(output, row)
    job = planned(write_manifest(tmp_path / "m.parquet", rows), output.root)
    publish_report(output, gather_report(job, actors=1))
    page = output.read("report/grid.html").decode()
    assert page.count('class="tile done"') == 3
    assert page.count("<td>") == 4
    assert "thing ↓ colour →" in page
    index = output.read("report/index.html").decode()
    assert "4 videos as a table" in index
    assert '<th scope="row">axes' not in index, "it is no setting"

    plain = Storage(str(tmp_path / "plain"))
    job = planned(write_manifest(tmp_path / "p.parquet", [rows[0].model_copy(update={"axes": None})]), plain.root)
    publish_report(plain, gather_report(job, actors=1))
    assert not (tmp_path / "plain" / "report" / "grid.html").exists()
