"""Whatever becomes of a stored frame's bytes: neither the report nor a re-run that looks at it breaks."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from flows.job.reruns import UntilSame
from flows.job.video_report import _poster
from flows.report.posters import embed
from flows.watch.pictures import Thumbnails
from infra.storage.layout import frame_key
from infra.storage.storage import Storage, StorageError
from infra.workers.stored_frames import read_frame
from renderers.pictures.errors import PICTURE_ERRORS
from tests.helpers.limited import cost_of
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


@pytest.mark.parametrize("kind", ["device", "pipe", "sparse", "pixels"])
def test_what_lies_under_a_frames_key_costs_no_memory_and_no_time(tmp_path: Path, kind: str) -> None:
    """A link to /dev/zero was read until the memory was full, a pipe was an empty frame."""
    output = Storage(str(tmp_path))
    output.put(KEY, b"-")
    place = tmp_path / KEY
    place.unlink()
    match kind:
        case "device":
            place.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(place)
        case "sparse":
            with place.open("wb") as file:
                file.truncate(1 << 40)
        case "pixels":
            Image.new("L", (13_000, 13_000)).save(place, "PNG")
    cost = cost_of(look_at_frame, str(tmp_path), memory=450_000_000, seconds=20)
    assert cost.error == "FrameCorrupt"
    assert re.search("is no file|has more than .* bytes|has 13000 x 13000 pixels", cost.said)
    assert cost.memory < 250_000_000


def look_at_frame(root: str) -> None:
    """Whatever reads frames of an output, the last of all one that renders what starts from it."""
    output = Storage(root)
    assert _poster(output, WORK, [0]) is None
    assert UntilSame(output, WORK.plan, 0)._picture(KEY) is None
    with contextlib.suppress(StorageError):
        assert Thumbnails(output).get("reef", 0, WORK.frames[0].digest) is None
    read_frame(output, "reef", 0, WORK.frames[0].digest)


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
