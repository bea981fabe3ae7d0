"""Films as they are prepared, of pictures: real files, no ffmpeg."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.job.films import Films, pixel_hash
from infra.storage.storage import ReadingPolicy, SourceReader, Storage, StorageError
from manifests.errors import NightreelError
from manifests.schema import ManifestRow
from renderers.errors import BadInput, Stopped

SIDE = 16


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "out"))


def row(video: Path | str, **columns: Any) -> ManifestRow:
    source = {"video": str(video)} | columns.pop("source", {})
    return ManifestRow.model_validate(
        {"video_id": "reef", "prompt": "a reef", "width": SIDE, "height": SIDE, "source": source} | columns
    )


def picture(number: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), 20 * number, np.uint8)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(number)).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(path: Path, *numbers: int, name: Callable[[int], str] = "shot{}.png".format) -> Path:
    path.mkdir(exist_ok=True)
    for number in numbers:
        (path / name(number)).write_bytes(png(number))
    return path


def prepared(output: Storage, video: Path | str, *, write: bool = True, **columns: Any) -> list[int]:
    """The numbers of the pictures that a film was found to hold."""
    films = Films(SourceReader(), output, write=write)
    planned, _ = films.found(row(video, **columns))
    assert planned.source.found is not None
    known = {pixel_hash(picture(number)): number for number in range(13)}
    assert planned.frames <= planned.source.found.count
    return [known[planned.source.found.hash_of(index)] for index in range(planned.source.found.count)]


def keys(output: Storage) -> set[str]:
    return {it.key for it in output.list()}


def test_pictures_are_taken_in_the_order_of_their_numbers(tmp_path: Path, output: Storage) -> None:
    folder = folder_of(tmp_path / "shots", 10, 2, 1, 11, 9, 0)
    (folder / "notes.txt").write_text("not one of them")
    assert prepared(output, folder) == [0, 1, 2, 9, 10, 11]
    assert prepared(output, f"{folder}/shot1*.png") == [1, 10, 11]
    assert prepared(output, folder, frames=2) == [0, 1]
    assert prepared(output, folder, source={"start": 0.125}) == [9, 10, 11]  # three frames at 24 a second


def test_a_zip_is_read_as_a_folder(tmp_path: Path, output: Storage) -> None:
    path = tmp_path / "shots.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in (3, 1, 12, 2):
            archive.writestr(f"shots/frame_{number}.png", png(number))
        archive.writestr("__MACOSX/._frame_1.png", b"not a picture")
    assert prepared(output, path) == [1, 2, 3, 12]


def test_frames_lie_beside_the_video_by_number_and_pixels(tmp_path: Path, output: Storage) -> None:
    folder = folder_of(tmp_path / "shots", 1, 2)
    prepared(output, folder)
    frames = {f"reef/source/{index:06d}-{pixel_hash(picture(number))}.png" for index, number in enumerate((1, 2))}
    lists = keys(output) - frames
    assert keys(output) > frames
    assert len(lists) == 1
    with Image.open(io.BytesIO(output.read(min(frames)))) as image:
        assert (np.asarray(image) == picture(1)).all()


def test_what_is_there_is_not_put_again_and_what_is_missing_is(
    tmp_path: Path, output: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "shots", 1, 2, 3)
    prepared(output, folder)
    put: list[str] = []
    original = Storage.put
    monkeypatch.setattr(Storage, "put", lambda self, key, *a, **k: [put.append(key), original(self, key, *a, **k)][1])
    assert prepared(output, folder) == [1, 2, 3]
    assert put == []  # the list says it all
    gone = f"reef/source/000001-{pixel_hash(picture(2))}.png"
    output.delete(gone)
    assert prepared(output, folder) == [1, 2, 3]
    assert put[:-1] == [gone]
    put.clear()
    folder_of(folder, 4)
    assert prepared(output, folder) == [1, 2, 3, 4]
    assert [it for it in put if it.endswith(".png")] == [f"reef/source/000003-{pixel_hash(picture(4))}.png"]


def test_whoever_only_looks_leaves_no_trace(tmp_path: Path, output: Storage) -> None:
    assert prepared(output, folder_of(tmp_path / "shots", 1, 2), write=False) == [1, 2]
    assert keys(output) == set()


def test_an_interrupted_preparation_ends_soon_and_goes_on(tmp_path: Path, output: Storage) -> None:
    folder = folder_of(tmp_path / "shots", *range(12))
    films = Films(SourceReader(), output)
    films.close()
    with pytest.raises(Stopped):
        films.found(row(folder))
    assert not any(key.endswith(".json") for key in keys(output))
    assert prepared(output, folder) == list(range(12))


def test_a_row_that_wants_more_than_there_is_says_how_many_there_are(tmp_path: Path, output: Storage) -> None:
    with pytest.raises(BadInput, match=r"frames is 5, but the film '.*' has 3"):
        prepared(output, folder_of(tmp_path / "shots", 1, 2, 3), frames=5)


def test_a_job_plans_no_film_that_is_too_long_for_it(tmp_path: Path, output: Storage) -> None:
    films = Films(SourceReader(), output, most_frames=2)
    with pytest.raises(BadInput, match=r"more than 2 frames from source\.start 0 on"):
        films.found(row(folder_of(tmp_path / "shots", 1, 2, 3)))


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a1.png", png(1) + bytes(80_000_000))
    return path


def no_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no picture")
    return path


def made_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("fifo.mp4", made_fifo, "is a pipe"),
        ("gone.mp4", lambda path: path, "does not exist"),
        ("empty", lambda path: folder_of(path), "holds no picture"),
        ("bomb.zip", bomb, "has more than 64 MB, the most that is read of one"),
        ("none.zip", no_zip, "is a zip without a picture"),
        ("still.png", lambda path: written(path, png(1)), "is a picture, and no film"),
        ("broken", lambda path: folder_of(path, 1) and written(path / "shot2.png", b"no").parent, "is not a picture"),
    ],
)
def test_what_is_no_film_costs_one_row(
    tmp_path: Path, output: Storage, name: str, make: Callable[[Path], Path], reason: str
) -> None:
    with pytest.raises(NightreelError) as error:
        prepared(output, make(tmp_path / name))
    assert reason in str(error.value)
    assert "source.video" in str(error.value)
    assert "'reef'" in str(error.value)


def test_a_film_outside_of_what_may_be_read_is_refused(tmp_path: Path, output: Storage) -> None:
    allowed, secret = tmp_path / "allowed", folder_of(tmp_path / "secret", 1, 2)
    allowed.mkdir()
    (allowed / "link").symlink_to(secret)
    films = Films(SourceReader(ReadingPolicy(roots=(str(allowed),))), output)
    for video in (secret, allowed / "link", f"{secret}/*.png", f"{allowed}/../secret"):
        with pytest.raises((BadInput, StorageError), match=r"outside of what a run of the server may read|'\.\.'"):
            films.found(row(video))
    assert keys(output) == set()


def test_pictures_have_no_rate_of_their_own(tmp_path: Path, output: Storage) -> None:
    with pytest.raises(BadInput, match="pictures have no rate of their own"):
        prepared(output, folder_of(tmp_path / "shots", 1), source={"fps": 12})
