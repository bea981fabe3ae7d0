"""Whatever becomes of a stored frame's bytes: neither the report nor a re-run that looks at it breaks."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from flows.job.reruns import UntilSame
from flows.job.video_report import _poster
from flows.report.posters import embed
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from renderers.picture_errors import PICTURE_ERRORS
from tests.helpers.planned_work import work_of

WORK = work_of("reef", 1)
KEY = frame_key("reef", 0, WORK.frames[0].digest)


def picture() -> bytes:
    """A frame's PNG, small, with texts as frames have them."""
    info = PngImagePlugin.PngInfo()
    info.add_text("provenance", "{}")
    info.add_text("tokens", "a" * 40, zip=True)
    stream = io.BytesIO()
    pixels = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def damaged(png: bytes) -> Iterator[bytes]:
    """Every bit flipped once, and every length that a write could have broken off at."""
    for place in range(len(png)):
        yield png[:place]
        for bit in range(8):
            yield png[:place] + bytes([png[place] ^ 1 << bit]) + png[place + 1 :]


@pytest.fixture(scope="module")
def wrecks() -> list[bytes]:
    return list(damaged(picture()))


def test_the_wrecks_break_pillow_in_several_ways_and_all_of_them_are_known(wrecks: list[bytes]) -> None:
    seen: set[type[BaseException]] = set()
    for wreck in wrecks:
        try:
            with Image.open(io.BytesIO(wreck)) as image:
                image.convert("RGB")
        except PICTURE_ERRORS as error:
            seen.add(type(error))
    assert {ValueError, Image.UnidentifiedImageError} <= seen  # ValueError: "Truncated IHDR chunk"


def test_a_report_and_a_rerun_do_without_a_picture_that_is_damaged(wrecks: list[bytes]) -> None:
    output = Storage("memory://damaged-pictures")
    comparison = UntilSame(output, WORK.plan, first=0)
    outcomes = set()
    for wreck in [picture(), *wrecks]:
        output.put(KEY, wreck, existing="replace")
        poster, read, embedded = _poster(output, WORK, [0]), comparison._picture(KEY), embed(wreck, 10_000)
        assert poster is None or poster.startswith(b"\x89PNG")
        assert read is None or read.shape[2] == 3
        outcomes.add((poster is None, read is None, embedded is None))
    # `embed` looks at the head alone
    assert outcomes == {(False, False, False), (True, True, True), (True, True, False)}
