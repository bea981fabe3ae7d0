"""The sound that rows name, as a plan knows it: the digest of its bytes, how long it is, and what schedules take from
it, a value per frame."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from pydantic import ValidationError

from flows.job.named_files import reading_named, shown
from infra.storage.storage import SourceReader, Storage, absolute_uri
from infra.video.encoding import exact_rate
from infra.video.signals import Track
from infra.video.sound import listen
from infra.workers.row_pictures import read_picture
from manifests.schema import Address, ManifestRow
from manifests.schema.audio import BAND, heard_values, signals_used
from manifests.schema.describe import wrong_in
from renderers.errors import BadInput

__all__ = ["MOST_VALUES", "Sounds", "require_sound", "sound_bytes"]

MOST_VALUES = 1_000_000
"""of one row: it travels to workers with each of its frames"""

_REMEMBERED = 16  # tracks
_REMEMBERED_BYTES = 100_000_000  # of all of them but the last: 12 MB for each hour, and 2.5 for each further band

Bands = tuple[tuple[str, float, float], ...]


class _Key(NamedTuple):
    uri: str
    bands: Bands
    measure: bool


@dataclass(frozen=True)
class _Heard:
    sha256: str
    track: Track


class Sounds:
    """Reads and hears each file once for all rows of a plan; safe to share by threads."""

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader
        self._known: OrderedDict[_Key, _Heard] = OrderedDict()
        self._hearing: dict[_Key, Lock] = {}
        self._lock = Lock()

    def heard(self, row: ManifestRow, *, signals: Collection[str] = ()) -> tuple[ManifestRow, dict[str, str]]:
        """Return a resolved `row` with what its schedules take from its audio, and the SHA-256 of the file's bytes by
        its address; the row as it is, and none, where it names no audio. `signals` are taken as well.

        Raises:
            BadInput: the file can't be read, may not be, or holds no sound; or a value that hangs on it is not allowed.
            StorageUnavailable: where it lies can't be read.
        """
        if row.audio is None:
            return row, {}
        wanted = sorted({*signals_used(row), *signals})
        found = self._found(row, wanted)
        known = _with(row, {"seconds": found.track.seconds})
        if not wanted:
            return _with(row, {"seconds": found.track.seconds, "signals": []}), {row.audio: found.sha256}
        frames = known.frames + known.loop  # the camera of a loop moves on to its first frame
        if len(wanted) * frames > MOST_VALUES:
            raise BadInput(
                f"video '{row.video_id}' takes {len(wanted)} signals of its audio over {known.frames:,} frames; at "
                f"most {MOST_VALUES:,} values are kept: use fewer, or cut it into several videos by audio_start"
            )
        values = found.track.signals(
            fps=exact_rate(known.fps), start=known.audio_start, frames=frames, release=known.audio_release
        )
        taken = [{"name": name, "values": heard_values(values[name])} for name in wanted]
        return _with(row, {"seconds": found.track.seconds, "signals": taken}), {row.audio: found.sha256}

    def file(self, row: ManifestRow) -> tuple[str, float]:
        """Return the SHA-256 of the bytes of a row's audio, and how many seconds it lasts; see `heard` for errors."""
        found = self._found(row)
        return found.sha256, found.track.seconds

    def seconds(self, row: ManifestRow) -> float:
        """Return how long the audio of a row is, from where it begins; see `heard` for errors."""
        return self._found(row).track.seconds - row.audio_start

    def _found(self, row: ManifestRow, wanted: Collection[str] = ()) -> _Heard:
        """The audio of a row, measured for the signals that are `wanted`."""
        assert row.audio is not None
        bands = tuple((it.name, it.low, it.high) for it in row.bands or () if BAND + it.name in wanted)
        key = _Key(row.audio, bands, bool(wanted))
        with self._lock:
            mine = self._hearing.setdefault(key, Lock())
        with mine:
            found = self._known.get(key)
            if found is None:
                with reading_named(Address("audio", row.audio), row.video_id):
                    found = self._hear(key)
                with self._lock:
                    self._known[key] = found
                    self._forget()
            return found

    def _forget(self) -> None:
        """Let the earliest ones go where there are too many; the last one stays."""
        while len(self._known) > 1 and (
            len(self._known) > _REMEMBERED or sum(it.track.bytes for it in self._known.values()) > _REMEMBERED_BYTES
        ):
            self._known.popitem(last=False)

    def _hear(self, key: _Key) -> _Heard:
        with tempfile.NamedTemporaryFile(prefix="nightreel-sound-") as file:

            def again() -> None:
                file.seek(0)
                file.truncate()

            self._reader.pour(absolute_uri(key.uri), file.write, again)
            file.flush()
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            own = {BAND + name: (low, high) for name, low, high in key.bands}
            return _Heard(sha256, listen(Path(file.name), shown(key.uri), own, measure=key.measure))


def sound_bytes(
    output: Storage, row: ManifestRow, images: Mapping[str, str], sources: SourceReader, **said: str
) -> bytes:
    """Return the file of sound that a planned `row` names, as it was heard: by its address, or from the copy in the
    output; `images` has the SHA-256 of its bytes.

    Raises:
        BadInput: it is not there any more, or another one.
        StorageUnavailable: where it lies can't be read.
    """
    assert row.audio is not None
    with reading_named(Address("audio", row.audio), row.video_id, copied=True):
        return read_picture(output, row.video_id, row.audio, images[row.audio], sources, **said)


def require_sound(
    output: Storage, row: ManifestRow, images: Mapping[str, str], sources: SourceReader, *, remedy: str
) -> None:
    """Raise what `sound_bytes` raises, with a `remedy`, where a video that is stitched again would lack its sound: to
    be known before anything is rendered for it."""
    if row.audio is None:
        return
    try:
        sound_bytes(output, row, images, sources, changed="is another file than the one that was heard")
    except BadInput as error:
        raise BadInput(f"{error}; {remedy}") from error


def _with(row: ManifestRow, heard: dict[str, object]) -> ManifestRow:
    """`row` with what was heard; checked again, now that its values are known."""
    try:
        return ManifestRow.model_validate(row.model_dump(exclude_unset=True) | {"heard": heard})
    except ValidationError as error:
        raise BadInput(
            f"video '{row.video_id}' does not go with its audio '{shown(row.audio or '')}': {wrong_in(error)}"
        ) from error
