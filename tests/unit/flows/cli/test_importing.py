"""`nightreel import` at the command line: files, command lines, where pictures lie, exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.errors import BAD_INPUT, DONE
from manifests.importing.account import FATES
from tests.helpers.command_line import Said
from tests.helpers.root import ROOT

CORPUS = ROOT / "tests" / "unit" / "manifests" / "importing" / "corpus"


def test_settings_become_a_manifest(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    row, manifest = tmp_path / "row.yaml", tmp_path / "row.parquet"
    said = nightreel("import", CORPUS / "default.deforum.txt", "-o", row)
    assert said.code == DONE
    lines = said.out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [it.split(":")[0] for it in heads[:-1]] == list(FATES)
    assert heads[-1].endswith("1 row from Deforum")
    assert all(f"# {line}" in row.read_text().splitlines() for line in lines[:-1])  # kept in the YAML
    assert nightreel("manifest", "build", row, "-o", manifest).code == DONE
    (shown,) = nightreel("manifest", "show", manifest, "--json").json
    assert (shown["video_id"], shown["frames"], shown["fps"]) == ("Deforum", 120, 15)


def test_what_was_gone_on_with_by_hand_is_not_imported_over(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    row, source = tmp_path / "row.yaml", CORPUS / "muffet.travel.json"
    assert nightreel("import", source, "-o", row).code == DONE
    assert nightreel("import", source, "-o", row).code == DONE, "it is the same"
    edited = row.read_text() + "# and my own words\n"
    row.write_text(edited)
    said = nightreel("import", source, "-o", row)
    assert said.code == BAD_INPUT
    assert "row.yaml' is there already" in said.err
    assert "--replace" in said.err
    assert row.read_text() == edited
    assert nightreel("import", source, "-o", row, "--replace").code == DONE
    assert row.read_text() != edited


@pytest.mark.parametrize("name", ["./reef.yaml", "link.yaml", "{folder}/reef.yaml"])
def test_the_source_is_not_written_over_by_another_name(
    nightreel: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (CORPUS / "reef.pytti.yaml").read_text()
    Path("reef.yaml").write_text(text)
    Path("link.yaml").symlink_to("reef.yaml")
    said = nightreel("import", "reef.yaml", "-o", name.format(folder=tmp_path), "--replace")
    assert said.code == BAD_INPUT
    assert "is the source itself" in said.err
    assert Path("reef.yaml").read_text() == text


def test_a_command_line_is_one_as_it_stands_there(nightreel: Callable[..., Said]) -> None:
    said = nightreel("import", "python generate.py -p 'a red apple' -i 60 -sd 3", "--model", "embedded")
    assert said.code == DONE
    assert "model: embedded" in said.out
    assert "text: a red apple" in said.out


def test_strict_writes_nothing_where_something_that_shows_is_dropped(
    nightreel: Callable[..., Said], tmp_path: Path
) -> None:
    row = tmp_path / "row.yaml"
    said = nightreel("import", CORPUS / "reef.pytti.yaml", "-o", row, "--strict")
    assert said.code == BAD_INPUT
    assert "--strict is given: " in said.err
    assert "input_audio" in said.err
    assert not row.exists()
    plain = tmp_path / "plain.txt"
    plain.write_text("python generate.py -p a -i 60 -sd 3 -d")
    assert nightreel("import", plain, "-o", row, "--strict").code == DONE
    assert row.exists()


def test_json_holds_the_four_lists(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    row = tmp_path / "row.yaml"
    said = nightreel("import", CORPUS / "muffet.travel.json", "-o", row, "--json").json
    assert (said["dialect"], said["rows"], said["output"]) == ("travel", 1, str(row))
    assert said["mapped"]["prompt_fixed_ratio"] == "travel_hold"
    assert set(said) >= {"mapped", "approximated", "dropped", "needs_you", "shows"}
    assert "steps" in said["shows"]
    assert nightreel("import", CORPUS / "muffet.travel.json", "--json").json["yaml"] == row.read_text()


def test_pictures_are_looked_for_beside_the_source_and_the_yaml(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "shells.png").write_bytes(b"x")
    source = tmp_path / "old" / "reef.yaml"
    source.write_text((CORPUS / "reef.pytti.yaml").read_text())
    out = nightreel("import", source, "-o", tmp_path / "row.yaml")
    assert "old/shells.png" in (tmp_path / "row.yaml").read_text()
    assert "'shells.png' is not there" not in out.out
    (tmp_path / "old" / "shells.png").unlink()
    again = nightreel("import", source, "-o", tmp_path / "row.yaml", "--replace")
    assert "'shells.png' is not there: put it beside" in again.out


def test_what_cannot_be_read_is_refused_in_words(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    assert "nothing at" in nightreel("import", tmp_path / "gone.txt").err
    unknown = tmp_path / "a.txt"
    unknown.write_text("{}")
    said = nightreel("import", unknown)
    assert said.code == BAD_INPUT
    assert "holds no settings by name" in said.err
    assert "no file of YAML" in nightreel("import", unknown, "-o", tmp_path / "row.parquet").err
    assert nightreel("import", unknown, "--from", "deform").code == BAD_INPUT


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_and_not_waited_for(nightreel: Callable[..., Said], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    said = nightreel("import", tmp_path / "pipe")
    assert said.code != DONE
    assert "pipe" in said.err
