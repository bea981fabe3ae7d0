"""The pictures that rows name, as a plan knows them: by the digest of their bytes, and as pictures that can be used."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping

from infra.storage.storage import ObjectMissing, SourceReader, StorageError, StorageUnavailable, absolute_uri
from manifests.masking import address_without_secrets, content_mark
from manifests.schema import Address, ManifestRow, addresses_of
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.pictures.reading import check_picture

__all__ = ["PictureDigests"]

IN_MEMORY = 1 << 20  # bytes of a picture; the rest of a larger one is on disk while its head is looked at


class PictureDigests:
    """Reads each picture once for all rows of a plan; safe to share by threads."""

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader
        self._known: dict[str, str] = {}

    def of(self, row: ManifestRow) -> Mapping[str, str]:
        """Return the SHA-256 of every picture that `row` names, by its address.

        Raises:
            BadInput: one can't be read, may not be, or is no picture; the message names the column and what to do.
            StorageUnavailable: where it lies can't be read, now (StorageBusy) or until somebody repairs it.
        """
        return {it.address: self._digest(it, row.video_id) for it in addresses_of(row)}

    def _digest(self, named: Address, video_id: str) -> str:
        uri = named.address
        what = f"{named.place} '{_shown(uri)}' of video '{video_id}'"
        if content_mark(uri):
            raise BadInput(f"{what} is what documents keep of an address that held a secret: give the address itself")
        try:
            if uri not in self._known:
                self._known[uri] = self._read(uri)
            return self._known[uri]
        except ObjectMissing as error:
            raise BadInput(f"{what} does not exist: put it there, or correct the row") from error
        except StorageUnavailable as error:
            raise type(error)(f"{what} can't be read: {error.message}", error.remedy) from error
        except StorageError as error:
            raise BadInput(f"{what} can't be read: {error}") from error
        except BadInput as error:
            raise BadInput(f"{named.place} of video '{video_id}': {error}") from error

    def _read(self, uri: str) -> str:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:

            def again() -> None:
                file.seek(0)
                file.truncate()

            self._reader.pour(absolute_uri(uri), file.write, again)
            file.seek(0)
            check_picture(file, _shown(uri))
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(uri: str) -> str:
    return short(address_without_secrets(uri), 300)
