"""Manifests as Python values: from Parquet and from what it is built from, good rows and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.api.manifest import read_manifest
from infra.storage.storage import ObjectMissing
from manifests.results import ManifestError
from tests.helpers.command_line import DEMO, manifest_of


def test_parquet_and_the_yaml_that_it_was_built_from_are_the_same_rows() -> None:
    parquet, yaml = read_manifest(DEMO), read_manifest(str(DEMO.with_suffix(".yaml")))
    assert parquet.rows == yaml.rows
    assert len(parquet) == len(list(parquet)) == 3
    assert parquet[0].video_id == next(iter(parquet)).video_id


def test_a_folder_is_one_manifest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        manifest_of(tmp_path / f"{name}.parquet", {"video_id": name, "prompt": "a reef"})
    assert [row.video_id for row in read_manifest(tmp_path)] == ["one", "two"]


def test_bad_rows_are_problems_or_an_error(tmp_path: Path) -> None:
    file = tmp_path / "night.csv"
    file.write_text("video_id,prompt,width\ngood,a reef,64\nbad,a reef,3\n")
    manifest = read_manifest(file)
    assert [row.video_id for row in manifest] == ["good"]
    (problem,) = manifest.problems
    assert (problem.video_id, problem.column, problem.row, problem.unit) == ("bad", "width", 3, "line")
    with pytest.raises(ManifestError, match=r"width is '3'.*line 3, video 'bad'"):
        read_manifest(file, strict=True)


def test_what_is_no_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="no manifest at"):
        read_manifest(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(ManifestError, match="not a Parquet file"):
        read_manifest(tmp_path / "text.parquet")
