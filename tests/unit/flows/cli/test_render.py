"""`nightreel plan`, `render` as far as it gets without a cluster, `status` and `models list`, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT, INCOMPLETE
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import InfraSettings
from tests.helpers.command_line import Said, manifest_of

# --- plan -------------------------------------------------------------------------------------------------------------


def test_plan_says_what_a_render_would_do_and_leaves_no_trace(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(
        tmp_path / "m.parquet", {"video_id": "still", "prompt": "a"}, {"video_id": "reef", "prompt": "b", "frames": 48}
    )
    output = tmp_path / "out"

    said, whole = nightreel("plan", path, "-o", output), nightreel("plan", path, "-o", output, "--json")

    assert (said.code, said.err, whole.code, whole.err) == (DONE, "", DONE, "")
    assert "2 videos, 49 frames: 0 done, 49 to render in 2 task runs" in said.out
    assert {line.split("  ")[0] for line in said.out.splitlines()} >= {"reef 0-47", "still"}
    counts = {key: whole.json[key] for key in ("videos", "videos_to_do", "frames", "frames_done", "frames_to_render")}
    assert counts == {"videos": 2, "videos_to_do": 2, "frames": 49, "frames_done": 0, "frames_to_render": 49}
    assert whole.json["bad_rows"] == []
    assert whole.json["actor_seconds"] == pytest.approx(sum(c["seconds"] for c in whole.json["chunks"]), abs=0.2)
    assert not output.exists()


def test_range_frames_and_chunk_seconds_cut_the_work(
    nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREEL_CHUNK_SECONDS", "2")
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "reef", "prompt": "b", "frames": 48})
    chunks = nightreel("plan", path, "-o", tmp_path / "out", "--range-frames", 20, "--json").json["chunks"]
    assert [(chunk["name"], chunk["after"]) for chunk in chunks] == [
        ("reef 0-19", None), ("reef 20-39", "reef 0-19"), ("reef 40-47", "reef 20-39"),
    ]  # fmt: skip


def test_plan_counts_frames_that_are_in_storage(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "reef", "prompt": "b", "frames": 5})
    output = tmp_path / "out"
    job = RenderJob(RenderParameters(str(path), str(output)), InfraSettings())
    job.read()
    for frame in job.runs["reef"].work.frames[:3]:  # their keys alone are what a plan looks at
        job.output.put(f"reef/frames/{frame.index:06d}-{frame.digest[:16]}.png", b"a frame")
    said = nightreel("plan", path, "-o", output, "--json").json
    assert (said["frames_done"], said["frames_to_render"]) == (3, 2)


def test_plan_names_every_row_that_can_not_be_rendered(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    good = {"video_id": "reef", "prompt": "b"}
    rows = [
        good, {**good, "video_id": "ghost", "init_image": str(tmp_path / "no.png")},
        {**good, "video_id": "odd", "width": 101}, {**good, "video_id": "who", "model": "sd15"},
    ]  # fmt: skip
    manifest_of(tmp_path / "a.parquet", *rows)
    pq.write_table(pa.table({"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, 1]}), tmp_path / "b.parquet")
    folder = f"{tmp_path}/*.parquet"

    said, whole = (nightreel("plan", folder, "-o", tmp_path / "out", *extra) for extra in ([], ["--json"]))

    assert (said.code, whole.code, whole.err) == (BAD_INPUT, BAD_INPUT, "")
    counted = "5 videos, 5 frames: 0 done, 2 to render in 2 task runs, 3 videos can't be rendered, 1 bad row; about"
    assert counted in said.out, "as `status` and the report will count them"
    assert [whole.json[name] for name in ("videos", "videos_failed", "frames", "frames_done")] == [5, 3, 5, 0]
    lines = said.err.splitlines()
    assert [line.removeprefix("nightreel: ") for line in lines] == whole.json["bad_rows"]
    for words in (
        ["frames is 0", "row 1", "video 'x'", "b.parquet"], ["init_image", "no.png' of video 'ghost' does not exist"],
        ["width 101 of video 'odd' is not a multiple of 4", "take 100"], ["video 'who'", "'sd15'", "embedded"],
    ):  # fmt: skip
        assert any(all(word in line for word in words) for line in lines), (words, lines)
    assert len(lines) == 4


def test_a_row_that_names_the_home_of_nobody_costs_itself(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    good = {"video_id": "reef", "prompt": "b"}
    bad = [
        {**good, "video_id": "init", "init_image": "~nobody-of-that-name/a.png"},
        {**good, "video_id": "prompt", "image_prompts": [{"image": "~nobody-of-that-name/a.png"}]},
    ]
    said = nightreel("plan", manifest_of(tmp_path / "m.parquet", good, *bad), "-o", tmp_path / "out", "--json")
    assert (said.code, said.json["frames_to_render"], said.json["videos_failed"]) == (BAD_INPUT, 1, 2)
    assert [word for word in ("row 2", "row 3", "'init'", "'prompt'") if word not in str(said.json["bad_rows"])] == []


def test_plan_of_no_manifest_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    for name, lines in (("nothing.parquet", "no manifest at"), ("text.parquet", "is not a Parquet file")):
        said = nightreel("plan", tmp_path / name, "-o", tmp_path / "out")
        assert (said.code, said.out) == (BAD_INPUT, "")
        assert lines in said.err
        assert str(tmp_path / name) in said.err


# --- render, as far as it gets without a cluster ----------------------------------------------------------------------


@pytest.fixture
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Ray or Prefect fails the test."""
    for name in ("flows.render_manifest", "infra.ray.pool"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_no_cluster")
def test_render_without_a_good_row_starts_nothing_and_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "a", "prompt": "p", "init_image": str(tmp_path / "no.png")})
    said = nightreel("render", path, "-o", tmp_path / "out", "--json")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert "no.png' of video 'a' does not exist" in said.err
    assert "no row of" in said.err


@pytest.mark.usefixtures("_no_cluster")
def test_render_strict_with_a_bad_row_starts_nothing_and_is_2(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    pq.write_table(pa.table({"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, 1]}), tmp_path / "m.parquet")
    said = nightreel("render", tmp_path / "m.parquet", "-o", tmp_path / "out", "--strict")
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert "--strict" in said.err
    assert "frames is 0" in said.err
    assert "Traceback" not in said.err


# --- status and models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["--json"], ["--all"]])
def test_status_of_an_output_that_holds_nothing_is_2(
    extra: list[str], nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    for output in (tmp_path, tmp_path / "never"):
        said = nightreel("status", output, *extra)
        assert said == Said(BAD_INPUT, "", f"nightreel: nothing was ever rendered into '{output}'\n")


def test_status_of_storage_without_credentials_is_3(nightreel: Callable[..., Said]) -> None:
    said = nightreel("status", "s3://bucket/night")
    assert (said.code, said.out) == (ENVIRONMENT, "")
    assert "AWS_ACCESS_KEY_ID" in said.err


def test_status_tells_what_failed_and_why_from_storage_alone(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    missing = tmp_path / "a folder with a long name" / "no.png"
    path = manifest_of(tmp_path / "m.parquet", {"video_id": "ghost", "prompt": "p", "init_image": str(missing)})
    output = tmp_path / "out"
    job = RenderJob(RenderParameters(str(path), str(output)), InfraSettings())
    job.read()
    job.record_refused()

    said, whole = nightreel("status", output), nightreel("status", output, "--json")

    assert (said.code, said.err, whole.code) == (INCOMPLETE, "", INCOMPLETE)
    assert whole.json["counts"] == {"failed": 1}
    (video,) = whole.json["videos"]
    assert (video["video_id"], video["state"], video["video"]) == ("ghost", "failed", None)
    assert str(missing) in video["reason"]
    (line,) = (line for line in said.out.splitlines() if line.startswith("ghost"))
    assert video["reason"] in line  # on a pipe nothing is cut to a terminal's width


def test_models_list_names_what_a_row_may_name(nightreel: Callable[..., Said]) -> None:
    said, whole = nightreel("models", "list"), nightreel("models", "list", "--json")
    assert (said.code, said.err, whole.code, whole.err) == (DONE, "", DONE, "")
    names = [entry["name"] for entry in whole.json]
    assert "embedded" in names
    assert all(len(entry["digest"]) == 64 and entry["licence"] for entry in whole.json)
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == names


@pytest.mark.parametrize("handoff", ["keyframes", "chain"])
def test_a_row_of_many_frames_is_planned_in_few_words(
    handoff: str, nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    row = {"video_id": "reef", "prompt": "b", "frames": 20_000, "handoff": handoff}
    row |= {"keyframe_every": 2} if handoff == "keyframes" else {}
    path = manifest_of(tmp_path / "m.parquet", row)
    said = nightreel("plan", path, "-o", tmp_path / "out")
    assert said.code == DONE, said.err
    assert len(said.out) < 20_000
    assert "20,000 frames" in said.out


def test_an_entry_of_long_words_makes_no_long_list(
    nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"name": "mine", "like": "embedded", "licence": "l" * 3900, "summary": "s " * 1900}
    (tmp_path / "mine.yaml").write_text(json.dumps(words), encoding="utf-8")
    monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", str(tmp_path))
    said, whole = nightreel("models", "list"), nightreel("models", "list", "--json")
    assert (said.code, said.err) == (DONE, "")
    assert "mine" in said.out
    assert len(said.out) < 25_000
    assert next(it for it in whole.json if it["name"] == "mine")["licence"] == "l" * 3900, "--json has all"
