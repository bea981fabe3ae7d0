"""A job whose rows name pictures by addresses with secrets: they are rendered, and rendered again, and no secret is
found in what lies in the output, what is logged or printed."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from flows.cli import run
from flows.job.report_data import publish_report
from flows.job.run_documents import RunIdentity, documenting
from flows.job.storage_state import list_video, read_plan
from flows.report.markdown import summary_markdown
from flows.watch.access import Access
from flows.watch.app import make_app
from flows.watch.outputs import OneOutput, name_of
from infra.masked_logs import mask_logs
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from manifests.masking import content_mark
from renderers.registry import Registry
from tests.helpers.file_server import file_server
from tests.helpers.music import samples_of, tone, write_wav
from tests.helpers.planted import found_in_bytes, found_in_folder
from tests.helpers.render_jobs import gather_report, quick_row, render, rerun, write_manifest

LOCAL = InfraSettings(read_private_hosts=("127.0.0.1",))
PLANTED = ("Pl4ntedSig", "Pl4ntedPass", "Pl4ntedT0ken", "Pl4ntedFragment", "Pl4ntedAway", "Pl4ntedModel")


def picture(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(made, "PNG")
    return made.getvalue()


@dataclass
class Night:
    """A job that has ended, where its output lies, and the query without which its server gives nothing."""

    manifest: str
    output: Path
    server: Any
    logged: str


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("secrets")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root, level, factory = logging.getLogger(), logging.getLogger().level, logging.getLogRecordFactory()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    mask_logs()
    try:
        with file_server() as server:
            host = server.url.removeprefix("http://")
            server.files["/a.png?sv=1&sig=Pl4ntedSig"] = picture("teal")
            server.files["/a.png?token=Pl4ntedT0ken"] = picture("red")  # the same path, another content
            server.files["/b.png"] = picture("blue")
            server.files["/song.wav?sig=Pl4ntedSig"] = write_wav(folder / "song.wav", tone(300, 1.0)).read_bytes()
            server.files["/c.png?X-Goog-Signature=Pl4ntedSig"] = b"no picture"
            rows = [
                quick_row("start", frames=3, init_image=f"http://{host}/a.png?sv=1&sig=Pl4ntedSig#Pl4ntedFragment"),
                quick_row(
                    "goal",
                    image_prompts=[
                        {"image": f"http://{host}/a.png?sv=1&sig=Pl4ntedSig"},
                        {"image": f"http://{host}/a.png?token=Pl4ntedT0ken"},
                        {"image": f"http://me:Pl4ntedPass@{host}/b.png"},
                    ],
                ),
                quick_row(
                    "scenes",
                    prompt=None,
                    frames=2,
                    prompts=[
                        {"images": [{"image": f"http://me:Pl4ntedPass@{host}/b.png"}]},
                        {"at": 1, "images": [{"image": f"http://{host}/a.png?token=Pl4ntedT0ken", "aligned": True}]},
                    ],
                ),
                quick_row("sung", frames=3, zoom="1+.1*loud", audio=f"http://{host}/song.wav?sig=Pl4ntedSig"),
                quick_row("gone", init_image=f"http://{host}/gone.png?X-Amz-Signature=Pl4ntedAway"),
                quick_row("wrong", init_image=f"http://{host}/c.png?X-Goog-Signature=Pl4ntedSig"),
                quick_row("column", model=f"http://me:Pl4ntedModel@{host}/vqgan.ckpt?token=Pl4ntedModel"),
            ]
            manifest = write_manifest(folder / "m.parquet", rows)
            output = folder / "out"
            job = render(manifest, str(output), settings=LOCAL)
            job.record_refused()
            with documenting(job, RunIdentity("render-manifest", f"render {rows[0].init_image}")) as documents:
                documents.end("Incomplete", f"after {rows[0].init_image}")
            gathered = gather_report(job, actors=1)
            publish_report(job.output, gathered)
            (output / "report" / "summary.md").write_text(summary_markdown(gathered.report))
            logging.getLogger("aiohttp").error("can't fetch %s", rows[0].init_image)
            try:
                raise ValueError(f"no answer from {rows[0].init_image}")
            except ValueError:
                logging.getLogger("anybody").exception("it failed")
            yield Night(manifest, output, server, stream.getvalue())
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        logging.setLogRecordFactory(factory)


def test_the_good_rows_are_rendered_and_the_others_name_their_place(night: Night) -> None:
    published = {path.parent.name for path in night.output.glob("*/provenance.json")}
    assert published == {"start", "goal", "scenes", "sung"}
    failures = [json.loads(path.read_text()) for path in night.output.glob("gone/failures/*.json")]
    assert "/gone.png?...' of video 'gone' does not exist" in failures[0]["message"]


def test_nothing_in_the_output_holds_a_secret(night: Night) -> None:
    assert found_in_folder(Path(night.manifest).parent, PLANTED), "the manifest holds them: the search finds them"
    assert found_in_folder(night.output, PLANTED) == []
    assert len(list(night.output.rglob("*.png"))) > 6
    plan = json.loads(next(night.output.glob("goal/plans/*.json")).read_text())
    marks = [prompt["image"] for prompt in plan["row"]["image_prompts"]]
    assert len(set(marks)) == 3, "the same path with another query is another picture"
    assert all(content_mark(mark) and plan["images"][mark] for mark in marks)


def test_nothing_logged_holds_a_secret(night: Night) -> None:
    assert found_in_bytes(night.logged.encode(), PLANTED) == []
    assert "can't fetch http://127.0.0.1:" in night.logged
    assert "ValueError: no answer from http://127.0.0.1:" in night.logged


@pytest.mark.parametrize(
    "command",
    [
        ["status", "{output}", "--all"],
        ["status", "{output}", "--json"],
        ["manifest", "show", "{manifest}"],
        ["manifest", "show", "{manifest}", "--json"],
        ["manifest", "validate", "{manifest}"],
        ["plan", "{manifest}", "--output", "{output}"],
        ["plan", "{manifest}", "--output", "{output}", "--json"],
        ["plan", "http://me:Pl4ntedPass@127.0.0.1:9/m.parquet?sig=Pl4ntedSig", "--output", "{output}", "--debug"],
        ["render", "https://me:Pl4ntedPass@host/m.parquet", "--output", "{output}"],
        ["render", "{manifest}", "--output", "s3://key:Pl4ntedPass@bucket/x"],
        ["render", "{manifest}", "--output", "s3://bucket/x?X-Amz-Signature=Pl4ntedSig"],
        ["rerun", "s3://key:Pl4ntedPass@bucket/x", "--video", "a"],
        ["up", "--nightly", "https://host/{{date}}.parquet?sig=Pl4ntedSig", "--output", "out"],
        ["preview", "x", "-o", "{output}/x.png", "--init-image", "https://127.0.0.1:9/x.png?sig=Pl4ntedSig"],
        ["preview", "x", "-o", "{output}/x.png", "--seed", "https://127.0.0.1:9/x.png?sig=Pl4ntedSig"],
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_nothing_printed_holds_a_secret(night: Night, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run([it.format(output=night.output, manifest=night.manifest) for it in command])
    out, err = capsys.readouterr()
    assert found_in_bytes((out + err).encode(), PLANTED) == []
    assert out + err
    if any("Pl4nted" in it for it in command):
        assert code in (2, 3)
    if command[0] in ("render", "rerun", "up"):
        assert "set credentials in the environment" in err


def test_nothing_that_the_live_page_shows_holds_a_secret(night: Night) -> None:
    output = Storage(str(night.output))
    app = make_app(OneOutput(output), Access("k" * 43), Registry(), time.monotonic, None)
    with TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {'k' * 43}"}) as page:
        asked: list[tuple[str, dict[str, object]]] = [("view", {}), ("outputs", {})]
        for video in ("start", "goal", "scenes", "gone", "wrong"):
            asked += [("video", {"video": video}), ("frame", {"video": video, "frame": 0})]
        said = [page.get(f"/live/api/{path}", params={"o": name_of(output.root), **more}) for path, more in asked]
    assert {answer.status_code for answer in said} <= {200, 404}
    shown = b"".join(answer.content for answer in said)
    assert found_in_bytes(shown, PLANTED) == []
    assert b"gone.png" in shown, "the search looked at what names the picture"


def test_frames_are_rendered_again_from_the_output_alone(night: Night) -> None:
    """Days later the addresses have expired, and no document has them."""
    before = {path.name: path.read_bytes() for path in night.output.glob("start/frames/*.png")}
    asked = len(night.server.requests)
    job = rerun(str(night.output), "start", "0", after="keep", seed=7)
    assert job.complete
    assert len(night.server.requests) == asked, "the picture comes from its copy"
    again = {path.name for path in night.output.glob("start/frames/*.png")} - before.keys()
    assert len(again) == 1
    assert found_in_folder(night.output, PLANTED) == []


def test_without_the_copy_the_error_says_what_to_put_where(night: Night) -> None:
    storage = Storage(str(night.output))
    stored = read_plan(storage, list_video(storage, "goal"), "goal", Registry())
    assert stored is not None
    for path in night.output.glob("goal/pictures/*"):
        path.unlink()
    job = rerun(str(night.output), "goal", "0", seed=9)
    assert not job.complete
    (failure,) = job.runs["goal"].failures
    assert "put the picture's file, as it was, at" in failure.message
    assert f"{night.output}/goal/pictures/" in failure.message


def test_the_mark_of_a_document_is_no_address(tmp_path: Path) -> None:
    mark = "https://host.example/a.png?...#sha256=0123456789abcdef"
    job = render(write_manifest(tmp_path / "m.parquet", [quick_row("a", init_image=mark)]), str(tmp_path / "out"))
    ((_, reason),) = job.refused
    assert "give the address itself" in reason


def test_a_sound_whose_address_held_a_secret_is_stitched_again_from_its_copy(night: Night) -> None:
    night.server.files.pop("/song.wav?sig=Pl4ntedSig", None)
    (video,) = (night.output / "sung").glob("video.*")
    video.unlink()
    assert rerun(str(night.output), "sung", "2", "keep", seed=4).complete
    assert np.abs(samples_of(video)).max() > 0.1
    assert found_in_folder(night.output / "sung", PLANTED) == []
