"""What an operator does on the live page, by clicks in a real browser: sees what is drawn now, by whom, until when, and
what failed and why; drains a worker; renders three frames again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.runs.record import RefusedVideo, RunRecord, RunState, RunVideo, WorkerState
from flows.runs.stored import put_record, put_state
from flows.watch.asking import BegunRerun
from flows.watch.outputs import NotedOutputs
from flows.watch.serving import LivePage
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from manifests.results import RowProblem
from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.browser import Pages, browser_pages
from tests.helpers.commands import Commands
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.up import RunningUp, running_up

SHOTS = ROOT / "test-output" / "watch"
FRAMES = 150  # of the video that is drawn while the operator looks
CLOCK = re.compile(r"^\d\d:\d\d$")


def obstruct(output: Path, row: ManifestRow, frame: int) -> Path:
    """Put a folder where a frame's object is to lie: storage refuses it until the folder is taken away."""
    plan = VideoPlan.of(row, entry=Registry().entry(row.model))
    place = output / frame_key(row.video_id, frame, plan.digests[frame])
    place.mkdir(parents=True)
    return place


def shows(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_an_operator_sees_a_run_drains_a_worker_and_re_runs_three_frames_in_three_clicks(tmp_path: Path) -> None:
    output = tmp_path / "out"
    broken = quick_row("poisoned", frames=6, seed=5)
    rows = [quick_row("reef", "a coral reef", frames=FRAMES, steps_first=25, steps=25), broken]
    obstacle = obstruct(output, broken, 3)
    manifest = write_manifest(tmp_path / "night.parquet", rows)
    with running_up(tmp_path) as up, browser_pages(up.ui_url, SHOTS, up.sign_in) as pages:
        pages.open(up.ready["live"])
        pages.shows("No run of this machine has begun yet")
        run = up.start_run("render-manifest", manifest=manifest, output=str(output))
        sees_what_is_drawn(pages)
        drains_a_worker_and_allows_it_again(pages)
        sees_what_failed(pages)
        obstacle.rmdir()
        renders_three_frames_again(up, pages, output)
        finds_the_page_in_prefect(up, pages, run)
        asks_for_a_priority_and_does_not_give_it(pages)
        up.cancel(run)
        ended = up.wait_for_run(run)
        assert re.search("^[0-9]+/156 frames missing; 0 of 2 videos done", ended["state"]["message"])
        (summary,) = up.post(
            "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}, "key": {"any_": ["summary"]}}
        )
        assert "frames missing" in summary["description"], "it says how far it came"
        shows(lambda: "nothing under way" in pages.page.locator("#totals").inner_text(), "the end of the run")
        shows(lambda: "cancelled" in pages.page.locator("#runs > li").last.inner_text(), "how it ended")
        shows(lambda: pages.page.locator("form.priority").count() == 0, "nothing to ask of a run that has ended")
        goes_on_with_what_was_cancelled(up, pages, output)


def sees_what_is_drawn(pages: Pages) -> None:
    page = pages.page
    drawing = page.locator(".worker", has_text=re.compile("reef, frame [0-9]+"))
    shows(lambda: drawing.count() > 0, "a worker that draws", 400)
    worker = page.locator(".worker", has_text="reef, frame").first
    assert re.search(r"actor-\d+", worker.inner_text())
    ends = page.locator("#totals > div", has_text="ends").locator("b")
    shows(lambda: bool(CLOCK.match(ends.inner_text())), "when it ends")
    page.locator("#latest img").first.wait_for()
    pages.shot("1 what is drawn")


def drains_a_worker_and_allows_it_again(pages: Pages) -> None:
    page = pages.page
    name = page.locator(".worker", has_text="reef, frame").first.locator("b").first.inner_text()
    mine = page.locator(".worker").filter(has=page.get_by_text(name, exact=True))
    mine.get_by_role("button", name="Drain").click()
    sure = page.locator(".notice").get_by_role("button", name="Drain it")
    leaves = mine.locator(".badge", has_text="drain")
    shows(lambda: sure.count() + leaves.count() > 0, "it leaves, or the page asks since it is the only one")
    if sure.count():
        sure.click()
    mine.locator(".badge", has_text="drained").wait_for()
    pages.shows(f"{name} finishes its frame, then leaves")
    pages.shot("2 a drained worker")
    mine.get_by_role("button", name="Allow again").click()
    shows(lambda: page.locator(".worker .badge", has_text="drained").count() == 0, "nobody is drained any more")


def sees_what_failed(pages: Pages) -> None:
    row = pages.page.locator("#failed > li", has_text="poisoned")
    shows(lambda: row.count() == 1 and "tried again" not in row.inner_text(), "a frame that failed for good")
    text = row.inner_text()
    assert "frame 3" in text
    assert "needs a file where a folder is" in text
    assert row.get_by_role("link", name="log").get_attribute("href").startswith("http://127.0.0.1:")
    pages.shot("3 what failed and why")


def asks_for_a_priority_and_does_not_give_it(pages: Pages) -> None:
    pages.page.locator("#runs").get_by_role("button", name="Priority").first.click()
    pages.page.locator("form.priority").wait_for()


def goes_on_with_what_was_cancelled(up: RunningUp, pages: Pages, output: Path) -> None:
    page = pages.page
    page.locator("#videos").get_by_role("button", name="reef").click()
    first = page.locator(".cell[aria-label$=', missing']").first
    frame = int(first.get_attribute("data-frame"))
    first.drag_to(page.locator(f".cell[data-frame='{frame + 2}']"))
    page.get_by_role("button", name="Re-run 3 frames").click()
    link = page.locator("dialog .notice a")
    link.wait_for()
    shown = up.wait_for_run(str(link.get_attribute("href")).rsplit("/", 1)[-1])
    kept = [file.name[:6] for file in frame_files(str(output), "reef")]
    assert kept == [f"{it:06d}" for it in range(len(kept))]
    assert len(kept) >= frame + 3, shown["state"]["message"]
    page.locator("#frame h3", has_text=f"Frame {frame} done").wait_for()
    page.locator("#frame img").wait_for()
    pages.shot("7 three more of a cancelled run")


def renders_three_frames_again(up: RunningUp, pages: Pages, output: Path) -> None:
    page = pages.page
    page.locator("#failed").get_by_role("button", name="poisoned").click()  # one
    page.locator("#grid-legend", has_text="1 failed").wait_for()
    pages.shot("4 its frames")
    assert [page.locator(f".cell[data-frame='{frame}']").get_attribute("aria-label") for frame in (2, 3, 4)] == [
        "frame 2, done", "frame 3, failed", "frame 4, missing",
    ]  # fmt: skip
    page.locator(".cell[data-frame='3']").drag_to(page.locator(".cell[data-frame='5']"))  # two
    page.get_by_role("button", name="Re-run 3 frames").click()  # three
    link = page.locator("dialog .notice a")
    link.wait_for()
    assert link.inner_text() == f"frames 3-5 of poisoned in {output.parent.name}/out"
    pages.shot("5 a re-run begun")
    rerun = str(link.get_attribute("href")).rsplit("/", 1)[-1]
    shown = up.wait_for_run(rerun)
    assert shown["state_type"] == "COMPLETED", shown["state"]["message"]
    assert (shown["parameters"]["video"], shown["parameters"]["frames"]) == ("poisoned", "3-5")
    assert [file.name[:6] for file in frame_files(str(output), "poisoned")] == [f"{frame:06d}" for frame in range(6)]
    assert (output / "poisoned" / "video.mp4").is_file()
    page.locator("#grid-legend", has_text="6 done").wait_for()
    page.locator(".cell[data-frame='4']").click()
    page.locator("#frame img").wait_for()
    page.locator("#frame summary", has_text="provenance").click()
    page.locator("#frame pre", has_text='"digest"').wait_for()
    pages.shot("6 the frames are back")
    page.get_by_role("button", name="Close", exact=True).click()
    shows(lambda: page.locator("#failed > li", has_text="poisoned").count() == 0, "nothing failed any more")


def finds_the_page_in_prefect(up: RunningUp, pages: Pages, run: str) -> None:
    (artifact,) = up.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}, "key": {"any_": ["live"]}})
    address = re.search(r"http://127\.0\.0\.1:\d+/live/\?o=[0-9a-f]{16}", artifact["data"])
    assert address is not None
    assert "key=" not in artifact["data"], "an artifact holds no secret"
    pages.open(address[0])
    pages.page.locator(".video", has_text="reef").wait_for()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """An output of one video, and what `nightreel watch` said of its page, which is up."""
    folder = tmp_path_factory.mktemp("watched")
    output = folder / "out"
    manifest = write_manifest(folder / "m.parquet", [quick_row("reef", frames=4)])
    subprocess.run([sys.executable, "-m", "tests.helpers.render_jobs", manifest, str(output)], cwd=ROOT, check=True)
    running = Commands(folder, {"PREFECT_HOME": str(folder / "prefect")}).start("watch", output, "--json")
    try:
        shows(lambda: running.out.read_text().endswith("\n"), "the page is up")
        yield output, json.loads(running.out.read_text())
    finally:
        os.kill(running.process.pid, signal.SIGINT)
        code = running.wait(30).code
        running.kill()
    assert code == 0


@pytest.mark.timeout(600)
def test_watch_shows_an_output_from_storage_alone_and_the_command_to_copy(
    watched: tuple[Path, dict[str, str]],
) -> None:
    output, said = watched
    with browser_pages("", SHOTS) as pages:
        page = pages.page
        page.set_viewport_size({"width": 390, "height": 844})
        pages.open(said["address"])
        pages.shows("open the page by the link")  # without the key
        pages.open(said["link"])
        page.locator(".video", has_text="reef").click()
        page.locator("#grid-legend", has_text="4 done").wait_for()
        assert "key=" not in page.url, "the key does not stay in the address"
        assert page.locator("#grid-legend .badge:is(.failed, .missing, .rendering)").count() == 0, "none is no news"
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("document.querySelector('#grid-film')?.readyState >= 2")  # a frame of it is shown
        film = "document.querySelector('#grid-film')"
        assert page.evaluate(f"[{film}.videoWidth, {film}.error, {film}.seekable.length]") == [32, None, 1]
        assert page.evaluate(f"{film}.duration") == pytest.approx(4 / 24, abs=0.02)
        page.locator(".cell[data-frame='1']").click()
        page.get_by_role("button", name="Re-run 1 frame (3 with those after)").wait_for()
        page.locator(".cell[data-frame='3']").click(modifiers=["Shift"])
        page.locator("#grid-seed").fill("7")
        page.get_by_role("button", name="Re-run 3 frames").click()
        page.locator(
            ".command code", has_text=f"nightreel rerun {output} --video reef --frames 1-3 --seed 7"
        ).wait_for()
        pages.shot("7 the command to copy, on a phone")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, "nothing is wider than the phone"


@pytest.mark.timeout(600)
def test_a_drag_in_a_fresh_dialog_chooses_the_frames_under_it(watched: tuple[Path, dict[str, str]]) -> None:
    """Of videos long and short, on a desk and on a phone: the cells stay where they are under the pointer."""
    with browser_pages("", SHOTS) as pages:
        page = pages.page
        pages.open(watched[1]["link"])
        for frames in (4, 24, 500):
            make_it_long(page, frames)
            for size in ((1400, 1000), (1024, 700), (390, 844)):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                page.locator(".video", has_text="reef").click()
                before = places(page)
                page.mouse.move(*before[1])
                page.mouse.down()
                page.locator("#frame h3").wait_for()  # the picture has come while the button is held
                held = places(page)
                page.mouse.move(*before[2])
                page.mouse.move(*before[3])
                page.mouse.up()
                assert page.locator("#grid-again").inner_text() == "Re-run 3 frames", (frames, size)
                assert page.locator("#grid-chosen").inner_text() == "3 frames: 1-3", (frames, size)
                assert places(page) == held == before, (frames, size)
                assert page.locator("#grid-again").is_visible()
                if frames == 24:
                    pages.shot(f"8 a drag, {size[0]} wide")
                page.get_by_role("button", name="Close", exact=True).click()


def make_it_long(page: Any, frames: int) -> None:
    """Have the page take the video for one of `frames` frames."""

    def answer(route: Any) -> None:
        response = route.fetch()
        grid = response.json()
        lacking = frames - 4
        grid |= {"frames": frames, "states": "d" * 4 + "m" * lacking, "digests": grid["digests"][:4] + [""] * lacking}
        grid |= {"missing": list(range(4, frames)), "counts": {"done": 4, "missing": lacking, "failed": 0}}
        route.fulfill(response=response, json=grid)

    page.unroute("**/api/video?*")
    page.route("**/api/video?*", answer)


def places(page: Any) -> list[tuple[float, float]]:
    """The middles of the first four cells."""
    page.locator(".cell[data-frame='3']").wait_for()
    boxes = [page.locator(f".cell[data-frame='{frame}']").bounding_box() for frame in range(4)]
    return [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes]


@pytest.mark.timeout(300)
def test_the_page_says_what_is_drawn_what_failed_and_what_was_asked_for(tmp_path: Path) -> None:
    """Of runs that are made up: an output under way, and one that nothing has begun in."""
    output = Storage(str(tmp_path / "night"))
    make_up_a_run(output)
    noted = NotedOutputs(tmp_path / "noted")
    noted.note(output)
    page_up = LivePage.listen(
        noted, Registry(), "k" * 43, begin=lambda *_: BegunRerun("frames 3-5", "http://127.0.0.1:1/runs/1")
    )
    threading.Thread(target=page_up.serve, daemon=True).start()
    with browser_pages("", SHOTS) as pages:
        page = pages.page
        pages.open(page_up.link)
        totals = page.locator("#totals > div")
        totals.filter(has_text="reef, frame 4, on actor-0").wait_for()
        texts = totals.all_inner_texts()
        assert "1 failed, 1 rendering, 1 waiting" in texts[3]
        assert ("1 video" in texts[4], "4 frames, 1 bad row" in texts[4]) == (True, True)
        assert page.locator("#failures-title").inner_text() == "1 video failed, with 4 frames; 1 bad row"
        assert page.locator("#others").is_hidden(), "there is no other output yet"
        asks_before_the_only_worker_leaves(page)
        says_why_a_video_has_no_frames(page)
        says_of_a_frame_what_becomes_of_it(page, output)
        noted.note(Storage(str(tmp_path / "other")))
        page.locator("#others").click()
        first = page.locator("#outputs > li").first
        first.locator(".badge", has_text="rendering, 27 %").wait_for()
        page.locator("#outputs > li", has_text="other").locator(".badge", has_text="no report yet").wait_for()


def make_up_a_run(output: Storage) -> None:
    """A run under way: `reef` is drawn by its only worker, `boat` waits, `lady` has no picture, a row can't be read."""
    problem = RowProblem("night.parquet", 7, "bad", "steps", "-1", "1 and more", "steps -1 is too few")
    record = RunRecord(
        run="1", began=datetime.now(UTC), name="night", manifest="night.parquet", problems=(problem,),
        videos=(RunVideo(video_id="reef", frames=9), RunVideo(video_id="boat", frames=5)),
        refused=(RefusedVideo(video_id="lady", frames=4, reason="no picture 'lady.png'"),),
    )  # fmt: skip
    put_record(output, record)
    draws(output, 4)


def draws(output: Storage, frame: int) -> None:
    """The made-up run's worker is at `frame` of `reef`."""
    later = datetime.now(UTC) + timedelta(minutes=5)  # it is heard of for as long as the test looks
    worker = WorkerState(
        worker="actor-0", state="rendering", busy=True, video_id="reef", frame=frame, step=1, steps=9, process="vm:1"
    )
    state = RunState(
        run="1", phase="starting", updated=later, frames=18, frames_done=5, videos=3, done=(5, 0), phases="rr",
        eta=60.0, failed=4, workers=(worker,),
    )  # fmt: skip
    put_state(output, state)


def asks_before_the_only_worker_leaves(page: Any) -> None:
    page.locator(".worker").get_by_role("button", name="Drain").click()
    box = page.locator(".notice", has_text="actor-0 is its run's only worker")
    box.get_by_role("button", name="Leave it").click()
    box.wait_for(state="detached")


def says_why_a_video_has_no_frames(page: Any) -> None:
    page.locator(".video", has_text="lady").click()
    page.locator("#grid-why", has_text="no picture 'lady.png'").wait_for()
    assert "nightreel render night.parquet --output" in page.locator("#grid-why code").inner_text()
    assert page.locator("#grid-legend").inner_text() == "can't be rendered as its row is written"
    assert page.locator("#grid-again").is_hidden()
    page.get_by_role("button", name="Close", exact=True).click()


def says_of_a_frame_what_becomes_of_it(page: Any, output: Storage) -> None:
    """A frame has been committed, and is looked at, before the page hears that its worker has left it."""
    grid = {
        "start": 0, "frames": 9, "states": "d" * 9, "digests": [""] * 9, "missing": [], "failed": [], "plan": True,
        "counts": {"done": 9, "missing": 0, "failed": 0},
    }  # fmt: skip
    page.route("**/api/video?*", lambda route: route.fulfill(json=grid))
    page.route("**/api/frame?*", lambda route: route.fulfill(json={"state": "d", "digest": "", "attempts": []}))
    page.locator(".video", has_text="reef").click()
    page.locator(".cell[data-frame='4']").click()
    page.locator("#frame h3", has_text="Frame 4 being drawn").wait_for()
    draws(output, 5)
    page.locator("#frame h3", has_text="Frame 4 done").wait_for(timeout=30_000)
    page.get_by_role("button", name="Close", exact=True).click()
