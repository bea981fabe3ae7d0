"""The pictures that rows name, as a plan knows them: by the digest of their bytes, and as pictures that can be used."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping

from flows.job.named_files import reading_named, shown
from infra.storage.storage import SourceReader, absolute_uri
from manifests.schema import Address, ManifestRow, addresses_of
from renderers.pictures.masks import MaskPicture, read_mask
from renderers.pictures.reading import check_picture, read_rgb

__all__ = ["PictureDigests"]

IN_MEMORY = 1 << 20  # bytes of a picture; the rest of a larger one is on disk while its head is looked at


class PictureDigests:
    """Reads each picture once for all rows of a plan; safe to share by threads."""

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader
        self._known: dict[str, str] = {}
        self._masks: dict[str, MaskPicture] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def of(self, row: ManifestRow) -> Mapping[str, str]:
        """Return the SHA-256 of every picture that `row` names, by its address.

        Raises:
            BadInput: one can't be read, may not be, or is no picture; the message names the column and what to do.
            StorageUnavailable: where it lies can't be read, now (StorageBusy) or until somebody repairs it.
        """
        return {it.address: self._digest(it, row.video_id) for it in addresses_of(row) if it.is_picture}

    def size(self, row: ManifestRow) -> tuple[int, int]:
        """Return width and height, as it is shown, of the picture that `row` has its size from.

        Raises:
            BadInput: it can't be read.
            StorageUnavailable: as `of`.
        """
        uri = row.init_image
        assert uri is not None  # the schema sees to it
        with reading_named(Address("init_image", uri), row.video_id):
            if uri not in self._sizes:
                self._sizes[uri] = read_rgb(self._reader.read(absolute_uri(uri)), shown(uri)).size
            return self._sizes[uri]

    def check_mask(self, row: ManifestRow, unit: int) -> None:
        """Look at the mask of a resolved `row`, if it has one, whose model draws tokens of `unit` pixels.

        Raises:
            BadInput: it can't be read, has another shape than the frames, or lets nothing change.
            StorageUnavailable: as `of`.
        """
        if row.mask is None:
            return
        with reading_named(Address("mask", row.mask), row.video_id):
            if row.mask not in self._masks:
                self._masks[row.mask] = read_mask(self._reader.read(absolute_uri(row.mask)), shown(row.mask))
            self._masks[row.mask].check(row.width, row.height, unit)

    def _digest(self, named: Address, video_id: str) -> str:
        uri = named.address
        with reading_named(named, video_id):
            if uri not in self._known:
                self._known[uri] = self._read(uri)
            return self._known[uri]

    def _read(self, uri: str) -> str:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:

            def again() -> None:
                file.seek(0)
                file.truncate()

            self._reader.pour(absolute_uri(uri), file.write, again)
            file.seek(0)
            check_picture(file, shown(uri))
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
