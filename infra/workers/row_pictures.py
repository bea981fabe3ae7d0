"""The pictures that rows name, as a worker gets them: by their address, or, where that holds a secret, from the copy in
the output, which the first worker puts there.

No document holds such an address, and it may be of no use tomorrow. With the copy, frames are rendered again from what
lies in the output alone.
"""

from __future__ import annotations

import hashlib

from infra.storage.layout import picture_key
from infra.storage.storage import ObjectMissing, SourceReader, Storage
from manifests.masking import address_without_secrets, content_mark, has_secret
from renderers.errors import BadInput

__all__ = ["read_picture"]


def read_picture(
    output: Storage, video_id: str, address: str, sha256: str, sources: SourceReader, *,
    changed: str = "changed since the job was planned: start the job again",
) -> bytes:  # fmt: skip
    """Return the bytes of a picture, which must be those that the plan saw; `sources` reads its address, and `changed`
    is said of other bytes there.

    Raises:
        BadInput: they are others, or nothing says where they are.
        StorageError: they can't be read.
    """
    key, secret = picture_key(video_id, sha256), has_secret(address)
    if secret or content_mark(address):
        try:
            return _checked(output.read(key), sha256, f"the copy '{key}' is damaged: delete it")
        except ObjectMissing:
            if not secret:
                raise BadInput(
                    f"picture '{address}' of video '{video_id}': its address held a secret and is kept nowhere, and "
                    f"there is no copy of it: put the picture's file, as it was, at '{output.uri(key)}'"
                ) from None
    shown = address_without_secrets(address)
    data = _checked(sources.read(address), sha256, f"'{shown}' {changed}")
    if secret:
        output.put(key, data, existing="keep")
    return data


def _checked(data: bytes, sha256: str, complaint: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BadInput(complaint)
    return data
