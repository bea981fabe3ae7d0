"""What a person sees while a job runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.cli.render import watching
from tests.helpers.render_jobs import planned, quick_row, write_manifest

LACKS = "host 'gpu3' (worker actor-2) lacks access to 's3://bucket'; repair it there"


def test_what_a_machine_lacks_is_said_at_once_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("reef")]), str(tmp_path / "out"))
    said = ""
    with watching(job, disable=False):
        job.lacks = (LACKS,)
        until = time.monotonic() + 30
        while LACKS not in said:
            assert time.monotonic() < until
            time.sleep(0.05)
            said += capsys.readouterr().err
        time.sleep(1.2)  # two more looks
        said += capsys.readouterr().err
    assert said.count("host 'gpu3'") == 1


def test_a_quiet_one_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("reef")]), str(tmp_path / "out"))
    with watching(job, disable=True):
        job.lacks = (LACKS,)
        time.sleep(1)
    assert capsys.readouterr().err == ""
