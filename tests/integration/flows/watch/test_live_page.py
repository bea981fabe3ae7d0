"""The live page's API on a real output: a job that has rendered, and failed, on a `LocalPool`."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from flows.job.run_documents import RunIdentity, documenting
from flows.planning.retakes import After
from flows.runs.record import RunRecord, RunState, RunVideo
from flows.runs.stored import put_record, put_state, read_requests
from flows.watch.asking import BegunRerun
from flows.watch.outputs import name_of
from flows.watch.reading import OutputReader
from infra.storage.layout import run_state_key
from infra.storage.storage import Storage
from manifests.errors import NightreelError
from renderers.registry import Registry
from tests.helpers.live_client import KEY, OURS, client_of
from tests.helpers.render_jobs import frame_files, planned, quick_row, render, write_manifest


def asked(output: Storage, path: str, client: TestClient, **query: Any) -> Any:
    answer = client.get(f"/live/api/{path}", params={"o": name_of(output.root), **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- looking -----------------------------------------------------------------------------------------------------------


def test_the_view_shows_what_failed_and_why(output: Storage, page: TestClient) -> None:
    view = asked(output, "view", page)
    assert [(row["video"], row["state"], row["done"], row["frames"]) for row in view["rows"]] == [
        ("poisoned", "failed", 3, 6), ("reef", "done", 4, 4),
    ]  # fmt: skip
    (group,) = view["failures"]
    assert (group["video"], group["frames"], group["again"]) == ("poisoned", "3", False)
    (item,) = group["items"]
    assert item["message"] == "no camera at frame 3: <img src=x onerror=alert(1)>\ufffd"
    assert (item["kind"], item["final"], item["attempts"]) == ("application", True, 3)
    (run,) = view["runs"]
    assert (run["phase"], run["result"], run["name"], run["link"]) == ("ended", "FramesMissing", "<b>night</b>", "")
    assert {it["video"] for it in view["latest"]} == {"reef", "poisoned"}


def test_a_view_that_has_not_changed_is_not_sent_again(output: Storage, page: TestClient) -> None:
    query = {"o": name_of(output.root)}
    first = page.get("/live/api/view", params=query)
    again = page.get("/live/api/view", params=query, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = page.get(
        "/live/api/view", params={**query, "text": "reef"}, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert other.status_code == 200


def test_many_browsers_cost_storage_one_look(output: Storage) -> None:
    reads: list[str] = []

    class Counting(Storage):
        def list(self, prefix: str = "", *, ours: bool = False) -> Any:
            reads.append(f"list {prefix}")
            return super().list(prefix, ours=ours)

        def read(self, key: str, *, most: int | None = None) -> bytes:
            reads.append(key)
            return super().read(key, most=most)

    clock = [100.0]
    reader = OutputReader(Counting(output.root), Registry(), lambda: clock[0])
    for _ in range(50):
        assert len(reader.snapshot().runs) == 1
    assert len(reads) == 4, reads  # one listing, three documents: that of the report says what is to be reviewed
    clock[0] += 10
    reader.snapshot()
    assert reads[4:] == ["list report/runs"], "a run that has ended is not read again"


def test_a_run_under_way_is_read_again_and_a_new_one_is_found(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    storage, clock = Storage(str(tmp_path / "out")), [0.0]
    reader = OutputReader(storage, Registry(), lambda: clock[0])
    assert reader.snapshot().runs == ()
    now = datetime.now(UTC)
    put_record(storage, RunRecord(schema=1, run="r1", began=now, videos=(RunVideo(video_id="reef", frames=2),)))
    for done in (0, 1, 2):
        put_state(storage, RunState(schema=1, run="r1", updated=now, phase="rendering", done=(done,), phases="r"))
        clock[0] += 10
        (run,) = reader.snapshot().runs
        assert run.state is not None
        assert run.state.done == (done,)
    storage.put(run_state_key("r1"), b"{", existing="replace")  # damaged: what was known stays
    clock[0] += 10
    (run,) = reader.snapshot().runs
    assert run.state is not None


def test_videos_of_earlier_releases_are_found_in_their_folders(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("apple")])
    render(manifest, str(tmp_path / "out"))  # this way of running leaves no documents
    clock = [0.0]
    reader = OutputReader(Storage(str(tmp_path / "out")), Registry(), lambda: clock[0])
    deadline = time.monotonic() + 60
    while not (others := reader.snapshot().others):
        assert time.monotonic() < deadline
        clock[0] += 3
        time.sleep(0.05)
    assert [(it.video_id, it.state, it.frames) for it in others] == [("apple", "done", 1)]


def test_the_grid_of_a_video_says_what_each_frame_is(output: Storage, page: TestClient) -> None:
    grid = asked(output, "video", page, video="poisoned")
    assert (grid["states"], grid["frames"], grid["failed"], grid["missing"]) == ("dddfmm", 6, [3], [4, 5])
    assert asked(output, "video", page, video="poisoned", start=2, count=2)["states"] == "df"
    reef = asked(output, "video", page, video="reef")
    assert (reef["states"], reef["prompt"]) == ("dddd", "<script>alert(1)</script>")
    assert reef["published"].endswith("/reef/video.mp4")
    missing = page.get("/live/api/video", params={"o": name_of(output.root), "video": "nobody"})
    assert missing.status_code == 404


def test_a_frame_shows_its_attempts_or_its_provenance_and_picture(output: Storage, page: TestClient) -> None:
    failed = asked(output, "frame", page, video="poisoned", frame=3)
    assert [it["attempt"] for it in failed["attempts"]] == [1, 2, 3]
    assert (failed["state"], failed["provenance"]) == ("f", "")
    done = asked(output, "frame", page, video="reef", frame=1)
    assert json.loads(done["provenance"])["digest"].startswith(done["digest"])
    where = {"o": name_of(output.root), "video": "reef", "frame": 1, "digest": done["digest"]}
    small = page.get("/live/api/thumbnail", params=where)
    assert small.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    whole = page.get("/live/api/picture", params=where)
    assert whole.content == frame_files(output.root, "reef")[1].read_bytes()
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert page.get("/live/api/frame", params={**where, "frame": 99}).status_code == 404


def test_a_damaged_frame_is_said_to_be_one(tmp_path: Path) -> None:
    render(write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), str(tmp_path / "out"))
    output = Storage(str(tmp_path / "out"))
    (path,) = frame_files(output.root, "apple")
    path.write_bytes(path.read_bytes()[:300])
    with client_of(output) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        details = asked(output, "frame", client, video="apple", frame=0)
        assert "can't be read" in details["damaged"]
        where = {"o": name_of(output.root), "video": "apple", "frame": 0, "digest": details["digest"]}
        assert client.get("/live/api/thumbnail", params=where).status_code == 404


# -- asking ------------------------------------------------------------------------------------------------------------


def test_without_a_server_a_re_run_is_a_command_to_copy(output: Storage, page: TestClient) -> None:
    body = {"output": name_of(output.root), "video": "poisoned", "frames": "3-5", "after": "keep", "seed": 7}
    answer = page.post("/live/api/rerun", json=body, headers=OURS)
    assert answer.json() == {
        "command": f"nightreel rerun {output.root} --video poisoned --frames 3-5 --after keep --seed 7"
    }


def test_with_a_server_a_re_run_is_begun_and_linked(output: Storage) -> None:
    begun: list[tuple[Any, ...]] = []

    def begin(where: str, video: str, frames: str, after: After, seed: int | None) -> BegunRerun:
        begun.append((where, video, frames, after, seed))
        if video == "poisoned":
            raise NightreelError("the server is away")
        return BegunRerun("brave-lynx", "http://127.0.0.1:4200/runs/flow-run/1")

    with client_of(output, begin) as client:
        client.headers.update({"Authorization": f"Bearer {KEY}", **OURS})
        body = {"output": name_of(output.root), "video": "reef", "frames": "1,3"}
        answer = client.post("/live/api/rerun", json=body).json()
        assert (answer["name"], answer["link"]) == ("brave-lynx", "http://127.0.0.1:4200/runs/flow-run/1")
        failed = client.post("/live/api/rerun", json={**body, "video": "poisoned"}).json()
        assert (failed["error"], failed["command"][:16]) == ("the server is away", "nightreel rerun ")
    assert begun[0] == (output.root, "reef", "1,3", "re-render", None)


@pytest.mark.parametrize(
    "change",
    [
        {"video": "../reef"}, {"video": "-x"}, {"video": "a/b"}, {"video": "reef; rm"}, {"frames": "3 to 5"},
        {"frames": "$(id)"}, {"after": "whatever"}, {"seed": -1}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_no_re_run_is_refused(output: Storage, page: TestClient, change: dict[str, Any]) -> None:
    body = {"output": name_of(output.root), "video": "reef", "frames": "1", **change}
    assert page.post("/live/api/rerun", json=body, headers=OURS).status_code == 422


def test_what_is_asked_of_a_run_lies_where_it_looks_and_a_dead_run_is_asked_for_nothing(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    storage = Storage(str(tmp_path / "out"))
    now = datetime.now(UTC)
    for name, phase in (("living", "rendering"), ("dead", "ended")):
        put_record(storage, RunRecord(schema=1, run=name, began=now))
        put_state(storage, RunState(schema=1, run=name, updated=now, phase=phase))
    with client_of(storage) as client:
        client.headers.update({"Authorization": f"Bearer {KEY}", **OURS})

        def ask(**body: Any) -> int:
            return client.post("/live/api/ask", json={"output": name_of(storage.root), **body}).status_code

        assert ask(run="living", kind="drain", worker="actor-0") == 200
        assert ask(run="living", kind="priority", priority=40) == 200
        assert ask(run="dead", kind="drain", worker="actor-0") == 409
        assert ask(run="unknown", kind="drain", worker="actor-0") == 409
        for wrong in ({"kind": "drain"}, {"kind": "priority"}, {"kind": "explode", "worker": "a"}):
            assert ask(run="living", **wrong) == 422
        assert ask(run="../living", kind="drain", worker="a") == 422
    found = [request for _, request in read_requests(storage, "living")]
    assert [(it.kind, it.worker, it.priority) for it in found if it] == [
        ("drain", "actor-0", None),
        ("priority", "", 40),
    ]


def test_storage_that_fails_is_an_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.storage.storage import StorageUnavailable

    storage = Storage(str(tmp_path / "out"))

    def away(self: Storage, prefix: str = "", *, ours: bool = False) -> Any:
        raise StorageUnavailable("the bucket is away", "wait")

    monkeypatch.setattr(Storage, "list", away)
    with client_of(storage) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        answer = client.get("/live/api/view", params={"o": name_of(storage.root)})
        assert (answer.status_code, "the bucket is away" in answer.json()["error"]) == (503, True)


def test_a_re_run_is_counted_before_it_is_asked_for(output: Storage, page: TestClient) -> None:
    body = {"output": name_of(output.root), "video": "reef", "frames": "1"}
    answer = page.post("/live/api/again", json=body, headers=OURS)
    assert (answer.json()["again"], answer.json()["frames"], answer.json()["branches"]) == (3, "1-3", {})
    beyond = page.post("/live/api/again", json={**body, "frames": "9"}, headers=OURS).json()
    assert beyond["again"] is None
    assert "beyond" in beyond["problem"]


def test_the_dialog_of_a_video_that_could_not_be_planned_says_why_and_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "lady.png"
    manifest = write_manifest(tmp_path / "my m.parquet", [quick_row("lady", init_image=str(missing))])
    job = planned(manifest, str(tmp_path / "out"))
    with documenting(job, RunIdentity("render-manifest", "render m", "", 1, "http://ui/runs/1")) as documents:
        documents.end("FramesMissing", "1/1 frames missing")
    with client_of(job.output) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        video = asked(job.output, "video", client, video="lady")
        assert (video["frames"], video["counts"]["missing"]) == (0, 0)
        assert "does not exist" in video["refused"]["reason"]
        assert video["refused"]["command"] == f"nightreel render '{manifest}' --output {job.output.root}"
        assert video["refused"]["link"] == "http://ui/runs/1"
        view = asked(job.output, "view", client)
        assert view["failed"] == {"videos": 1, "frames": 1, "bad_rows": 0}
        assert view["failures"][0]["refused"] == video["refused"]
        assert client.get("/live/api/video", params={"o": name_of(job.output.root), "video": "x"}).status_code == 404
