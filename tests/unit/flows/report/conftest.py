"""Makers of records for the report's tests: a whole video or job, of which a test names only what it is about."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from flows.report.model import JobReport, VideoReport
from flows.retry_and_quarantine.records import FailureRecord
from manifests.problems import Problems
from manifests.results import RowProblem


def picture(side: int = 64, *, noise: bool = False) -> bytes:
    """A PNG of side x side pixels; noise does not compress, so it stands for the largest poster."""
    image = Image.effect_noise((side, side), 80).convert("RGB") if noise else Image.new("RGB", (side, side), "teal")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def make_picture() -> Callable[..., bytes]:
    return picture


@pytest.fixture
def make_video() -> Callable[..., VideoReport]:
    def make(**given: Any) -> VideoReport:
        known: dict[str, Any] = {
            "video_id": "reef",
            "prompt": "a coral reef",
            "model": "embedded",
            "settings": {"seed": 7, "zoom": "0:(1.02), 60:(1.05)", "cutouts": {"number": 32, "noise": 0.1}},
            "frames": 4,
            "done": 4,
            "state": "done",
            "poster": picture(),
            "video_href": "../reef/video.mp4",
            "video_mime": "video/mp4",
            "sheet_href": "../reef/contact_sheet.png",
            "frame_losses": ((0, 0.9), (1, 0.7), (2, 0.6), (3, 0.5)),
            "first_frame_losses": (0.95, 0.92, 0.9),
            "frame_seconds": ((0, 3.0), (1, 1.0), (2, 1.0), (3, 1.0)),
            "segments": 1,
            "width": 64,
            "height": 64,
            "rendered": 4,
        }
        return VideoReport(**{**known, **given})

    return make


@pytest.fixture
def make_job() -> Callable[..., JobReport]:
    def make(*videos: VideoReport, **given: Any) -> JobReport:
        known: dict[str, Any] = {
            "title": "nightly",
            "manifest": "manifests/nightly.parquet",
            "output": "s3://renders/nightly",
            "started": "2026-11-22T03:00:00+00:00",
            "finished": "2026-11-22T03:02:10+00:00",
            "wall_seconds": 130.0,
            "render_seconds": 228.0,
            "start_up_seconds": 10.0,
            "actors": 2,
            "versions": {"nightreel": "0.1.0"},
        }
        problems = Problems(given.pop("problems", ()))
        return JobReport(**{**known, **given}, problems=problems, videos=videos)

    return make


@pytest.fixture
def make_failure() -> Callable[..., FailureRecord]:
    def make(frame: int | None = 2, **given: Any) -> FailureRecord:
        known: dict[str, Any] = {
            "video_id": "reef",
            "attempt": 1,
            "worker": "actor-1",
            "kind": "FloatingPointError",
            "message": "loss is NaN",
            "seconds": 1.5,
            "when": "2026-11-22T03:01:00+00:00",
        }
        return FailureRecord(frame=frame, **{**known, **given})

    return make


@pytest.fixture
def bad_rows() -> tuple[RowProblem, ...]:
    """Three problems in two rows, as the manifest's reader tells them."""
    return (
        RowProblem("a.parquet", 9, "dunes", "frames", "9-3", "1 to 1,000,000", "frames is no whole number"),
        RowProblem("a.parquet", 9, "dunes", "fps", "-1", "above 0, to 240", "fps is negative"),
        RowProblem("b.parquet", 3, None, "video_id", "<b>&x", "letters and digits", "video_id is no name"),
    )
