"""`nightreel render` from outside: the demo into S3, again, killed and continued, and a night of mixed rows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.storage.storage import Storage, disconnect
from infra.video.ffmpeg import decode
from manifests.building import build
from manifests.results import GoodRow
from manifests.schema import ManifestRow, arrow_schema, row_to_arrow
from tests.helpers.commands import Commands, command_line, descendants, running_prefect_server, wait_until_gone
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.planted import found_in_bytes, found_in_folder
from tests.helpers.render_jobs import QUICK, frame_objects, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.s3_server import S3Server, running_s3_server


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        server.create_bucket("reels")
        yield server


@pytest.fixture(scope="module")
def nightreel(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The command, with a Prefect home of its own and the keys of the S3 server."""
    return Commands(tmp_path_factory.mktemp("home"), s3_server.environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server that is there already, as the variable that leads to it; and its folder."""
    folder = tmp_path_factory.mktemp("server")
    with running_prefect_server(folder) as url:
        yield {"PREFECT_API_URL": url, "FOLDER": str(folder)}


@pytest.fixture
def web() -> Iterator[FileServer]:
    with file_server() as found:
        yield found


@pytest.fixture
def storage(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Where the demo is rendered to, for this process."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    disconnect()
    yield Storage("s3://reels/demo")
    disconnect()


def reduced_demo() -> list[ManifestRow]:
    """The demo's rows with few steps, and as few frames as keep every scene."""
    rows = []
    for result in build((ROOT / "manifests" / "demo.yaml").read_text(), "yaml"):
        assert isinstance(result, GoodRow)
        row = result.row
        frames = 1 if row.frames == 1 else max(12, row.scenes[-1].at + 6)
        given = row.model_dump(exclude_unset=True) | {"frames": frames, "steps_first": 6, "steps": 1}
        rows.append(ManifestRow.model_validate(given))
    return rows


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_manifest(tmp_path_factory.mktemp("demo") / "demo.parquet", reduced_demo())


def video_name(row: ManifestRow) -> str:
    return f"{row.video_id}/video.{'zip' if row.format == 'png' and row.frames > 1 else row.format}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decoded(storage: Storage, row: ManifestRow, folder: Path) -> list[np.ndarray]:
    path = folder / video_name(row).replace("/", "-")
    path.write_bytes(storage.read(video_name(row)))
    return list(decode(path))


@pytest.mark.minutes
@pytest.mark.timeout(600)
def test_the_demo_comes_out_of_s3_and_again_after_a_loss_and_after_a_kill(
    nightreel: Commands, server: dict[str, str], storage: Storage, demo: str, tmp_path: Path
) -> None:
    rows = reduced_demo()
    total = sum(row.frames for row in rows)
    story = next(row for row in rows if len(row.scenes) > 1)
    moving = next(row for row in rows if row.frames > 1 and len(row.scenes) == 1)
    assert any(row.frames == 1 for row in rows)

    # -- the first run renders everything
    first = nightreel("render", demo, "--output", storage.root)
    assert first.code == 0, first.err
    assert f"{total} frames rendered, 0 were there already, 0 missing; {len(rows)} of {len(rows)} videos" in first.out
    assert "Traceback" not in first.err
    for row in rows:
        pictures = decoded(storage, row, tmp_path)
        assert len(pictures) == row.frames
        assert {picture.shape for picture in pictures} == {(256, 256, 3)}  # 64 pixels, enlarged four times
        if row.frames > 1:
            assert not np.array_equal(pictures[0], pictures[-1])
        assert storage.exists(f"{row.video_id}/contact_sheet.png")
    page = storage.read("report/index.html").decode()
    assert [row.video_id for row in rows if f"../{video_name(row)}" not in page] == []
    frames, videos = frame_objects(storage), {row.video_id: storage.read(video_name(row)) for row in rows}
    assert len(frames) == total

    # -- the second does nothing and says so, without a cluster and without a server
    began = time.monotonic()
    second = nightreel("render", demo, "--output", storage.root)
    assert (second.code, second.out) == (
        0, f"nothing to do: all {total} frames of {len(rows)} videos are in '{storage.root}' already\n",
    )  # fmt: skip
    assert time.monotonic() - began < 30
    assert frame_objects(storage) == frames

    # -- three frames are lost: `status` tells which, those three are rendered, and the very same videos come out
    lost = [frame_key(frames, moving, 4), frame_key(frames, moving, 5), frame_key(frames, story, story.frames - 3)]
    for key in lost:
        storage.delete(key)
    status = nightreel("status", storage.root, "--json")
    assert (status.code, status.err) == (1, "")
    states = {video["video_id"]: (video["state"], video["missing"]) for video in status.json["videos"]}
    assert states == {row.video_id: ("done", "") for row in rows} | {
        moving.video_id: ("missing", "4-5"), story.video_id: ("missing", str(story.frames - 3)),
    }  # fmt: skip

    third = nightreel("render", demo, "--output", storage.root, "--json", **server)
    assert third.code == 0, third.err
    counts = {key: third.json[key] for key in ("frames", "rendered", "missing", "complete")}
    assert counts == {"frames": total, "rendered": 3, "missing": 0, "complete": True}
    assert frame_objects(storage) == frames
    assert {name: sha256(storage.read(f"{name}/video.{suffix(videos, rows, name)}")) for name in videos} == {
        name: sha256(data) for name, data in videos.items()
    }
    status = nightreel("status", storage.root, "--json")
    assert (status.code, status.json["counts"]) == (0, {"done": len(rows)})

    assert (f"render {Path(demo).name} to {'/'.join(storage.root.split('/')[-2:])}", "Completed") in flow_runs(
        server
    )  # on the server that it was told to use

    # -- the same into a folder, all processes killed in mid-render and the command given again
    output = tmp_path / "out"
    running = nightreel.start("render", demo, "--output", output)
    deadline = time.monotonic() + 150
    while len(list(output.glob("*/frames/*.png"))) < total // 4:
        assert running.process.poll() is None, running.err.read_text()
        assert time.monotonic() < deadline, running.err.read_text()
        time.sleep(0.02)
    family = descendants(running.process.pid)
    assert len(family) >= 4, "the server, Ray and its actors"
    servers = [line for line in map(command_line, family) if "own_server" in line or "prefect.server" in line]
    assert len(servers) == 1, servers  # none that Prefect starts by itself in a thread that knows of no server
    running.kill()
    assert wait_until_gone(family, 60) == []
    committed = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in output.glob("*/frames/*.png")}
    assert total // 4 <= len(committed) < total
    assert not any((output / video_name(row)).exists() for row in rows if row is story)

    fourth = nightreel("render", demo, "--output", output, "--json", **server)
    assert fourth.code == 0, fourth.err
    assert fourth.json["rendered"] == total - len(committed)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in committed} == committed
    assert frame_objects(str(output)) == frames  # byte for byte those of the undisturbed run into S3
    assert {row.video_id: (output / video_name(row)).read_bytes() for row in rows} == videos


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_stops_everything_within_seconds_and_says_what_stays(
    nightreel: Commands, demo: str, tmp_path: Path
) -> None:
    running = nightreel.start("render", demo, "--output", tmp_path)
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("*/frames/*.png"))) < 3:
        assert running.process.poll() is None, running.err.read_text()
        assert time.monotonic() < deadline, running.err.read_text()
        time.sleep(0.05)
    family = descendants(running.process.pid)

    os.killpg(running.process.pid, signal.SIGINT)  # what a terminal does: to all of the group, not to one process

    ended = running.wait(30)
    assert ended.code == 130
    assert "stopped; what was committed stays" in ended.err
    assert "Traceback" not in ended.err
    assert wait_until_gone(family, 10) == []


def flow_runs(server: dict[str, str]) -> list[tuple[str, str]]:
    """Name and state of all flow runs that a Prefect server knows."""
    request = urllib.request.Request(
        f"{server['PREFECT_API_URL']}/flow_runs/filter", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [(run["name"], run["state_name"]) for run in json.load(answer)]


def frame_key(frames: dict[str, bytes], row: ManifestRow, index: int) -> str:
    (key,) = (key for key in frames if key.startswith(f"{row.video_id}/frames/{index:06d}-"))
    return key


def suffix(videos: dict[str, bytes], rows: list[ManifestRow], name: str) -> str:
    (row,) = (row for row in rows if row.video_id == name)
    return video_name(row).rpartition(".")[2]


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder of Ray's own, with a name short enough for its sockets."""
    with tempfile.TemporaryDirectory(prefix="nr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


PLANTED = ("Pl4ntedSig", "Pl4ntedPass", "Pl4ntedT0ken")


def mixed_rows(picture: Path, presigned: str) -> list[dict[str, Any]]:
    """Seventeen good rows, of which no two are of a kind; `presigned` is an address of the picture with a secret."""
    moving = {**QUICK, "steps": 1, "frames": 5}
    still = {key: value for key, value in moving.items() if key != "frames"}
    rows: list[dict[str, Any]] = [
        {**still, "prompt": "a red apple"},
        {**still, "prompt": "a full moon", "upscale": 3, "seed": 2**62},
        {**still, "prompt": "a rose", "format": "mp4"},
        {**still, "prompt": "a snail", "width": 48, "height": 32},
        {**still, "prompt": "a fish | a red fish:0.5 | white:-0.3:-0.9"},
        {**still, "prompt": "Ein Fuchs, \u72d0, \U0001f98a <b>&amp;</b> [x](y)", "init": "noise", "loss": {"tv": 0.5}},
        {**still, "prompt": "a house", "init_image": presigned},
        {**still, "prompt": "a house", "image_prompts": [{"image": str(picture), "weight": 0.5}]},
        {**still, "prompt": "a star", "noise_prompts": [{"seed": 3, "weight": -0.2}], "init": "tokens"},
        {**moving, "prompt": "a boat"},
        {**moving, "prompt": "a boat", "zoom": "0:(1.02), 4:(1+0.01*sin(t))", "angle": "2*t", "fps": 12.5},
        {**moving, "prompt": "a cloud", "translate_x": "3", "translate_y": "-0.5", "priority": 5},
        {**moving, "prompt": "a sun", "format": "webm", "frames": 6},
        {**moving, "prompt": "a tree", "format": "gif", "zoom": "1.05"},
        {**moving, "prompt": "a clock", "format": "png"},
        {**moving, "prompt": "0: the sun | 3: a full moon | blue:0.3", "frames": 8, "crossfade": 3},
        {
            **moving, "frames": 7, "width": 40, "height": 64, "init_image": str(picture), "zoom": "0.98",
            "prompts": [{"at": 4, "prompts": [{"text": "a dog"}]}, {"prompts": [{"text": "a cat", "weight": 2}]}],
        },
    ]  # fmt: skip
    assert len(rows) == 17
    return [{"video_id": f"row-{number:02d}", **row} for number, row in enumerate(rows)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_night_of_twenty_mixed_rows_delivers_the_good_ones_and_names_the_others(
    nightreel: Commands, server: dict[str, str], web: FileServer, ray_folder: Path, tmp_path: Path
) -> None:
    """And no secret that its addresses hold is found in anything that it leaves or says."""
    picture = tmp_path / "house.jpg"
    Image.effect_noise((90, 50), 60).convert("RGB").save(picture)
    web.files["/house.jpg?sv=1&sig=Pl4ntedSig"] = picture.read_bytes()
    good = [ManifestRow.model_validate(row) for row in mixed_rows(picture, f"{web.url}/house.jpg?sv=1&sig=Pl4ntedSig")]
    gone = f"http://me:Pl4ntedPass@{web.url.removeprefix('http://')}/gone/no.png?token=Pl4ntedT0ken"
    ghost = ManifestRow.model_validate({**QUICK, "video_id": "ghost", "prompt": "g", "init_image": gone})
    table = [row_to_arrow(row) for row in (*good, ghost)]
    table.insert(3, {**row_to_arrow(good[0]), "video_id": "no-frames", "frames": 0})
    table.insert(9, {**row_to_arrow(good[0]), "video_id": "broken-camera", "zoom": "0:(1.02), 5:(sin(t"})
    manifest, output = tmp_path / "night.parquet", tmp_path / "out"
    pq.write_table(pa.Table.from_pylist(table, schema=arrow_schema()), manifest)

    private = {"NIGHTREEL_READ_PRIVATE_HOSTS": "127.0.0.1", "RAY_TMPDIR": str(ray_folder)}
    ended = nightreel("render", manifest, "--output", output, "--json", **server, **private)

    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    for words in (
        ["frames is 0", "row 4", "'no-frames'", "night.parquet"], ["zoom", "sin(t", "row 10", "'broken-camera'"],
        ["init_image", "gone/no.png", "'ghost'"],
    ):  # fmt: skip
        assert any(all(word in line for word in words) for line in ended.err.splitlines()), (words, ended.err)
    assert (f"render night.parquet to {tmp_path.name}/out", "FramesMissing") in flow_runs(server)
    states = {video["video_id"]: video["state"] for video in ended.json["videos"]}
    assert states == {row.video_id: "done" for row in good} | {"ghost": "failed"}
    assert len(ended.json["problems"]) == 2
    assert (ended.json["missing"], ended.json["rendered"]) == (1, sum(row.frames for row in good))

    for row in good:
        path = output / video_name(row)
        size = (row.width * row.upscale, row.height * row.upscale)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as pictures:
                shapes = [Image.open(io.BytesIO(pictures.read(name))).size for name in sorted(pictures.namelist())]
        elif path.suffix == ".png":
            shapes = [Image.open(io.BytesIO(path.read_bytes())).size]
        else:
            shapes = [(picture.shape[1], picture.shape[0]) for picture in decode(path)]
        assert shapes == [size] * row.frames, row.video_id

    page = (output / "report" / "index.html").read_text()
    assert [row.video_id for row in good if f"../{video_name(row)}" not in page] == []
    assert [word for word in ("ghost", "no-frames", "broken-camera", "gone/no.png") if word not in page] == []
    assert "<b>&amp;" not in page
    status = nightreel("status", output, "--json")
    assert (status.code, status.json["counts"]) == (1, {"done": 17, "failed": 1})
    (failed,) = (video for video in status.json["videos"] if video["state"] == "failed")
    assert "gone/no.png" in failed["reason"]

    assert found_in_bytes(manifest.read_bytes(), PLANTED), "the search finds them where they are"
    assert list(ray_folder.rglob("worker-*")), "Ray's logs are there"
    # output; what the commands said, and Prefect's files of theirs; the server's database and log; Ray's logs
    for folder in (output, nightreel.folder, Path(server["FOLDER"]), ray_folder):
        assert found_in_folder(folder, PLANTED) == [], folder
