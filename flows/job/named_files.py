"""What is said of a file that a row names and that can't be had: which column of which video, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from infra.storage.storage import ObjectMissing, StorageError, StorageUnavailable
from infra.video.errors import FilmInvalid, SoundInvalid
from manifests.masking import address_without_secrets, content_mark
from manifests.schema import Address
from manifests.schema.texts import short
from renderers.errors import BadInput

__all__ = ["reading_named", "shown"]


def shown(uri: str) -> str:
    """Return an address for messages, without what opens it."""
    return short(address_without_secrets(uri), 300)


@contextmanager
def reading_named(named: Address, video_id: str, *, copied: bool = False) -> Iterator[None]:
    """Read a file that a row of `video_id` names; `copied`: the output may hold a copy of what had a secret address.

    Raises:
        BadInput: it can't be read, may not be, or is not what the column wants.
        StorageUnavailable: where it lies can't be read, now (StorageBusy) or until somebody repairs it.
    """
    what = f"{named.place} '{shown(named.address)}' of video '{video_id}'"
    if content_mark(named.address) and not copied:
        raise BadInput(f"{what} is what documents keep of an address that held a secret: give the address itself")
    try:
        yield
    except ObjectMissing as error:
        raise BadInput(f"{what} does not exist: put it there, or correct the row") from error
    except StorageUnavailable as error:
        raise type(error)(f"{what} can't be read: {error.message}", error.remedy) from error
    except StorageError as error:
        raise BadInput(f"{what} can't be read: {error}") from error
    except (BadInput, FilmInvalid, SoundInvalid) as error:
        raise BadInput(f"{named.place} of video '{video_id}': {error}") from error
