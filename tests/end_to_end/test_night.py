"""A night of 200 videos with poisoned rows, dying actors and a flaky storage ends by itself. See tests/.../night.py."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.helpers.root import ROOT


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_bad_night_ends_by_itself_with_all_good_videos_there_and_the_bad_ones_listed() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.night", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(ended.stderr[-3000:])  # the figures; shown with -rP, and by a failure
    assert ended.stdout, ended.stderr[-6000:]
    seen = json.loads(ended.stdout)
    assert (seen["state"], seen["videos"], seen["poisoned"]) == ("FramesMissing", 200, 10)
    assert (seen["lost"], seen["unlisted"], seen["wrongly_listed"]) == ([], [], [])
    assert seen["kills"] >= 1
    assert seen["storage_faults"] > 0
    assert (seen["repeated"], seen["running"]) == ([], [])
    assert seen["task_runs"] - seen["stitches"] <= seen["attempts"] * seen["chunks"]
    assert min(seen["list_seconds_after"]) < 2, "the UI's list of task runs, by a machine that has nothing else to do"
