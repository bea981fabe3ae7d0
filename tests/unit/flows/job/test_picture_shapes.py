"""Rows whose frames have the shape of their picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flows.api.rendering import prepare
from flows.job.load_work import load_work
from flows.planning.remaining import VideoWork
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.picture_shapes import shaped
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

EMBEDDED = Registry().entry("embedded")  # 64 x 64 pixels unless a row says otherwise


def picture(width: int, height: int, **how: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(target, format="JPEG", **how)
    return target.getvalue()


def turned(width: int, height: int) -> bytes:
    """As a telephone held upright writes it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(width, height, exif=exif)


PICTURES = {
    "wide.jpg": picture(400, 100), "upright.jpg": turned(400, 100), "square.jpg": picture(30, 30),
    "line.jpg": picture(1500, 20), "broken.jpg": picture(40, 40)[:80],
}  # fmt: skip


def row(name: str, **columns: Any) -> ManifestRow:
    given = {"video_id": name.split(".")[0], "prompt": "a red apple", "init_image": name, "size_from": "init_image"}
    return ManifestRow.model_validate(given | columns)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in PICTURES.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def planned(folder: Path, *rows: ManifestRow) -> list[VideoPlan | str]:
    output = Storage(str(folder / "out"))
    found = load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None, folder=str(folder))
    return [it.plan if isinstance(it, VideoWork) else str(it[1]) for it in found]


def test_a_frame_has_its_pictures_shape_and_the_rows_number_of_pixels(folder: Path) -> None:
    rows = [row("wide.jpg"), row("upright.jpg"), row("square.jpg"), row("wide.jpg", video_id="large", width=256)]
    sizes = [(it.row.width, it.row.height) for it in planned(folder, *rows) if isinstance(it, VideoPlan)]
    assert sizes == [(128, 32), (32, 128), (64, 64), (256, 64)]


def test_it_is_the_frame_of_a_row_that_says_so_itself(folder: Path) -> None:
    said = row("wide.jpg", video_id="said", size_from="row", width=128, height=32)
    by_picture, by_hand = planned(folder, row("wide.jpg"), said)
    assert isinstance(by_picture, VideoPlan)
    assert isinstance(by_hand, VideoPlan)
    assert by_picture.digests == by_hand.digests
    assert by_picture.row.size_from == "row"  # what is stored says what it came to


def test_a_row_by_itself_is_shaped_as_one_of_a_job_is(folder: Path) -> None:
    plan = prepare(row("upright.jpg", init_image=str(folder / "upright.jpg"))).plan
    assert (plan.row.width, plan.row.height) == (32, 128)


def test_what_can_be_no_frame_costs_its_row_and_no_other(folder: Path) -> None:
    rows = [row("line.jpg", width=512, height=512), row("broken.jpg"), row("none.jpg"), row("square.jpg")]
    line, broken, none, good = planned(folder, *rows)
    assert "size_from init_image of video 'line': a picture of 1500 x 20 pixels makes frames of 4436 x 60" in str(line)
    assert "product is kept" in str(line)
    assert "init_image of video 'broken'" in str(broken)
    assert "does not exist" in str(none)
    assert isinstance(good, VideoPlan)


def test_it_takes_a_picture_and_a_job() -> None:
    with pytest.raises(ValueError, match="shape of init_image, but none is given"):
        ManifestRow.model_validate({"video_id": "a", "prompt": "b", "size_from": "init_image"})
    with pytest.raises(BadInput, match="the size of video 'wide' is its init_image's, which has not been read"):
        VideoPlan.of(row("wide.jpg"), entry=EMBEDDED)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 128, 512]))
def test_any_picture_makes_a_frame_of_its_shape_or_is_refused(width: int, height: int, side: int) -> None:
    asked, unit = row("any.jpg", width=side, height=side), EMBEDDED.downsampling
    ideals = side * (width / height) ** 0.5, side * (height / width) ** 0.5
    try:
        found = shaped(asked, EMBEDDED, (width, height))
    except BadInput:
        assert min(ideals) < 16 or max(ideals) > 4096
        return
    for pixels, ideal in zip((found.width, found.height), ideals, strict=True):
        assert pixels % unit == 0
        assert abs(pixels - ideal) <= unit / 2
