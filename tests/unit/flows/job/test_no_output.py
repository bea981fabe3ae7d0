"""A folder that is no output of nightreel: said so at once, however much lies in it; and one that is, among others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.errors import BAD_INPUT, DONE
from flows.job.job import RenderJob
from flows.job.output_videos import holds_output
from flows.job.parameters import RenderParameters
from flows.job.storage_state import save_plan
from infra.settings import InfraSettings
from infra.storage import local_store
from infra.storage.storage import Storage
from tests.helpers.command_line import Said, manifest_of

Commands = Callable[..., Said]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A folder like the root of a machine, and the folders of it that are looked at."""
    root = tmp_path / "disk"
    for number in range(40):
        folder = root / "usr" / "share" / f"thing-{number}" / "deeper" / "still"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x")
    (root / "home" / "me" / "video.mp4").parent.mkdir(parents=True)
    (root / "home" / "video.mp4").write_bytes(b"a holiday")
    looked: list[str] = []
    scandir = os.scandir

    def counted(path: Path) -> object:
        looked.append(str(path))
        return scandir(path)

    monkeypatch.setattr(local_store.os, "scandir", counted)
    return root, looked


@pytest.mark.parametrize(
    "words",
    [["status", "{0}"], ["status", "{0}", "--json"], ["prune", "{0}"], ["rerun", "{0}", "--video", "usr"]],
    ids=lambda words: " ".join(words),
)
def test_a_folder_that_is_no_output_is_told_without_a_walk(
    words: list[str], nightreel: Commands, disk: tuple[Path, list[str]]
) -> None:
    root, looked = disk
    said = nightreel(*(word.format(root) for word in words))
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert f"'{root}' is no output of nightreel: nothing was ever rendered into it" in said.err
    assert len(looked) < 40, "no more than its own folders, and ours in them"


def test_a_render_into_it_lists_none_of_it(nightreel: Commands, disk: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, looked = disk
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "usr", "prompt": "a"})
    said = nightreel("plan", path, "-o", root)
    assert said.code == DONE, said.err
    assert len(looked) < 40


def test_one_video_among_what_is_somebody_elses_makes_an_output(
    nightreel: Commands, disk: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, _ = disk
    assert not holds_output(Storage(str(root)))
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "usr", "prompt": "a"})
    job = RenderJob(RenderParameters(str(path), str(root)), InfraSettings())
    job.read()
    save_plan(job.output, job.runs["usr"].work)
    assert holds_output(Storage(str(root)))
    said = nightreel("status", root, "--json")
    assert [video["video_id"] for video in said.json["videos"]] == ["usr"]
