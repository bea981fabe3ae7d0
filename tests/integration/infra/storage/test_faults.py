"""Storage on a real S3 server behind a proxy that makes faults: only what is for good reaches the caller."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from flows.job.storage_state import list_video, read_failures
from infra.settings import InfraSettings
from infra.storage.storage import RetryPolicy, Storage, StorageBusy, StorageUnavailable, manifest_files, read_uri
from tests.helpers.fault_proxy import Fault, FaultPlan, FaultProxy
from tests.helpers.render_jobs import frame_objects, quick_row, render, write_manifest
from tests.helpers.s3_server import S3Server
from tests.integration.conftest import BUCKET, use_environment

ALL = get_args(Fault)
QUICK = RetryPolicy(first_pause=0.01, longest_pause=0.01)


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy without faults as yet, to which the environment leads."""
    with FaultProxy(s3_server.url) as proxy:
        use_environment(monkeypatch, {**s3_server.environment, "AWS_ENDPOINT_URL": proxy.url})
        yield proxy


@pytest.fixture
def storage(proxy: FaultProxy) -> Storage:
    return Storage(f"s3://{BUCKET}/{uuid.uuid4().hex}", retry_policy=QUICK)


@dataclass(frozen=True)
class EveryFirstTime(FaultPlan):
    """Every request suffers `only` when it is made for the first time, and never again."""

    only: Fault = "resets"

    def fault(self, method: str, path: str, time: int) -> Fault | None:
        return self.only if time == 0 else None


# ---- what passes


def test_a_tenth_of_all_requests_fails_and_nobody_notices(proxy: FaultProxy) -> None:
    """The names are the same in each run, so the faults are, too."""
    storage = Storage(f"s3://{BUCKET}/faults/tenth")
    proxy.plan = FaultPlan.all_ways(seed=4, share=0.1)
    data = {f"reef/frames/{number:06d}": number.to_bytes(2, "big") * (1 + 37 * number) for number in range(300)}

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda key: storage.put(key, data[key]), data))
        read = list(threads.map(storage.read, data))
        there = list(threads.map(storage.exists, data))

    assert read == list(data.values())
    assert all(there)
    assert {info.key: info.size for info in storage.list()} == {key: len(value) for key, value in data.items()}
    assert set(outcomes) == {"written", "kept"}, "a put whose answer was lost finds its own object there"
    assert outcomes.count("kept") <= proxy.counts["lost_answers"] + proxy.counts["truncations"]
    assert {name: proxy.counts[name] > 0 for name in ALL} == dict.fromkeys(ALL, True)


USES: dict[str, tuple[Callable[[Storage], object], object]] = {
    "read": (lambda s: s.read("a"), b"first" * 1000),
    "read_uri": (lambda s: read_uri(s.uri("a")), b"first" * 1000),
    "manifest": (lambda s: manifest_files(s.uri("a"))[0].open().read(), b"first" * 1000),
    "exists": (lambda s: (s.exists("a"), s.exists("b")), (True, False)),
    "list": (lambda s: [info.key for info in s.list()], ["a"]),
    "check": (lambda s: s.check(), None),
    "keep": (lambda s: s.put("a", b"second"), "kept"),
    "same": (lambda s: s.put("a", b"first" * 1000, existing="same"), "same"),
    "delete": (lambda s: (s.delete("a"), s.exists("a")), (None, False)),
    "replace": (lambda s: (s.put("a", b"2nd", existing="replace"), s.read("a")), ("written", b"2nd")),
    "new": (lambda s: (s.put("b", b"x") in ("written", "kept"), s.read("b")), (True, b"x")),
    "new, same": (lambda s: s.put("b", b"x", existing="same") in ("written", "same"), True),
}


@pytest.mark.parametrize("fault", ALL)
def test_whatever_fails_once_is_asked_again(proxy: FaultProxy, fault: Fault) -> None:
    for name, (use, expected) in USES.items():
        proxy.plan = FaultPlan()
        storage = Storage(f"s3://{BUCKET}/{uuid.uuid4().hex}", retry_policy=QUICK)
        storage.put("a", b"first" * 1000)
        struck = proxy.counts[fault]
        proxy.plan = EveryFirstTime(only=fault, delay_seconds=0.1)
        assert use(storage) == expected, name
        assert proxy.counts[fault] > struck, name


@pytest.mark.parametrize("fault", ["server_errors", "lost_answers"])
def test_each_part_of_a_big_file_is_asked_again_by_itself(
    proxy: FaultProxy, storage: Storage, tmp_path: Path, fault: Fault
) -> None:
    video = tmp_path / "video.mp4"
    with video.open("wb") as file:
        file.truncate(105 << 20)
    proxy.plan = EveryFirstTime(only=fault)
    outcome = storage.put_file("video.mp4", video)
    # of a finished upload whose answer was lost, S3 says that there is no such upload, and another one is sent
    assert outcome == "written" if fault == "server_errors" else outcome in ("written", "kept")
    proxy.plan = FaultPlan()
    assert [info.size for info in storage.list()] == [105 << 20]
    assert storage.put_file("video.mp4", video, existing="same") == "same"


def test_of_writers_who_lose_their_answers_the_first_wins(proxy: FaultProxy, storage: Storage) -> None:
    proxy.plan = EveryFirstTime(only="lost_answers")
    data = [bytes([number]) * 20_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda each: storage.put("a", each), data))
    assert sorted(outcomes) in (["kept"] * 8, ["kept"] * 7 + ["written"])
    first = storage.read("a")
    assert first in data
    assert "written" not in outcomes or data[outcomes.index("written")] == first


def test_half_an_upload_is_no_object(proxy: FaultProxy, storage: Storage) -> None:
    storage.put("old", b"old")
    proxy.plan = FaultPlan(cut_uploads=1.0)
    for key, existing in (("new", "keep"), ("old", "replace")):
        with pytest.raises(StorageBusy, match="cannot reach"):
            storage.put(key, b"x" * 1_000_000, existing=existing)  # type: ignore[arg-type]
    assert proxy.counts["cut_uploads"] >= 2 * QUICK.attempts
    proxy.plan = FaultPlan()
    assert [(info.key, info.size) for info in storage.list()] == [("old", 3)]
    assert storage.read("old") == b"old"
    assert storage.put("new", b"x") == "written"


# ---- what stays


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("server_errors", "overloaded or restarting"),
        ("slow_downs", "overloaded or restarting"),
        ("resets", "cannot reach"),
        ("truncations", "breaks off half-way"),
    ],
)
def test_what_fails_for_ever_ends_after_counted_attempts(
    proxy: FaultProxy, storage: Storage, fault: Fault, words: str
) -> None:
    storage.put("a", b"first" * 1000)
    proxy.plan = FaultPlan(**{fault: 1.0})  # type: ignore[arg-type]
    with pytest.raises(StorageBusy, match=words) as caught:
        storage.read("a")
    assert storage.uri("a") in str(caught.value)
    assert caught.value.remedy
    twice = 2 if fault == "resets" else 1  # aiohttp, on its own, sends once more what it lost the connection for
    assert proxy.counts[fault] == QUICK.attempts * twice


def test_no_answer_at_all_is_waited_for_twice(proxy: FaultProxy) -> None:
    storage = Storage(f"s3://{BUCKET}/{uuid.uuid4().hex}", retry_policy=RetryPolicy(first_pause=0.01, answer_seconds=1))
    proxy.plan = FaultPlan(delays=1.0, delay_seconds=3.0)
    with pytest.raises(StorageBusy, match="cannot reach"):
        storage.exists("a")
    assert proxy.counts["delays"] == 2


@pytest.mark.parametrize(
    ("status", "words", "remedy"), [(403, "not permitted", "another key"), (507, "no space left", "free space")]
)
@pytest.mark.parametrize("existing", ["keep", "same", "replace"])
def test_a_put_that_is_refused_for_good_is_refused_at_once(
    proxy: FaultProxy, storage: Storage, status: int, words: str, remedy: str, existing: str
) -> None:
    proxy.refuse("/reef/frames/000001", status)
    with pytest.raises(StorageUnavailable, match=words) as caught:
        storage.put("reef/frames/000001", b"x", existing=existing)  # type: ignore[arg-type]
    assert not isinstance(caught.value, StorageBusy), "nobody need try that again"
    assert storage.uri("reef/frames/000001") in caught.value.message
    assert remedy in caught.value.remedy
    assert proxy.counts["refused"] == 1
    assert storage.put("reef/frames/000002", b"x") == "written"
    proxy.allow()
    assert storage.put("reef/frames/000001", b"x") == "written"


# ---- whole jobs

REEF = quick_row("reef", "a fish", frames=3)
OTHERS = [quick_row("apple"), quick_row("boat", "a boat", frames=2)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every frame object of the job, as it comes out without faults."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job = render(write_manifest(folder / "m.parquet", [REEF, *OTHERS]), str(folder / "out"))
    assert job.complete
    return frame_objects(str(folder / "out"))


def test_a_frame_whose_put_is_refused_fails_alone_and_is_rendered_once_it_is_not(
    proxy: FaultProxy, storage: Storage, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [REEF, *OTHERS])
    proxy.refuse(r"/reef/frames/000001-", 403)
    settings = InfraSettings(attempts=2)

    job = render(manifest, storage.root, settings=settings)

    assert {video: run.done for video, run in job.runs.items()} == {"reef": False, "apple": True, "boat": True}
    assert job.frames_missing == (2, 6)  # the frame, and the one that starts from it
    assert "not permitted: 's3://" in job.runs["reef"].reason
    records = read_failures(storage, list_video(storage, "reef"), "reef")
    assert [(record.frame, record.attempt, record.kind) for record in records] == [
        (1, 1, "storage"), (1, 2, "storage"),
    ]  # fmt: skip
    assert all("/reef/frames/000001-" in record.message and "another key" in record.message for record in records)
    expected = {
        key: data
        for key, data in undisturbed.items()
        if not key.startswith(("reef/frames/000001", "reef/frames/000002"))
    }
    assert frame_objects(storage) == expected

    proxy.allow()
    again = render(manifest, storage.root, settings=settings)

    assert again.complete
    assert {video: run.rendered for video, run in again.runs.items()} == {"reef": 2, "apple": 0, "boat": 0}
    assert frame_objects(storage) == undisturbed


def test_a_job_through_faults_gives_the_very_same_frames(
    proxy: FaultProxy, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    storage = Storage(f"s3://{BUCKET}/faults/job")
    proxy.plan = FaultPlan.all_ways(seed=6, share=0.05)

    job = render(write_manifest(tmp_path / "m.parquet", [REEF, *OTHERS]), storage.root, workers=2, range_frames=2)

    assert job.complete
    assert [run.failures for run in job.runs.values()] == [[], [], []], "storage's own attempts were enough"
    assert proxy.faults > 0
    proxy.plan = FaultPlan()
    assert frame_objects(storage) == undisturbed
