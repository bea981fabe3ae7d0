"""Masks of rows, when these are planned: a wrong one is its row's problem, known before anything is rendered."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.api.rendering import prepare
from flows.job.load_work import load_work
from flows.planning.remaining import VideoWork
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row


def picture(size: tuple[int, int], colour: Any, mode: str = "RGB", kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, colour).save(target, format=kind)
    return target.getvalue()


WRONG = {
    "black.png": (picture((64, 64), "black"), r"'.*black.png' is black all over: nothing could change"),
    "wide.png": (picture((128, 64), "white"), r"128 x 64 pixels, where they have 64 x 64: crop it, or scale it"),
    "film.mp4": (b"\x00\x00\x00\x20ftypisom" + b"\0" * 200, r"is not a picture that can be read"),
    "line.png": (picture((20_000, 20), "white"), r"differ by more than 100 times"),
    "none.png": (None, r"does not exist"),
}


def masked(video_id: str, mask: str) -> ManifestRow:
    return ManifestRow(video_id=video_id, prompt="a red apple", init_image="init.png", mask=mask)


def with_region(video_id: str, mask: str) -> ManifestRow:
    regions = [{"mask": "clear.png", "prompts": "a sea"}, {"mask": mask, "prompts": "a sky"}]
    return ManifestRow.model_validate({"video_id": video_id, "prompt": "a red apple", "regions": regions})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (data, _) in WRONG.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    (tmp_path / "init.png").write_bytes(picture((64, 64), "red"))
    (tmp_path / "clear.png").write_bytes(picture((640, 640), (0, 0, 0, 0), "RGBA"))
    (tmp_path / "white.gif").write_bytes(picture((65, 64), "white", kind="GIF"))
    return tmp_path


@pytest.mark.parametrize(("row_of", "place"), [(masked, "mask"), (with_region, r"regions\[1\].mask")])
def test_a_wrong_mask_costs_its_row_and_no_other(
    folder: Path, row_of: Callable[[str, str], ManifestRow], place: str
) -> None:
    rows = [row_of(f"v{number}", name) for number, name in enumerate(WRONG)]
    rows += [row_of("clear", "clear.png"), row_of("white", "white.gif"), quick_row("apple")]
    found = list(
        load_work(
            Storage(str(folder / "out")), rows, Registry(), chunk_seconds=60, range_frames=None, folder=str(folder)
        )
    )
    for result, (_, said) in zip(found, WRONG.values(), strict=False):
        assert isinstance(result, tuple)
        row, error = result
        assert isinstance(error, BadInput)
        if place != "mask":
            said = said.replace("nothing could change", "the region would be nowhere")
        with pytest.raises(BadInput, match=rf"{place} .*of video '{row.video_id}'.*{said}|{place} of video.*{said}"):
            raise error
    assert all(isinstance(it, VideoWork) for it in found[len(WRONG) :])


@pytest.mark.parametrize("name", ["black.png", "wide.png"])
def test_a_preview_says_the_same(folder: Path, name: str) -> None:
    row = masked("reef", str(folder / name)).model_copy(update={"init_image": str(folder / "init.png")})
    with pytest.raises(BadInput, match=WRONG[name][1]):
        prepare(row)
    region = [{"mask": str(folder / name), "prompts": "a sky"}]
    row = ManifestRow.model_validate({"video_id": "reef", "prompt": "a red apple", "regions": region})
    with pytest.raises(BadInput, match=r"regions\[0\].mask of video 'reef'"):
        prepare(row)
