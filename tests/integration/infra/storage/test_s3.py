"""Storage on a real S3 server: the contract, and what only a network and a server can do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.helpers.storage_contract")

from infra.ports import free_port  # noqa: E402
from infra.storage.object_stores import S3Store  # noqa: E402
from infra.storage.storage import (  # noqa: E402
    ObjectConflict,
    ObjectMissing,
    RetryPolicy,
    Storage,
    StorageBusy,
    StorageUnavailable,
    manifest_files,
    read_uri,
)
from tests.helpers.s3_server import S3Server, running_s3_server  # noqa: E402
from tests.helpers.storage_contract import StorageContract  # noqa: E402
from tests.integration.conftest import BUCKET, use_environment  # noqa: E402


class TestS3(StorageContract):
    @pytest.fixture
    def storage(self, s3_root: str) -> Storage:
        return Storage(s3_root)

    def test_lies_nowhere(self, storage: Storage) -> None:
        assert storage.local_path("a") is None

    def test_listing_goes_past_the_first_page(self, storage: Storage) -> None:
        """S3 answers with 1,000 keys at a time."""
        keys = [f"reef/frames/{number:06d}" for number in range(1_005)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: storage.put(key, b""), keys))
        assert [info.key for info in storage.list("reef")] == keys

    def test_of_a_strangers_folder_no_more_than_a_page_is_listed(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda number: storage.put(f"a/data/{number:05}", b""), range(2100)))
        ours = ["a/plans/0123456789abcdef.json", "a/provenance.json", "a/video.mp4"]
        for key in ours:
            storage.put(key, b"x")
        pages: list[str] = []
        whole = S3Store.pages

        def counted(store: S3Store, start: str, **options: str) -> Iterator[dict[str, Any]]:
            for page in whole(store, start, **options):
                pages.append(start)
                yield page

        monkeypatch.setattr(S3Store, "pages", counted)
        assert [info.key for info in storage.list("a", ours=True)] == ours
        assert sum(start.endswith("/a/") for start in pages) == 1, "one page of all that lies there"
        assert len(pages) <= 12, "one for each kind of object that a video may have"

    def test_a_neighbour_with_the_same_beginning_stays_apart(self, s3_root: str) -> None:
        Storage(s3_root + "-2").put("a", b"x")
        assert list(Storage(s3_root).list()) == []

    def test_works_after_a_fork(self, storage: Storage) -> None:
        """A forked child inherits the connections but not the thread that serves them.

        In an interpreter of its own: this one may hold Ray by now, whose gRPC does not survive a fork.
        """
        script = """
import multiprocessing, sys
from infra.storage.storage import Storage
storage = Storage(sys.argv[1])
storage.put("a", b"parent's")
child = multiprocessing.get_context("fork").Process(target=storage.put, args=("b", storage.read("a")))
child.start()
child.join(60)
sys.exit(child.exitcode)
"""
        done = subprocess.run([sys.executable, "-c", script, storage.root], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        assert storage.read("b") == b"parent's"

    def test_two_processes_race(self, storage: Storage) -> None:
        program = (
            "import sys; from infra.storage.storage import Storage; s = Storage(sys.argv[1]); s.check();"
            "sys.stdin.read();"
            "print(*[s.put(f'k/{n}', sys.argv[2].encode()) for n in range(50)])"
        )
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", program, storage.root, name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for name in ("one", "two")
        ]  # fmt: skip
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        outcomes = []
        for writer in writers:
            assert writer.stdout is not None
            with writer.stdout as outcome:
                outcomes.append(outcome.read().split())
            assert writer.wait(60) == 0
        assert len(outcomes[0]) == 50
        for number, pair in enumerate(zip(*outcomes, strict=True)):
            assert sorted(pair) == ["kept", "written"]
            assert storage.read(f"k/{number}") == (b"one", b"two")[pair.index("written")]

    def test_big_files_go_in_parts(self, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """From 100 MiB on s3fs uploads in parts; the condition then rides on the last request."""
        video, size = tmp_path / "video.mp4", 105 << 20
        video.write_bytes(os.urandom(1 << 20) * 105)
        assert storage.put_file("video.mp4", video) == "written"
        assert storage.put_file("video.mp4", video, existing="same") == "same"
        with video.open("r+b") as file:
            file.seek(size - 1)
            last = file.read(1)
            file.seek(size - 1)
            file.write(b"\0" if last != b"\0" else b"\1")
        with pytest.raises(ObjectConflict):
            storage.put_file("video.mp4", video, existing="same")
        with monkeypatch.context() as blind:
            blind.setattr(Storage, "exists", lambda self, key: False)  # a racing writer looked before there was one
            assert storage.put_file("video.mp4", video) == "kept"
        assert storage.read("video.mp4")[-1:] == last
        assert [info.size for info in storage.list()] == [size]

    def test_a_writer_killed_on_its_way_leaves_all_or_nothing(self, storage: Storage) -> None:
        program = (
            "import sys; from infra.storage.storage import Storage; s = Storage(sys.argv[1]); s.check();"
            "data = bytes(24 << 20); print(flush=True); s.put(sys.argv[2], data)"
        )
        for number, delay in enumerate((0.02, 0.2)):
            writer = subprocess.Popen(
                [sys.executable, "-c", program, storage.root, f"big/{number}"], stdout=subprocess.PIPE
            )
            assert writer.stdout is not None
            with writer.stdout:
                writer.stdout.readline()
                time.sleep(delay)
                writer.send_signal(signal.SIGKILL)
                writer.wait(30)
        time.sleep(1)
        assert {info.size for info in storage.list()} <= {24 << 20}

    def test_browsers_learn_what_an_object_is(self, storage: Storage) -> None:
        storage.put("report/index.html", b"<p>")
        found = _aws_head(storage, "report/index.html")
        assert found["ContentType"].startswith("text/html")

    def test_manifests(self, storage: Storage) -> None:
        for name in ("night/part-1.parquet", "night/part-0.parquet", "night/_SUCCESS"):
            storage.put(name, name.encode())
        for given in ("night", "night/", "night/*.parquet"):
            files = manifest_files(storage.uri() + "/" + given)
            assert [file.name for file in files] == [storage.uri(f"night/part-{n}.parquet") for n in (0, 1)]
        with files[0].open() as stream:
            stream.seek(6)
            assert stream.read() == b"part-0.parquet"
        storage.delete("night/part-0.parquet")
        with pytest.raises(ObjectMissing, match="part-0"), files[0].open() as stream:
            stream.read()
        with pytest.raises(ObjectMissing, match="no manifest at"):
            manifest_files(storage.uri("nowhere.parquet"))


def _aws_head(storage: Storage, key: str) -> dict[str, str]:
    import botocore.session

    client = botocore.session.get_session().create_client("s3")
    bucket, _, prefix = storage.root.removeprefix("s3://").partition("/")
    return dict(client.head_object(Bucket=bucket, Key=f"{prefix}/{key}"))


# ---- what has to be repaired by somebody


def _all_uses(storage: Storage) -> dict[str, Callable[[], object]]:
    return {
        "check": storage.check,
        "read": lambda: storage.read("a"),
        "put": lambda: storage.put("a", b"x"),
        "replace": lambda: storage.put("a", b"x", existing="replace"),
        "list": lambda: list(storage.list()),
    }


class TestWrongSettings:
    @pytest.mark.parametrize(
        ("variable", "words"),
        [("AWS_SECRET_ACCESS_KEY", "secret key is wrong"), ("AWS_ACCESS_KEY_ID", "access key is not known")],
    )
    def test_wrong_credentials(
        self, s3_root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
    ) -> None:
        wrong = "0123456789abcdefWRONG"
        use_environment(monkeypatch, {**s3_server.environment, variable: wrong})
        for use in _all_uses(Storage(s3_root)).values():
            with pytest.raises(StorageUnavailable, match=words) as caught:
                use()
            assert "AWS_SECRET_ACCESS_KEY" in caught.value.remedy
            for secret in (wrong, s3_server.secret_key):
                assert secret not in f"{caught.value} {caught.value!r}"
        with pytest.raises(StorageUnavailable, match="not permitted"):  # a HEAD's answer has no body to say why
            Storage(s3_root).exists("a")

    def test_no_credentials(self, s3_root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        environment = s3_server.environment
        use_environment(monkeypatch, environment)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        for use in _all_uses(Storage(s3_root)).values():
            with pytest.raises(StorageUnavailable, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
                use()

    def test_missing_bucket(self, s3_environment: dict[str, str]) -> None:
        for name, use in _all_uses(Storage("s3://no-such-bucket/out")).items():
            # SeaweedFS answers PUTs there with "AccessDenied", AWS with "NoSuchBucket"
            words = "no such bucket.*create" if name in ("check", "read", "list") else "no such bucket|not permitted"
            with pytest.raises(StorageUnavailable, match=words) as caught:
                use()
            assert "s3://no-such-bucket/out" in str(caught.value)
            assert caught.value.remedy

    def test_refused_port(self, s3_server: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        use_environment(monkeypatch, {**s3_server.environment, "AWS_ENDPOINT_URL": url})
        for name, use in _all_uses(Storage(s3_root)).items():
            started = time.monotonic()
            with pytest.raises(StorageUnavailable, match=f"cannot reach.*{url}.*AWS_ENDPOINT_URL"):
                use()
            assert time.monotonic() - started < 6, name
        with pytest.raises(StorageUnavailable, match="cannot reach"):
            read_uri(s3_root + "/a")

    def test_a_key_that_may_only_read(self, s3_root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        Storage(s3_root).put("a", b"x")
        use_environment(monkeypatch, s3_server.reader_environment)
        storage = Storage(s3_root)
        storage.check(write=False)
        assert storage.read("a") == b"x"
        for use in (storage.check, lambda: storage.put("b", b"y"), lambda: storage.put("a", b"y", existing="replace")):
            with pytest.raises(StorageUnavailable, match=r"not permitted.*another key"):
                use()
        assert [info.key for info in storage.list()] == ["a"]

    def test_no_name_for_a_bucket(self, s3_environment: dict[str, str]) -> None:
        with pytest.raises(StorageUnavailable):
            Storage("s3://Not_A_Bucket!/out").check()


class TestServerInTrouble:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
        """A server of one's own, to maltreat."""
        with running_s3_server() as server:
            server.create_bucket(BUCKET)
            use_environment(monkeypatch, server.environment)
            yield server

    def test_crash_and_return(self, server: S3Server) -> None:
        """What was acknowledged survives SIGKILL of the server under eight writers, and the same Storage goes on."""
        storage = Storage(f"s3://{BUCKET}/out")
        acknowledged: set[str] = set()

        def write(writer: int) -> None:
            try:
                for number in range(10_000):
                    key = f"{writer}/{number}"
                    storage.put(key, key.encode() * 2_000)
                    acknowledged.add(key)
            except StorageUnavailable:
                return
            raise AssertionError("the server never went away")

        with ThreadPoolExecutor(8) as pool:
            writers = [pool.submit(write, writer) for writer in range(8)]
            while len(acknowledged) < 100:
                time.sleep(0.05)
            server.kill()
            for writer in writers:
                writer.result(60)
        server.start()
        server.create_bucket(BUCKET)

        listed = {info.key: info.size for info in storage.list()}
        assert acknowledged <= set(listed)
        assert {key: len(key) * 2_000 for key in listed} == listed
        assert all(storage.read(key) == key.encode() * 2_000 for key in listed)
        assert storage.put("after", b"x") == "written"

    def test_hung_server(self, server: S3Server) -> None:
        storage = Storage(f"s3://{BUCKET}/out")
        storage.put("a", b"x")
        server.pause()
        started = time.monotonic()
        with pytest.raises(StorageUnavailable, match=r"cannot reach|no answer in time"):
            storage.check()
        assert time.monotonic() - started < 15
        server.resume()
        storage.check()

    def test_hung_server_does_not_hold_a_writer_for_ever(self, server: S3Server) -> None:
        """The bytes that go out at once wait for an answer, the many wait to be taken: both end. With shorter waits
        than `infra.storage.retry_policy.RETRY_POLICY`, whose own bounds a unit test holds."""
        patient = Storage(f"s3://{BUCKET}/out")
        patient.put("a", b"x")
        hasty = Storage(
            f"s3://{BUCKET}/out", retry_policy=RetryPolicy(answer_seconds=1, write_seconds=3, write_seconds_per_mb=0)
        )
        server.pause()
        for data in (b"x", bytes(16 << 20)):
            started = time.monotonic()
            with pytest.raises(StorageBusy, match=r"cannot reach|no answer in time"):
                hasty.put("b", data)
            assert time.monotonic() - started < 30
        server.resume()
        assert patient.put("c", b"x") == "written"
