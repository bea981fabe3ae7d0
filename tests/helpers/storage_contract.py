"""What every storage promises, whatever it lies on: inherited by the tests of each kind (the base class has no `Test`
in its name, so that pytest runs it only where it is inherited)."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from infra.storage.storage import (
    ObjectConflict,
    ObjectMissing,
    ReadingPolicy,
    SourceRefused,
    Storage,
    StorageError,
    read_uri,
)

T = TypeVar("T")


def at_once(writers: int, work: Callable[[int], T]) -> list[T]:
    """Runs `work(0)`, `work(1)`, ... in as many threads, let loose together, and returns the results in order."""
    gate = threading.Barrier(writers)

    def run(number: int) -> T:
        gate.wait(30)
        return work(number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(run, range(writers)))


class StorageContract:
    @pytest.fixture
    def storage(self) -> Storage:
        """An empty root of its own for each test."""
        raise NotImplementedError

    def write_from_elsewhere(self, storage: Storage, key: str, data: bytes) -> None:
        """Writes as another worker would: from a process of its own."""
        program = (
            "import sys; from infra.storage.storage import Storage;"
            "Storage(sys.argv[1]).put(sys.argv[2], sys.stdin.buffer.read())"
        )
        subprocess.run([sys.executable, "-c", program, storage.root, key], input=data, check=True, timeout=120)

    # ---- reading back

    @pytest.mark.parametrize(
        "key", ["frame", "reef/frames/000120-3fa9c1.png", "a/b/c/d/e", "Ünï cödé & 100%+#?.txt", "x=1/[y]*.bin"]
    )
    def test_what_was_put_is_read(self, storage: Storage, key: str) -> None:
        data = bytes(range(256)) * 100
        assert not storage.exists(key)
        assert storage.put(key, data) == "written"
        assert storage.exists(key)
        assert storage.read(key) == data
        assert [(info.key, info.size) for info in storage.list()] == [(key, len(data))]

    def test_an_empty_object_is_an_object(self, storage: Storage) -> None:
        storage.put("empty", b"")
        assert storage.exists("empty")
        assert storage.read("empty") == b""

    def test_missing_object(self, storage: Storage) -> None:
        storage.put("reef/1", b"x")
        for key in ("reef/2", "reef", "nowhere/1"):
            assert not storage.exists(key)
        with pytest.raises(ObjectMissing, match="reef/2"):
            storage.read("reef/2")
        with pytest.raises(ObjectMissing):
            read_uri(storage.uri("reef/2"))

    def test_no_more_than_asked_for_is_read(self, storage: Storage) -> None:
        for key, data in (("empty", b""), ("large", bytes(1000))):
            storage.put(key, data)
        assert storage.read("empty", most=10) == b""
        assert storage.read("large", most=1000) == bytes(1000)
        assert read_uri(storage.uri("empty")) == b""
        with pytest.raises(SourceRefused, match="has more than 999 bytes"):
            storage.read("large", most=999)
        with pytest.raises(ObjectMissing):
            storage.read("none", most=10)
        policy = ReadingPolicy(most_bytes=999)
        with pytest.raises(SourceRefused, match="NIGHTREEL_READ_MEGABYTES"):
            read_uri(storage.uri("large"), policy)

    def test_a_large_source_comes_in_pieces(self, storage: Storage) -> None:
        for size in (2**20, 2**20 + 1, 9 * 2**20):
            data = bytes(range(256)) * (size // 256) + bytes(size % 256)
            storage.put("large", data, existing="replace")
            assert read_uri(storage.uri("large")) == data

    def test_read_uri_reads_what_uri_names(self, storage: Storage) -> None:
        storage.put("init/forest.png", b"picture")
        assert read_uri(storage.uri("init/forest.png")) == b"picture"

    def test_of_a_listing_of_ours_what_is_elsewhere_is_left_out(self, storage: Storage) -> None:
        ours = ["reef/frames/000000-0123456789abcdef.png", "reef/provenance.json", "report/runs/1/run.json"]
        for key in (*ours, "reef/src/a/b.c", "reef/frames/deep/er.png", "reef/notes.txt", "top.txt"):
            storage.put(key, b"x")
        assert [info.key for info in storage.list(ours=True)] == ours
        assert [info.key for info in storage.list("reef", ours=True)] == ours[:2]
        assert [info.key for info in storage.list("report/runs", ours=True)] == ours[2:]
        assert list(storage.list("nowhere", ours=True)) == []
        assert len(list(storage.list())) == 7

    def test_delete(self, storage: Storage) -> None:
        storage.put("a", b"1")
        storage.delete("a")
        storage.delete("a")
        assert not storage.exists("a")
        assert list(storage.list()) == []
        assert storage.put("a", b"2") == "written"

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\\b", "a\nb", "a/.nightreel-put-1"]
    )
    def test_key_out_of_bounds(self, storage: Storage, key: str) -> None:
        for use in (storage.read, storage.exists, storage.delete, lambda key: storage.put(key, b"")):
            with pytest.raises(ValueError, match="relative to the output"):
                use(key)

    # ---- listing

    def test_listing_is_recursive_sorted_and_relative_to_the_root(self, storage: Storage) -> None:
        keys = ["b", "a/2", "a/1.x", "a.png", "a/1/z", "ab/1"]
        for key in keys:
            storage.put(key, key.encode())
        assert [info.key for info in storage.list()] == sorted(keys)
        assert [info.key for info in storage.list("a")] == ["a/1.x", "a/1/z", "a/2"]
        assert [info.key for info in storage.list("a/")] == ["a/1.x", "a/1/z", "a/2"]
        assert [info.key for info in storage.list("a/1")] == ["a/1/z"]
        assert list(storage.list("a.png")) == []
        assert list(storage.list("nowhere")) == []

    def test_listing_an_empty_root(self, storage: Storage) -> None:
        assert list(storage.list()) == []

    def test_folders_of_the_root(self, storage: Storage) -> None:
        assert storage.folders() == ()
        for key in ("b/1", "a/2/3", "ab/1", "a.png", "b/2"):
            storage.put(key, b"x")
        assert storage.folders() == ("a", "ab", "b")

    def test_listing_knows_size_and_time(self, storage: Storage) -> None:
        before = datetime.now(UTC)
        storage.put("a", b"12345")
        (info,) = storage.list()
        assert info.size == 5
        assert info.modified.tzinfo is UTC
        assert abs(info.modified - before) < timedelta(seconds=60)

    def test_listing_sees_another_writer(self, storage: Storage) -> None:
        storage.put("video/1", b"x")
        assert [info.key for info in storage.list("video")] == ["video/1"]
        assert not storage.exists("video/2")
        self.write_from_elsewhere(storage, "video/2", b"other")
        assert [info.key for info in storage.list("video")] == ["video/1", "video/2"]
        assert storage.read("video/2") == b"other"

    # ---- the key is taken

    def test_keep_leaves_what_is_there(self, storage: Storage) -> None:
        assert storage.put("a", b"first") == "written"
        assert storage.put("a", b"second") == "kept"
        assert storage.put("a", b"first", existing="keep") == "kept"
        assert storage.read("a") == b"first"

    def test_same_takes_identical_bytes_only(self, storage: Storage) -> None:
        assert storage.put("a", b"first", existing="same") == "written"
        assert storage.put("a", b"first", existing="same") == "same"
        for other in (b"First", b"first and more", b""):
            with pytest.raises(ObjectConflict, match=r"a' holds other bytes.*--force"):
                storage.put("a", other, existing="same")
        assert storage.read("a") == b"first"

    def test_replace(self, storage: Storage) -> None:
        assert storage.put("a", b"first", existing="replace") == "written"
        assert storage.put("a", b"2nd", existing="replace") == "written"
        assert storage.read("a") == b"2nd"

    def test_unknown_policy(self, storage: Storage) -> None:
        with pytest.raises(ValueError, match="'keep', 'same' or 'replace'"):
            storage.put("a", b"", existing="overwrite")  # type: ignore[arg-type]
        assert not storage.exists("a")

    def test_files(self, storage: Storage, tmp_path: Path) -> None:
        video, other = tmp_path / "video.mp4", tmp_path / "other.mp4"
        video.write_bytes(b"frames" * 50_000)
        other.write_bytes(b"frames" * 49_999 + b"Frames")
        assert storage.put_file("v/video.mp4", video) == "written"
        assert storage.put_file("v/video.mp4", other) == "kept"
        assert storage.put_file("v/video.mp4", video, existing="same") == "same"
        with pytest.raises(ObjectConflict):
            storage.put_file("v/video.mp4", other, existing="same")
        assert storage.read("v/video.mp4") == video.read_bytes()
        assert storage.put_file("v/video.mp4", other, existing="replace") == "written"
        assert storage.read("v/video.mp4") == other.read_bytes()
        with pytest.raises(ObjectMissing, match="no-such-file"):
            storage.put_file("w", tmp_path / "no-such-file")
        assert not storage.exists("w")

    # ---- races

    @pytest.mark.parametrize("attempt", range(5))
    def test_of_racing_writers_exactly_one_wins(self, storage: Storage, attempt: int) -> None:
        data = [bytes([number]) * (20_000 + number) for number in range(8)]
        outcomes = at_once(8, lambda number: storage.put("reef/frames/1", data[number]))
        assert sorted(outcomes) == ["kept"] * 7 + ["written"]
        assert storage.read("reef/frames/1") == data[outcomes.index("written")]
        assert [info.key for info in storage.list()] == ["reef/frames/1"]

    def test_of_racing_writers_of_a_file_exactly_one_wins(self, storage: Storage, tmp_path: Path) -> None:
        for number in range(8):
            (tmp_path / str(number)).write_bytes(bytes([number]) * (20_000 + number))
        outcomes = at_once(8, lambda number: storage.put_file("video", tmp_path / str(number)))
        assert sorted(outcomes) == ["kept"] * 7 + ["written"]
        assert storage.read("video") == (tmp_path / str(outcomes.index("written"))).read_bytes()

    def test_racing_writers_of_the_same_bytes_agree(self, storage: Storage) -> None:
        outcomes = at_once(8, lambda number: storage.put("a", b"same" * 5_000, existing="same"))
        assert sorted(outcomes) == ["same"] * 7 + ["written"]

    def test_while_an_object_is_replaced_readers_see_one_version_or_the_other(self, storage: Storage) -> None:
        versions = [bytes([number]) * 100_000 for number in range(4)]
        storage.put("a", versions[0])

        def work(number: int) -> set[bytes]:
            seen = set()
            for round_ in range(10):
                if number < 2:
                    storage.put("a", versions[(number + round_) % 4], existing="replace")
                else:
                    seen.add(storage.read("a"))
            return seen

        seen = set().union(*at_once(4, work))
        assert seen
        assert seen <= set(versions)

    # ---- the object itself

    def test_travels(self, storage: Storage) -> None:
        storage.put("a", b"1")
        twin = pickle.loads(pickle.dumps(storage))
        assert twin == storage
        assert twin.read("a") == b"1"
        assert twin.put("b", b"2") == "written"
        assert storage.read("b") == b"2"
        assert len(pickle.dumps(storage)) < 1000

    def test_errors_travel(self, storage: Storage) -> None:
        with pytest.raises(ObjectMissing) as caught:
            storage.read("reef/1")
        twin = pickle.loads(pickle.dumps(caught.value))
        assert type(twin) is ObjectMissing
        assert (str(twin), twin.remedy) == (str(caught.value), caught.value.remedy)

    def test_child(self, storage: Storage) -> None:
        reef = storage.child("videos/reef")
        reef.put("frames/1", b"1")
        assert storage.read("videos/reef/frames/1") == b"1"
        assert [info.key for info in reef.list()] == ["frames/1"]
        assert reef.uri("frames/1") == storage.uri("videos/reef/frames/1")
        with pytest.raises(ValueError, match="relative"):
            storage.child("../elsewhere")

    def test_trailing_slash_means_nothing(self, storage: Storage) -> None:
        storage.put("a", b"1")
        assert Storage(storage.root + "/") == storage
        assert Storage(storage.root + "/").read("a") == b"1"

    def test_check_leaves_nothing_behind(self, storage: Storage) -> None:
        storage.check()
        storage.check(write=False)
        assert list(storage.list()) == []

    def test_a_folder_is_no_file(self, storage: Storage, tmp_path: Path) -> None:
        for existing in ("keep", "same", "replace"):
            with pytest.raises(StorageError, match="needs a file"):
                storage.put_file("a", tmp_path, existing=existing)
        assert not storage.exists("a")
