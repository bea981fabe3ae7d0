"""The films that rows are drawn over, as a plan knows them: their frames prepared, at the size of the row, beside the
frames of the video.

A film is prepared before its video is planned. What decides a frame is then the hash of the pixels that it is drawn
over, no matter from which file they came: a film that is cut otherwise at its end, copied or packed anew keeps the
frames that it shares with the former one. (Were it the file's hash and the frame's time, each such change would render
all anew; and two machines whose decoders differ by a level would render two pictures under one address.)

Objects are named by number and pixels, so that whoever prepares once more, after having been killed or beside somebody
else, puts what is missing only. What was found is put last, as a list: with it, and all that it names there, a film is
not decoded again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from flows.job.named_files import reading_named, shown
from infra.storage.layout import source_frame_key, source_list_key
from infra.storage.picture_lists import in_order, is_list, listed_pictures
from infra.storage.storage import ObjectMissing, SourceReader, Storage, absolute_uri
from infra.video.encoding import exact_rate
from infra.video.errors import FilmInvalid
from infra.video.film import Taken, film_pictures, look
from infra.video.png_sequence import encode_png
from manifests.schema import Address, ManifestRow
from manifests.schema.describe import wrong_in
from manifests.schema.source import HASH, MOST_FRAMES
from renderers.canonical import sha256_of
from renderers.errors import BadInput, Stopped
from renderers.pictures.fitting import fitted_to
from renderers.pictures.reading import PICTURE_SUFFIXES, check_picture, read_rgb

__all__ = ["Films", "pixel_hash"]

# What is prepared the same way: raise it when a change of code changes the pixels of prepared frames.
PREPARED = 1

AT_ONCE = 2
"""films: each is decoded by some processors, and lies on the disk meanwhile"""
PUTS = 8
"""frames of a film that are packed and put at a time: what is in memory of it"""

Picture = NDArray[np.uint8]


def pixel_hash(picture: Picture) -> str:
    """What a prepared frame `(height, width, 3)` uint8 is known by."""
    height, width = picture.shape[:2]
    return hashlib.sha256(b"%dx%d\n" % (width, height) + picture.tobytes()).hexdigest()[:HASH]


@dataclass(frozen=True)
class _Found:
    fps: Fraction
    frames: tuple[str, ...]


class Films:
    """Prepares the films of a job's rows; safe to share by threads."""

    def __init__(
        self, reader: SourceReader, output: Storage, *, write: bool = True, most_frames: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Put frames into `output`, unless it is not to `write`: then films are looked through, and leave no trace. A
        video may have `most_frames`. `say` hears which film is prepared."""
        self._reader, self._films, self._output, self._write = reader, reader.for_films(), output, write
        self._most, self._say = min(most_frames or MOST_FRAMES, MOST_FRAMES), say
        self._turn = threading.Semaphore(AT_ONCE)
        self._closed = threading.Event()

    def close(self) -> None:
        """Have whoever prepares end after the frame at hand."""
        self._closed.set()

    def found(self, row: ManifestRow, *, only: int | None = None) -> tuple[ManifestRow, dict[str, str]]:
        """Return a resolved `row` with what its film holds, and the SHA-256 of the film's bytes (of several files, of
        theirs) by its address; the row as it is, and none, where it names no film. `only` the first so many frames are
        looked for where nobody wants more.

        Raises:
            BadInput: the film can't be read, may not be, or is none; or it has fewer frames than the row.
            StorageUnavailable: where it lies can't be read.
            StorageError: its frames can't be put.
            Stopped: it was closed meanwhile.
        """
        uri = row.source.video
        if uri is None:
            return row, {}
        with self._turn, tempfile.TemporaryDirectory(prefix="nightreel-film-") as folder:
            with reading_named(Address("source", uri), row.video_id):
                film = self._opened(uri, Path(folder))
            wanted = self._wanted(row)
            if only is not None:
                wanted = min(only, wanted or only)
            rate = self._rate(row, film)
            recipe = sha256_of({
                "prepared": PREPARED, "film": film.sha256, "width": row.width, "height": row.height,
                "start": row.source.start, "rate": str(rate), "fit": row.source.fit, "frames": wanted,
            })  # fmt: skip
            there = {it.key for it in self._output.list(f"{row.video_id}/source/", ours=True)}
            found = self._stored(row.video_id, recipe, there)
            if found is None:
                self._say(f"preparing '{shown(uri)}' for video '{row.video_id}'")
                found = self._prepared(row, film, rate, wanted, there)
                if self._write:
                    document = {"fps": str(found.fps), "frames": "".join(found.frames), "film": film.sha256}
                    data = json.dumps(document, sort_keys=True).encode()
                    self._output.put(source_list_key(row.video_id, recipe), data, existing="replace")
        return _with(row, found), {uri: film.sha256}

    # -- inside --------------------------------------------------------------------------------------------------

    def _wanted(self, row: ManifestRow) -> int | None:
        """How many frames the row wants; None: as many as there are."""
        return None if row.length_of_film else row.frames

    def _rate(self, row: ManifestRow, film: _Film) -> Fraction:
        """Frames per second that are taken of the film. Pictures follow each other at the video's rate."""
        if row.source.fps is not None:
            if film.rate is None:
                raise BadInput(
                    f"source.fps {row.source.fps:g} of video '{row.video_id}': pictures have no rate of their own, "
                    "each becomes a frame of the video: leave it out, and give fps"
                )
            return exact_rate(row.source.fps)
        return exact_rate(row.fps) if "fps" in row.model_fields_set or film.rate is None else film.rate

    def _stored(self, video_id: str, recipe: str, there: Collection[str]) -> _Found | None:
        """What was found when the film was prepared before, if all of it is there."""
        key = source_list_key(video_id, recipe)
        if key not in there:
            return None
        try:
            document = json.loads(self._output.read(key))
            frames, fps = str(document["frames"]), Fraction(document["fps"])
        except (ObjectMissing, ValueError, KeyError, TypeError, ZeroDivisionError):
            return None  # it is put anew
        hashes = tuple(frames[at : at + HASH] for at in range(0, len(frames), HASH))
        complete = all(source_frame_key(video_id, index, it) in there for index, it in enumerate(hashes))
        return _Found(fps, hashes) if complete and hashes else None

    def _prepared(
        self, row: ManifestRow, film: _Film, rate: Fraction, wanted: int | None, there: Collection[str]
    ) -> _Found:
        most = self._most if wanted is None else wanted
        assert row.source.video is not None
        hashes: list[str] = []
        putting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(PUTS, thread_name_prefix="film") as threads:
            try:
                with reading_named(Address("source", row.source.video), row.video_id):
                    for picture in film.pictures(row, rate, most + (wanted is None)):
                        if self._closed.is_set():
                            raise Stopped(f"stopped while the film of video '{row.video_id}' was prepared")
                        if len(hashes) == most:
                            raise BadInput(_too_long(row, most))
                        hashes.append(pixel_hash(picture))
                        key = source_frame_key(row.video_id, len(hashes) - 1, hashes[-1])
                        if self._write and key not in there:
                            putting.append(threads.submit(self._put, key, picture))
                        while len(putting) > PUTS:
                            putting.popleft().result()
                for it in putting:
                    it.result()
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        return _Found(rate, tuple(hashes))

    def _put(self, key: str, picture: Picture) -> None:
        self._output.put(key, encode_png(picture), existing="keep")

    # -- the film's files ----------------------------------------------------------------------------------------

    def _opened(self, uri: str, folder: Path) -> _Film:
        address = absolute_uri(uri)
        if is_list(address):
            return self._folder(address)
        path = folder / "film"
        sha256 = self._fetched(address, path)
        if zipfile.is_zipfile(path):
            return _zip(path, sha256, shown(uri), self._reader.policy.most_bytes)
        name = shown(uri)
        _refuse_picture(path, name)
        seen = look(path, name)

        def pictures(row: ManifestRow, rate: Fraction, most: int) -> Iterator[Picture]:
            source = row.source
            return film_pictures(path, name, seen, Taken(row.width, row.height, source.fit, source.start, rate, most))

        return _Film(sha256, seen.rate, pictures)

    def _fetched(self, address: str, path: Path) -> str:
        with path.open("wb+") as file:

            def again() -> None:
                file.seek(0)
                file.truncate()

            self._films.pour(address, file.write, again)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _folder(self, address: str) -> _Film:
        names = listed_pictures(address, PICTURE_SUFFIXES, self._reader.policy, most=MOST_FRAMES)
        digest = hashlib.sha256()
        # each is read twice, and none is kept: the first time for what all of them are known by
        for name in names:
            digest.update(hashlib.sha256(self._reader.read(name)).digest())

        def read(name: str) -> bytes:
            return self._reader.read(name)

        return _Film(digest.hexdigest(), None, lambda row, rate, most: _fitted(names, read, row, rate, most))


@dataclass(frozen=True)
class _Film:
    """A film that is open: what its bytes are known by, its rate (None for pictures, which have none), and what is
    taken of it: at a rate, from `source.start` on, at most so many."""

    sha256: str
    rate: Fraction | None
    pictures: Callable[[ManifestRow, Fraction, int], Iterator[Picture]]


def _zip(path: Path, sha256: str, name: str, most_bytes: int) -> _Film:
    """The pictures of a zip, one of which is in memory at a time, and no more of it than a picture may have."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = in_order(
                it.filename
                for it in archive.infolist()
                if not it.is_dir()
                and it.filename.lower().endswith(tuple(PICTURE_SUFFIXES))
                and not Path(it.filename).name.startswith(".")
            )
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise FilmInvalid(f"'{name}' is a zip that can't be read: {error}") from error
    if not names:
        raise FilmInvalid(f"'{name}' is a zip without a picture: pack PNGs, or name a film")

    def pictures(row: ManifestRow, rate: Fraction, most: int) -> Iterator[Picture]:
        with zipfile.ZipFile(path) as archive:

            def read(member: str) -> bytes:
                try:
                    with archive.open(member) as file:
                        data = file.read(most_bytes + 1)
                except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
                    raise FilmInvalid(f"'{name}': its picture '{member}' can't be unpacked: {error}") from error
                if len(data) > most_bytes:
                    raise FilmInvalid(
                        f"'{name}': its picture '{member}' has more than {most_bytes / 1e6:,.6g} MB, the most that is "
                        "read of one"
                    )
                return data

            yield from _fitted(names, read, row, rate, most)

    return _Film(sha256, None, pictures)


def _fitted(
    names: list[str], read: Callable[[str], bytes], row: ManifestRow, rate: Fraction, most: int
) -> Iterator[Picture]:
    first = round(row.source.start * rate)
    if first >= len(names):
        raise FilmInvalid(f"source.start {row.source.start:g} lies behind the last of its {len(names):,} pictures")
    for name in names[first : first + most]:
        picture = read_rgb(read(name), shown(name))
        yield fitted_to(picture, row.width, row.height, row.source.fit)


def _refuse_picture(path: Path, name: str) -> None:
    with path.open("rb") as file:
        if file.read(4) == b"GIF8":  # which may move
            return
        file.seek(0)
        try:
            check_picture(file, name)
        except BadInput:
            return
    raise FilmInvalid(
        f"'{name}' is a picture, and no film: name a film, or a folder of pictures; a still starts from a picture by "
        "init_image"
    )


def _too_long(row: ManifestRow, most: int) -> str:
    return (
        f"the film of video '{row.video_id}' has more than {most:,} frames from source.start {row.source.start:g} on, "
        "the most that a job plans of a video: give frames or seconds, and cut it into several videos by source.start"
    )


def _with(row: ManifestRow, found: _Found) -> ManifestRow:
    """`row` with what was found; checked again, now that it is known."""
    source = row.source.model_dump(exclude_unset=True)
    source |= {"found": {"fps": float(found.fps), "frames": "".join(found.frames)}}
    try:
        return ManifestRow.model_validate(row.model_dump(exclude_unset=True) | {"source": source})
    except ValidationError as error:
        raise BadInput(
            f"video '{row.video_id}' does not go with its film '{shown(row.source.video or '')}': {wrong_in(error)}"
        ) from error
