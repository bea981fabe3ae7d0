"""Plans in storage are read as they were made, whatever the row says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.job.films import Films
from flows.job.lengths import with_lengths
from flows.job.sounds import Sounds
from flows.job.storage_state import list_video, read_plan, save_plan
from flows.planning.remaining import VideoWork, plan_video
from infra.storage.storage import SourceReader, Storage
from manifests.building import build
from manifests.results import GoodRow
from manifests.schema import ManifestRow, addresses_of, with_addresses
from renderers.frame_plan.frame_plan import ParentFrame
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row

ROOT = Path(__file__).parents[4]
REGISTRY = Registry()
PARENT = ParentFrame("reef", 3, "a" * 64)


def stored_again(output: Storage, row: ManifestRow) -> tuple[VideoPlan, VideoPlan]:
    """The plan of `row`, and what is read where it was put."""
    images = {it.address: f"{number:064x}" for number, it in enumerate(addresses_of(row), 1)}
    # who plans it hears it; here it may sound like anything
    row = Sounds(SourceReader()).heard(resolve(row, REGISTRY.entry(row.model)))[0] if row.audio else row
    if row.source.video is not None:  # and looks through it
        films = Films(SourceReader(), output)
        row, film = films.found(resolve(row, REGISTRY.entry(row.model)))
        films.close()
        images |= film
    parent = None if row.parent is None else ParentFrame(row.parent.video_id, row.parent.frame or 0, PARENT.digest)
    plan = VideoPlan.of(row, images, entry=REGISTRY.entry(row.model), parent=parent)
    save_plan(output, work_of(plan))
    stored = read_plan(output, list_video(output, row.video_id), row.video_id, REGISTRY)
    assert stored is not None
    return plan, stored.plan


def work_of(plan: VideoPlan) -> VideoWork:
    return plan_video(plan, set(), [], published_content=None, chunk_seconds=60, range_frames=None)


def shipped(name: str) -> list[ManifestRow]:
    source = (ROOT / "manifests" / name).read_text(encoding="utf-8")
    results = with_lengths(build(source, "yaml", name), SourceReader(), str(ROOT))
    return [with_addresses(it.row, lambda path: str(ROOT / path)) for it in results if isinstance(it, GoodRow)]


@pytest.mark.parametrize("name", ["demo.yaml", "gallery.yaml", "story.yaml"])
def test_those_of_the_rows_that_we_ship(name: str, tmp_path: Path) -> None:
    for row in shipped(name):
        plan, stored = stored_again(Storage(str(tmp_path)), row)
        assert stored.digests == plan.digests, row.video_id


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt": "0: a tree | 3: an apple", "travel": True},
        {"prompt": "0: a tree | 3: an apple", "travel": True, "travel_hold": 0.5, "continues": "reef@3"},
        {"renew": {"colours": 1, "colours_from": "https://some:body@host/a.png?signature=abcdef0123456789"}},
        {"renew": {"colours": 1, "colours_from": "here/a.png"}},
        {"warm": {"start": "codes", "fit": 3}, "renew": {"sharpen": 0.0, "colours": "0"}},
        {"preset": "nerdyrodent", "init_image": "here/a.png"},
        {"preset": "best", "continues": "reef@3"},
        {"continues": "reef", "init": "blank"},
        {"candidates": 1, "candidates_share": 0.5, "continues": "reef"},
        {"depth": {"shape": "floor"}, "dolly": 3, "handoff": "chain"},
    ],
)  # fmt: skip
def test_those_of_rows_whose_columns_exclude_others(columns: dict[str, Any], tmp_path: Path) -> None:
    plan, stored = stored_again(Storage(str(tmp_path)), quick_row("night", **{"frames": 6, **columns}))
    assert stored.digests == plan.digests
