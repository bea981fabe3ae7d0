"""Storage on the local file system and in memory: the contract, and what only these two have."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.helpers.storage_contract")

from infra.storage.dataset_files import dataset_files  # noqa: E402
from infra.storage.storage import (  # noqa: E402
    Existing,
    ObjectMissing,
    ReadingPolicy,
    SourceRefused,
    Storage,
    StorageError,
    StorageUnavailable,
    absolute_uri,
    manifest_files,
    read_uri,
)
from tests.helpers.deep_folders import nested_folders  # noqa: E402
from tests.helpers.storage_contract import StorageContract  # noqa: E402


class TestMemory(StorageContract):
    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # so that threads get in each other's way within a few lines of Python
        yield Storage(f"memory://{uuid.uuid4().hex}")
        sys.setswitchinterval(interval)

    def write_from_elsewhere(self, storage: Storage, key: str, data: bytes) -> None:
        Storage(storage.root).put(key, data)  # memory is this process's own

    def test_lies_nowhere(self, storage: Storage) -> None:
        assert storage.local_path("a") is None


class TestFile(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return Storage(str(tmp_path / "out put"))

    def test_lies_where_it_says(self, storage: Storage) -> None:
        storage.put("reef/1.png", b"x")
        path = storage.local_path("reef/1.png")
        assert path is not None
        assert path.read_bytes() == b"x"
        assert str(path) == storage.uri("reef/1.png")

    def test_file_uri_and_plain_path_are_the_same_root(self, storage: Storage) -> None:
        assert Storage(f"file://{storage.root}") == storage

    def test_a_relative_root_does_not_move_with_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        storage = Storage("out")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        storage.put("a", b"1")
        assert (tmp_path / "out" / "a").read_bytes() == b"1"

    def test_objects_get_the_permissions_of_any_new_file(self, storage: Storage, tmp_path: Path) -> None:
        (tmp_path / "any").write_bytes(b"")
        storage.put("a", b"1")
        path = storage.local_path("a")
        assert path is not None
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "any").stat().st_mode)

    def test_the_source_of_a_file_may_change_afterwards(self, storage: Storage, tmp_path: Path) -> None:
        source = tmp_path / "video"
        source.write_bytes(b"one")
        storage.put_file("v", source)
        with source.open("r+b") as file:
            file.write(b"two")
        assert storage.read("v") == b"one"

    @pytest.mark.parametrize("existing", ["keep", "replace"])
    def test_a_writer_killed_half_way_leaves_nothing_to_see(
        self, storage: Storage, tmp_path: Path, existing: str
    ) -> None:
        """The writer is fed through a pipe that stops in the middle, so it dies for certain while it writes."""
        if existing == "replace":
            storage.put("reef/video", b"old")
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        program = (
            "import sys; from infra.storage.storage import Storage;"
            "Storage(sys.argv[1]).put_file('reef/video', sys.argv[2], existing=sys.argv[3])"
        )
        writer = subprocess.Popen([sys.executable, "-c", program, storage.root, str(pipe), existing])
        folder = storage.local_path("reef")
        assert folder is not None
        with pipe.open("wb", buffering=0) as feed:
            feed.write(b"x" * (1 << 20))
            deadline = time.monotonic() + 60
            while not any(path.stat().st_size >= 1 << 20 for path in folder.glob(".*")):
                assert time.monotonic() < deadline, "the writer never got to write"
                time.sleep(0.01)
            seen_before = [(info.key, info.size) for info in storage.list()]
            writer.send_signal(signal.SIGKILL)
            writer.wait(30)
        seen_after = [(info.key, info.size) for info in storage.list()]

        assert seen_before == seen_after == ([("reef/video", 3)] if existing == "replace" else [])
        assert storage.exists("reef/video") == (existing == "replace")
        assert list(folder.glob(".*")), "it should have died with its temporary file open"
        storage.put("reef/video", b"new", existing="replace")
        assert storage.read("reef/video") == b"new"

    @pytest.mark.parametrize("existing", ["keep", "replace"])
    def test_no_space_left(self, storage: Storage, existing: Existing) -> None:
        """A limit on the size of files stands in for a full disk: the write fails after its first 10,000 bytes."""
        storage.put("reef/0", b"old")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(StorageUnavailable, match=r"no space left on the disk of '.*reef/1'") as caught:
                storage.put("reef/1", b"x" * 100_000, existing=existing)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caught.value.remedy
        folder = storage.local_path("reef")
        assert folder is not None
        assert [path.name for path in folder.iterdir()] == ["0"], "the temporary file goes too"

    def test_a_file_in_the_way_of_a_folder(self, storage: Storage) -> None:
        storage.put("reef", b"x")
        with pytest.raises(StorageError, match="needs a folder where a file is"):
            storage.put("reef/1", b"y")
        assert storage.local_path("reef") is not None
        with pytest.raises(StorageUnavailable, match="needs a folder"):
            storage.child("reef").check()
        with pytest.raises(StorageUnavailable, match="needs a folder"):
            storage.child("reef/deeper").check(write=False)

    def test_check_without_write_makes_no_folder(self, storage: Storage) -> None:
        storage.check(write=False)
        path = storage.local_path()
        assert path is not None
        assert not path.exists()
        storage.check()
        assert list(path.iterdir()) == []

    def test_a_root_that_the_system_makes_read_only(self) -> None:
        """/sys takes no folders from anybody, root included."""
        if not os.path.ismount("/sys"):
            pytest.skip("no /sys here")
        for use in (Storage("/sys/nightreel").check, lambda: Storage("/sys/nightreel").put("a", b"x")):
            with pytest.raises(StorageUnavailable, match="/sys/nightreel") as caught:
                use()
            assert caught.value.remedy

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders; /sys stands in for them above")
    def test_a_folder_without_the_right_to_write(self, storage: Storage) -> None:
        storage.put("a", b"x")
        root = storage.local_path()
        assert root is not None
        root.chmod(0o500)
        try:
            storage.check(write=False)
            with pytest.raises(StorageUnavailable, match="not permitted"):
                storage.check()
            with pytest.raises(StorageUnavailable, match="not permitted"):
                storage.put("b", b"y")
        finally:
            root.chmod(0o700)

    def test_names_too_long_for_the_file_system(self, storage: Storage) -> None:
        with pytest.raises(StorageError, match="too long"):
            storage.put("x" * 300, b"")


# ---- roots that cannot be


@pytest.mark.parametrize("uri", ["ftp://host/out", "https://host/out", "simplecache::s3://bucket/out", "nonsense://x"])
def test_only_stores_with_atomic_commits_are_roots(uri: str) -> None:
    with pytest.raises(StorageUnavailable, match="no atomic commits"):
        Storage(uri)


@pytest.mark.parametrize("uri", ["s3://", "s3:///out", "gs://"])
def test_a_bucket_is_needed(uri: str) -> None:
    with pytest.raises(StorageUnavailable, match="no bucket"):
        Storage(uri)


def test_credentials_come_from_the_environment_only() -> None:
    secret = "wJalrXUtnFEMI"
    for make in (
        lambda: Storage("s3://bucket", {"secret": secret}),
        lambda: Storage("s3://bucket", {"client_kwargs": {"aws_secret_access_key": secret}}),
        lambda: Storage(f"s3://me:{secret}@bucket/out"),
        lambda: Storage(f"https://me:{secret}@host/out"),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            make()
        assert secret not in repr(caught.value)
        assert secret not in str(caught.value)
        assert caught.value.remedy


# ---- what people point at


def test_absolute_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("a/../b.png") == str(tmp_path / "b.png")
    assert absolute_uri(f"file://{tmp_path}/b.png") == str(tmp_path / "b.png")
    assert absolute_uri("~/b.png") == str(Path.home() / "b.png")
    for uri in ("s3://bucket/a", "https://host/a?b=c", "memory://a"):
        assert absolute_uri(uri) == uri


def test_read_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "init.png").write_bytes(b"picture")
    for uri in ("init.png", f"{tmp_path}/init.png", f"file://{tmp_path}/init.png"):
        assert read_uri(uri) == b"picture"
    with pytest.raises(ObjectMissing, match=r"nothing at 'no\.png'"):
        read_uri("no.png")
    with pytest.raises(StorageError, match="folder"):
        read_uri(str(tmp_path))
    for uri in ("nonsense://x", "data:;base64,cGljdHVyZQ==", "simplecache::init.png", "zip://init.png::a.zip"):
        with pytest.raises(SourceRefused, match="which is not read"):
            read_uri(uri)


@pytest.mark.parametrize("roots", [None, ("/dev", "/")])
def test_only_regular_files_are_read(tmp_path: Path, roots: tuple[str, ...] | None) -> None:
    """Those without an end, and those that wait for somebody."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "socket.png"))
    policy = ReadingPolicy(roots=roots)
    for path, kind in (("pipe.png", "a pipe"), ("link.png", "a pipe"), ("socket.png", "a socket")):
        with pytest.raises(SourceRefused, match=f"is {kind}: name a regular file"):
            read_uri(str(tmp_path / path), policy)
    for device in ("/dev/zero", "/dev/tty", "/dev/stdin", "/proc/self/fd/0"):
        with pytest.raises(StorageError):
            read_uri(device, policy)
    with pytest.raises(SourceRefused, match="is a pipe"), manifest_files(str(tmp_path / "pipe.png"))[0].open():
        pass
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(SourceRefused, match="is a pipe"), manifest_files(str(tmp_path))[0].open():
        pass


def test_no_more_than_so_many_bytes_are_read(tmp_path: Path) -> None:
    policy = ReadingPolicy(most_bytes=3_000_000)
    (tmp_path / "sparse.png").touch()
    os.truncate(tmp_path / "sparse.png", 10**12)
    Storage("memory://bounds").put("large", bytes(3_000_001), existing="replace")
    Storage("memory://bounds").put("fits", bytes(range(250)) * 12_000, existing="replace")
    for uri in (str(tmp_path / "sparse.png"), "memory://bounds/large"):
        with pytest.raises(SourceRefused, match=r"more than 3 MB, the most that is read.*NIGHTREEL_READ_MEGABYTES"):
            read_uri(uri, policy)
    assert read_uri("memory://bounds/fits", policy) == bytes(range(250)) * 12_000


def test_links_are_no_way_out_of_the_roots(tmp_path: Path) -> None:
    for folder in ("night", "out", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "other/secret.png").write_bytes(b"secret")
    (tmp_path / "night/a.png").write_bytes(b"a")
    (tmp_path / "night/inside.png").symlink_to("a.png")
    (tmp_path / "night/outside.png").symlink_to("../other/secret.png")
    (tmp_path / "night/folder").symlink_to("../other")
    (tmp_path / "way").symlink_to("night")
    (tmp_path / "out/b.png").write_bytes(b"b")
    policy = ReadingPolicy(roots=(str(tmp_path / "way"), str(tmp_path / "out")))
    for path, data in (("night/a.png", b"a"), ("night/inside.png", b"a"), ("way/a.png", b"a"), ("out/b.png", b"b")):
        assert read_uri(str(tmp_path / path), policy) == data
    for path in ("other/secret.png", "night/outside.png", "night/folder/secret.png", "night/../other/secret.png"):
        with pytest.raises(SourceRefused, match="lies outside of what a run of the server may read"):
            read_uri(str(tmp_path / path), policy)
    with pytest.raises(SourceRefused, match="lies outside"):
        read_uri("memory://bounds/fits", policy)


class TestManifestFiles:
    @pytest.fixture(params=["plain", "memory"])
    def base(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Where the files lie, as a person would write it."""
        monkeypatch.chdir(tmp_path)
        base = "manifests" if request.param == "plain" else f"memory://{uuid.uuid4().hex}"
        storage = Storage(base)
        for name in (
            "night/part-1.parquet", "night/part-0.parquet", "night/region=eu/part-0.parquet", "night/_SUCCESS",
            "night/.hidden.parquet", "night/_temporary/part-9.parquet", "night/notes.txt", "day.parquet", "strange.bin",
            "a[1].parquet", "empty/readme.txt",
        ):  # fmt: skip
            storage.put(name, name.encode())
        return base

    def named(self, uri: str) -> dict[str, bytes]:
        files = {}
        for file in manifest_files(uri):
            with file.open() as stream:
                files[file.name] = stream.read()
        return files

    @pytest.mark.parametrize("name", ["day.parquet", "strange.bin", "a[1].parquet"])
    def test_a_file(self, base: str, name: str) -> None:
        assert self.named(f"{base}/{name}") == {f"{base}/{name}": name.encode()}

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_a_folder(self, base: str, slash: str) -> None:
        names = ["night/part-0.parquet", "night/part-1.parquet", "night/region=eu/part-0.parquet"]
        found = self.named(f"{base}/night{slash}")
        assert list(found.items()) == [(f"{base}/{name}", name.encode()) for name in names]

    def test_links_in_a_folder(self, base: str, tmp_path: Path) -> None:
        if base.startswith("memory"):
            return
        (tmp_path / "manifests/night/loop").symlink_to("..")
        (tmp_path / "manifests/night/link.parquet").symlink_to("../day.parquet")
        (tmp_path / "manifests/night/gone.parquet").symlink_to("nowhere")
        names = [file.name for file in manifest_files(f"{base}/night")]
        assert names == [f"{base}/night/{name}" for name in (
            "gone.parquet", "link.parquet", "part-0.parquet", "part-1.parquet", "region=eu/part-0.parquet"
        )]  # fmt: skip

    def test_a_glob(self, base: str) -> None:
        assert list(self.named(f"{base}/night/part-*")) == [f"{base}/night/part-{n}.parquet" for n in (0, 1)]
        assert list(self.named(f"{base}/*.parquet")) == [f"{base}/a[1].parquet", f"{base}/day.parquet"]

    @pytest.mark.parametrize(
        ("name", "message"), [("no.parquet", "no manifest"), ("no-*", "no manifest"), ("empty", "no .parquet file")]
    )
    def test_nothing(self, base: str, name: str, message: str) -> None:
        with pytest.raises(ObjectMissing, match=f"{message}.*{base}/{name.replace('*', '.')}"):
            manifest_files(f"{base}/{name}")

    @pytest.mark.parametrize("name", ["night", "night/**", "*/*", "ni*/**/*.parquet"])
    def test_a_huge_folder_is_not_listed_to_its_end(
        self, base: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`/` took 28 s and 1.4 GB, for a mistyped path."""
        monkeypatch.setattr("infra.storage.dataset_files.MOST_LISTED", 3)
        with pytest.raises(
            SourceRefused,
            match=r"more than 3 files and folders, of which [0-3] (is a|are) Parq.*a manifest is a Parquet file, or a",
        ) as caught:
            manifest_files(f"{base}/{name}")
        assert caught.value.kind.exit_code == 2

    def test_what_is_hidden_is_not_listed(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if base.startswith("memory"):
            return
        for number in range(20):
            Storage(base).put(f"night/.git/{number}.parquet", b"")
        monkeypatch.setattr("infra.storage.dataset_files.MOST_LISTED", 15)
        assert len(manifest_files(f"{base}/night")) == 3

    def test_streams_seek_and_open_again(self, base: str) -> None:
        (file,) = manifest_files(f"{base}/day.parquet")
        for _ in range(2):
            with file.open() as stream:
                assert stream.seekable()
                stream.seek(-4, os.SEEK_END)
                assert stream.read() == b"quet"
                stream.seek(1)
                assert (stream.read(2), stream.tell()) == (b"ay", 3)

    def test_errors_while_reading_are_ours(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"x")
        (file,) = manifest_files(str(tmp_path / "a.parquet"))
        (tmp_path / "a.parquet").unlink()
        with pytest.raises(ObjectMissing, match=r"a\.parquet"), contextlib.closing(file.open()):
            pass


@pytest.mark.parametrize("name", ["\x1b[31mX", "a\nb", os.fsdecode(b"\xff"), "a\\b"])
def test_what_no_key_can_name_is_left_out_and_stops_nothing(tmp_path: Path, name: str) -> None:
    for folder in ("reef", name):
        plans = tmp_path / folder / "plans"
        plans.mkdir(parents=True)
        for file in ("x.json", f"{name}.json"):
            (plans / file).write_bytes(b"{}")
    storage = Storage(str(tmp_path))
    assert storage.folders() == ("reef",)
    assert [info.key for info in storage.list()] == ["reef/plans/x.json"]
    assert [storage.read(info.key) for info in storage.list("reef/plans")] == [b"{}"]


def test_a_link_is_followed_only_where_an_output_has_a_folder(tmp_path: Path) -> None:
    """A link to `/` in an output had the whole machine walked by everyone who looked at it."""
    outside = tmp_path / "outside"
    for key in ("a.txt", "deep/er/b.txt", "frames/000000-0123456789abcdef.png", "frames/x/c.txt", "runs/1/run.json"):
        Storage(str(outside)).put(key, b"")
    root = tmp_path / "out"
    Storage(str(root)).put("reef/frames/1.png", b"")
    Storage(str(root)).put("report/index.html", b"")
    (root / "reef/way").symlink_to(outside)  # nothing of ours is called that
    (root / "reef/frames/way").symlink_to("/")
    (root / "reef/segments").symlink_to(outside)
    (root / "reef/plans").symlink_to(root)
    (root / "moved").symlink_to(outside)
    (root / "report/runs").symlink_to(outside / "runs")
    storage = Storage(str(root))
    moved = ["moved/a.txt", "moved/frames/000000-0123456789abcdef.png"]
    reef = ["reef/frames/1.png", "reef/segments/a.txt"]
    assert [info.key for info in storage.list()] == [*moved, *reef, "report/index.html", "report/runs/1/run.json"]
    assert [info.key for info in storage.list("reef")] == reef
    assert [info.key for info in storage.list("moved")] == moved
    assert [info.key for info in storage.list("report/runs")] == ["report/runs/1/run.json"]


@pytest.mark.parametrize("depth", [200, 1500])
def test_folders_deeper_than_any_of_ours_are_passed_over(tmp_path: Path, depth: int) -> None:
    """A thousand of them ended all who looked, by RecursionError."""
    Storage(str(tmp_path)).put("reef/frames/1.png", b"")
    storage = Storage(str(tmp_path))
    with nested_folders(tmp_path / "reef", depth):
        assert [info.key for info in storage.list("reef")] == ["reef/frames/1.png"]
        assert [info.key for info in storage.list()] == ["reef/frames/1.png"]


@pytest.mark.parametrize("existing", ["replace", "same", "keep"])
def test_a_pipe_or_a_device_is_never_replaced_by_a_file(tmp_path: Path, existing: Existing) -> None:
    """As root, `manifest build -o /dev/zero` made a file of it for all on the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        with contextlib.suppress(StorageError):
            Storage(str(tmp_path)).put(name, b"data", existing=existing)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(StorageError, match="is a device, a pipe or a socket"):
        Storage(str(tmp_path)).put("pipe", b"data", existing="replace")


class _Pages:
    """An S3 file system with `count` objects below `night/`, two a page."""

    def __init__(self, count: int) -> None:
        self.keys, self.asked = [f"night/part-{number:02}.parquet" for number in range(count)], 0

    def info(self, path: str) -> dict[str, str]:
        if "*" in path:
            raise FileNotFoundError(path)
        return {"type": "directory", "name": path}

    def call_s3(self, _: str, *, Prefix: str, ContinuationToken: str = "0", **options: str) -> dict[str, object]:
        self.asked += 1
        start = int(ContinuationToken)
        if options.get("Delimiter") and Prefix == "":
            return {"CommonPrefixes": [{"Prefix": "night/"}]}
        return {
            "Contents": [{"Key": key, "Size": 1} for key in self.keys[start : start + 2]],
            "IsTruncated": start + 2 < len(self.keys),
            "NextContinuationToken": str(start + 2),
        }


@pytest.mark.parametrize("place", ["bucket/night", "bucket/*/*.parquet", "bucket/**"])
def test_a_huge_folder_of_a_bucket_is_not_listed_to_its_end(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.storage.dataset_files.MOST_LISTED", 10)
    found = dataset_files(_Pages(6), place, f"s3://{place}")
    assert list(found.values()) == [f"bucket/night/part-{number:02}.parquet" for number in range(6)]
    huge = _Pages(1000)
    with pytest.raises(SourceRefused, match=r"more than 10 files and folders"):
        dataset_files(huge, place, f"s3://{place}")
    assert huge.asked < 8


def test_a_root_whose_name_is_no_utf_8_is_refused_in_words() -> None:
    with pytest.raises(StorageUnavailable, match="is no text in UTF-8"):
        Storage("/tmp/night-\udcff")
