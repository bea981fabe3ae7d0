"""Pictures on web servers that do not answer: tried again, and no fault of the row."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from flows.job.storage_state import list_video, read_failures
from infra.ports import free_port
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from tests.helpers.file_server import file_server
from tests.helpers.render_jobs import quick_row, render, write_manifest

LOCAL = InfraSettings(read_private_hosts=("127.0.0.1",))


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (50, 40), "teal").save(made, "PNG")
    return made.getvalue()


def test_a_picture_whose_server_is_down_is_not_bad_input_and_the_others_are_rendered(tmp_path: Path) -> None:
    with file_server() as server:
        server.files["/start.png"] = picture()
        rows = [
            quick_row("away", init_image=f"http://127.0.0.1:{free_port()}/start.png"),
            quick_row("gone", init_image=f"{server.url}/nothing.png"),
            quick_row("start", init_image=f"{server.url}/start.png"),
        ]
        job = render(write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"), settings=LOCAL)
    job.record_refused()
    reasons = {row.video_id: reason for row, reason in job.refused}
    assert reasons.keys() == {"away", "gone"}
    assert reasons["gone"].startswith(f"init_image '{server.url}/nothing.png' of video 'gone' does not exist")
    assert reasons["gone"].endswith(f" (row 2, {tmp_path}/m.parquet)")
    assert "init_image 'http://127.0.0.1:" in reasons["away"]
    assert "of video 'away' can't be read: cannot reach" in reasons["away"]
    assert job.runs["start"].done
    storage = Storage(str(tmp_path / "out"))
    kinds = {name: [it.kind for it in read_failures(storage, list_video(storage, name), name)] for name in reasons}
    assert kinds == {"away": ["infrastructure"], "gone": ["bad input"]}


def test_a_web_server_that_is_busy_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with file_server() as server:
        server.files["/start.png"] = picture()
        server.statuses += [503, 429, 500]
        row = quick_row("start", init_image=f"{server.url}/start.png")
        job = render(write_manifest(tmp_path / "m.parquet", [row]), str(tmp_path / "out"), settings=LOCAL)
    assert job.complete
    assert [path for path, _ in server.requests].count("/start.png") >= 4
