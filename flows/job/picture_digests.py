"""The pictures that rows name, as a plan knows them: by the digest of their bytes, and as pictures that can be used."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping

from flows.job.named_files import reading_named, shown
from infra.storage.storage import SourceReader, absolute_uri
from manifests.schema import Address, ManifestRow, addresses_of
from renderers.pictures.masks import MaskPicture, read_mask
from renderers.pictures.reading import check_picture, read_rgb

__all__ = ["PictureDigests", "check_masks"]

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

    def check_masks(self, row: ManifestRow, unit: int) -> None:
        """Look at the masks of a resolved `row`, if it has any, whose model draws tokens of `unit` pixels.

        Raises:
            BadInput: one can't be read, has another shape than the frames, or lets nothing change.
            StorageUnavailable: as `of`.
        """
        check_masks(row, unit, self._mask)

    def _mask(self, uri: str) -> MaskPicture:
        if uri not in self._masks:
            self._masks[uri] = read_mask(self._reader.read(absolute_uri(uri)), shown(uri))
        return self._masks[uri]

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


def check_masks(row: ManifestRow, unit: int, read: Callable[[str], MaskPicture]) -> None:
    """Look at the masks of a resolved `row`, and of its regions, which `read` gives by their addresses.

    Raises:
        BadInput: one has another shape than the frames, or no white as large as a token of `unit` pixels; and what
            `read` raises.
    """
    for named in addresses_of(row):
        if named.column in ("mask", "regions"):
            with reading_named(named, row.video_id):
                found = read(named.address)
                if named.region is None:
                    found.check(row.width, row.height, unit)
                else:
                    found.check(row.width, row.height, unit, "the region would be nowhere. White is where it is")
