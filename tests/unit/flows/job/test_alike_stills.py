"""Stills that are alike are planned together: each is what it would be alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.job.load_work import load_work
from flows.job.seen_folders import FIRST_NAMES, NAMES_EACH, SeenFolders
from flows.job.video_runs import VideoRuns, missing_of, works_of
from flows.planning.chunks import chunks_of
from flows.planning.remaining import VideoWork
from flows.planning.stills import StillWork
from infra.storage.storage import Storage, StorageUnavailable
from manifests.errors import NightreelError
from manifests.results import GoodRow
from manifests.schema import ManifestRow
from manifests.schema.alike import Alike
from renderers.registry import Registry

PROMPTS = ("a red apple", "  a boat at dusk ", "caf\u00e9 \U0001f34e", "1984")


def rows_of(**columns: Any) -> list[GoodRow]:
    """Rows of one kind, each known to be like the others."""
    rows = [
        ManifestRow.model_validate({"video_id": f"still-{number}", "prompt": prompt, "seed": 7 * number, **columns})
        for number, prompt in enumerate(PROMPTS)
    ]
    alike = Alike(rows[0])
    return [GoodRow(row, "m.parquet", number + 1, "row", alike) for number, row in enumerate(rows)]


def planned(output: Storage, rows: list[GoodRow] | list[ManifestRow], **how: Any) -> list[Any]:
    return list(load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None, **how))


def told(result: VideoWork | tuple[ManifestRow, NightreelError]) -> object:
    """All that is known of a video's work, or of why there is none."""
    if isinstance(result, tuple):
        return result[0], str(result[1])
    return (
        result.plan, result.frames, result.ranges, result.content, result.published_content, result.damaged,
        result.plan_stored, result.parent_takes, result.video_id, result.settings.frames, result.handoff,
        result.begins_missing, result.published, result.to_encode, result.missing, result.missing_frames,
        result.complete, result.seconds, result.settings.priority, result.rerun_since,
    )  # fmt: skip


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"width": 256, "height": 128, "steps_first": 50, "format": "webp", "priority": 3, "upscale": 2},
        {"preset": "draft", "zoom": "1.01", "cutouts": {"number": 8}, "loss": {"tv": "0.5"}},
        {"model": "imagenet-f16-16384", "candidates": 3, "optimiser": {"lr": 0.05}},
        {"handoff": "keyframes"},
        {"review": {"judge": "imagenet-f16-16384"}},
        {"width": 500},  # no multiple of the model's
        {"model": "nobody's"},
        {"init_image": "nowhere.png"},
        {"frames": 3},
        {"preset": "mine.yaml"},
    ],
    ids=str,
)
def test_each_is_planned_as_it_is_alone(tmp_path: Path, columns: dict[str, Any]) -> None:
    output = Storage(str(tmp_path / "out"))
    rows = rows_of(**columns)
    together = planned(output, rows, folder=str(tmp_path))
    alone = planned(output, [it.row for it in rows], folder=str(tmp_path))
    assert [told(it) for it in together] == [told(it) for it in alone]
    assert [it.frames[0].digest for it in together if not isinstance(it, tuple)] == [
        it.frames[0].digest for it in alone if not isinstance(it, tuple)
    ]


def test_a_seed_that_rows_leave_open_and_a_judge_that_they_do_not_name_are_everybodys(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    rows = [ManifestRow(video_id=name, prompt="a boat") for name in "ab"]
    alike = Alike(rows[0])
    together = planned(output, [GoodRow(row, "m", 1, "row", alike) for row in rows], judge="imagenet-f16-16384")
    assert all(isinstance(it, StillWork) for it in together)
    assert [told(it) for it in together] == [told(it) for it in planned(output, rows, judge="imagenet-f16-16384")]


def test_only_those_of_which_nothing_lies_in_storage_are_planned_together(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    (tmp_path / "STILL-2").mkdir()  # for some file systems the same folder
    rows = rows_of()
    first = planned(output, rows[:1])[0]
    output.put(first.ranges[0].segment, b"x")
    found = planned(output, rows)
    assert [isinstance(it, StillWork) for it in found] == [False, True, False, True]
    assert [told(it) for it in found] == [told(it) for it in planned(output, [it.row for it in rows])]


def test_results_come_in_the_order_of_rows_and_few_rows_are_read_ahead(tmp_path: Path) -> None:
    asked: list[int] = []
    rows = rows_of()

    def many() -> Iterator[GoodRow]:
        for number in range(300):
            asked.append(number)
            row = rows[0].row.model_copy(update={"video_id": f"v{number}"})
            # every third is planned by itself
            yield rows[0]._replace(row=row, alike=None if number % 3 == 0 else rows[0].alike)

    found = load_work(Storage(str(tmp_path)), many(), Registry(), chunk_seconds=60, range_frames=None)
    first = next(found)
    assert isinstance(first, VideoWork)
    assert len(asked) < 100
    names = [first.video_id, *(it.video_id for it in found if isinstance(it, VideoWork))]
    assert names == [f"v{number}" for number in range(300)]


def test_chunks_are_those_of_stills_that_are_planned_alone(tmp_path: Path) -> None:
    rows = [row for priority in (0, 5) for row in rows_of(priority=priority, steps_first=30 + priority)]
    rows = [it._replace(row=it.row.model_copy(update={"video_id": f"v{n}"})) for n, it in enumerate(rows)]
    together, alone = (planned(Storage(str(tmp_path)), given) for given in (rows, [it.row for it in rows]))
    for actors, batch in ((1, 1), (3, 1), (2, 4)):
        cut = [chunks_of(works, actors=actors, chunk_seconds=5, max_batch=batch) for works in (together, alone)]
        assert cut[0] == cut[1]


class _Folders(Storage):
    """A storage with so many folders, or none that can be listed."""

    def __init__(self, many: int | None) -> None:
        super().__init__("memory://x")
        self.many, self.asked = many, 0

    def folder_names(self) -> Iterator[str]:
        if self.many is None:
            raise StorageUnavailable("not to be listed", "allow it")
        for number in range(self.many):
            self.asked += 1
            yield f"Folder-{number}"


def test_few_rows_come_to_an_output_of_millions_at_little_cost() -> None:
    storage = _Folders(1_000_000)
    folders = SeenFolders(storage)
    assert [folders.may_hold(f"row-{number}") for number in range(10)] == [True] * 10
    assert storage.asked <= FIRST_NAMES + 10 * NAMES_EACH


def test_once_all_folders_are_known_a_row_has_one_or_none() -> None:
    storage = _Folders(FIRST_NAMES + 2 * NAMES_EACH)
    folders = SeenFolders(storage)
    assert [folders.may_hold(f"row-{number}") for number in range(4)] == [True, True, False, False]
    assert folders.may_hold("folder-7")


def test_where_folders_cannot_be_listed_each_row_is_looked_up() -> None:
    folders = SeenFolders(_Folders(None))
    assert [folders.may_hold("a"), folders.may_hold("b")] == [True, True]


def test_a_run_is_made_when_it_is_asked_for_and_is_everybodys(tmp_path: Path) -> None:
    works = planned(Storage(str(tmp_path)), rows_of())
    runs = VideoRuns(works)
    assert (len(runs), list(runs), "still-1" in runs, "x" in runs) == (4, [it.video_id for it in works], True, False)
    assert (list(works_of(runs)), missing_of(runs)) == (works, 4)
    run = runs["still-1"]
    assert run.missing == 1
    assert runs["still-1"] is run
    with pytest.raises(KeyError):
        _ = runs["x"]
    assert [it.work for it in runs.values()] == works
    assert list(works_of(dict(runs))) == works
    assert missing_of(dict(runs)) == 4
