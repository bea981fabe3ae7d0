"""`nightreel manifest presets`, and presets in the commands that look at rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from flows.cli.errors import BAD_INPUT, DONE
from flows.cli.previewing import Wanted
from manifests.schema.presets import NAMES, shipped_preset
from tests.helpers.command_line import Said, manifest_of


def test_they_are_listed_with_their_values(nightreel: Callable[..., Said]) -> None:
    said = nightreel("manifest", "presets", "--json", "--model", "imagenet-f16-16384")
    assert [it["name"] for it in said.json] == list(NAMES)
    assert {it["name"]: it["settings"] for it in said.json} == {it: shipped_preset(it).settings for it in NAMES}
    listed = nightreel("manifest", "presets")
    assert listed.code == DONE
    words = " ".join(listed.out.split())
    assert "steps_first 24" in words  # the embedded pair's own draft
    assert all(name in words for name in NAMES)


def test_one_is_shown_as_the_yaml_that_it_is(nightreel: Callable[..., Said]) -> None:
    said = nightreel("manifest", "presets", "nerdyrodent")
    assert said.out.startswith("# nerdyrodent/VQGAN-CLIP")
    assert yaml.safe_load(said.out) == shipped_preset("nerdyrodent").settings
    own = nightreel("manifest", "presets", "draft").out
    assert yaml.safe_load(own)["cutouts"] == {"number": 1}
    unknown = nightreel("manifest", "presets", "nice")
    assert unknown.code == BAD_INPUT
    assert "there is no preset 'nice'" in unknown.err
    assert "Known are best, crowson" in unknown.err


def test_a_file_of_ones_own_is_checked(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("summary: soft\nsteps: 3\n")
    assert nightreel("manifest", "presets", own) == Said(DONE, "# soft\nsteps: 3\n", "")
    own.write_text("stepz: 3")
    said = nightreel("manifest", "presets", own)
    assert said.code == BAD_INPUT
    assert "'stepz' is no column of a row; did you mean 'steps'?" in said.err


def test_rows_are_built_validated_and_shown_with_them(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("steps_first: 5\nsteps: 3\n")
    source, target = tmp_path / "night.yaml", tmp_path / "night.parquet"
    source.write_text(
        "defaults: {preset: nerdyrodent}\n"
        "videos: [{video_id: a, prompt: a}, {video_id: b, prompt: b, preset: mine.yaml}]\n"
        "expand: {axes: {preset: [draft, fine]}, template: 'a {preset} look'}\n"
    )
    assert nightreel("manifest", "build", source, "-o", target).code == DONE
    rows = nightreel("manifest", "show", target, "--json").json
    assert [row["preset"] for row in rows] == ["nerdyrodent", "mine.yaml", "draft", "fine"]  # looked up when planned
    assert "cutouts" not in rows[0]
    shown = nightreel("manifest", "show", target).out.splitlines()
    assert [line.split()[4] for line in shown if line[:2] in ("a ", "b ")] == ["500/10", "5/3"]
    dry = nightreel("manifest", "build", source, "--dry-run")
    assert "not estimated" not in dry.out
    bad = tmp_path / "bad.yaml"
    bad.write_text("videos: [{video_id: a, prompt: a, preset: nice}]\n")
    assert "there is no preset 'nice'" in nightreel("manifest", "build", bad, "-o", target).err


def test_a_preset_with_a_secret_in_its_address_is_masked(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    row = {"video_id": "a", "prompt": "a", "preset": "https://me:hidden@example.org/mine.yaml"}
    said = nightreel("manifest", "show", manifest_of(tmp_path / "m.parquet", row), "--json")
    assert "hidden" not in said.out
    assert said.json[0]["preset"].endswith("example.org/mine.yaml")


def test_a_preview_begins_paths_where_a_render_does(tmp_path: Path) -> None:
    source = tmp_path / "night.yaml"
    source.write_text("videos: [{video_id: a, prompt: a, preset: mine.yaml, init_image: a.png}]\n")
    row = Wanted(str(source), Path("a.png"), {}, (), None, None, 1.0, 1.0, motion=False, json=False).row()
    assert (row.preset, row.init_image) == (str(tmp_path / "mine.yaml"), str(tmp_path / "a.png"))
