"""What an operator does in Prefect's pages, by clicks in a real browser: see what failed, Retry, re-run frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.video.ffmpeg import decode
from tests.helpers.browser import Pages, browser_pages
from tests.helpers.render_jobs import frame_objects, quick_row, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.up import RunningUp, running_up

# Where the pictures of what the browser showed are kept; `make clean` takes them away.
SHOTS = ROOT / "test-output" / "ui"
FRAMES = 8


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_an_operator_sees_what_failed_retries_and_re_runs_frames(tmp_path: Path) -> None:
    picture = tmp_path / "late.png"
    rows = [quick_row("reef", frames=FRAMES, seed=3), quick_row("ghost", init_image=str(picture))]
    manifest = write_manifest(tmp_path / "night.parquet", rows)
    output = tmp_path / "out"
    with running_up(tmp_path) as up, browser_pages(up.ui_url, SHOTS, up.sign_in) as pages:
        leaves_the_first_page_while_it_loads(pages)
        run = starts_a_run_by_its_form(up, pages, manifest, output)
        sees_what_failed(up, pages, run)
        Image.new("RGB", (64, 64), "orange").save(picture)
        retries(up, pages, run, output)
        is_shown_what_the_form_takes(up, pages, output)
        renders_frames_again(up, pages, output)


def leaves_the_first_page_while_it_loads(pages: Pages) -> None:
    """And is signed in afterwards: Prefect's second UI forgets the key when its first request is broken off."""
    asked = "**/api/admin/version"
    pages.page.route(asked, lambda _route: None)  # never answered
    with pages.page.expect_request(asked):
        pages.open("/")
    pages.open("about:blank")
    pages.page.unroute(asked)
    pages.open("/deployments")
    pages.shows("render-manifest")


def starts_a_run_by_its_form(up: RunningUp, pages: Pages, manifest: str, output: Path) -> str:
    pages.open(up.ready["forms"]["render-manifest"])
    pages.write("manifest", manifest)
    pages.write("output", output)
    pages.shot("1 form of render-manifest")
    pages.click("Submit")
    return newest_run(up, "render-manifest")


def newest_run(up: RunningUp, deployment: str, but: frozenset[str] = frozenset()) -> str:
    """The id of the one run of a deployment that is not among `but`, once it is there."""
    chosen = {"deployments": {"id": {"any_": [up.deployment(deployment)["id"]]}}}
    found: list[str] = []

    def there() -> bool:
        found[:] = [run["id"] for run in up.post("/flow_runs/filter", **chosen) if run["id"] not in but]
        return bool(found)

    up.wait_until(there, 60, f"a run of {deployment}")
    (run,) = found
    return run


def sees_what_failed(up: RunningUp, pages: Pages, run: str) -> None:
    shown = up.wait_for_run(run)
    assert (shown["state_type"], shown["state_name"]) == ("FAILED", "FramesMissing")
    pages.open(f"/runs/flow-run/{run}")
    pages.shows("FramesMissing")
    pages.shows("late.png' of video 'ghost' does not exist")
    pages.shot("2 a run with a missing frame")
    pages.page.get_by_text("Artifacts", exact=True).first.click()
    pages.page.get_by_text("failed-frames", exact=True).first.click()
    pages.shows("bad input")
    pages.shows("not rendered")
    pages.shot("3 the failed frames")


def retries(up: RunningUp, pages: Pages, run: str, output: Path) -> None:
    before = written(output)
    pages.open(f"/runs/flow-run/{run}")
    pages.click("Retry")
    pages.shows("This will retry flow run")
    pages.click("Retry")
    up.wait_until(lambda: up.run(run)["run_count"] == 2, 120, "the second attempt")
    shown = up.wait_for_run(run)
    assert shown["state_type"] == "COMPLETED", shown["state"]["message"]
    assert shown["state"]["message"] == "9 frames, 2 videos; 9 frames rendered by this run"
    pages.shows("Completed")
    pages.shot("4 after Retry")
    after = written(output)
    assert {key: after[key] for key in before} == before
    assert [key.split("/")[0] for key in after.keys() - before.keys()] == ["ghost"]


def is_shown_what_the_form_takes(up: RunningUp, pages: Pages, output: Path) -> None:
    pages.open(up.ready["forms"]["rerun-frames"])
    pages.write("output", output)
    pages.write("video", "reef")
    pages.write("frames", "3 to 5")
    pages.click("Submit")
    pages.shows("Write failed, missing, all, or frame numbers such as 120-180,200")
    pages.shot("5 a form that refuses")


def renders_frames_again(up: RunningUp, pages: Pages, output: Path) -> None:
    before, pixels = frame_objects(str(output)), list(decode(output / "reef" / "video.mp4"))
    pages.open(up.ready["forms"]["rerun-frames"])
    pages.write("output", output)
    pages.write("video", "reef")
    pages.write("frames", "3-5")
    pages.choose("after", "keep")
    pages.number("seed", 77)
    pages.shot("6 form of rerun-frames")
    pages.click("Submit")
    run = newest_run(up, "rerun-frames")
    shown = up.wait_for_run(run)
    assert shown["state_type"] == "COMPLETED", shown["state"]["message"]
    assert shown["parameters"]["frames"] == "3-5"
    pages.open(f"/runs/flow-run/{run}")
    pages.shows("Completed")
    pages.shot("7 frames 3 to 5 again")
    after = frame_objects(str(output))
    assert {key: after[key] for key in before} == before
    new = sorted(after.keys() - before.keys())
    assert [key.split("-")[0] for key in new] == [f"reef/frames/{index:06d}" for index in (3, 4, 5)]
    shows = [np.array_equal(a, b) for a, b in zip(pixels, decode(output / "reef" / "video.mp4"), strict=True)]
    assert shows[3:6] == [False] * 3


def written(output: Path) -> dict[str, int]:
    """When each frame object was last written."""
    return {
        str(path.relative_to(output)): path.stat().st_mtime_ns
        for path in output.rglob("*.png")
        if path.parent.name == "frames"
    }
