"""What documents say of a plan: its row and the digests of its pictures, with addresses that open nothing.

Plans, the provenance of frames and of videos are read by whoever reads an output, and an address may sign in whoever
has it. A picture whose address held a secret is named by what is left of it and its digest
(`manifests.masking.reference`); its content lies in the output itself, so that its frames can be rendered again.
"""

from __future__ import annotations

from typing import Any

from manifests.masking import address_without_secrets, reference
from manifests.schema import with_addresses
from renderers.canonical import json_safe
from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["plan_document"]


def plan_document(plan: VideoPlan, *, heard: bool = True) -> dict[str, Any]:
    """The `row` of a plan and its `images`, digests by address, as plain values; without what was `heard` in its audio,
    or found in its film, where that is not asked for: it is a value for each frame."""
    names = {address: reference(address, sha256) for address, sha256 in plan.images.items()}
    # who renders a frame knows the digests of pictures alone
    row = with_addresses(plan.row, lambda address: names.get(address) or address_without_secrets(address))
    # a row with both is refused, and this one is read again
    without = {*(["crossfade"] if row.travel else []), *([] if heard else ["heard"])}
    if not heard and plan.row.source.found is not None:
        row = row.model_copy(update={"source": row.source.model_copy(update={"found": None})})
    return {
        "row": json_safe(row.model_dump(mode="json", exclude_none=True, exclude=without)),
        "images": {names[address]: sha256 for address, sha256 in plan.images.items()},
    }
