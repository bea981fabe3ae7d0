"""Presets of one's own, which rows name by their files: read when the row is planned, and filled into it, so that
workers need no file, and a plan in storage stays what it was."""

from __future__ import annotations

from infra.storage.storage import ObjectMissing, SourceReader, StorageError, StorageUnavailable, input_address
from manifests.masking import address_without_secrets
from manifests.own_presets import read_preset
from manifests.results import ManifestError
from manifests.schema import ManifestRow
from manifests.schema.presets import Preset, is_file
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.frame_plan.resolution import fill

__all__ = ["PresetFiles"]


class PresetFiles:
    """Reads each file once for all rows of a plan; safe to share by threads."""

    def __init__(self, reader: SourceReader, folder: str | None = None) -> None:
        """`folder` is the manifest's, from which paths begin; None for the folder that one is in."""
        self._reader, self._folder = reader, folder
        self._known: dict[str, Preset | str] = {}

    def filled(self, row: ManifestRow) -> ManifestRow:
        """Return `row` with what it leaves unset as its file says; as it is where it names none.

        Raises:
            BadInput: the file can't be read, may not be, or is no preset; or a value does not go with one of its.
            StorageUnavailable: where it lies can't be read now.
        """
        if row.preset is None or not is_file(row.preset):
            return row
        address = input_address(row.preset, self._folder, self._reader.policy)
        if address not in self._known:
            self._known[address] = self._read(address)
        found = self._known[address]
        if isinstance(found, str):
            raise BadInput(f"preset of video '{row.video_id}': {found}")
        return fill(row, found)

    def _read(self, address: str) -> Preset | str:
        """The preset in a file, or what is wrong with it."""
        shown = short(address_without_secrets(address), 300)
        try:
            return read_preset(self._reader.read(address), shown)
        except ManifestError as error:
            return str(error)
        except ObjectMissing:
            return f"'{shown}' does not exist: put it there, or correct the row"
        except StorageUnavailable as error:
            raise type(error)(f"preset '{shown}' can't be read: {error.message}", error.remedy) from error
        except StorageError as error:
            return f"'{shown}' can't be read: {error}"
